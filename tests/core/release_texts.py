"""Release texts in the usual forms, all written for these tests."""

from __future__ import annotations

INSTITUTE = """\
Rural bus cuts leave pensioners stranded

After the publication of the Hartley Review, its chair, Joan Hartley, said “bold action” was \
needed to keep villages connected. She has made 41 recommendations aimed at county councils.


Responding to the review, Martin Oyelaran, Director of Policy at the Institute of Rural \
Transport, called for a national timetable. He said:


“The review lays bare a decade of neglect.  Villages have lost buses one by one.


“It\u2019s clear that nobody was watching the whole map.


Our figures show that 1 in 4 villages has no bus at all.  Yet most would use one.”\u0020


-ends \u2013


For further information, interviews and case studies, contact:

Priya Natarajan on 0207 946 0851 or

Tom Weller on 0207 946 0817 or



  • IRT is the only chartered body dedicated to rural transport. IRT was founded in 1951
  • By setting standards \u2013 built into our courses \u2013 we recognise capability
  • As a membership body, IRT advises councils
"""

CHARITY = """\
STRICTLY EMBARGOED UNTIL 00:01 GMT ON TUESDAY 1 DECEMBER 2026

PRESS RELEASE

One in five carers skips meals, charity warns
New survey of 2,400 people finds winter pressure growing

A fifth of unpaid carers in the UK went without a meal last month so that the person they care \
for could eat, according to a survey published today by Hearth & Hand.

"These are people who hold our care system together," said Ruth Adeyemi, chief executive of \
Hearth & Hand. "They should not have to choose between heating and eating."

The charity is calling for a winter payment of £200.

ENDS

Notes to editors

1. The survey of 2,400 unpaid carers was carried out online between 1 and 14 October 2026.
2. Full results are at www.hearthandhand.example/winter.
3. For interviews please contact Sam Okafor on 020 7946 0102 or press@hearthandhand.example.

About Hearth & Hand

Hearth & Hand supports unpaid carers in England and Wales. Registered charity 0000000.

Media contacts:
Sam Okafor, Senior Press Officer
Tel: 020 7946 0102
Mobile: 07700 900123
Email: press@hearthandhand.example
"""

US_WIRE = """\
FOR IMMEDIATE RELEASE

Contact: Dana Whitfield
(202) 555-0143
dwhitfield@brightwater.example

Brightwater Opens First Tidal Power Plant on the Chesapeake

Plant to supply 12,000 homes by 2028

ANNAPOLIS, Md., Nov. 20, 2026 (NEWSLINE) -- Brightwater Energy today opened the first \
commercial tidal power plant in Maryland.

"We have waited ten years for this tide," said chief engineer Luis Ortega.

The plant cost $140 million.

About Brightwater Energy
Brightwater Energy, based in Annapolis, builds and runs small tidal plants on the East Coast.

###
"""

COMMISSION = """\
European Commission - Press release

Brussels, 1 December 2026

Commission proposes simpler rules for river ferries

The Commission has today proposed simpler safety rules for river ferries. The rules would \
apply from 2028.

Background

River ferries carry 200 million passengers a year.

For More Information

Questions and answers on river ferries
Factsheet on river ferries

Contacts for media

Anna LINDQVIST - Phone: +32 2 555 01 23
Marco BELLINI (Phone: +32 2 555 01 24)

IP/26/1234
"""

UNIVERSITY = """\
University of Northmoor
Embargoed until 16:00 London time (11:00 US Eastern Time), Wednesday 2 December 2026

Moss remembers: bog plants hold a record of fires from 6,000 years ago

Peat moss keeps a chemical memory of wildfire for six thousand years, scientists at the \
University of Northmoor have found.

Professor Helen Brandt, who led the study, said: \u2018We could smell the smoke in the \
data.\u2019

The paper \u2018Fire in the bog\u2019 is published in Peat Letters on 2 December.

- ENDS -

For more information or a copy of the paper, please contact Jo Marsh, Communications Officer, \
University of Northmoor, on +44 (0)1632 960 001 or jo.marsh@northmoor.example.
"""

CONTACT_FIRST = """\
Media Contact: Alex Romero, Cedar Point Museum
Phone: 555-201-0188
Email: alex@cedarpoint.example

Museum Acquires Lost Notebook of Lighthouse Keeper

CEDAR POINT \u2013 The Cedar Point Museum has bought the long-lost notebook of Eliza Crane, \
who kept the light for 40 years.

The notebook goes on show in March.

-30-
"""

NO_END = """\
Council backs night market plan

Westford Council voted on Monday to open a night market in the old bus station from April.

Councillor Bea Hollis said: “We listened to traders and we listened to neighbours. This plan \
works for both.”

The market will run on Fridays and Saturdays.

About Westford Council: Westford Council serves 90,000 people.
"""

MARKDOWN = """\
**EMBARGOED UNTIL 00:01 GMT TUESDAY 1 DECEMBER 2026**

# Library lends its first bicycle

*Readers can borrow a bike for three weeks*

**Ashby, 1 December 2026** \u2013 The town library has lent its first bicycle, to a retired \
postman.

- 40 bicycles
- three weeks each

**Ends.**

## Notes to Editors

* The scheme is paid for by the county.
* Pictures: see the press page.

## Contact

**Nadia Karim**, Library Service
nadia.karim@ashby.example | 01632 960455

\\#\\#\\#
"""

OLD_MAIL = """\
NEWS RELEASE

FOR IMMEDIATE RELEASE: November 20, 2026

Harbour seals return to the Tarn estuary after an absence of more than
sixty years

Harbour seals have been seen in the Tarn estuary for the first time
since 1964, the Coastal Wildlife Society said today. A survey counted
eleven adults and two pups.

"Nobody alive here had seen one," said the society's Ian Pryce. "Now the
children count them on the way to school."

The society asks walkers to keep dogs on leads.

ENDS

Contact: Ian Pryce, Coastal Wildlife Society
Tel 01632 960777
ian@cws.example
"""

LABELLED = """\
Media release                                           1 December 2026

Title: Steel town gets its clock back

Press office: 01632 960999

The clock that stood over Barrow Street for a century will strike again on Friday.

***ENDS***

Notes to editors:
The clock was made in 1890 by Potts.

It was taken down in 1988.

The Barrow Trust is a registered charity that looks after the town's monuments.\u0020
"""

"""A draft as the JSON that scripts rely on (design section 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distributor.core.timing import find_zone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from distributor.core.model import Boilerplate, Draft, Embargo, Finding, PressContact

Json = dict[str, object]


def as_json(draft: Draft, findings: Iterable[Finding]) -> Json:
    """What ``release read --json`` prints: absent is null or an empty list, never a missing key."""
    dateline = draft.dateline
    return {
        "headline": draft.headline,
        "subheadline": draft.subheadline,
        "label": draft.label,
        "language": draft.language,
        "embargo": embargo_as_json(draft.embargo),
        "dateline": dateline
        and {"place": dateline.place, "date": dateline.date and dateline.date.isoformat()},
        "body": draft.body,
        "quotes": list(draft.quotes),
        "end_marker": draft.end_marker,
        "contacts": [_contact(contact) for contact in draft.contacts],
        "notes": list(draft.notes),
        "boilerplate": [_boilerplate(item) for item in draft.boilerplate],
        "findings": [_finding(finding) for finding in findings],
    }


def embargo_as_json(embargo: Embargo) -> Json:
    """An embargo; ``at`` carries the offset of its own zone at that instant."""
    zone = embargo.local.zone if embargo.local else None
    at = embargo.at.astimezone(find_zone(zone)) if embargo.at and zone else embargo.at
    return {
        "state": embargo.state.value,
        "at": at.isoformat() if at else None,
        "zone": zone,
        "text": embargo.text,
        "doubts": list(embargo.doubts),
    }


def _contact(contact: PressContact) -> Json:
    return {
        "name": contact.name,
        "organisation": contact.organisation,
        "phone": contact.phone,
        "phone_e164": contact.phone_e164,
        "email": contact.email,
        "role": contact.role,
    }


def _boilerplate(item: Boilerplate) -> Json:
    return {"organisation": item.organisation, "text": item.text}


def _finding(finding: Finding) -> Json:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "line": finding.line,
    }

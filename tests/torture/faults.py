"""Every fault of the far end of the wire: at which step, what is said and done, who keeps the mail.

One transaction meets at most one fault, one connection at most one while it is set up. What is
done is a row of acts: bytes, a wait, a close or a reset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.mail.scripted import CUT, Cut, Wait

if TYPE_CHECKING:
    from tests.mail.scripted import Step

RESET: Final = Cut(reset=True)
SILENCE: Final = Wait(100_000.0)
_FLOOD: Final = b"".join(b"250-" + b"x" * 990 + b"\r\n" for _ in range(40))


@dataclass(frozen=True)
class Fault:
    """``keeps``: whether the mail is in the receiver's hands; None: that is tossed for.

    ``then``: what is done after the answer (the step itself goes on as if nothing had been).
    ``big``: only a mail too long for the socket buffers can meet it.
    """

    name: str
    step: str
    does: Step
    keeps: bool | None = False
    big: bool = False


def _slowly(line: bytes, pause_s: float) -> Step:
    return tuple(act for octet in line for act in (bytes([octet]), Wait(pause_s)))


#: While a connection is set up.
SETTING_UP: Final = (
    Fault("banner 421", "banner", (b"421 4.3.2 too busy\r\n", CUT)),
    Fault("banner 554", "banner", (b"554 5.3.2 no service here\r\n", CUT)),
    Fault("banner garbage", "banner", b"\0\xff rubbish\r\n"),
    Fault("banner silence", "banner", SILENCE),
    Fault("banner cut", "banner", CUT),
    Fault("banner reset", "banner", RESET),
    Fault("banner slow drip", "banner", _slowly(b"220 slow ESMTP\r\n", 0.05)),
    Fault("EHLO 421", "ehlo", (b"421 4.3.2 closing\r\n", CUT)),
    Fault("EHLO garbage", "ehlo", b"hello yourself\r\n"),
    Fault("EHLO cut", "ehlo", CUT),
    Fault("EHLO silence", "ehlo", SILENCE),
    Fault("EHLO flood", "ehlo", (_FLOOD, CUT)),
)

#: While a connection is secured and logged in. The last two are for a person to see to.
SECURING: Final = (
    Fault("STARTTLS 454", "starttls", (b"454 4.7.0 TLS not available\r\n", CUT)),
    Fault("STARTTLS cut", "starttls", CUT),
    Fault("AUTH 454", "auth", (b"454 4.7.0 try later\r\n", CUT)),
    Fault("AUTH cut", "auth", CUT),
    Fault("AUTH silence", "auth", SILENCE),
    Fault("STARTTLS stripped", "offer", b""),
    Fault("AUTH 535", "auth", b"535 5.7.8 wrong password\r\n"),
)

#: What only a person can put right; once in a run, for each stops a relay.
PERSONAL: Final = frozenset({"STARTTLS stripped", "AUTH 535"})

_REFUSING: Final = tuple(
    Fault(f"{step.upper()} {line.split(b' ')[0].decode()}", step, line + b"\r\n")
    for step, line in (
        ("mail", b"451 4.3.0 not now"),
        ("mail", b"452 4.3.1 no room"),
        ("mail", b"454 4.7.0 not now"),
        ("mail", b"550 5.7.1 sender not yours"),
        ("rcpt", b"450 4.2.0 greylisted"),
        ("rcpt", b"452 4.5.3 too many"),
        ("rcpt", b"550 5.7.1 not wanted"),
        ("rcpt", b"552 5.2.2 mailbox full"),
        ("data", b"451 4.3.0 not now"),
        ("data", b"554 5.5.1 no"),
        ("dot", b"450 4.2.0 later"),
        ("dot", b"451 4.3.0 later"),
        ("dot", b"452 4.3.1 no room"),
        ("dot", b"550 5.7.1 content not wanted"),
        ("dot", b"554 5.6.0 content refused"),
    )
)
_CLOSING: Final = tuple(
    Fault(f"{step.upper()} 421", step, (b"421 4.3.2 closing\r\n", CUT))
    for step in ("mail", "rcpt", "data", "body", "dot")
)
_LEAVING: Final = tuple(
    Fault(f"{step.upper()} {word}", step, does, keeps=None if step == "dot" else False)
    for step in ("mail", "rcpt", "data", "body", "dot")
    for word, does in (("cut", CUT), ("reset", RESET), ("silence", SILENCE))
)
_ODD: Final = tuple(
    Fault(f"{step.upper()} {word}", step, does, keeps=None if step == "dot" else False)
    for step in ("mail", "rcpt", "data", "dot")
    for word, does in (
        ("1xx", b"150 wait\r\n"),
        ("3xx", b"354 go ahead\r\n" if step != "data" else b"334 go ahead\r\n"),
        ("garbage", b"what?\r\n"),
        ("999", b"999 high\r\n"),
        ("partial line", (b"250 2.0", CUT)),
        ("flood", (_FLOOD, CUT)),
    )
)
_KEEPING: Final = (
    Fault("DOT 200", "dot", b"200 fine\r\n", keeps=True),
    Fault("DOT 252", "dot", b"252 2.0.0 will try\r\n", keeps=True),
    Fault("DOT 250 of many lines", "dot", b"250-2.0.0 kept\r\n250-it\r\n250 all\r\n", keeps=True),
    Fault("DOT 250, then a line more", "dot", b"250 2.0.0 ok\r\n250 2.0.0 ok\r\n", keeps=True),
    Fault("DOT 250 with NUL", "dot", b"250 2.0.0 o\0k\r\n", keeps=True),
    Fault("DOT 250, then cut", "dot", (b"250 2.0.0 ok\r\n", CUT), keeps=True),
    Fault("DOT 250, then reset", "dot", (b"250 2.0.0 ok\r\n", Wait(0.01), RESET), keeps=True),
    Fault("DOT 250, then 421", "dot", (b"250 2.0.0 ok\r\n421 4.4.2 bye\r\n", CUT), keeps=True),
    Fault("DOT 250 by slow drip", "dot", _slowly(b"250 2.0.0 ok\r\n", 0.3), keeps=True),
    Fault("DOT 250 after 65 s", "dot", (Wait(65.0), b"250 2.0.0 at last\r\n"), keeps=True),
    Fault("DOT 250 after the client gave up", "dot", (Wait(150.0), b"250 ok\r\n"), keeps=True),
    Fault("DATA 354 late", "data", (Wait(4.0), b"354 go\r\n")),
    Fault("RCPT 250 late", "rcpt", (Wait(3.0), b"250 2.1.5 ok\r\n")),
    Fault("DATA 250 for 354", "data", b"250 2.0.0 ok\r\n"),
    Fault("RCPT refused, DATA 354", "careless", b"550 5.1.1 nobody\r\n"),
    Fault("BODY early 552", "body", b"552 5.3.4 too big\r\n"),
    Fault("BODY early 451", "body", b"451 4.3.0 stop\r\n"),
    Fault("BODY mid-way cut", "middle", CUT, big=True),
    Fault("BODY mid-way reset", "middle", RESET, big=True),
    Fault("BODY mid-way 552", "middle", (b"552 5.3.4 too big\r\n", CUT), big=True),
    Fault("BODY mid-way stall", "middle", SILENCE, big=True),
    Fault("RSET late", "rset", (Wait(5.0), b"250 2.0.0 ok\r\n")),
    Fault("RSET cut", "rset", CUT),
    Fault("RSET 421", "rset", (b"421 4.3.2 closing\r\n", CUT)),
    Fault("421 unasked, between two mails", "idle", (b"421 4.4.2 idle\r\n", CUT)),
    Fault("cut between two mails", "idle", CUT),
)

#: While a mail is handed over.
SENDING: Final = (*_REFUSING, *_CLOSING, *_LEAVING, *_ODD, *_KEEPING)
BY_NAME: Final = {fault.name: fault for fault in (*SETTING_UP, *SECURING, *SENDING)}

"""What happens in one simulated run: all of it follows from the profile and the seed.

A profile is a kind of trouble. Each has something that one guard alone keeps from doing harm, so
that a run of it must fail once that guard is switched off.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.torture import faults
from tests.torture.receiver import Rates
from tests.torture.world import LIFT_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_DAY_S: Final = 86_400.0
#: How far a clock is set, by the name of the fault.
CLOCK_STEPS: Final = {
    "clock 1 s forward": (1.0, 1.9),
    "clock 1 s back": (-1.9, -1.0),
    "clock minutes to a day forward": (90.0, _DAY_S),
    "clock minutes to a day back": (-_DAY_S, -90.0),
    "clock a year forward": (365 * _DAY_S, 365 * _DAY_S),
    "clock a year back": (-365 * _DAY_S, -365 * _DAY_S),
}


@dataclass(frozen=True, order=True)
class Happening:
    """What the nemesis or a person does ``at_s`` after the beginning, for ``lasts_s``."""

    at_s: float
    what: str
    lasts_s: float = 0.0
    worker: int = 0
    value: float = 0.0


_CALM: Final = Rates()


@dataclass(frozen=True)
class Scenario:
    """One run."""

    profile: str
    seed: int
    rooms: dict[str, int]
    workers: int = 2
    connections: int = 2
    batch_size: int = 5
    lease_s: int = 12
    pipelining: bool = True
    tls: bool = False
    policy: str = "hold"
    rates: Rates = _CALM
    only: tuple[str, ...] | None = None
    dot_takes_s: float = 0.0
    happenings: tuple[Happening, ...] = ()
    calm_at_s: float = 60.0
    #: Shares of the writes, looks and notes of a worker that go wrong, until the calm.
    writes_fail: float = 0.0
    answers_lost: float = 0.0
    notes_fail: float = 0.0
    stale_claims: float = 0.0
    spoiled: float = 0.0

    @property
    def key(self) -> str:
        return f"{self.profile}/{self.seed}"

    @property
    def dice(self) -> random.Random:
        return random.Random(self.key)  # noqa: S311 - not secret


@dataclass
class _Draft:
    dice: random.Random
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    happenings: list[Happening] = field(default_factory=list[Happening])

    def when(
        self, what: str, begin_s: float, end_s: float, *, lasts: Any = None, **more: Any
    ) -> None:
        at_s = self.dice.uniform(begin_s, end_s)
        lasts_s = self.dice.uniform(*lasts) if lasts else 0.0
        self.happenings.append(Happening(at_s, what, lasts_s, **more))

    def maybe(self, chance: float, what: str, begin_s: float, end_s: float, **more: Any) -> None:
        if self.dice.random() < chance:
            self.when(what, begin_s, end_s, **more)


def _shape(draft: _Draft, rooms: Sequence[str] = ("morning", "evening")) -> None:
    """How big, how many, how fast: what every profile draws."""
    dice = draft.dice
    draft.values |= {
        "rooms": {room: dice.choice((6, 12, 24)) for room in rooms},
        "connections": dice.choice((1, 2, 3)),
        "batch_size": dice.choice((3, 5, 10)),
        "pipelining": dice.random() < 0.5,
        "policy": "resend" if dice.random() < 0.3 else "hold",
    }


def _replies(draft: _Draft) -> None:
    """A server that answers and does all it can think of."""
    _shape(draft)
    draft.values |= {
        "rooms": {"morning": 48, "evening": 48},
        "batch_size": draft.dice.choice((5, 20)),
        "connections": 6,
        "calm_at_s": 240.0,
        "rates": Rates(setting_up=0.2, sending=0.6),
        "tls": draft.dice.random() < 0.15,
    }
    draft.maybe(0.7, "server away", 5, 50, lasts=(1, 20))


def _digits(draft: _Draft) -> None:
    """A server with its own ideas of what to say after the dot."""
    _shape(draft)
    only = ("DOT 200", "DOT 252", "DOT 250 of many lines", "DOT 1xx", "DOT 3xx", "DOT 999")
    draft.values |= {"rates": Rates(sending=0.4), "only": only}


def _connections(draft: _Draft) -> None:
    """A server that can hardly be talked to."""
    _shape(draft)
    draft.values |= {
        "rates": Rates(setting_up=0.6, sending=0.15),
        "only": (
            *(fault.name for fault in faults.SETTING_UP),
            "MAIL cut",
            "421 unasked, between two mails",
        ),
    }


def _logins(draft: _Draft) -> None:
    """The same while it is made secure and logged in to."""
    _shape(draft)
    draft.values |= {
        "tls": True,
        "rates": Rates(setting_up=0.7, sending=0.2),
        "only": (*(fault.name for fault in faults.SECURING), "MAIL cut", "RCPT cut"),
    }


def _long(draft: _Draft) -> None:
    """Mails too long for the socket buffers, cut, stalled and refused half-way."""
    _shape(draft, ("long",))
    draft.values |= {
        "rooms": {"long": 12},
        "rates": Rates(sending=0.6),
        "only": tuple(fault.name for fault in faults.SENDING if fault.step in {"middle", "body"}),
    }


def _holds(draft: _Draft) -> None:
    """People who hold, resume, cancel and object at any instant, and a server that dawdles."""
    _shape(draft)
    late = (
        *["DATA 354 late"] * 2,
        *["RSET late"] * 4,
        "RCPT 250 late",
        "RCPT 450",
        "DOT 250 by slow drip",
    )
    draft.values |= {
        "rates": Rates(sending=0.7),
        "only": late,
        "connections": draft.dice.choice((2, 3)),
        "policy": "hold",
    }
    for begin_s in (1, 6, 30, 36, 44):
        draft.when("hold", begin_s, begin_s + 6, lasts=(3, 7))
    draft.maybe(0.5, "cancel", 20, 60)
    draft.maybe(0.8, "embargo moved", 3, LIFT_S - 8)
    for _ in range(3):
        draft.maybe(0.6, "objection", 2, 50)
    draft.maybe(0.3, "worker cut off from the database", 5, 50, lasts=(2, 6))


def _clocks(draft: _Draft) -> None:
    """A clock that is set to and fro, before and after the lift."""
    _shape(draft, ("morning",))
    draft.values |= {"rates": Rates(sending=0.2), "connections": 1, "dot_takes_s": 0.7}
    names = draft.dice.sample(sorted(CLOCK_STEPS), 3)
    for at_s, name in zip((2.0, 18.0, 34.0), names, strict=True):
        # Put right within the minute: nobody could tell a clock that is wrong for good from one
        # that was put right (design I2, one machine with SQLite).
        begin_s = draft.dice.uniform(at_s, at_s + 5)
        value = draft.dice.uniform(*CLOCK_STEPS[name])
        draft.happenings.append(Happening(begin_s, name, draft.dice.uniform(2, 9), value=value))


def _claims(draft: _Draft) -> None:
    """Two workers that see the same batch free, and die."""
    _shape(draft)
    draft.values |= {"stale_claims": 0.5, "dot_takes_s": 0.4, "rates": Rates(sending=0.1)}
    for worker in (0, 1):
        draft.when("worker killed", 1, 8, worker=worker)
        draft.maybe(0.7, "worker killed", 31, 38, worker=worker)


def _zombies(draft: _Draft) -> None:
    """Workers that sleep past their lease while others go on, then wake with old news."""
    _shape(draft)
    draft.values |= {
        "policy": "resend",
        "dot_takes_s": draft.dice.choice((3.0, 6.0)),
        "lease_s": 8,
        "rates": Rates(sending=0.5),
        "only": ("DOT 451", "DOT 450", "DOT 550", "DOT 250 by slow drip", "DOT 252"),
        "rooms": {"morning": 6, "evening": draft.dice.choice((6, 12))},
    }
    for at_s in (2, 33):
        worker = draft.dice.choice((0, 1))
        what = draft.dice.choice(("worker frozen", "worker cut off from the database"))
        draft.when(what, at_s, at_s + 6, lasts=(12, 26), worker=worker)


def _kills(draft: _Draft) -> None:
    """Workers killed again and again, in the middle of everything."""
    _shape(draft)
    draft.values |= {"dot_takes_s": 0.3, "rates": Rates(sending=0.1, setting_up=0.1)}
    for _ in range(5):
        draft.when("worker killed", 0.2, 10, worker=draft.dice.choice((0, 1)))
        draft.when("worker killed", LIFT_S, LIFT_S + 10, worker=draft.dice.choice((0, 1)))
    draft.maybe(0.6, "worker ended", 1, 45, worker=draft.dice.choice((0, 1)))


def _disks(draft: _Draft) -> None:
    """Disks that are full, a database that is away, answers of it that get lost."""
    _shape(draft)
    draft.values |= {
        "writes_fail": 0.06,
        "answers_lost": 0.03,
        "notes_fail": 0.03,
        "dot_takes_s": 0.1,
        "rates": Rates(sending=0.15),
    }
    draft.maybe(0.7, "database away", 1, 45, lasts=(1, 25))
    draft.maybe(0.7, "database full", 1, 45, lasts=(1, 15))
    draft.maybe(0.7, "flight log full", 1, 45, lasts=(1, 15))
    draft.maybe(0.5, "worker killed", 1, 45)


def _audience(draft: _Draft) -> None:
    """Lists, addresses and objections that change after the audience was sealed."""
    _shape(draft)
    draft.values |= {"dot_takes_s": 0.3, "rates": Rates(sending=0.1)}
    for what in ("somebody joins", "somebody moves", "somebody leaves", "objection"):
        draft.when(what, 2, 25)
        draft.when(what, 2, 40)
    draft.maybe(0.5, "worker killed", 1, 40)


def _bytes(draft: _Draft) -> None:
    """A merge that goes wrong now and then."""
    _shape(draft)
    draft.values |= {"spoiled": 0.2, "rates": Rates(sending=0.1)}


def _everything(draft: _Draft) -> None:
    """All of it at once, a little of each."""
    _shape(draft)
    draft.values |= {
        "rates": Rates(setting_up=0.1, sending=0.25),
        "writes_fail": 0.01,
        "answers_lost": 0.01,
        "notes_fail": 0.01,
        "stale_claims": 0.1,
        "spoiled": 0.02,
        "dot_takes_s": draft.dice.choice((0.0, 0.2, 1.0)),
        "lease_s": draft.dice.choice((8, 12, 60)),
    }
    for what, chance, lasts in (
        ("hold", 0.5, (2, 12)),
        ("objection", 0.5, None),
        ("worker killed", 0.6, None),
        ("worker frozen", 0.3, (2, 20)),
        ("worker cut off from the database", 0.3, (2, 20)),
        ("database away", 0.2, (1, 10)),
        ("flight log full", 0.2, (1, 10)),
        ("server away", 0.2, (1, 10)),
        ("worker ended", 0.2, None),
        ("a person settles", 0.4, None),
        ("somebody moves", 0.3, None),
    ):
        draft.maybe(chance, what, 1, 60, lasts=lasts, worker=draft.dice.choice((0, 1)))
    draft.maybe(0.1, "cancel", 5, 60)


def _alone(draft: _Draft, name: str) -> None:
    """One fault of the server, again and again."""
    big = faults.BY_NAME[name].big
    _shape(draft, ("long",) if big else ("evening",))
    draft.values |= {
        "rooms": {"long": 12} if big else {"evening": 48},
        "connections": 6,
        "tls": faults.BY_NAME[name] in faults.SECURING,
        "rates": Rates(setting_up=0.5, sending=0.4),
        # So that a connection is opened more than once.
        "only": (name, "MAIL cut"),
    }


_PROFILES: Final[dict[str, Callable[[_Draft], None]]] = {
    "replies": _replies,
    "digits": _digits,
    "connections": _connections,
    "logins": _logins,
    "holds": _holds,
    "clocks": _clocks,
    "claims": _claims,
    "zombies": _zombies,
    "kills": _kills,
    "disks": _disks,
    "audience": _audience,
    "bytes": _bytes,
    "long": _long,
    "everything": _everything,
}
PROFILES: Final = tuple(_PROFILES)


def scenario(profile: str, seed: int) -> Scenario:
    """The run of that profile and seed; a profile may be one fault of the server alone."""
    draft = _Draft(random.Random(f"scenario/{profile}/{seed}"))  # noqa: S311 - not secret
    if profile in faults.BY_NAME:
        _alone(draft, profile)
    else:
        _PROFILES[profile](draft)
    happenings = tuple(sorted(draft.happenings))
    return Scenario(profile, seed, happenings=happenings, **draft.values)

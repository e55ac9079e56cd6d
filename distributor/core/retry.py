"""When a delivery is tried again, or that it is not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from distributor.core.model import Outcome
from distributor.core.states import DeliveryState


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait, in seconds.

    ``steps_s``: after the first, second … deferral; the last step repeats. The first is shorter
    than the half hour of RFC 5321 4.5.4.1 on purpose: greylisting passes within minutes, and
    news grows old (practice, statement 23). ``uncertain``: ``hold`` leaves an uncertain mail to
    a person; ``resend`` sends it once more after ``resend_after_s`` (I5).
    """

    steps_s: tuple[float, ...] = (300.0, 900.0, 1800.0, 3600.0)
    uncertain: Literal["hold", "resend"] = "hold"
    resend_after_s: float = 900.0

    def __post_init__(self) -> None:
        """Refuse a policy that would hammer the relay."""
        if not self.steps_s or min(self.steps_s) <= 0 or self.resend_after_s <= 0:
            msg = "every wait before a retry is longer than nothing"
            raise ValueError(msg)


DEFAULT_POLICY = RetryPolicy()


def next_try(
    outcome: Outcome,
    attempts: int,
    *,
    now: datetime,
    deadline: datetime,
    policy: RetryPolicy = DEFAULT_POLICY,
    uncertain_attempts: int = 1,
) -> datetime | None:
    """Return the instant of the next try, or None to stop.

    For a deferral None means that the delivery expires: the try would not fall before the
    wave's ``deadline``. ``attempts`` and ``uncertain_attempts`` count those made so far, the
    one that came to ``outcome`` included. What was not sent has not used up anything and may
    go at once. ``now`` and ``deadline`` are in UTC.

    Raises:
        ValueError: an instant that is not in UTC, or no attempt at all.

    """
    if now.tzinfo is not UTC or deadline.tzinfo is not UTC:
        msg = "instants are compared in UTC only"
        raise ValueError(msg)
    if attempts < 1:
        msg = "an outcome has at least one attempt"
        raise ValueError(msg)
    wait_s = _wait_s(outcome, attempts, policy, uncertain_attempts)
    if wait_s is None:
        return None
    at = now + timedelta(seconds=wait_s)
    return at if at < deadline else None


_STATES: Final = {
    Outcome.ACCEPTED: DeliveryState.ACCEPTED,
    Outcome.REFUSED: DeliveryState.REFUSED,
    Outcome.UNCERTAIN: DeliveryState.UNCERTAIN,
    Outcome.NOT_SENT: DeliveryState.QUEUED,
}


def outcome_state(
    outcome: Outcome,
    *,
    attempts: int,
    now: datetime,
    deadline: datetime,
    retry: RetryPolicy = DEFAULT_POLICY,
) -> tuple[DeliveryState, datetime | None]:
    """Return the state a delivery takes after ``outcome``, and when it is due again.

    A deferral whose next try would not fall before the deadline is an expiry. ``attempts``
    counts this one.
    """
    if outcome is not Outcome.DEFERRED:
        return _STATES[outcome], None
    due_at = next_try(outcome, attempts, now=now, deadline=deadline, policy=retry)
    return (DeliveryState.DEFERRED if due_at else DeliveryState.EXPIRED), due_at


def _wait_s(
    outcome: Outcome,
    attempts: int,
    policy: RetryPolicy,
    uncertain_attempts: int,
) -> float | None:
    match outcome:
        case Outcome.DEFERRED:
            return policy.steps_s[min(attempts, len(policy.steps_s)) - 1]
        case Outcome.NOT_SENT:
            return 0.0
        case Outcome.UNCERTAIN:
            once_more = policy.uncertain == "resend" and uncertain_attempts == 1
            return policy.resend_after_s if once_more else None
        case Outcome.ACCEPTED | Outcome.REFUSED:
            return None

"""How patiently and how early we work: the policy that stages get as an argument."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from distributor.core.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class SendingPolicy:
    """Durations in seconds; ``batch_size`` in deliveries (at most 200)."""

    prepare_before_s: float = 900.0
    warm_before_s: float = 30.0
    lateness_limit_s: float = 3600.0
    deadline_s: float = 86400.0
    lease_s: float = 60.0
    batch_size: int = 200
    retry: RetryPolicy = field(default_factory=RetryPolicy)

    def deadline(self, send_at: datetime, *, first_mail_at: datetime | None = None) -> datetime:
        """When a wave of that send time stops trying: news has grown old (statement 24).

        A wave that a person let begin late counts from its first mail.
        """
        return max(send_at, first_mail_at or send_at) + timedelta(seconds=self.deadline_s)

    def is_late(self, send_at: datetime, now: datetime) -> bool:
        """Whether a first mail now would surprise people: then a person decides (I11)."""
        return now > send_at + timedelta(seconds=self.lateness_limit_s)

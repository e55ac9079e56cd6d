"""The composition root: settings become a database, a clock, a desk and its answers.

Invariant: the only place that wires.
"""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distributor.clock import GuardedClock, host_id
from distributor.core.limits import DomainLimits, Limits
from distributor.core.model import Sender
from distributor.core.policy import SendingPolicy
from distributor.core.retry import RetryPolicy
from distributor.core.returnpath import ReturnPath
from distributor.core.share import WHOLE, Share
from distributor.core.size import SizeLimit
from distributor.desk.contacts import Contacts
from distributor.desk.lists import Lists
from distributor.desk.releases import Releases
from distributor.desk.sequels import Sequels
from distributor.desk.suppressions import Suppressions
from distributor.desk.trials import Trials
from distributor.desk.waves import Waves
from distributor.errors import ConfigError
from distributor.installation import Installation
from distributor.mail.inquiry import Inquiry, Record
from distributor.mail.look import Logo, Look, fonts
from distributor.mail.relay import Relay, RelayPolicy
from distributor.mail.relays import Relays
from distributor.mail.stationery import Stationery
from distributor.mail.transaction import Timeouts
from distributor.reconcile import Reconcile
from distributor.review import Review
from distributor.shipped import shipped
from distributor.store.database import open_database, upgrade

if TYPE_CHECKING:
    from distributor.mail.signing import Signing
    from distributor.settings import RelaySettings, Settings
    from distributor.store.database import Database


@dataclass(frozen=True, slots=True)
class App:
    """Everything wired; :meth:`close` lets go of the database."""

    settings: Settings
    database: Database
    clock: GuardedClock
    operator: str
    installation: Installation
    contacts: Contacts
    lists: Lists
    suppressions: Suppressions
    releases: Releases
    sequels: Sequels
    waves: Waves
    trials: Trials
    reconcile: Reconcile
    review: Review

    def close(self) -> None:
        """Finish writing and let go of the database."""
        self.database.close()

    def sender(self, *, name: str | None = None, reply_to: str | None = None) -> Sender:
        """Who a release comes from unless it says otherwise.

        Raises:
            ConfigError: No sender address is configured.

        """
        settings = self.settings
        if not settings.sender.address:
            msg = "sender.address is not set: mail needs somebody to come from."
            raise ConfigError(msg, remedy="Set it under [sender] in config.toml.")
        return Sender(
            name=name or settings.from_name,
            address=settings.sender.address,
            reply_to=reply_to or settings.sender.reply_to or None,
            organisation=settings.desk.organisation,
        )


def open_app(settings: Settings) -> App:
    """Wire everything to the settings' database.

    Raises:
        StoreError: It cannot be used.

    """
    database = open_database(
        settings.database.url,
        busy_timeout_s=settings.database.busy_timeout_s,
    )
    templates = stationery_of(settings)
    installation = Installation(database, settings.worker.state_dir, host=host_id())
    clock, policy = GuardedClock(), sending_policy(settings)
    reconcile = reconcile_of(settings, database, clock, policy)
    return App(
        settings=settings,
        database=database,
        clock=clock,
        operator=_operator(),
        installation=installation,
        contacts=Contacts(database),
        lists=Lists(database),
        suppressions=Suppressions(database),
        releases=Releases(
            database,
            templates,
            size_limit=SizeLimit(int(settings.sending.message_max_mb * 1_000_000)),
            relays=[relay.name for relay in settings.relays],
        ),
        sequels=Sequels(database, templates, settings.desk.zone),
        waves=Waves(database, installation, policy, reconcile),
        trials=Trials(database, installation, templates, settings.desk.test_addresses),
        reconcile=reconcile,
        review=Review(
            database,
            templates,
            {relay.name: limits_of(relay) for relay in settings.relays},
        ),
    )


def stationery_of(settings: Settings) -> Stationery:
    """The shipped templates, with those of the desk's own folder in their place."""
    return Stationery(shipped("templates"), settings.templates.folder, look=look_of(settings))


def look_of(settings: Settings) -> Look:
    """The house look, from the settings."""
    look = settings.look
    return Look(
        light=look.light,
        dark=look.dark,
        font=fonts(look.font),
        plain_font=fonts(look.plain_font),
        logo=Logo(look.logo, look.logo_alt, look.logo_width) if look.logo else None,
        footer=tuple(look.footer.items()),
    )


def _operator() -> str:
    """Who gives orders on this command line: the login name, for the audit."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def sending_policy(settings: Settings) -> SendingPolicy:
    """How early and how patiently, from the settings."""
    sending = settings.sending
    return SendingPolicy(
        prepare_before_s=sending.prepare_before_s,
        warm_before_s=sending.warm_before_s,
        lateness_limit_s=sending.lateness_limit_s,
        deadline_s=sending.deadline_s,
        lease_s=settings.worker.lease_s,
        batch_size=sending.batch_size,
        retry=RetryPolicy(
            steps_s=sending.retry_after_s,
            uncertain=sending.uncertain,
            resend_after_s=sending.uncertain_resend_after_s,
        ),
    )


def reconcile_of(
    settings: Settings,
    database: Database,
    clock: GuardedClock,
    policy: SendingPolicy,
) -> Reconcile:
    """Who asks the mail servers' own records, where a command for that is configured."""
    inquiries = [
        Inquiry(Record(relay.name, relay.reconcile, relay.reconcile_timeout_s), clock.monotonic)
        for relay in settings.relays
        if relay.reconcile
    ]
    names = [relay.name for relay in settings.relays]
    return Reconcile(database, inquiries, policy, relays=names)


def signing_of(settings: Settings) -> Signing | None:
    """What mail is signed with; None when no key is configured.

    Raises:
        ConfigError: A key cannot be used, or its domain is none that may sign for the sender.

    """
    dkim, sender = settings.dkim, settings.sender.address.rpartition("@")[2].lower()
    domain = dkim.domain or sender
    files = ((dkim.selector, dkim.key_file), (dkim.second_selector, dkim.second_key_file))
    if dkim.key_file is None:
        return None
    from distributor.mail.signing import Signing, read_key  # noqa: PLC0415 - eight MB to load

    if f".{sender}".endswith(f".{domain}"):
        return Signing(
            [
                read_key(path, domain=domain, selector=selector)
                for selector, path in files
                if path is not None
            ]
        )
    # DMARC (RFC 7489 3.1.1) counts a signature only when its domain fits that of From.
    msg = f"dkim.domain: {domain} does not fit the sender's domain {sender}: receivers would not "
    raise ConfigError(msg + "count the signature.", remedy="Leave dkim.domain out.")


def share_of(settings: Settings, processes: int, *, index: int = 0) -> Share:
    """Number ``index`` of so many worker processes.

    Raises:
        ConfigError: There are too few connections to some relay for each to have one.

    """
    least = min(settings.relays, key=lambda relay: relay.connections)
    connections = least.connections
    if processes > connections:
        msg = f"{processes} worker processes cannot share {connections} connection"
        msg += f"{'s' * (connections > 1)} of {least.name} (relay.connections): each needs one."
        remedy = "Start fewer, or raise relay.connections if the mail server allows more."
        raise ConfigError(msg, remedy=remedy)
    return Share(index, processes)


def upgrade_database(settings: Settings) -> None:
    """Make the tables of the settings' database, or bring them to this version.

    Raises:
        StoreError: It cannot be reached, or is newer than this program.

    """
    upgrade(settings.database.url, busy_timeout_s=settings.database.busy_timeout_s)


def relays_of(settings: Settings, share: Share = WHOLE, *, key: bytes | None = None) -> Relays:
    """The mail servers of the settings in order, with this process's share of each.

    Nothing is opened yet. Without ``key`` no return path is signed.
    """
    return Relays([_relay(relay, share, key) for relay in settings.relays])


def _relay(relay: RelaySettings, share: Share, key: bytes | None) -> Relay:
    policy = RelayPolicy(
        name=relay.name,
        host=relay.host,
        port=relay.port,
        security=relay.security,
        username=relay.username,
        password=relay.password,
        ca_file=relay.ca_file,
        hello_name=relay.hello_name,
        connections=share.part(relay.connections),
        limits=limits_of(relay),
        return_path=ReturnPath(relay.return_path, key if relay.verp == "signed" else None),
        timeouts=Timeouts(
            connect_s=relay.connect_timeout_s,
            command_s=relay.command_timeout_s,
            data_s=relay.data_timeout_s,
            block_s=relay.block_timeout_s,
            after_dot_s=relay.after_dot_timeout_s,
        ),
    )
    return Relay(policy)


def limits_of(relay: RelaySettings) -> Limits:
    """What a mail server lets us send, from the settings."""
    domains = {
        name: DomainLimits(domain.connections, domain.per_minute)
        for name, domain in relay.domains.items()
    }
    return Limits(relay.per_second, relay.per_minute, relay.per_day, domains)

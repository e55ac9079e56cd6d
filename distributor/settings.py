"""Everything that can be set: the sections, their keys, units, defaults and bounds.

Invariant: these values are frozen and show no secret by ``repr`` or ``str``; only
``distributor.config`` makes them.
"""

from __future__ import annotations

import ipaddress
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from distributor.fields import Line
from distributor.fields import Section as _Section
from distributor.fields import wrong as _wrong
from distributor.looks import LookSettings

#: ``DISTRIBUTOR_RELAY__HOST`` in the environment is ``relay.host`` in the file.
PREFIX = "DISTRIBUTOR_"
#: How long a return path's own name may be, so that reference and code fit behind it.
SIGNED_LOCAL_MAX = 22
_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+"
)
_SELECTOR = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


def is_loopback(host: str) -> bool:
    """Whether ``host`` (a name or an address, IPv6 with or without brackets) is this machine."""
    if host.lower().rstrip(".") in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _address(value: str) -> str:
    local, at, domain = value.rpartition("@")
    plain = value.isascii() and not any(c.isspace() or c in "<>,;" for c in value)
    if value and not (at and local and domain and plain):
        raise _wrong("is not one plain ASCII address such as press@example.org")
    return value


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _number(value: object) -> object:
    """Refuse true and false, which Python counts as numbers."""
    if isinstance(value, bool):
        raise _wrong("must be a whole number")
    return value


def _addresses(value: object) -> object:
    if isinstance(value, str):
        raise _wrong('must be a list of addresses such as ["you@example.org"]')
    return value


def _words(value: object) -> object:
    if isinstance(value, str):
        raise _wrong('must be a list of words such as ["/usr/local/bin/ask", "--quick"]')
    return value


Address = Annotated[Line, AfterValidator(_address)]
OptionalPath = Annotated[Path | None, BeforeValidator(_none_if_empty)]
Seconds = Annotated[float, Field(gt=0)]
#: A limit as a whole number; 0 is no limit.
Limit = Annotated[int, BeforeValidator(_number), Field(ge=0)]
Addresses = Annotated[tuple[Address, ...], BeforeValidator(_addresses)]
#: A command as the words it is made of: no shell reads it.
Words = Annotated[tuple[Line, ...], BeforeValidator(_words)]


class Desk(_Section):
    """Who we are, where our clock on the wall hangs, what language we write."""

    organisation: Line = Field(default="Press Office", description="Name of the press office.")
    zone: str = Field(default="Europe/London", description="IANA time zone of the desk.")
    language: str = Field(
        default="en",
        pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
        description="Language of releases that do not state one, as a tag such as en or de-AT.",
    )
    test_addresses: Addresses = Field(
        default=(), description="The only addresses that test mails may go to."
    )

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as error:
            near = get_close_matches(value, sorted(available_timezones()), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            what = f"is not an IANA time zone{hint}"
            raise _wrong(what) from error
        return value


class SenderSettings(_Section):
    """Who the mail comes from, unless a release says otherwise."""

    name: Line = Field(default="", description="Name shown as From; empty = desk.organisation.")
    address: Address = Field(
        default="", description="Address shown as From; needed before anything leaves."
    )
    reply_to: Address = Field(default="", description="Where replies go; empty = sender.address.")


class DatabaseSettings(_Section):
    """Where everything is kept."""

    url: Line = Field(
        default="sqlite:///distributor.db",
        description="sqlite:///FILE, or postgresql://USER@HOST/NAME.",
    )
    busy_timeout_s: Seconds = Field(
        default=10.0, description="Seconds to wait while another process holds the database."
    )

    @field_validator("url")
    @classmethod
    def _usable(cls, value: str) -> str:
        scheme, _, rest = value.partition("://")
        if scheme not in {"sqlite", "postgresql", "postgresql+psycopg"}:
            raise _wrong("is neither a sqlite:/// nor a postgresql:// URL")
        if scheme == "sqlite" and rest.split("?")[0] in {"", "/", "/:memory:"}:
            raise _wrong("names no file; a database in memory would forget every delivery")
        return value

    @property
    def holds_password(self) -> bool:
        """Whether the URL carries a password, which makes it a secret."""
        return urlsplit(self.url).password is not None

    @property
    def shown_url(self) -> str:
        """The URL for people: its password, if any, is masked."""
        parts = urlsplit(self.url)
        if parts.password is None:
            return self.url
        user, _, place = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:***@{place}"))

    def __repr_args__(self) -> list[tuple[str | None, object]]:
        """Show the masked URL."""
        return [("url", self.shown_url), ("busy_timeout_s", self.busy_timeout_s)]


class DomainSettings(_Section):
    """What a mail server lets us send to one recipient domain; 0 is no limit."""

    connections: Limit = 0
    per_minute: Limit = 0


class RelaySettings(_Section):
    """A mail server we submit to. Several stand in order of preference."""

    name: Line = Field(
        default="relay", min_length=1, description="What the log calls this mail server."
    )
    host: Line = Field(default="localhost", min_length=1, description="Host name or address.")
    port: int = Field(
        default=587, ge=1, le=65535, description="Port: 587 (starttls), 465 (tls), 25."
    )
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="starttls, tls from the first byte, or none (loopback only).",
    )
    username: Line = Field(default="", description="Login name; empty = no login.")
    password: SecretStr = Field(
        default=SecretStr(""),
        description="Password; better DISTRIBUTOR_RELAY__PASSWORD or relay.password_file.",
    )
    password_file: OptionalPath = Field(
        default=None, description="File that holds the password alone, readable by its owner only."
    )
    ca_file: OptionalPath = Field(
        default=None, description="Certificates to trust (PEM); empty = those of the system."
    )
    hello_name: Line = Field(
        default="", description="Name we greet with; empty = this machine's name."
    )
    return_path: Address = Field(
        default="", description="Where undeliverable mail returns to; empty = sender.address."
    )
    verp: Literal["signed", "fixed"] = Field(
        default="signed",
        description="signed: each mail returns to an address of its own; fixed: all to the same.",
    )
    connections: Annotated[int, BeforeValidator(_number)] = Field(
        default=4, ge=1, le=50, description="Connections kept open (1 to 50)."
    )
    per_second: Limit = Field(default=0, description="Mails begun in any one second; 0 = no limit.")
    per_minute: Limit = Field(default=0, description="Mails begun in any one minute; 0 = no limit.")
    per_day: Limit = Field(default=0, description="Mails sent in any 24 hours; 0 = no limit.")
    domains: dict[str, DomainSettings] = Field(
        default={},
        description='Limits by recipient domain, "*" for all others: '
        '{ "paper.example" = { connections = 2, per_minute = 100 } }.',
    )
    reconcile: Words = Field(
        default=(),
        description="Command, as a list of words, that says by Message-ID what became of a mail "
        "whose answer was lost; empty = none.",
    )
    reconcile_timeout_s: Seconds = Field(
        default=30.0, description="Seconds to wait for that command."
    )
    connect_timeout_s: Seconds = Field(
        default=30.0, description="Seconds to wait for a connection."
    )
    command_timeout_s: Seconds = Field(
        default=300.0,
        description="Seconds to wait for the greeting and for each answer before DATA.",
    )
    data_timeout_s: Seconds = Field(
        default=120.0, description="Seconds to wait for the answer to DATA."
    )
    block_timeout_s: Seconds = Field(
        default=180.0, description="Seconds to wait for one block to be taken."
    )
    after_dot_timeout_s: Seconds = Field(
        default=600.0,
        description="Seconds to wait for the answer to a whole mail; too short makes duplicates.",
    )

    @field_validator("domains")
    @classmethod
    def _domain_names(cls, value: dict[str, DomainSettings]) -> dict[str, DomainSettings]:
        named = {domain.lower(): limits for domain, limits in value.items()}
        for domain in named:
            if domain != "*" and not _DOMAIN.fullmatch(domain):
                what = (
                    f'"{domain}" is not a domain such as paper.example, in A-labels (xn--…), or *'
                )
                raise _wrong(what)
        if len(named) < len(value):
            raise _wrong("names a domain twice, apart from capitals")
        return named

    @model_validator(mode="after")
    def _has_room(self) -> RelaySettings:
        if self.verp == "signed" and len(self.return_path.partition("@")[0]) > SIGNED_LOCAL_MAX:
            what = f"has more than {SIGNED_LOCAL_MAX} characters before the @: no room for a code"
            raise _wrong(what, key="return_path")
        return self

    @model_validator(mode="after")
    def _secured(self) -> RelaySettings:
        if self.security == "none" and not is_loopback(self.host):
            what = f"would send in clear text to {self.host}, which is not this machine"
            raise _wrong(what, key="security")
        return self


class SendingSettings(_Section):
    """When and how patiently we send."""

    prepare_before_s: float = Field(
        default=900.0, ge=0, description="Seconds before the send time when the audience is sealed."
    )
    warm_before_s: float = Field(
        default=30.0, ge=0, description="Seconds before the send time when connections are opened."
    )
    lateness_limit_s: Seconds = Field(
        default=3600.0,
        description="Seconds after which a first mail is too late: a person decides.",
    )
    deadline_s: Seconds = Field(
        default=86400.0, description="Seconds after the send time when a wave stops trying again."
    )
    retry_after_s: tuple[Seconds, ...] = Field(
        default=(300.0, 900.0, 1800.0, 3600.0),
        min_length=1,
        description="Seconds to wait before each new try of a deferred mail; the last repeats.",
    )
    uncertain: Literal["hold", "resend"] = Field(
        default="hold", description="Mail whose answer was lost: hold for a person, or resend once."
    )
    uncertain_resend_after_s: Seconds = Field(
        default=900.0, description="Seconds before an uncertain mail is resent, if it is."
    )
    message_max_mb: float = Field(
        default=25.0,
        gt=0,
        le=100,
        description="Megabytes a mail may have at the most, attachments and all (up to 100).",
    )
    batch_size: int = Field(
        default=200, ge=1, le=200, description="Deliveries claimed at once (1 to 200)."
    )


class DkimSettings(_Section):
    """Signatures by which receivers know that mail is ours (RFC 6376). No key, no signature."""

    domain: Line = Field(
        default="", description="Domain that signs; empty = that of sender.address."
    )
    selector: Line = Field(
        default="", description="Name of the key in the DNS: SELECTOR._domainkey.DOMAIN."
    )
    key_file: OptionalPath = Field(
        default=None, description="Private key (PEM), readable by its owner only: RSA of 2048 bits."
    )
    second_selector: Line = Field(
        default="", description="Name of the second key in the DNS; empty = one signature."
    )
    second_key_file: OptionalPath = Field(
        default=None, description="Second private key (PEM), for instance Ed25519."
    )

    @field_validator("domain")
    @classmethod
    def _is_domain(cls, value: str) -> str:
        if value and not _DOMAIN.fullmatch(value.lower()):
            raise _wrong("is not a domain such as example.org, in A-labels (xn--…)")
        return value.lower()

    @field_validator("selector", "second_selector")
    @classmethod
    def _is_selector(cls, value: str) -> str:
        if value and not _SELECTOR.fullmatch(value):
            raise _wrong("is not a selector: letters, digits and hyphens, such as press-2026")
        return value

    @model_validator(mode="after")
    def _whole(self) -> DkimSettings:
        for before in ("", "second_"):
            selector, file = f"{before}selector", f"{before}key_file"
            if bool(getattr(self, selector)) != (getattr(self, file) is not None):
                missing = file if getattr(self, selector) else selector
                raise _wrong("is missing: a selector and its key file go together", key=missing)
        if self.second_key_file is not None and self.key_file is None:
            raise _wrong("is missing: there is a second key, and no first", key="key_file")
        return self


class TemplatesSettings(_Section):
    """Templates of the desk's own."""

    folder: OptionalPath = Field(
        default=None,
        description="Folder of your own templates; each takes the place of ours of that name.",
    )


class WorkerSettings(_Section):
    """The processes that send."""

    state_dir: Path = Field(
        default=Path("state"), description="Folder of the flight logs and the installation file."
    )
    tick_s: float = Field(
        default=1.0, gt=0, le=5, description="Seconds between two looks at what is due (at most 5)."
    )
    lease_s: float = Field(
        default=60.0,
        ge=6,
        le=3600,
        description="Seconds a claimed batch stays a worker's own (6 to 3600).",
    )
    processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Worker processes on this machine (1 to 64); they share relay.connections.",
    )


class LogSettings(_Section):
    """What the program writes about itself to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least weight that is written: debug, info, warning or error."
    )
    format: Literal["text", "json"] = Field(default="text", description="text for people, or json.")


class Settings(BaseSettings):
    """The whole configuration. Made by ``config.load``, which resolves paths and reads secrets."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
    )

    desk: Desk = Desk()
    sender: SenderSettings = SenderSettings()
    database: DatabaseSettings = DatabaseSettings()
    relay: RelaySettings = RelaySettings()
    sending: SendingSettings = SendingSettings()
    dkim: DkimSettings = DkimSettings()
    look: LookSettings = LookSettings()
    templates: TemplatesSettings = TemplatesSettings()
    worker: WorkerSettings = WorkerSettings()
    log: LogSettings = LogSettings()
    _source: Path | None = PrivateAttr(None)
    _further: tuple[RelaySettings, ...] = PrivateAttr(())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment first, then what the file says; nothing else."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings

    def with_source(self, source: Path | None) -> Settings:
        """Return a copy that knows the file it came from."""
        copy = self.model_copy()
        copy._source = source  # noqa: SLF001 - our own copy
        return copy

    @property
    def source(self) -> Path | None:
        """The file that was read; None when only defaults and the environment speak."""
        return self._source

    @property
    def from_name(self) -> str:
        """Name of the sender, or of the organisation when none is set."""
        return self.sender.name or self.desk.organisation

    def with_relays(self, relays: tuple[RelaySettings, ...]) -> Settings:
        """Return a copy with these mail servers, at least one, in order of preference."""
        copy = self.model_copy(update={"relay": relays[0]})
        copy._further = relays[1:]  # noqa: SLF001 - our own copy
        return copy

    @property
    def relays(self) -> tuple[RelaySettings, ...]:
        """Every mail server in order of preference; ``relay`` is the first."""
        return (self.relay, *self._further)

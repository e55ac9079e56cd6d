"""Reading config.toml, the environment and the secret files into one frozen ``Settings``.

The environment wins over the file: ``DISTRIBUTOR_RELAY__HOST=…`` is ``relay.host``, of the first
mail server where there are several; ``DISTRIBUTOR_RELAY_BACKUP__PASSWORD`` is that of the one named
``backup``. Relative paths count from the folder of the file, or from the working directory where
there is none.
Invariant: nothing else in the program reads configuration, and no error shows a secret, not even
through its cause.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import SettingsError

from distributor.errors import ConfigError
from distributor.settings import PREFIX, RelaySettings, Settings
from distributor.shipped import shipped

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

__all__ = ["CONFIG_VARIABLE", "Settings", "initial_config", "known_keys", "load", "named_file"]

#: Names the file when ``--config`` does not.
CONFIG_VARIABLE = PREFIX + "CONFIG"
_DEFAULT_FILE = "config.toml"
_EXAMPLE = "config.example.toml"
_SECRETS = frozenset({"relay.password", "database.url"})
_SECRET_FILE_MAX_BYTES = 4096
_OTHERS_MAY_READ = 0o077
_SHOWN_MAX = 80
_RELAY = "relay"
#: One part of a dotted key of TOML; dots within quotation marks part nothing.
_PART = re.compile(r""""([^"]*)"|'([^']*)'|([^\s."']+)""")

Key = tuple[str, ...]
#: One mail server as the file and the variables of its name state it, nothing checked yet.
Table = dict[str, Any]


def load(path: Path | None = None) -> Settings:
    """Read ``path``, else $DISTRIBUTOR_CONFIG, else ./config.toml, else take the defaults.

    Raises:
        ConfigError: Something in it cannot be used; the message names file, line and key, the
            remedy what to write instead.

    """
    file = _File.find(path)
    settings, problems = _validated(file)
    if settings is None or problems:
        raise ConfigError(
            "\n".join(f"{problem.where}: {problem.what}" for problem in problems),
            remedy="\n".join(dict.fromkeys(problem.remedy for problem in problems)),
        )
    return _resolved(settings, file)


def named_file(path: Path | None = None) -> Path | None:
    """Return ``path``, else what $DISTRIBUTOR_CONFIG names; None when neither names a file."""
    named = os.environ.get(CONFIG_VARIABLE)
    return path or (Path(named) if named else None)


def initial_config() -> str:
    """Return the text of a new config.toml: every key with its meaning, unit and default."""
    return shipped(_EXAMPLE).read_text(encoding="utf-8")


def known_keys() -> dict[str, str]:
    """Every dotted key and what it means, in the order of the file."""
    sections: dict[str, type[BaseModel]] = {
        name: type(field.default) for name, field in Settings.model_fields.items()
    }
    return {
        f"{section}.{key}": field.description or ""
        for section, model in sections.items()
        for key, field in model.model_fields.items()
    }


@dataclass(frozen=True, slots=True)
class _Problem:
    """One thing that cannot be used, where it stands, and what to do about it."""

    where: str
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class _File:
    """The file as read; ``path`` is None and the rest empty when there is none."""

    path: Path | None
    folder: Path
    text: str
    data: dict[str, Any]

    @classmethod
    def find(cls, path: Path | None) -> _File:
        chosen = named_file(path)
        if chosen is None:
            chosen = Path(_DEFAULT_FILE)
            if not chosen.is_file():
                return cls(path=None, folder=Path.cwd(), text="", data={})
        chosen = chosen.expanduser().absolute()
        text = _text(chosen, remedy="Create one with: distributor init")
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            what = str(error)
        else:
            return cls(path=chosen, folder=chosen.parent, text=text, data=data)
        raise ConfigError(f"{chosen}: {what}", remedy=f"See TOML's rules, or {_EXAMPLE}.")

    def where(self, key: Key, nth: int = 0) -> str:
        """Name the variable, or the file and line, that states ``key``.

        ``nth`` counts mail servers from 0, where there are several.
        """
        variables = _environment()
        named = _named_variable(_relay_name(self.tables[nth]), key[-1]) if self.tables else ""
        candidates = (
            *((_variable(key),) if nth == 0 else ()),
            *((named,) if _of_relay(key) else ()),
        )
        for variable in candidates:
            if variable in variables:
                return variable
        number = _line_of(key, self.text, nth=nth)
        line = f" line {number}" if number else ""
        return f"{self.path or 'defaults'}{line}"

    @property
    def tables(self) -> list[Table]:
        """The mail servers in order; empty when none is stated, or not as tables."""
        stated = self.data.get(_RELAY)
        tables = cast("list[object]", stated) if isinstance(stated, list) else [stated]
        return [cast("Table", table) for table in tables if isinstance(table, dict)]

    def with_tables(self, tables: list[Table]) -> _File:
        """The same file with these mail servers."""
        return replace(self, data=self.data | {_RELAY: tables})


def _text(path: Path, *, remedy: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        what = "there is no such file"
    except OSError as error:
        what, remedy = f"cannot be read: {error.strerror}", "Mend its permissions."
    except UnicodeDecodeError:
        what, remedy = "is not UTF-8 text", "Save it as UTF-8."
    # Raised here so that the bytes read do not travel along as the cause.
    raise ConfigError(f"{path}: {what}", remedy=remedy)


def _environment() -> dict[str, str]:
    """Our own variables, in upper case."""
    return {name.upper(): value for name, value in os.environ.items() if _is_ours(name)}


def _is_ours(name: str) -> bool:
    first = name.upper().removeprefix(PREFIX).partition("__")[0].lower()
    return name.upper().startswith(PREFIX) and ("__" in name or first in Settings.model_fields)


def _variable(key: Key) -> str:
    return PREFIX + "__".join(key).upper()


# --- mail servers: one table, or several -----------------------------------------------------


def _of_relay(key: Key) -> bool:
    return len(key) > 1 and key[0] == _RELAY


def _relay_name(table: Table) -> str:
    return str(table.get("name", RelaySettings.model_fields["name"].default))


def _named_variable(name: str, key: str) -> str:
    """The variable of one mail server's key, by its name: letters and digits, the rest as _."""
    plain = re.sub(r"[^A-Z0-9]", "_", name.upper())
    return f"{PREFIX}{_RELAY.upper()}_{plain}__{key.upper()}"


def _overlaid(file: _File) -> tuple[_File, list[_Problem]]:
    """Put the variables of named mail servers into their tables; those that name none are wrong."""
    tables = [dict(table) for table in file.tables]
    problems: list[_Problem] = []
    environment = _environment()
    if tables and (name := environment.get(_variable((_RELAY, "name")))):
        tables[0]["name"] = name
    for variable, value in environment.items():
        section, _, key = variable.removeprefix(PREFIX).partition("__")
        if not section.startswith(f"{_RELAY.upper()}_") or not key:
            continue
        meant = [table for table in tables if _named_variable(_relay_name(table), key) == variable]
        for table in meant:
            table[key.lower()] = value
        if not meant:
            name = section.partition("_")[2].lower()
            remedy = f'Name it in the file: [[relay]], name = "{name}".'
            problems.append(_Problem(variable, f"no relay is called {name}", remedy))
    return (file.with_tables(tables) if tables else file), problems


def _misshapen(file: _File) -> list[_Problem]:
    """What is wrong with the mail servers as a whole: not tables, or two of one name."""
    stated = file.data.get(_RELAY, {})
    if isinstance(stated, list) and len(file.tables) != max(len(cast("Table", stated)), 1):
        what = "relay is a list, but not of sections"
        return [_Problem(file.where((_RELAY,)), what, "Write [[relay]] above each mail server.")]
    names = [_named_variable(_relay_name(table), "name") for table in file.tables]
    return [
        _Problem(
            file.where((_RELAY, "name"), nth),
            f'relay.name: "{_relay_name(file.tables[nth])}" is the name of two mail servers',
            'Give each [[relay]] a name of its own: name = "backup".',
        )
        for nth, name in enumerate(names)
        if name in names[:nth]
    ]


def _validated(file: _File) -> tuple[Settings | None, list[_Problem]]:
    """Build the settings, or name every problem at once."""
    problems = [
        _unknown((section,), file) for section in file.data if section not in Settings.model_fields
    ]
    problems.extend(_strange_variables())
    file, strange = _overlaid(file)
    problems.extend(strange or _misshapen(file))
    if problems:
        return None, problems
    first, *further = file.tables or [{}]
    settings, problems = _first_of(file, first)
    relays: list[RelaySettings] = []
    for nth, table in enumerate(further, start=1):
        try:
            relays.append(RelaySettings.model_validate(table))
        except ValidationError as error:
            problems += [
                _problem(details, file, nth=nth) for details in error.errors(include_url=False)
            ]
    if settings is None or problems:
        return None, problems
    return settings.with_relays((settings.relay, *relays)), []


def _first_of(file: _File, table: Table) -> tuple[Settings | None, list[_Problem]]:
    """Everything but the further mail servers."""
    data: dict[str, Any] = {**file.data, **({_RELAY: table} if file.tables else {})}
    try:
        return Settings(**data), []
    except ValidationError as error:
        return None, [_problem(details, file) for details in error.errors(include_url=False)]
    except SettingsError as error:
        key = str(error).partition('"')[2].partition('"')[0]
        remedy = "Lists stand in brackets: [300, 900]."
        return None, [_Problem("environment", f"{key}: cannot be parsed", remedy)]


def _strange_variables() -> list[_Problem]:
    problems: list[_Problem] = []
    for name in _environment():
        section, _, key = name.removeprefix(PREFIX).lower().partition("__")
        if section.startswith(f"{_RELAY}_") and key:
            # Of a mail server by its name: looked at with the tables.
            continue
        if section not in Settings.model_fields:
            problems.append(_Problem(name, f"{section} is not a section", _nearest((section, key))))
        elif not key:
            example = f"{PREFIX}{section.upper()}__…"
            problems.append(
                _Problem(name, "names a whole section", f"State one key each: {example}")
            )
    return problems


def _problem(details: ErrorDetails, file: _File, *, nth: int | None = None) -> _Problem:
    """Put one finding of pydantic into our words; ``nth`` when it is of a further mail server."""
    context = details.get("ctx", {})
    extra = (context["key"],) if context.get("key") else ()
    location = (*((_RELAY,) if nth else ()), *details["loc"], *extra)
    key = tuple(str(part) for part in location if not isinstance(part, int))
    where = file.where(key, nth or 0)
    if details["type"] == "extra_forbidden":
        return replace(_unknown(key, file), where=where)
    # Within relay.domains the meaning is that of the whole table.
    dotted, known = ".".join(key), ".".join(key[:2])
    if known not in known_keys():
        what = f"{dotted} is a section, not a value"
        return _Problem(where, what, f"Write [{dotted}], then one key a line.")
    what = details["msg"][:1].lower() + details["msg"][1:].replace("nput should", "t must")
    value = details["input"]
    # A finding about a whole section comes with all of it, the password too.
    showable = dotted not in _SECRETS and isinstance(value, str | int | float)
    shown = f"{_short(repr(value))} " if showable else ""
    return _Problem(where, f"{dotted}: {shown}{what}", f"{known}: {known_keys()[known]}")


def _short(shown: str) -> str:
    """A value as an error has room for it."""
    return shown if len(shown) <= _SHOWN_MAX else f"{shown[:_SHOWN_MAX]}…"


def _unknown(key: Key, file: _File) -> _Problem:
    what = f"{'.'.join(key)} is not a known key"
    within = ".".join(key[:2])
    if len(key) > 2 and within in known_keys():  # noqa: PLR2004 - deeper than section and key
        return _Problem(file.where(key), what, f"{within}: {known_keys()[within]}")
    return _Problem(file.where(key), what, _nearest(key))


def _nearest(key: Key) -> str:
    """What was probably meant: a key of that section, that key of another, or a section."""
    known = list(known_keys())
    here = [name for name in known if name.startswith(f"{key[0]}.")]
    elsewhere = [name for name in known if name.partition(".")[2] == key[-1]]
    meant = get_close_matches(".".join((*key[:1], key[-1])), here, n=1, cutoff=0.85) or elsewhere
    if meant:
        return f"Did you mean {meant[0]}?"
    if section := get_close_matches(key[0], Settings.model_fields, n=1):
        return f"Did you mean [{section[0]}]?"
    return f"The keys are listed in {_EXAMPLE}."


def _line_of(key: Key, text: str, *, nth: int = 0) -> int | None:
    """Line (from 1) that states ``key``, or what it stands in; None when nothing does.

    ``nth`` tells which of several sections of one name is meant, counted from 0.
    """
    section: Key = ()
    found: int | None = None
    of_name: Counter[Key] = Counter()
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*(\[{1,2})([^\[\]]+)\]", line)
        entry = re.match(r"""\s*((?:"[^"]*"|'[^']*'|[\w.-])+)\s*=""", line)
        if header:
            section = stated = _parts(header[2])
            of_name[section] += len(header[1]) - 1
        elif entry:
            stated = section + _parts(entry[1])
        else:
            continue
        if of_name[section[:1]] and of_name[section[:1]] != nth + 1:
            continue
        if stated[: len(key)] == key:
            return number
        if stated == key[: len(stated)]:
            found = number
    return found


def _parts(dotted: str) -> Key:
    return tuple("".join(found) for found in _PART.findall(dotted))


def _resolved(settings: Settings, file: _File) -> Settings:
    """Make paths absolute and fetch the passwords."""

    def absolute(path: Path) -> Path:
        return file.folder / path.expanduser()

    _refuse_readable_secrets(settings, file)
    relays: list[RelaySettings] = []
    for nth, relay in enumerate(settings.relays):
        password_file = absolute(relay.password_file) if relay.password_file else None
        changes = {
            "password": _password(relay, password_file, file, nth=nth),
            "password_file": password_file,
            "ca_file": absolute(relay.ca_file) if relay.ca_file else None,
        }
        relays.append(relay.model_copy(update=changes))
    dkim = settings.dkim.model_copy(
        update={
            key: absolute(path)
            for key in ("key_file", "second_key_file")
            if (path := getattr(settings.dkim, key)) is not None
        }
    )
    templates = settings.templates
    if templates.folder is not None:
        templates = templates.model_copy(update={"folder": absolute(templates.folder)})
    worker, database = settings.worker, settings.database
    worker = worker.model_copy(update={"state_dir": absolute(worker.state_dir)})
    scheme, _, place = database.url.partition(":///")
    if scheme == "sqlite":
        name, mark, query = place.partition("?")
        url = f"{scheme}:///{absolute(Path(name))}{mark}{query}"
        database = database.model_copy(update={"url": url})
    changed = {"dkim": dkim, "templates": templates, "worker": worker, "database": database}
    resolved = settings.model_copy(update=changed)
    return resolved.with_relays(tuple(relays)).with_source(file.path)


def _refuse_readable_secrets(settings: Settings, file: _File) -> None:
    """A file that states a password is for its owner alone."""
    environment = _environment()
    stated = {
        "relay.password": any(table.get("password") for table in file.tables),
        "database.url": settings.database.holds_password
        and _variable(("database", "url")) not in environment,
    }
    for key, holds_secret in stated.items():
        if file.path is not None and holds_secret:
            _refuse_readable(file.path, f"states a password ({key})")


def _refuse_readable(path: Path, what: str) -> None:
    if path.stat().st_mode & _OTHERS_MAY_READ:
        raise ConfigError(
            f"{path}: {what}, and others than its owner may read it",
            remedy=f"chmod 600 {path}",
        )


def _password(
    relay: RelaySettings, password_file: Path | None, file: _File, *, nth: int
) -> SecretStr:
    """Take the password from where it is stated: the environment's word stands over the file's."""

    def in_environment(key: str) -> bool:
        first = nth == 0 and _variable((_RELAY, key)) in environment
        return first or _named_variable(relay.name, key) in environment

    environment = _environment()
    password = relay.password
    direct, by_file = in_environment("password"), in_environment("password_file")
    if password_file is None or (direct and not by_file):
        return password
    if password.get_secret_value() and direct == by_file:
        where = file.where((_RELAY, "password_file"), nth)
        raise ConfigError(
            f"{where}: relay.password_file and relay.password are both set",
            remedy="State one of relay.password and relay.password_file.",
        )
    return SecretStr(_secret(password_file))


def _secret(path: Path) -> str:
    """Read a secret file: one line, for its owner's eyes."""
    text = _text(path, remedy="Write the password into it, or mend relay.password_file.")
    _refuse_readable(path, "holds a password")
    secret = text.rstrip("\r\n")
    if not secret or len(text) > _SECRET_FILE_MAX_BYTES or not secret.isprintable():
        raise ConfigError(
            f"{path}: does not hold one line with a password",
            remedy="Write the password alone into it (relay.password_file).",
        )
    return secret

"""The configuration: what it says by default, whose word counts, what it refuses, what it hides."""

from __future__ import annotations

import logging
import tomllib
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from distributor.config import initial_config, known_keys, load
from distributor.core.returnpath import BASE_MAX
from distributor.errors import ConfigError
from distributor.settings import SIGNED_LOCAL_MAX, Settings, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

CANARY = "canary-7f3a-Zürich"


@pytest.fixture(autouse=True)
def empty_desk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in a folder of our own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def _write(text: str, name: str = "config.toml", mode: int = 0o600) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    return _write


def refusal(path: Path | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return caught.value


def test_defaults_serve_without_any_file(tmp_path: Path) -> None:
    settings = load()
    assert settings.source is None
    assert settings.from_name == "Press Office"
    assert settings.relay.security == "starttls"
    assert settings.sending.retry_after_s == (300, 900, 1800, 3600)
    assert settings.database.url == f"sqlite:///{tmp_path}/distributor.db"
    assert settings.worker.state_dir == tmp_path / "state"


def test_the_file_is_found_by_argument_then_variable_then_folder(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = write('[relay]\nname = "here"\n')
    assert load().relay.name == "here"
    assert load().source == here
    variable = write('[relay]\nname = "variable"\n', "variable.toml")
    monkeypatch.setenv("DISTRIBUTOR_CONFIG", str(variable))
    assert load().relay.name == "variable"
    given = write('[relay]\nname = "given"\n', "given.toml")
    assert load(given).relay.name == "given"


def test_a_named_file_that_is_missing_is_an_error_with_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "missing.toml"
    for error in (
        refusal(missing),
        (monkeypatch.setenv("DISTRIBUTOR_CONFIG", str(missing)), refusal())[1],
    ):
        assert str(missing) in str(error)
        assert "distributor init" in (error.remedy or "")


def test_the_environment_wins_over_the_file(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write('[relay]\nhost = "file.example"\nport = 465\n')
    monkeypatch.setenv("DISTRIBUTOR_RELAY__HOST", "environment.example")
    monkeypatch.setenv("DISTRIBUTOR_SENDING__RETRY_AFTER_S", "[1, 2]")
    settings = load()
    assert settings.relay.host == "environment.example"
    assert settings.relay.port == 465
    assert settings.sending.retry_after_s == (1, 2)


def test_relative_paths_count_from_the_folder_of_the_file(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    secret = write("tea\n", "etc/relay.password")
    path = write(
        '[database]\nurl = "sqlite:///desk.db?timeout=3"\n'
        '[relay]\npassword_file = "relay.password"\nca_file = "ca.pem"\n'
        '[worker]\nstate_dir = "/var/lib/desk"\n',
        "etc/config.toml",
    )
    settings = load(path)
    assert settings.database.url == f"sqlite:///{tmp_path}/etc/desk.db?timeout=3"
    assert settings.relay.ca_file == tmp_path / "etc/ca.pem"
    assert settings.relay.password_file == secret
    assert settings.relay.password.get_secret_value() == "tea"
    assert settings.worker.state_dir == Path("/var/lib/desk")


def test_settings_are_frozen() -> None:
    settings = load()
    for change in (
        lambda: setattr(settings.relay, "host", "elsewhere"),
        lambda: setattr(settings, "relay", None),
    ):
        with pytest.raises(ValueError, match="frozen"):
            change()


@pytest.mark.parametrize(
    ("text", "where", "key", "hint"),
    [
        ('[relay]\n\nhots = "x"\n', "line 3", "relay.hots", "relay.host"),
        ('[relai]\nhost = "x"\n', "line 1", "relai", "[relay]"),
        ('[relay]\nhots.deep = "x"\n', "line 2", "relay.hots", "relay.host"),
        ('host = "x"\n', "line 1", "host", "relay.host"),
        ('[relay]\norganisation = "x"\n', "line 2", "relay.organisation", "desk.organisation"),
        ("[relay]\nquux = 1\n", "line 2", "relay.quux", "[relay]"),
        ("relay = { hots = 1 }\n", "line 1", "relay.hots", "relay.host"),
        ("[relay.tls]\ndeep = 1\n", "line 1", "relay.tls", "[relay]"),
        ("relay.hots = 1\n", "line 1", "relay.hots", "relay.host"),
        ("_env_file = 1\n", "line 1", "_env_file", "The keys are listed"),
        ('source = "/etc"\n', "line 1", "source", "The keys are listed"),
    ],
)
def test_an_unknown_key_is_named_with_its_line_and_the_nearest_known_one(
    write: Callable[..., Path], text: str, where: str, key: str, hint: str
) -> None:
    path = write(text)
    error = refusal()
    assert f"{path} {where}: {key} is not a known key" in str(error)
    assert hint in (error.remedy or "")


@pytest.mark.parametrize(
    ("text", "where", "key", "word"),
    [
        ("[relay]\nport = 99999\n", "line 2", "relay.port", "65535"),
        ('[relay]\nport = "smtp"\n', "line 2", "relay.port", "integer"),
        ("[relay]\nconnections = 51\n", "line 2", "relay.connections", "50"),
        ('[relay]\nsecurity = "ssl"\n', "line 2", "relay.security", "starttls"),
        ('[relay]\nhost = ""\n', "line 2", "relay.host", "at least 1"),
        ("[sending]\nbatch_size = 0\n", "line 2", "sending.batch_size", "1"),
        ("[sending]\nretry_after_s = []\n", "line 2", "sending.retry_after_s", "at least 1"),
        ("[sending]\nretry_after_s = [5, -1]\n", "line 2", "sending.retry_after_s", "-1"),
        ("[sending]\ndeadline_s = nan\n", "line 2", "sending.deadline_s", "finite"),
        ("[sending]\ndeadline_s = inf\n", "line 2", "sending.deadline_s", "finite"),
        ("[worker]\nlease_s = 5\n", "line 2", "worker.lease_s", "6"),
        ("[worker]\ntick_s = 0\n", "line 2", "worker.tick_s", "0"),
        ('[desk]\nzone = "Europe/Londn"\n', "line 2", "desk.zone", "Europe/London"),
        ('[desk]\nzone = "../etc/passwd"\n', "line 2", "desk.zone", "IANA"),
        ('[desk]\nzone = "Europe"\n', "line 2", "desk.zone", "IANA"),
        ('[desk]\nlanguage = "English please"\n', "line 2", "desk.language", "pattern"),
        (
            '[desk]\norganisation = "A\\r\\nBcc: b@x.org"\n',
            "line 2",
            "desk.organisation",
            "control",
        ),
        ('[desk]\norganisation = "A\\u2028B"\n', "line 2", "desk.organisation", "control"),
        ('[sender]\naddress = "press"\n', "line 2", "sender.address", "press@example.org"),
        ('[sender]\naddress = "a@b.org,c@d.org"\n', "line 2", "sender.address", "one plain"),
        ('[sender]\nreply_to = "prëss@b.org"\n', "line 2", "sender.reply_to", "ASCII"),
        ('[database]\nurl = "mysql://h/d"\n', "line 2", "database.url", "postgresql"),
        ('[database]\nurl = "sqlite://"\n', "line 2", "database.url", "memory"),
        ('[database]\nurl = "sqlite:///:memory:"\n', "line 2", "database.url", "memory"),
    ],
)
def test_a_bad_value_is_named_with_its_line_and_the_meaning_of_its_key(
    write: Callable[..., Path], text: str, where: str, key: str, word: str
) -> None:
    path = write(text)
    error = refusal()
    assert f"{path} {where}: {key}: " in str(error)
    assert word in str(error)
    assert (error.remedy or "").startswith(f"{key}: ")


def test_a_value_where_a_section_belongs_is_named(write: Callable[..., Path]) -> None:
    path = write("relay = 5\n")
    assert f"{path} line 1: relay is a section" in str(refusal())


def test_every_problem_is_told_at_once(write: Callable[..., Path]) -> None:
    write("[relay]\nport = 0\nhots = 1\n[log]\nlevel = 'loud'\n")
    lines = str(refusal()).splitlines()
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("DISTRIBUTOR_RELAY__HOTS", "x", "relay.host"),
        ("DISTRIBUTOR_RELAI__HOST", "x", "relay.host"),
        ("DISTRIBUTOR_RELAY__PORT", "x", "relay.port"),
        ("DISTRIBUTOR_RELAY", '{"host": "x"}', "DISTRIBUTOR_RELAY__"),
        ("DISTRIBUTOR_SENDING__RETRY_AFTER_S", "soon", "brackets"),
    ],
)
def test_a_wrong_variable_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, hint: str
) -> None:
    monkeypatch.setenv(name, value)
    error = refusal()
    assert name in str(error) or "sending" in str(error)
    assert hint in (error.remedy or "")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "127.0.0.1", "127.8.9.1", "::1", "[::1]"]
)
def test_clear_text_is_allowed_to_this_machine(write: Callable[..., Path], host: str) -> None:
    write(f'[relay]\nhost = "{host}"\nsecurity = "none"\n')
    assert load().relay.security == "none"


@pytest.mark.parametrize(
    "host",
    ["mail.example.org", "10.0.0.1", "192.168.0.1", "localhost.example.org", "127.0.0.1.example"],
)
def test_clear_text_is_refused_to_any_other_machine(write: Callable[..., Path], host: str) -> None:
    assert not is_loopback(host)
    path = write(f'[relay]\nhost = "{host}"\nsecurity = "none"\n')
    assert f"{path} line 3: relay.security: would send in clear text" in str(refusal())


def test_bad_files_are_named(write: Callable[..., Path], tmp_path: Path) -> None:
    assert "line 2" in str(refusal(write("[relay]\nhost =\n")))
    assert "cannot be read" in str(refusal(tmp_path))
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in str(refusal(binary))
    marked = tmp_path / "marked.toml"
    marked.write_bytes(b"\xef\xbb\xbf[relay]\nname = 'marked'\n")
    assert load(marked).relay.name == "marked"


# Several mail servers

TWO = """\
[[relay]]
name = "main"
host = "main.example"

[[relay]]
name = "back-up"
host = "backup.example"
port = 465
security = "tls"
[relay.domains]
"Paper.example" = { connections = 2, per_minute = 100 }
"*" = { per_minute = 600 }
"""


def test_one_table_is_one_mail_server(write: Callable[..., Path]) -> None:
    settings = load(write('[relay]\nhost = "a.example"\n'))
    assert settings.relays == (settings.relay,)
    assert load(write("")).relays[0].name == "relay"


def test_several_stand_in_order_of_preference(write: Callable[..., Path]) -> None:
    main, backup = load(write(TWO)).relays
    assert (main.name, main.port) == ("main", 587)
    assert (backup.name, backup.port) == ("back-up", 465)
    assert (backup.domains["paper.example"].connections, backup.domains["*"].per_minute) == (2, 600)
    assert main.domains == {}
    inline = 'relay = [{name = "a", host = "a.example"}, {name = "b", host = "b.example"}]\n'
    assert [relay.name for relay in load(write(inline)).relays] == ["a", "b"]


def test_plain_variables_are_the_first_ones_and_named_ones_their_own(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(TWO)
    monkeypatch.setenv("DISTRIBUTOR_RELAY__PASSWORD", "first")
    monkeypatch.setenv("DISTRIBUTOR_RELAY_BACK_UP__PASSWORD", "second")
    monkeypatch.setenv("DISTRIBUTOR_RELAY_BACK_UP__CONNECTIONS", "7")
    monkeypatch.setenv("DISTRIBUTOR_RELAY_MAIN__PORT", "25")
    main, backup = load().relays
    assert main.password.get_secret_value() == "first"
    assert backup.password.get_secret_value() == "second"
    assert (main.port, backup.connections) == (25, 7)


def test_each_mail_server_has_its_own_password_file(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("tea", "one")
    write("cocoa", "two")
    files = TWO.replace('host = "main', 'password_file = "one"\nhost = "main').replace(
        "port = 465", 'password_file = "two"\nport = 465'
    )
    path = write(files)
    assert [r.password.get_secret_value() for r in load(path).relays] == ["tea", "cocoa"]
    monkeypatch.setenv("DISTRIBUTOR_RELAY_BACK_UP__PASSWORD", "rum")
    assert [r.password.get_secret_value() for r in load(path).relays] == ["tea", "rum"]
    monkeypatch.delenv("DISTRIBUTOR_RELAY_BACK_UP__PASSWORD")
    write(files.replace("port = 465", 'password = "rum"\nport = 465'))
    assert f"{path} line 9: relay.password_file and relay.password" in str(refusal())


def test_reliability_31_any_password_in_the_file_makes_it_its_owners(
    write: Callable[..., Path],
) -> None:
    path = write(TWO.replace("port = 465", f'port = 465\npassword = "{CANARY}"'), mode=0o644)
    assert refusal(path).remedy == f"chmod 600 {path}"
    write(TWO.replace("port = 465", f'port = "x"\npassword = "{CANARY}"'))
    error = refusal()
    assert CANARY not in "".join(traceback.format_exception(error)) + str(error.remedy)


@pytest.mark.parametrize(
    ("old", "new", "where", "said", "hint"),
    [
        ('"back-up"', '"main"', "line 6", '"main" is the name of two', "[[relay]]"),
        ('"back-up"', '"Main"', "line 6", '"Main" is the name of two', "name of its own"),
        ('name = "back-up"\n', "", "line 5", "relay.port", ""),
        ("port = 465", "port = 0", "line 8", "relay.port: 0 it must be", "relay.port: Port"),
        ("port = 465", "prot = 465", "line 8", "relay.prot is not a known key", "relay.port"),
        ("port = 465", "connections = 0", "line 8", "relay.connections", "1 to 50"),
        ("port = 465", "per_day = -1", "line 8", "relay.per_day: -1", "24 hours"),
        ("port = 465", "per_minute = true", "line 8", "whole number", "relay.per_minute"),
        ("port = 465", "per_second = 1.5", "line 8", "relay.per_second: 1.5", "one second"),
        ("port = 465", 'per_second = "ten"', "line 8", "relay.per_second: 'ten'", "one second"),
        ("port = 465", 'verp = "maybe"', "line 8", "relay.verp", "signed"),
        ("port = 465", 'reconcile = "ask me"', "line 8", "list of words", "relay.reconcile"),
        ("port = 465", "reconcile_timeout_s = 0", "line 8", "relay.reconcile_timeout_s", "econds"),
        (
            "port = 465",
            f'return_path = "{"r" * 23}@x.example"',
            "line 8",
            "no room for a code",
            "relay.return_path",
        ),
        ('"tls"', '"none"', "line 9", "clear text to backup.example", "relay.security"),
        ("Paper.example", "a@paper.example", "line 10", '"a@paper.example" is not a domain', "*"),
        ("Paper.example", "zürich.example", "line 10", "A-labels", "relay.domains"),
        ('"*"', '"paper.EXAMPLE"', "line 10", "twice", "relay.domains"),
        ("per_minute = 100", "per_minute = -5", "line 11", "-5", "relay.domains: "),
        ("per_minute = 100", "per_hour = 5", "line 11", "per_hour is not a known key", "domains"),
        ("{ connections = 2, per_minute = 100 }", "9", "line 11", "relay.domains", "domains"),
    ],
)
def test_what_is_wrong_with_one_of_several_is_named_with_its_line(
    write: Callable[..., Path], old: str, new: str, where: str, said: str, hint: str
) -> None:
    assert TWO.count(old) == 1
    text = TWO.replace(old, new)
    if not new:
        text = text.replace("port = 465", "port = 0")
        where = "line 7"
    path = write(text)
    error = refusal()
    assert f"{path} {where}: " in str(error)
    assert said in str(error)
    assert hint in (error.remedy or "")


def test_every_problem_of_every_mail_server_is_told_at_once(write: Callable[..., Path]) -> None:
    path = write(TWO.replace('"main.example"', "5").replace("465", "0") + "[desk]\nzone = 5\n")
    lines = str(refusal()).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        f"{path} line 14",
        f"{path} line 3",
        f"{path} line 8",
    ]


@pytest.mark.parametrize("text", ["relay = []\n", "relay = [1, 2]\n", 'relay = ["main"]\n'])
def test_a_list_that_is_not_of_mail_servers_is_refused(
    write: Callable[..., Path], text: str
) -> None:
    path = write(text)
    error = refusal()
    assert f"{path} line 1: relay is a list, but not of sections" in str(error)
    assert "[[relay]]" in (error.remedy or "")


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("DISTRIBUTOR_RELAY_BACKUP__PASSWORD", "[[relay]]"),
        ("DISTRIBUTOR_RELAY_MAIN__PASWORD", "relay.password"),
        ("DISTRIBUTOR_RELAY_BACK_UP__PORT", "relay.port"),
    ],
)
def test_a_wrong_variable_of_a_named_mail_server_is_named(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, variable: str, hint: str
) -> None:
    write(TWO)
    monkeypatch.setenv(variable, CANARY)
    error = refusal()
    assert variable in str(error)
    assert hint in (error.remedy or "")
    if "PORT" not in variable:
        assert CANARY not in str(error)


def test_two_names_that_share_their_variables_are_one_too_many(write: Callable[..., Path]) -> None:
    write(TWO.replace('"main"', '"back up"'))
    assert "is the name of two mail servers" in str(refusal())


def test_a_variable_cannot_give_two_mail_servers_one_name(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(TWO)
    monkeypatch.setenv("DISTRIBUTOR_RELAY__NAME", "back-up")
    assert "is the name of two mail servers" in str(refusal())


def test_a_signed_return_path_has_the_room_that_signing_needs() -> None:
    assert SIGNED_LOCAL_MAX == BASE_MAX


def test_a_fixed_return_path_may_be_as_long_as_any(write: Callable[..., Path]) -> None:
    address = f"{'r' * 60}@x.example"
    write(f'[relay]\nverp = "fixed"\nreturn_path = "{address}"\n')
    assert load().relay.return_path == address


# Secrets


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_password_file_others_may_read_is_refused(write: Callable[..., Path], mode: int) -> None:
    secret = write("tea", "secret", mode)
    error = refusal(write('[relay]\npassword_file = "secret"\n'))
    assert str(secret) in str(error)
    assert error.remedy == f"chmod 600 {secret}"


@pytest.mark.parametrize(
    "key", ['[relay]\npassword = "tea"\n', '[database]\nurl = "postgresql://d:tea@h/n"\n']
)
def test_a_config_file_with_a_password_is_for_its_owner_alone(
    write: Callable[..., Path], key: str
) -> None:
    assert load(write(key, mode=0o600))
    path = write(key, mode=0o644)
    assert refusal(path).remedy == f"chmod 600 {path}"


def test_a_config_file_without_a_password_may_be_read_by_all(write: Callable[..., Path]) -> None:
    assert load(write("[relay]\nport = 25\n", mode=0o644)).relay.port == 25


@pytest.mark.parametrize("content", ["", "\n", "two\nlines\n", "nul\0", "x" * 5000])
def test_a_password_file_holds_one_line(write: Callable[..., Path], content: str) -> None:
    secret = write(content, "secret")
    assert str(secret) in str(refusal(write('[relay]\npassword_file = "secret"\n')))


def test_a_missing_password_file_is_named(write: Callable[..., Path], tmp_path: Path) -> None:
    write('[relay]\npassword_file = "secret"\n')
    assert str(tmp_path / "secret") in str(refusal())


def test_the_password_has_one_source_and_the_environment_stands_over_the_file(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("from file", "secret")
    write('[relay]\npassword = "direct"\npassword_file = "secret"\n')
    assert "password_file" in str(refusal())
    write('[relay]\npassword_file = "secret"\n')
    monkeypatch.setenv("DISTRIBUTOR_RELAY__PASSWORD", "from environment")
    assert load().relay.password.get_secret_value() == "from environment"
    monkeypatch.setenv("DISTRIBUTOR_RELAY__PASSWORD_FILE", "secret")
    assert "password" in str(refusal())
    monkeypatch.delenv("DISTRIBUTOR_RELAY__PASSWORD")
    write('[relay]\npassword = "direct"\n')
    assert load().relay.password.get_secret_value() == "from file"


def test_reliability_31_a_loaded_secret_shows_nowhere(
    write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(CANARY, "secret")
    monkeypatch.setenv("DISTRIBUTOR_DATABASE__URL", f"postgresql://desk:{CANARY}@db.example/press")
    settings = load(write('[relay]\npassword_file = "secret"\n'))
    caplog.set_level(logging.DEBUG)
    logging.getLogger("test").warning("%s %r", settings, settings)
    shown = [repr(settings), str(settings), f"{settings.relay} {settings.database!s}", caplog.text]
    shown.append(settings.database.shown_url)
    assert all(CANARY not in text for text in shown)
    assert settings.database.shown_url == "postgresql://desk:***@db.example/press"
    assert settings.relay.password.get_secret_value() == CANARY


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ('[relay]\npassword = "{}"\nport = "x"\n', 0o600),
        ('[relay]\npassword = "{}"\n', 0o644),
        ('[relay]\npasword = "{}"\n', 0o600),
        ('[relay]\npassword = "{}"\nhost = "mail.example"\nsecurity = "none"\n', 0o600),
        ('[relay]\npassword = ["{}"]\n', 0o600),
        ('[relay]\npassword = {{ value = "{}" }}\n', 0o600),
        ('relay = "{}"\n', 0o600),
        ('[database]\nurl = "mysql://u:{}@h/n"\n', 0o600),
        ('[database]\nurl = "postgresql://u:{}\\n@h/n"\n', 0o600),
        ('[relay]\npassword = "{}\n', 0o600),
        ("[relay]\npassword = {}\n", 0o600),
    ],
)
def test_reliability_31_a_refused_secret_shows_nowhere(
    write: Callable[..., Path], text: str, mode: int
) -> None:
    write(text.format(CANARY), mode=mode)
    error = refusal()
    shown = "".join(traceback.format_exception(error, chain=True)) + repr(error) + str(error.remedy)
    assert CANARY not in shown
    assert error.__context__ is None


def test_reliability_31_a_secret_in_a_wrong_variable_shows_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("RELAY", "RELAY__PASWORD", "RELAY__PASSWORD__X", "SENDING__RETRY_AFTER_S"):
        with monkeypatch.context() as patch:
            patch.setenv(f"DISTRIBUTOR_{name}", CANARY)
            error = refusal()
        assert CANARY not in str(error)
        assert CANARY not in str(error.remedy)


# The example


def comments_before(text: str) -> dict[str, list[str]]:
    """Every key of the example, dotted, with the comment lines that stand right before it."""
    section, comment, found = "", [], {}
    for line in text.splitlines():
        if line.startswith("["):
            section, comment = line.strip("[]"), []
        elif line.startswith("#"):
            comment.append(line.lstrip("# "))
        elif "=" in line:
            found[f"{section}.{line.partition('=')[0].strip()}"], comment = comment, []
        else:
            comment = []
    return found


def test_the_example_documents_every_key_with_a_comment() -> None:
    found = comments_before(initial_config())
    assert list(found) == list(known_keys())
    assert [key for key, comment in found.items() if not comment] == []


def test_every_key_has_a_meaning_that_errors_can_show() -> None:
    assert [key for key, meaning in known_keys().items() if not meaning] == []


def test_the_example_states_the_defaults(write: Callable[..., Path]) -> None:
    from_example = load(write(initial_config(), mode=0o644))
    assert from_example.with_source(None) == load_without_file()
    stated: dict[str, dict[str, Any]] = tomllib.loads(initial_config())
    assert stated.keys() == Settings.model_fields.keys()


def load_without_file() -> Settings:
    Path("config.toml").unlink()
    return load()


def test_every_key_that_counts_seconds_says_so() -> None:
    example = comments_before(initial_config())
    for key, meaning in known_keys().items():
        if key.endswith("_s"):
            assert "econds" in meaning
            assert "econds" in " ".join(example[key])

from __future__ import annotations

import os
import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from distributor.cli.main import app
from tests.commandline import CommandLine

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def desk(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> CommandLine:
    """An empty folder."""
    assert app is not None
    return CommandLine(tmp_path, capsys, monkeypatch)


def test_init_makes_a_desk_that_every_reading_command_accepts(desk: CommandLine) -> None:
    said = desk.says("init")
    assert "config.toml written" in said
    assert "Database ready" in said
    assert said.rstrip().endswith("Next: distributor doctor")
    for words in (
        ["release", "list"],
        ["lists", "show"],
        ["contacts", "find", ""],
        ["audit", "show"],
    ):
        assert desk.says(*words), "an empty desk says what to do next"
    assert "sender.address is not set" in desk.run("doctor").out


def test_init_again_keeps_what_is_there(desk: CommandLine) -> None:
    desk.says("init")
    config = desk.folder / "config.toml"
    config.write_text(config.read_text().replace("Press Office", "Our Office"), encoding="utf-8")
    said = desk.says("init")
    assert "is there already and is kept" in said
    assert "Our Office" in config.read_text(encoding="utf-8")


def test_row_31_config_and_database_are_for_their_owner_alone(desk: CommandLine) -> None:
    before = os.umask(0)
    try:
        desk.says("init")
    finally:
        os.umask(before)
    for name in ("config.toml", "distributor.db"):
        assert (desk.folder / name).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("by", ["option", "variable"])
def test_init_elsewhere_puts_the_database_beside_the_configuration(
    desk: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    place = desk.folder / "etc" / "desk" / "press.toml"
    words = ["--config", str(place)] if by == "option" else []
    if by == "variable":
        monkeypatch.setenv("DISTRIBUTOR_CONFIG", str(place))
    desk.says(*words, "init")
    assert place.is_file()
    assert (place.parent / "distributor.db").is_file()
    assert not (desk.folder / "config.toml").exists()
    assert "No release yet" in desk.says(*words, "release", "list")


def test_init_where_nothing_can_be_written_is_refused(desk: CommandLine) -> None:
    desk.file("file", "")
    for place in ("file/config.toml", "/proc/nowhere/config.toml"):
        refused = desk.refuses("--config", place, "init")
        assert f"{place} cannot be written" in refused
        assert "distributor --config FILE init" in refused


def test_a_folder_in_the_place_of_the_configuration_is_refused(desk: CommandLine) -> None:
    (desk.folder / "config.toml").mkdir()
    assert "config.toml is a folder" in desk.refuses("init")


def test_a_database_that_cannot_be_made_is_refused(desk: CommandLine) -> None:
    desk.configure(database__url="sqlite:////proc/nowhere/x.db")
    assert "cannot be" in desk.run("init").err
    desk.configure(database__url=f"sqlite:///{desk.folder}")
    assert desk.run("init").code == 1


def test_without_init_a_command_says_to_init(desk: CommandLine) -> None:
    assert "distributor init" in desk.refuses("release", "list")


def test_an_empty_database_says_how_to_make_its_tables(desk: CommandLine) -> None:
    desk.configure()
    desk.file("distributor.db", b"")
    assert "distributor db upgrade" in desk.refuses("release", "list")
    assert "Database ready" in desk.says("db", "upgrade")
    assert "No release yet" in desk.says("release", "list")


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        (
            "[relay]\nconections = 4\n",
            "line 2: relay.conections is not a known key",
            "relay.connections",
        ),
        ("[relai]\nport = 4\n", "line 1: relai is not a known key", "[relay]"),
        ("[relay]\nport = 'x'\n", "line 2: relay.port: 'x'", "587"),
        ("[desk]\nzone = 'Mars/Base'\n", "line 2: desk.zone: 'Mars/Base' is not", "zone"),
        ("[desk\n", "config.toml", "TOML"),
    ],
)
def test_a_configuration_that_cannot_be_used_names_file_line_key_and_remedy(
    desk: CommandLine,
    text: str,
    said: str,
    remedy: str,
) -> None:
    desk.file("config.toml", text)
    for words in (["init"], ["release", "list"], ["doctor"], ["worker"], ["run"]):
        done = desk.run(*words)
        assert done.code == 1, words
        assert said in done.err
        assert remedy in done.err
        assert str(desk.folder / "config.toml") in done.err


def test_a_binary_or_forbidden_configuration_is_refused(desk: CommandLine) -> None:
    desk.file("config.toml", b"\xff\xfe\x00")
    assert "is not UTF-8" in desk.refuses("release", "list")


def test_every_key_of_the_new_configuration_is_a_known_one(desk: CommandLine) -> None:
    desk.says("init")
    text = (desk.folder / "config.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["desk"]["zone"] == "Europe/London"


def test_the_version_is_said(desk: CommandLine) -> None:
    assert re.fullmatch(r"distributor \d+\.\d+\S*\n", desk.says("--version"))

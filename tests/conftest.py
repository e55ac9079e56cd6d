"""What every test may ask for: fresh databases on both engines, and no network but this machine."""

from __future__ import annotations

import os
import shutil
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import structlog

from distributor.settings import PREFIX, is_loopback
from tests import postgresql
from tests.leftout import IN_CI, leave_out

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

hypothesis.settings.register_profile("desk", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)

hypothesis.settings.load_profile("ci" if IN_CI else "desk")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Keep the configuration of whoever runs the tests out of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith(PREFIX) and name != postgresql.VARIABLE:
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _no_log_left_set_up() -> None:
    """Forget where a command of an earlier test had its log go: that stream is closed by now."""
    structlog.reset_defaults()


# The network ends at this machine


class WentOutside(AssertionError):
    """A test tried to reach another machine."""


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Refuse connections and look-ups beyond this machine, asyncio's too; yield what was tried."""
    tries: list[object] = []

    def check(host: object) -> None:
        name = host.decode() if isinstance(host, bytes) else host
        if isinstance(name, str) and name and not is_loopback(name):
            tries.append(name)
            raise WentOutside(f"{name} is not this machine")

    def guarded(original: Any) -> Any:
        def call(self: socket.socket, address: Any) -> Any:
            if self.family in {socket.AF_INET, socket.AF_INET6}:
                check(address[0])
            return original(self, address)

        return call

    look_up = socket.getaddrinfo

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in {"0.0.0.0", "::"}:  # noqa: S104 - only looked at
            check(host)
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    yield tries
    # Said again here, for the code under test may have swallowed the first word.
    if tries:
        pytest.fail(f"reached for {tries}: tests stay on this machine", pytrace=False)


# Databases


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[postgresql.Server]:
    """One server for the session; without one the test is left out, in CI it fails."""
    try:
        with postgresql.server() as server:
            yield server
    except postgresql.Absent as reason:
        leave_out(f"PostgreSQL: {reason}")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engines every store test runs on."""
    return request.param


@pytest.fixture
def database_url(engine_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a fresh, empty database."""
    if engine_name == "sqlite":
        yield _sqlite_url(tmp_path / "empty.db")
        return
    yield from _borrowed(request.getfixturevalue("postgresql_server"), "template0")


@pytest.fixture
def migrated_url(engine_name: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a fresh database with this version's tables: a copy of one that was migrated once."""
    if engine_name == "sqlite":
        copy = tmp_path / "distributor.db"
        shutil.copyfile(request.getfixturevalue("_migrated_sqlite"), copy)
        yield _sqlite_url(copy)
        return
    template = request.getfixturevalue("_migrated_postgresql")
    yield from _borrowed(request.getfixturevalue("postgresql_server"), template)


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "distributor.db"
    _upgrade(_sqlite_url(path))
    return path


@pytest.fixture(scope="session")
def _migrated_postgresql(postgresql_server: postgresql.Server) -> Iterator[str]:
    name = postgresql_server.create()
    _upgrade(postgresql_server.url(name))
    yield name
    postgresql_server.drop(name)


def _sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def _upgrade(url: str) -> None:
    from distributor.store.database import upgrade  # noqa: PLC0415 - for tests that need no store

    upgrade(url)


def _borrowed(server: postgresql.Server, template: str) -> Iterator[str]:
    name = server.create(template=template)
    yield server.url(name)
    server.drop(name)


# What was left out


def _left_out(reporter: Any) -> Counter[str]:
    reports = reporter.stats.get("skipped", [])
    return Counter(report.longrepr[2].removeprefix("Skipped: ") for report in reports)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name every group of tests that did not run, and why."""
    terminalreporter.section("left out")
    left_out = _left_out(terminalreporter)
    for reason, count in left_out.items():
        terminalreporter.line(f"{count} tests: {reason}")
    deselected = len(terminalreporter.stats.get("deselected", []))
    if deselected:
        terminalreporter.line(f"{deselected} tests: not asked for on the command line")
    if not left_out and not deselected:
        terminalreporter.line("nothing")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI nothing may be left out."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if IN_CI and session.exitstatus == pytest.ExitCode.OK and _left_out(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

"""Several relays: fail-over in the middle of a wave, limits, and signed return paths."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from distributor.app import open_app
from distributor.config import load
from distributor.core.returnpath import reference_in
from distributor.store import relays
from tests.flow.press import Press
from tests.mail.scripted import CUT, OFFERS, PIPELINING, Scripted, Wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Story = Callable[[Press, str], Awaitable[None]]


@pytest.fixture
def engine_name() -> str:
    """Which engine it is makes no difference here."""
    return "sqlite"


def distribute(
    folder: Path, servers: list[Scripted], story: Story, people: int = 60, **changes: Any
) -> None:
    """One wave through these servers, the preferred one first; ``r0__per_day=5`` changes one."""

    async def tell() -> None:
        async with AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server)
            with Press(folder, servers[0].port) as press:
                _several(press, servers, changes)
                press.app.close()
                ref = ""
            with Again(folder) as press:
                ref = press.wave(people)
                async with press.working():
                    await story(press, ref)

    asyncio.run(tell())


def _several(press: Press, servers: list[Scripted], changes: dict[str, Any]) -> None:
    text = press.config.read_text(encoding="utf-8")
    head, _, tail = text.partition("[relay]")
    tables = ""
    for number, server in enumerate(servers):
        more = {"connections": 2} | {
            key.partition("__")[2]: value
            for key, value in changes.items()
            if key.startswith(f"r{number}__")
        }
        tables += f'[[relay]]\nname = "r{number}"\nhost = "127.0.0.1"\nport = {server.port}\n'
        tables += 'security = "none"\n' + "".join(f"{k} = {v}\n" for k, v in more.items())
    press.config.write_text(f"{head}{tables}[sending]{tail.partition('[sending]')[2]}")


class Again(Press):
    """The same folder's desk, with the configuration that stands there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.toml"
        self.app = open_app(load(self.config))
        self.processes = []


def taken(*servers: Scripted) -> Counter[bytes]:
    """How often each recipient's mail came to its dot and was answered 2xx."""
    return Counter(
        rcpt
        for server in servers
        for seen in server.conversations
        for rcpt, said in seen.taken
        if said.startswith(b"250")
    )


def used(press: Press, ref: str) -> Counter[str | None]:
    return Counter(line.relay for line in press.log(ref))


@pytest.mark.parametrize("offers", [OFFERS, PIPELINING])
@pytest.mark.parametrize(
    "dies", [CUT, b"421 4.3.2 going down\r\n", b"451 4.3.0 trouble\r\n"], ids=["cut", "421", "451"]
)
def test_fail_over_in_the_middle_of_a_wave_doubles_nobody(
    tmp_path: Path, dies: Any, offers: tuple[str, ...]
) -> None:
    ok = b"250 2.1.0 ok\r\n"
    banner: Any = (
        [b"220 here\r\n"] * 2 + [b"421 4.3.2 gone\r\n"] if dies is CUT else b"220 here\r\n"
    )
    script: dict[str, Any] = {"mail": [*[ok] * 20, dies], "banner": banner}
    first = Scripted(offers=offers, answers=script)
    second = Scripted(offers=offers)

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 60}
        by_relay = used(press, ref)
        assert by_relay["r0"] >= 18
        assert by_relay["r0"] + by_relay["r1"] == 60
        assert by_relay["r1"] > 0

    distribute(tmp_path, [first, second], story)
    assert set(taken(first, second).values()) == {1}
    assert len(taken(first, second)) == 60


def test_what_is_uncertain_at_one_relay_never_goes_to_another(tmp_path: Path) -> None:
    kept = b"250 2.0.0 kept\r\n"
    first = Scripted(
        answers={"dot": [*[kept] * 10, CUT], "banner": [*[b"220 here\r\n"] * 2, b"421 no\r\n"]}
    )
    second = Scripted()

    async def story(press: Press, ref: str) -> None:
        counts = await press.done(ref)
        assert sum(counts.values()) == 60
        assert 1 <= counts["uncertain"] <= 2
        doubted = {line.address.encode() for line in press.log(ref) if line.state == "uncertain"}
        there = b" ".join(taken(second))
        assert not [address for address in doubted if b"<" + address + b">" in there]

    distribute(tmp_path, [first, second], story)
    assert set(taken(first, second).values()) == {1}


def test_it_goes_back_to_the_preferred_relay_once_that_is_well(tmp_path: Path) -> None:
    first = Scripted(answers={"banner": [*[b"421 4.3.2 later\r\n"] * 2, b"220 here\r\n"]})
    second = Scripted(dot=(Wait(0.05), b"250 2.0.0 kept\r\n"))

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 150}
        by_relay = used(press, ref)
        assert by_relay["r0"] > 0
        assert by_relay["r1"] > 0

    distribute(tmp_path, [first, second], story, people=150)
    assert set(taken(first, second).values()) == {1}


def test_a_wrong_password_at_one_relay_leaves_all_to_the_other(tmp_path: Path) -> None:
    first = Scripted(offers=(*OFFERS, "AUTH PLAIN"), auth=b"535 5.7.8 no\r\n")
    second = Scripted()

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 60}
        with press.app.database.read() as tx:
            report = relays.reports(tx)["r0"]
        assert report.state == "stopped"
        assert "535" in report.says

    login: dict[str, Any] = {"r0__username": '"desk"', "r0__password": '"wrong"'}
    distribute(tmp_path, [first, second], story, **login)
    assert [seen.verbs.count("AUTH") for seen in first.conversations] == [1]


def test_a_relay_whose_day_is_used_up_leaves_the_rest_to_the_next(tmp_path: Path) -> None:
    first, second = Scripted(), Scripted()

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 60}
        assert used(press, ref) == {"r0": 25, "r1": 35}
        with press.app.database.read() as tx:
            assert sum(mails for _, mails in relays.spent(tx)["r0"]) == 25

    distribute(tmp_path, [first, second], story, r0__per_day=25)


def test_a_day_used_up_everywhere_leaves_the_rest_queued_and_nothing_in_hand(
    tmp_path: Path,
) -> None:
    only = Scripted()

    async def story(press: Press, ref: str) -> None:
        await press.until(lambda: press.counts(ref) == {"accepted": 25, "queued": 35})
        press.cancel(ref)
        await press.until(lambda: press.counts(ref) == {"accepted": 25, "cancelled": 35})

    distribute(tmp_path, [only], story, r0__per_day=25)
    assert len(taken(only)) == 25


@pytest.mark.parametrize("offers", [OFFERS, PIPELINING])
def test_no_second_sees_more_mails_than_allowed(tmp_path: Path, offers: tuple[str, ...]) -> None:
    only, began = Scripted(offers=offers), time.monotonic()

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 60}

    distribute(tmp_path, [only], story, r0__per_second=20)
    assert time.monotonic() - began >= 2
    assert set(taken(only).values()) == {1}


@pytest.mark.parametrize("offers", [OFFERS, PIPELINING])
def test_a_domain_at_its_limit_holds_up_nobody_else(
    tmp_path: Path, offers: tuple[str, ...]
) -> None:
    only = Scripted(offers=offers)

    async def story(press: Press, ref: str) -> None:
        # Of the 80 two each are at paper0 to paper39.
        await press.until(lambda: press.counts(ref).get("accepted", 0) >= 79)
        left = [line.address for line in press.log(ref) if line.state != "accepted"]
        assert left == ["reader43@paper3.example"]
        press.cancel(ref)
        await press.until(lambda: press.counts(ref) == {"accepted": 79, "cancelled": 1})

    domains = '{ "paper3.example" = { per_minute = 1 }, "*" = { connections = 1 } }'
    distribute(tmp_path, [only], story, people=80, r0__domains=domains)
    assert set(taken(only).values()) == {1}


@pytest.mark.parametrize("offers", [OFFERS, PIPELINING])
def test_every_mail_returns_to_a_signed_address_of_its_own(
    tmp_path: Path, offers: tuple[str, ...]
) -> None:
    first, second = Scripted(offers=offers), Scripted(offers=offers)
    keys = list[bytes]()

    async def story(press: Press, ref: str) -> None:
        assert await press.done(ref) == {"accepted": 60}
        with press.app.database.read() as tx:
            keys.append(relays.return_path_key(tx))

    changes: dict[str, Any] = {
        "r0__per_day": 20,
        "r1__verp": '"fixed"',
        "r1__return_path": '"b@x.example"',
    }
    distribute(tmp_path, [first, second], story, **changes)
    senders = [
        command.split(b"<")[1].split(b">")[0].decode()
        for seen in first.conversations
        for command in seen.commands
        if command.startswith(b"MAIL")
    ]
    references = {reference_in(sender, key=keys[0]) for sender in senders}
    assert len(references) == 20
    assert None not in references
    assert all(sender.endswith("@institute.example") for sender in senders)
    fixed = {
        command.split(b" SIZE")[0]
        for seen in second.conversations
        for command in seen.commands
        if command.startswith(b"MAIL")
    }
    assert fixed == {b"MAIL FROM:<b@x.example>"}

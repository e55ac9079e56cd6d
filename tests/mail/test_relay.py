"""The way to the relay, against real sockets and real TLS on 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import importlib.metadata
import io
import logging
import re
import socket
import tomllib
import traceback
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from rich.console import Console
from rich.traceback import Traceback

from distributor.core.health import BREAKER, Health
from distributor.core.model import Outcome
from distributor.core.outcome import judge
from distributor.errors import RelayError
from distributor.mail import relay as relay_module
from distributor.mail.relay import Probe, Relay, RelayPolicy
from distributor.mail.transaction import Envelope, Session, Timeouts
from tests.mail.scripted import CUT, OFFERS, SILENCE, Scripted, certificate

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

CANARY = "correct-horse-7Q"
CANARY_FORMS = (CANARY, "Y29ycmVjdC1ob3JzZS03UQ", "AGRlc2sAY29ycmVjdC1ob3JzZS03UQ")
LOGIN: dict[str, Any] = {"username": "desk", "password": SecretStr(CANARY)}
QUICK = Timeouts(connect_s=1, command_s=0.5, data_s=1, block_s=1, after_dot_s=1)
SECURE = (*OFFERS, "AUTH PLAIN LOGIN")
PLAIN = ("STARTTLS", *OFFERS)


class Unlogged:
    """A flight log that keeps nothing."""

    def started(self, delivery: int | str, *, token: Any = None, **_: object) -> None: ...

    def dotted(self, delivery: int | str, *, token: Any = None, **_: object) -> None: ...

    def answered(
        self,
        delivery: int | str,
        code: int | None,
        reply: str,
        *,
        token: Any = None,
        **_: object,
    ) -> None: ...

    def flush(self) -> None: ...


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def of_another_host(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    return certificate(tmp_path_factory.mktemp("other"), host="DNS:mail.other.example")


def a_relay(server: Scripted, **changes: Any) -> Relay:
    values: dict[str, Any] = {
        "name": "test",
        "host": "127.0.0.1",
        "port": server.port,
        "security": "none",
        "hello_name": "desk.example",
        "timeouts": QUICK,
    }
    return Relay(RelayPolicy(**{**values, **changes}))


async def send_one(session: Session, data: bytes = b"Subject: x\r\n\r\nhello\r\n") -> Outcome:
    envelope = Envelope("desk@press.example", "ann@daily.example", data, delivery=1)
    facts = await session.send(envelope, gate=lambda: None, flight=Unlogged())
    return judge(facts).outcome


def meet(server: Scripted, act: Callable[[Relay], Awaitable[Any]], **policy: Any) -> Any:
    async def run() -> Any:
        async with server:
            return await act(a_relay(server, **policy))

    return asyncio.run(run())


async def connect_and_send(relay: Relay) -> Outcome:
    session = await relay.connect()
    outcome = await send_one(session)
    await session.quit()
    return outcome


def refusal(server: Scripted, **policy: Any) -> RelayError:
    async def act(relay: Relay) -> RelayError:
        with pytest.raises(RelayError) as caught:
            await relay.connect()
        assert (relay.health.stopped_by is not None) is caught.value.permanent
        return caught.value

    return meet(server, act, **policy)


def test_a_loopback_relay_takes_mail_in_clear_text() -> None:
    server = Scripted()
    assert meet(server, connect_and_send) is Outcome.ACCEPTED
    assert server.last.commands[0] == b"EHLO desk.example"
    assert server.last.verbs == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
    assert b"SIZE=" in server.last.commands[1]


@pytest.mark.parametrize("data", [b"Subject: x\r\n\r\nhi\r\n", b"x" * 70 + b"\r\n"])
def test_mail_goes_through_starttls_and_a_login(
    trusted: tuple[ssl.SSLContext, Path], data: bytes
) -> None:
    context, pem = trusted
    server = Scripted(tls=context, offers=PLAIN, offers_in_tls=SECURE)
    data *= 40_000

    async def act(relay: Relay) -> Outcome:
        session = await relay.connect()
        outcome = await send_one(session, data)
        await session.quit()
        return outcome

    assert meet(server, act, security="starttls", ca_file=pem, **LOGIN) is Outcome.ACCEPTED
    verbs = ["EHLO", "STARTTLS", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]
    assert server.last.verbs == verbs
    assert server.last.bodies == [data + b".\r\n"]


def test_mail_goes_through_tls_from_the_first_byte(trusted: tuple[ssl.SSLContext, Path]) -> None:
    context, pem = trusted
    server = Scripted(tls=context, implicit_tls=True, offers=SECURE)
    outcome = meet(server, connect_and_send, security="tls", ca_file=pem, **LOGIN)
    assert outcome is Outcome.ACCEPTED


def test_a_body_stalled_under_tls_is_not_counted_as_sent(
    trusted: tuple[ssl.SSLContext, Path],
) -> None:
    context, pem = trusted
    server = Scripted(tls=context, implicit_tls=True, data=(b"354 go\r\n", SILENCE))

    async def act(relay: Relay) -> Outcome:
        return await send_one(await relay.connect(), b"x" * 70 + b"\r\n" * 9_000_000)

    server.receive_buffer = 4096
    assert meet(server, act, security="tls", ca_file=pem) is Outcome.NOT_SENT


# Row 25: TLS


@pytest.mark.parametrize(
    "answers",
    [{}, {"offers": PLAIN, "starttls": b"502 5.5.1 no\r\n"}],
    ids=["not offered", "offered, then refused"],
)
def test_row_25_a_stripped_starttls_is_refused_before_any_login_or_mail(
    answers: dict[str, Any],
) -> None:
    server = Scripted(**answers)
    error = refusal(server, security="starttls", **LOGIN)
    assert error.permanent
    assert error.remedy or error.code == 502
    assert set(server.last.verbs) <= {"EHLO", "STARTTLS"}
    assert b"desk\0" not in b"".join(server.last.commands)


def test_row_25_a_server_that_strips_starttls_the_second_time_is_refused_then(
    trusted: tuple[ssl.SSLContext, Path],
) -> None:
    context, pem = trusted
    server = Scripted(tls=context, offers=PLAIN, offers_in_tls=SECURE)

    async def act(relay: Relay) -> None:
        await (await relay.connect()).quit()
        server.offers = SECURE
        with pytest.raises(RelayError, match="STARTTLS"):
            await relay.connect()

    meet(server, act, security="starttls", ca_file=pem, **LOGIN)
    assert server.last.verbs == ["EHLO"]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_row_25_a_self_signed_certificate_is_refused(
    trusted: tuple[ssl.SSLContext, Path], security: str
) -> None:
    context, _ = trusted
    server = Scripted(tls=context, implicit_tls=security == "tls", offers=PLAIN)
    error = refusal(server, security=security, **LOGIN)
    assert error.permanent
    assert "certificate" in str(error)
    assert error.remedy is not None
    assert not any({"AUTH", "MAIL"} & set(said.verbs) for said in server.conversations)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_row_25_a_certificate_for_another_host_is_refused(
    of_another_host: tuple[ssl.SSLContext, Path], security: str
) -> None:
    context, pem = of_another_host
    server = Scripted(tls=context, implicit_tls=security == "tls", offers=PLAIN)
    error = refusal(server, security=security, ca_file=pem, **LOGIN)
    assert error.permanent
    assert "127.0.0.1" in str(error)


def test_row_25_plaintext_injected_after_220_is_discarded(
    trusted: tuple[ssl.SSLContext, Path],
) -> None:
    context, pem = trusted
    injected = b"220 go\r\n250-evil\r\n250 AUTH XEVIL\r\n235 welcome\r\n"
    server = Scripted(tls=context, offers=PLAIN, offers_in_tls=SECURE, starttls=injected)

    async def act(relay: Relay) -> tuple[str, ...]:
        session = await relay.connect()
        assert await send_one(session) is Outcome.ACCEPTED
        await session.quit()
        return tuple(session.capabilities.extensions)

    offered = meet(server, act, security="starttls", ca_file=pem, **LOGIN)
    assert "starttls" not in offered
    assert server.last.verbs[:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]


def test_row_25_clear_text_to_another_machine_is_refused_before_a_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "is_loopback", lambda _: False)
    server = Scripted(offers=SECURE)
    error = refusal(server, security="none", **LOGIN)
    assert error.permanent
    assert "clear text" in str(error)
    assert not server.conversations or server.last.commands == []


def test_a_missing_ca_file_is_said_in_words(tmp_path: Path) -> None:
    error = refusal(Scripted(), security="tls", ca_file=tmp_path / "none.pem")
    assert error.permanent
    assert "none.pem" in str(error)


def test_a_454_at_starttls_is_for_later(trusted: tuple[ssl.SSLContext, Path]) -> None:
    context, pem = trusted
    server = Scripted(tls=context, offers=PLAIN, starttls=b"454 4.7.0 not now\r\n")
    error = refusal(server, security="starttls", ca_file=pem)
    assert (error.code, error.permanent) == (454, False)


# Finding 6: the library's own two injections


def test_finding_6_the_library_is_pinned_above_its_two_injections() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    (wanted,) = [name for name in project["project"]["dependencies"] if "aiosmtplib" in name]
    floor = re.search(r">=(\d+)\.(\d+)\.(\d+)", wanted)
    assert floor is not None
    assert tuple(map(int, floor.groups())) >= (5, 1, 2)
    installed = importlib.metadata.version("aiosmtplib").split(".")
    assert tuple(map(int, installed)) >= (5, 1, 2)


@pytest.mark.parametrize("name", ["x\r\nMAIL FROM:<a@b.example>", "x y", "x\0", "m\u00fcnchen"])
def test_finding_6_no_command_is_injected_through_the_name_we_greet_with(name: str) -> None:
    server = Scripted()
    error = refusal(server, hello_name=name)
    assert error.permanent
    assert "hello_name" in str(error)
    assert not server.conversations or server.last.commands == []


@pytest.mark.parametrize("text", ["desk\r\nMAIL FROM:<a@b.example>", "desk\0root"])
def test_finding_6_no_command_is_injected_through_the_login(text: str) -> None:
    server = Scripted(offers=SECURE)
    meet(server, connect_and_send, username=text, password=SecretStr(text))
    assert server.last.verbs == ["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]


# Rows 4, 5 and 7: connect, banner, login


TROUBLE: dict[str, tuple[dict[str, Any], int | None]] = {
    "row 5 garbage banner": ({"banner": b"\x16\x03\x01 what\r\n"}, None),
    "row 5 421 banner": ({"banner": b"421 4.3.2 busy\r\n"}, 421),
    "row 5 554 banner": ({"banner": b"554 5.3.2 go away\r\n"}, 554),
    "row 5 cut at the banner": ({"banner": CUT}, None),
    "row 5 no banner": ({"banner": SILENCE}, None),
    "row 5 endless banner": ({"banner": b"220-x\r\n" * 20_000}, None),
    "row 5 EHLO refused": ({"ehlo": b"550 no\r\n"}, 550),
    "row 5 EHLO 421": ({"ehlo": b"421 no\r\n"}, 421),
    "row 5 EHLO garbage": ({"ehlo": b"\0\r\n"}, None),
    "row 7 454 at AUTH": ({"auth": b"454 4.7.0 later\r\n", "offers": SECURE}, 454),
    "row 7 cut at AUTH": ({"auth": CUT, "offers": SECURE}, None),
}


@pytest.mark.parametrize("case", TROUBLE)
def test_trouble_on_the_way_is_for_later_and_rests_the_relay(case: str) -> None:
    answers, code = TROUBLE[case]
    server = Scripted(**answers)

    async def act(relay: Relay) -> RelayError:
        with pytest.raises(RelayError) as caught:
            await relay.connect()
        assert relay.health.failures == 1
        assert 0 < relay.rest_s <= 1
        with pytest.raises(RelayError, match="rests"):
            await relay.connect()
        return caught.value

    error = meet(server, act, **LOGIN if "AUTH" in case else {})
    assert (error.code, error.permanent) == (code, False)
    assert len(server.conversations) == 1


def test_row_4_nobody_listening_is_for_later() -> None:
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]

        async def run() -> RelayError:
            relay = Relay(RelayPolicy("test", "127.0.0.1", port, timeouts=QUICK))
            with pytest.raises(RelayError, match="cannot be reached") as caught:
                await relay.connect()
            return caught.value

        error = asyncio.run(run())
    assert not error.permanent
    assert error.remedy is not None


def test_row_4_a_host_that_never_answers_is_given_up_after_the_connect_timeout() -> None:
    with closing(socket.socket()) as full, closing(socket.socket()) as first:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        first.connect(full.getsockname())
        more = [socket.socket() for _ in range(3)]
        for extra in more:
            extra.settimeout(0)
            extra.connect_ex(full.getsockname())

        async def run() -> None:
            waits = Timeouts(connect_s=0.3)
            port = full.getsockname()[1]
            relay = Relay(RelayPolicy("test", "127.0.0.1", port, timeouts=waits))
            with pytest.raises(RelayError, match="in time"):
                await asyncio.wait_for(relay.connect(), 3)

        asyncio.run(run())
        for extra in more:
            extra.close()


@pytest.mark.parametrize(
    ("failure", "permanent"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), False),
        (UnicodeError("label empty or too long"), True),
    ],
)
def test_a_host_that_is_no_name_is_said_in_words(
    failure: Exception, monkeypatch: pytest.MonkeyPatch, *, permanent: bool
) -> None:
    async def look_up(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", look_up)
    error = refusal(Scripted(), host="mail..example")
    assert "mail..example" in str(error)
    assert error.permanent is permanent
    assert error.remedy is not None


@pytest.mark.parametrize("reply", [b"535 5.7.8 wrong\r\n", b"534 5.7.9 weak\r\n"])
@pytest.mark.parametrize("methods", ["PLAIN LOGIN CRAM-MD5", "LOGIN", "CRAM-MD5"])
def test_row_7_a_refused_login_stops_the_relay_after_one_try(reply: bytes, methods: str) -> None:
    server = Scripted(offers=(*OFFERS, f"AUTH {methods}"), auth=reply)

    async def act(relay: Relay) -> RelayError:
        with pytest.raises(RelayError) as caught:
            await relay.connect()
        for _ in range(3):
            with pytest.raises(RelayError) as again:
                await relay.connect()
            assert again.value.permanent
            assert again.value.code == caught.value.code
        assert len(server.conversations) == 1
        relay.reset()
        with pytest.raises(RelayError):
            await relay.connect()
        assert len(server.conversations) == 2
        return caught.value

    error = meet(server, act, **LOGIN)
    assert error.permanent
    assert error.code == int(reply[:3])
    assert error.remedy is not None
    assert [said.verbs.count("AUTH") for said in server.conversations] == [1, 1]


def test_row_7_a_server_without_login_is_refused_when_one_is_configured() -> None:
    error = refusal(Scripted(), **LOGIN)
    assert error.permanent
    assert "log in" in str(error)


# Row 31: the password


@pytest.mark.parametrize(
    "reply",
    [
        b"535 5.7.8 wrong: " + CANARY.encode() + b"\r\n",
        b"454 4.7.0 AGRlc2sAY29ycmVjdC1ob3JzZS03UQ== later\r\n",
        b"what? " + CANARY.encode() + b"\r\n",
        CUT,
    ],
)
def test_row_31_the_password_is_in_no_log_repr_or_traceback(
    reply: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = refusal(Scripted(offers=SECURE, auth=reply), **LOGIN)
    screen = io.StringIO()
    Console(file=screen, width=200).print(
        Traceback.from_exception(type(error), error, error.__traceback__, show_locals=True)
    )
    policy = RelayPolicy("test", "mail.example", 587, **LOGIN)
    shown = "".join(
        [
            *traceback.format_exception(error),
            repr(error),
            repr(policy),
            str(policy),
            repr(Relay(policy).__dict__),
            screen.getvalue(),
            caplog.text,
        ]
    )
    assert "wrong" in shown or "later" in shown or "what" in shown or "cannot be reached" in shown
    assert not [form for form in CANARY_FORMS if form in shown]


def test_row_26_a_relay_s_words_are_cleaned_in_the_error() -> None:
    error = refusal(Scripted(banner=b"554 \x1b[31mno\x07 <b>" + b"x" * 5000 + b"\r\n"))
    assert "\x1b" not in str(error)
    assert len(str(error)) < 2200


# Health


def test_an_open_breaker_lets_one_try_at_a_time_and_one_success_closes_it() -> None:
    async def act(relay: Relay) -> None:
        relay.health = Health(failures=BREAKER)
        tries = await asyncio.gather(*(relay.connect() for _ in range(4)), return_exceptions=True)
        sessions = [won for won in tries if isinstance(won, Session)]
        assert len(sessions) == 1
        assert relay.health == Health()
        more = await asyncio.gather(*(relay.connect() for _ in range(3)))
        for session in (*sessions, *more):
            await session.quit()

    meet(Scripted(), act)


def test_a_failed_trial_rests_longer() -> None:
    async def act(relay: Relay) -> None:
        relay.health = Health(failures=BREAKER)
        with pytest.raises(RelayError):
            await relay.connect()
        assert relay.health.failures == BREAKER + 1
        assert 15 < relay.rest_s <= 32

    meet(Scripted(banner=b"421 no\r\n"), act)


def test_a_transaction_s_fault_can_be_counted_against_the_relay() -> None:
    async def act(relay: Relay) -> None:
        relay.failed(RelayError("421 at MAIL", code=421))
        assert relay.rest_s > 0

    meet(Scripted(), act)


def test_half_the_connections_go_on_after_a_failure_and_come_back_after_success() -> None:
    async def act(relay: Relay) -> None:
        assert relay.connections == 8
        relay.failed(RelayError("421", code=421), carrying=True)
        assert relay.connections == 4
        assert relay.fares == ("resting", "421")
        assert not relay.may_carry()
        relay.worked()
        assert (relay.connections, relay.fares) == (4, ("well", ""))
        assert relay.may_carry()
        relay.health = replace(relay.health, more_at=0.0)
        relay.worked()
        assert relay.connections == 5

    meet(Scripted(), act, connections=8)


def test_after_a_failed_mail_one_connection_tries_for_all() -> None:
    async def act(relay: Relay) -> None:
        relay.failed(RelayError("451", code=451), carrying=True)
        relay.health = replace(relay.health, retry_at=0.0)
        session = await relay.connect()
        # A server that greets and then refuses every mail is not well because it greets.
        assert not relay.health.well
        assert [relay.may_carry() for _ in range(3)] == [True, False, False]
        relay.proved_nothing()
        assert [relay.may_carry() for _ in range(3)] == [True, False, False]
        relay.worked()
        assert [relay.may_carry() for _ in range(3)] == [True, True, True]
        await session.quit()

    meet(Scripted(), act)


def test_a_relay_that_is_stopped_carries_nothing() -> None:
    async def act(relay: Relay) -> None:
        relay.failed(RelayError("535 no", code=535, permanent=True))
        assert not relay.may_carry()
        assert relay.fares == ("stopped", "535 no")

    meet(Scripted(), act)


# Probe


def test_probe_offers_senders_and_takes_them_back_without_a_mail() -> None:
    server = Scripted(
        answers={"mail": [b"250 ok\r\n", b"553 5.7.1 not yours\r\n", b"250 ok\r\n"]},
    )
    senders = ("press@desk.example", "press+x@desk.example", "a@b.example")

    async def act(relay: Relay) -> Probe:
        return await relay.probe(senders, recipient="press@desk.example")

    probe = meet(server, act)
    assert probe.refusals == (None, "553 5.7.1 not yours", None)
    offered = [command.split(b" SIZE")[0] for command in server.last.commands]
    assert offered[1:] == [
        b"MAIL FROM:<press@desk.example>",
        b"RCPT TO:<press@desk.example>",
        b"RSET",
        b"MAIL FROM:<press+x@desk.example>",
        b"RSET",
        b"MAIL FROM:<a@b.example>",
        b"RCPT TO:<press@desk.example>",
        b"RSET",
        b"QUIT",
    ]
    assert server.last.bodies == []


def test_a_sender_that_is_refused_only_at_rcpt_is_refused() -> None:
    server = Scripted(rcpt=b"553 5.7.1 sender not owned\r\n")

    async def act(relay: Relay) -> Probe:
        return await relay.probe(["a@b.example"], recipient="c@d.example")

    assert meet(server, act).refusals == ("553 5.7.1 sender not owned",)


def test_a_server_that_cuts_when_a_sender_is_offered_is_said_so() -> None:
    async def act(relay: Relay) -> None:
        with pytest.raises(RelayError):
            await relay.probe(["a@b.example"], recipient="c@d.example")

    meet(Scripted(mail=CUT), act)


def test_probe_shows_what_the_server_offers_and_leaves_health_alone(
    trusted: tuple[ssl.SSLContext, Path],
) -> None:
    context, pem = trusted
    server = Scripted(tls=context, offers=PLAIN, offers_in_tls=SECURE)

    async def act(relay: Relay) -> Probe:
        relay.health = Health(failures=3, retry_at=1e12)
        probe = await relay.probe()
        assert relay.health.failures == 3
        return probe

    probe = meet(server, act, security="starttls", ca_file=pem, **LOGIN)
    assert "size" in probe.extensions
    assert probe.tls_version in {"TLSv1.2", "TLSv1.3"}
    assert probe.logged_in
    assert probe.took_s < 5
    left = probe.certificate_until - datetime.now(UTC)
    assert timedelta(days=1) < left < timedelta(days=3)
    assert server.last.verbs[-1] == "QUIT"


def test_probe_without_tls_or_login_says_so() -> None:
    probe = meet(Scripted(), lambda relay: relay.probe())
    assert (probe.tls_version, probe.certificate_until, probe.logged_in) == (None, None, False)


@pytest.mark.parametrize("security", ["none", "tls"])
def test_a_cancelled_connect_ends_at_whatever_moment_and_leaves_no_socket(
    security: str, trusted: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context, pem = trusted
    secure: dict[str, Any] = {}
    if security == "tls":
        secure = {"tls": context, "implicit_tls": True}
    greet = Relay._greet
    reached = asyncio.Event()

    async def telling(self: Relay, to: socket.socket) -> Any:
        reached.set()
        return await greet(self, to)

    monkeypatch.setattr(Relay, "_greet", telling)

    async def cancel_after(turns: int, relay: Relay) -> None:
        relay.reset()
        reached.clear()
        connecting = asyncio.create_task(relay.connect())
        await reached.wait()
        for _ in range(turns):
            await asyncio.sleep(0)
        connecting.cancel()
        done, _ = await asyncio.wait({connecting}, timeout=5)
        assert done
        if not connecting.cancelled() and connecting.exception() is None:
            # It stood before anybody cancelled.
            await connecting.result().quit()

    async def story() -> None:
        async with Scripted(**secure) as server:
            relay = a_relay(server, security=security, ca_file=pem)
            for turns in range(60):
                await cancel_after(turns, relay)
            await asyncio.sleep(0.1)
        gc.collect()

    asyncio.run(story())


def test_a_cancellation_that_comes_with_the_answer_is_not_swallowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> None:
        asked = asyncio.Event()

        async def swallowing(self: Relay, smtp: object) -> None:
            """Do what wait_for of Python 3.11 does when the answer is there already."""
            del self, smtp
            asked.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(10)

        monkeypatch.setattr(Relay, "_introduce", swallowing)
        async with Scripted() as server:
            connecting = asyncio.create_task(a_relay(server).connect())
            await asked.wait()
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting

    asyncio.run(story())


def test_a_server_that_resets_at_once_is_away_and_not_taken_for_another_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Gone(socket.socket):
        def getpeername(self) -> Any:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    async def story() -> None:
        async with Scripted() as server:
            monkeypatch.setattr(relay_module.socket, "socket", Gone)
            with pytest.raises(RelayError) as caught:
                await a_relay(server).connect()
            assert not caught.value.permanent

    asyncio.run(story())

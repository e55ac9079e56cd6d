"""Signed mail: every copy verifies at the far end, and doctor knows whether receivers can."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from distributor import checks
from distributor.app import relays_of, signing_of
from distributor.config import load
from distributor.errors import ConfigError
from distributor.mail.resolver import text_records
from distributor.mail.signing import Signing
from distributor.mail.sink import Sink
from distributor.worker import Worker
from tests.flow.press import Press, config_text
from tests.mail.nameserver import Nameserver

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from distributor.checks import Check
    from distributor.core.final import FinalBytes
    from distributor.mail.signing import SigningKey

SIGNED: dict[str, Any] = {
    "dkim__selector": "press-2026",
    "dkim__key_file": "rsa.pem",
    "dkim__second_selector": "press-ed",
    "dkim__second_key_file": "ed.pem",
}


def a_key(path: Path, key: PrivateKeyTypes) -> None:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with both keys."""
    a_key(tmp_path / "rsa.pem", rsa.generate_private_key(65537, 2048))
    a_key(tmp_path / "ed.pem", ed25519.Ed25519PrivateKey.generate())
    return tmp_path


def records_of(keys: list[SigningKey]) -> dict[str, str]:
    return {key.signatory.record: key.record for key in keys}


def keys_of(folder: Path) -> list[SigningKey]:
    signing = signing_of(load(folder / "config.toml"))
    assert signing is not None
    return list(signing.keys)


def test_every_copy_of_a_wave_is_signed_with_every_key_off_the_event_loop(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    sign = Signing.sign

    def noted(self: Signing, data: FinalBytes, *, at: datetime) -> FinalBytes:
        threads.add(threading.current_thread().name.partition("_")[0])
        return sign(self, data, at=at)

    monkeypatch.setattr(Signing, "sign", noted)

    async def story() -> list[bytes]:
        with Sink() as sink, Press(folder, sink.port, **SIGNED) as press:
            ref = press.wave(120)
            async with press.working():
                assert await press.done(ref) == {"accepted": 120}
            return [mail.data for mail in sink.received]

    mails = asyncio.run(story())
    records = {f"{name}.".encode(): text.encode() for name, text in _records(folder).items()}

    def ask(name: bytes, timeout: int = 5) -> bytes | None:
        del timeout
        return records.get(name)

    assert len(mails) == 120
    assert threads == {"signer"}
    for mail in mails:
        assert mail.count(b"DKIM-Signature: ") == 2
        assert all(dkim.DKIM(mail).verify(at, dnsfunc=ask) for at in (0, 1))


def _records(folder: Path) -> dict[str, str]:
    return records_of(keys_of(folder))


def test_a_domain_that_is_not_the_senders_keeps_a_worker_from_starting(folder: Path) -> None:
    with Press(folder, 2525, **SIGNED, dkim__domain="other.example") as press:
        with pytest.raises(ConfigError, match=r"other\.example does not fit the sender's domain"):
            Worker(press.app)
        assert not list((folder / "state").glob("flight/*"))


def test_the_organisations_domain_may_sign_for_a_part_of_it(folder: Path) -> None:
    changes = SIGNED | {"sender__address": "press@news.institute.example"}
    with Press(folder, 2525, **changes, dkim__domain="Institute.example"):
        assert {key.signatory.domain for key in keys_of(folder)} == {"institute.example"}


def signatures(folder: Path, server: Nameserver, **changes: Any) -> list[Check]:
    async def examine() -> list[Check]:
        async with server:
            return await checks.examine(
                settings,
                relays_of(settings),
                lambda: signing_of(settings),
                ask=lambda name: text_records(name, server.resolver),
            )

    config = folder / "config.toml"
    config.write_text(config_text(1, **(SIGNED | changes)), encoding="utf-8")
    config.chmod(0o600)
    settings = load(config)
    found = asyncio.run(examine())
    return [check for check in found if check.name.startswith("signature")]


def test_doctor_finds_each_key_in_the_dns(folder: Path) -> None:
    signatures(folder, Nameserver({}))
    records = {
        name: [text[at : at + 255] for at in range(0, len(text), 255)]
        for name, text in _records(folder).items()
    }
    found = signatures(folder, Nameserver(records))
    assert [(check.name, check.verdict) for check in found] == [
        ("signature press-2026", "ok"),
        ("signature press-ed", "ok"),
    ]
    assert found[0].says == ("rsa-sha256; press-2026._domainkey.institute.example has its key")
    assert found[0].facts is not None
    assert found[0].facts["published"] is True


@pytest.mark.parametrize(
    ("record", "verdict", "says"),
    [
        (None, "error", "has no key: every signature fails"),
        ("v=spf1 -all", "error", "has no key: every signature fails"),
        ("v=DKIM1; k=rsa; p=", "error", "revokes its key: every signature fails"),
        ("v=DKIM1; k=rsa; p=QUJD", "error", "has another key: every signature fails"),
        ("{record}; t=y", "warning", "being tried out"),
        ("{record} ; n=ours", "ok", "has its key"),
    ],
)
def test_doctor_says_what_the_dns_has_instead_and_what_to_publish(
    folder: Path, record: str | None, verdict: str, says: str
) -> None:
    one: dict[str, Any] = {"dkim__second_selector": "", "dkim__second_key_file": ""}
    signatures(folder, Nameserver({}), **one)
    ((name, ours),) = _records(folder).items()
    text = None if record is None else record.format(record=ours)
    strings = {} if text is None else {name: [text[:200], text[200:]]}
    (check,) = signatures(folder, Nameserver(strings), **one)
    assert (check.verdict, says in check.says) == (verdict, True), check
    if verdict == "error":
        assert check.remedy == f'Publish in the DNS: {name}. TXT "{ours}"'


def test_doctor_tells_a_key_that_cannot_be_read_and_a_desk_that_does_not_sign(
    folder: Path,
) -> None:
    (folder / "rsa.pem").chmod(0o644)
    (check,) = signatures(folder, Nameserver({}))
    assert (check.verdict, "others than its owner may read it" in check.says) == ("error", True)
    none = dict.fromkeys(SIGNED, "")
    (check,) = signatures(folder, Nameserver({}), **none)
    assert (check.verdict, check.says) == (
        "ok",
        "mail leaves unsigned, unless your mail server signs it",
    )

"""Keys from files, and signatures that a verifier written by others accepts."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)

from distributor.core.final import FinalBytes, whole_of
from distributor.core.model import Recipient
from distributor.errors import ConfigError
from distributor.mail.compiling import compile_message, letter_of
from distributor.mail.signing import Signing, read_key
from tests.golden.drawn import KEPT
from tests.golden.samples import EMBARGOED, TEMPLATES
from tests.golden.test_golden_enclosing import ATTACHMENTS, OCTETS

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from distributor.core.letter import Letter
    from distributor.core.message import ReleaseContent
    from distributor.mail.signing import SigningKey

#: Long past: verifiers refuse what is dated in their future.
AT = datetime(2026, 2, 1, 0, 1, tzinfo=UTC)
DOMAIN = "harbours.example"


def a_mail(body: bytes = b"Text.\r\n", subject: bytes = b"A headline") -> FinalBytes:
    return FinalBytes(
        b"To: =?utf-8?q?Zo=C3=AB?= <zoe@paper.example>\r\n"
        b"Date: Sun, 01 Feb 2026 00:01:00 +0000\r\n"
        b"Message-ID: <r1@harbours.example>\r\n"
        b"X-Distributor-Delivery: r1\r\n"
        b"List-Id: <releases.harbours.example>\r\n"
        b"List-Unsubscribe: <mailto:press@harbours.example?subject=unsubscribe%20r1>\r\n"
        b"From: Press <press@harbours.example>\r\n"
        b"Reply-To: desk@harbours.example\r\n"
        b"Subject: " + subject + b"\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Language: en\r\n"
        b"\r\n" + body
    )


def written(path: Path, key: PrivateKeyTypes, *, passphrase: bytes | None = None) -> Path:
    locked = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[SigningKey]:
    folder = tmp_path_factory.mktemp("keys")
    first = written(folder / "rsa.pem", rsa.generate_private_key(65537, 2048))
    second = written(folder / "ed.pem", ed25519.Ed25519PrivateKey.generate())
    return [
        read_key(first, domain=DOMAIN, selector="press-2026"),
        read_key(second, domain=DOMAIN, selector="press-2026-ed"),
    ]


def verified(data: bytes, keys: list[SigningKey]) -> list[bool]:
    """What dkimpy says of each signature, the first one first."""
    records = {f"{key.signatory.record}.".encode(): key.record.encode() for key in keys}

    def ask(name: bytes, timeout: int = 5) -> bytes | None:
        del timeout
        return records.get(name)

    def holds(at: int) -> bool:
        try:
            return dkim.DKIM(data, minkey=1024).verify(idx=at, dnsfunc=ask)
        except dkim.ValidationError:
            return False

    return [holds(at) for at in range(len(keys))]


@pytest.mark.parametrize(
    ("body", "subject"),
    [
        (b"Text.\r\n", b"A headline"),
        (b"Two  blanks, a\ttab, and a blank \r\n\r\n  before the end\r\n\r\n\r\n", b"A  headline"),
        (b"=2E starts with a dot\r\n" * 400, b"=?utf-8?q?Z=C3=BCrich?=\r\n =?utf-8?q?_2?="),
        (b"\r\n", b"Nothing at all"),
    ],
)
def test_a_verifier_of_others_accepts_both_signatures(
    keys: list[SigningKey], body: bytes, subject: bytes
) -> None:
    data = Signing(keys).sign(a_mail(body, subject), at=AT)
    assert verified(data, keys) == [True, True]


def test_statement_44_a_header_that_is_added_or_changed_breaks_the_signature(
    keys: list[SigningKey],
) -> None:
    data = bytes(Signing(keys[:1]).sign(a_mail(), at=AT))
    changed = {
        "another body": data.replace(b"Text.", b"Test."),
        "another subject": data.replace(b"A headline", b"B headline"),
        "another unsubscribe address": data.replace(b"unsubscribe%20r1", b"unsubscribe%20r2"),
        "a second From": data.replace(b"From: Press", b"From: i@example.com\r\nFrom: Press"),
        "a second Subject": data.replace(b"Subject: A", b"Subject: B\r\nSubject: A"),
        "a second To": b"To: i@example.com\r\n" + data,
        "a second Date": b"Date: Sun, 01 Feb 2026 00:02:00 +0000\r\n" + data,
        "a second type": data.replace(
            b"Content-Type:", b"Content-Type: text/html\r\nContent-Type:"
        ),
    }
    assert {what for what, mail in changed.items() if verified(mail, keys[:1]) == [True]} == set()
    # What a server on the way may do breaks nothing.
    received = b"Received: by mx.paper.example; Sun, 01 Feb 2026 00:01:01 +0000\r\n" + data
    assert verified(received, keys[:1]) == [True]
    assert verified(data.replace(b"Text.", b"Text. "), keys[:1]) == [True]


def _letters(keys: list[SigningKey]) -> list[Letter]:
    """A letter of every kind and language of mail there is, and one with files."""
    found = [
        (content, content.sequel.kind if content.sequel else "release")
        for content, _ in KEPT.values()
    ]
    enclosing = replace(EMBARGOED, draft=replace(EMBARGOED.draft, attachments=ATTACHMENTS))

    def octets_of(digest: str) -> list[bytes]:
        return [OCTETS[digest]]

    def letter(content: ReleaseContent, kind: str) -> Letter:
        message = compile_message(content, kind=kind, templates=TEMPLATES, octets_of=octets_of)
        return letter_of(message, content.sender, Signing(keys).sign, octets_of)

    return [letter(*each) for each in [*found, (enclosing, "release")]]


def test_a_thousand_mails_of_every_kind_and_language_are_verified_by_others(
    keys: list[SigningKey],
) -> None:
    letters = _letters(keys)
    kinds = Counter[str]()
    for number in range(1000):
        letter = letters[number % len(letters)]
        person = Recipient(
            f"reader{number}@paper.example", f"Zoë {number}", "Zoë", f"Paper {number}"
        )
        thread = f"<earlier{number}@forum.example>" if letter.compiled.kind != "release" else None
        copy = letter.copy_for(person, reference=f"{number:024x}", date=AT, thread=thread)
        assert verified(whole_of(copy), keys) == [True, True], letter.compiled.kind
        kinds[letter.compiled.kind] += 1
    assert set(kinds) == {"release", "correction", "withdrawal", "follow-up"}
    assert kinds.total() == 1000


def test_the_same_mail_is_always_signed_the_same(keys: list[SigningKey]) -> None:
    signing = Signing(keys)
    assert signing.sign(a_mail(), at=AT) == signing.sign(a_mail(), at=AT)


def test_the_record_for_the_dns_holds_the_public_key(
    tmp_path: Path,
) -> None:
    made = rsa.generate_private_key(65537, 2048)
    key = read_key(written(tmp_path / "key.pem", made), domain=DOMAIN, selector="s")
    assert key.record.startswith("v=DKIM1; k=rsa; p=")
    assert load_der_public_key(b64decode(key.public)) == made.public_key()
    assert key.signatory.record == "s._domainkey.harbours.example"
    assert not key.is_short


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "the signing key cannot be read: No such file or directory"),
        (b"", "holds no private key in PEM form"),
        (b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n", "no private key"),
        (b"\xff\xfe" * 50_000, "holds no private key in PEM form"),
    ],
)
def test_a_key_file_that_holds_no_key_is_named_with_the_remedy_and_not_shown(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    with pytest.raises(ConfigError, match=says) as caught:
        read_key(path, domain=DOMAIN, selector="s")
    assert str(path) in str(caught.value)
    assert caught.value.remedy
    assert "c2VjcmV0" not in repr(caught.value)
    assert caught.value.__suppress_context__


def test_keys_that_dkim_cannot_use_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    written(path, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ConfigError, match="neither RSA nor Ed25519"):
        read_key(path, domain=DOMAIN, selector="s")
    written(path, rsa.generate_private_key(65537, 2048), passphrase=b"open")
    with pytest.raises(ConfigError, match="locked with a passphrase") as caught:
        read_key(path, domain=DOMAIN, selector="s")
    assert caught.value.remedy == f"Write it without one: openssl pkey -in {path} -out NEW"
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="others than its owner may read it"):
        read_key(path, domain=DOMAIN, selector="s")


def test_an_rsa_key_of_1024_bits_signs_and_is_called_short(tmp_path: Path) -> None:
    path = written(tmp_path / "key.pem", rsa.generate_private_key(65537, 1024))  # noqa: S505 - the shortest allowed
    key = read_key(path, domain=DOMAIN, selector="s")
    assert key.is_short
    assert verified(Signing([key]).sign(a_mail(), at=AT), [key]) == [True]

"""Signing: the desk's keys, and the signatures that they make (RFC 6376, RFC 8301, RFC 8463).

The only importer of cryptography. A key is read once, at the start; a signature takes most of a
millisecond with RSA, so a worker makes them on threads of their own.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from distributor.core.dkim import Signatory, relaxed, signed, to_sign, unsigned
from distributor.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from distributor.core.final import FinalBytes

#: RFC 8301 3.2: verifiers refuse shorter ones; 2048 is what signers should have.
_RSA_BITS_MIN: Final = 1024
_RSA_BITS: Final = 2048
_KEY_FILE_MAX: Final = 20_000
_OTHERS_MAY_READ: Final = 0o077


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One private key and the name it signs in."""

    signatory: Signatory
    _private: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)

    def signature(self, octets: bytes) -> bytes:
        """Sign; the same octets always give the same signature."""
        if isinstance(self._private, RSAPrivateKey):
            return self._private.sign(octets, PKCS1v15(), SHA256())
        # RFC 8463 3: what Ed25519 signs is the hash.
        return self._private.sign(sha256(octets).digest())

    @property
    def public(self) -> str:
        """The public key as ``p=`` of its DNS record has it (RFC 6376 3.6.1, RFC 8463 4)."""
        key = self._private.public_key()
        if isinstance(self._private, RSAPrivateKey):
            octets = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            octets = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return b64encode(octets).decode("ascii")

    @property
    def is_short(self) -> bool:
        """Whether it is an RSA key of less than 2048 bits, which some receivers hold against us."""
        return isinstance(self._private, RSAPrivateKey) and self._private.key_size < _RSA_BITS

    @property
    def record(self) -> str:
        """What the DNS must say under :attr:`Signatory.record`."""
        kind = self.signatory.algorithm.partition("-")[0]
        return f"v=DKIM1; k={kind}; p={self.public}"


@dataclass(frozen=True, slots=True)
class Signing:
    """Signs mail with every key there is, at least one."""

    keys: Sequence[SigningKey]

    def sign(self, data: FinalBytes, *, at: datetime) -> FinalBytes:
        """The mail with its signatures above it; ``at`` is the mail's own date.

        The same mail is always signed the same. May be called on any thread.
        """
        mail = relaxed(data)
        headers: list[tuple[str, bytes]] = []
        for key in self.keys:
            header = unsigned(key.signatory, mail, at=at)
            headers.append((header, key.signature(to_sign(mail, header))))
        return signed(data, headers)


def read_key(path: Path, *, domain: str, selector: str) -> SigningKey:
    """Read a private key from a PEM file that only its owner may read.

    Raises:
        ConfigError: it cannot be read or used; what it holds is never shown.

    """
    try:
        if path.stat().st_mode & _OTHERS_MAY_READ:
            raise ConfigError(
                f"{path}: holds a private key, and others than its owner may read it",
                remedy=f"chmod 600 {path}",
            )
        with path.open("rb") as file:
            pem = file.read(_KEY_FILE_MAX)
    except OSError as error:
        raise ConfigError(
            f"{path}: the signing key cannot be read: {error.strerror}",
            remedy="Mend its path (dkim.key_file) or its permissions.",
        ) from None
    try:
        private = load_pem_private_key(pem, password=None)
    except TypeError:
        raise ConfigError(
            f"{path}: the signing key is locked with a passphrase",
            remedy=f"Write it without one: openssl pkey -in {path} -out NEW",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        # Nothing of the cause: it may quote the key.
        raise ConfigError(
            f"{path}: holds no private key in PEM form",
            remedy=f"Make one: openssl genrsa -out {path} {_RSA_BITS}",
        ) from None
    if isinstance(private, Ed25519PrivateKey):
        return SigningKey(Signatory(domain, selector, "ed25519-sha256"), private)
    if not isinstance(private, RSAPrivateKey):
        raise ConfigError(
            f"{path}: holds a key that is neither RSA nor Ed25519, as DKIM needs it",
            remedy=f"Make one: openssl genrsa -out {path} {_RSA_BITS}",
        )
    if private.key_size < _RSA_BITS_MIN:
        raise ConfigError(
            f"{path}: an RSA key of {private.key_size} bits is refused everywhere (RFC 8301)",
            remedy=f"Make a longer one: openssl genrsa -out {path} {_RSA_BITS}",
        )
    return SigningKey(Signatory(domain, selector, "rsa-sha256"), private)

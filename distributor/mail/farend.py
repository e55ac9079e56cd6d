"""The far end of a connection: whether it is this machine, what it showed, why it is gone."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket


def reason_of(cause: BaseException) -> str:
    """Why it did not work, in the system's words: asyncio puts a Python tuple into its own."""
    if not isinstance(cause, OSError):
        return str(cause)
    said = cause.strerror or str(cause)
    if cause.errno is not None and said.startswith("Connect call failed"):
        return os.strerror(cause.errno)
    return said


def let_go(reached: socket.socket) -> None:
    """Close a socket, unless a transport has it and closes it in its own time.

    A connect that is cancelled early enough never came to make one.
    """
    if reached.fileno() < 0:
        return
    try:
        asyncio.get_running_loop().remove_reader(reached)
    except RuntimeError:
        return
    reached.close()


def is_loopback(connected: socket.socket) -> bool:
    """Whether the other end is this machine: asked of the connection, not of a name.

    Raises:
        OSError: There is no other end any more.

    """
    try:
        return ipaddress.ip_address(connected.getpeername()[0]).is_loopback
    except ValueError:
        return False


def untrusted(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """The distrust of a certificate that is behind a failure, if it is."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__
    return None


def tls_of(transport: asyncio.BaseTransport | None) -> ssl.SSLObject | None:
    """The TLS of a connection; None in clear text."""
    found = transport.get_extra_info("ssl_object") if transport else None
    return found if isinstance(found, ssl.SSLObject) else None


def certificate_until(tls: ssl.SSLObject) -> datetime | None:
    """When the certificate it showed ends."""
    until = (tls.getpeercert() or {}).get("notAfter")
    if not isinstance(until, str):
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC)

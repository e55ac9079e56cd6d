"""What may stand between a sender and the sink: TLS, a long way, a real queueing mail server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from benchmarks.processes import (
    Failed,
    LeftOut,
    free_port,
    outside,
    serving,
    tool,
    wait_for_port,
)

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

#: Seconds added to each direction: a round trip of 20 ms.
DELAY_S: Final = 0.01

_HAPROXY: Final = """\
global
    nbthread 1
defaults
    mode tcp
    timeout connect 10s
    timeout client 600s
    timeout server 600s
listen tls
    bind 127.0.0.1:{port} ssl crt {folder}/server.pem
    server sink 127.0.0.1:{behind}
"""
_CERTIFICATE: Final = (
    *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
    *("-days", "2", "-subj", "/CN=localhost"),
    *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
    *("-keyout", "server.key", "-out", "server.crt"),
)

_MAIN_CF: Final = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = {daemons}
mail_owner = postfix
setgid_group = postdrop
myhostname = relay.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
default_transport = discard:
relay_transport = discard:
local_transport = discard:
alias_maps =
local_recipient_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = {folder}
"""
_MASTER_CF: Final = """\
{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
proxymap unix - - n - - proxymap
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@contextmanager
def tls_in_front(folder: Path, port: int) -> Generator[tuple[int, Path]]:
    """HAProxy ends TLS (from the first byte) before ``port``; gives its port and certificate.

    Raises:
        LeftOut: HAProxy or openssl is not installed.

    """
    haproxy, openssl = tool("haproxy"), tool("openssl")
    subprocess.run([openssl, *_CERTIFICATE], cwd=folder, check=True, capture_output=True)
    both = (folder / "server.crt").read_bytes() + (folder / "server.key").read_bytes()
    (folder / "server.pem").write_bytes(both)
    front = free_port()
    words = _HAPROXY.format(port=front, folder=folder, behind=port)
    (folder / "haproxy.cfg").write_text(words, encoding="ascii")
    with serving([haproxy, "-db", "-f", "haproxy.cfg"], cwd=folder, port=front):
        yield front, folder / "server.crt"


@contextmanager
def far_away(folder: Path, port: int) -> Generator[int]:
    """A proxy that lets every octet wait ``DELAY_S`` each way; gives its port."""
    front = free_port()
    command = [sys.executable, "-m", "benchmarks.longway", str(front), str(port), str(DELAY_S)]
    with serving(command, cwd=folder, port=front, said=folder / "longway.said"):
        yield front


@contextmanager
def queueing_postfix(folder: Path) -> Generator[int]:
    """A Postfix of its own in ``folder``: it queues every mail on disk, then discards it.

    Raises:
        LeftOut: Postfix is not installed, or we are not root.

    """
    if os.geteuid() != 0:
        raise LeftOut("Postfix is started by root alone")
    postfix, postconf = tool("postfix"), tool("postconf")
    daemons = subprocess.run(
        [postconf, "-dh", "daemon_directory"], capture_output=True, text=True, check=True
    ).stdout.strip()
    port = free_port()
    place = folder / "postfix"
    for name in ("etc", "queue", "data", "log"):
        (place / name).mkdir(parents=True)
    # Its daemons enter these as their own account.
    for parent in (folder, place, place / "log", place / "queue"):
        parent.chmod(0o755)
    shutil.chown(place / "data", "postfix")
    text = _MAIN_CF.format(folder=place, daemons=daemons)
    (place / "etc" / "main.cf").write_text(text, encoding="ascii")
    master = _MASTER_CF.format(port=f"127.0.0.1:{port}")
    (place / "etc" / "master.cf").write_text(master, encoding="ascii")
    said = folder / "postfix.said"

    def order(word: str) -> int:
        # Into a file: its daemons keep what they are given open for as long as they live.
        with said.open("ab") as words:
            return subprocess.run(
                [postfix, "-c", str(place / "etc"), word],
                cwd=place,
                env=outside(),
                stdout=words,
                stderr=words,
                timeout=60,
                check=False,
            ).returncode

    if order("start"):
        raise Failed(f"Postfix does not start: {said.read_text(errors='replace')[-500:]}")
    try:
        wait_for_port(port)
        yield port
    finally:
        order("stop")


def wait_for_empty_queue(folder: Path, *, within_s: float = 300.0) -> None:
    """Let Postfix finish what it queued, so that the next run does not pay for this one."""
    until = time.monotonic() + within_s
    queue = folder / "postfix" / "queue"
    while any(
        path.is_file() for name in ("incoming", "active") for path in (queue / name).rglob("*")
    ):
        if time.monotonic() > until:
            raise Failed("Postfix does not empty its queue")
        time.sleep(0.1)

"""Mails a second: ours in every variant, the anchor, the peers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks import job
from benchmarks.anchor import Load, smtp_source
from benchmarks.bench import INSTALLED, PEERS, Sample, send_wave
from benchmarks.office import sqlite_copy
from benchmarks.processes import LeftOut, run, tool
from benchmarks.receivers import Receiver, smtp_sink
from benchmarks.servers import far_away, queueing_postfix, tls_in_front, wait_for_empty_queue

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    from benchmarks.bench import Bench
    from benchmarks.office import Sending

#: Connections over the long way: the most that the product opens.
_FAR_CONNECTIONS: Final = 50


def _sample(sending: Sending, beside: float | None = None) -> Sample:
    notes = {"rss_mb": sending.rss_mb}
    return Sample(sending.per_s, sending.cpu_us, beside, notes)


def anchor(bench: Bench) -> dict[str, Sample]:
    """``smtp-source -d -s 10``, mails of the same size, to the same sink."""
    with bench.folder() as folder, smtp_sink(folder) as sink:
        load = Load(bench.sizes.mails, bench.octets)
        taken = smtp_source(folder, sink.port, load)
        sink.require(load.mails)
    sample = Sample(load.mails / taken.wall_s, taken.cpu_s / load.mails * 1e6)
    return {"smtp-source": sample}


def sqlite(bench: Bench) -> dict[str, Sample]:
    """Our whole path on SQLite."""
    with bench.folder() as folder, smtp_sink(folder) as sink:
        return {"ours/sqlite": _sample(bench.ours(folder, sink))}


def postgresql(bench: Bench) -> dict[str, Sample]:
    """Our whole path on PostgreSQL."""
    if bench.cluster is None:
        raise LeftOut("no PostgreSQL server is installed")
    with bench.folder() as folder, smtp_sink(folder) as sink:
        sending = bench.ours_on_postgresql(folder, bench.cluster, sink)
        return {"ours/postgresql": _sample(sending)}


def no_pipelining(bench: Bench) -> dict[str, Sample]:
    """On SQLite, to a sink that does not offer PIPELINING."""
    with bench.folder() as folder, smtp_sink(folder, pipelining=False) as sink:
        return {"ours/sqlite-no-pipelining": _sample(bench.ours(folder, sink))}


def tls(bench: Bench) -> dict[str, Sample]:
    """On SQLite, through TLS that HAProxy ends before the sink; beside it nodemailer's way."""
    with bench.folder() as folder, smtp_sink(folder) as sink:
        with tls_in_front(folder, sink.port) as (port, certificate):
            front = Receiver(port, sink.said)
            ca_file = str(certificate)
            sending = bench.ours(folder, front, relay__security="tls", relay__ca_file=ca_file)
        return {"ours/sqlite+tls": _sample(sending)}


def dkim_rsa(bench: Bench) -> dict[str, Sample]:
    """On SQLite, each mail signed with RSA of 2048 bits."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {"ours/sqlite+dkim-rsa": _signed(bench, key)}


def dkim_ed25519(bench: Bench) -> dict[str, Sample]:
    """On SQLite, each mail signed with Ed25519."""
    return {"ours/sqlite+dkim-ed25519": _signed(bench, Ed25519PrivateKey.generate())}


def _signed(bench: Bench, key: RSAPrivateKey | Ed25519PrivateKey) -> Sample:
    count = bench.sizes.slow
    with bench.folder() as folder, smtp_sink(folder) as sink:
        pem = folder / "dkim.pem"
        pem.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        pem.chmod(0o600)
        url = sqlite_copy(bench.cache, folder, count)
        keys = {"dkim__selector": "bench", "dkim__key_file": str(pem)}
        sending = send_wave(folder, url, count, relay__port=sink.port, **keys)
        sink.require(sending.mails)
    return _sample(sending)


def far(bench: Bench) -> dict[str, Sample]:
    """On SQLite, 20 ms of round trip away, 50 connections; beside it smtp-source the same way."""
    with bench.folder() as folder, smtp_sink(folder) as sink, far_away(folder, sink.port) as port:
        front = Receiver(port, sink.said)
        sending = bench.ours(folder, front, relay__connections=_FAR_CONNECTIONS)
    with bench.folder() as folder, smtp_sink(folder) as sink, far_away(folder, sink.port) as port:
        load = Load(bench.sizes.slow // 2, bench.octets, _FAR_CONNECTIONS)
        taken = smtp_source(folder, port, load)
    return {"ours/sqlite-20ms": _sample(sending, load.mails / taken.wall_s)}


def postfix(bench: Bench) -> dict[str, Sample]:
    """On SQLite, to a Postfix that queues; beside it smtp-source to that same Postfix."""
    count = bench.sizes.slow
    with bench.folder() as folder, queueing_postfix(folder) as port:
        url = sqlite_copy(bench.cache, folder, count)
        sending = send_wave(folder, url, count, relay__port=port)
        wait_for_empty_queue(folder)
        taken = smtp_source(folder, port, Load(count, bench.octets))
    return {"ours/postfix": _sample(sending, count / taken.wall_s)}


def nodemailer(bench: Bench) -> dict[str, Sample]:
    """Nodemailer's pool with better-sqlite3."""
    command = [tool("node"), str(PEERS / "nodemailer.mjs"), str(INSTALLED / "node")]
    return {"nodemailer": _peer(bench, command)}


def aiosmtplib(bench: Bench) -> dict[str, Sample]:
    """Aiosmtplib with EmailMessage and Jinja2."""
    command = [_python(), str(PEERS / "aiosmtplib_job.py")]
    return {"aiosmtplib": _peer(bench, command)}


def post_office(bench: Bench) -> dict[str, Sample]:
    """django-post-office: its own command sends what its own call has queued."""
    script = str(PEERS / "post_office_job.py")
    count = bench.sizes.slow
    with bench.folder() as folder, smtp_sink(folder) as sink:
        _material(bench, folder)
        rest = [str(folder), str(sink.port)]
        run([_python(), script, "queue", *rest], cwd=folder)
        taken = run([_python(), script, "send", *rest], cwd=folder)
        query = "SELECT count(*) FROM post_office_email WHERE status = 0"
        job.require_all_accepted(folder / "post_office.db", query, count)
        sink.require(count)
    return {"django-post-office": Sample(count / taken.wall_s, taken.cpu_s / count * 1e6)}


def _python() -> str:
    path = INSTALLED / "venv" / "bin" / "python"
    if not path.exists():
        raise LeftOut("the peers' virtual environment is missing")
    return str(path)


def _material(bench: Bench, folder: Path) -> None:
    for file in ("subject.txt", "text.txt", "body.html"):
        (folder / file).write_bytes((bench.cache / "material" / file).read_bytes())
    job.write_rows(folder, bench.sizes.slow)


def _peer(bench: Bench, command: list[str]) -> Sample:
    count = bench.sizes.slow
    with bench.folder() as folder, smtp_sink(folder) as sink:
        _material(bench, folder)
        taken = run([*command, str(folder), str(sink.port)], cwd=folder)
        query = "SELECT count(*) FROM recipients WHERE state = 'accepted' AND reply LIKE '%Ok%'"
        job.require_all_accepted(folder / "job.db", query, count)
        sink.require(count)
    return Sample(count / taken.wall_s, taken.cpu_s / count * 1e6)

"""Attachments: kept once, given back in pieces, and there for as long as a version names them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import DBAPIError

from distributor.core.model import Attachment, Picture
from distributor.store import attachments, releases
from distributor.store.attachments import PIECE
from distributor.store.schema import attachment_pieces, versions
from distributor.store.schema import attachments as kept
from tests.builders import MORNING, a_draft, a_version

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from distributor.core.model import Version
    from distributor.store.database import Database

OCTETS = bytes(range(256)) * (2 * PIECE // 256) + b"the rest"
DIGEST = hashlib.sha256(OCTETS).hexdigest()
PICTURE = Attachment(DIGEST, "Brücke.png", "image/png", len(OCTETS), Picture("A bridge", 4, 3))


def keep(tx: Connection, octets: bytes = OCTETS) -> str:
    digest = hashlib.sha256(octets).hexdigest()
    attachments.keep(tx, digest, octets, now=MORNING)
    return digest


def with_picture(tx: Connection) -> Version:
    keep(tx)
    release = releases.create_release(tx, MORNING)
    version = a_version(release_id=release, draft=a_draft(attachments=(PICTURE,)))
    return releases.add_draft(tx, version, by="ann")


@pytest.mark.parametrize("size", [1, PIECE - 1, PIECE, PIECE + 1, len(OCTETS)])
def test_octets_come_back_as_they_were_in_pieces_of_bounded_size(
    database: Database, size: int
) -> None:
    octets = OCTETS[:size]
    digest = database.write(lambda tx: keep(tx, octets)).result()
    with database.read() as tx:
        pieces = list(attachments.pieces(tx, digest))
    assert b"".join(pieces) == octets
    assert max(map(len, pieces)) <= PIECE


def test_the_same_octets_are_kept_once(database: Database) -> None:
    for _ in range(2):
        database.write(keep).result()
    with database.read() as tx:
        assert tx.execute(select(func.count()).select_from(kept)).scalar_one() == 1
        assert tx.execute(select(func.count()).select_from(attachment_pieces)).scalar_one() == 3


def test_of_an_unknown_hash_there_are_no_octets(database: Database) -> None:
    assert list(attachments.reader(database)("0" * 64)) == []


def test_a_versions_attachments_come_back_with_it(database: Database) -> None:
    version = database.write(with_picture).result()
    with database.read() as tx:
        assert releases.version_of(tx, version.id) == version
        assert releases.latest(tx, version.release_id).draft.attachments == (PICTURE,)


def test_a_version_of_before_there_were_attachments_has_none(database: Database) -> None:
    version = database.write(with_picture).result()

    def age(tx: Connection) -> None:
        text = dict(tx.execute(select(versions.c.text)).scalar_one())
        del text["attachments"]
        tx.execute(update(versions).values(text=text))

    database.write(age).result()
    with database.read() as tx:
        assert releases.version_of(tx, version.id).draft.attachments == ()


def test_what_a_version_names_cannot_go(database: Database) -> None:
    database.write(with_picture).result()
    with pytest.raises(DBAPIError):
        database.write(lambda tx: tx.execute(delete(kept))).result()
    assert b"".join(attachments.reader(database)(DIGEST)) == OCTETS


def test_what_is_not_kept_cannot_be_named(database: Database) -> None:
    def name_it(tx: Connection) -> None:
        release = releases.create_release(tx, MORNING)
        version = a_version(release_id=release, draft=a_draft(attachments=(PICTURE,)))
        releases.add_draft(tx, version, by="ann")

    with pytest.raises(DBAPIError):
        database.write(name_it).result()


@pytest.mark.parametrize(
    "change",
    [
        update(attachment_pieces).values(octets=b"other"),
        update(attachment_pieces).values(number=attachment_pieces.c.number + 7),
        update(kept).values(size=1),
    ],
)
def test_i6_the_octets_of_an_attachment_cannot_be_changed(
    database: Database, change: object
) -> None:
    database.write(keep).result()
    with pytest.raises(DBAPIError, match="immutable"):
        database.write(lambda tx: tx.execute(change)).result()  # pyright: ignore[reportCallIssue, reportArgumentType]

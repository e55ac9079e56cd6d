"""Releases and their versions: named questions and writes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import Select, func, insert, select, update

from distributor.core.model import (
    Attachment,
    Boilerplate,
    Dateline,
    Draft,
    Embargo,
    Picture,
    PressContact,
    Sender,
    Sequel,
    Version,
    WallTime,
    reference,
    release_id,
)
from distributor.core.states import VersionState, sources
from distributor.errors import NotFound, Refused
from distributor.store import attachments, audit
from distributor.store.audit import Order
from distributor.store.schema import compiled_messages, releases, sequels, versions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

#: Where the text of a version keeps the readings of an unclear embargo, which have no column.
_READINGS: Final = "embargo_readings"


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled message as stored: ``content`` is its JSON, ``digest`` the SHA-256 of that."""

    template: str
    language: str
    content: str
    digest: str


def find_release(tx: Connection, ref: str) -> int:
    """The release of that name.

    Raises:
        NotFound: There is none, or ``ref`` is not a release's name.

    """
    number = release_id(ref)
    if number is not None:
        found = tx.execute(select(releases.c.id).where(releases.c.id == number)).scalar()
        if found is not None:
            return cast("int", found)
    msg = f"There is no release {ref}."
    raise NotFound(msg, remedy="distributor release list shows them all.")


def create_release(tx: Connection, now: datetime) -> int:
    """A new release without versions; gives its number."""
    made = tx.execute(insert(releases).values(created_at=now))
    return cast("int", made.inserted_primary_key[0])  # pyright: ignore[reportOptionalSubscript]


def add_draft(tx: Connection, version: Version, *, by: str) -> Version:
    """Store a new draft; an earlier draft of the release is superseded by it."""
    # Two edits at once: the second waits here and becomes the next number.
    tx.execute(select(releases.c.id).where(releases.c.id == version.release_id).with_for_update())
    _supersede(tx, version.release_id, VersionState.DRAFT, Order(by, version.created_at))
    highest = tx.execute(
        select(func.max(versions.c.number)).where(versions.c.release_id == version.release_id),
    ).scalar()
    numbered = replace(version, number=(highest or 0) + 1, state=VersionState.DRAFT)
    made = tx.execute(insert(versions).values(**_columns(numbered), created_by=by))
    key = cast("int", made.inserted_primary_key[0])  # pyright: ignore[reportOptionalSubscript]
    attachments.bind(tx, key, (each.digest for each in version.draft.attachments))
    if version.sequel is not None:
        tx.execute(insert(sequels).values(version_id=key, **asdict(version.sequel)))
    return replace(numbered, id=key)


def approve(
    tx: Connection,
    version: Version,
    compiled: Sequence[Compiled],
    *,
    seal: str,
    by: str,
    now: datetime,
) -> None:
    """Bind the version to its compiled messages, its own first, under one seal (I6).

    Raises:
        Refused: Somebody else changed the version meanwhile.

    """
    _supersede(tx, version.release_id, VersionState.APPROVED, Order(by, now))
    done = tx.execute(
        update(versions)
        .where(versions.c.id == version.id, versions.c.state.in_(sources(VersionState.APPROVED)))
        .values(state=VersionState.APPROVED, approved_at=now, approved_by=by, seal=seal),
    )
    if done.rowcount != 1:
        msg = f"{version.ref} version {version.number} is not a draft any more."
        raise Refused(msg, remedy=f"Look again: distributor release show {version.ref}")
    for each in compiled:
        tx.execute(
            insert(compiled_messages).values(
                version_id=version.id,
                template=each.template,
                language=each.language,
                content=each.content,
                digest=each.digest,
            ),
        )


def _supersede(tx: Connection, release: int, state: VersionState, order: Order) -> None:
    numbers = tx.execute(
        update(versions)
        .where(versions.c.release_id == release, versions.c.state == state)
        .values(state=VersionState.SUPERSEDED)
        .returning(versions.c.number),
    ).scalars()
    for number in numbers.all():
        facts = {"version": number, "from": state.value}
        subject = f"release {reference(release)}"
        audit.record(tx, audit.Entry(order.at, order.by, "superseded", subject, facts))


def withdraw(tx: Connection, release: int, now: datetime) -> None:
    """Mark a release as withdrawn, for good."""
    tx.execute(
        update(releases)
        .where(releases.c.id == release, releases.c.withdrawn_at.is_(None))
        .values(withdrawn_at=now)
    )


def is_withdrawn(tx: Connection, release: int) -> bool:
    """Whether a release has been withdrawn."""
    return tx.execute(
        select(releases.c.withdrawn_at.is_not(None)).where(releases.c.id == release)
    ).scalar_one()


def _versions() -> Select[Any]:
    about = (sequels.c.kind, sequels.c.reason, sequels.c.base_id, sequels.c.base_on)
    return select(versions, *(column.label(f"sequel_{column.name}") for column in about)).outerjoin(
        sequels, sequels.c.version_id == versions.c.id
    )


def latest(tx: Connection, release: int) -> Version:
    """The release's newest version, whatever its state."""
    row = tx.execute(
        _versions()
        .where(versions.c.release_id == release)
        .order_by(versions.c.number.desc())
        .limit(1),
    ).one()
    return _version(row)


def version_of(tx: Connection, version: int) -> Version:
    """One version by its key."""
    return _version(tx.execute(_versions().where(versions.c.id == version)).one())


def newest_versions(tx: Connection) -> list[Version]:
    """The newest version of every release, newest release first."""
    newest = (
        select(versions.c.release_id, func.max(versions.c.number).label("number"))
        .group_by(versions.c.release_id)
        .subquery()
    )
    rows = tx.execute(
        _versions()
        .join(
            newest,
            (versions.c.release_id == newest.c.release_id) & (versions.c.number == newest.c.number),
        )
        .order_by(versions.c.release_id.desc()),
    )
    return [_version(row) for row in rows]


def compiled_of(tx: Connection, version: int) -> dict[int, Compiled]:
    """The compiled messages of a version, by key, its own first."""
    rows = tx.execute(
        select(compiled_messages)
        .where(compiled_messages.c.version_id == version)
        .order_by(compiled_messages.c.id),
    )
    return {row.id: Compiled(row.template, row.language, row.content, row.digest) for row in rows}


def _columns(version: Version) -> dict[str, Any]:
    draft, sender, embargo = version.draft, version.sender, version.draft.embargo
    text = asdict(replace(draft, embargo=Embargo()))
    del text["embargo"]
    if embargo.readings:
        text[_READINGS] = list(embargo.readings)
    if draft.dateline is not None and draft.dateline.date is not None:
        text["dateline"]["date"] = draft.dateline.date.isoformat()
    local = embargo.local if embargo.at is not None else None
    return {
        "release_id": version.release_id,
        "number": version.number,
        "state": version.state,
        "headline": draft.headline or "",
        "text": text,
        "source": version.source,
        "language": draft.language,
        "sender_name": sender.name,
        "sender_address": sender.address,
        "sender_organisation": sender.organisation or "",
        "reply_to": sender.reply_to,
        "embargo_state": embargo.state,
        "embargo_at": embargo.at,
        "embargo_wall": local.wall if local else None,
        "embargo_zone": local.zone if local else None,
        "embargo_fold": local.fold if local else None,
        "embargo_text": embargo.text,
        "embargo_doubts": list(embargo.doubts),
        "created_at": version.created_at,
    }


def _version(row: Row[Any]) -> Version:
    return Version(
        id=row.id,
        release_id=row.release_id,
        number=row.number,
        state=row.state,
        draft=_draft(row.text, _embargo(row)),
        source=row.source,
        sender=Sender(
            row.sender_name,
            row.sender_address,
            row.reply_to,
            row.sender_organisation or None,
        ),
        created_at=row.created_at,
        approved_at=row.approved_at,
        seal=row.seal,
        sequel=None if row.sequel_kind is None else _sequel(row),
    )


def _sequel(row: Row[Any]) -> Sequel:
    return Sequel(row.sequel_kind, row.sequel_reason, row.sequel_base_id, row.sequel_base_on)


def _embargo(row: Row[Any]) -> Embargo:
    local = None
    if row.embargo_wall is not None:
        local = WallTime(row.embargo_wall, row.embargo_zone, row.embargo_fold)
    return Embargo(
        row.embargo_state,
        row.embargo_at,
        local,
        row.embargo_text,
        tuple(row.embargo_doubts),
        tuple(row.text.get(_READINGS, ())),
    )


def _draft(text: Mapping[str, Any], embargo: Embargo) -> Draft:
    dateline = text["dateline"]
    if dateline is not None:
        day = dateline["date"]
        dateline = Dateline(dateline["place"], date.fromisoformat(day) if day else None)
    fields: dict[str, Any] = {
        **{field: value for field, value in text.items() if field != _READINGS},
        "dateline": dateline,
        "embargo": embargo,
        "quotes": tuple(text["quotes"]),
        "contacts": tuple(PressContact(**item) for item in text["contacts"]),
        "notes": tuple(text["notes"]),
        "boilerplate": tuple(Boilerplate(**item) for item in text["boilerplate"]),
        "attachments": tuple(_attachment(item) for item in text.get("attachments", ())),
    }
    return Draft(**fields)


def _attachment(item: Mapping[str, Any]) -> Attachment:
    picture: Mapping[str, Any] | None = item["picture"]
    fields: dict[str, Any] = {**item, "picture": Picture(**picture) if picture else None}
    return Attachment(**fields)

"""Releases: what is stored comes back whole; versions follow each other."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from distributor.core.model import (
    Boilerplate,
    Dateline,
    Embargo,
    EmbargoState,
    PressContact,
    Sender,
    WallTime,
)
from distributor.core.states import VersionState
from distributor.errors import NotFound, Refused
from distributor.store import releases
from tests.builders import EMBARGOED, MORNING, a_draft, a_release, a_version, approved

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from distributor.core.model import Version
    from distributor.store.database import Database

FULL = a_draft(
    subheadline="Élan",
    label="For immediate release",
    language="fr",
    dateline=Dateline("Leeds", date(2026, 12, 1)),
    quotes=("“One”", "two"),
    end_marker="-ENDS-",
    contacts=(PressContact("Ann", "Desk", "0113", "+44113", "ann@desk.example"),),
    notes=("a note",),
    boilerplate=(Boilerplate("About us.", "Desk"), Boilerplate("About them.")),
    embargo=Embargo(
        EmbargoState.EMBARGOED,
        EMBARGOED.at,
        WallTime(EMBARGOED.local.wall, "Europe/London", 1) if EMBARGOED.local else None,
        "EMBARGO",
        ("which noon?",),
    ),
)


def added(database: Database, **changes: Any) -> Version:
    def work(tx: Connection) -> Version:
        release = changes.pop("release_id", None) or releases.create_release(tx, MORNING)
        return releases.add_draft(tx, a_version(release_id=release, **changes), by="ann")

    return database.write(work).result()


def back(database: Database, version: Version) -> Version:
    with database.read() as tx:
        return releases.version_of(tx, version.id)


@pytest.mark.parametrize(
    "draft",
    [
        FULL,
        a_draft(),
        a_draft(embargo=Embargo()),
        a_draft(embargo=Embargo(EmbargoState.UNCLEAR, text="soon", doubts=("when?",))),
        a_draft(dateline=Dateline("Leeds")),
    ],
)
def test_a_draft_comes_back_as_it_was_stored(database: Database, draft: Any) -> None:
    sender = Sender("Desk", "press@desk.example", "ann@desk.example", "The Desk")
    version = added(database, draft=draft, sender=sender)
    assert back(database, version) == version
    assert (version.number, version.state) == (1, VersionState.DRAFT)


def test_an_edit_is_the_next_version_and_supersedes_the_draft(database: Database) -> None:
    first = added(database)
    second = added(database, release_id=first.release_id)
    assert (second.number, second.ref) == (2, first.ref)
    assert back(database, first).state is VersionState.SUPERSEDED
    with database.read() as tx:
        assert releases.latest(tx, first.release_id) == second
        assert releases.newest_versions(tx) == [second]


def test_i6_approval_binds_a_compiled_message_and_supersedes_the_last(database: Database) -> None:
    first = database.write(a_release).result()
    assert (first.state, first.seal, first.approved_at) == (VersionState.APPROVED, "5ea1", MORNING)
    draft = added(database, release_id=first.release_id)
    assert back(database, first).state is VersionState.APPROVED
    second = database.write(lambda tx: approved(tx, draft)).result()
    assert back(database, first).state is VersionState.SUPERSEDED
    with database.read() as tx:
        (compiled,) = releases.compiled_of(tx, second.id).values()
    assert (compiled.template, compiled.language) == ("release", "en")


def test_what_is_no_draft_any_more_is_not_approved(database: Database) -> None:
    draft = added(database)
    added(database, release_id=draft.release_id)
    with pytest.raises(Refused, match="not a draft any more"):
        database.write(lambda tx: approved(tx, draft)).result()


@pytest.mark.parametrize("ref", ["R-2", "R-", "7", "", "R-1x", "R-99999999999999"])
def test_an_unknown_release_is_not_found(database: Database, ref: str) -> None:
    added(database)
    with database.read() as tx:
        assert releases.find_release(tx, "r-1 ") == 1
        with pytest.raises(NotFound, match="There is no release"):
            releases.find_release(tx, ref)

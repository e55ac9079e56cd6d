"""The tables: migrations and metadata say the same, and what the database itself refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import CheckConstraint, create_engine, inspect, text

from distributor.errors import SchemaMismatch, StoreError
from distributor.store import waves
from distributor.store.database import migrations, open_database, upgrade
from distributor.store.schema import metadata
from tests.builders import (
    a_ready_wave,
)

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


T = metadata.tables


def index_words(index: Any) -> str:
    options = {name: str(clause) for name, clause in index.get("dialect_options", {}).items()}
    return str({**index, "dialect_options": options})


def shape(engine: Engine) -> dict[str, Any]:
    """Everything the catalogue knows of our tables."""
    asked = inspect(engine)
    return {
        table: {
            "columns": [
                (c["name"], str(c["type"]), c["nullable"], c["default"])
                for c in asked.get_columns(table)
            ],
            "key": asked.get_pk_constraint(table),
            "checks": sorted((c["name"], c["sqltext"]) for c in asked.get_check_constraints(table)),
            "foreign": sorted(map(str, asked.get_foreign_keys(table))),
            "unique": sorted(map(str, asked.get_unique_constraints(table))),
            "indexes": sorted(map(index_words, asked.get_indexes(table))),
        }
        for table in asked.get_table_names()
        if table != "alembic_version"
    }


# --- migrations ------------------------------------------------------------------------------


def test_an_empty_database_upgraded_equals_the_metadata(
    database_url: str, engine_name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    upgrade(database_url)
    migrated = create_engine(database_url)
    with migrated.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    # Autogeneration is blind to CHECKs and to some defaults: so the catalogues are compared too.
    if engine_name == "sqlite":
        made = create_engine(f"sqlite:///{tmp_path / 'made.db'}")
    else:
        server = request.getfixturevalue("postgresql_server")
        made = create_engine(server.url(name := server.create()))
        request.addfinalizer(lambda: server.drop(name))
    metadata.create_all(made)
    try:
        assert shape(migrated) == shape(made)
    finally:
        migrated.dispose()
        made.dispose()


def test_every_check_of_the_metadata_is_named() -> None:
    checks = [
        c for table in T.values() for c in table.constraints if isinstance(c, CheckConstraint)
    ]
    assert checks
    assert all(str(c.name).startswith(f"ck_{c.table.name}_") for c in checks)


def test_the_migrations_have_one_head() -> None:
    assert len(ScriptDirectory.from_config(migrations()).get_heads()) == 1


def test_upgrading_twice_is_harmless(migrated_url: str) -> None:
    database = open_database(migrated_url)
    wave = a_ready_wave(database)
    database.close()
    upgrade(migrated_url)
    database = open_database(migrated_url)
    with database.read() as tx:
        assert waves.get(tx, wave.id) == wave
    database.close()


def test_downgrading_leaves_nothing_and_upgrading_works_again(migrated_url: str) -> None:
    engine = create_engine(migrated_url)
    config = migrations()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    engine.dispose()
    upgrade(migrated_url)
    open_database(migrated_url).close()


def test_an_upgrade_that_fails_half_way_leaves_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks() -> None:
        msg = "power cut"
        raise RuntimeError(msg)

    real = ScriptDirectory.from_config

    def spoiled(config: Any) -> ScriptDirectory:
        directory = real(config)
        monkeypatch.setattr(directory.get_revision("0002").module, "upgrade", breaks)
        return directory

    monkeypatch.setattr(ScriptDirectory, "from_config", spoiled)
    with pytest.raises(RuntimeError, match="power cut"):
        upgrade(database_url)
    monkeypatch.undo()
    engine = create_engine(database_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
    upgrade(database_url)
    open_database(database_url).close()


@pytest.mark.parametrize(
    ("revision", "said", "remedy"),
    [
        (None, "is empty", "distributor db upgrade"),
        ("0001", "is older", "Back it up, then: distributor db upgrade"),
        ("9999", "newer version", "this one will not touch it"),
    ],
)
def test_a_database_of_another_version_is_refused_with_a_remedy(
    migrated_url: str, revision: str | None, said: str, remedy: str
) -> None:
    engine = create_engine(migrated_url)
    with engine.begin() as tx:
        tx.execute(text("DELETE FROM alembic_version"))
        if revision:
            tx.execute(text("INSERT INTO alembic_version VALUES (:r)"), {"r": revision})
    engine.dispose()
    with pytest.raises(SchemaMismatch, match=said) as refusal:
        open_database(migrated_url)
    assert remedy in str(refusal.value.remedy)


def test_a_newer_database_is_not_upgraded(migrated_url: str) -> None:
    engine = create_engine(migrated_url)
    with engine.begin() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(SchemaMismatch, match="newer"):
        upgrade(migrated_url)


def test_a_missing_file_is_not_made_by_opening_it(tmp_path: Path) -> None:
    path = tmp_path / "missing.db"
    with pytest.raises(SchemaMismatch, match="no database") as refusal:
        open_database(f"sqlite:///{path}")
    assert refusal.value.remedy == "Create it: distributor init"
    assert not path.exists()


def test_a_file_that_is_no_database_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_bytes(b"Dear reader, " * 1000)
    for work in (open_database, upgrade):
        with pytest.raises(StoreError, match="file is not a database"):
            work(f"sqlite:///{path}")
    assert path.read_bytes().startswith(b"Dear reader")


def test_another_engine_is_refused() -> None:
    with pytest.raises(StoreError, match="not supported") as refusal:
        open_database("oracle://nowhere/x")
    assert "postgresql://" in str(refusal.value.remedy)

"""The schema's version, and bringing an older ledger to it. Alembic does the work; it is imported only when needed."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import sqlalchemy as sa

from delivery.errors import WriteFailed
from delivery.ledger.tables import METADATA, meta

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.ledger.storage import Storage

VERSION = 3


def prepare(storage: Storage) -> None:
    """Creates the tables of a new ledger, or migrates those of an older one, after a backup where it is a file.

    Raises WriteFailed when the ledger is newer than this program.
    """
    with storage.begin() as connection:
        storage.alone(connection)
        version = _version(connection)
        if version is None:
            METADATA.create_all(connection)
            _set(connection, "schema_version", str(VERSION))
            _set(connection, "id", secrets.token_hex(8))
    if version is None or version == str(VERSION):
        return
    if not version.isdigit() or not 1 <= int(version) <= VERSION:
        raise WriteFailed(
            f"The ledger has schema version {version}; this program knows {VERSION}.",
            hint="Use the program's version that wrote it, or a newer one.",
        )
    if storage.path:
        backup(storage, storage.path.with_name(f"{storage.path.name}.version-{version}"))
    _migrate(storage)


def backup(storage: Storage, target: Path) -> None:
    """A whole copy of a SQLite ledger, as of one moment, private; replaces an older copy at once."""
    unfinished = target.with_name(f".{target.name}.part")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # SQLite would make it 0644
    with storage.outside_transaction() as connection:
        connection.execute("vacuum into ?", (str(unfinished),))
    with unfinished.open("rb") as copied:
        os.fsync(copied.fileno())
    unfinished.replace(target)


def _migrate(storage: Storage) -> None:
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    from delivery.ledger.migrations import STEPS

    with storage.begin() as connection:
        storage.alone(connection)
        found = int(_version(connection) or VERSION)  # another runner may have been quicker
        for version in range(found + 1, VERSION + 1):
            STEPS[version](Operations(MigrationContext.configure(connection)))
        METADATA.create_all(connection)
        _set(connection, "schema_version", str(VERSION))
        if connection.execute(sa.select(meta.c.value).where(meta.c.key == "id")).first() is None:
            _set(connection, "id", secrets.token_hex(8))


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("meta"):
        return None
    found = connection.execute(sa.select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
    return None if found is None else str(found)


def _set(connection: sa.Connection, key: str, value: str) -> None:
    connection.execute(meta.delete().where(meta.c.key == key))
    connection.execute(meta.insert().values(key=key, value=value))

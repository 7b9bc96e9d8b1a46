"""The schema's number: a ledger of another one is refused (decision 0030)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import sqlalchemy as sa

from delivery.errors import ConfigError
from delivery.ledger.tables import METADATA, meta

if TYPE_CHECKING:
    from delivery.ledger.storage import Storage

VERSION = 4


def prepare(storage: Storage) -> None:
    """Creates the tables of a new ledger. Raises ConfigError, and changes nothing, when its schema is another."""
    with storage.begin() as connection:
        storage.alone(connection)
        if not sa.inspect(connection).has_table("meta"):
            METADATA.create_all(connection)
            connection.execute(
                meta.insert(),
                [{"key": "schema_version", "value": str(VERSION)}, {"key": "id", "value": secrets.token_hex(8)}],
            )
            return
        found = connection.execute(sa.select(meta.c.value).where(meta.c.key == "schema_version")).scalar()
    if found != str(VERSION):
        raise ConfigError(
            f"The ledger {storage.describe()} has schema version {found or 'unknown'}; this program reads {VERSION}.",
            hint="Nothing was written or sent. Run the version of this program that wrote it, or name another ledger "
            "with --ledger; `delivery ledger adopt` then holds what that one does not know.",
        )

"""What each sink of alerts was last told, so that it is not told the same by every run: in the table `meta`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sqlalchemy as sa

from delivery.ledger.tables import meta

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.ledger.book import Ledger


def last_told(ledger: Ledger, sink: str) -> frozenset[str]:
    """What the sink was told of that had not passed when the last run ended."""
    with ledger.storage.begin() as connection:
        found = connection.execute(sa.select(meta.c.value).where(meta.c.key == f"told {sink}")).scalar()
    return frozenset(json.loads(found or "[]"))


def keep_told(ledger: Ledger, sink: str, told: Iterable[str]) -> None:
    """Records that in place of what was told before."""
    key = f"told {sink}"
    with ledger.storage.begin() as connection:
        ledger.storage.alone(connection)
        connection.execute(meta.delete().where(meta.c.key == key))
        connection.execute(meta.insert().values(key=key, value=json.dumps(sorted(told))))

"""What each sink of alerts was last told, so that it is not told the same by every run: in the table `meta`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sqlalchemy as sa

from delivery.ledger.tables import meta

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from delivery.ledger.book import Ledger


def last_told(ledger: Ledger, sink: str) -> frozenset[str]:
    """What the sink was told of that had not passed when the last run ended."""
    with ledger.storage.begin() as connection:
        found = connection.execute(sa.select(meta.c.value).where(meta.c.key == f"told {sink}")).scalar()
    return frozenset(json.loads(found or "[]"))


def keep_told(ledger: Ledger, told: Mapping[str, Iterable[str]]) -> None:
    """Records, for each sink, that in place of what it was told before; of sinks that are gone, nothing."""
    rows = [{"key": f"told {sink}", "value": json.dumps(sorted(some))} for sink, some in told.items()]
    with ledger.storage.begin() as connection:
        ledger.storage.alone(connection)
        connection.execute(meta.delete().where(meta.c.key.startswith("told ")))
        connection.execute(meta.insert(), rows)

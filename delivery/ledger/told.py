"""What each sink of alerts was last told, so that it is not told the same again: in the table `meta`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import sqlalchemy as sa

from delivery.ledger.tables import meta

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from delivery.ledger.book import Ledger


def last_told(ledger: Ledger, sink: str, topics: Iterable[str]) -> frozenset[str]:
    """What the sink was told of these topics that had not passed when somebody last looked at them."""
    keys = [f"told {topic} {sink}" for topic in topics]
    with ledger.storage.begin() as connection:
        rows = connection.execute(sa.select(meta.c.value).where(meta.c.key.in_(keys))).all()
    return frozenset(key for row in rows for key in json.loads(row.value))


def keep_told(ledger: Ledger, topic: str, told: Mapping[str, Iterable[str]]) -> None:
    """Records, for each sink, that in place of what it was told of a topic before; of sinks that are gone, nothing."""
    rows = [{"key": f"told {topic} {sink}", "value": json.dumps(sorted(some))} for sink, some in told.items()]
    with ledger.storage.begin() as connection:
        ledger.storage.alone(connection)
        connection.execute(meta.delete().where(meta.c.key.startswith(f"told {topic} ", autoescape=True)))
        connection.execute(meta.insert(), rows)

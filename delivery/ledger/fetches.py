"""Who fetched what from the share: lines of its servers' logs, each kept once."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import sqlalchemy as sa

from delivery.ledger.tables import Fetch, fetches

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.ledger.book import Ledger

CHECK = "check"  # the door by which `delivery share check` came
_AT_ONCE = 500  # below what any database takes as parameters


def keep_fetches(ledger: Ledger, found: Iterable[Fetch]) -> list[Fetch]:
    """Records those that are not on record yet, and returns them."""
    by_id = {fetch.id: fetch for fetch in found}
    ids = list(by_id)
    with ledger.storage.begin() as connection:
        ledger.storage.alone(connection)
        for start in range(0, len(ids), _AT_ONCE):
            asked = sa.select(fetches.c.id).where(fetches.c.id.in_(ids[start : start + _AT_ONCE]))
            for row in connection.execute(asked).all():
                del by_id[row.id]
        if by_id:
            connection.execute(fetches.insert(), [fetch._asdict() for fetch in by_id.values()])
    return list(by_id.values())


def fetches_of(ledger: Ledger, deliveries: Iterable[str]) -> dict[str, list[Fetch]]:
    """What clients fetched of these deliveries, by their id, oldest first."""
    found: dict[str, list[Fetch]] = defaultdict(list)
    ours = (fetches.c.delivery_id.in_(list(deliveries)), fetches.c.door != CHECK)
    query = sa.select(fetches).where(*ours).order_by(fetches.c.at)
    with ledger.storage.begin() as connection:
        for row in connection.execute(query):
            found[row.delivery_id].append(Fetch._make(row))
    return found


def whole_since(found: Iterable[Fetch]) -> dict[tuple[int, str], str]:
    """When a user had all bytes of a part, by both; absent while some are missing. found: oldest first."""
    had: dict[tuple[int, str], list[tuple[int, int]]] = defaultdict(list)
    since: dict[tuple[int, str], str] = {}
    for fetch in found:
        key = (fetch.part, fetch.login)
        had[key].append((fetch.start, fetch.start + fetch.bytes))
        reached = 0
        for start, end in sorted(had[key]):
            if start <= reached:
                reached = max(reached, end)
        if reached >= fetch.size:
            since.setdefault(key, fetch.at)
    return since

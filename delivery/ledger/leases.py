"""Which of several runners, on one host or on many, has a delivery in hand.

A lease keeps two runners from doing the same work; it does not keep the delivery safe. That does the fence: a number
that grows each time a delivery is taken, without which no step is recorded, and which is part of the temporary file's
name. A runner that slept through its lease wakes up with an old fence: it can neither record a step nor touch the file.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from delivery.errors import Busy
from delivery.ledger.storage import TIME
from delivery.ledger.tables import deliveries

if TYPE_CHECKING:
    from datetime import datetime

LEASE = timedelta(seconds=120)


def take(connection: sa.Connection, key: str, runner: str, at: datetime) -> int:
    """Takes a delivery that nobody has, that we had before, or whose lease has ended; its new fence. Raises Busy."""
    column = deliveries.c
    is_free = sa.or_(column.holder.is_(None), column.holder == runner, column.lease_until < at.strftime(TIME))
    fence = connection.execute(
        deliveries.update()
        .where(column.id == key, is_free)
        .values(holder=runner, lease_until=(at + LEASE).strftime(TIME), fence=column.fence + 1)
        .returning(column.fence)
    ).scalar()
    if fence is None:
        row = connection.execute(sa.select(column.holder, column.lease_until).where(column.id == key)).one()
        raise Busy(
            f"Another runner is at work: {row.holder} has this delivery in hand until {row.lease_until} or longer.",
            hint="Wait for it, then run again.",
        )
    return int(fence)


def keep(connection: sa.Connection, keys: list[str], runner: str, at: datetime) -> None:
    """Makes the leases that a runner still has end later."""
    column = deliveries.c
    connection.execute(
        deliveries.update()
        .where(column.id.in_(keys), column.holder == runner)
        .values(lease_until=(at + LEASE).strftime(TIME))
    )


def let_go(connection: sa.Connection, key: str, fence: int) -> None:
    """Ends a lease, unless somebody else has the delivery by now."""
    column = deliveries.c
    connection.execute(
        deliveries.update().where(column.id == key, column.fence == fence).values(holder=None, lease_until=None)
    )

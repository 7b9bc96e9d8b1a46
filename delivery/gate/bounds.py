"""What a delivery's row count may be: bounds, and the largest change against the last deliveries."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from delivery.errors import GateRefused
from delivery.ledger import Delivery, Ledger, State, deliveries
from delivery.schedule.slots import SLOT

if TYPE_CHECKING:
    from delivery.schedule.jobs import Job

COMPARED = 7  # windows that were delivered before this one
FEWEST = 3  # with fewer, the largest change is not judged


def refusal(job: Job, rows: int, ledger: Ledger) -> GateRefused | None:
    """Why the delivery must not leave with so many rows, every reason named; None when it may."""
    bounds = job.row_count
    if bounds is None:
        return None
    reasons = []
    if bounds.min is not None and rows < bounds.min:
        reasons.append(f"{rows} rows, fewer than row_count.min {bounds.min}")
    if bounds.max is not None and rows > bounds.max:
        reasons.append(f"{rows} rows, more than row_count.max {bounds.max}")
    if bounds.change is not None and (before := last_delivered(job, ledger)):
        usual = median(row.rows or 0 for row in before)
        if abs(rows - usual) > usual * bounds.change / 100:
            compared = ", ".join(f"{row.window_start or row.slot} {row.rows}" for row in before)
            reasons.append(
                f"{rows} rows, more than row_count.change {bounds.change:g} % away from {usual:g}, "
                f"the median of the last deliveries ({compared})"
            )
    if not reasons:
        return None
    return GateRefused(
        f"{job.campaign.name} to {job.integration_name} {job.when}: " + "; ".join(reasons) + ".",
        hint="Find out why. If the rows are right: run again with --ungated --reason.",
    )


def last_delivered(job: Job, ledger: Ledger) -> list[Delivery]:
    """The last windows delivered before this one, oldest first; none when they are too few to compare with.

    Those of this very run do not count: which of them have been delivered by now depends on who is quicker.
    """
    found = ledger.series(
        *job.series,
        deliveries.c.state == State.DELIVERED,
        deliveries.c.revision == 0,
        deliveries.c.slot < job.slot.strftime(SLOT),
    )
    last = [row for row in found if row.rows is not None and not ledger.has_in_hand(row.id)][-COMPARED:]
    return last if len(last) >= FEWEST else []

"""Frozen layouts: which columns a campaign's files for an integration have, kept from the first delivery on.

A later change of the integration or the model is reported and changes no file: added columns stay out, the order stays,
and values of a column that changed its type are cast back. Where that cannot be, the delivery is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.ledger import Layout, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from delivery.schedule.jobs import Job


def layout_of(job: Job, ledger: Ledger, kinds: Mapping[str, str]) -> Layout:
    """The layout that the job's files have: the frozen one, or that of a first delivery."""
    frozen = ledger.layout(job.campaign.name, job.integration_name)
    if frozen is not None:
        return frozen
    columns = job.campaign.columns(job.integration.definitions)
    return Layout(columns, tuple(kinds.get(name, "") for name in columns))


def changes(frozen: Layout, asked: Iterable[str], kinds: Mapping[str, str] | None) -> tuple[str, ...]:
    """What differs between a layout and what would be a new campaign's.

    kinds: of the table's columns now; None if they are not known.
    """
    asked = tuple(asked)
    found = [f"{name} was added since; the file goes on without it" for name in asked if name not in frozen.columns]
    for name, kind in zip(frozen.columns, frozen.kinds or ("",) * len(frozen.columns), strict=True):
        if kinds is not None and name not in kinds:
            found.append(f"{name} was removed from the table since; nothing is sent without it")
        elif name not in asked:
            found.append(f"{name} is not asked for any more; the file goes on with it")
        if kinds and name in kinds and kind not in ("", kinds[name]):
            found.append(f"{name} was {kind} and is {kinds[name]} now; the file goes on with {kind}")
    common = [name for name in asked if name in frozen.columns]
    if common != [name for name in frozen.columns if name in asked]:
        found.append("the order of the columns changed since; the file keeps its own")
    return tuple(found)

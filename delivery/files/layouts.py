"""Frozen layouts: which columns and rows a campaign's files for an integration have, kept from the first delivery on.

A later change of the integration or the model is reported and changes no file: added columns stay out, order and names
stay, and values of a column that changed its type are cast back. Where that cannot be, the delivery is refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from delivery.ledger import Layout, Ledger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from delivery.config.campaigns import Campaign
    from delivery.config.integrations import Integration
    from delivery.schedule.jobs import Job


def layout_of(job: Job, ledger: Ledger, kinds: Mapping[str, str]) -> Layout:
    """The layout that the job's files have: the frozen one, or that of a first delivery."""
    frozen = ledger.layout(job.campaign.name, job.integration_name)
    if frozen is not None:
        return frozen
    asked = layout_asked(job.campaign, job.integration)
    return asked._replace(kinds=tuple(kinds.get(name, "") for name in asked.columns))


def layout_asked(campaign: Campaign, integration: Integration) -> Layout:
    """The layout that a new campaign would have, but for what its columns hold."""
    columns = tuple(integration.columns or campaign.columns(integration.definitions))
    return Layout(columns, labels=tuple(map(integration.label, columns)), rows=integration.rows)


def as_json(layout: Layout) -> str:
    """As the ledger keeps it of a delivery."""
    kept = {"columns": layout.columns, "kinds": layout.kinds, "labels": layout.labels, "rows": layout.rows}
    return json.dumps({name: value for name, value in kept.items() if value})


def changes(frozen: Layout, new: Layout, kinds: Mapping[str, str] | None) -> tuple[str, ...]:
    """What differs between a layout and what would be a new campaign's.

    kinds: of the table's columns now; None if they are not known.
    """
    asked = new.columns
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
    called, now_called = (dict(zip(one.columns, one.labels or one.columns, strict=True)) for one in (frozen, new))
    found += [
        f"{name} is to be called {now_called[name]} now; the file goes on with {called[name]}"
        for name in common
        if called[name] != now_called[name]
    ]
    if frozen.rows != new.rows:
        found.append("other rows are chosen since; the file goes on with those of before")
    return tuple(found)

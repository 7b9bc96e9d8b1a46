"""Which layouts are frozen, and what has changed since."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from delivery.config.campaigns import campaigns as campaigns_of
from delivery.config.integrations import declared_definitions, declared_names
from delivery.files.layouts import changes
from delivery.ledger import Ledger
from delivery.warehouse import open_engine
from delivery.warehouse.kinds import kinds_of

if TYPE_CHECKING:
    from delivery.config.project import Project


class Frozen(NamedTuple):
    """One frozen layout and what has changed since."""

    campaign: str
    integration: str
    frozen_at: str
    columns: tuple[str, ...]
    changes: tuple[str, ...]


def frozen_layouts(project: Project) -> list[Frozen]:
    """Every frozen layout, with what has changed since; of a campaign or integration that is gone, that."""
    definitions = declared_definitions(project.integrations_file)
    known = campaigns_of(project.manifest(), declared_names(project.integrations_file))
    with closing(Ledger(project.ledger_url)) as ledger, open_engine(project) as engine:
        found = []
        for (campaign, integration), layout in ledger.layouts().items():
            one = known.get(campaign)
            if one is None or integration not in one.integrations:
                differences: tuple[str, ...] = ("the campaign no longer serves the integration",)
            else:
                asked = one.columns(definitions[integration])
                differences = changes(layout, asked, kinds_of(one.dataset, engine))
            found.append(Frozen(campaign, integration, layout.frozen_at or "", layout.columns, differences))
        return found

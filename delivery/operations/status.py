"""What the ledger says of past deliveries, and what has changed since."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from delivery.errors import ConfigError
from delivery.fetched import Fetched, fetched
from delivery.ledger import Delivery, File, Ledger, deliveries
from delivery.ledger.identity import check_known, this_runner

if TYPE_CHECKING:
    from delivery.config.project import Project


class Frozen(NamedTuple):
    """One frozen layout and what has changed since."""

    campaign: str
    integration: str
    frozen_at: str
    columns: tuple[str, ...]
    changes: tuple[str, ...]


def check_is_known(project: Project) -> None:
    """Of a ledger that was lost nothing can be said. Raises ConfigError, as an unattended run does."""
    with closing(Ledger.to_read(project.ledger_url)) as ledger:
        check_known(project.state, this_runner(project.state), ledger, unattended=True)


def latest(project: Project, campaign: str | None, limit: int) -> list[tuple[Delivery, str | None, Fetched | None]]:
    """The latest deliveries, newest last.

    With each, where that is known, how its destination gives files their names, and who fetched it from the share.
    """
    with closing(Ledger(project.ledger_url)) as ledger:
        probes = ledger.probes()
        methods = {where: probe.method for where, probe in probes.items()}
        found = ledger.latest(limit, *([deliveries.c.campaign == campaign] if campaign else []))
        taken = fetched(project, ledger, found)
        return [(row, methods.get(row.destination), taken.get(row.id)) for row in found]


def held(project: Project, campaign: str | None = None) -> list[Delivery]:
    """The deliveries that are held, oldest first."""
    with closing(Ledger(project.ledger_url)) as ledger:
        of = [deliveries.c.campaign == campaign] if campaign else []
        return ledger.find(deliveries.c.state == "held", *of)


def one(project: Project, start: str) -> tuple[Delivery, list[File], list[tuple[str, str, str]], Fetched | None]:
    """A delivery, its files, its steps, and who fetched it. Raises ConfigError unless exactly one id begins so."""
    with closing(Ledger(project.ledger_url)) as ledger:
        found = ledger.find(deliveries.c.id.startswith(start, autoescape=True))
        if len(found) != 1:
            raise ConfigError(
                f"{len(found)} deliveries have an id that begins with {start!r}.",
                hint="`delivery status` shows the ids.",
            )
        taken = fetched(project, ledger, found).get(found[0].id)
        return found[0], ledger.files(found[0].id), ledger.steps(found[0].id), taken


def frozen_layouts(project: Project) -> list[Frozen]:
    """Every frozen layout, with what has changed since; of a campaign or integration that is gone, that."""
    from delivery.config.campaigns import campaigns as campaigns_of
    from delivery.config.integrations_file import Integrations
    from delivery.files.layouts import changes, layout_asked
    from delivery.warehouse import open_engine
    from delivery.warehouse.kinds import kinds_of

    declared = Integrations(project.integrations_file)
    known = campaigns_of(project.manifest(), declared.names)
    with closing(Ledger(project.ledger_url)) as ledger, open_engine(project) as engine:
        found = []
        for (campaign, integration), layout in ledger.layouts().items():
            one = known.get(campaign)
            if one is None or integration not in one.integrations:
                differences: tuple[str, ...] = ("the campaign no longer serves the integration",)
            elif (asked := declared.possible.get(integration)) is None:
                differences = ("the integration has faults",)
            else:
                differences = changes(layout, layout_asked(one, asked), kinds_of(one.dataset, engine))
            found.append(Frozen(campaign, integration, layout.frozen_at or "", layout.columns, differences))
        return found

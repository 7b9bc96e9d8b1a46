"""What the ledger says of past deliveries, and what has changed since."""

from __future__ import annotations

from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from delivery.errors import ConfigError
from delivery.ledger import Delivery, File, FileState, Ledger, Role, State, deliveries
from delivery.ledger.fetches import fetches_of, whole_since

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from delivery.config.project import Project


class Frozen(NamedTuple):
    """One frozen layout and what has changed since."""

    campaign: str
    integration: str
    frozen_at: str
    columns: tuple[str, ...]
    changes: tuple[str, ...]


class Fetched(NamedTuple):
    """What became of a delivery on the share. goes_on: the day on which `prune` may take it; None when it is gone."""

    state: str  # not fetched yet, fetched in part, or fetched: some user has all its data files
    users: list[str]
    goes_on: str | None

    @property
    def text(self) -> str:
        """In words."""
        if self.users:
            return f"fetched by {', '.join(self.users)}"
        return self.state + (f", goes on {self.goes_on}" if self.goes_on else ", and gone")


def fetched(project: Project, ledger: Ledger, rows: Sequence[Delivery]) -> dict[str, Fetched]:
    """Of those rows that were delivered to a share with doors, by id: as far as `delivery share log` has read."""
    from delivery.config.integrations_file import Integrations

    share = f"{project.share}/"
    hosted = [row for row in rows if row.state == State.DELIVERED and row.destination.startswith(share)]
    declared = Integrations(project.integrations_file) if hosted else None
    if declared is None or declared.share is None:
        return {}
    found, told = fetches_of(ledger, [row.id for row in hosted]), {}
    for row in hosted:
        data = {file.part: file for file in ledger.files(row.id) if file.role == Role.DATA}
        integration = declared.loaded.get(row.integration)
        if not data or integration is None or integration.destination.type != "hosted":
            continue
        whole = [key for key in whole_since(found[row.id]) if key[0] in data]
        users = sorted({user for _, user in whole if {part for part, one in whole if one == user} == data.keys()})
        begun = any(fetch.part in data for fetch in found[row.id])
        days = _days(data.values(), timedelta(days=integration.destination.keep_days))
        state = "fetched" if users else "fetched in part" if begun else "not fetched yet"
        told[row.id] = Fetched(state, users, min(days, default=None))
    return told


def _days(data: Iterable[File], kept: timedelta) -> Iterator[str]:
    """When each of the files that are there goes."""
    from delivery.transfer.descriptions import goes_on  # here, because pydantic is slow to import

    for file in data:
        if file.state == FileState.PUBLISHED:
            with suppress(OSError):  # it has gone
                yield goes_on(Path(file.destination, file.name), kept)


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


def one(project: Project, start: str) -> tuple[Delivery, list[File], list[tuple[str, str, str]]]:
    """A delivery, its files and its steps. Raises ConfigError unless exactly one id begins so."""
    with closing(Ledger(project.ledger_url)) as ledger:
        found = ledger.find(deliveries.c.id.startswith(start, autoescape=True))
        if len(found) != 1:
            raise ConfigError(
                f"{len(found)} deliveries have an id that begins with {start!r}.",
                hint="`delivery status` shows the ids.",
            )
        return found[0], ledger.files(found[0].id), ledger.steps(found[0].id)


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

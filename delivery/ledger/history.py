"""What the ledger says of past deliveries."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from delivery.errors import ConfigError
from delivery.ledger import Delivery, File, Ledger, deliveries

if TYPE_CHECKING:
    from delivery.config.project import Project


def latest(project: Project, campaign: str | None, limit: int) -> list[Delivery]:
    """The latest deliveries, newest last."""
    with closing(Ledger(project.ledger_url)) as ledger:
        conditions = [deliveries.c.campaign == campaign] if campaign else []
        return ledger.find(*conditions)[-limit:]


def publish_methods(project: Project) -> dict[str, str | None]:
    """How files get their final names, by destination, where it is known."""
    with closing(Ledger(project.ledger_url)) as ledger:
        return {where: probe.method for where, probe in ledger.probes().items()}


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

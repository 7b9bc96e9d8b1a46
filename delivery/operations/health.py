"""Looking for what must not be in a ledger; a copy of it asked for by hand."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import sqlalchemy as sa

from delivery.errors import ConfigError, DeliveryError
from delivery.ledger.book import Ledger
from delivery.ledger.identity import check_known, this_runner
from delivery.ledger.states import NOT_LEFT, FileState, State
from delivery.ledger.tables import deliveries
from delivery.transfer.protocol import check_spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.config.project import Project


def check(project: Project) -> list[str]:
    """All problems of the project's ledger."""
    runner = this_runner(project.state)
    with closing(Ledger(project.ledger_url, runner.name)) as ledger:
        try:
            check_known(project.state, runner, ledger, unattended=True)
        except ConfigError as error:
            return [error.message, *problems(ledger, runner.name)]
        return list(problems(ledger, runner.name))


def problems(ledger: Ledger, runner: str) -> Iterator[str]:
    """What is wrong, each with the delivery it concerns. runner: whose spool is looked at."""
    yield from _of_storage(ledger)
    for row in ledger.find(deliveries.c.state.in_((State.SPOOLED, State.DELIVERED))):
        files = ledger.files(row.id)
        if row.state == State.DELIVERED:
            by_hand = any(step == State.DELIVERED and note for _, step, note in ledger.steps(row.id))
            left = [file.name for file in files if file.state not in {FileState.PUBLISHED, FileState.PRUNED}]
            if left and not by_hand:
                yield f"{row.title} is delivered, and {', '.join(left)} never was"
            continue
        for file in files:
            if file.state in NOT_LEFT and row.spooled_by == runner:
                try:
                    check_spool(file)
                except DeliveryError as error:
                    yield f"{row.title}: {error.message}"


def _of_storage(ledger: Ledger) -> Iterator[str]:
    if not ledger.storage.is_sqlite:
        return
    with ledger.storage.begin() as connection:
        for pragma in ("integrity_check", "foreign_key_check"):
            for row in connection.execute(sa.text(f"pragma {pragma}")):
                if row[0] != "ok":
                    yield f"{pragma}: {row[0]}"


def copy(project: Project, target: Path) -> None:
    """Writes a whole copy of the ledger to a new file. Raises ConfigError for a ledger on a server."""
    with closing(Ledger(project.ledger_url)) as ledger:
        if not ledger.storage.path:
            raise ConfigError(
                f"{ledger.storage.describe()} is no file of ours.", hint="Use its server's own backup, such as pg_dump."
            )
        if target.exists() or not target.parent.is_dir():
            raise ConfigError(f"{target} cannot be a new file.", hint="Name a new file in a directory that is there.")
        ledger.storage.copy_to(target)

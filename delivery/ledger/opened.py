"""The ledger as a run needs it: recognised before, remembered and copied after, its leases kept in between."""

from __future__ import annotations

import threading
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from delivery.errors import DeliveryError
from delivery.ledger.book import Ledger
from delivery.ledger.identity import recognise, remember, this_runner
from delivery.ledger.leases import LEASE
from delivery.ledger.lock import only_runner
from delivery.ledger.storage import now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.config.project import Project

COPIES = 7  # days of which a copy is kept


@contextmanager
def open_ledger(project: Project, *, unattended: bool = False) -> Iterator[Ledger]:
    """For whoever moves deliveries, inside the runner's lock. Raises ConfigError when the ledger is not ours.

    unattended: see identity.check_known.
    """
    runner = this_runner(project.state)
    with closing(Ledger(project.ledger_url, runner.name)) as ledger:
        recognise(project.state, runner, ledger, unattended=unattended)
        try:
            with kept(ledger):
                yield ledger
        finally:
            with suppress(DeliveryError):  # the leases end by themselves
                ledger.let_go()
        if ledger.identity()[1] > runner.step:
            remember(project.state, runner, ledger)
            save_daily(ledger, project.state / "backups")


def adopt(project: Project, reason: str) -> None:
    """Takes the ledger as it is for this state directory's; what it does not know of the past is held from now on."""
    with only_runner(project.state):
        runner = this_runner(project.state)
        with closing(Ledger(project.ledger_url, runner.name)) as ledger:
            ledger.doubt(reason)
            remember(project.state, runner, ledger)


@contextmanager
def kept(ledger: Ledger, every: float = LEASE.total_seconds() / 4) -> Iterator[None]:
    """Keeps what the ledger's runner has in hand while the block runs. every: seconds."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(every):
            with suppress(DeliveryError):  # the next step finds out
                ledger.keep()

    thread = threading.Thread(target=beat, name="delivery-leases", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def save_daily(ledger: Ledger, folder: Path) -> None:
    """Keeps one copy of a SQLite ledger for each of the last days."""
    if not ledger.storage.path:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    ledger.storage.copy_to(folder / f"ledger-{now()[:10]}.sqlite")
    for old in sorted(folder.glob("ledger-*.sqlite"))[:-COPIES]:
        old.unlink()

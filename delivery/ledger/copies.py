"""Copies of a ledger that is a file, to go back to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from delivery.ledger.storage import now

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.ledger.book import Ledger
    from delivery.ledger.storage import Storage

COPIES = 7  # days of which a copy is kept


def backup(storage: Storage, target: Path) -> None:
    """A whole copy of a SQLite ledger, as of one moment, private; replaces an older copy at once."""
    unfinished = target.with_name(f".{target.name}.part")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # SQLite would make it 0644
    with storage.outside_transaction() as connection:
        connection.execute("vacuum into ?", (str(unfinished),))
    with unfinished.open("rb") as copied:
        os.fsync(copied.fileno())
    unfinished.replace(target)


def save_daily(ledger: Ledger, folder: Path) -> None:
    """Keeps one copy of a SQLite ledger for each of the last days."""
    if not ledger.storage.path:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    backup(ledger.storage, folder / f"ledger-{now()[:10]}.sqlite")
    for old in sorted(folder.glob("ledger-*.sqlite"))[:-COPIES]:
        old.unlink()

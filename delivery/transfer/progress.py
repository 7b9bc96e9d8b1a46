"""Progress of long work, for people who watch."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Watch:
    """Progress of long work, on stderr and on a terminal only."""

    @contextmanager
    def upload(self, label: str, total: int) -> Iterator[Callable[[int], None] | None]:
        """A bar for one file; what it gives is called with the bytes done so far."""
        if not sys.stderr.isatty():
            yield None
            return
        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(label, total=total)
            yield lambda done: bars.update(task, completed=done)

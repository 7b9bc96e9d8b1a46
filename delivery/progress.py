"""What people see of long work, on stderr: a line for each stage, and on a terminal how far it is."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, ProgressColumn


class Watch:
    """Stages and their progress, on stderr; bars on a terminal only."""

    def __init__(self) -> None:
        self._files: Progress | None = None  # of the uploads under way
        self._ended: Callable[[], None] = lambda: None

    def stage(self, text: str) -> None:
        """A line that stays."""
        print(text, file=sys.stderr)  # noqa: T201

    @contextmanager
    def deliveries(self, total: int) -> Iterator[None]:
        """A bar for all deliveries, which `ended` moves, with one for each upload under way."""
        from rich.progress import DownloadColumn, MofNCompleteColumn, TransferSpeedColumn

        if not sys.stderr.isatty():
            yield
            return
        from rich.console import Console, Group
        from rich.live import Live

        all_, self._files = _bars(MofNCompleteColumn()), _bars(DownloadColumn(), TransferSpeedColumn())
        with Live(Group(self._files, all_), console=Console(stderr=True), transient=True):
            task = all_.add_task("deliveries", total=total)
            self._ended = lambda: all_.advance(task)
            yield
        self._files = None

    def ended(self) -> None:
        """One more delivery has ended."""
        self._ended()

    @contextmanager
    def upload(self, label: str, total: int) -> Iterator[Callable[[int], None] | None]:
        """A bar for one file among those of `deliveries`; what it gives is called with the bytes done so far."""
        bars = self._files
        if bars is None:
            yield None
            return
        task = bars.add_task(label, total=total)
        try:
            yield lambda done: bars.update(task, completed=done)
        finally:
            bars.remove_task(task)

    @contextmanager
    def steps(self, label: str) -> Iterator[Callable[[int, int], None] | None]:
        """A bar for work in steps; what it gives is called with how many are done, and of how many."""
        from rich.progress import MofNCompleteColumn, TimeElapsedColumn

        if not sys.stderr.isatty():
            yield None
            return
        with _bars(MofNCompleteColumn(), TimeElapsedColumn()) as bars:
            task = bars.add_task(label, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)


def _bars(*columns: ProgressColumn) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    shown = TextColumn("{task.description}"), BarColumn(), *columns
    return Progress(*shown, console=Console(stderr=True), transient=True)

"""What people see of long work, on stderr: a line for each stage, and on a terminal how far it is."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import ProgressColumn


class Watch:
    """Stages and their progress, on stderr; bars on a terminal only."""

    def stage(self, text: str) -> None:
        """A line that stays."""
        print(text, file=sys.stderr)  # noqa: T201

    @contextmanager
    def upload(self, label: str, total: int) -> Iterator[Callable[[int], None] | None]:
        """A bar for one file; what it gives is called with the bytes done so far."""
        from rich.progress import DownloadColumn, TransferSpeedColumn

        with self._bar(label, DownloadColumn(), TransferSpeedColumn()) as show:
            yield show and (lambda done: show(done, total))

    @contextmanager
    def steps(self, label: str) -> Iterator[Callable[[int, int], None] | None]:
        """A bar for work in steps; what it gives is called with how many are done, and of how many."""
        from rich.progress import MofNCompleteColumn, TimeElapsedColumn

        with self._bar(label, MofNCompleteColumn(), TimeElapsedColumn()) as show:
            yield show

    @contextmanager
    def _bar(self, label: str, *columns: ProgressColumn) -> Iterator[Callable[[int, int], None] | None]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        if not sys.stderr.isatty():
            yield None
            return
        shown = TextColumn("{task.description}"), BarColumn(), *columns
        with Progress(*shown, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(label, total=None)
            yield lambda done, total: bars.update(task, completed=done, total=total)

"""Stages of a file's making side by side: reading, rendering, writing and proving use more than one core.

What they work with (DuckDB, Polars, Arrow, hashes, compressors) lets Python's lock go meanwhile. Few items wait between
two stages, so memory stays flat, and an error of one comes out at the next, with nothing left running behind it.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import TracebackType
    from typing import Self

    Item = TypeVar("Item")

MOST = 2  # items between two stages


def ahead(items: Generator[Item]) -> Generator[Item]:
    """The items, made in a thread before they are asked for. It must be closed, which closes them."""
    with closing(items), ThreadPoolExecutor(1, "delivery-read") as thread:
        asked = deque(thread.submit(next, items, None) for _ in range(MOST))
        while (item := asked.popleft().result()) is not None:
            asked.append(thread.submit(next, items, None))
            yield item


class Behind:
    """Calls made in order in a thread, used inside `with`; what one raises, a later one or `finish` does."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "delivery-write")
        self._asked: deque[Future[object]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)

    def call(self, function: Callable[[bytes], object], data: bytes) -> None:
        """Calls the function as soon as those before are done; waits while too many are under way."""
        while len(self._asked) >= MOST:
            self._asked.popleft().result()
        self._asked.append(self._thread.submit(function, data))

    def finish(self) -> None:
        """Waits until all is done."""
        while self._asked:
            self._asked.popleft().result()

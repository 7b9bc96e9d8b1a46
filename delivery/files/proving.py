"""Proving files while they are written: what has reached one is read again, and held against the rows that were read.

By a thread of its own, a little behind. It reads the file, not what was meant for it: a fault of cutting, compressing
or writing shows as one of rendering does.
"""

from __future__ import annotations

import io
import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from delivery.errors import WriteFailed
from delivery.files.proof import Dialect, Rows, compare, read_back

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    import pyarrow as pa

MOST = 2  # batches that wait to be proven, while there are bytes to be read


class Proving:
    """One after the other, of the files into which rows go, used inside `with`: at its end, all are in one of them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._given: deque[pa.RecordBatch] = deque()
        self._schema: pa.Schema | None = None
        self._rows = Rows(self._expected())
        self._thread = ThreadPoolExecutor(1, "delivery-prove")
        # The file under way: its bytes begin at `start` of the disk, and `size` of them can be read.
        self._disk: IO[bytes]
        self._start = self._size = 0
        self._has_ended = self._is_read = False
        self._proven: Future[int]
        self.seen = 0  # rows of the last file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:  # a signal may come between any two lines
            self._end(0)
        self._thread.shutdown()
        if kind is None and self._rows.take(1) is not None:
            raise WriteFailed(
                "Rows were read that are in no file.", hint="Nothing was sent. This is a defect: report it."
            )

    def expect(self, batch: pa.RecordBatch) -> None:
        """The rows that come next. Waits while the proof is behind; raises WriteFailed when it failed."""
        with self._changed:
            # What has not come out of a compressor yet cannot be waited for.
            self._changed.wait_for(lambda: len(self._given) < MOST or self._is_read or self._has_ended)
            self._schema = batch.schema
            self._given.append(batch)
            self._changed.notify_all()
        if self._proven.done():
            self._proven.result()

    @contextmanager
    def file(self, disk: IO[bytes], how: Dialect) -> Iterator[None]:
        """Inside, the file is written. disk: where its bytes go from now on, readable, too.

        Raises WriteFailed when it does not read back the same.
        """
        self._disk, self._start, self._size = disk, disk.tell(), 0
        self._has_ended = self._is_read = False
        self._proven = self._thread.submit(self._prove, how)
        try:
            yield
            self.grown()
            self._end()
            self.seen = self._proven.result()
        except BaseException:
            self._end(0)
            wait([self._proven])
            raise
        self._size = 0

    def grown(self) -> None:
        """More has been written."""
        self._disk.flush()
        with self._changed:
            if not self._has_ended:
                self._size = self._disk.tell() - self._start
            self._changed.notify_all()

    def read(self, at: int, buffer: memoryview) -> int:
        """Fills the buffer with what lies there; waits for it while the file is written. 0 at its end."""
        with self._changed:
            self._is_read = at >= self._size
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._size > at or self._has_ended)
            self._is_read = False
            if self._size <= at:
                return 0
            return os.preadv(self._disk.fileno(), [buffer[: self._size - at]], self._start + at)

    def _prove(self, how: Dialect) -> int:
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._schema is not None or self._has_ended)
            if self._schema is None:
                return 0
            seen = read_back(lambda: io.BufferedReader(_Reader(self)), self._schema, how)
            return compare(seen, self._rows, how.integration.namespace, how)
        finally:
            self._end(0)

    def _expected(self) -> Iterator[pa.RecordBatch]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._given or self._has_ended)
                if not self._given:
                    return
                batch = self._given.popleft()
                self._changed.notify_all()
            yield batch

    def _end(self, size: int | None = None) -> None:
        """Nothing more comes. size: 0 when nobody is to read any more of a file that may be closed."""
        with self._changed:
            self._has_ended = True
            self._size = self._size if size is None else size
            self._changed.notify_all()


class _Reader(io.RawIOBase):
    def __init__(self, of: Proving) -> None:
        self._of, self._at = of, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._of.read(self._at, memoryview(buffer))
        self._at += count
        return count

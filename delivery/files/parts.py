"""One delivery's rows as one file or several: where one part ends and the next begins.

Where a part ends depends on the rows and the integration alone, not on how the engine cuts its batches, so the same
data gives the same parts. No row is ever split, and each part has the header of its own.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from delivery.files.proving import Proving
from delivery.files.writer import NewFile, Written, new_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import IO

    import pyarrow as pa

    from delivery.config.integrations import Integration
    from delivery.files.nameless import Nameless
    from delivery.files.writer import Renames


@dataclass(frozen=True)
class Part:
    """One file of a delivery. path: where it lies; hidden: gives its bytes while they have no name."""

    path: Path
    written: Written
    hidden: Callable[[], IO[bytes]] | None = None

    def opened(self) -> IO[bytes]:
        """Its bytes, from the beginning."""
        return self.hidden() if self.hidden else self.path.open("rb")


def write_parts(
    place: Callable[[int], Path],
    batches: Iterable[pa.RecordBatch],
    integration: Integration,
    renames: Renames,
    *,
    first: int = 1,
    plain: Nameless | None = None,
) -> list[Part]:
    """Writes the batches to as many files as the integration's `split` asks for, at least one.

    place: the path of the part with that number, from `first` on; plain: takes the bytes of all in place of the paths.
    The first batch may be empty and gives the columns. Raises as `write_file` does; parts that were whole before stay.
    """
    with Proving() as proof, _Parts(place, integration, renames, first, plain, proof) as parts:
        for batch in batches:
            proof.expect(batch)
            parts.add(batch)
    return parts.done


class _Parts:
    def __init__(
        self,
        place: Callable[[int], Path],
        integration: Integration,
        renames: Renames,
        first: int,
        plain: Nameless | None,
        proof: Proving,
    ) -> None:
        self.done: list[Part] = []
        self._place, self._integration, self._renames, self._number = place, integration, renames, first
        self._plain, self._proof = plain, proof
        split = integration.split
        self._rows, self._bytes = (split.rows, split.bytes) if split else (None, None)
        self._stack = ExitStack()

    def __enter__(self) -> _Parts:
        self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._close()
        else:
            self._stack.__exit__(kind, error, None)

    def _open(self) -> None:
        self._path = self._place(self._number)
        self._start = self._plain.size if self._plain else 0
        self._file: NewFile = self._stack.enter_context(
            new_file(self._path, self._integration, self._renames, self._proof, self._plain)
        )

    def _close(self) -> None:
        self._stack.close()
        written = self._file.written()
        hidden = partial(self._plain.read, self._start, written.bytes) if self._plain else None
        self.done.append(Part(self._path, written, hidden))

    def _next(self) -> None:
        self._close()
        self._number += 1
        self._open()

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds the rows to this part, and to the next ones when it is full."""
        if self._rows is not None:
            self._add_counted(batch, self._rows)
        elif self._bytes is not None:
            self._add_sized(batch, self._bytes)
        else:
            self._file.add(batch)

    def _add_counted(self, batch: pa.RecordBatch, most: int) -> None:
        while (room := most - self._file.rows) < batch.num_rows:
            if room:
                self._file.add(batch.slice(0, room))
                batch = batch.slice(room)
            self._next()
        self._file.add(batch)

    def _add_sized(self, batch: pa.RecordBatch, most: int) -> None:
        """Halves what does not fit, down to the row that begins the next part; one that is larger alone has its own."""
        text = self._file.text(batch)
        if self._file.size + len(text) <= most or (batch.num_rows <= 1 and not self._file.rows):
            self._file.add(batch, text)
        elif batch.num_rows == 1:
            self._next()
            self._add_sized(batch, most)
        else:
            half = batch.num_rows // 2
            self._add_sized(batch.slice(0, half), most)
            self._add_sized(batch.slice(half), most)

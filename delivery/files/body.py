"""A file's text without its last line, the trailer, which is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

LONGEST = 1 << 12  # bytes of a trailer and of what ends its line


class Body:
    """A stream of UTF-8, of which the last line is `trailer` once all is read, with what ends it."""

    def __init__(self, stream: pa.NativeFile) -> None:
        self.trailer = b""
        self._stream = stream
        self._waiting = b""

    def read(self, most: int) -> bytes:
        """At most so many bytes, which are more than LONGEST; none at the end."""
        while len(self._waiting) <= LONGEST:
            more: bytes = self._stream.read(most)
            if not more:
                body, line_end, last = self._waiting[:-1].rpartition(b"\n")
                self.trailer, self._waiting = last + self._waiting[-1:] or self.trailer, b""
                return body + line_end
            self._waiting += more
        given, self._waiting = self._waiting[:-LONGEST], self._waiting[-LONGEST:]
        return given

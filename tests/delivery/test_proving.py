"""Files proven while they are written: a fault of any stage is found, stops all of them, and leaves nothing."""

from __future__ import annotations

import gzip
import itertools
import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from builders import integration

from delivery.errors import WriteFailed
from delivery.files import writer
from delivery.files.parts import write_parts
from delivery.files.writer import NewFile, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

COMPRESSIONS = ("none", "gzip", "zstd")


def batch(start: int, count: int = 1000) -> pa.RecordBatch:
    return pa.record_batch(
        {"n": pa.array(range(start, start + count), pa.int64()), "text": pa.array(["x" * 50] * count, pa.string())}
    )


def batches(most: int) -> Iterator[pa.RecordBatch]:
    yield batch(0, 0)
    for number in range(most):
        yield batch(number * 1000)


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("delivery-")] == []


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("size", [10, 1000])
def test_rows_that_stay_in_a_compressor_for_long_are_not_waited_for(
    compression: str, size: int, tmp_path: Path
) -> None:
    """However many batches a block holds."""
    rows = batch(0, 2000)
    cut = [rows.slice(start, size) for start in range(0, rows.num_rows, size)]
    assert write_file(tmp_path / "f", cut, integration(compression=compression)).rows == 2000


def spoilt(change: Callable[[bytes], bytes], at: int) -> Callable[..., int]:
    write, calls = writer._Hashing.write, itertools.count()

    def instead(self: Any, data: Any) -> int:
        return write(self, change(bytes(data)) if next(calls) == at else data)

    return instead


FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "a block lost": lambda data: b"",
    "a block doubled": lambda data: data * 2,
    "a line lost": lambda data: data.partition(b"\r\n")[2],
    "a byte changed": lambda data: data[:1000] + bytes([data[1000] ^ 1]) + data[1001:],
    "cut short": lambda data: data[: len(data) // 2],
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at", [2, 9])
def test_what_the_disk_was_given_wrongly_is_found_and_stops_the_reading(
    fault: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long before the last row."""
    monkeypatch.setattr(writer._Hashing, "write", spoilt(FAULTS[fault], at))
    read = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal read
        for one in batches(10_000):
            read += 1
            yield one

    with pytest.raises(WriteFailed, match=r"differs from the table|does not read back"):
        write_file(tmp_path / "f", counted(), integration())
    assert read < 1000
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_what_a_compressor_does_wrongly_is_found(
    compression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own checksum is of what it was given."""
    write = writer._Blocks.write
    monkeypatch.setattr(writer._Blocks, "write", lambda self, data: write(self, data.replace(b"777,", b"778,")))
    with pytest.raises(WriteFailed, match="row 778, column n"):
        write_file(tmp_path / "f", batches(30), integration(compression=compression))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("split", [None, {"rows": 700}, {"bytes": 20_000}])
def test_rows_that_are_in_no_file_are_found(
    split: dict[str, int] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = NewFile.add

    def lose(self: NewFile, rows: pa.RecordBatch, text: bytes | None = None) -> None:
        if not rows.num_rows or rows["n"][0].as_py() < 4000:
            add(self, rows, text)

    monkeypatch.setattr(NewFile, "add", lose)
    with pytest.raises(WriteFailed, match="Rows were read that are in no file"):
        write_parts(lambda n: tmp_path / str(n), batches(5), integration(**({"split": split} if split else {})), {})


def test_parts_that_changed_places_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is whole; what was read tells."""
    add = NewFile.add

    def turned(self: NewFile, rows: pa.RecordBatch, text: bytes | None = None) -> None:
        add(self, rows.take(pa.array(range(rows.num_rows - 1, -1, -1), pa.int64())))

    monkeypatch.setattr(NewFile, "add", turned)
    with pytest.raises(WriteFailed, match="row 1, column n"):
        write_parts(lambda n: tmp_path / str(n), batches(5), integration(split={"rows": 700}), {})


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, WriteFailed])
@pytest.mark.parametrize("after", [0, 1, 40])
def test_an_error_in_reading_is_raised_as_it_is(error: type[BaseException], after: int, tmp_path: Path) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from batches(after)
        raise error("engine")

    for compression in COMPRESSIONS:
        with pytest.raises(error, match="engine"):
            write_file(tmp_path / "f", broken(), integration(compression=compression))
        assert not list(tmp_path.iterdir())


def test_a_file_of_parts_is_read_from_where_it_begins(tmp_path: Path) -> None:
    """A value larger than any block before has the reader begin anew, from the start of its own part."""
    rows = pa.record_batch({"a": ["x", "y" * (2 << 20), "z"] * 3})
    parts = write_parts(lambda n: tmp_path / str(n), [rows], integration(split={"rows": 2}, compression="gzip"), {})
    assert [part.written.rows for part in parts] == [2, 2, 2, 2, 1]
    assert [gzip.decompress(part.path.read_bytes()).count(b"\r\n") for part in parts] == [3, 3, 3, 3, 2]


def test_a_packed_file_that_is_damaged_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the unpacker calls it."""
    monkeypatch.setattr(writer._Hashing, "write", spoilt(lambda data: data[:500] + bytes(400) + data[900:], 3))
    noise = pa.record_batch({"a": [sha256(b"%d" % n).hexdigest() for n in range(100_000)]})
    with pytest.raises(WriteFailed):
        write_file(tmp_path / "f", [noise], integration(compression="gzip"))
    assert not list(tmp_path.iterdir())

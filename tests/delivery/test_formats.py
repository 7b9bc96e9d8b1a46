"""What a client's files look like beyond the form: encodings of one byte, times, trailers, names without extension."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from builders import campaign, integration, job
from test_reread import RENAMES, check, rows

from delivery.errors import GateRefused, WriteFailed
from delivery.files.body import LONGEST, Body
from delivery.files.parts import write_parts
from delivery.files.proof import Dialect, read_back
from delivery.files.times import parsed
from delivery.files.writer import write_file
from delivery.schedule.names import Naming, file_name

if TYPE_CHECKING:
    from pathlib import Path

FRACTION = datetime(2026, 3, 29, 0, 59, 59, 250_000)
STAMPS = [FRACTION, datetime(2026, 10, 25, 0, 30), datetime(2026, 10, 25, 1, 30), None, datetime(1970, 1, 1)]
DAYS = [date(1, 1, 1), date(9999, 12, 31), None, date(2024, 2, 29), date(2026, 11, 3)]


def texts(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def times(**columns: pa.Array) -> pa.RecordBatch:
    beside = {"namespace": ["acme_outdoor"] * len(STAMPS), "text": ["a", "", None, "é", "01.01.1970"]}
    return pa.record_batch(beside | columns)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("quoting", ["minimal", "all"])
@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        (
            {"time_zone": "Europe/Berlin"},
            ["2026-03-29T01:59:59.250+01:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "",
             "1970-01-01T01:00:00+01:00"],
        ),
        (
            {"timestamp_format": "%d.%m.%Y %H:%M:%S"},
            ["29.03.2026 00:59:59.250", "25.10.2026 00:30:00", "25.10.2026 01:30:00", "", "01.01.1970 00:00:00"],
        ),
        (
            {"timestamp_format": "%H:%M:%S Uhr, %d/%m/%Y (%z)", "time_zone": "Asia/Kathmandu"},
            ["06:44:59.250 Uhr, 29/03/2026 (+05:45)", "06:15:00 Uhr, 25/10/2026 (+05:45)",
             "07:15:00 Uhr, 25/10/2026 (+05:45)", "", "05:30:00 Uhr, 01/01/1970 (+05:30)"],
        ),
    ],
    ids=["zone", "format", "both"],
)  # fmt: skip
def test_times_are_the_clients_and_read_back_to_the_microsecond(
    keys: dict[str, Any], lines: list[str], quoting: str, unit: str, tmp_path: Path
) -> None:
    how = integration(**keys, quoting=quoting, column_delimiter="|", include_header_row=False)
    table = times(at=pa.array(STAMPS, pa.timestamp("us")).cast(pa.timestamp(unit)))
    write_file(tmp_path / "f", [table.slice(0, 2), table.slice(2)], how)
    assert [line.split("|")[-1].strip('"') for line in texts(tmp_path / "f")] == lines
    assert check(tmp_path / "f", how, [table]) == len(STAMPS)


def test_an_aware_column_and_one_of_dates_too(tmp_path: Path) -> None:
    how = integration(date_format="%d/%m/%Y", timestamp_format="%Y%m%d%H%M%S", include_header_row=False)
    aware = pa.array([at and at.replace(tzinfo=UTC) for at in STAMPS], pa.timestamp("us", "Europe/Berlin"))
    table = times(at=aware, day=pa.array(DAYS))
    write_file(tmp_path / "f", [table], how)
    assert texts(tmp_path / "f")[0].endswith("a,20260329005959.250,01/01/0001")
    assert check(tmp_path / "f", how, [table]) == len(DAYS)


@pytest.mark.parametrize("changed", ["25.10.2026 00:30:01", "2026-10-25 00:30:00", "25.10.26 00:30:00", "x", '""'])
def test_a_time_that_was_changed_is_found(changed: str, tmp_path: Path) -> None:
    how = integration(timestamp_format="%d.%m.%Y %H:%M:%S")
    table = times(at=pa.array(STAMPS, pa.timestamp("us")))
    write_file(tmp_path / "f", [table], how)
    content = (tmp_path / "f").read_text().replace("25.10.2026 00:30:00", changed)
    (tmp_path / "f").write_text(content, newline="")
    with pytest.raises(WriteFailed, match=r"differs from the table in row 2, column at|does not read back") as found:
        check(tmp_path / "f", how, [table])
    assert "25.10" not in found.value.message


def test_a_text_that_is_no_time_is_not_taken_for_null() -> None:
    how, kind = integration(timestamp_format="%d.%m.%Y %H:%M:%S"), pa.timestamp("us", "UTC")
    assert parsed(pa.array([None, "03.11.2026 04:44:04"]), kind, how).null_count == 1
    with pytest.raises(pa.ArrowInvalid):
        parsed(pa.array([None, "2026-11-03 04:44:04"]), kind, how)


@pytest.mark.parametrize(
    ("at", "zone"),
    [
        (datetime(1850, 1, 1), "Europe/Berlin"),
        (datetime(1, 1, 1), "America/New_York"),
        (datetime(9999, 12, 31, 23, 30), "Europe/Berlin"),
    ],
)
def test_a_time_that_its_zone_cannot_tell_is_refused(at: datetime, zone: str, tmp_path: Path) -> None:
    with pytest.raises(GateRefused, match=f"Column at holds a time so early or late that {zone} cannot tell it"):
        write_file(tmp_path / "f", [pa.record_batch({"at": [at]})], integration(time_zone=zone))
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"timestamp_format": "%Y-%m-%d %H:%M"}, "must have each of %Y, %m, %d, %H, %M, %S once"),
        ({"timestamp_format": "%Y-%m-%d %H:%M:%S %S"}, "must have each of"),
        ({"timestamp_format": "%y-%m-%d %H:%M:%S"}, "unknown %y; known: %Y, %m, %d, %H, %M, %S, %z"),
        ({"timestamp_format": "%Y-%m-%d %H:%M:%S%"}, "unknown %"),
        ({"timestamp_format": "%H%M%S%Y%m%d"}, "something but digits and dots after %S"),
        ({"timestamp_format": "%H:%M:%S.%d%m%Y"}, "something but digits and dots after %S"),
        ({"timestamp_format": "=%Y-%m-%d %H:%M:%S"}, "must begin with a date or a time"),
        ({"timestamp_format": "%z %Y-%m-%d %H:%M:%S"}, "must begin with a date or a time"),
        ({"timestamp_format": "%Y-%m-%d\n%H:%M:%S"}, "without control characters"),
        ({"timestamp_format": ""}, "must have each of"),
        ({"timestamp_format": "%d.%m.%Y %H:%M:%S", "time_zone": "Europe/Berlin"}, "needs %z in another time_zone"),
        ({"date_format": "%d.%m."}, "must have each of %Y, %m, %d once"),
        ({"date_format": "%d.%m.%Y %H"}, "unknown %H"),
        ({"time_zone": "CET"}, "must be UTC or a zone of the tz database"),
        ({"time_zone": "../../etc/passwd"}, "must be UTC or a zone of the tz database"),
        ({"time_zone": "Europe/Nowhere"}, "must be UTC or a zone of the tz database"),
        ({"character_encoding": "Windows-1252", "bom": True}, "Windows-1252 has no byte-order mark"),
        ({"character_encoding": "ISO-8859-1", "nulls": "€"}, "ISO-8859-1 has not every character of '€'"),
        ({"character_encoding": "ISO-8859-1", "columns": [{"x": "€"}]}, "ISO-8859-1 has not every character of '€'"),
        (
            {"character_encoding": "ISO-8859-1", "timestamp_format": "%Y-%m-%d %H:%M:%S €"},
            "ISO-8859-1 has not every character of '%Y-%m-%d %H:%M:%S €'",
        ),
        ({"character_encoding": "Windows-1252", "date_format": "%Y年%m月%d"}, "not every character of '%Y年%m月%d'"),
        ({"nulls": "\ufeff"}, "must not contain control characters, or begin with a byte-order mark"),
        ({"signature": {"private_key": 5}}, "private_key\n  Value error, must be the path of a key file"),
        ({"trailer": "END"}, "must be one line with {rows} in it"),
        ({"trailer": "{rows}\nEND"}, "must be one line with {rows} in it"),
        ({"trailer": "{rows} {size}"}, "unknown {size}; known: rows"),
        ({"trailer": "{rows}", "split": {"bytes": 2048}}, "trailer does not go with split by bytes"),
    ],
    ids=str,
)
def test_what_could_not_be_read_back_is_refused_at_load(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(").replace("{", r"\{")):
        integration(**keys)


@pytest.mark.parametrize(("encoding", "codec"), [("Windows-1252", "cp1252"), ("ISO-8859-1", "latin-1")])
@pytest.mark.parametrize("more", [{}, {"compression": "gzip", "quoting": "all", "trailer": "Ende: {rows}é"}])
def test_encodings_of_one_byte_read_back(encoding: str, codec: str, more: dict[str, Any], tmp_path: Path) -> None:
    """Every character that the encoding has, and line breaks where blocks end."""
    every = bytes(range(1, 256)).decode(codec, "ignore")
    table = pa.record_batch(
        {"namespace": ["acme_outdoor"] * 3000, "text": [every, every[::-1], "é\r\n" * 50] * 1000, "ü": ["x"] * 3000}
    )
    how = integration(character_encoding=encoding, **more)
    write_file(tmp_path / "f", [table.slice(0, 5), table.slice(5)], how)
    assert check(tmp_path / "f", how, [table]) == 3000
    if not more:
        assert (tmp_path / "f").read_bytes().startswith(b"namespace,text,\xfc\r\n")


def test_what_an_encoding_lacks_is_refused_by_row_and_column(tmp_path: Path) -> None:
    """Also in the words of the client's spelling, and in the part where it lies."""
    how, table = integration(character_encoding="ISO-8859-1", split={"rows": 4}), rows(9)
    plain = table.set_column(3, "text", pa.array(["ÿ"] * 8 + ["ÿ☃"]))
    with pytest.raises(GateRefused) as refused:
        write_parts(lambda n: tmp_path / f"{n}", [plain.slice(0, 3), plain.slice(3)], how, {})
    assert refused.value.message == "Row 1, column text, holds a character that ISO-8859-1 does not have."
    spelt = {"event": {"deliver": "доставлено"}}
    with pytest.raises(GateRefused, match=r"Row 3, column event, holds a character"):
        write_file(tmp_path / "y", [plain], how, spelt)
    with pytest.raises(GateRefused, match="The header holds a character"):
        write_file(tmp_path / "z", [pa.record_batch({"☃": ["x"]})], how)
    assert "☃" not in str(refused.value)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("count", [0, 1, 2000])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"bom": True, "compression": "gzip"},
        {"character_encoding": "UTF-16", "row_delimiter": "linux", "compression": "zstd"},
    ],
    ids=str,
)
def test_a_trailer_counts_the_rows_of_its_file(header: bool, count: int, more: dict[str, Any], tmp_path: Path) -> None:
    how = integration(trailer="TRL|{rows:06}", include_header_row=header, nulls="", **more)
    table = rows(2000).slice(0, count)
    write_file(tmp_path / "f", [table], how, RENAMES)
    assert check(tmp_path / "f", how, [table]) == count
    if not more:
        assert (tmp_path / "f").read_bytes().endswith(f"TRL|{count:06}\r\n".encode())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"TRL|3\r\n", b"TRL|2\r\n"), (b"TRL|3\r\n", b"TRL|3"), (b"TRL|3\r\n", b""), (b"TRL|3\r\n", b"TRL|3\r\n\r\n"),
        (b"TRL|3\r\n", b"TRL|3\r\nTRL|3\r\n"),
    ],
)  # fmt: skip
def test_another_trailer_is_found(old: bytes, new: bytes, tmp_path: Path) -> None:
    how, table = integration(trailer="TRL|{rows}"), rows(3)
    write_file(tmp_path / "f", [table], how, RENAMES)
    content = (tmp_path / "f").read_bytes()
    assert content.endswith(old)
    (tmp_path / "f").write_bytes(content.removesuffix(old) + new)
    with pytest.raises(WriteFailed):
        check(tmp_path / "f", how, [table])


def test_each_part_has_its_own_trailer(tmp_path: Path) -> None:
    how = integration(trailer="{rows}", split={"rows": 2}, include_header_row=False)
    parts = write_parts(lambda n: tmp_path / f"{n}", [rows(5)], how, {})
    assert [texts(part.path)[-1] for part in parts] == ["2", "2", "1"]


@pytest.mark.parametrize("size", [0, 5, LONGEST, LONGEST + 1, 3 * LONGEST + 7])
def test_all_but_the_last_line_passes_in_pieces_of_any_size(size: int) -> None:
    class Source:
        def __init__(self) -> None:
            self.left = b"x" * size + b"\n" + b"last\r\n"

        def read(self, most: int) -> bytes:
            given, self.left = self.left[: min(most, 1000)], self.left[min(most, 1000) :]
            return given

    body, seen = Body(Source()), []
    while piece := body.read(LONGEST + 1):
        seen.append(piece)
        assert len(piece) <= LONGEST + 1
    assert (b"".join(seen), body.trailer, body.read(9)) == (b"x" * size + b"\n", b"last\r\n", b"")


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        ({"extension": False}, "daily_2026-11-03"),
        ({"extension": False, "compression": "gzip"}, "daily_2026-11-03.gz"),
        ({"extension": False, "file_name": "x.txt"}, "x.txt"),
        ({"extension": False, "filename_timestamped": True}, "daily_2026-11-03_20261104053512"),
        ({}, "daily_2026-11-03.csv"),
    ],
    ids=str,
)
def test_a_name_may_have_no_extension(keys: dict[str, Any], name: str) -> None:
    assert file_name(job(**keys), datetime(2026, 11, 4, 5, 35, 12, tzinfo=UTC)) == name
    assert f"{name[:5]}" == next(Naming.of(campaign(), integration(**keys)).possible())[:5]


def test_a_block_that_is_read_again_counts_once(tmp_path: Path) -> None:
    """A value larger than a block makes the reader begin again."""
    table = pa.record_batch({"a": ["x", "y" * (1 << 19), "z"]})
    how = integration(trailer="{rows}")
    write_file(tmp_path / "f", [table], how)
    back = read_back(lambda: (tmp_path / "f").open("rb"), table.schema, Dialect("f", how, {}))
    assert sum(batch.num_rows for batch in back) == 3

"""The sample's files as five readers that did not write them see them: all the same, and as the table has it."""

from __future__ import annotations

import csv
import io
import tempfile
from typing import TYPE_CHECKING

import duckdb
import pandas as pd
import polars as pl
import pyarrow.csv as pa_csv
import pytest
from test_runner import GOLDEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from projects import Copy

Rows = list[list[str]]
FILES = sorted(p for p in GOLDEN.rglob("*") if p.is_file())
assert FILES, "the golden files are gone"


def text_of(raw: bytes) -> str:
    return raw.decode("utf-16" if raw.startswith(b"\xff\xfe") else "utf-8")


def by_csv(raw: bytes, delimiter: str) -> Rows:
    return list(csv.reader(io.StringIO(text_of(raw), newline=""), delimiter=delimiter, strict=True))


def by_pandas(raw: bytes, delimiter: str) -> Rows:
    encoding = "utf-16" if raw.startswith(b"\xff\xfe") else "utf-8"
    frame = pd.read_csv(io.BytesIO(raw), sep=delimiter, dtype=str, keep_default_na=False, encoding=encoding)
    return [list(frame.columns), *frame.to_numpy().tolist()]


def by_polars(raw: bytes, delimiter: str) -> Rows:
    frame = pl.read_csv(text_of(raw).encode(), separator=delimiter, infer_schema=False).fill_null("")
    return [frame.columns, *(list(row) for row in frame.iter_rows())]


def by_pyarrow(raw: bytes, delimiter: str) -> Rows:
    encoding = "utf-16" if raw.startswith(b"\xff\xfe") else "utf8"
    header = by_csv(raw, delimiter)[0]
    table = pa_csv.read_csv(
        io.BytesIO(raw),
        pa_csv.ReadOptions(encoding=encoding, use_threads=False),
        pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        pa_csv.ConvertOptions(column_types=dict.fromkeys(header, "string"), strings_can_be_null=False),
    )
    return [table.column_names, *(list(row.values()) for row in table.to_pylist())]


def by_duckdb(raw: bytes, delimiter: str) -> Rows:
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(text_of(raw).encode())
        file.flush()
        relation = duckdb.connect().sql(
            f"from read_csv('{file.name}', sep='{delimiter}', all_varchar=true, header=true, quote='\"', escape='\"')"
        )
        rows = [["" if value is None else value for value in row] for row in relation.fetchall()]
        return [list(relation.columns), *rows]


READERS = [by_csv, by_pandas, by_polars, by_pyarrow, by_duckdb]


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_readers_see_what_the_table_has(built: Copy, path: Path, reader: Callable[[bytes, str], Rows]) -> None:
    raw = path.read_bytes()
    delimiter = "|" if "brightside" in str(path) else ","

    seen = reader(raw, delimiter)

    assert seen == expected(built, str(path), seen[0])


def expected(built: Copy, path: str, columns: list[str]) -> Rows:
    """The table's rows as texts: timestamps in ISO 8601, NULL as the empty text."""
    dataset = "email_unsubscribes" if "unsubscribes" in path else "esp_events"
    namespace = "brightside_beauty" if "brightside" in path else "acme_outdoor"
    iso = "replace({0}::varchar, ' ', 'T') || 'Z'"
    texts = ", ".join(
        f"coalesce(case when typeof({c}) = 'TIMESTAMP' then {iso.format(c)} else {c}::varchar end, '')" for c in columns
    )
    with duckdb.connect(str(built.root / "warehouse.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            f"select {texts} from {dataset} where namespace = ? and event_day = date '2026-11-03'"
            " order by event_time, unique_key",
            [namespace],
        ).fetchall()
    return [columns, *(list(row) for row in rows)]


def test_the_sample_has_what_breaks_readers() -> None:
    text = "".join(text_of(path.read_bytes()) for path in FILES)
    for what in ('""', "\n", "✨", "101|103", ", "):
        assert what in text

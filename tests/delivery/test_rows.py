"""Rows: one namespace's, in the layout's columns, in a total order, however the table is stored."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pytest
from builders import dataset, integration, window

from delivery.config.campaigns import Members
from delivery.errors import GateRefused, WriteFailed
from delivery.files.writer import write_file
from delivery.warehouse.duckdb import DuckDB
from delivery.warehouse.rows import OutOfOrder, Selection, Tally, count_again, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS = "namespace varchar, email varchar, event_time timestamp, unique_key varchar, event_day date"
IN_ORDER = [
    ("acme_outdoor", "a@example.com", "2026-11-03 01:00:00", "k2", "2026-11-03"),
    ("acme_outdoor", "b@example.com", "2026-11-03 01:00:00", "k3", "2026-11-03"),
    ("acme_outdoor", "c@example.com", "2026-11-03 02:00:00", "k1", "2026-11-03"),
    ("acme_outdoor", "d@example.com", "2026-11-04 00:00:00", "k0", "2026-11-04"),
]
TWO_DAYS = window("2026-11-03", "2026-11-05")


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as opened:
        opened.execute(f"create table events ({COLUMNS})")
        yield opened


def fill(connection: duckdb.DuckDBPyConnection, rows: list[tuple[str | None, ...]]) -> DuckDB:
    connection.executemany("insert into events values (?, ?, ?, ?, ?)", rows)
    return DuckDB(connection)


def selection(**changes: Any) -> Selection:
    chosen = Selection(dataset(), ("namespace", "email"), "acme_outdoor", TWO_DAYS)
    return replace(chosen, **changes)


def emails(engine: Any, chosen: Selection, *, ordered: bool) -> list[str]:
    table = pa.Table.from_batches(read(engine, chosen, ordered=ordered))
    assert table.column_names == list(chosen.columns)
    return [email.partition("@")[0] for email in table["email"].to_pylist()]


class InBatches:
    """The engine, with its rows cut into batches of the given size, or changed on their way."""

    def __init__(self, engine: DuckDB, size: int = 1 << 20, change: Any = None) -> None:
        self._engine, self._size, self._change = engine, size, change or (lambda batch: batch)

    keeps_order = True
    is_snapshot = True

    def table(self, sql: str) -> pa.Table:
        return self._engine.table(sql)

    def stream(self, sql: str, *, sorts: bool = False) -> Iterator[pa.RecordBatch]:
        for batch in self._engine.stream(sql, sorts=sorts):
            for start in range(0, batch.num_rows, self._size):
                yield self._change(batch.slice(start, self._size))


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("size", [1, 2, 100])
def test_stored_in_order_is_read_as_it_lies(connection: duckdb.DuckDBPyConnection, ordered: bool, size: int) -> None:
    engine = InBatches(fill(connection, IN_ORDER), size)
    assert emails(engine, selection(), ordered=ordered) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("order", [(1, 0, 2, 3), (0, 2, 1, 3), (2, 1, 0, 3)])
def test_out_of_order_is_noticed_within_and_across_batches(
    connection: duckdb.DuckDBPyConnection, order: tuple[int, ...], size: int
) -> None:
    engine = InBatches(fill(connection, [IN_ORDER[n] for n in order]), size)
    with pytest.raises(OutOfOrder):
        emails(engine, selection(), ordered=False)
    assert emails(engine, selection(), ordered=True) == ["a", "b", "c", "d"]


def test_days_are_read_in_order_however_they_are_stored(connection: duckdb.DuckDBPyConnection) -> None:
    engine = fill(connection, [IN_ORDER[3], *IN_ORDER[:3]])
    assert emails(engine, selection(), ordered=False) == ["a", "b", "c", "d"]


def test_same_file_sorted_or_stored_sorted(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    """Also: the engine takes the second query after the first was given up in the middle."""
    engine = fill(connection, [IN_ORDER[n] for n in (2, 0, 1, 3)])
    with pytest.raises(OutOfOrder):
        write_file(tmp_path / "f", read(engine, selection(), ordered=False), integration())
    assert not (tmp_path / "f").exists()
    by_query = write_file(tmp_path / "f", read(engine, selection(), ordered=True), integration())
    connection.execute("create or replace table events as from events order by event_day, event_time, unique_key")
    stored = write_file(tmp_path / "g", read(engine, selection(), ordered=False), integration())
    assert by_query == stored


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("missing", [2, 3])
def test_rows_without_a_key_are_refused(
    connection: duckdb.DuckDBPyConnection, missing: int, size: int, ordered: bool
) -> None:
    holes = [tuple(None if n == missing else cell for n, cell in enumerate(IN_ORDER[0])), *IN_ORDER[1:]]
    engine = InBatches(fill(connection, holes), size)
    with pytest.raises(GateRefused, match=f"rows without {('event_time', 'unique_key')[missing - 2]}"):
        emails(engine, selection(), ordered=ordered)


@pytest.mark.parametrize("size", [1, 100])
def test_rows_with_the_same_key_are_refused(connection: duckdb.DuckDBPyConnection, size: int) -> None:
    engine = InBatches(fill(connection, [IN_ORDER[0], *IN_ORDER]), size)
    with pytest.raises(OutOfOrder):
        emails(engine, selection(), ordered=False)
    with pytest.raises(GateRefused, match="same event_time, unique_key"):
        emails(engine, selection(), ordered=True)


@pytest.mark.parametrize("stranger", ["nordlicht_books", "acme_outdoor2", "acme_outdoo", None])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_another_namespaces_row_stops_everything(
    connection: duckdb.DuckDBPyConnection, stranger: str | None, at: int
) -> None:
    """The query asks for one namespace; this engine answers with one more."""

    def smuggle(batch: pa.RecordBatch) -> pa.RecordBatch:
        names = batch["namespace"].to_pylist()
        names[at] = stranger
        return batch.set_column(batch.schema.get_field_index("namespace"), "namespace", pa.array(names))

    engine = InBatches(fill(connection, IN_ORDER[:3]), change=smuggle)
    with pytest.raises(WriteFailed, match="another namespace's rows; nothing was sent"):
        emails(engine, selection(), ordered=False)


def test_only_the_namespace_and_the_window_are_read(connection: duckdb.DuckDBPyConnection) -> None:
    others = [
        ("nordlicht_books", "x@example.com", "2026-11-03 01:00:00", "k9", "2026-11-03"),
        ("acme_outdoor", "y@example.com", "2026-11-02 01:00:00", "k8", "2026-11-02"),
        ("acme_outdoor", "z@example.com", "2026-11-05 00:00:00", "k7", "2026-11-05"),
    ]
    engine = fill(connection, others + IN_ORDER)
    assert emails(engine, selection(), ordered=False) == ["a", "b", "c", "d"]
    assert selection().count(engine) == 4
    assert emails(engine, selection(window=window("2026-11-04", "2026-11-05")), ordered=False) == ["d"]
    everything = selection(window=None, dataset=dataset(window=None, order_by=("email",)))
    assert emails(engine, everything, ordered=True) == ["a", "b", "c", "d", "y", "z"]
    assert everything.count(engine) == 6


def test_an_empty_window_gives_its_columns(connection: duckdb.DuckDBPyConnection) -> None:
    batches = list(read(fill(connection, IN_ORDER), selection(namespace="nordlicht_books"), ordered=False))
    assert [batch.num_rows for batch in batches] == [0]
    assert batches[0].schema.names == ["namespace", "email"]
    assert selection(namespace="nordlicht_books").count(DuckDB(connection)) == 0


def test_keys_that_are_not_in_the_file_still_order_it(connection: duckdb.DuckDBPyConnection) -> None:
    engine = fill(connection, [IN_ORDER[1], IN_ORDER[0]])
    assert emails(engine, selection(columns=("email",)), ordered=True) == ["a", "b"]


def test_columns_leave_in_the_layouts_order(connection: duckdb.DuckDBPyConnection) -> None:
    engine = fill(connection, IN_ORDER)
    for columns in (("email", "namespace"), ("unique_key", "email", "namespace", "event_time")):
        assert emails(engine, selection(columns=columns), ordered=False) == ["a", "b", "c", "d"]


def test_a_missing_column_is_refused_by_name(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(GateRefused, match="events no longer has gone, lost, which the layout needs") as refused:
        emails(fill(connection, IN_ORDER), selection(columns=("email", "gone", "lost")), ordered=False)
    assert "new campaign" in refused.value.hint


def test_names_and_values_with_quotes_are_only_names_and_values(connection: duckdb.DuckDBPyConnection) -> None:
    odd = 'a" from events; drop table events; --'
    quoted = odd.replace('"', '""')
    for before in ("event_time", "event_day"):
        connection.execute(f'alter table events rename {before} to "{before} {quoted}"')
    engine = fill(connection, [("o'brien", *row[1:]) for row in IN_ORDER])
    odd_set = dataset(window=f"event_day {odd}", order_by=(f"event_time {odd}", "unique_key"))
    chosen = selection(dataset=odd_set, namespace="o'brien", columns=("email", f"event_time {odd}"))
    assert emails(engine, chosen, ordered=True) == ["a", "b", "c", "d"]
    assert chosen.count(engine) == 4
    assert emails(engine, replace(chosen, namespace="' or ''='"), ordered=True) == []


# An audience's members, in pieces


MEMBERS = dataset(
    window=None, order_by=("customer_id",), columns=(), key="customer_id", name="people", relation="people"
)


def people(connection: duckdb.DuckDBPyConnection, count: int, order: str = "customer_id") -> DuckDB:
    """Two clients with the same ids; every member of ours has one row in `people`, and so has one who is no member."""
    connection.execute(
        f"""
        create table audience as
        select namespace, lpad(n::varchar, 6, '0') as customer_id, n % 10 = 9 as is_unsubscribed
        from range({count}) as numbers(n), (values ('acme_outdoor'), ('nordlicht_books')) as clients(namespace)
        order by {order};
        create table people as
        select * exclude (is_unsubscribed), customer_id || '@example.com' as email from audience
        union all select 'acme_outdoor', '~', 'no.member@example.com' order by customer_id
        """
    )
    return DuckDB(connection)


def of_members(**changes: Any) -> Selection:
    return Selection(MEMBERS, ("namespace", "email"), "acme_outdoor", None, members=Members("audience", **changes))


@pytest.mark.parametrize("size", [1000, 16_384, 1 << 20])
@pytest.mark.parametrize(
    ("count", "bounds"),
    [
        (0, [(None, None)]),
        (1, [(None, None)]),
        (16_384, [(None, None)]),
        (16_385, [(None, "016384"), ("016384", None)]),
        (40_000, [(None, "016384"), ("016384", "032768"), ("032768", None)]),
    ],
)
def test_members_are_joined_in_pieces_of_16384(
    connection: duckdb.DuckDBPyConnection, count: int, bounds: list[tuple[str | None, str | None]], size: int
) -> None:
    engine: Any = InBatches(people(connection, count), size)
    assert [(piece.from_key, piece.before_key) for piece in of_members().pieces(engine)] == bounds
    assert emails(engine, of_members(), ordered=False) == [f"{n:06}" for n in range(count)]
    assert of_members().count(engine) == count
    subscribed = of_members(without_unsubscribed=True)
    assert emails(engine, subscribed, ordered=True) == [f"{n:06}" for n in range(count) if n % 10 != 9]


def test_members_that_are_not_stored_by_key_are_joined_at_once(connection: duckdb.DuckDBPyConnection) -> None:
    engine = people(connection, 40_000, "customer_id desc")
    assert [(piece.from_key, piece.before_key) for piece in of_members().pieces(engine)] == [(None, None)]
    assert emails(engine, of_members(), ordered=True) == [f"{n:06}" for n in range(40_000)]


def test_chosen_rows_are_those_of_their_keys(connection: duckdb.DuckDBPyConnection) -> None:
    """Whatever else lies in the window; counted by their keys."""
    engine = fill(connection, IN_ORDER)
    chosen = selection(keys=pa.array(["k1", "k3", "k9"]))
    assert emails(engine, chosen, ordered=False) == ["b", "c"]
    assert chosen.count(engine) == 3
    by_email = selection(keys=pa.array(["d@example.com"]), key_column="email")
    assert emails(engine, by_email, ordered=False) == ["d"]
    assert emails(engine, selection(keys=pa.array([], pa.string())), ordered=False) == []


def test_what_was_read_is_counted_by_a_query_of_its_own(connection: duckdb.DuckDBPyConnection) -> None:
    """Rows, and in each column those that are not NULL; in pieces, too."""
    rows = [*IN_ORDER[:2], (IN_ORDER[2][0], None, *IN_ORDER[2][2:]), IN_ORDER[3]]
    engine: Any = InBatches(fill(connection, rows), 2)
    chosen, tally = selection(columns=("email", "unique_key", "namespace")), Tally()
    for _ in tally.of(read(engine, chosen, ordered=False)):
        pass
    assert tally == count_again(engine, chosen) == Tally(4, Counter(email=3, unique_key=4, namespace=4))
    assert count_again(engine, replace(chosen, keys=pa.array(["k1", "k3"]))) == Tally(2)
    assert count_again(people(connection, 40_000), of_members()) == Tally(
        40_000, Counter(namespace=40_000, email=40_000)
    )

"""Frozen layouts: kinds of columns, values cast back, and what is said of a change."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from builders import NOW, campaign, dataset, integration

from delivery.config.datasets import Column
from delivery.errors import GateRefused
from delivery.files.layouts import changes, layout_of
from delivery.ledger import Layout, Ledger
from delivery.schedule.jobs import Job
from delivery.warehouse.kinds import cast_back, kind_of


@pytest.mark.parametrize(
    ("data_type", "kind"),
    [
        (pa.string(), "text"),
        (pa.large_string(), "text"),
        (pa.string_view(), "text"),
        (pa.dictionary(pa.int8(), pa.string()), "text"),
        (pa.int8(), "integer"),
        (pa.uint64(), "integer"),
        (pa.bool_(), "boolean"),
        (pa.date32(), "date"),
        (pa.date64(), "date"),
        (pa.timestamp("ns"), "timestamp"),
        (pa.timestamp("us", "UTC"), "timestamp"),
        (pa.time32("s"), "time"),
        (pa.decimal128(18, 2), "decimal(2)"),
        (pa.decimal128(9, 4), "decimal(4)"),
        (pa.float32(), "float"),
        (pa.float64(), "double"),
        (pa.binary(), "binary"),
    ],
    ids=str,
)
def test_kinds_are_what_a_reader_can_tell_apart(data_type: pa.DataType, kind: str) -> None:
    assert kind_of(data_type) == kind


FITTING = [
    ("text", pa.array([1, 20]), ["1", "20"]),
    ("text", pa.array([True, None]), ["true", None]),
    ("text", pa.array([date(2026, 11, 3)]), ["2026-11-03"]),
    ("text", pa.array([Decimal("1.50")]), ["1.50"]),
    ("integer", pa.array(["7", None]), [7, None]),
    ("integer", pa.array([7.0]), [7]),
    ("decimal(2)", pa.array([7]), [Decimal("7.00")]),
    ("decimal(2)", pa.array([Decimal("7.5000")]), [Decimal("7.50")]),
    ("boolean", pa.array(["true"]), [True]),
    ("date", pa.array([datetime(2026, 11, 3)]), [date(2026, 11, 3)]),
    ("timestamp", pa.array([date(2026, 11, 3)]), [datetime(2026, 11, 3)]),
    ("time", pa.array([time(5)], pa.time32("s")), [time(5)]),
    ("double", pa.array([7]), [7.0]),
    ("", pa.array([7]), [7]),
    ("integer", pa.array([7], pa.int8()), [7]),
]
NOT_FITTING = [
    ("text", pa.array([datetime(2026, 11, 3)]), "timestamp"),
    ("text", pa.array([time(5)]), "time"),
    ("text", pa.array([1e20]), "double"),
    ("text", pa.array([1.5], pa.float32()), "float"),
    ("integer", pa.array(["x"]), "text"),
    ("integer", pa.array([7.5]), "double"),
    ("decimal(2)", pa.array([Decimal("7.505")]), "decimal(3)"),
    ("date", pa.array([datetime(2026, 11, 3, 5)]), "timestamp"),
    ("time", pa.array(["05:00:00"]), "text"),
    ("list<item: string>", pa.array(["x"]), "text"),
    ("a kind of a later version", pa.array([1]), "integer"),
]


@pytest.mark.parametrize(("kind", "now", "values"), FITTING, ids=str)
def test_values_are_cast_back_and_their_neighbours_left_alone(kind: str, now: pa.Array, values: list[Any]) -> None:
    beside = pa.array(["x"] * len(now))
    batch = cast_back(
        pa.RecordBatch.from_arrays([beside, now, beside], names=["a", "b", "c"]), {"b": kind, "z": "date"}
    )
    assert batch.schema.names == ["a", "b", "c"]
    assert batch["b"].to_pylist() == values
    assert kind_of(batch.schema.field("b").type) == (kind or "integer")
    assert batch["a"] == batch["c"] == beside


@pytest.mark.parametrize(("kind", "now", "named"), NOT_FITTING, ids=str)
def test_values_that_do_not_fit_or_would_be_spelt_otherwise_refuse(kind: str, now: pa.Array, named: str) -> None:
    batch = pa.RecordBatch.from_arrays([now], names=["b"])
    with pytest.raises(GateRefused) as refused:
        cast_back(batch, {"b": kind})
    assert refused.value.message == (
        f"b was {kind} when the layout was frozen; it is {named} now, and not all values fit."
    )


KINDS = {"email": "text", "points": "integer", "pclv": "integer"}
FROZEN = Layout(("email", "points"), ("text", "integer"))


@pytest.mark.parametrize(
    ("frozen", "asked", "kinds", "said"),
    [
        (FROZEN, ("email", "points"), KINDS, []),
        (FROZEN, ("email", "points"), None, []),
        (FROZEN, ("email", "points", "pclv"), KINDS, ["pclv was added since; the file goes on without it"]),
        (FROZEN, ("email",), KINDS, ["points is not asked for any more; the file goes on with it"]),
        (FROZEN, ("email",), None, ["points is not asked for any more; the file goes on with it"]),
        (
            FROZEN, ("points", "email"), KINDS,
            ["the order of the columns changed since; the file keeps its own"],
        ),
        (FROZEN, ("pclv", "email", "points"), KINDS, ["pclv was added since; the file goes on without it"]),
        (
            FROZEN, ("email", "points"), KINDS | {"points": "text"},
            ["points was integer and is text now; the file goes on with integer"],
        ),
        (
            FROZEN, ("email",), KINDS | {"points": "text"},
            ["points is not asked for any more; the file goes on with it",
             "points was integer and is text now; the file goes on with integer"],
        ),
        (
            FROZEN, ("email", "points"), {"email": "text"},
            ["points was removed from the table since; nothing is sent without it"],
        ),
        (
            FROZEN, ("email",), {"email": "text"},
            ["points was removed from the table since; nothing is sent without it"],
        ),
        (Layout(("email", "points"), ("", "integer")), ("email", "points"), KINDS | {"email": "date"}, []),
        (Layout(("email", "points")), ("email", "points"), KINDS | {"email": "date"}, []),
    ],
)  # fmt: skip
def test_what_is_said_of_a_change(
    frozen: Layout, asked: tuple[str, ...], kinds: dict[str, str] | None, said: list[str]
) -> None:
    assert list(changes(frozen, Layout(asked), kinds)) == said


def test_the_layout_of_a_campaign_and_integration_is_no_others() -> None:
    columns = tuple(Column(name, "text", "file") for name in ("namespace", "email"))
    chosen = campaign(of=dataset(columns=columns))
    one = Job(chosen, "acme", integration(), NOW, None)
    ledger = Ledger("sqlite://")
    for name, other in (("daily", "other"), ("weekly", "acme")):
        plan = one.record("/share", None) | {"id": name * 8, "campaign": name, "integration": other}
        ledger.plan(**plan)
        ledger.spooled(name * 8, [], layout='{"columns": ["x"], "kinds": ["text"]}')
        ledger.freeze_layout(name * 8)
    names = ("namespace", "email")
    assert layout_of(one, ledger, {"email": "text"}) == Layout(names, ("", "text"), labels=names)
    ledger.plan(**one.record("/share", None))
    ledger.spooled(one.key, [], layout='{"columns": ["email"], "kinds": ["text"]}')
    ledger.freeze_layout(one.key)
    frozen = layout_of(one, ledger, {"email": "date"})
    assert (frozen.columns, frozen.kinds) == (("email",), ("text",))
    assert set(ledger.layouts()) == {("daily", "acme"), ("daily", "other"), ("weekly", "acme")}
    ledger.close()

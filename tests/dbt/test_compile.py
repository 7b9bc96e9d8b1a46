"""What `make compile` counts as not parsed. That everything is parsed, it says itself."""

from __future__ import annotations

import pytest

from tests.compile.__main__ import WAREHOUSES, fault_in


@pytest.mark.parametrize("warehouse", WAREHOUSES.values())
def test_a_query_that_the_warehouse_reads_has_no_fault(warehouse: str) -> None:
    assert fault_in({"compiled_code": "select 1 as a union all select 2 as a"}, warehouse) is None


@pytest.mark.parametrize(
    ("warehouse", "sql", "fault"),
    [
        ("bigquery", "select 1 as a union select 2 as a", "Expected DISTINCT or ALL"),
        ("bigquery", "select 'it''s' as a", "Adjacent string literals"),
        ("snowflake", "select max(a) over w from t window w as (partition by b)", "Unexpected token"),
        ("databricks", "select case when a then b", "Expect"),
        ("databricks", "vacuum t", "no query"),
        ("snowflake", "", "was not compiled"),
    ],
)
def test_what_it_does_not_read_is_named(warehouse: str, sql: str, fault: str) -> None:
    assert fault in (fault_in({"compiled_code": sql}, warehouse) or "")

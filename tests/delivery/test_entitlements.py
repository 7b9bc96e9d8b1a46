"""Entitlements: what a client's contract says of each column, beside another client's."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
import pytest
from builders import campaign, dataset, job

from delivery.config.datasets import Column
from delivery.gate.entitlements import dataset_refusal, refusal

PEOPLE = dataset(
    window=None,
    order_by=("customer_id",),
    key="customer_id",
    contacts=("email",),
    columns=(
        Column("namespace", "text", "internal"),
        Column("customer_id", "text", "optional", is_definition=True),
        Column("email", "text", "file"),
        Column("pclv", "text", "optional", is_definition=True),
        Column("points", "text", "optional", is_definition=True),
    ),
)
SAID = pa.Table.from_pylist(
    [
        {"namespace": "acme_outdoor", "definition": "customer_id", "entitled": True, "reason": None},
        {"namespace": "acme_outdoor", "definition": "pclv", "entitled": False, "reason": "no contract for pclv"},
        {"namespace": "brightside_beauty", "definition": "customer_id", "entitled": False, "reason": "no contract"},
        {"namespace": "brightside_beauty", "definition": "pclv", "entitled": True, "reason": None},
    ]
)
MANIFEST = {
    "nodes": {
        "model.p.other": {"resource_type": "model", "name": "other", "relation_name": "nowhere"},
        "model.p.definition_entitlements": {
            "resource_type": "model", "name": "definition_entitlements", "relation_name": "said",
        },
    }
}  # fmt: skip


class OneTable:
    def table(self, sql: str) -> pa.Table:
        said = SAID  # noqa: F841 - DuckDB finds it by its name
        return duckdb.sql(sql).to_arrow_table()


@pytest.mark.parametrize(
    ("namespace", "columns", "refused"),
    [
        ("acme_outdoor", ("email",), []),
        ("acme_outdoor", ("email", "customer_id"), []),
        ("acme_outdoor", ("email", "pclv"), ["pclv: no contract for pclv"]),
        ("brightside_beauty", ("email", "pclv"), ["customer_id: no contract"]),
        (
            "acme_outdoor",
            ("points", "email", "pclv"),
            ["points: the platform does not list the client", "pclv: no contract for pclv"],
        ),
        ("cedar_books", ("email",), ["customer_id: the platform does not list the client"]),
    ],
)
def test_each_client_has_what_its_own_contract_allows(
    namespace: str, columns: tuple[str, ...], refused: list[str]
) -> None:
    one = job(namespace=namespace, campaign=campaign(of=PEOPLE))
    found: Any = refusal(one, columns, MANIFEST, OneTable())  # type: ignore[arg-type]
    assert (found.message.splitlines() if found else []) == (
        [f"acme: {namespace} may not have", *(f"  {line}" for line in refused)] if refused else []
    )


@pytest.mark.parametrize("namespace", ["acme_outdoor", "brightside_beauty"])
def test_whose_rows_are_chosen_by_a_definition_may_have_it(namespace: str) -> None:
    """Which rows come says what it is of each."""
    one = job(namespace=namespace, campaign=campaign(of=PEOPLE), rows={"pclv": ["high"]})
    found: Any = refusal(one, ("email",), MANIFEST, OneTable())  # type: ignore[arg-type]
    assert ("pclv: no contract for pclv" in found.message) is (namespace == "acme_outdoor")


DATASETS = pa.Table.from_pylist(
    [
        {"namespace": "acme_outdoor", "dataset": "events", "entitled": True, "reason": None},
        {"namespace": "brightside_beauty", "dataset": "events", "entitled": False, "reason": "no contract for events"},
        {"namespace": "brightside_beauty", "dataset": "others", "entitled": True, "reason": None},
    ]
)
BY_DATASET = {
    "nodes": {
        "model.p.dataset_entitlements": {
            "resource_type": "model", "name": "dataset_entitlements", "relation_name": "said",
        },
    }
}  # fmt: skip


class Datasets:
    def table(self, sql: str) -> pa.Table:
        said = DATASETS  # noqa: F841 - DuckDB finds it by its name
        return duckdb.sql(sql).to_arrow_table()


@pytest.mark.parametrize(
    ("namespace", "refused"),
    [
        ("acme_outdoor", None),
        ("brightside_beauty", "brightside_beauty may not have events: no contract for events."),
        ("cedar_books", "cedar_books may not have events: the platform does not list the client."),
    ],
)
def test_each_client_has_the_datasets_of_its_own_contract(namespace: str, refused: str | None) -> None:
    found: Any = refusal(job(namespace=namespace), ("email",), BY_DATASET, Datasets())  # type: ignore[arg-type]
    assert (found.message if found else None) == refused
    assert dataset_refusal("free", namespace, BY_DATASET, Datasets()) is None, "no contract speaks of it"  # type: ignore[arg-type]


def test_a_dataset_without_definitions_needs_no_contract() -> None:
    assert refusal(job(), ("email",), {"nodes": {}}, OneTable()) is None  # type: ignore[arg-type]

"""Lineage: what a dataset is built from and which tests speak of it, on a graph where every node has a neighbour."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.gate.lineage import Lineage

# kind and parents. `by_hand` is ephemeral: dbt builds it into what reads it.
GRAPH = {
    "source.p.raw": ("source", []),
    "seed.p.codes": ("seed", []),
    "snapshot.p.kept": ("snapshot", ["source.p.raw"]),
    "model.p.staged": ("model", ["source.p.raw", "seed.p.codes"]),
    "model.p.by_hand": ("model", ["model.p.staged", "snapshot.p.kept"]),
    "model.p.events": ("model", ["model.p.by_hand"]),
    "model.p.beside": ("model", ["model.p.staged"]),
    "model.p.alone": ("model", []),
    "operation.p.hook": ("operation", []),
}
# attached to (or None), and what it reads
TESTS: dict[str, tuple[str | None, list[str]]] = {
    "test.p.events_key": ("model.p.events", ["model.p.events"]),
    "test.p.known_code": ("model.p.events", ["seed.p.codes", "model.p.events", "model.p.alone"]),
    "test.p.codes_key": ("seed.p.codes", ["seed.p.codes"]),
    "test.p.beside_key": ("model.p.beside", ["model.p.beside"]),
    "test.p.events_against_staged": (None, ["model.p.events", "model.p.staged"]),
    "test.p.beside_against_staged": (None, ["model.p.beside", "model.p.staged"]),
    "test.p.events_against_beside": (None, ["model.p.beside", "model.p.events"]),
    "test.p.alone_by_itself": (None, ["model.p.alone"]),
}
UNIT = {"unit_test.p.staged_works": ["model.p.staged"]}
BUILT = {"seed.p.codes", "snapshot.p.kept", "model.p.staged", "model.p.events"}


@pytest.fixture
def lineage() -> Lineage:
    nodes: dict[str, Any] = {
        uid: {
            "resource_type": kind,
            "config": {"materialized": "ephemeral" if uid == "model.p.by_hand" else "table"},
            "depends_on": {"nodes": parents},
            "fqn": ["p", "marts", uid.split(".")[2]],
        }
        for uid, (kind, parents) in GRAPH.items()
        if kind != "source"
    }
    source = {"resource_type": "source", "package_name": "p", "source_name": "files", "name": "raw", "config": {}}
    nodes |= {
        uid: {"resource_type": "test", "attached_node": attached, "depends_on": {"nodes": read}}
        for uid, (attached, read) in TESTS.items()
    }
    units = {uid: {"resource_type": "unit_test", "depends_on": {"nodes": read}} for uid, read in UNIT.items()}
    parents = {uid: node["depends_on"]["nodes"] for uid, node in (nodes | units).items()}
    return Lineage({"nodes": nodes, "unit_tests": units, "parent_map": parents, "sources": {"source.p.raw": source}})


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["model.p.events"], BUILT),
        (["model.p.beside"], {"model.p.beside", "model.p.staged", "seed.p.codes"}),
        (["model.p.beside", "model.p.alone"], {"model.p.beside", "model.p.staged", "seed.p.codes", "model.p.alone"}),
        (["model.p.by_hand"], BUILT - {"model.p.events"}),
        (["source.p.raw"], set()),
        (["operation.p.hook"], set()),
        (["test.p.events_key"], set()),
    ],
)
def test_upstream_is_all_that_dbt_builds(lineage: Lineage, asked: list[str], found: set[str]) -> None:
    assert lineage.upstream(asked) == found


@pytest.mark.parametrize(
    ("built", "names"),
    [
        (
            BUILT,
            ["test.p.codes_key", "test.p.events_against_beside", "test.p.events_against_staged",
             "test.p.events_key", "test.p.known_code", "unit_test.p.staged_works"],
        ),
        ({"model.p.staged"}, ["unit_test.p.staged_works"]),
        ({"model.p.beside"}, ["test.p.beside_against_staged", "test.p.beside_key", "test.p.events_against_beside"]),
        ({"model.p.alone"}, ["test.p.alone_by_itself"]),
    ],
)  # fmt: skip
def test_a_test_speaks_of_what_it_is_attached_to_or_of_the_last_that_it_reads(
    lineage: Lineage, built: set[str], names: list[str]
) -> None:
    assert lineage.tests_on(built) == names


def test_selectors_name_what_the_tests_read_too(lineage: Lineage) -> None:
    assert lineage.selectors(["model.p.events"]) == [
        "fqn:p.marts.alone", "fqn:p.marts.beside", "fqn:p.marts.by_hand", "fqn:p.marts.codes", "fqn:p.marts.events",
        "fqn:p.marts.kept", "fqn:p.marts.staged", "source:p.files.raw",
    ]  # fmt: skip
    assert lineage.selectors(["model.p.alone"]) == ["fqn:p.marts.alone"]


def test_a_manifest_without_unit_tests_is_read(lineage: Lineage) -> None:
    assert Lineage({"nodes": {}, "parent_map": {}}).tests_on({"model.p.events"}) == []


def test_a_test_of_a_view_is_older_than_the_tables_below_it(lineage: Lineage) -> None:
    """Through another view and an ephemeral model; a source, which nobody builds, is asked of who reads it."""
    for view in ("model.p.staged", "model.p.events"):
        lineage.nodes[view]["config"]["materialized"] = "view"
    assert lineage.read_by("test.p.events_key") == BUILT
    assert lineage.read_by("test.p.beside_key") == {"model.p.beside"}

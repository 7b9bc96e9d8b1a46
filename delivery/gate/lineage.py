"""What a node is built from and which tests speak of that, as dbt's manifest says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.config.datasets import Manifest

BUILT = ("model", "seed", "snapshot")
TESTS = ("test", "unit_test")


class Lineage:
    """The manifest's graph. nodes: every model, seed, snapshot, data test and unit test by unique id."""

    def __init__(self, manifest: Manifest) -> None:
        self.nodes: dict[str, Any] = {**manifest["nodes"], **manifest.get("unit_tests", {})}
        self._parents: dict[str, list[str]] = manifest["parent_map"]

    def upstream(self, unique_ids: Iterable[str]) -> set[str]:
        """The nodes and all that they are built from; sources and ephemeral models, which dbt never builds, are out."""
        found: set[str] = set()
        queue = list(unique_ids)
        while queue:
            node = queue.pop()
            if node not in found and node in self.nodes and self.nodes[node]["resource_type"] in BUILT:
                found.add(node)
                queue += self._parents.get(node, [])
        return {node for node in found if self.nodes[node]["config"]["materialized"] != "ephemeral"}

    def tests_on(self, built: set[str]) -> list[str]:
        """The tests that speak of any of the nodes."""
        tests = (uid for uid, node in self.nodes.items() if node["resource_type"] in TESTS)
        return sorted(test for test in tests if self._subjects(test) & built)

    def _subjects(self, test: str) -> set[str]:
        """What a test speaks of: the node it is attached to; else, of what it reads, whatever nothing else is built of.

        A test that holds an export against the model it is made from speaks of the export: if that one is broken, what
        else is made from the model may still leave.
        """
        node = self.nodes[test]
        if node.get("attached_node"):
            return {node["attached_node"]}
        read = set(node["depends_on"]["nodes"])
        return {one for one in read if not any(one in self.upstream([other]) for other in read - {one})}

    def selectors(self, unique_ids: Iterable[str]) -> list[str]:
        """dbt selectors of all that the nodes and the tests on them need."""
        built = self.upstream(unique_ids)
        read_by_tests = {parent for test in self.tests_on(built) for parent in self.nodes[test]["depends_on"]["nodes"]}
        return sorted("fqn:" + ".".join(self.nodes[node]["fqn"]) for node in built | self.upstream(read_by_tests))

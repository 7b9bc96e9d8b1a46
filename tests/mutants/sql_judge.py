"""Whether a test of dbt, or one of pytest, notices a fault of a model, a macro or a seed."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from tests.mutants.copies import KEPT
from tests.mutants.python_judge import Verdict, Worker, ordered
from tests.mutants.sample import hashes

if TYPE_CHECKING:
    from tests.mutants.change import Change
    from tests.mutants.reached import Reached

DBT_SECONDS = 600.0


class Graph:
    """The nodes of the built sample: which a file makes, and what is built of them."""

    def __init__(self, built: Path) -> None:
        manifest = json.loads((built / "target" / "manifest.json").read_text())
        self.nodes: dict[str, Any] = manifest["nodes"]
        self._macros: dict[str, Any] = manifest["macros"]
        self._children: dict[str, list[str]] = manifest["child_map"]
        self.hashes: dict[str, str] = hashes(built / "warehouse.duckdb")

    def touched(self, change: Change, text: str) -> list[str]:
        """The nodes that a change of this file makes anew; none if the whole build does."""
        if "macros/" not in change.file:
            return [name for name, node in self.nodes.items() if node["original_file_path"] == change.file]
        package = "delivery" if change.file.startswith("macros/") else "dbt_delivery"
        within = [
            f"macro.{package}.{m[1]}" for m in re.finditer(r"\{%-?\s*macro\s+(\w+)", text) if m.start() <= change.start
        ][-1:]
        users, todo = set(within), deque(within)
        while todo:
            one = todo.popleft()
            plain = one.replace("duckdb__", "").replace("default__", "")
            for name, macro in self._macros.items():
                if {one, plain} & set(macro["depends_on"]["macros"]) and name not in users:
                    users.add(name)
                    todo.append(name)
            if plain not in users:
                users.add(plain)
                todo.append(plain)
        found = [n for n, node in self.nodes.items() if users & set(node["depends_on"].get("macros", ()))]
        return [] if any(name.startswith("operation.") for name in found) else found

    def below(self, nodes: list[str]) -> set[str]:
        """These nodes and what is built of them."""
        seen, todo = set(nodes), deque(nodes)
        while todo:
            for child in self._children.get(todo.popleft(), ()):
                if child not in seen:
                    seen.add(child)
                    todo.append(child)
        return seen


def prepare(worker: Worker) -> None:
    """The parsed state of this copy, without a fault."""
    said = worker.run(dbt=["parse"], seconds=DBT_SECONDS)
    if not said["ok"]:
        raise RuntimeError(f"the project does not parse: {said}")
    shutil.rmtree(f"{worker.copy}.target", ignore_errors=True)
    shutil.copytree(worker.copy / "target", f"{worker.copy}.target")


def judge(
    change: Change, text: str, worker: Worker, graph: Graph, tests: Reached, killers: Counter[str], seconds: float
) -> Verdict:
    """Built in the copy with its tests; then the tests of pytest that see other rows, or that build by themselves."""
    began = time.monotonic()
    path = worker.copy / change.file
    path.write_text(change.apply(text))
    try:
        nodes = graph.touched(change, text)
        _set_up(worker, graph, nodes, is_seed=change.file.endswith(".csv"))
        names = [
            ".".join(graph.nodes[n]["fqn"]) if not n.startswith("test.") else graph.nodes[n]["name"] for n in nodes
        ]
        select = ["--select", *[f"{name}+" for name in names]] if nodes and len(nodes) < 40 else []
        said = worker.run(dbt=["build", "--fail-fast", *select], seconds=DBT_SECONDS)
        if not said["ok"]:
            return Verdict(change, f"dbt: {', '.join(said['red'])}", "red", 0, 1, time.monotonic() - began)
        with duckdb.connect(str(worker.copy / "warehouse.duckdb")) as connection:
            connection.execute("checkpoint")  # tests copy the file alone, and the fork ended without closing it
        (worker.copy / "done").touch()
        other = _other_rows(worker.copy / "warehouse.duckdb", graph)
        touch = {
            test
            for test, what in tests.models.items()
            if change.file in what or "dbt" in what or (other and "built" in what)
        } & set(tests.seconds)
        lists = ordered(touch, change.file, tests, killers)
        usual = {test: tests.seconds.get(test, 1.0) for part in lists for test in part}
        asked = worker.run(tests=lists, usual=usual, seconds=seconds, built=str(worker.copy))
        if asked["noticed"] in touch:
            killers[f"{change.file} {asked['noticed']}"] += 1
        how = asked["how"] + ("; other rows in " + ", ".join(other) if other else "; the same rows")
        return Verdict(change, asked["noticed"], how, asked["ran"], len(touch), time.monotonic() - began)
    finally:
        path.write_text(text)
        (worker.copy / "done").unlink(missing_ok=True)


def _set_up(worker: Worker, graph: Graph, nodes: list[str], *, is_seed: bool) -> None:
    """The built sample without what the fault made; a changed seed is parsed anew, as unit tests keep its old rows."""
    shutil.rmtree(worker.copy / "target", ignore_errors=True)
    if is_seed:
        (worker.copy / "target").mkdir()
    else:
        shutil.copytree(f"{worker.copy}.target", worker.copy / "target")
    warehouse = worker.copy / "warehouse.duckdb"
    warehouse.unlink(missing_ok=True)
    Path(f"{warehouse}.wal").unlink(missing_ok=True)
    if not nodes or len(nodes) >= 40:
        return
    shutil.copy(KEPT / "built" / "warehouse.duckdb", warehouse)
    with duckdb.connect(str(warehouse)) as connection:
        kinds = dict(connection.execute("select table_name, table_type from information_schema.tables").fetchall())
        for node in graph.below(nodes):
            name = graph.nodes.get(node, {}).get("name", "")
            if name in kinds and node.startswith(("model.", "seed.")):
                connection.execute(f'drop {"view" if kinds[name] == "VIEW" else "table"} "{name}" cascade')


def _other_rows(warehouse: Path, graph: Graph) -> list[str]:
    now = hashes(warehouse)
    return sorted(name for name in {*now, *graph.hashes} if now.get(name) != graph.hashes.get(name))

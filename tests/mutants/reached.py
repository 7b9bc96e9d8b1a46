"""Which tests run a line: found out once for a content of the sources, and kept in target/mutants/."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.mutants import sample
from tests.mutants.copies import KEPT, ROOT, content_hash, make_copy, sources

TESTS = ("tests/delivery/", "tests/dbt/")
AT_ONCE = 20  # files of tests: what was found out of them is kept, whatever becomes of the others


@dataclass
class Reached:
    """`lines[file][line]` are tests; `models[test]` what it has to do with dbt; `seconds[test]` how long it took."""

    lines: dict[str, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    models: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[str, float] = field(default_factory=dict)
    breadth: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, noted: dict[str, dict]) -> None:  # type: ignore[type-arg]
        """What one test file said."""
        red = set(noted["red"])
        for test, files in noted["lines"].items():
            if test and test not in red:
                for file, lines in files.items():
                    self.breadth[test] += len(lines)
                    for line in lines:
                        self.lines[file][line].add(test)
        for test, names in noted["models"].items():
            if test not in red:
                self.models[test].update(names)
        self.seconds.update(noted["seconds"])

    def tests_of(self, file: str, text: str, first: int, last: int) -> set[str]:
        """The tests that run these lines; of what runs at import alone, those that run whoever names it."""
        found: set[str] = set()
        for line in range(first, last + 1):
            found |= self.lines[file][line]
        if not _within_function(text, first):  # runs at import: its line is noted only of a test that imports it first
            return found | self._of_import(file, text, first)
        if not found:  # a part of a longer statement, which runs as one line
            for line in _statement(text, first):
                found |= self.lines[file][line]
        return found

    def _of_import(self, file: str, text: str, line: int) -> set[str]:
        names = _names_bound(text, line)
        found: set[str] = set()
        for name in names:
            word = re.compile(rf"\b{re.escape(name)}\b")
            for other in sources():
                if other.startswith("delivery/") and other.endswith(".py"):
                    for number, said in enumerate((ROOT / other).read_text().splitlines(), 1):
                        if word.search(said):
                            found |= self.lines[other].get(number, set())
        own = _own_tests(file)
        for tests in self.lines[file].values():
            found |= {t for t in tests if not found or t.split("::")[0] in own}
        return found | {t for t in self.seconds if t.split("::")[0] in own}


def _own_tests(file: str) -> set[str]:
    stem = Path(file).stem if Path(file).stem != "__init__" else Path(file).parent.name
    parent = Path(file).parent.name
    return {
        "tests/delivery/test_package.py",
        f"tests/delivery/test_{stem}.py",
        f"tests/delivery/test_{parent}.py",
        f"tests/delivery/test_{parent}_{stem}.py",
    }


def _within_function(text: str, line: int) -> bool:
    """Whether a line runs when a function is called, rather than when its module is imported."""
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        and (node.body if isinstance(node, ast.Lambda) else node.body[0]).lineno <= line <= (node.end_lineno or 0)
        for node in ast.walk(ast.parse(text))
    )


def _statement(text: str, line: int) -> range:
    """The lines of the innermost statement around a line, without the statements within it."""
    found = range(line, line + 1)
    for node in ast.walk(ast.parse(text)):  # outer ones come first
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            body = getattr(node, "body", None)
            found = range(node.lineno, body[0].lineno if body else (node.end_lineno or 0) + 1)
    return found


def _names_bound(text: str, line: int) -> set[str]:
    """The name of the constant, field, function or class that a line at the top of a module or class makes."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.stmt) or not node.lineno <= line <= (node.end_lineno or 0):
            continue
        if isinstance(node, ast.Assign):
            names |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
    return names


def read(slow: bool = False) -> Reached:
    """The tests of each line; test files that changed since the last time are run again, all if anything else did."""
    here = content_hash(
        "delivery/", "tests/delivery/", "models/", "macros/", "seeds/", "landing/", but="tests/delivery/test_"
    )
    kept = KEPT / f"reached{'-slow' if slow else ''}.json"
    old = json.loads(kept.read_text()) if kept.exists() else {}
    # STALE=1: lines are looked up in what an earlier content of the package said. Quick, and roughly right.
    if old.get("here") != here and not (os.environ.get("STALE") and old):
        old = {"here": here, "files": {}}
    files = [n for n in sources() if n.startswith(TESTS) and Path(n).name.startswith("test_") and n.endswith(".py")]
    hashes = {name: content_hash(name) for name in files}
    stale = [name for name in files if old["files"].get(name, {}).get("hash") != hashes[name]]
    if stale:
        print(f"finding out which tests run which line: {len(stale)} files of tests", flush=True)
    KEPT.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(stale), AT_ONCE):
        for name, noted in _run(stale[start : start + AT_ONCE], slow).items():
            old["files"][name] = {"hash": hashes[name], **noted}
        kept.write_text(json.dumps(old))
    reached = Reached()
    for name in files:
        reached.add(old["files"][name])
    return reached


def _run(files: list[str], slow: bool) -> dict[str, dict]:  # type: ignore[type-arg]
    copy, out = make_copy(KEPT / "noted"), KEPT / "notes"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    started = copy / "tests" / "mutants" / "started"
    environment = os.environ | {
        "MUTANTS_COPY": str(copy),
        "MUTANTS_OUT": str(out),
        "MUTANTS_BUILT": str(sample.built()),
        "PYTHONPATH": os.pathsep.join([str(started), str(copy)]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "-p",
        "tests.mutants.noting",
        "-p",
        "no:cacheprovider",
        "--dist",
        "loadfile",
    ]
    chosen = [] if slow else ["-m", "not slow"]
    with (KEPT / "notes.log").open("w") as log:
        subprocess.run([*command, *chosen, *files], cwd=copy, env=environment, stdout=log, stderr=log, check=False)
    told: dict[str, dict] = {name: {"lines": {}, "models": {}, "seconds": {}, "red": []} for name in files}  # type: ignore[type-arg]
    for path in sorted(out.glob("*.json")):
        noted = json.loads(path.read_text())
        for part in ("lines", "models", "seconds"):
            for test, said in noted[part].items():
                if test.split("::")[0] not in told:
                    continue
                mine = told[test.split("::")[0]][part]
                if part == "lines":
                    for file, lines in said.items():
                        mine.setdefault(test, {}).setdefault(file, []).extend(lines)
                elif part == "models":
                    mine[test] = sorted({*mine.get(test, ()), *said})
                else:
                    mine[test] = said
        for test in noted["red"]:
            told[test.split("::")[0]]["red"].append(test)
    red = sorted({test for noted in told.values() for test in noted["red"]})
    if red:
        print("red without any fault, and so left out: " + ", ".join(red), flush=True)
    shutil.rmtree(copy)
    return told

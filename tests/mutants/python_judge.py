"""Whether a test notices a fault of the package."""

from __future__ import annotations

import compileall
import json
import os
import py_compile
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.mutants.copies import KEPT, ROOT, make_copy

if TYPE_CHECKING:
    from collections import Counter

    from tests.mutants.change import Change
    from tests.mutants.reached import Reached

FIRST = 30  # tests that are tried before all others
FIRST_SECONDS = 12.0
THEN_SECONDS = 20.0  # of tests that are collected together: a file that is never reached costs nothing


@dataclass(frozen=True)
class Verdict:
    """What became of a fault."""

    change: Change
    noticed: str | None
    how: str
    ran: int
    touch: int
    seconds: float = 0.0


class Worker:
    """A copy of the project and a process that forks in it."""

    def __init__(self, number: int, built: Path) -> None:
        self.copy = make_copy(KEPT / f"copy{number}")
        # By hash: a fault that keeps a file's size within one second would not be seen by its time.
        compileall.compile_dir(
            self.copy / "delivery", quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH
        )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutants.forked", str(self.copy), str(built)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )

    def run(self, **asked: Any) -> dict[str, Any]:
        """Runs lists of tests."""
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said

    def close(self) -> None:
        """Ends the process."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()


def ordered(tests: set[str], file: str, reached: Reached, killers: Counter[str]) -> list[list[str]]:
    """Lists: those that most likely notice, quick ones first; then the rest, file by file, the room's own first."""
    room = Path(file).parent.name
    stem = Path(file).stem if Path(file).stem != "__init__" else room

    def far(test: str) -> int:
        name = Path(test.split("::")[0]).stem.removeprefix("test_")
        return 0 if stem in name or stem.startswith(name) or name == "package" else 1 if room in name else 2

    def rank(test: str) -> tuple[float, ...]:
        seconds = reached.seconds.get(test, 1.0)
        breadth = reached.breadth.get(test, 0)
        return (-killers[f"{file} {test}"], seconds > 3, far(test), breadth * (0.2 + seconds))

    first: list[str] = []
    spent = 0.0
    for test in sorted(tests, key=rank):
        seconds = reached.seconds.get(test, 1.0)
        if len(first) >= FIRST or (first and spent + seconds > FIRST_SECONDS):
            break
        first.append(test)
        spent += seconds
    files = {test.split("::")[0]: 0.0 for test in tests}
    for test in tests:
        files[test.split("::")[0]] += reached.seconds.get(test, 1.0)
    lists, spent = [first], THEN_SECONDS
    for name in sorted(files, key=lambda name: (far(name), files[name], name)):
        if left := sorted((test for test in tests - set(first) if test.split("::")[0] == name), key=rank):
            if spent + files[name] > THEN_SECONDS:
                lists.append([])
                spent = 0.0
            lists[-1] += left
            spent += files[name]
    return lists

"""`make mutants`: a seeded sample of faults, each against the tests that touch it.

The last line is `mutants: <n> python <n> noticed <n> sql <n> noticed`. Set by the environment: N_PYTHON and N_SQL
(`all`: a fault of every line), SEED, ROOMS (`gate,plan,models/staging,delivery/ledger/*`, `spine`), WORKERS,
SECONDS (of a processor, for one fault), SLOW=1 (the slow tests too), GUARDS=1 (those of tests/faults/mutations.py),
STALE=1 (which tests run which line, as an earlier state of the package had it).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from typing import TYPE_CHECKING

from tests.faults import mutations
from tests.mutants import python_changes, reached, sample, sql_changes, sql_judge
from tests.mutants.copies import ROOT, sources
from tests.mutants.python_judge import Verdict, Worker, ordered
from tests.mutants.rooms import draw, is_chosen, room

if TYPE_CHECKING:
    from tests.mutants.change import Change

WORKERS = int(os.environ.get("WORKERS") or 2)
SECONDS = float(os.environ.get("SECONDS") or 60)


class Judges:
    """The workers, and what they have learned: which test noticed faults of a file, which is red without any."""

    def __init__(self) -> None:
        self.tests = reached.read(slow=bool(os.environ.get("SLOW")))
        self.built = sample.built()
        self.killers: Counter[str] = Counter()
        self.flaky: set[str] = set()
        self.everyone = [Worker(number, self.built) for number in range(WORKERS)]
        self.free: Queue[Worker] = Queue()
        for worker in self.everyone:
            self.free.put(worker)

    def python(self, change: Change) -> Verdict:
        """A fault of the package, in a copy, until a test is red."""
        worker, began = self.free.get(), time.monotonic()
        text = (ROOT / change.file).read_text()
        try:
            touch = self.tests.tests_of(change.file, text, change.line(text), change.last_line(text)) - self.flaky
            (worker.copy / change.file).write_text(change.apply(text))
            lists = ordered(touch, change.file, self.tests, self.killers)
            usual = {test: self.tests.seconds.get(test, 1.0) for part in lists for test in part}
            said = worker.run(tests=lists, usual=usual, seconds=SECONDS)
            if said["noticed"] in touch:
                self.killers[f"{change.file} {said['noticed']}"] += 1
            return Verdict(change, said["noticed"], said["how"], said["ran"], len(touch), time.monotonic() - began)
        finally:
            (worker.copy / change.file).write_text(text)
            self.free.put(worker)

    def sql(self, change: Change) -> Verdict:
        """A fault of the dbt project."""
        worker = self.free.get()
        try:
            text = (ROOT / change.file).read_text()
            return sql_judge.judge(change, text, worker, self.graph, self.tests, self.killers, SECONDS)
        finally:
            self.free.put(worker)

    def judge(self, python: list[Change], sql: list[Change]) -> tuple[list[Verdict], list[Verdict]]:
        """All of them; what a test noticed that is red without any fault is judged again without that test."""
        with ThreadPoolExecutor(WORKERS) as pool:
            of_python = list(pool.map(_told(self.python), python))
            noticing = sorted({v.noticed for v in of_python if v.noticed and v.noticed in self.tests.seconds})
            self.flaky |= _red_anyway(self.everyone[0], noticing, self.tests.seconds)
            if self.flaky:
                print(
                    "red without any fault, so their verdicts do not count: " + ", ".join(sorted(self.flaky)),
                    flush=True,
                )
                again = [v.change for v in of_python if v.noticed in self.flaky]
                anew = dict(zip(again, pool.map(_told(self.python), again), strict=True))
                of_python = [anew.get(v.change, v) for v in of_python]
            if sql:
                self.graph = sql_judge.Graph(self.built)
                list(pool.map(sql_judge.prepare, self.everyone))
            return of_python, list(pool.map(_told(self.sql), sql))

    def close(self) -> None:
        """Ends the workers."""
        for worker in self.everyone:
            worker.close()


def _red_anyway(worker: Worker, tests: list[str], usual: dict[str, float]) -> set[str]:
    """Those of the tests that are red without a fault."""
    red: set[str] = set()
    while tests:
        said = worker.run(tests=[tests], usual=usual, seconds=900)
        if not said["noticed"] or said["noticed"] not in tests:
            break
        red.add(said["noticed"])
        tests = [test for test in tests if test not in red]
    return red


def _told(judge):  # type: ignore[no-untyped-def]
    def told(change: Change) -> Verdict:
        verdict: Verdict = judge(change)
        text = (ROOT / change.file).read_text()
        word = "noticed" if verdict.noticed else "SURVIVES"
        at = f"{change.file}:{change.line(text)} {change.kind}"
        tests = f"{verdict.ran} of {verdict.touch} tests, {verdict.how}, {verdict.seconds:.1f} s"
        print(f"{word} {at}: {tests}: {verdict.noticed or ''}", file=sys.stderr, flush=True)
        return verdict

    return told


def report(verdicts: list[Verdict]) -> None:
    """The survivors, then each room."""
    for verdict in verdicts:
        if verdict.noticed:
            continue
        text = (ROOT / verdict.change.file).read_text()
        before, after = verdict.change.diff(text)
        tests = (
            f"{verdict.ran} of {verdict.touch} tests that touch it are green" if verdict.touch else "no test touches it"
        )
        at = f"{verdict.change.file}:{verdict.change.line(text)}"
        print(f"{at} survives: {verdict.change.kind}; {tests} ({verdict.how})\n  - {before}\n  + {after}")
    rooms = Counter(room(v.change.file) for v in verdicts)
    noticed = Counter(room(v.change.file) for v in verdicts if v.noticed)
    print("by room: " + ", ".join(f"{name} {noticed[name]}/{rooms[name]}" for name in sorted(rooms)))


def main() -> int:
    """Draws, judges, reports."""
    if os.environ.get("GUARDS"):
        return mutations.main()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    seed = int(os.environ.get("SEED") or int(head[:8], 16))
    rooms = [name for name in (os.environ.get("ROOMS") or "").replace(",", " ").split() if name]
    counts = {part: (os.environ.get(f"N_{part}") or usual) for part, usual in (("PYTHON", "40"), ("SQL", "20"))}
    number = {part: 1_000_000 if said == "all" else int(said) for part, said in counts.items()}
    chosen = [name for name in sources() if is_chosen(name, rooms)]
    again = f"make mutants N_PYTHON={counts['PYTHON']} N_SQL={counts['SQL']} SEED={seed}" + (
        f" ROOMS={','.join(rooms)}" if rooms else ""
    )
    print(f"again: {again}", flush=True)
    python = [
        c
        for n in chosen
        if n.startswith("delivery/") and n.endswith(".py")
        for c in python_changes.changes_of(n, (ROOT / n).read_text())
    ]
    drawn = draw(python, number["PYTHON"], seed, python_changes.compiles)
    sql = ("models/", "macros/", "delivery/dbt_package/macros/", "seeds/")
    models = [n for n in chosen if n.startswith(sql) and n.endswith((".sql", ".csv"))]
    drawn_sql = draw(
        [c for n in models for c in sql_changes.changes_of(n, (ROOT / n).read_text())],
        number["SQL"],
        seed,
        lambda *_: True,
    )
    judges = Judges()
    try:
        of_python, of_sql = judges.judge(drawn, drawn_sql)
    finally:
        judges.close()
    report([*of_python, *of_sql])
    print(f"again: {again}")
    print(
        f"mutants: {len(of_python)} python {sum(bool(v.noticed) for v in of_python)} noticed "
        f"{len(of_sql)} sql {sum(bool(v.noticed) for v in of_sql)} noticed"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

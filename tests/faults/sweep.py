"""Every single fault and a sample of double faults on a small real delivery, and what became of it.

`python tests/faults/sweep.py` ends with one line of figures; its exit status is 0 only if nothing came twice, half or
never, nothing was recorded as delivered that was not, and nothing was held that need not be. `--control` sweeps `put`
and then record in place of the protocol: it must not pass.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from world import BESIDE, CRASHED, KINDS, Faults, World, make_template, new_base

from sampling import PARTS, chosen, described  # isort: skip - on the path that world opens
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from world import Observer

WORKERS = 2
DOUBLES = 224
RECOVERIES = 3
GLANCES = 24  # a delivery is over before a client that waits longer takes it
FAULTS = (
    "error",
    "error, denied",
    "done, error",
    "ok, not done",
    "cut before",
    "cut after",
    "flip",
    "reply twice",
    "reply late",
    "reply short",
    "drop",
)
OUTCOMES = ("once", "held", "twice", "half", "lost", "false")
# A server that says so cannot be believed; a person has to look at it.
LIES = {
    ("RENAME", "ok, not done"),
    ("LSTAT", "flip"),
    ("REMOVE", "ok, not done"),
    ("REMOVE", "flip"),
}


@dataclass(frozen=True)
class Case:
    """Where it starts (`planned` or `spooled`), and the faults of the first runs; runs without faults follow."""

    kind: str
    collects: int | None
    start: str
    runs: tuple[Faults, ...]
    double: bool = False

    def __str__(self) -> str:
        taken = "" if self.collects is None else f", collected {self.collects} glances after it came"
        return f"{self.kind} from {self.start}{taken}: " + "; then ".join(map(str, self.runs))


@dataclass
class Verdict:
    """What became of a case. fired: how many of its faults happened; problems: what must not be, beside the outcome."""

    outcome: str
    fired: int
    note: str
    lied: bool
    problems: list[str] = field(default_factory=list)


class Sweeper:
    """Runs cases, one after the other, in one directory: paths in the ledger stay true."""

    def __init__(self, template: Path, *, naive: bool = False) -> None:
        self._template, self._naive = template, naive
        self._base = new_base()
        self._case = self._base / "case"
        self._spooled: dict[tuple[str, str], Path] = {}
        self.steps: dict[tuple[str, str], int] = {}
        self.first_seen: dict[str, int] = {}  # how many steps there were when a client first saw a file
        self.first_message: dict[str, int] = {}
        self.messages: dict[str, list[str]] = {}
        self.probing: list[str] = []  # the messages of a run that has to probe first
        self.first_contact = 0  # the step before the first message, from `spooled`
        self.before_contact = 0  # the same, from `planned`
        self._expected: dict[str, dict[str, bytes]] = {}
        self._beside: dict[str, dict[str, bytes] | None] = dict.fromkeys(BESIDE)
        self.several: list[str] = []  # the messages of a run that goes to several servers
        self.steps["sftp", "planned, several"] = 0
        if not naive:
            self._measure_several()
        for kind in KINDS:
            if not naive or kind in {"sftp", "hosted"}:
                self._measure(kind)

    def close(self) -> None:
        shutil.rmtree(self._base, ignore_errors=True)

    def _measure(self, kind: str) -> None:
        world = self._world(kind)
        assert world.run(watched=True) == 0, world.log()
        self.before_contact = self.before_contact or world.first_contact
        inbox = world.observer.directory
        self._expected[kind] = {path.name: path.read_bytes() for path in inbox.iterdir()}
        self.steps[kind, "planned"] = world.steps
        probe = self._probe()
        world.close()
        world = self._world(kind)
        world.spool_only()
        assert world.state()[0] == "spooled", world.log()
        for start in ("unprobed", "spooled"):
            self._spooled[kind, start] = self._base / f"{start}-{kind}"
            shutil.copytree(self._case / "state", self._spooled[kind, start])
            self._probe(probe)
        assert world.run(watched=True) == 0, world.log()
        self.steps[kind, "spooled"] = world.steps
        self.first_seen[kind], self.first_message[kind] = world.first_seen
        self.messages[kind] = world.messages
        if kind == "sftp":
            self.first_contact = world.first_contact
        world.close()
        if kind == "sftp":
            world = self._world(kind, start="unprobed")
            assert world.run() == 0, world.log()
            self.probing = world.messages
            world.close()

    def _measure_several(self) -> None:
        world = self._world("sftp", start="planned, several")
        assert world.run(counted=True) == 0, world.log()
        self.steps["sftp", "planned, several"], self.several = world.steps, world.messages
        for name, observer in world.others.items():
            self._beside[name] = {path.name: path.read_bytes() for path in observer.directory.iterdir()}
        world.close()

    def _probe(self, row: tuple[str, ...] | None = None) -> tuple[str, ...] | None:
        """What the ledger keeps of the destination's probe; given one, it is kept."""
        with sqlite3.connect(self._case / "state" / "ledger.sqlite") as connection:
            if row:
                connection.execute("delete from probes")
                connection.execute("insert into probes values (?, ?, ?, ?, ?)", row)
            found: tuple[str, ...] | None = connection.execute("select * from probes").fetchone()
        return found

    def _world(self, kind: str, *, collects: int | None = None, start: str = "planned") -> World:
        self._case.mkdir()
        if start in {"spooled", "unprobed"}:
            shutil.copytree(self._spooled[kind, start], self._case / "state")
        beside = self._beside if start == "planned, several" else {}
        return World(self._template, self._case, kind, self._expected.get(kind), collects, self._naive, beside)

    def run(self, case: Case) -> Verdict:
        """Runs a case to its end and judges it."""
        world = self._world(case.kind, collects=case.collects, start=case.start)
        problems, lied = [], False
        try:
            for number, faults in enumerate([*case.runs, *[Faults()] * RECOVERIES]):
                states = [world.state(name)[0] for name in ("", *world.others)]
                if number >= len(case.runs) and {"delivered", "held"}.issuperset(states):
                    break
                world.run(faults, watched=case.kind == "hosted" and case.collects is not None)
                for at, fault in faults.messages.items():
                    said = (world.messages[at], fault) if at < len(world.messages) else ("", fault)
                    # Under a final name, what was opened though the answer says not cannot be told from another's file.
                    lied |= said in LIES or (case.kind == "open" and said == ("OPEN", "done, error"))
                if world.exits[-1] == CRASHED:
                    problems.append(f"the runner met an error that it does not know:\n{world.log()}")
            state, note, _files = world.state()
            outcome = _judge(world.observer, state)
            for name, observer in world.others.items():
                if (of_other := _judge(observer, world.state(name)[0])) != "once":
                    problems.append(f"{name}: {of_other}")
            undecided = case.kind == "open" and "when a run died, and it is not to be seen" in note
            if outcome == "held" and not (world.observer.taken or lied or undecided):
                problems.append(f"held without need: {note}")
            problems += world.strays()
            taken = bool(case.collects and world.observer.taken)
            return Verdict(outcome, world.fired + taken, note, lied, problems)
        finally:
            world.close()

    def singles(self) -> Iterator[Case]:
        """Every single fault: SIGKILL before each local step, each fault on each message; left alone and collected."""
        yield from self._kills()
        yield from self._messages()
        for kind, glances in itertools.product(("sftp", "hosted"), range(1, GLANCES)):
            yield Case(kind, glances, "spooled", ())  # the fault is a client that takes it while we look at it

    def _kills(self) -> Iterator[Case]:
        """Every step of the protocol left alone; of its variants, and with a client that collects, a part."""
        for step in range(self.before_contact + 5):  # the rest is swept from `spooled`
            yield Case("sftp", None, "planned", (Faults(kill=step),))
        for step in range(self.before_contact - 20, self.steps["sftp", "planned, several"], 15):
            yield Case("sftp", None, "planned, several", (Faults(kill=step),))
        for kind, collects in itertools.product(self.messages, (None, 0)):
            first, last, every = self.first_contact - 5, self.steps[kind, "spooled"] + 1, 1
            if collects is not None:  # before anything is to be seen, a client that collects changes nothing
                first, every = self.first_seen[kind] - 20, 2
            if kind == "open" and collects is None:
                every = 3
            for step in range(first, last, every):
                yield Case(kind, collects, "spooled", (Faults(kill=step),))

    def _messages(self) -> Iterator[Case]:
        for kind, collects in itertools.product([kind for kind in self.messages if kind != "hosted"], (None, 0)):
            seen, last = self.first_message[kind], len(self.messages[kind])
            first, faults = (0, FAULTS) if collects is None else (seen - 2, FAULTS[:-1])
            every = {("sftp", 0): 2, ("open", None): 3}.get((kind, collects), 1)
            pairs = itertools.product(range(first, last), faults)
            for number, fault in itertools.islice(pairs, None, None, every):
                yield Case(kind, collects, "spooled", (Faults({number: fault}),))
        pairs = itertools.product(range(len(self.several)), FAULTS)
        for number, fault in itertools.islice(pairs, None, None, 11):
            yield Case("sftp", None, "planned, several", (Faults({number: fault}),))
        probing = range(len(self.probing) - len(self.messages.get("sftp", ())) + 3)
        for number, fault in itertools.islice(itertools.product(probing, FAULTS[:-1]), None, None, 9):
            yield Case("sftp", None, "unprobed", (Faults({number: fault}),))

    def doubles(self, seed: int) -> Iterator[Case]:
        """Pairs of faults, without end and the same every time: within a run, or in a run and in the one after it."""
        chance = random.Random(seed)
        while True:
            kind = chance.choice(("sftp", "sftp", "sftp", "hosted", "open"))
            if kind not in self.messages:
                continue
            collects = chance.choice((None, None, 0, 0, chance.randrange(1, GLANCES)))
            first, second = self._sample(chance, kind), self._sample(chance, kind)
            if chance.random() < 0.4 and first.kill is None:
                runs: tuple[Faults, ...] = (Faults({**first.messages, **second.messages}, second.kill),)
            else:
                runs = (first, second)
            yield Case(kind, collects, "spooled", runs, double=True)

    def _sample(self, chance: random.Random, kind: str) -> Faults:
        if kind == "hosted" or chance.random() < 0.35:
            return Faults(kill=chance.randrange(self.first_contact, self.steps[kind, "spooled"]))
        number = chance.randrange(len(self.messages[kind]) + 8)  # a run that tries again sends more
        return Faults({number: chance.choice(FAULTS[:-1])})


def _judge(seen: Observer, state: str) -> str:
    if seen.twice:
        return "twice"
    if seen.broken:
        return "half"
    if state == "delivered":
        return "once" if seen.whole == set(seen.expected or {}) and seen.still_there else "false"
    return "held" if state == "held" else "lost"


def _work(template: Path, number: int, options: argparse.Namespace) -> None:
    sweeper = Sweeper(template, naive=options.control)
    gc.collect()
    gc.freeze()  # or each fork copies what the collector touches
    try:
        every = [case for case in sweeper.singles() if options.only in str(case)][:: options.every]
        for part in chosen():
            for case in singles_of(every, part, number):
                _report(case, sweeper.run(case))
            wanted = options.doubles // WORKERS // PARTS
            for case in sweeper.doubles(part * WORKERS + number):
                if wanted <= 0:
                    break
                verdict = sweeper.run(case)
                wanted -= verdict.fired >= 2
                if verdict.fired >= 2 or verdict.problems or verdict.outcome not in {"once", "held"}:
                    _report(case, verdict)
    finally:
        sweeper.close()


def singles_of(every: list[Case], part: int, worker: int) -> list[Case]:
    """What a worker runs of a part: neighbours are in different parts, so each has something of everything."""
    return every[part::PARTS][worker::WORKERS]


def _report(case: Case, verdict: Verdict) -> None:
    line = {
        "case": str(case),
        "double": case.double,
        "kind": case.kind,
        "collected": case.collects is not None,
        "what": _what(case),
        "outcome": verdict.outcome,
        "fired": verdict.fired,
        "note": verdict.note,
        "lied": verdict.lied,
        "problems": verdict.problems,
    }
    print(json.dumps(line), flush=True)


def _what(case: Case) -> str:
    if case.double or not case.runs:
        return "double" if case.double else "collected while we look"
    if case.start == "unprobed":
        return "faults while probing"
    if case.start == "planned, several":
        return "SIGKILL, three at once" if case.runs[0].kill is not None else "a fault, three at once"
    return "SIGKILL" if case.runs[0].kill is not None else next(iter(case.runs[0].messages.values()))


def _summary(lines: list[dict[str, object]]) -> None:
    """Outcomes by kind of fault, for the docs."""
    rows: dict[str, Counter[object]] = {}
    for line in lines:
        taken = ", collected at once" if line["collected"] and line["what"] != "collected while we look" else ""
        rows.setdefault(f"{line['kind']}: {line['what']}{taken}", Counter())[line["outcome"]] += 1
    for name, counts in sorted(rows.items()):
        print(f"{name}: {sum(counts.values())} cases: " + " ".join(f"{o} {counts[o]}" for o in OUTCOMES if counts[o]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control", action="store_true", help="sweep `put` and then record; exit 0 if that shows")
    parser.add_argument("--every", type=int, default=1, help="of the single faults, only every n-th")
    parser.add_argument("--only", default="", metavar="TEXT", help="only single faults that are described so")
    parser.add_argument("--doubles", type=int, default=DOUBLES)
    parser.add_argument("--worker", nargs=2, metavar=("NUMBER", "PROJECT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        _work(Path(options.worker[1]), int(options.worker[0]), options)
        sys.stdout.flush()
        os._exit(0)  # DuckDB's bindings would print what they leave to the system
    print(described("make faults"), flush=True)
    began = time.monotonic()
    base = new_base()
    try:
        make_template(base / "project")
        command = [sys.executable, __file__, *sys.argv[1:], "--worker"]
        results = [base / f"results-{n}" for n in range(WORKERS)]
        workers = []
        for n, path in enumerate(results):
            with path.open("w") as stdout:
                workers.append(subprocess.Popen([*command, str(n), str(base / "project")], stdout=stdout))
        while any(worker.poll() is None for worker in workers):
            time.sleep(0.2)
            if sys.stderr.isatty():
                print(f"\r{sum(path.read_bytes().count(10) for path in results)} cases", end="", file=sys.stderr)
        lines = [json.loads(line) for path in results for line in path.read_text().splitlines()]
    finally:
        shutil.rmtree(base, ignore_errors=True)
    if any(worker.returncode for worker in workers):
        return 1
    partial = options.every > 1 or options.only != "" or len(chosen()) < PARTS
    return _conclude(lines, time.monotonic() - began, control=options.control, partial=partial)


def _conclude(lines: list[dict[str, object]], seconds: float, *, control: bool, partial: bool) -> int:
    happened = [line for line in lines if line["fired"]]
    single = sum(not line["double"] for line in happened)
    double = sum(bool(line["double"]) for line in happened)
    counts = Counter(line["outcome"] for line in happened)
    bad = [line for line in lines if line["problems"] or line["outcome"] in {"twice", "half", "lost", "false"}]
    if not control:
        for line in bad:
            print(f"{line['outcome']}: {line['case']}\n  {line['note']}", *line["problems"], sep="\n  ")  # type: ignore[misc]
    _summary(happened)
    print(f"{seconds:.0f} s on {os.cpu_count()} cores")
    name = "control" if control else "faults"
    print(f"{name}: {single} single {double} double: " + " ".join(f"{o} {counts[o]}" for o in OUTCOMES), flush=True)
    if control:
        return 0 if counts["twice"] and counts["half"] else 1
    return 1 if bad or (not partial and (single < 500 or double < 200)) else 0


if __name__ == "__main__":
    sys.exit(main())

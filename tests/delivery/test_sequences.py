"""Random sequences of all that may happen to deliveries, and what must be true after each step of each.

Runs that are killed or fail at some step, clients that collect, names that are taken, spools that change, people who
decide, clocks that jump, second runners: ledger, hand-over, runner and lock are the real ones, on a real directory.
tests/faults runs 2,000 sequences.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar
from unittest import mock

import pytest
from builders import campaign, integration, utc
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tenacity import wait_none

from delivery import handing_over, setup
from delivery import run as runner
from delivery.config.project import Project
from delivery.errors import Busy, DeliveryError, DestinationFailed, DestinationRefused
from delivery.files import spool
from delivery.gate.judge import Verdict
from delivery.ledger import Ledger
from delivery.operations import holds
from delivery.progress import Watch
from delivery.schedule.names import file_name
from delivery.schedule.request import Request
from delivery.transfer.local_directory import LocalDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

DAYS = tuple(f"2026-11-0{n}" for n in range(1, 7))
STRANGE = b"somebody else's"
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Trap:
    """Wraps what a run touches, and lets something happen at one step: its name, and which of those it is."""

    def __init__(self, machine: Deliveries, at: tuple[str, int], fault: str) -> None:
        self._machine, self._at, self._fault = machine, at, fault
        self._count: Counter[str] = Counter()

    def wrap(self, inner: Any, *names: str) -> Any:
        changed = {name: self._trapped(name, getattr(inner, name)) for name in names}
        return _Wrapped(inner, changed)

    def _trapped(self, name: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self._count[name] += 1
            if self._at != (name, self._count[name]):
                return function(*arguments, **options)
            self._machine.happened[f"{self._fault} at {name}"] += 1
            return self._happen(name, function, arguments, options)

        return call

    def _happen(self, name: str, function: Any, arguments: Any, options: Any) -> Any:
        fault = self._fault
        if fault == "kill":
            raise Killed
        if fault in {"half", "short"}:
            content = arguments[0].read_bytes()
            (self._machine.inbox / arguments[1]).write_bytes(content[: len(content) // 2])
            if fault == "half":
                raise Killed
            return None  # and says that all went well
        if name in DESTINATION and fault in {"fail", "refuse"}:
            raise DestinationFailed("cut before", step=name) if fault == "fail" else DestinationRefused("no permission")
        if fault == "lie" and name in {"publish", "remove"}:
            return None
        if fault == "second runner":
            self._machine.expect_busy()
        result = function(*arguments, **options)
        self._machine.glance()
        if fault == "collect":
            self._machine.take_away()
        if fault == "kill after":
            raise Killed
        if fault == "fail after" and name in DESTINATION:
            raise DestinationFailed("cut after", step=name)
        return result


DESTINATION = ("look", "hash", "upload", "publish", "remove")
LEDGER = ("plan", "take", "spooled", "advance", "advance_file", "note")

# Hypothesis draws the same thing again and again; what goes wrong, and where, must be spread evenly.
CHANCE = st.binary(min_size=8, max_size=8)


def trap(machine: Deliveries, chance: bytes) -> Trap:
    """What goes wrong in a run."""
    machine.traps += 1
    dice = random.Random(chance + machine.traps.to_bytes())
    name = dice.choice(("publish", "publish", "publish", "upload", "advance_file", *DESTINATION, *LEDGER))
    faults = ["kill", "kill after", "collect", "second runner"]
    if name in DESTINATION:
        faults += ["fail", "fail after", "refuse"]
    faults += {"publish": ["lie", "lie"], "remove": ["lie"], "upload": ["half", "short", "short"]}.get(name, [])
    return Trap(machine, (name, dice.choice((1, 1, 2, 3, 4, 6, 8))), dice.choice(faults))


class _Wrapped:
    """An object some of whose methods are replaced."""

    def __init__(self, inner: Any, changed: dict[str, Any]) -> None:
        self.__dict__.update(changed)
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __enter__(self) -> Any:
        self._inner.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._inner.__exit__(*error)


class Deliveries(RuleBasedStateMachine):
    """One campaign to one client, any number of days and revisions. happened: over all sequences."""

    happened: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="sequence-", dir=MEMORY))
        self.inbox = self.base / "inbox"
        self.inbox.mkdir()
        self.ledger = Ledger("sqlite://")
        self.project = Project(self.base, "t", {}, self.base / "state", self.base, "sqlite://")
        job_campaign = campaign("0 5 * * *")
        job_integration = integration(destination={"type": "local"}, directory="inbox")
        (self.base / "integrations.yml").write_text("integrations: {}\n")
        self.setup_ = setup.Setup(self.project, {"nodes": {}}, {"daily": job_campaign}, {"acme": job_integration})
        self.at = utc("2026-11-07 06:00")
        self.traps = 0
        self.data = 0  # the warehouse's rows, as a version
        self.spooled: dict[str, set[bytes]] = {}  # by final name: every content that was ever spooled for it
        self.seen: dict[str, list[bytes]] = {}  # by final name: what appeared there, in order
        self.resent: dict[str, int] = {}  # by delivery: how often a person asked for it to be sent again
        self.accepted: set[str] = set()
        self.held: dict[str, int] = {}  # by held delivery: how many files of it had appeared
        self._there: dict[str, bytes] = {}

    def teardown(self) -> None:
        self.happened["sequences"] += 1
        for row in self.ledger.find():
            self.happened[row.state] += 1
        self.ledger.close()
        shutil.rmtree(self.base, ignore_errors=True)

    # What may happen

    @rule(chances=st.lists(CHANCE, min_size=1, max_size=3), again=st.booleans())
    def run_with_faults(self, chances: list[bytes], again: bool) -> None:
        day = random.Random(chances[0]).choice(DAYS)
        for chance in chances:
            self._run(self._request(window=day, again=again), trap(self, chance))

    @rule(chance=CHANCE)
    def run_what_is_due_with_a_fault(self, chance: bytes) -> None:
        self._run(self._request(due=True), trap(self, chance))

    @rule(chance=CHANCE, again=st.booleans())
    def run(self, chance: bytes, again: bool) -> None:
        dice = random.Random(chance)
        request = self._request(window=dice.choice(DAYS), again=again)
        self._run(request, trap(self, chance) if dice.random() < 0.6 else None)

    @rule(what=st.sampled_from(("take_away", "_tidy", "_free_names", "_change_rows", "_change_spool", "_lose_spool")))
    def meanwhile(self, what: str) -> None:
        getattr(self, what)()

    @rule(day=st.sampled_from(DAYS))
    def a_name_is_taken(self, day: str) -> None:
        path = self.inbox / f"daily_{day}.csv"
        if not path.exists():
            path.write_bytes(STRANGE)

    @rule(days=st.integers(-2, 2))
    def the_clock_jumps(self, days: int) -> None:
        there = self.at + timedelta(days=days)
        self.at = max(there, utc(f"{DAYS[-1]} 00:00") + timedelta(days=1))

    @precondition(lambda self: self.held)
    @rule(decision=st.sampled_from(("resend", "accept", "cancel")))
    def release(self, decision: Any) -> None:
        key = min(self.held)
        with self._world(None):
            try:
                holds.release(self.project, key, decision, "a test")
            except DeliveryError:
                return
        self.happened[decision] += 1
        del self.held[key]
        if decision == "resend":
            self.resent[key] = self.resent.get(key, 0) + 1
        elif decision == "accept":
            self.accepted.add(key)

    # What must be true

    @invariant()
    def all_is_well(self) -> None:
        rows = self.ledger.find()
        files = {row.id: self.ledger.files(row.id) for row in rows}
        for name, contents in self.seen.items():
            for content in contents:
                assert content in self.spooled.get(name, set()), f"half: {name} held {content!r}"
        for row in rows:
            for file in files[row.id]:
                came = self.seen.get(file.name, [])
                assert len(came) <= 1 + self.resent.get(row.id, 0), f"twice: {file.name} came {len(came)} times"
                if row.state == "delivered" and row.id not in self.accepted:
                    hashes = {sha256(content).hexdigest() for content in came}
                    assert file.sha256 in hashes, f"false: {file.name} is recorded as delivered and never came"
        held = {
            row.id: sum(len(self.seen.get(file.name, [])) for file in files[row.id])
            for row in rows
            if row.state == "held"
        }
        for key, came_before in self.held.items():
            assert held.get(key) == came_before, "held, and gone on or sent by itself"
        self.held = held

    # How it is done

    def _request(self, *, again: bool = False, **values: Any) -> Request:
        return Request(at=self.at, redeliver=again, reason="a test" if again else None, **values)

    def _tidy(self) -> None:
        for path in self.inbox.glob(".*"):
            path.unlink()

    def _free_names(self) -> None:
        for path in self.inbox.iterdir():
            if path.read_bytes() == STRANGE:
                path.unlink()

    def _change_rows(self) -> None:
        self.data += 1

    def _change_spool(self) -> None:
        for path in (self.base / "state" / "spool").rglob("*.csv"):
            path.write_bytes(path.read_bytes() + b"?")

    def _lose_spool(self) -> None:
        shutil.rmtree(self.base / "state" / "spool", ignore_errors=True)

    def _run(self, request: Request, chosen: Trap | None = None) -> None:
        with self._world(chosen), suppress(Killed, DeliveryError):
            runner.run(self.project, request, Watch())
        self.glance()

    @contextmanager
    def _world(self, chosen: Trap | None) -> Iterator[None]:
        ledger, open_ = self.ledger, self._destination
        if chosen:
            ledger = chosen.wrap(ledger, *LEDGER)
            open_ = lambda *_, **__: chosen.wrap(self._destination(), *DESTINATION)  # noqa: E731
        with ExitStack() as stack:
            for where, name, value in (
                (runner, "load", lambda *_: self.setup_),
                (setup, "open_destination", open_),
                (runner, "open_ledger", lambda _, **__: nullcontext(ledger)),
                (holds, "open_ledger", lambda _: nullcontext(self.ledger)),
                (runner, "open_engine", lambda _: mock.MagicMock()),
                (runner, "Gate", lambda *_: SimpleNamespace(judge=lambda *_, **__: Verdict("events", ()))),
                (runner, "namespaces", lambda *_: None),
                (spool, "Spool", self._spool_of),
                (handing_over, "BACK_OFF", wait_none()),
            ):
                stack.enter_context(mock.patch.object(where, name, value))
            yield

    def _destination(self, *_: object, **__: object) -> LocalDirectory:
        return LocalDirectory(self.inbox)

    def _spool_of(self, _: object, ledger: Any, engine: Any, gate: Any, __: object) -> SimpleNamespace:
        return SimpleNamespace(ledger=ledger, engine=engine, gate=gate, write=partial(self._spool, ledger))

    def _spool(self, ledger: Any, job: Any, *_: Any) -> None:
        folder = self.base / "state" / "spool" / job.key[:32]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        name = file_name(job, self.at)
        rows = []
        for part, (file, role) in enumerate([(name, "data"), (name + ".manifest.json", "manifest")]):
            content = f"{role} of {job.when} {job.revision}, version {self.data}\n".encode() * 3
            (folder / file).write_bytes(content)
            self.spooled.setdefault(file, set()).add(content)
            rows.append(
                {
                    "part": part, "role": role, "name": file, "spool": str(folder / file), "rows": 3,
                    "bytes": len(content), "sha256": sha256(content).hexdigest(), "destination": str(self.inbox),
                }
            )  # fmt: skip
        ledger.spooled(job.key, rows, rows=3)

    def glance(self) -> None:
        """Looks at the directory as the client does."""
        there = {}
        for path in self.inbox.iterdir():
            if not path.name.startswith(".") and (content := path.read_bytes()) != STRANGE:
                there[path.name] = content
                if self._there.get(path.name) != content:
                    self.seen.setdefault(path.name, []).append(content)
        self._there = there

    def take_away(self) -> None:
        """The client collects all that it sees."""
        self.glance()
        for name in self._there:
            (self.inbox / name).unlink()
        self._there = {}

    def expect_busy(self) -> None:
        """A second runner begins while the first is at work."""
        with pytest.raises(Busy, match=str(os.getpid())):
            runner.run(self.project, Request(at=self.at, window=DAYS[0]), Watch())


SETTINGS = settings(
    max_examples=int(os.environ.get("SEQUENCES", "60")),
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)


def check(machine: type[Deliveries], chosen: settings) -> None:
    """Runs the sequences, and checks that they were not of nothing."""
    machine.happened.clear()
    run_state_machine_as_test(machine, settings=chosen)
    happened, sequences = machine.happened, machine.happened["sequences"]
    assert sequences >= chosen.max_examples
    assert happened["delivered"] > sequences / 2
    assert sum(count for what, count in happened.items() if " at " in what) > sequences / 2
    assert happened["held"], happened
    if sequences >= 250:
        for what in ("lie", "kill", "kill after", "fail", "fail after", "collect", "second runner"):
            assert sum(n for name, n in happened.items() if name.startswith(f"{what} at ")) > 2, (what, happened)
        assert sum(n for name, n in happened.items() if name.endswith(" at publish")) > 5, happened
        # Some twenty decisions in a part, not seldom all of two kinds: of each kind there is test_releases.py.
        assert sum(happened[decision] for decision in ("resend", "accept", "cancel")) > 5, happened


@pytest.mark.slow
def test_sequences() -> None:
    check(Deliveries, SETTINGS)

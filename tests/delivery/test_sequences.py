"""Random sequences of all that may happen to deliveries, and what must be true after each step of each.

Runs that are killed or fail at some step, clients that collect, names that are taken, spools that change, people who
decide, clocks that jump, second runners: ledger, hand-over, runner and lock are the real ones, on a real directory.
tests/faults runs 2,000 sequences.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from builders import campaign, integration, utc
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from delivery import holds, runner
from delivery.destinations.local import LocalDirectory
from delivery.errors import Busy, DeliveryError, DestinationFailed, DestinationRefused
from delivery.gate import Verdict
from delivery.ledger import Ledger
from delivery.project import Project
from delivery.request import Request
from delivery.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

DAYS = ("2026-11-01", "2026-11-02")
STRANGE = b"somebody else's"
FAULTS = ("kill", "kill after", "fail", "fail after", "refuse", "lie", "half", "collect", "second runner")
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
STEPS = 90  # of a run; the longest, two deliveries with retries, has a few more


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class Trap:
    """Wraps what a run touches, and lets something happen at one of its steps."""

    def __init__(self, machine: Deliveries, step: int, fault: str) -> None:
        self._machine, self._step, self._fault = machine, step, fault
        self._count = 0

    def wrap(self, inner: Any, *names: str) -> Any:
        changed = {name: self._trapped(name, getattr(inner, name)) for name in names}
        return _Wrapped(inner, changed)

    def _trapped(self, name: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            self._count += 1
            if self._count != self._step:
                return function(*arguments, **options)
            return self._happen(name, function, arguments, options)

        return call

    def _happen(self, name: str, function: Any, arguments: Any, options: Any) -> Any:
        fault = self._fault
        if fault == "kill":
            raise Killed
        if fault == "half" and name == "upload":
            content = arguments[0].read_bytes()
            (self._machine.inbox / arguments[1]).write_bytes(content[: len(content) // 2])
            raise Killed
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


DESTINATION = ("look", "hash", "upload", "publish", "replace", "remove")


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
    """One campaign to one client, any number of days and revisions."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="sequence-", dir=MEMORY))
        self.inbox = self.base / "inbox"
        self.inbox.mkdir()
        self.ledger = Ledger("sqlite://")
        self.project = Project(self.base, "t", {}, self.base / "state", self.base, "sqlite://")
        job_campaign = campaign("0 5 * * *")
        job_integration = integration(destination={"type": "local"}, directory="inbox")
        self.setup_ = runner.Setup(self.project, {"nodes": {}}, {"daily": job_campaign}, {"acme": job_integration})
        self.at = utc("2026-11-03 06:00")
        self.data = 0  # the warehouse's rows, as a version
        self.spooled: dict[str, set[bytes]] = {}  # by final name: every content that was ever spooled for it
        self.seen: dict[str, list[bytes]] = {}  # by final name: what appeared there, in order
        self.resent: dict[str, int] = {}  # by delivery: how often a person asked for it to be sent again
        self.accepted: set[str] = set()
        self.held: dict[str, int] = {}  # by held delivery: how many files of it had appeared
        self._there: dict[str, bytes] = {}

    def teardown(self) -> None:
        self.ledger._engine.dispose()
        shutil.rmtree(self.base, ignore_errors=True)

    # What may happen

    @rule(day=st.sampled_from(DAYS), step=st.integers(1, STEPS), fault=st.sampled_from(FAULTS))
    def run_with_a_fault(self, day: str, step: int, fault: str) -> None:
        self._run(Request(at=self.at, window=day), Trap(self, step, fault))

    @rule(day=st.sampled_from(DAYS))
    def run(self, day: str) -> None:
        self._run(Request(at=self.at, window=day))

    @rule(step=st.integers(1, STEPS), fault=st.sampled_from(FAULTS))
    def run_what_is_due(self, step: int, fault: str) -> None:
        self._run(Request(at=self.at, due=True), Trap(self, step, fault))

    @rule(day=st.sampled_from(DAYS))
    def redeliver(self, day: str) -> None:
        self._run(Request(at=self.at, window=day, redeliver=True, reason="a test"))

    @rule(days=st.integers(-2, 2))
    def clock_jumps(self, days: int) -> None:
        self.at += timedelta(days=days) if self.at.date() + timedelta(days=days) > date(2026, 11, 2) else timedelta()

    @rule()
    def rows_change(self) -> None:
        self.data += 1

    @rule()
    def collect(self) -> None:
        self.take_away()

    @rule(day=st.sampled_from(DAYS))
    def name_is_taken(self, day: str) -> None:
        path = self.inbox / f"daily_{day}.csv"
        if not path.exists():
            path.write_bytes(STRANGE)

    @rule()
    def stranger_goes(self) -> None:
        for path in self.inbox.iterdir():
            if path.read_bytes() == STRANGE:
                path.unlink()

    @rule()
    def temps_are_tidied(self) -> None:
        for path in self.inbox.glob(".*"):
            path.unlink()

    @rule(gone=st.booleans())
    def spool_changes(self, gone: bool) -> None:
        for path in (self.base / "state" / "spool").rglob("*.csv"):
            path.unlink() if gone else path.write_bytes(path.read_bytes() + b"?")

    @precondition(lambda self: self.held)
    @rule(decision=st.sampled_from(["resend", "accept", "cancel"]))
    def release(self, decision: Any) -> None:
        key = min(self.held)
        with self._world(None):
            try:
                holds.release(self.project, key, decision, "a test")
            except DeliveryError:
                return
        del self.held[key]
        if decision == "resend":
            self.resent[key] = self.resent.get(key, 0) + 1
        elif decision == "accept":
            self.accepted.add(key)

    # What must be true

    @invariant()
    def nothing_is_half(self) -> None:
        for name, contents in self.seen.items():
            for content in contents:
                assert content in self.spooled.get(name, set()), f"{name} held {content!r}"

    @invariant()
    def nothing_comes_twice(self) -> None:
        for row in self.ledger.find():
            for file in self.ledger.files(row.id):
                came = len(self.seen.get(file.name, []))
                assert came <= 1 + self.resent.get(row.id, 0), f"{file.name} came {came} times"

    @invariant()
    def delivered_is_true(self) -> None:
        for row in self.ledger.find():
            if row.state == "delivered" and row.id not in self.accepted:
                for file in self.ledger.files(row.id):
                    hashes = {sha256(content).hexdigest() for content in self.seen.get(file.name, [])}
                    assert file.sha256 in hashes, f"{file.name} is recorded as delivered and never came"

    @invariant()
    def held_waits_for_a_person(self) -> None:
        now = {row.id: row for row in self.ledger.find() if row.state == "held"}
        for key, came in self.held.items():
            assert key in now, "held, and gone on by itself"
            assert self._came(key) == came, "held, and sent by itself"
        self.held = {key: self._came(key) for key in now}

    # How it is done

    def _came(self, key: str) -> int:
        return sum(len(self.seen.get(file.name, [])) for file in self.ledger.files(key))

    def _run(self, request: Request, trap: Trap | None = None) -> None:
        with self._world(trap), suppress(Killed, DeliveryError):
            runner.run(self.project, request, Watch())
        self.glance()

    @contextmanager
    def _world(self, trap: Trap | None) -> Iterator[None]:
        ledger, open_ = self.ledger, self._destination
        if trap:
            ledger = trap.wrap(ledger, "plan", "spooled", "advance", "advance_file", "note")
            open_ = lambda *_, **__: trap.wrap(self._destination(), *DESTINATION)  # noqa: E731
        with ExitStack() as stack:
            for where, name, value in (
                (runner, "load", lambda *_: self.setup_),
                (runner, "open_destination", open_),
                (runner, "Ledger", lambda _: _Wrapped(ledger, {"close": lambda: None})),
                (holds, "Ledger", lambda _: _Wrapped(self.ledger, {"close": lambda: None})),
                (runner, "open_engine", lambda _: mock.MagicMock()),
                (runner, "Gate", lambda *_: SimpleNamespace(judge=lambda *_: Verdict("events", ()))),
                (runner, "spool", self._spool),
            ):
                stack.enter_context(mock.patch.object(where, name, value))
            stack.enter_context(mock.patch("time.sleep"))
            yield

    def _destination(self, *_: object, **__: object) -> LocalDirectory:
        return LocalDirectory(self.inbox)

    def _spool(self, job: Any, *arguments: Any) -> None:
        folder = self.base / "state" / "spool" / job.key[:32]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        name = job.file_name(self.at)
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
        ledger = next(argument for argument in arguments if hasattr(argument, "spooled"))
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
    max_examples=100,
    stateful_step_count=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
)
TestSequences = Deliveries.TestCase
TestSequences.settings = SETTINGS

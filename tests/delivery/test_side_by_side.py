"""Deliveries of one run to several servers: whoever is slow, silent or refuses holds only what goes there."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import yaml
from asyncssh_here import Account, running
from pydantic import SecretStr
from servers import PASSWORD, free_port
from small_project import AT, CLIENTS, make_project
from tenacity import wait_none

from delivery import handing_over
from delivery import run as runner
from delivery.cli.deliver import exit_code, outcomes
from delivery.config.project import Project
from delivery.errors import DestinationFailed, ExitCode, LoginRefused
from delivery.ledger import Ledger
from delivery.progress import Watch
from delivery.schedule.request import Request
from delivery.sftp.kept import Kept
from delivery.transfer.sftp_directory import SftpDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from delivery.config.integrations import SftpDestination

WITHIN = 60.0
DAYS = {"start": "2026-11-02", "end": "2026-11-04"}


class World:
    """A project, a server in this process, and integrations that are added one by one."""

    def __init__(self, tmp_path: Path, target: SftpDestination, given: list[str]) -> None:
        """given: the passwords that the server was given, as they come."""
        make_project(tmp_path / "project", beside=("2026-11-01", "2026-11-02"))
        self.given = given
        state = tmp_path / "state"
        profile = {"type": "duckdb", "path": "warehouse.duckdb"}
        self.project = Project(
            tmp_path / "project", "duckdb", profile, state, tmp_path / "share", f"sqlite:///{state}/ledger.sqlite"
        )
        self.home = tmp_path / "home"
        self.target, self._integrations = target, dict[str, Any]()

    def add(self, name: str, **changes: Any) -> None:
        """An integration to a directory of its own."""
        (self.home / name).mkdir(exist_ok=True)
        target = {
            "type": "sftp",
            "host": "127.0.0.1",
            "port": self.target.port,
            "username": name,
            "password": "{{ env_var('PASSWORD') }}",
            "host_keys": list(self.target.host_keys),
            "timeout": WITHIN,
        }
        namespace = CLIENTS[len(self._integrations) % len(CLIENTS)]
        self._integrations[name] = {
            "vendor_name": name, "namespace": namespace, "directory": name, "destination": target | changes,
        }  # fmt: skip
        text = yaml.safe_dump({"integrations": self._integrations})
        self.project.integrations_file.write_text(text)

    def run(self, deadline: float = runner.DEADLINE, **asked: Any) -> list[runner.Outcome]:
        return runner.run(self.project, Request(at=AT, **(asked or DAYS)), Watch(), deadline=deadline)

    def arrived(self) -> list[str]:
        return sorted(path.parent.name for path in self.home.rglob("daily*.csv") if ".part" not in path.name)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[World]:
    monkeypatch.setenv("PASSWORD", PASSWORD)
    monkeypatch.setenv("WRONG", "wrong")
    with running(tmp_path, [], asks=False, account=getattr(request, "param", Account)) as (target, given):
        yield World(tmp_path, target, given)


@contextmanager
def listening(
    speak: Callable[[socket.socket], None], until: threading.Event, came: list[int] | None = None
) -> Iterator[int]:
    """A server that holds each connection until then, and closes it; its port, which `came` gets for each."""
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as listener:

        def hold(one: socket.socket) -> None:
            with one, suppress(OSError):
                while not until.wait(0.05):
                    speak(one)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=hold, args=(listener.accept()[0],), daemon=True).start()
                    if came is not None:
                        came.append(port)

        threading.Thread(target=accept, daemon=True).start()
        yield port


@pytest.mark.parametrize("healthy", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_a_silent_a_dripping_and_a_refusing_server_hold_nobody_else(world: World, healthy: int) -> None:
    """They end only when all that goes elsewhere has arrived, and come first in the run."""
    there, gave_up = threading.Event(), threading.Event()
    names = [f"good_{number:02}" for number in range(healthy)]

    def watch() -> None:
        ends = time.monotonic() + WITHIN + healthy
        while time.monotonic() < ends:
            if len(world.arrived()) == 2 * healthy:
                there.set()
                return
            time.sleep(0.05)
        gave_up.set()
        there.set()

    with listening(lambda _: None, there) as silent, listening(lambda one: one.sendall(b"S"), there) as drips:
        world.add("a_silent", port=silent)
        world.add("b_drips", port=drips)
        world.add("c_refuses", password="{{ env_var('WRONG') }}")
        for name in names:
            world.add(name)
        threading.Thread(target=watch, daemon=True).start()
        found = world.run()
    assert not gave_up.is_set(), world.arrived()
    order = [(o.delivery.window_start, o.delivery.integration) for o in found]
    assert order == sorted(order), "told by day and name, not by who was first"
    outcomes: dict[str, set[tuple[str, int]]] = {}
    for o in found:
        outcomes.setdefault(o.delivery.integration, set()).add((o.state, o.code))
    failed, refused = {("failed", ExitCode.FAILED)}, {("failed", ExitCode.DESTINATION)}
    done = {name: {("delivered", ExitCode.DONE)} for name in names}
    assert outcomes == {"a_silent": failed, "b_drips": failed, "c_refuses": refused} | done


def test_a_server_that_did_not_answer_in_time_is_left_for_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three tries are for the first delivery to it, and none for the others; who was late is said once."""
    monkeypatch.setattr(handing_over, "BACK_OFF", wait_none())
    came, never = list[int](), threading.Event()
    with listening(lambda _: None, never, came) as port:
        for name in ("one", "other"):
            world.add(name, username="acme", port=port, timeout=0.3)
        world.add("well")
        found = world.run()
        never.set()
    assert len(came) == 3
    late = {(o.delivery.integration, o.late) for o in found}
    assert late == {("one", True), ("other", True), ("well", False)}
    assert sum("was not tried again" in o.message for o in found) == 3
    said = outcomes(found).parts
    assert said[-1] == "Late, and left for the next run: one (2), other (2)."
    assert exit_code(found) == ExitCode.FAILED


def test_the_deadline_is_for_a_delivery_however_often_it_is_tried(world: World) -> None:
    never = threading.Event()
    with listening(lambda _: None, never) as port:
        target = world.target.model_copy(update={"port": port, "timeout": 20.0, "deadline": 1.0})
        destination, took = SftpDirectory.of("acme", target, "in"), []
        for _ in range(2):
            began = time.monotonic()
            with pytest.raises(DestinationFailed, match=r"within its deadline of 1 s") as failed:
                destination.__enter__()
            assert failed.value.late
            took.append(time.monotonic() - began)
        never.set()
    assert took[0] >= 1.0 > took[1]


def test_a_run_ends_when_its_time_is_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way is cut off, what waits is not begun, and all of it is the next run's."""
    asked = list[float]()

    def delivered() -> int:
        with closing(Ledger(world.project.ledger_url)) as ledger:
            return sum(row.state == "delivered" for row in ledger.find())

    class OnceAllIsThere(threading.Timer):
        def __init__(self, seconds: float, end: Callable[[], None]) -> None:
            asked.append(seconds)
            super().__init__(seconds, end)

        def run(self) -> None:
            while delivered() < 2 and not self.finished.wait(0.05):
                pass
            self.function()

    never = threading.Event()
    with listening(lambda _: None, never) as port, monkeypatch.context() as patched:
        patched.setattr(threading, "Timer", OnceAllIsThere)
        for name in ("one", "other"):
            world.add(name, username="acme", port=port, timeout=WITHIN)
        world.add("well")
        found = world.run(deadline=WITHIN)
    assert WITHIN - 30 < asked[0] < WITHIN
    seen = [(o.delivery.integration, str(o.state), o.late, o.message.rpartition(": ")[2]) for o in found]
    waited = "The run's time was over before its turn came; the next run goes on."
    assert Counter(seen) == {
        ("one", "failed", True, "the run was stopped"): 1,
        ("one", "failed", True, waited): 1,
        ("other", "failed", True, waited): 2,
        ("well", "delivered", False, ""): 2,
    }
    assert outcomes(found).parts[-1] == "Late, and left for the next run: one (2), other (2)."
    with closing(Ledger(world.project.ledger_url)) as ledger:
        assert sorted({row.state for row in ledger.find()}) == ["delivered", "spooled"]
    never.set()


def test_a_run_without_time_begins_nothing(world: World) -> None:
    world.add("well")
    found = world.run(deadline=1e-9)
    assert [(str(o.state), o.late, str(o.delivery.state)) for o in found] == [("failed", True, "planned")] * 2
    assert [str(o.state) for o in world.run()] == ["delivered"] * 2


@pytest.mark.parametrize("cut_at", ["login", "work"])
def test_what_waits_for_a_server_is_woken_when_the_run_is_stopped(world: World, cut_at: str) -> None:
    """In the middle of a login to a silent server, or once it is at work; a connection that was cut is not kept."""
    (world.home / "in").mkdir()
    never = threading.Event()
    with closing(Kept()) as kept, listening(lambda _: None, never) as silent:
        target = world.target.model_copy(update={"port": silent} if cut_at == "login" else {})
        destination = SftpDirectory.of("acme", target, "in", kept)

        def work() -> None:
            with destination:
                while True:
                    destination.list()

        threading.Timer(0.3, destination.cut).start()
        began = time.monotonic()
        with pytest.raises(DestinationFailed, match="the run was stopped"):
            work()
        assert time.monotonic() - began < 2.0
        assert kept.take(target.login) is None
        never.set()


def test_a_wrong_password_is_given_once(world: World) -> None:
    """Whatever is to go there: an account may be locked after three."""
    for name in ("one", "other", "third"):
        world.add(name, username="acme", password="{{ env_var('WRONG') }}")
    assert {(o.state, o.code) for o in world.run()} == {("failed", ExitCode.DESTINATION)}
    assert world.given == ["wrong"]


class Counted(Account):
    """Knows its connections; hangs up on whoever comes while `most` are there, which `met` counts."""

    there: ClassVar[list[Any]] = []
    loop: asyncio.AbstractEventLoop
    came = met = 0
    most = 100

    def connection_made(self, conn: Any) -> None:
        self.conn, Counted.loop = conn, asyncio.get_running_loop()
        Counted.there.append(conn)
        Counted.came += 1
        if len(Counted.there) > self.most:
            Counted.met += 1
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        Counted.there.remove(self.conn)


class OneConnection(Counted):
    most = 1


FOUR = ("one", "other", "third", "fourth")


@pytest.fixture(autouse=True)
def _no_connections() -> None:
    Counted.there.clear()
    Counted.came = Counted.met = 0


@pytest.mark.parametrize("world", [OneConnection], indirect=True)
def test_a_server_that_takes_one_connection_gets_one_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to say so; all arrive in one run, which begins with all of them written."""
    closed = free_port()
    for name in FOUR:
        world.add(name, username="acme", port=closed)
    with monkeypatch.context() as patched:
        patched.setattr(handing_over, "BACK_OFF", wait_none())
        assert {o.state for o in world.run()} == {"failed"}
    for name in FOUR:
        world.add(name, username="acme")
    monkeypatch.setattr(handing_over, "ATTEMPTS", 1)
    found = world.run()
    assert {o.state for o in found} == {"delivered"}, {o.message for o in found}
    assert world.arrived() == sorted(FOUR * 2)
    assert Counted.met, "they never met"


@pytest.mark.parametrize("world", [Counted], indirect=True)
def test_one_login_and_one_probe_serve_all_that_goes_to_a_server(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the directory; another login at the same server has its own."""
    probed: list[str] = []
    probe = SftpDirectory.probe

    def noted(self: SftpDirectory, token: str) -> Any:
        probed.append(self.describe())
        return probe(self, token)

    monkeypatch.setattr(SftpDirectory, "probe", noted)
    for name in FOUR[:3]:
        world.add(name, username="acme", connections=1)
    world.add(FOUR[3], connections=1)
    assert {o.state for o in world.run()} == {"delivered"}
    assert (len(world.given), Counted.came) == (2, 2)
    for _ in range(100):
        if not Counted.there:
            break
        time.sleep(0.05)  # the server hears of it a little later
    assert Counted.there == [], "none is left open"
    assert len(probed) == 2
    assert sum("acme@" in where for where in probed) == 1
    with closing(Ledger(world.project.ledger_url)) as ledger:
        assert [one.method for one in ledger.probes().values()] == ["rename"] * 4


@pytest.mark.parametrize("world", [Counted], indirect=True)
def test_a_connection_is_kept_if_all_went_well_and_made_anew_when_it_is_gone(world: World) -> None:
    (world.home / "in").mkdir()
    with closing(Kept()) as kept:

        def use(*, fails: bool = False) -> int:
            with suppress(ZeroDivisionError), SftpDirectory.of("acme", world.target, "in", kept) as destination:
                assert destination.list() == []
                if fails:
                    raise ZeroDivisionError
            return Counted.came

        assert (use(), use()) == (1, 1)
        Counted.loop.call_soon_threadsafe(Counted.there[0].abort)
        assert (use(), use()) == (2, 2)
        assert (use(fails=True), use()) == (2, 3)
        other = world.target.model_copy(update={"password": SecretStr("wrong")})
        with pytest.raises(LoginRefused):
            SftpDirectory.of("acme", other, "in", kept).__enter__()
        assert Counted.came == 4, "who has another password has another connection"


def test_older_windows_go_first(world: World) -> None:
    """Of one campaign and client, while others go beside them."""
    for name in ("one", "other"):
        world.add(name)
    assert {o.state for o in world.run(start="2026-11-01", end="2026-11-04")} == {"delivered"}
    with closing(Ledger(world.project.ledger_url)) as ledger:
        for name in ("one", "other"):
            rows = sorted(
                (row for row in ledger.find() if row.integration == name), key=lambda row: row.window_start or ""
            )
            steps = [[at for at, step, _ in ledger.steps(row.id) if step in {"uploaded", "delivered"}] for row in rows]
            assert len(rows) == 3
            assert all(before[-1] < after[0] for before, after in pairwise(steps))

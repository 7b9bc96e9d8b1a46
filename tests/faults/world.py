"""A small real delivery, and the world around it: a server that fails on request, and an observer.

The runner is a process of its own. This process is its world: it carries every SFTP message between the runner and an
OpenSSH sftp-server, fails the ones that it is told to, and looks into the remote directory at every message with its
own eyes. It is still there when the runner is killed.
"""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import signal
import socket
import sqlite3
import struct
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # a process with threads cannot be forked
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "delivery"), str(HERE.parents[1])]

import pandas as pd  # noqa: E402, F401 - pyarrow imports it late, and so here
import pyarrow.pandas_compat  # noqa: E402, F401
import sqlalchemy.dialects.sqlite  # noqa: E402, F401
import steps  # noqa: E402
from servers import PipeChannel, Shim, name_of  # noqa: E402
from small_project import AT, CANARIES, CLIENTS, DAY, SFTP, canary, make_project  # noqa: E402
from tenacity import wait_none  # noqa: E402

from delivery import handing_over  # noqa: E402
from delivery import run as runner  # noqa: E402
from delivery.cli.deliver import exit_code  # noqa: E402
from delivery.config.project import Project  # noqa: E402
from delivery.errors import DeliveryError  # noqa: E402
from delivery.progress import Watch  # noqa: E402
from delivery.schedule.request import Request  # noqa: E402
from delivery.sftp.kept import Opened  # noqa: E402
from delivery.sftp.session import PERMISSION_DENIED  # noqa: E402
from delivery.transfer.sftp_directory import SftpDirectory  # noqa: E402
from delivery.warehouse import duckdb as _engine  # noqa: E402, F401 - imported late, and here before the runner starts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from delivery.transfer.local_directory import LocalDirectory

CRASHED = 70  # exit status of a runner that met an error it does not know
# A bit that flips on the wire breaks the SSH packet; one that a server flips in a new name puts the file whole
# elsewhere and says OK, which cannot be told from a client that took it at once.
NOT_MADE = {("RENAME", "flip")}
# Where it goes, by which integration; what its server may do is how the kinds differ.
KINDS = {"sftp": "by_sftp", "hosted": "by_share", "open": "without_rename"}
# What goes beside it where a case is of several: to another server, and to the share; nothing fails there.
BESIDE = {"on_another_server": CLIENTS[1], "share_of_cedar_books": CLIENTS[2]}
ANOTHER = SFTP.format(name="on_another_server", directory="inbox", publish="rename")
ANOTHER = ANOTHER.replace("sftp.example", "other.example").replace(CLIENTS[0], CLIENTS[1])
DONE = ".done"
WIRES = ("s", "other")  # to the server that fails, and to another one
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Faults:
    """What goes wrong in one run. messages: by their number in the run; kill: the local step before which it dies."""

    messages: Mapping[int, str] = field(default_factory=dict)
    kill: int | None = None

    def __str__(self) -> str:
        parts = [f"{what} at message {number}" for number, what in self.messages.items()]
        return " and ".join(parts + ([f"SIGKILL at step {self.kill}"] if self.kill is not None else [])) or "nothing"


@dataclass
class Observer:
    """Sees what a client would: the names that do not begin with a dot. expected: name -> content, of whole files.

    collects: the client takes each file away so many glances after it came; never when None. waits: it sees nothing
    until a done file is there.
    """

    directory: Path
    expected: Mapping[str, bytes] | None
    collects: int | None = None
    waits: bool = False
    appeared: dict[str, int] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    _last: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)

    def look(self) -> None:
        """One glance."""
        present = {}
        with suppress(FileNotFoundError), os.scandir(self.directory) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        present[entry.name] = (status.st_ino, status.st_size, status.st_mtime_ns)
        if self.waits and not any(name.endswith(DONE) for name in present):
            present = {}
        for name, seen in present.items():
            before = self._last.get(name)
            if seen != before:
                self._judge(name)
                if before is None or before[0] != seen[0]:
                    self.appeared[name] = self.appeared.get(name, 0) + 1
        self._last = present
        for name in sorted(present, key=lambda name: name.endswith(DONE)) if self.collects is not None else ():
            self._seen[name] = self._seen.get(name, 0) + 1
            if self._seen[name] > (self.collects or 0):
                (self.directory / name).unlink()
                self.taken.add(name)
                del self._seen[name], self._last[name]

    def _judge(self, name: str) -> None:
        content = (self.directory / name).read_bytes()
        if self.expected is not None and content != self.expected.get(name):
            self.broken.add(name)
        else:
            self.whole.add(name)

    @property
    def twice(self) -> bool:
        """Whether a file came more than once, under its name or under another."""
        return any(count > 1 for count in self.appeared.values()) or len(self.appeared) > len(self.expected or ())

    @property
    def still_there(self) -> bool:
        """Whether all that was not taken lies there whole."""
        return all(
            name in self.taken or ((path := self.directory / name).is_file() and path.read_bytes() == content)
            for name, content in (self.expected or {}).items()
        )


class _Server(PipeChannel):
    """An sftp-server that select() can wait for."""

    def fileno(self) -> int:
        return self._sock.fileno()


class _Wire:
    """The runner's end of a connection to its world."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(path))

    def send(self, data: bytes) -> int:
        with suppress(BrokenPipeError, ConnectionResetError):
            return self._socket.send(data)
        return 0

    def recv(self, count: int) -> bytes:
        with suppress(ConnectionResetError):
            return self._socket.recv(min(count, 1 << 16))
        return b""

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@dataclass
class World:
    """One case: a state directory, a remote directory, and what happened in them.

    kind: see KINDS; naive: `put` and then record, in place of the protocol; beside: what the other clients are to
    get, by integration (BESIDE), where they get something in the same run.
    """

    template: Path
    base: Path
    kind: str
    expected: Mapping[str, bytes] | None = None
    collects: int | None = None
    naive: bool = False
    beside: Mapping[str, Mapping[str, bytes] | None] = field(default_factory=dict)
    request_bytes: int = 1 << 15
    messages: list[str] = field(default_factory=list)  # of the last run
    steps: int = 0  # of the last run
    first_seen: tuple[int, int] = (0, 0)  # the step and the message after which a file first appeared, when watched
    first_contact: int = 0  # the step before the first message, when watched
    fired: int = 0
    exits: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        remote = self._inbox(CLIENTS[0])
        self.observer = Observer(remote, self.expected, self.collects, self.kind == "open")
        self.others = {name: Observer(self._inbox(BESIDE[name]), files) for name, files in self.beside.items()}
        self._listeners = {name: socket.socket(socket.AF_UNIX) for name in WIRES}
        for name, listener in self._listeners.items():
            listener.bind(str(self.base / name))
            listener.listen(8)

    def _inbox(self, client: str) -> Path:
        inbox = self.base / "share" / client / "inbox"
        inbox.mkdir(parents=True, mode=0o700)
        return inbox

    def close(self) -> None:
        for listener in self._listeners.values():
            listener.close()
        shutil.rmtree(self.base, ignore_errors=True)

    def spool_only(self) -> None:
        """A first run that writes the spool and reaches no destination."""
        inbox = self.observer.directory
        inbox.rmdir()
        (self.base / "elsewhere").mkdir()
        inbox.symlink_to(self.base / "elsewhere")
        self.run(Faults(dict.fromkeys(range(100), "cut before")))
        inbox.unlink()
        inbox.mkdir(mode=0o700)
        (self.base / "elsewhere").rmdir()
        self.fired = 0

    @property
    def project(self) -> Project:
        state = self.base / "state"
        profile = {"type": "duckdb", "path": "warehouse.duckdb"}
        ledger = f"sqlite:///{state / 'ledger.sqlite'}"
        return Project(self.template, "duckdb", profile, state, self.base / "share", ledger)

    def run(self, faults: Faults | None = None, *, watched: bool = False, counted: bool = False) -> int:
        """One run of the runner in a process of its own; its exit code, or minus the signal that ended it.

        watched: the observer looks before every local step, too; counted: `steps` tells how many there were.
        """
        faults = faults or Faults()
        self.messages, self._watched = [], 0
        ours, theirs = socket.socketpair()
        (self.base / "log").touch()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for listener in self._listeners.values():
                listener.close()
            self._be_the_runner(theirs, faults.kill, watched=watched, counted=counted)
        theirs.close()
        self._serve(pid, ours, faults)
        self.exits.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        if self.exits[-1] == -signal.SIGKILL:
            self.fired += 1
        self.glance()
        return self.exits[-1]

    def _be_the_runner(self, control: socket.socket, kill: int | None, *, watched: bool, counted: bool) -> None:
        code = CRASHED
        try:
            os.environ |= CANARIES
            log = os.open(self.base / "log", os.O_WRONLY | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            handing_over.BACK_OFF = wait_none()

            def of(name: str, target: Any, directory: str, _kept: object) -> SftpDirectory:
                wire = self.base / ("s" if name == KINDS[self.kind] else "other")
                where = f"sftp://acme@{target.host}"
                return SftpDirectory(where, ".", lambda _: _open(wire, self.request_bytes), 2.0, 20.0)

            SftpDirectory.of = of  # type: ignore[method-assign,assignment]
            if self.naive:
                _replace_protocol()
            request = Request(at=AT, window=DAY, integrations=(KINDS[self.kind], *self.beside))
            count = steps.install(kill, control if watched else None) if watched or counted or kill is not None else int
            try:
                code = int(exit_code(runner.run(self.project, request, Watch())))
            except DeliveryError as error:
                print(error.message)
                code = int(error.exit_code)
            sys.setprofile(None)
            control.sendall(struct.pack(">cI", b"n", count()))
        except BaseException:  # noqa: BLE001 - whatever it is, it is a defect
            sys.setprofile(None)
            traceback.print_exc()
            code = CRASHED
        finally:
            sys.stdout.flush()
            os._exit(code)

    def _serve(self, pid: int, control: socket.socket, faults: Faults) -> None:
        """Carries messages until the runner is dead and each server has done all that it was asked."""
        alive = os.pidfd_open(pid)
        sessions: list[_Session] = []
        running = True
        while running or sessions:
            listeners = list(self._listeners.values())
            waiting = [*listeners, control, *([alive] if running else [])]
            waiting += [s.wire for s in sessions] + [s.server for s in sessions if not s.closed]
            ready = select.select(waiting, [], [], 30)[0]
            if not ready:
                raise TimeoutError(f"nothing moves: {faults}")
            for name, listener in self._listeners.items():
                if listener in ready:
                    self.first_contact = self.first_contact or self._watched
                    sessions.append(_Session(self, listener.accept()[0], faults if name == "s" else None))
            if control in ready:
                self._answer(control)
            for session in sessions:
                session.carry(ready)
            sessions = [s for s in sessions if not s.closed]
            if alive in ready and not any(s.wire in ready for s in sessions):
                running = select.select(listeners, [], [], 0)[0] != []
        self._answer(control, last=True)
        os.close(alive)
        control.close()

    def _answer(self, control: socket.socket, *, last: bool = False) -> None:
        while select.select([control], [], [], 0)[0]:
            kind = control.recv(1)
            if kind == b"n":
                self.steps = struct.unpack(">I", control.recv(4))[0]
            elif kind == b"s":
                self._watched += 1
                self.glance()
                with suppress(BrokenPipeError):
                    control.sendall(b"s")
            elif not kind:
                if not last:
                    time.sleep(0.0005)  # it is dying
                return

    def glance(self) -> None:
        """Lets the observer look."""
        before = bool(self.observer.appeared)
        for observer in (self.observer, *self.others.values()):
            observer.look()
        if self.observer.appeared and not before:
            self.first_seen = (self._watched, len(self.messages) - 1)

    def state(self, integration: str = "") -> tuple[str, str, dict[str, str]]:
        """The ledger's word, read without our code: state and note of a delivery, states of its files."""
        path = self.base / "state" / "ledger.sqlite"
        if not path.exists():
            return "none", "", {}
        with sqlite3.connect(path) as connection:
            try:
                of = f"integration = '{integration or KINDS[self.kind]}'"
                row = connection.execute(f"select id, state, note from deliveries where {of}").fetchone()
                row = row or ("", "none", "")
                files = dict(
                    connection.execute("select name, state from files where delivery_id = ?", row[:1]).fetchall()
                )
            except sqlite3.OperationalError:
                return "none", "", {}
        return str(row[1]), str(row[2]), files

    def strays(self) -> list[str]:
        """Where something lies that must not be there: another client's row, an address, a secret."""
        found = []
        owners = self._owners()
        for path in [self.base / "log", *(self.base / "state").rglob("*"), *(self.base / "share").rglob("*")]:
            if path.is_symlink() or not path.is_file():
                continue
            content, name = path.read_bytes(), path.relative_to(self.base)
            owner = owners.get(name.parts[2]) if name.parts[:2] == ("state", "spool") else None
            owner = name.parts[1] if name.parts[0] == "share" else owner
            forbidden = [*CANARIES.values(), *(canary(client) for client in CLIENTS if client != owner)]
            if owner is None:
                forbidden.append("@example.")
            found += [f"{text} in {name}" for text in forbidden if text.encode() in content or text in str(name)]
        return [text for text in found if "state/scratch" not in text]

    def _owners(self) -> dict[str, str]:
        path = self.base / "state" / "ledger.sqlite"
        with suppress(sqlite3.OperationalError), sqlite3.connect(path) as connection:
            return {key[:32]: client for key, client in connection.execute("select id, namespace from deliveries")}
        return {}

    def log(self) -> str:
        return (self.base / "log").read_text()


def _open(path: Path, request_bytes: int) -> Opened:
    wire = _Wire(path)
    return Opened(wire, wire.close)


class _Session:
    """One connection: frames in, faults applied by the shim, replies out, a glance at the directory around each."""

    def __init__(self, world: World, wire: socket.socket, faults: Faults | None) -> None:
        """faults: None at the other server, whose messages are not counted."""
        self.wire, self.closed = wire, False
        self._world, self._messages = world, [] if faults is None else world.messages
        self._faults = faults = faults or Faults()
        observer = world.observer if self._messages is world.messages else world.others["on_another_server"]
        directory = observer.directory.resolve()
        self.server: PipeChannel = _Server(directory)
        if world.kind == "open":
            self.server = _Server(directory, "-P", "rename,posix-rename,hardlink")
        start = len(self._messages)
        self._shim = Shim(
            self.server,
            {n - start: fault.removesuffix(", denied") for n, fault in faults.messages.items() if n >= start},
        )
        if any(fault.endswith(", denied") for fault in faults.messages.values()):
            self._shim.status = PERMISSION_DENIED
        self._frames = b""
        self._start = start

    def carry(self, ready: list[Any]) -> None:
        if self.wire in ready:
            try:
                data = self.wire.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                return self._end()
            self._frames += data
            while len(self._frames) >= 4 and len(self._frames) >= 4 + (n := struct.unpack(">I", self._frames[:4])[0]):
                frame, self._frames = self._frames[: 4 + n], self._frames[4 + n :]
                number = len(self._messages)
                if (name_of(frame), self._faults.messages.get(number)) in NOT_MADE:
                    del self._shim.faults[number - self._start]
                elif number in self._faults.messages:
                    self._world.fired += 1
                if not self._shim.send(frame):
                    self._messages.append(self._shim.log[-1])
                    return self._end()
                self._messages.append(self._shim.log[-1])
                self._world.glance()
                self._reply()
        if not self.closed and self.server in ready:
            self._reply()
        return None

    def _reply(self) -> None:
        """Passes on what there is; what is looked at, is looked at first."""
        while self._shim.recv_ready():
            reply = self._shim.recv(1 << 18)
            self._world.glance()
            if not reply:
                return self._end()
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wire.sendall(reply)
        return None

    def _end(self) -> None:
        with suppress(OSError):
            self._shim.close()  # waits until the server has ended
        self._world.glance()
        self.wire.close()
        self.closed = True


def _replace_protocol() -> None:
    """The control: `put` under the final name, then record."""
    from delivery.sftp import session as sftp

    truncate = 16

    def put(self: SftpDirectory, spool: Path, name: str) -> None:
        with self._at.step("put"):
            flags = sftp.WRITING | sftp.CREATE | truncate
            handle = self._session.open(self._path(name), flags, 0o600)
            content = spool.read_bytes()
            for start in range(0, len(content), 1 << 14):
                chunk = content[start : start + (1 << 14)]
                self._session.request(sftp.WRITE, sftp.string(handle), struct.pack(">QI", start, len(chunk)), chunk)
            self._session.request(sftp.CLOSE, sftp.string(handle))

    def local_put(self: LocalDirectory, spool: Path, name: str) -> None:
        (self._path / name).write_bytes(spool.read_bytes())

    def hand_over(file: Any, destination: Any, ledger: Any, **_: object) -> Any:
        if file.state == "published":
            return file
        (put if isinstance(destination, SftpDirectory) else local_put)(destination, Path(file.spool), file.name)
        return ledger.advance_file(file, "published")

    handing_over.hand_over = hand_over


def make_template(root: Path) -> None:
    """The project of all cases."""
    make_project(root)
    with (root / "integrations.yml").open("a") as file:
        file.write(ANOTHER)


def new_base() -> Path:
    """A directory for one case, in memory where possible: an fsync costs nothing there."""
    return Path(tempfile.mkdtemp(prefix="faults-", dir=SHARED_MEMORY if os.access(SHARED_MEMORY, os.W_OK) else None))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]

"""Real servers for the tests, and what stands between them and the client when something has to go wrong.

Debian packages: openssh-server (sshd, sftp-server), openssh-client (ssh-keygen), libnss-wrapper (accounts of the
tests' own, so that password login needs neither root nor a system user), proftpd-core and proftpd-mod-crypto.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from delivery.config.integrations import SftpDestination
from delivery.sftp import session as sftp
from delivery.sftp.kept import Opened
from delivery.transfer.sftp_directory import SftpDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")
NSS_WRAPPER = next(iter(Path("/usr/lib").glob("*/libnss_wrapper.so")), None)
PASSWORD = "correct horse"
# openssl passwd -6 -salt delivery 'correct horse'
PASSWORD_HASH = "$6$delivery$VYgXNoomsZ4nshXJZedvBfT4nRANZGACx2IhshPjVtV.wTXHLt2dc22jVMmLmBeV6ReBkNFoIq0ObphVaCXiQ1"
SSHD_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
{host_keys}
AuthorizedKeysFile {base}/authorized_keys
PasswordAuthentication {password}
KbdInteractiveAuthentication no
PidFile none
StrictModes no
UsePAM no
MaxStartups 200
Subsystem sftp internal-sftp
{extra}
"""


def missing_for_sshd() -> str:
    """Why no sshd can be started here; empty when it can. WITHOUT_OPENSSH: as on a machine that has none."""
    if os.environ.get("WITHOUT_OPENSSH") or not _sshd():
        return "no sshd: install openssh-server"
    return "" if NSS_WRAPPER else "no accounts of our own: install libnss-wrapper"


def missing_for_sftp_server() -> str:
    """Why no sftp-server can be started here; empty when it can."""
    there = SFTP_SERVER.exists() and not os.environ.get("WITHOUT_OPENSSH")
    return "" if there else "no sftp-server: install openssh-server"


def _sshd() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@dataclass
class SshServer:
    """A running sshd with one account. root: its home, where files land; host_keys: OpenSSH lines by type."""

    base: Path
    port: int
    process: subprocess.Popen[bytes]
    host_keys: dict[str, str]
    username: str = "acme"
    password: str = PASSWORD
    host: str = "127.0.0.1"

    @property
    def root(self) -> Path:
        return self.base / "home"

    @property
    def user_key(self) -> Path:
        return self.base / "user_key"

    @property
    def log(self) -> str:
        return (self.base / "log").read_text()

    def target(self, **changes: object) -> SftpDestination:
        """The destination as an integration would name it, by key unless changed."""
        keys = list(self.host_keys.values())
        defaults = {"host": self.host, "port": self.port, "username": self.username, "host_keys": keys, "timeout": 10}
        login = {} if {"password", "private_key"} & changes.keys() else {"private_key": self.user_key}
        return SftpDestination.model_validate({"type": "sftp"} | defaults | login | changes)

    def directory(self, name: str, mode: int = 0o700) -> Path:
        """A directory that belongs to the account."""
        path = self.root / name
        path.mkdir()
        self.own(path)
        path.chmod(mode)
        return path

    def own(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, *account())


def account() -> tuple[int, int]:
    """User and group that the files belong to: ourselves, or nobody when we are root."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        return nobody.pw_uid, nobody.pw_gid
    return os.geteuid(), os.getegid()


def keygen(path: Path, kind: str = "ed25519", passphrase: str = "") -> str:
    """Make a key pair; its public line."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "", "-f", path], check=True)
    return path.with_name(path.name + ".pub").read_text().strip()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def server_at_hand() -> Iterator[SshServer]:
    """OpenSSH's sshd, or asyncssh's server, which is a package of ours, where none can be started."""
    with running_asyncssh() if missing_for_sshd() else running_sshd() as server:
        yield server


@pytest.fixture(scope="session")
def sshd() -> Iterator[SshServer]:
    """One sshd for the session; each test makes its own directory in it."""
    if missing := missing_for_sshd():
        pytest.skip(missing)
    with running_sshd() as server:
        yield server


@contextlib.contextmanager
def running_sshd(
    kinds: tuple[str, ...] = ("ed25519", "ecdsa", "rsa"), *, password: bool = True, extra: str = ""
) -> Iterator[SshServer]:
    """Start an sshd on loopback with host keys, a user key, a password and an account of its own."""
    base = Path(tempfile.mkdtemp(prefix="sshd-"))
    base.chmod(0o711)  # sshd's unprivileged half must get through
    try:
        host_keys = {kind: keygen(base / f"host_{kind}", kind) for kind in kinds}
        (base / "authorized_keys").write_text(keygen(base / "user_key") + "\n")
        (base / "authorized_keys").chmod(0o644)
        port = free_port()
        config = SSHD_CONFIG.format(
            port=port,
            base=base,
            password="yes" if password else "no",
            extra=extra,
            host_keys="\n".join(f"HostKey {base}/host_{kind}" for kind in kinds),
        )
        (base / "sshd_config").write_text(config)
        with (base / "log").open("wb") as log:
            process = subprocess.Popen(
                [str(_sshd()), "-D", "-e", "-f", base / "sshd_config"],
                stderr=log,
                env=os.environ | _accounts(base),
                start_new_session=True,
            )
        server = SshServer(base, port, process, host_keys)
        try:
            _wait_for(server)
            yield server
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(10)
    finally:
        shutil.rmtree(base, ignore_errors=True)


PROFTPD_CONFIG = """
ModulePath /usr/lib/proftpd
LoadModule mod_sftp.c
ServerName tests
ServerType standalone
DefaultAddress 127.0.0.1
Port {port}
UseIPv6 off
UseReverseDNS off
DelayEngine off
PidFile {base}/pid
ScoreboardFile {base}/scoreboard
AuthOrder mod_auth_file.c
AuthUserFile {base}/passwd
RequireValidShell off
WtmpLog off
SFTPEngine on
SFTPHostKey {base}/host_ed25519
SFTPLog {base}/log
SFTPAuthMethods password
"""


def missing_for_proftpd() -> str:
    """Why no ProFTPD can be started here; empty when it can."""
    if os.geteuid() != 0:
        return "ProFTPD starts as root only"
    missing = not shutil.which("proftpd") or not Path("/usr/lib/proftpd/mod_sftp.so").exists()
    return "no ProFTPD: install proftpd-core and proftpd-mod-crypto" if missing else ""


@contextlib.contextmanager
def running_proftpd() -> Iterator[SshServer]:
    """Start a ProFTPD with mod_sftp on loopback: another server's idea of the protocol. Password login only."""
    base = Path(tempfile.mkdtemp(prefix="proftpd-"))
    base.chmod(0o711)
    try:
        host_keys = {"ed25519": keygen(base / "host_ed25519")}
        (uid, gid), port, home = account(), free_port(), base / "home"
        home.mkdir()
        os.chown(home, uid, gid)
        (base / "passwd").write_text(f"acme:{PASSWORD_HASH}:{uid}:{gid}::{home}:/bin/sh\n")
        (base / "passwd").chmod(0o600)
        (base / "config").write_text(PROFTPD_CONFIG.format(base=base, port=port))
        (base / "log").touch()
        process = subprocess.Popen(["proftpd", "-n", "-q", "-c", base / "config"], stderr=subprocess.DEVNULL)
        server = SshServer(base, port, process, host_keys)
        try:
            _wait_for(server)
            yield server
        finally:
            process.terminate()
            process.wait(10)
    finally:
        shutil.rmtree(base, ignore_errors=True)


@contextlib.contextmanager
def running_asyncssh() -> Iterator[SshServer]:
    """Start asyncssh's server on loopback, in a process of its own: a third idea of the protocol."""
    base = Path(tempfile.mkdtemp(prefix="asyncssh-"))
    try:
        host_keys = {"ed25519": keygen(base / "host_ed25519")}
        (base / "authorized_keys").write_text(keygen(base / "user_key") + "\n")
        (base / "home").mkdir()
        port = free_port()
        script = Path(__file__).with_name("asyncssh_server.py")
        with (base / "log").open("wb") as log:
            process = subprocess.Popen([sys.executable, script, base, str(port), PASSWORD], stderr=log)
        with _ending(process):
            server = SshServer(base, port, process, host_keys)
            _wait_for(server)
            yield server
    finally:
        shutil.rmtree(base, ignore_errors=True)


def missing_for_dropbear() -> str:
    """Why no Dropbear can be started here; empty when it can."""
    if os.geteuid() != 0:
        return "Dropbear starts as root only"
    if not shutil.which("dropbear") or not shutil.which("dropbearkey"):
        return "no Dropbear: install dropbear-bin"
    if not Path("/usr/lib/sftp-server").exists():
        return "no /usr/lib/sftp-server: install openssh-sftp-server"
    return "" if NSS_WRAPPER else "no accounts of our own: install libnss-wrapper"


@contextlib.contextmanager
def running_dropbear() -> Iterator[SshServer]:
    """Start a Dropbear on loopback, with OpenSSH's sftp-server behind it."""
    base = Path(tempfile.mkdtemp(prefix="dropbear-"))
    base.chmod(0o711)
    try:
        made = subprocess.run(
            ["dropbearkey", "-t", "ed25519", "-f", base / "host"], check=True, capture_output=True, text=True
        ).stdout
        line = next(line for line in made.splitlines() if line.startswith("ssh-ed25519 "))
        env, port = os.environ | _accounts(base), free_port()
        login = base / "home" / ".ssh"
        login.mkdir(mode=0o700)
        (login / "authorized_keys").write_text(keygen(base / "user_key") + "\n")
        (login / "authorized_keys").chmod(0o600)
        for path in (base / "home", login, login / "authorized_keys"):
            os.chown(path, *account())
        command = ["dropbear", "-F", "-E", "-p", f"127.0.0.1:{port}", "-r", base / "host", "-P", base / "pid"]
        with (base / "log").open("wb") as log:
            process = subprocess.Popen(command, stderr=log, env=env)
        with _ending(process):
            server = SshServer(base, port, process, {"ed25519": " ".join(line.split()[:2])})
            _wait_for(server)
            yield server
    finally:
        shutil.rmtree(base, ignore_errors=True)


@contextlib.contextmanager
def _ending(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def _accounts(base: Path) -> dict[str, str]:
    """Files in the place of /etc/passwd and its like, for one process and its children."""
    uid, gid = account()
    home = base / "home"
    home.mkdir()
    os.chown(home, uid, gid)
    (base / "passwd").write_text(
        f"acme:x:{uid}:{gid}::{home}:/bin/sh\nroot:x:0:0::/root:/bin/sh\nsshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
    )
    (base / "group").write_text(f"acme:x:{gid}:\nroot:x:0:\n")
    (base / "shadow").write_text(f"acme:{PASSWORD_HASH}:19000:0:99999:7:::\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return {
        "LD_PRELOAD": str(NSS_WRAPPER),
        "NSS_WRAPPER_PASSWD": str(base / "passwd"),
        "NSS_WRAPPER_GROUP": str(base / "group"),
        "NSS_WRAPPER_SHADOW": str(base / "shadow"),
    }


def _wait_for(server: SshServer) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection((server.host, server.port), 1) as sock:
            if sock.recv(4) == b"SSH-":
                return
        if server.process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{server.log}")


class PipeChannel:
    """An sftp-server without SSH, 5 ms a session; behaves like paramiko's Channel, so that paramiko can use it too."""

    def __init__(self, directory: Path, *options: str, largest_file: int | None = None) -> None:
        """largest_file: bytes that the server can write before its disk is `full`."""
        self.directory = directory
        self._sock, theirs = socket.socketpair()
        limit = [] if largest_file is None else ["prlimit", f"--fsize={largest_file}"]
        self._process = subprocess.Popen(
            [*limit, SFTP_SERVER, *options], stdin=theirs, stdout=theirs, cwd=directory, restore_signals=False
        )
        theirs.close()

    def send(self, data: bytes) -> int:
        self._sock.sendall(data)
        return len(data)

    def recv(self, count: int) -> bytes:
        with contextlib.suppress(ConnectionResetError):
            return self._sock.recv(count)
        return b""

    def recv_ready(self) -> bool:
        return bool(select.select([self._sock], [], [], 0)[0])

    def settimeout(self, seconds: float | None) -> None:
        self._sock.settimeout(seconds)

    def get_name(self) -> str:
        return "pipe"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._process.wait(10)


class OverwritingServer(PipeChannel):
    """A server whose RENAME replaces its target, as some do; takes one whole frame at a time, as a Shim gives it."""

    def send(self, data: bytes) -> int:
        if data[4] == sftp.RENAME:
            name = b"posix-rename@openssh.com"
            data = sftp.string(bytes([sftp.EXTENDED]) + data[5:9] + sftp.string(name) + data[9:])
        return super().send(data)


_REQUESTS = (
    *("INIT", "OPEN", "CLOSE", "READ", "WRITE", "LSTAT", "FSTAT", "FSETSTAT"),
    *("OPENDIR", "READDIR", "REMOVE", "STAT", "RENAME", "EXTENDED"),
)
NAMES: dict[int, str] = {getattr(sftp, name): name for name in _REQUESTS}
FAULTS = (
    "error",  # refused, and not done
    "done, error",  # done, but the reply says refused
    "ok, not done",  # the reply says done, but it is not
    "cut before",
    "cut after",  # done, the reply lost
    "flip",  # one bit of the request's last byte
    "drop",  # neither done nor answered
    "reply twice",
    "reply late",  # after the reply to a later request, when there is one
    "reply short",  # cut short
)


def name_of(frame: bytes) -> str:
    """The name of a request; of an extended one, its own."""
    name = NAMES[frame[4]]
    return frame[13 : 13 + struct.unpack(">I", frame[9:13])[0]].decode() if name == "EXTENDED" else name


@dataclass
class Shim:
    """Between a client and an sftp-server, one message at a time and without threads: the same every time.

    faults: message -> fault, where a message is a request's number in the session, from 0 (INIT), or its name and
    how often that was seen before: ("WRITE", 2) is the third WRITE. `log` lists the names of all requests.
    """

    inner: PipeChannel
    faults: dict[int | tuple[str, int], str] = field(default_factory=dict)
    status: int = sftp.FAILURE
    log: list[str] = field(default_factory=list)
    _seen: Counter[str] = field(default_factory=Counter)
    _out: bytes = b""
    _in: bytes = b""
    _on_reply: dict[int, str] = field(default_factory=dict)
    _late: bytes = b""
    _cut: bool = False

    def send(self, data: bytes) -> int:
        self._out += data
        while len(self._out) >= 4 and len(self._out) >= 4 + (size := struct.unpack(">I", self._out[:4])[0]):
            frame, self._out = self._out[: 4 + size], self._out[4 + size :]
            self._forward(frame)
            if self._cut:
                self.inner.close()
                return 0
        return len(data)

    def recv(self, count: int) -> bytes:
        while not self._in and not self._cut:
            if self._late and not self.inner.recv_ready():
                self._in, self._late = self._late, b""
            elif not self._reply():
                return b""
        part, self._in = self._in[:count], self._in[count:]
        return part

    def recv_ready(self) -> bool:
        return bool(self._in) or self.inner.recv_ready()

    def settimeout(self, seconds: float | None) -> None:
        self.inner.settimeout(seconds)

    def get_name(self) -> str:
        return "shim"

    def close(self) -> None:
        self.inner.close()

    def _forward(self, frame: bytes) -> None:
        name = name_of(frame)
        fault = self.faults.get(len(self.log)) or self.faults.get((name, self._seen[name]))
        self.log.append(name)
        self._seen[name] += 1
        ident = struct.unpack(">I", frame[5:9])[0]
        if fault in {"error", "ok, not done"}:
            self._in += _status(ident, self.status if fault == "error" else sftp.OK)
        elif fault == "flip":
            self.inner.send(frame[:-1] + bytes([frame[-1] ^ 1]))
        elif fault == "cut before":
            self._cut = True
        elif fault != "drop":
            self.inner.send(frame)
            if fault:
                self._on_reply[ident] = fault
            while fault == "cut after" and not self._cut:
                self._reply()

    def _reply(self) -> bool:
        head = self._exactly(4)
        body = self._exactly(struct.unpack(">I", head)[0]) if head else b""
        if not body:
            return False
        frame, ident = head + body, struct.unpack(">I", body[1:5])[0]
        fault = self._on_reply.pop(ident, "")
        if fault == "cut after":
            self._cut = True
        elif fault == "reply late" and not self._late:
            self._late = frame
        elif fault == "done, error":
            self._in += _status(ident, self.status)
        elif fault == "reply short":
            self._in += struct.pack(">I", 5) + body[:5]
        else:
            self._in += frame * (2 if fault == "reply twice" else 1)
            self._in, self._late = self._in + self._late, b""
        return True

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count and (part := self.inner.recv(count - len(data))):
            data += part
        return data if len(data) == count else b""


def over_pipe(
    channel: PipeChannel | Shim, directory: str = ".", timeout: float = 1.0, deadline: float = 20.0
) -> SftpDirectory:
    """Our client on a channel, without SSH."""
    return SftpDirectory("pipe", directory, lambda _: Opened(channel, channel.close), timeout, deadline)


def _status(ident: int, code: int) -> bytes:
    body = struct.pack(">BII", sftp.STATUS, ident, code) + sftp.string(b"by the shim") + sftp.string(b"")
    return sftp.string(body)


class Proxy:
    """A TCP proxy in front of a port on loopback, itself at `port`; use inside `with`.

    cut, freeze: after that many bytes from the server, close or fall silent; slow: after that many, 300 bytes a second;
    deaf: after that many bytes from the client, read no more. `passed`: bytes that came from the server.
    """

    def __init__(
        self,
        target: int,
        *,
        cut: int | None = None,
        freeze: int | None = None,
        deaf: int | None = None,
        slow: int | None = None,
    ) -> None:
        self._target = target
        self._cut, self._freeze, self._slow, self._deaf = cut, freeze, slow, deaf
        self.passed = 0
        self._done = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(2)
        self._listener.close()

    def _spawn(self, target: Callable[..., None], *args: socket.socket) -> None:
        self._threads.append(threading.Thread(target=target, args=args, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while not self._done.is_set():
            with contextlib.suppress(TimeoutError):
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._spawn(self._upstream, near, far)
                self._spawn(self._downstream, far, near)

    def _upstream(self, source: socket.socket, sink: socket.socket) -> None:
        left = 1 << 62 if self._deaf is None else self._deaf
        with contextlib.suppress(OSError):
            while left and (data := source.recv(min(1 << 16, left))):
                sink.sendall(data)
                left -= len(data)
        if not left:
            self._done.wait()
        _shut(source, sink)

    def _downstream(self, source: socket.socket, sink: socket.socket) -> None:
        limits = [limit for limit in (self._cut, self._freeze) if limit is not None]
        with contextlib.suppress(OSError):
            while not limits or self.passed < limits[0]:
                slow = self._slow is not None and self.passed >= self._slow
                data = source.recv(1 if slow else min(1 << 16, limits[0] - self.passed) if limits else 1 << 16)
                if not data:
                    break
                sink.sendall(data)
                self.passed += len(data)
                if slow and self._done.wait(0.003):
                    break
        if self._freeze is not None and self.passed >= self._freeze:
            self._done.wait()
        _shut(source, sink)


def _shut(*socks: socket.socket) -> None:
    for sock in socks:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sock.close()

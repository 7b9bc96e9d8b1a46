"""The SFTP destination against a real OpenSSH sshd."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import socket
import threading
import time
import traceback
from typing import TYPE_CHECKING

import pytest
from servers import (
    PASSWORD,
    Proxy,
    SshServer,
    free_port,
    keygen,
    missing_for_proftpd,
    missing_for_sshd,
    running_proftpd,
    running_sshd,
)

from delivery.errors import ConfigError, DestinationFailed, DestinationRefused, HostKeyRefused, LoginRefused, NameTaken
from delivery.sftp.ssh import HostKey, Server, fetch_host_keys
from delivery.transfer import Found
from delivery.transfer.sftp_directory import SftpDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.config.integrations import SftpDestination

pytestmark = pytest.mark.skipif(bool(missing_for_sshd()), reason=missing_for_sshd())
CONTENT = random.Random(1).randbytes(2_000_001)
HINT = "delivery trust acme_esp"
SLACK = 5  # seconds beyond its time that a delivery may take to give up, on a busy machine


@pytest.fixture
def inbox(sshd: SshServer, request: pytest.FixtureRequest) -> Path:
    """An empty directory on the server."""
    return sshd.directory(hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12])


@pytest.fixture
def destination(sshd: SshServer, inbox: Path) -> Iterator[SftpDirectory]:
    with connect(sshd.target(), inbox) as connected:
        yield connected


def connect(target: SftpDestination, directory: Path | str) -> SftpDirectory:
    return SftpDirectory.of("acme_esp", target, getattr(directory, "name", str(directory)))


def try_to_connect(target: SftpDestination, directory: Path | str) -> None:
    with connect(target, directory):
        pytest.fail("connected")


# --- upload, verify, publish -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["key", "password"])
@pytest.mark.parametrize("size", [0, 1, 261_120, 2_000_001])
def test_delivers_byte_exact(sshd: SshServer, inbox: Path, spool: Path, login: str, size: int) -> None:
    spool.write_bytes(CONTENT[:size])
    acknowledged: list[int] = []
    with connect(sshd.target(**({"password": PASSWORD} if login == "password" else {})), inbox) as destination:
        destination.upload(spool, ".a.part", acknowledged.append)
        assert destination.look(".a.part") == Found("file", size)
        assert destination.hash(".a.part") == hashlib.sha256(CONTENT[:size]).hexdigest()
        destination.publish(".a.part", "a.csv")
        assert destination.list() == ["a.csv"]
    assert (inbox / "a.csv").read_bytes() == CONTENT[:size]
    assert (inbox / "a.csv").stat().st_mode & 0o777 == 0o600
    assert acknowledged == sorted(acknowledged)
    assert (acknowledged or [0])[-1] == size


def test_absolute_directories(sshd: SshServer, inbox: Path, spool: Path) -> None:
    with SftpDirectory.of("acme_esp", sshd.target(), str(inbox)) as destination:
        destination.upload(spool, "a")
    assert (inbox / "a").exists()


@pytest.mark.parametrize("kind", ["file", "dangling link", "link", "directory"])
def test_an_upload_never_uses_what_lies_there(
    destination: SftpDirectory, inbox: Path, spool: Path, tmp_path: Path, kind: str
) -> None:
    victim = lay(inbox / "temp", kind)
    with pytest.raises(NameTaken):
        destination.upload(spool, "temp")
    assert untouched(inbox / "temp", victim, kind)


@pytest.mark.parametrize("kind", ["file", "dangling link", "link", "directory"])
def test_publishing_never_overwrites(destination: SftpDirectory, inbox: Path, spool: Path, kind: str) -> None:
    victim = lay(inbox / "final", kind)
    destination.upload(spool, "temp")
    with pytest.raises(NameTaken):
        destination.publish("temp", "final")
    assert untouched(inbox / "final", victim, kind)
    assert (inbox / "temp").read_bytes() == CONTENT
    found = destination.look("final")
    assert found is not None
    assert found.kind == ("file" if kind == "file" else "other")


def lay(path: Path, kind: str) -> Path:
    victim = path.with_name("victim")
    if kind == "file":
        path.write_bytes(b"theirs")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(victim)
        if kind == "link":
            victim.write_bytes(b"theirs")
    return victim


def untouched(path: Path, victim: Path, kind: str) -> bool:
    if kind == "directory":
        return path.is_dir()
    if kind == "file":
        return path.read_bytes() == b"theirs"
    return path.is_symlink() and (victim.read_bytes() == b"theirs" if kind == "link" else not victim.exists())


def test_replaces_in_one_step(destination: SftpDirectory, inbox: Path, spool: Path) -> None:
    (inbox / "final").write_bytes(b"yesterday's")
    destination.upload(spool, "temp")
    destination.replace("temp", "final")
    assert (inbox / "final").read_bytes() == CONTENT
    assert not (inbox / "temp").exists()


def test_removes(destination: SftpDirectory, inbox: Path) -> None:
    (inbox / "temp").write_bytes(b"ours")
    destination.remove("temp")
    destination.remove("temp")
    assert destination.look("temp") is None


def test_a_temp_that_vanished_may_be_uploaded_again(destination: SftpDirectory) -> None:
    with pytest.raises(DestinationFailed):
        destination.publish("temp", "final")
    with pytest.raises(DestinationFailed):
        destination.hash("temp")


def test_probe_proves_and_leaves_nothing(destination: SftpDirectory, inbox: Path) -> None:
    seen = destination.probe("test")
    assert (seen.rename, seen.rename_refuses, seen.replace, seen.fsync, seen.statvfs) == (True,) * 5
    assert (seen.remote_hash, seen.request_bytes) == (False, 261_120)
    assert seen.free_bytes == pytest.approx(shutil.disk_usage(inbox).free, rel=0.2)
    assert list(inbox.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/etc/passwd", "a\0b", "a\nb", "x" * 256])
def test_names_cannot_leave_their_directory(destination: SftpDirectory, spool: Path, name: str) -> None:
    for use in (destination.look, destination.hash, destination.remove):
        with pytest.raises(ConfigError):
            use(name)
    for pair in ((name, "a"), ("a", name)):
        with pytest.raises(ConfigError):
            destination.publish(*pair)
        with pytest.raises(ConfigError):
            destination.replace(*pair)
    with pytest.raises(ConfigError):
        destination.upload(spool, name)


@pytest.mark.skipif(bool(missing_for_proftpd()), reason=missing_for_proftpd())
def test_proftpd_delivers_and_hashes_by_itself(spool: Path) -> None:
    with running_proftpd() as server, connect(server.target(password=PASSWORD), server.directory("in")) as destination:
        assert destination.probe("test").remote_hash
        destination.upload(spool, "temp")
        assert destination.hash("temp") == hashlib.sha256(CONTENT).hexdigest()
        destination.publish("temp", "final")
        destination.upload(spool, "temp")
        with pytest.raises(NameTaken):
            destination.publish("temp", "final")
        with pytest.raises(NameTaken):
            destination.upload(spool, "final")
        assert destination.list() == ["final", "temp"]


# --- the server's side is not as agreed ------------------------------------------------------------------------------


def test_no_directory(sshd: SshServer) -> None:
    with pytest.raises(DestinationRefused, match="no such directory"):
        try_to_connect(sshd.target(), "nowhere")


def test_a_file_in_its_place(sshd: SshServer) -> None:
    (sshd.root / "flat").write_text("")
    with pytest.raises(DestinationRefused, match="no such directory"):
        try_to_connect(sshd.target(), "flat")


def test_no_permission(destination: SftpDirectory, inbox: Path, spool: Path) -> None:
    inbox.chmod(0o555)
    with pytest.raises(DestinationRefused, match="open: no permission"):
        destination.upload(spool, "temp")
    with pytest.raises(DestinationRefused):
        destination.probe("test")
    assert list(inbox.iterdir()) == []


def test_sftp_switched_off(sshd: SshServer) -> None:
    with running_sshd(("ed25519",), extra="ForceCommand /bin/false") as server, pytest.raises(DestinationFailed):
        try_to_connect(server.target(timeout=5), ".")


# --- who the server is -----------------------------------------------------------------------------------------------


def test_an_unpinned_key_is_refused_before_any_login(tmp_path: Path) -> None:
    with running_sshd(("ed25519",)) as server:
        other = keygen(tmp_path / "other")
        with pytest.raises(HostKeyRefused) as caught:
            try_to_connect(server.target(host_keys=[other], password=PASSWORD), ".")
        seen = HostKey.parse(server.host_keys["ed25519"])
        assert seen.fingerprint in caught.value.message
        assert HINT in caught.value.hint
        time.sleep(0.2)
        assert "password" not in server.log.lower()


def test_fingerprints_are_those_of_ssh_keygen(sshd: SshServer) -> None:
    for kind, line in sshd.host_keys.items():
        shown = os.popen(f"ssh-keygen -l -f {sshd.base}/host_{kind}").read().split()[1]
        assert HostKey.parse(line).fingerprint == shown


def test_a_server_without_a_key_of_a_pinned_type_is_refused(sshd: SshServer, tmp_path: Path) -> None:
    with running_sshd(("rsa",)) as server, pytest.raises(HostKeyRefused, match="pinned type") as caught:
        try_to_connect(server.target(host_keys=[sshd.host_keys["ed25519"]]), ".")
    assert HINT in caught.value.hint


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_server_with_several_keys_is_asked_for_the_pinned_one(sshd: SshServer, inbox: Path, kind: str) -> None:
    with connect(sshd.target(host_keys=[sshd.host_keys[kind]]), inbox):
        pass


def test_old_and_new_key_while_one_is_being_rotated(sshd: SshServer, inbox: Path, tmp_path: Path) -> None:
    pins = [keygen(tmp_path / "new"), keygen(tmp_path / "rsa", "rsa"), sshd.host_keys["ed25519"] + " the present one"]
    with connect(sshd.target(host_keys=pins), inbox):
        pass


def test_trust_shows_every_key(sshd: SshServer) -> None:
    assert fetch_host_keys(Server(sshd.host, sshd.port, 5)) == list(sshd.host_keys.values())


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3M=", "rsa x y"])
def test_pins_must_be_keys(line: str) -> None:
    with pytest.raises(ValueError, match="no public key"):
        HostKey.parse(line)


@pytest.mark.parametrize(
    "offer",
    [
        "Ciphers aes128-cbc,3des-cbc",
        "Ciphers aes128-ctr\nMACs hmac-sha1,hmac-md5",
        "KexAlgorithms diffie-hellman-group1-sha1",
    ],
)
def test_weak_algorithms_are_refused(offer: str) -> None:
    with running_sshd(("ed25519",), extra=offer) as server, pytest.raises(DestinationRefused, match="no algorithm"):
        try_to_connect(server.target(), ".")


# --- who we are ------------------------------------------------------------------------------------------------------


def test_a_wrong_key_is_refused(sshd: SshServer, tmp_path: Path) -> None:
    keygen(tmp_path / "stranger")
    with pytest.raises(LoginRefused, match="the key"):
        try_to_connect(sshd.target(private_key=tmp_path / "stranger"), ".")


def test_a_wrong_password_is_refused(sshd: SshServer) -> None:
    with pytest.raises(LoginRefused, match="the password"):
        try_to_connect(sshd.target(password="battery staple"), ".")


def test_a_wrong_password_is_refused_where_one_try_ends_the_connection() -> None:
    with running_sshd(("ed25519",), extra="MaxAuthTries 1") as server, pytest.raises(LoginRefused, match="closed"):
        try_to_connect(server.target(password="battery staple"), ".")


def test_an_unknown_user_is_refused(sshd: SshServer) -> None:
    with pytest.raises(LoginRefused, match="nobody_here"):
        try_to_connect(sshd.target(username="nobody_here", password=PASSWORD), ".")


def test_a_server_that_takes_no_passwords(tmp_path: Path) -> None:
    with running_sshd(("ed25519",), password=False) as server, pytest.raises(LoginRefused):
        try_to_connect(server.target(password=PASSWORD), ".")


def test_a_key_and_a_password_may_both_be_asked_for(tmp_path: Path) -> None:
    with running_sshd(("ed25519",), extra="AuthenticationMethods publickey,password") as server:
        with connect(server.target(private_key=server.user_key, password=PASSWORD), "."):
            pass
        with pytest.raises(LoginRefused):
            try_to_connect(server.target(), ".")


def test_the_password_serves_where_the_key_is_refused(sshd: SshServer, inbox: Path, tmp_path: Path) -> None:
    keygen(tmp_path / "stranger")
    with connect(sshd.target(private_key=tmp_path / "stranger", password=PASSWORD), inbox):
        pass


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_keys_with_a_passphrase(kind: str, tmp_path: Path) -> None:
    with running_sshd(("ed25519",)) as server:
        public = keygen(tmp_path / "key", kind, "open sesame")
        (server.base / "authorized_keys").write_text(public + "\n")
        target = server.target(private_key=tmp_path / "key", passphrase="open sesame")
        with connect(target, "."):
            pass
        for wrong in ("open parsley", None):
            with pytest.raises(ConfigError, match="passphrase"):
                try_to_connect(server.target(private_key=tmp_path / "key", passphrase=wrong), ".")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_key_that_others_can_read_is_refused(sshd: SshServer, tmp_path: Path, mode: int) -> None:
    keygen(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(ConfigError, match="open to others"):
        try_to_connect(sshd.target(private_key=tmp_path / "key"), ".")


def test_a_key_that_is_none_is_not_quoted(sshd: SshServer, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n")
    (tmp_path / "key").chmod(0o600)
    for path in ("key", "missing"):
        with pytest.raises(ConfigError) as caught:
            try_to_connect(sshd.target(private_key=tmp_path / path), ".")
        assert "c2VjcmV0" not in "".join(traceback.format_exception(caught.value))


def test_neither_agent_nor_home_directory_is_asked(
    sshd: SshServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").write_bytes(sshd.user_key.read_bytes())
    (tmp_path / ".ssh" / "id_ed25519").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(LoginRefused):
        try_to_connect(sshd.target(password="battery staple"), ".")


def test_no_secret_in_any_error(sshd: SshServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    for changes in ({"password": "canary-1"}, {"password": "canary-2", "host_keys": [keygen(tmp_path / "k")]}):
        with pytest.raises(DestinationRefused) as caught:
            try_to_connect(sshd.target(**changes), ".")
        assert "canary" not in "".join(traceback.format_exception(caught.value)) + caught.value.hint
    assert "canary" not in caplog.text


# --- the way there ---------------------------------------------------------------------------------------------------


def test_nobody_listens(sshd: SshServer) -> None:
    with pytest.raises(DestinationFailed, match="refused"):
        try_to_connect(sshd.target(port=free_port()), ".")


def test_no_such_host(sshd: SshServer) -> None:
    with pytest.raises(DestinationFailed):
        try_to_connect(sshd.target(host="nowhere.invalid"), ".")


def test_something_that_is_not_ssh(sshd: SshServer) -> None:
    import http.server

    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as web:
        threading.Thread(target=web.handle_request, daemon=True).start()
        with pytest.raises(DestinationFailed):
            try_to_connect(sshd.target(port=web.server_port, timeout=1), ".")


def test_a_greeting_that_is_no_ssh_is_quoted_without_addresses(sshd: SshServer) -> None:
    """A mail or FTP server's first lines: to be read in an error, in a log and in the ledger."""
    greeting = b"220 ready, ask jane.doe@example.com \x1b[31m\r\n" * 120
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            for _ in range(2):
                connection, _ = listening.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(greeting)
                    connection.recv(100)

        threading.Thread(target=greet, daemon=True).start()
        port = listening.getsockname()[1]
        for ask in (
            lambda: try_to_connect(sshd.target(port=port, timeout=2), "."),
            lambda: fetch_host_keys(Server("127.0.0.1", port, 2.0)),
        ):
            with pytest.raises(DestinationFailed) as failed:
                ask()
            assert "220 ready, ask <address> [31m" in failed.value.message


def whole(target: SftpDestination, inbox: Path | str, spool: Path) -> None:
    """All that a delivery does on its connection."""
    with connect(target, inbox) as destination:
        destination.upload(spool, "temp")
        destination.hash("temp")
        destination.publish("temp", "final")


@pytest.fixture(scope="session")
def traffic(sshd: SshServer, tmp_path_factory: pytest.TempPathFactory) -> int:
    """Bytes that the server sends in a delivery of 300 kB."""
    spool = tmp_path_factory.mktemp("spool") / "spool"
    spool.write_bytes(CONTENT[:300_000])
    with Proxy(sshd.port) as proxy:
        whole(sshd.target(port=proxy.port), sshd.directory("traffic"), spool)
        return proxy.passed


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["cut", "freeze"])
def test_a_connection_that_breaks_or_freezes_anywhere(
    sshd: SshServer, inbox: Path, spool: Path, kind: str, traffic: int
) -> None:
    """At 24 places between the first byte of the banner and the reply to the rename."""
    spool.write_bytes(CONTENT[:300_000])
    early = [0, 1, 10, 40, 400, 1000, 1200, 1500, 1700, 2000, 2200, 2500, 2700, 3000, 3300]
    for at in early + [3500 + (traffic - 3500) * i // 9 for i in range(9)]:
        (place := inbox / str(at)).mkdir(mode=0o777)
        sshd.own(place)
        started = time.monotonic()
        with Proxy(sshd.port, **{kind: at}) as proxy:
            target = sshd.target(port=proxy.port, timeout=0.3, deadline=60)
            with pytest.raises((DestinationFailed, LoginRefused)):
                whole(target, f"{inbox.name}/{place.name}", spool)
        assert time.monotonic() - started < SLACK, f"{kind} at {at}"
        final = place / "final"
        assert not final.exists() or final.read_bytes() == spool.read_bytes()


@pytest.mark.parametrize("at", [0, 30, 2000, 100_000])
def test_a_peer_that_stops_reading(sshd: SshServer, inbox: Path, spool: Path, at: int) -> None:
    spool.write_bytes(CONTENT * 10)
    started = time.monotonic()
    with Proxy(sshd.port, deaf=at) as proxy, pytest.raises(DestinationFailed):
        whole(sshd.target(port=proxy.port, timeout=0.5, deadline=60), inbox, spool)
    assert time.monotonic() - started < SLACK


def test_a_byte_now_and_then_does_not_outlive_the_deadline(sshd: SshServer, inbox: Path, spool: Path) -> None:
    spool.write_bytes(CONTENT * 10)
    started = time.monotonic()
    with Proxy(sshd.port, slow=3500) as proxy, pytest.raises(DestinationFailed, match="deadline of 3 s"):
        whole(sshd.target(port=proxy.port, timeout=2, deadline=3), inbox, spool)
    assert time.monotonic() - started < 3 + SLACK


def test_no_thread_is_left_behind(sshd: SshServer, inbox: Path, tmp_path: Path) -> None:
    other = keygen(tmp_path / "other")
    before = threading.active_count()
    for _ in range(3):
        with connect(sshd.target(), inbox):
            pass
        with pytest.raises(LoginRefused):
            try_to_connect(sshd.target(password="battery staple"), ".")
        with pytest.raises(HostKeyRefused):
            try_to_connect(sshd.target(host_keys=[other]), ".")
    for _ in range(50):
        if threading.active_count() <= before:
            return
        time.sleep(0.05)
    pytest.fail(f"{threading.enumerate()}")

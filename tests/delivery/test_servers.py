"""The same delivery on every server that there is: what each can do, what each refuses, and cuts at many places."""

from __future__ import annotations

import os
import random
import subprocess
import time
from contextlib import closing, contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from builders import job
from servers import (
    PASSWORD,
    Proxy,
    SshServer,
    missing_for_dropbear,
    missing_for_proftpd,
    running_asyncssh,
    running_dropbear,
    running_proftpd,
)

from delivery.errors import DestinationFailed, DestinationRefused, LoginRefused, NameTaken
from delivery.ledger import Ledger
from delivery.transfer.protocol import hand_over
from delivery.transfer.sftp_directory import SftpDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTENT = random.Random(2).randbytes(300_000)
CUTS = 50
SLACK = 5  # seconds beyond its time that a delivery may take to give up, on a busy machine
SERVERS: dict[str, tuple[Callable[[], str], Callable[[], Any]]] = {
    "proftpd": (missing_for_proftpd, running_proftpd),
    "asyncssh": (lambda: "", running_asyncssh),
    "dropbear": (missing_for_dropbear, running_dropbear),
}


# Dropbear only where it is asked for: `make dropbear`.
NAMES = ["sshd", *(name for name in SERVERS if name != "dropbear" or os.environ.get("DROPBEAR"))]


@pytest.fixture(scope="module", params=NAMES)
def server(request: pytest.FixtureRequest) -> Iterator[SshServer]:
    if request.param == "sshd":
        yield request.getfixturevalue("sshd")
        return
    missing_for, running = SERVERS[request.param]
    if missing := missing_for():
        pytest.skip(missing)
    with running() as started:
        yield started


@pytest.fixture
def inbox(server: SshServer, request: pytest.FixtureRequest) -> Path:
    """An empty directory on the server."""
    return server.directory(sha256(request.node.nodeid.encode()).hexdigest()[:12])


def connect(server: SshServer, directory: Path, **changes: Any) -> SftpDirectory:
    login = {"password": PASSWORD} if server.base.name.startswith("proftpd") else {}
    return SftpDirectory.of("acme", server.target(**login | changes), str(directory.relative_to(server.root)))


# What each can do


def test_a_whole_delivery(server: SshServer, inbox: Path, spool: Path) -> None:
    with connect(server, inbox) as destination:
        seen = destination.probe("test")
        assert (seen.rename, seen.rename_refuses) == (True, True)
        assert destination.software
        assert destination.list() == []
        destination.upload(spool, "temp")
        assert destination.hash("temp") == sha256(CONTENT).hexdigest()
        destination.publish("temp", "final")
        destination.upload(spool, "temp")
        with pytest.raises(NameTaken):
            destination.publish("temp", "final")
        with pytest.raises(NameTaken):
            destination.upload(spool, "final")
        with pytest.raises(NameTaken):
            destination.create("final")
        destination.create("final.done")
        if seen.replace:
            destination.replace("temp", "final")
        else:
            destination.remove("temp")
        assert destination.list() == ["final", "final.done"]
        assert destination.look("nothing") is None
    assert (inbox / "final").read_bytes() == CONTENT
    assert (inbox / "final").stat().st_mode & 0o777 == 0o600


def test_a_directory_that_is_not_there(server: SshServer) -> None:
    with pytest.raises(DestinationRefused, match="no such directory"), connect(server, server.root / "nowhere"):
        pytest.fail("connected")


def test_a_wrong_password(server: SshServer, inbox: Path) -> None:
    with pytest.raises(LoginRefused), connect(server, inbox, password="battery staple"):
        pytest.fail("connected")


def test_other_bytes_than_were_sent_are_seen(server: SshServer, inbox: Path, spool: Path) -> None:
    with connect(server, inbox) as destination:
        destination.upload(spool, "temp")
        (inbox / "temp").write_bytes(CONTENT[:-1] + b"?")
        assert destination.hash("temp") != sha256(CONTENT).hexdigest()


# Handing over through a connection that breaks


class Deliveries:
    """One file to a directory each time, by the real hand-over and a real ledger."""

    def __init__(self, server: SshServer, inbox: Path, spool: Path, ledger: Ledger) -> None:
        self.server, self.inbox, self.spool, self.ledger = server, inbox, spool, ledger

    def new(self, number: int) -> tuple[Path, str]:
        (place := self.inbox / str(number)).mkdir()
        self.server.own(place)
        key = self.ledger.plan(**job(revision=number).record(str(place), None)).id
        self.ledger.spooled(
            key,
            [
                {
                    "part": 0, "role": "data", "name": "daily.csv", "spool": str(self.spool), "rows": 1,
                    "bytes": len(CONTENT), "sha256": sha256(CONTENT).hexdigest(), "destination": str(place),
                }
            ],
        )  # fmt: skip
        return place, key

    def run(self, place: Path, key: str, **changes: Any) -> None:
        with connect(self.server, place, **changes) as destination:
            hand_over(self.ledger.files(key)[0], destination, self.ledger, replace=False)

    def traffic(self) -> int:
        """Bytes that the server sends for one file."""
        with Proxy(self.server.port) as proxy:
            self.run(*self.new(100_000), port=proxy.port)
            return proxy.passed


@pytest.fixture
def deliveries(server: SshServer, inbox: Path, spool: Path) -> Iterator[Deliveries]:
    with closing(Ledger("sqlite://")) as ledger:
        yield Deliveries(server, inbox, spool, ledger)


@pytest.mark.slow
def test_a_connection_that_is_cut_anywhere(deliveries: Deliveries) -> None:
    """At 50 places: half of them in the handshake and the first replies, half over all that the server sends."""
    traffic = deliveries.traffic()
    early = min(4000, traffic // 2)  # some servers' handshakes are short
    places = [early * i // (CUTS // 2) for i in range(CUTS // 2)]
    places += [early + (traffic - 100 - early) * i // (CUTS // 2 - 1) for i in range(CUTS // 2)]
    assert len(set(places)) == CUTS
    failed = 0
    for at in places:
        place, key = deliveries.new(at)
        with Proxy(deliveries.server.port, cut=at) as proxy:
            try:
                deliveries.run(place, key, port=proxy.port, timeout=5, deadline=60)
            except (DestinationFailed, LoginRefused):
                failed += 1
        final = place / "daily.csv"
        assert not final.exists() or final.read_bytes() == CONTENT, f"half, cut at {at}"
        deliveries.run(place, key)
        assert [path.name for path in place.iterdir()] == ["daily.csv"], f"cut at {at}"
        assert final.read_bytes() == CONTENT
        assert deliveries.ledger.files(key)[0].state == "published"
    assert failed > CUTS - 5, "the cuts came too late"


@pytest.mark.slow
def test_a_connection_that_freezes_at_nine_stages(deliveries: Deliveries) -> None:
    """Banner, key exchange, login, subsystem, upload, reading back, rename."""
    traffic = deliveries.traffic()
    for at in (0, 10, 400, 1200, 2000, 3000, traffic // 3, traffic // 2, traffic - 300):
        place, key = deliveries.new(at)
        started = time.monotonic()
        with Proxy(deliveries.server.port, freeze=at) as proxy, pytest.raises((DestinationFailed, LoginRefused)):
            deliveries.run(place, key, port=proxy.port, timeout=0.5, deadline=60)
        assert time.monotonic() - started < SLACK, f"at {at}"
        deliveries.run(place, key)
        assert [path.name for path in place.iterdir()] == ["daily.csv"]


# A file system that is full


@contextmanager
def small_file_system(path: Path, options: str) -> Iterator[None]:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("no file system can be mounted here: needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)


@pytest.mark.parametrize("what", ["inodes", "bytes"])
def test_a_remote_disk_without_room(deliveries: Deliveries, what: str) -> None:
    """A clear message, nothing left over, and a later run delivers."""
    place, key = deliveries.new(1)
    with small_file_system(place, "size=1m,nr_inodes=4" if what == "inodes" else "size=128k"):
        deliveries.server.own(place)
        filler = [place / f".filler{number}" for number in range(3 if what == "inodes" else 0)]
        for path in filler:
            path.touch()
        with pytest.raises(DestinationFailed) as caught:
            deliveries.run(place, key)
        assert caught.value.step == ("open" if what == "inodes" else "upload")
        assert str(place.name) in caught.value.message
        assert sorted(place.iterdir()) == filler
        assert deliveries.ledger.files(key)[0].state == "spooled"
        for path in filler:
            path.unlink()
        if what == "bytes":
            subprocess.run(["mount", "-o", "remount,size=1m", place], check=True)
        deliveries.run(place, key)
        assert (place / "daily.csv").read_bytes() == CONTENT

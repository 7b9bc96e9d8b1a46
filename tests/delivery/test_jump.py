"""Servers that are reached through another, with two real ones."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from servers import SshServer, keygen, missing_for_sshd, running_sshd

from delivery.errors import DestinationFailed, DestinationRefused, HostKeyRefused, LoginRefused
from delivery.operations.checks import keys_at
from delivery.sftp.kept import Kept
from delivery.transfer.sftp_directory import SftpDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.config.integrations import SftpDestination


@pytest.fixture(scope="module")
def gate() -> Iterator[SshServer]:
    """The jump host: it lets people through to one server."""
    if missing := missing_for_sshd():
        pytest.skip(missing)
    with running_sshd(("ed25519",)) as server:
        yield server


@pytest.fixture(scope="module")
def behind(gate: SshServer) -> Iterator[SshServer]:
    with running_sshd(("ed25519",)) as server:
        yield server


def through(gate: SshServer, behind: SshServer, **changes: object) -> SftpDestination:
    jump = {"host": gate.host, "port": gate.port, "username": gate.username, "private_key": gate.user_key}
    jump |= {"host_keys": list(gate.host_keys.values())}
    return behind.target(jump={**jump, **changes})


@pytest.fixture
def ends() -> Iterator[None]:
    """No connection that the test opens, nor what watches it, is there a moment after it."""
    before, patience = set(threading.enumerate()), time.monotonic() + 5
    yield
    while (left := set(threading.enumerate()) - before) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not left


def connections(server: SshServer) -> int:
    return server.log.count("Accepted publickey")


@pytest.mark.usefixtures("ends")
def test_a_file_goes_through_it_and_nothing_stays_open(gate: SshServer, behind: SshServer, tmp_path: Path) -> None:
    there, spool = behind.directory("in"), tmp_path / "spool"
    spool.write_bytes(bytes(range(256)) * 20_000)
    before = connections(gate), connections(behind)
    kept = Kept()
    for name in ("one", "two"):
        with SftpDirectory.of("far", through(gate, behind), there.name, kept) as destination:
            destination.upload(spool, f"{name}.part")
            destination.publish(f"{name}.part", name)
    kept.close()
    assert {path.name: path.read_bytes() == spool.read_bytes() for path in there.iterdir()} == {
        "one": True,
        "two": True,
    }
    assert (connections(gate), connections(behind)) == (before[0] + 1, before[1] + 1)
    assert destination.describe() == (f"sftp://acme@127.0.0.1:{behind.port} via 127.0.0.1:{gate.port}/~/{there.name}")


def test_its_keys_are_pinned_and_those_behind_are_shown(gate: SshServer, behind: SshServer, tmp_path: Path) -> None:
    other = keygen(tmp_path / "other")
    with pytest.raises(HostKeyRefused, match=f"127.0.0.1:{gate.port}: .* not pinned") as refused:
        SftpDirectory.of("far", through(gate, behind, host_keys=[other]), "in").__enter__()
    assert refused.value.hint.endswith(f"delivery trust 127.0.0.1:{gate.port}")
    target = through(gate, behind).model_copy(update={"host_keys": [other]})
    with pytest.raises(HostKeyRefused, match=f"127.0.0.1:{behind.port}: .* not pinned") as refused:
        SftpDirectory.of("far", target, "in").__enter__()
    assert refused.value.hint.endswith("delivery trust far")
    shown = keys_at(behind.host, behind.port, 10, target.jump)
    assert [line for line, _ in shown] == list(behind.host_keys.values())


@pytest.mark.usefixtures("ends")
def test_who_refuses_is_said(gate: SshServer, behind: SshServer) -> None:
    with pytest.raises(LoginRefused, match=f"at the jump host 127.0.0.1:{gate.port}: login as nobody was refused"):
        SftpDirectory.of("far", through(gate, behind, username="nobody"), "in").__enter__()
    unreached = through(gate, behind).model_copy(update={"port": 1})
    with pytest.raises(DestinationFailed, match=f"the jump host 127.0.0.1:{gate.port} does not reach 127.0.0.1:1: "):
        SftpDirectory.of("far", unreached, "in").__enter__()
    with (
        running_sshd(("ed25519",), extra="AllowTcpForwarding no") as strict,
        pytest.raises(DestinationRefused, match=r"does not let acme through to 127\.0\.0\.1"),
    ):
        SftpDirectory.of("far", through(strict, behind), "in").__enter__()


def test_another_way_through_is_another_login(gate: SshServer, behind: SshServer) -> None:
    plain, one, other = behind.target(), through(gate, behind), through(gate, behind, username="other")
    assert len({plain.login, one.login, other.login}) == 3

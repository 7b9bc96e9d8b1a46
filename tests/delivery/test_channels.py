"""Large files to far servers, over several channels of one connection, with real servers."""

from __future__ import annotations

import threading
import time
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from servers import SshServer, missing_for_sshd, running_sshd

from delivery.errors import DestinationFailed
from delivery.sftp import channels
from delivery.sftp.channels import FAR, LARGE, is_worth
from delivery.sftp.reached import Reached
from delivery.sftp.session import Session, Status
from delivery.transfer import Handling
from delivery.transfer.sftp_directory import SftpDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SIZE = 9_000_001


@pytest.fixture(scope="module")
def ssh() -> Iterator[SshServer]:
    if missing := missing_for_sshd():
        pytest.skip(missing)
    with running_sshd() as server:
        yield server


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that counts as large, to a server that counts as far."""
    monkeypatch.setattr(channels, "LARGE", SIZE)
    monkeypatch.setattr(channels, "FAR", 0.0)
    path = tmp_path / "spool"
    path.write_bytes(b"".join(number.to_bytes(4) for number in range(SIZE // 4)) + b"!")
    return path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The channels beside the first, by what became of them."""
    seen: list[str] = []
    another = Reached.another

    def noted(self: Reached) -> tuple[Session, Callable[[], object]]:
        try:
            session, close = another(self)
        except BaseException:
            seen.append("refused")
            raise
        seen.append("opened")
        closed: list[str] = []

        def end() -> None:
            close()
            if not closed:
                closed.append("closed")
                seen.append("closed")

        return session, end

    monkeypatch.setattr(Reached, "another", noted)
    return seen


def test_it_arrives_whole_over_four_channels(ssh: SshServer, spool: Path, opened: list[str]) -> None:
    there, acknowledged = ssh.directory("four"), list[int]()
    with SftpDirectory.of("far", ssh.target(), there.name) as destination:
        destination.upload(spool, "large.part", acknowledged.append)
        assert destination.hash("large.part") == sha256(spool.read_bytes()).hexdigest()
    assert (there / "large.part").read_bytes() == spool.read_bytes()
    assert sorted(opened) == ["closed"] * 3 + ["opened"] * 3
    assert acknowledged == sorted(acknowledged)
    assert acknowledged[-1] == SIZE


def test_a_server_that_gives_one_channel_gets_it_over_one(spool: Path, opened: list[str]) -> None:
    if missing := missing_for_sshd():
        pytest.skip(missing)
    with running_sshd(extra="MaxSessions 1") as server:
        there = server.directory("one")
        with SftpDirectory.of("far", server.target(), there.name) as destination:
            destination.upload(spool, "large.part")
        assert (there / "large.part").read_bytes() == spool.read_bytes()
    assert opened == ["refused"] * 3


def test_only_once_and_only_where_the_file_is_read_back(ssh: SshServer, spool: Path, opened: list[str]) -> None:
    there = ssh.directory("again")
    destination = SftpDirectory.of("far", ssh.target(), there.name)
    with destination:
        pass
    with destination:  # as after an attempt that failed
        destination.upload(spool, "second.part")
    blind = SftpDirectory.of("far", ssh.target(), there.name)
    blind.handling = Handling(verify="size")
    with blind:
        blind.upload(spool, "blind.part")
    assert not opened
    assert {path.read_bytes() for path in there.iterdir()} == {spool.read_bytes()}


def test_what_fails_on_one_channel_fails_the_file(
    ssh: SshServer, spool: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    there, real = ssh.directory("fails"), channels.write_checked
    destination = SftpDirectory.of("far", ssh.target(), there.name)

    def failing(session: Session, *rest: object) -> int:
        if session is not destination._session:
            raise Status(4, "quota")
        return real(session, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(channels, "write_checked", failing)
    with pytest.raises(DestinationFailed, match=r"quota; free bytes there"), destination:
        destination.upload(spool, "large.part")
    assert opened.count("closed") == opened.count("opened") > 0
    assert not list(there.iterdir())


def test_a_run_that_is_stopped_ends_all_channels(ssh: SshServer, spool: Path, opened: list[str]) -> None:
    there = ssh.directory("cut")
    destination = SftpDirectory.of("far", ssh.target(), there.name)
    with pytest.raises(DestinationFailed, match="the run was stopped"), destination:
        destination.upload(spool, "large.part", lambda _: (destination.cut(), time.sleep(0.05))[0])
    assert opened.count("closed") == opened.count("opened") > 0
    assert not any(thread.name.startswith("delivery-channel") for thread in threading.enumerate())


def test_where_it_is_worth_it() -> None:
    for software in ("SSH-2.0-OpenSSH_9.2p1", "SSH-2.0-mod_sftp"):
        assert is_worth(software, LARGE, FAR)
        assert not is_worth(software, LARGE - 1, FAR)
        assert not is_worth(software, LARGE, FAR - 0.001)
    assert not is_worth("SSH-2.0-AWS_SFTP_1.1", LARGE, FAR)

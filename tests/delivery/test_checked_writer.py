"""What happens when a server or the wire does not do what it should, one SFTP message at a time."""

from __future__ import annotations

import hashlib
import io
import os
import random
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

import paramiko
import pytest
from servers import FAULTS, OverwritingServer, PipeChannel, Shim, missing_for_sftp_server, over_pipe

from delivery.errors import DeliveryError, DestinationFailed, DestinationRefused, NameTaken
from delivery.sftp.checked_writer import chunks_of, read_hashed, write_checked
from delivery.sftp.session import EOF, OPEN, RENAME, BadReply, Reader, Status, string
from delivery.transfer.probe import FIRST

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(bool(missing_for_sftp_server()), reason=missing_for_sftp_server())
SIZE = 2_000_000  # 8 WRITEs of OpenSSH's 261,120 bytes; 62 of paramiko's 32,768
LAST = 7
CONTENT = random.Random(1).randbytes(SIZE)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    path = tmp_path / "remote"
    path.mkdir()
    return path


def deliver(shim: Shim | PipeChannel, spool: Path, timeout: float = 1.0) -> str:
    """The steps of the protocol; the hash that was read back before the rename, if what lies there then is whole."""
    with over_pipe(shim, timeout=timeout) as destination:
        assert destination.look("final") is None
        destination.upload(spool, "temp")
        digest = destination.hash("temp")
        if digest == sha256(spool):
            destination.publish("temp", "final")
            found = destination.look("final")
            if found is None or found.size != SIZE:
                return "not there"
    return digest


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_whole_delivery(spool: Path, remote: Path) -> None:
    shim = Shim(PipeChannel(remote))
    assert deliver(shim, spool) == sha256(spool) == sha256(remote / "final")
    assert [path.name for path in remote.iterdir()] == ["final"]
    assert shim.log.count("WRITE") == LAST + 1
    assert (remote / "final").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("fault", ["error", "done, error"])
@pytest.mark.parametrize("which", [0, LAST // 2, LAST])
def test_a_failed_write_raises(spool: Path, remote: Path, which: int, fault: str) -> None:
    with pytest.raises(DestinationFailed) as caught:
        deliver(Shim(PipeChannel(remote), {("WRITE", which): fault}), spool)
    assert caught.value.step == "upload"
    assert list(remote.iterdir()) == []


@pytest.mark.parametrize("which", [0, 30, 61])
def test_control_paramiko_put_does_not_notice_a_failed_write(spool: Path, remote: Path, which: int) -> None:
    """Why put is not used: it reports success, the size is right (but for the last write), the content is not."""
    shim = Shim(PipeChannel(remote), {("WRITE", which): "error"})
    client = paramiko.SFTPClient(shim)  # type: ignore[arg-type]
    try:
        client.put(str(spool), "final", confirm=which != 61)
    finally:
        client.close()
    assert shim.log.count("WRITE") == 62
    assert sha256(remote / "final") != sha256(spool)


def test_a_failed_close_raises(spool: Path, remote: Path) -> None:
    with pytest.raises(DestinationFailed) as caught:
        deliver(Shim(PipeChannel(remote), {("CLOSE", 0): "error"}), spool)
    assert caught.value.step == "close"
    assert not (remote / "final").exists()


def test_control_paramiko_put_does_not_notice_a_failed_close(spool: Path, remote: Path) -> None:
    client = paramiko.SFTPClient(Shim(PipeChannel(remote), {("CLOSE", 0): "error"}))  # type: ignore[arg-type]
    client.put(str(spool), "final")
    client.close()


def test_a_failed_fsync_raises(spool: Path, remote: Path) -> None:
    with pytest.raises(DestinationFailed) as caught:
        deliver(Shim(PipeChannel(remote), {("fsync@openssh.com", 0): "error"}), spool)
    assert caught.value.step == "sync"


def test_a_write_said_to_be_done_is_found_missing(spool: Path, remote: Path) -> None:
    assert deliver(Shim(PipeChannel(remote), {("WRITE", 3): "ok, not done"}), spool) != sha256(spool)


def test_a_short_file_is_found_by_its_size(spool: Path, remote: Path) -> None:
    with pytest.raises(DestinationFailed, match="1827840 bytes arrived of 2000000"):
        deliver(Shim(PipeChannel(remote), {("WRITE", LAST): "ok, not done"}), spool)
    assert list(remote.iterdir()) == []


@pytest.mark.parametrize("which", range(LAST + 1))
def test_a_flipped_bit_is_found_by_hash(spool: Path, remote: Path, which: int) -> None:
    assert deliver(Shim(PipeChannel(remote), {("WRITE", which): "flip"}), spool) != sha256(spool)


def test_replies_out_of_order_are_matched(spool: Path, remote: Path) -> None:
    late = {("WRITE", which): "reply late" for which in (0, 2, 5)} | {("READ", which): "reply late" for which in (1, 4)}
    assert deliver(Shim(PipeChannel(remote), late), spool) == sha256(remote / "final")


@pytest.mark.parametrize("fault", ["reply twice", "reply short"])
def test_replies_that_make_no_sense_are_refused(spool: Path, remote: Path, fault: str) -> None:
    with pytest.raises(DestinationFailed, match="a bad reply"):
        deliver(Shim(PipeChannel(remote), {("WRITE", 2): fault}), spool)


def test_a_lost_request_fails_within_the_timeout(spool: Path, remote: Path) -> None:
    started = time.monotonic()
    with pytest.raises(DestinationFailed, match=r"nothing moved for 0\.3 s"):
        deliver(Shim(PipeChannel(remote), {("WRITE", 4): "drop"}), spool, timeout=0.3)
    assert time.monotonic() - started < 1.5


def test_every_fault_at_every_message(spool: Path, tmp_path: Path) -> None:
    """Whatever happens to whichever message, there is the whole file or none, and success is never claimed for less."""
    (clean := tmp_path / "clean").mkdir()
    shim = Shim(PipeChannel(clean))
    wanted = deliver(shim, spool)
    outcomes = []
    for number, name in enumerate(shim.log):
        for fault in FAULTS:
            (remote := tmp_path / f"{number}-{fault}").mkdir()
            try:
                said = deliver(Shim(PipeChannel(remote), {number: fault}), spool, timeout=0.1) == wanted
            except DeliveryError:
                said = False
            final = remote / "final"
            whole = final.exists() and sha256(final) == wanted
            outcomes.append((name, fault, said, whole, final.exists()))
    assert [case[:2] for case in outcomes if case[2] and not case[3]] == []  # falsely delivered
    assert [case[:2] for case in outcomes if case[4] and not case[3]] == []  # half
    assert len(outcomes) == len(FAULTS) * len(shim.log) > 250


def test_rename_done_but_said_to_have_failed_is_left_to_a_look(spool: Path, remote: Path) -> None:
    with pytest.raises(DestinationFailed):  # not NameTaken: what lies there is ours
        deliver(Shim(PipeChannel(remote), {("RENAME", 0): "done, error"}), spool)
    assert sha256(remote / "final") == sha256(spool)


def test_a_name_taken_between_look_and_rename_is_not_overwritten(spool: Path, remote: Path) -> None:
    class Racing(Shim):
        def _forward(self, frame: bytes) -> None:
            if frame[4] == RENAME:
                (remote / "final").write_bytes(b"theirs")
            super()._forward(frame)

    with pytest.raises(NameTaken):
        deliver(Racing(PipeChannel(remote)), spool)
    assert (remote / "final").read_bytes() == b"theirs"


def test_servers_whose_rename_overwrites_are_looked_at_first(spool: Path, remote: Path) -> None:
    with over_pipe(Shim(OverwritingServer(remote))) as destination:
        seen = destination.probe("test")
        assert (seen.rename, seen.rename_refuses, seen.replace) == (True, False, True)
        assert (seen.allows("rename"), seen.allows("look-and-rename")) == (False, True)
        assert list(remote.iterdir()) == []
        destination.upload(spool, "temp")
        (remote / "final").write_bytes(b"theirs")
        with pytest.raises(NameTaken):
            destination.publish("temp", "final")
    assert (remote / "final").read_bytes() == b"theirs"
    assert sha256(remote / "temp") == sha256(spool)


def test_a_server_that_can_do_nothing_safe_is_seen(remote: Path) -> None:
    with over_pipe(PipeChannel(remote, "-P", "rename,posix-rename,hardlink")) as destination:
        seen = destination.probe("test")
    assert (seen.rename, seen.rename_refuses, seen.replace) == (False, False, False)
    assert not seen.allows("look-and-rename")
    assert list(remote.iterdir()) == []


def test_what_a_probe_that_died_left_is_removed_by_the_next(remote: Path) -> None:
    for number in (1, 2):
        (remote / f".delivery-probe-test-{number}.{hashlib.sha256(FIRST).hexdigest()[:8]}.part").write_bytes(b"left")
    with over_pipe(PipeChannel(remote)) as destination:
        assert destination.probe("test").allows("rename")
    assert list(remote.iterdir()) == []


def test_a_probe_believes_its_eyes(remote: Path) -> None:
    """Whatever is said of each message of a probe: a rename that overwrites is never taken for one that refuses."""
    shim = Shim(OverwritingServer(remote))
    with over_pipe(shim) as destination:
        destination.probe("test")
    renames = [number for number, name in enumerate(shim.log) if name == "RENAME"]
    assert len(renames) == 2
    for number in renames:
        for fault in ("done, error", "reply late", "cut after", "cut before"):
            with over_pipe(Shim(OverwritingServer(remote), {number: fault}), timeout=0.1) as destination:
                try:
                    seen = destination.probe("test")
                except DeliveryError:
                    continue
            assert not seen.allows("rename"), (number, fault)


def test_creating_an_empty_file_takes_nothing_back(remote: Path) -> None:
    failing = Shim(PipeChannel(remote), {("CLOSE", 0): "error"})
    with over_pipe(failing) as destination, pytest.raises(DestinationFailed):
        destination.create("done")
    assert (remote / "done").stat().st_mode & 0o777 == 0o600
    with over_pipe(PipeChannel(remote)) as destination, pytest.raises(NameTaken):
        destination.create("done")


def test_disk_full_says_so_and_leaves_nothing(spool: Path, remote: Path) -> None:
    with pytest.raises(DestinationFailed, match=r"Failure; free bytes there: \d+") as caught:
        deliver(PipeChannel(remote, largest_file=1_000_000), spool)
    assert caught.value.step == "upload"
    assert list(remote.iterdir()) == []
    assert deliver(PipeChannel(remote), spool) == sha256(remote / "final")


@pytest.mark.parametrize(
    "refused",
    [
        "lstat",
        "stat",
        "fstat",
        "fsetstat",
        "fsync",
        "statvfs",
        "limits",
        "lstat,stat,fstat,fsetstat,fsync,statvfs,limits",
    ],
)
def test_servers_that_refuse_what_can_be_done_without(spool: Path, remote: Path, refused: str) -> None:
    assert deliver(PipeChannel(remote, "-P", refused), spool) == sha256(remote / "final")


def test_files_are_private_where_the_server_refuses_chmod(spool: Path, remote: Path) -> None:
    deliver(PipeChannel(remote, "-P", "fsetstat"), spool)
    assert (remote / "final").stat().st_mode & 0o777 == 0o600


def test_files_are_private_where_the_server_ignores_the_mode_of_open(spool: Path, remote: Path) -> None:
    class Ignoring(Shim):
        def _forward(self, frame: bytes) -> None:
            if frame[4] == OPEN:
                at = 9 + 4 + Reader(frame, 9).take("I") + 4
                frame = string(frame[4:at] + bytes(4))
            super()._forward(frame)

    before = os.umask(0)
    try:
        deliver(Ignoring(PipeChannel(remote)), spool)
    finally:
        os.umask(before)
    assert (remote / "final").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("refused", ["open", "write", "read", "rename", "close"])
def test_servers_that_refuse_what_is_needed(spool: Path, remote: Path, refused: str) -> None:
    with pytest.raises(DestinationRefused, match="no permission"):
        deliver(PipeChannel(remote, "-P", refused), spool)
    assert not (remote / "final").exists()


def test_a_read_only_server(spool: Path, remote: Path) -> None:
    with pytest.raises(DestinationRefused, match="no permission"):
        deliver(PipeChannel(remote, "-R"), spool)


class Replies:
    """A session that answers READs of a given content with less than asked, and notes how it was asked."""

    def __init__(self, content: bytes, most: int) -> None:
        self.content, self.most = content, most
        self.asked: list[tuple[int, int]] = []

    def begin(self, kind: int, handle: bytes, where: bytes) -> int:
        reader = Reader(where)
        self.asked.append((reader.take("Q"), reader.take("I")))
        return len(self.asked) - 1

    def finish(self, ident: int, expected: int) -> Reader:
        offset, count = self.asked[ident]
        if offset >= len(self.content):
            raise Status(EOF, "")
        return Reader(string(self.content[offset : offset + min(count, self.most)]))


@pytest.mark.parametrize("known", [0, 1, 999, 1000, 1001, 5000])
@pytest.mark.parametrize("most", [1, 7, 64, 1000])
def test_reading_back_copes_with_short_reads_and_wrong_sizes(most: int, known: int) -> None:
    content = bytes(range(250)) * 4
    session = Replies(content, most)
    digest = read_hashed(session, b"", known, 64)  # type: ignore[arg-type]
    assert digest == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(("round_trip", "most"), [(0.0, 16), (0.009, 16), (0.01, 64), (0.3, 64)])
def test_a_near_server_is_asked_for_less_at_once(round_trip: float, most: int) -> None:
    content, under_way = bytes(6400), []

    class Counting(Replies):
        open = 0

        def begin(self, kind: int, handle: bytes, where: bytes) -> int:
            self.open += 1
            under_way.append(self.open)
            return super().begin(kind, handle, where)

        def finish(self, ident: int, expected: int) -> Reader:
            self.open -= 1
            return super().finish(ident, expected)

    session = Counting(content, 64)
    digest = read_hashed(session, b"", len(content), 64, round_trip)  # type: ignore[arg-type]
    assert digest == hashlib.sha256(content).hexdigest()
    assert max(under_way) == most


def test_at_most_64_writes_are_outstanding() -> None:
    class Counting:
        open = most = 0

        def begin(self, *_: object) -> int:
            self.open += 1
            self.most = max(self.most, self.open)
            return 0

        def finish(self, _: int) -> None:
            self.open -= 1

    session, seen = Counting(), list[int]()
    chunks = chunks_of(io.BytesIO(bytes(1999)), 2)
    assert write_checked(session, b"", chunks, seen.append) == 1999  # type: ignore[arg-type]
    assert (session.most, session.open) == (64, 0)
    assert seen == [2] * 999 + [1]


def test_a_reply_cut_short_is_not_read_as_zeros() -> None:
    for take in (lambda r: r.take("I"), lambda r: r.string(), lambda r: r.attributes()):
        with pytest.raises(BadReply):
            take(Reader(b"\0\0\0"))
    assert paramiko.Message(b"").get_int() == 0  # the control: an empty STATUS would read as OK


def test_contract_with_paramiko() -> None:
    """What ssh.py and session.py rely on; the pin moves only when this passes."""
    assert version("paramiko") == "5.1.0"
    transport = paramiko.Transport.__init__.__code__.co_names
    for name in ("banner_timeout", "handshake_timeout", "auth_timeout", "channel_timeout", "clear_to_send_timeout"):
        assert name in transport
    assert "out_max_packet_size" in paramiko.Channel.__init__.__code__.co_names
    for name in ("ciphers", "digests", "key_types"):
        assert isinstance(getattr(paramiko.transport.SecurityOptions, name), property)

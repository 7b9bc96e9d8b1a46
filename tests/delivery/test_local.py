"""Destinations in the file system: the hosted share and a local directory."""

from __future__ import annotations

import ctypes
import errno
import gc
import hashlib
import os
import random
import shutil
import stat
from pathlib import Path

import pytest

from delivery.errors import ConfigError, DestinationFailed, DestinationRefused, NameTaken
from delivery.schedule.names import check_name
from delivery.transfer import Found, Handling
from delivery.transfer.local_directory import LocalDirectory

SHARED = Handling(file_mode=0o640)
TEMP = ".a.01234567.part"
CONTENT = random.Random(1).randbytes(2_500_001)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    path = tmp_path / "inbox"
    path.mkdir()
    return path


def test_delivers_byte_exact(inbox: Path, spool: Path) -> None:
    copied: list[int] = []
    with LocalDirectory(inbox) as destination:
        assert destination.look("a.csv") is None
        destination.upload(spool, ".a.part", copied.append)
        assert destination.look(".a.part") == Found("file", len(CONTENT))
        assert destination.hash(".a.part") == hashlib.sha256(CONTENT).hexdigest()
        destination.publish(".a.part", "a.csv")
        assert destination.list() == ["a.csv"]
        destination.remove("a.csv")
        destination.remove("a.csv")
        assert destination.list() == []
    assert copied == [1 << 20, 2 << 20, len(CONTENT)]


def test_files_are_private_whatever_the_umask(inbox: Path, spool: Path) -> None:
    """Under their final names at once, and under their temporary ones."""
    before, names = os.umask(0), ("final", ".final.0123abcd.part")
    try:
        with LocalDirectory(inbox) as destination:
            for name in names:
                destination.upload(spool, name)
    finally:
        os.umask(before)
    assert {(inbox / name).stat().st_mode & 0o777 for name in names} == {0o600}


def test_the_share_is_for_its_group_and_nobody_else(tmp_path: Path, spool: Path) -> None:
    share, before = tmp_path / "share", os.umask(0)
    try:
        with LocalDirectory.hosted(share, "acme_outdoor", "exports/daily", handling=SHARED) as destination:
            assert destination.describe() == str(share / "acme_outdoor/exports/daily")
            destination.create("kept")
    finally:
        os.umask(before)
    for below in ("", "acme_outdoor", "acme_outdoor/exports", "acme_outdoor/exports/daily"):
        assert stat.S_IMODE((share / below).stat().st_mode) == 0o2750
    (share / "acme_outdoor").chmod(0o700)  # a person's doing stays
    with LocalDirectory.hosted(share, "acme_outdoor", "/exports/daily/", handling=SHARED) as destination:
        assert destination.list() == ["kept"]
    assert stat.S_IMODE((share / "acme_outdoor").stat().st_mode) == 0o700


def test_its_group_may_read_a_file_with_its_final_name_and_not_before(
    tmp_path: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []

    def modes(when: str) -> None:
        seen.extend((when, stat.S_IMODE(path.stat().st_mode)) for path in sorted((tmp_path / "ns/in").iterdir()))

    synced = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (modes("synced"), synced(fd)))  # whole, or renamed
    with LocalDirectory.hosted(tmp_path, "ns", "in", handling=SHARED) as destination:
        destination.upload(spool, TEMP, lambda _: modes("writing"))
        modes("uploaded")
        destination.publish(TEMP, "a")
    assert set(seen) == {("writing", 0o600), ("synced", 0o600), ("uploaded", 0o600), ("synced", 0o640)}
    assert seen[-1] == ("synced", 0o640)


@pytest.mark.parametrize("way", ["replace", "create", "at once"])
def test_its_group_may_read_a_file_however_it_got_its_name(tmp_path: Path, spool: Path, way: str) -> None:
    with LocalDirectory.hosted(tmp_path, "ns", "in", handling=SHARED) as destination:
        if way == "replace":
            destination.upload(spool, TEMP)
            destination.replace(TEMP, "a")
        elif way == "create":
            destination.create("a")
        else:
            destination.upload(spool, "a")
    assert stat.S_IMODE((tmp_path / "ns/in/a").stat().st_mode) == 0o640


@pytest.mark.parametrize("directory", ["..", "a/../../other_client", "../other_client", "a/./b"])
def test_the_share_cannot_be_left(tmp_path: Path, directory: str) -> None:
    with pytest.raises(ConfigError):
        LocalDirectory.hosted(tmp_path, "acme_outdoor", directory)


@pytest.mark.parametrize("where", ["acme_outdoor", "acme_outdoor/exports"])
def test_a_link_in_the_share_is_not_followed(tmp_path: Path, where: str) -> None:
    share, other = tmp_path / "share", tmp_path / "other_client"
    other.mkdir()
    (share / where).parent.mkdir(parents=True)
    (share / where).symlink_to(other)
    with (
        pytest.raises(DestinationRefused, match=r"directory|link"),
        LocalDirectory.hosted(share, "acme_outdoor", "exports"),
    ):
        pytest.fail("opened")
    assert list(other.iterdir()) == []


def test_a_directory_that_is_swapped_for_a_link_does_not_redirect(tmp_path: Path, inbox: Path, spool: Path) -> None:
    (tmp_path / "other_client").mkdir()
    with LocalDirectory(inbox) as destination:
        inbox.rename(tmp_path / "moved")
        inbox.symlink_to(tmp_path / "other_client")
        destination.upload(spool, "temp")
        destination.publish("temp", "final")
    assert (tmp_path / "moved" / "final").exists()
    assert list((tmp_path / "other_client").iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "dangling link", "link", "directory"])
@pytest.mark.parametrize("step", ["upload", "publish"])
def test_nothing_that_lies_there_is_used(inbox: Path, spool: Path, kind: str, step: str) -> None:
    name, victim = inbox / "name", inbox / "victim"
    if kind == "file":
        name.write_bytes(b"theirs")
    elif kind == "directory":
        name.mkdir()
    else:
        name.symlink_to(victim)
        if kind == "link":
            victim.write_bytes(b"theirs")
    before = sorted((path.name, path.lstat().st_ino, path.lstat().st_size) for path in inbox.iterdir())
    with LocalDirectory(inbox) as destination:
        if step == "publish":
            destination.upload(spool, "temp")
        with pytest.raises(NameTaken):
            destination.upload(spool, "name") if step == "upload" else destination.publish("temp", "name")
        found = destination.look("name")
        destination.remove("temp")
    assert found is not None
    assert found.kind == ("file" if kind == "file" else "other")
    assert sorted((path.name, path.lstat().st_ino, path.lstat().st_size) for path in inbox.iterdir()) == before


def test_a_link_is_not_hashed(inbox: Path) -> None:
    (inbox / "name").symlink_to("/etc/hostname")
    with LocalDirectory(inbox) as destination, pytest.raises(DestinationRefused, match="symbolic link"):
        destination.hash("name")


def test_replaces_in_one_step(inbox: Path, spool: Path) -> None:
    (inbox / "final").write_bytes(b"yesterday's")
    with LocalDirectory(inbox) as destination:
        destination.upload(spool, "temp")
        destination.replace("temp", "final")
        assert destination.list() == ["final"]
    assert (inbox / "final").read_bytes() == CONTENT


def test_a_vanished_temp_may_be_uploaded_again(inbox: Path) -> None:
    with LocalDirectory(inbox) as destination:
        for use in (lambda: destination.publish("temp", "final"), lambda: destination.hash("temp")):
            with pytest.raises(DestinationFailed):
                use()


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "flat").write_text("")
    for name, words in (("nowhere", "no such directory"), ("flat", "not a directory")):
        with pytest.raises(DestinationRefused, match=words) as caught, LocalDirectory(tmp_path / name):
            pytest.fail("opened")
        assert caught.value.hint


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_disk_that_fails_leaves_nothing(
    inbox: Path, spool: Path, monkeypatch: pytest.MonkeyPatch, code: int, call: str
) -> None:
    def fail(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    with LocalDirectory(inbox) as destination:
        if call == "fsync":
            monkeypatch.setattr(os, "fsync", fail)
        progress = fail if call == "write" else None
        with pytest.raises(DestinationFailed, match=os.strerror(code)) as caught:
            destination.upload(spool, "temp", progress)
        monkeypatch.undo()
        assert caught.value.step == "upload"
        assert destination.list() == []


def test_a_file_of_the_wrong_size_is_found(inbox: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(fd: int) -> None:
        os.ftruncate(fd, 7)

    monkeypatch.setattr(os, "fsync", fsync)
    with LocalDirectory(inbox) as destination, pytest.raises(DestinationFailed):
        destination.upload(spool, "temp")


def test_reading_the_spool_is_not_the_destinations_fault(inbox: Path, tmp_path: Path) -> None:
    with LocalDirectory(inbox) as destination, pytest.raises(FileNotFoundError):
        destination.upload(tmp_path / "nowhere", "temp")
    assert list(inbox.iterdir()) == []


def test_probe_proves_and_leaves_nothing(inbox: Path) -> None:
    with LocalDirectory(inbox) as destination:
        seen = destination.probe("test")
    assert (seen.rename, seen.rename_refuses, seen.replace, seen.fsync) == (True,) * 4
    assert list(inbox.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/etc/passwd", "a\0b", "a\nb", "a\x7fb", "é" * 128])
def test_names_are_plain(name: str) -> None:
    with pytest.raises(ConfigError):
        check_name(name)


@pytest.mark.parametrize("name", [".a.part", "a b.csv", "ü.csv", "..a", "-rf", "x" * 255])
def test_plain_names_pass(name: str) -> None:
    assert check_name(name) == name


def without_renameat2(monkeypatch: pytest.MonkeyPatch, code: int = errno.EINVAL) -> None:
    """As on a file system where a rename cannot refuse."""

    class Libc:
        @staticmethod
        def renameat2(*_: object) -> int:
            ctypes.set_errno(code)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc)


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS])
def test_publishing_where_a_rename_cannot_refuse(
    inbox: Path, spool: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    without_renameat2(monkeypatch, code)
    with LocalDirectory(inbox) as destination:
        seen = destination.probe("test")
        assert (seen.rename, seen.rename_refuses) == (True, False)
        assert destination.list() == []
        destination.upload(spool, "temp")
        with pytest.raises(DestinationFailed):
            destination.publish("temp", "final")
    with LocalDirectory(inbox, looks=True) as destination:
        destination.publish("temp", "final")
        destination.upload(spool, "temp")
        with pytest.raises(NameTaken):
            destination.publish("temp", "final")
        assert destination.list() == ["final", "temp"]


def test_publishing_is_one_step(inbox: Path, spool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", None)
    monkeypatch.setattr(os, "unlink", None)
    with LocalDirectory(inbox) as destination:
        destination.upload(spool, "temp")
        destination.publish("temp", "final")
        assert destination.list() == ["final"]


def test_what_changes_a_directory_is_on_the_disk_when_it_is_done(
    inbox: Path, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a name that was reported could be gone after a power cut."""
    synced: list[str] = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append("directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with LocalDirectory(inbox) as destination:
        for step, expected in (
            (lambda: destination.upload(spool, "temp"), ["file"]),
            (lambda: destination.publish("temp", "final"), ["directory"]),
            (lambda: destination.create("done"), ["directory"]),
            (lambda: destination.replace("done", "final"), ["directory"]),
            (lambda: destination.remove("final"), ["directory"]),
            (lambda: destination.remove("final"), []),
        ):
            synced.clear()
            step()
            assert synced == expected


def test_free_bytes_are_those_of_its_disk(inbox: Path) -> None:
    with LocalDirectory(inbox) as destination:
        seen = destination.probe("test")
    assert seen.free_bytes == pytest.approx(shutil.disk_usage(inbox).free, rel=0.2)
    assert (seen.statvfs, seen.remote_hash, seen.request_bytes) == (True, False, 1_048_576)


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (errno.EACCES, "no permission", DestinationRefused),
        (errno.EPERM, "not permitted", DestinationRefused),
        (errno.ENOTDIR, "not a directory", DestinationRefused),
        (errno.ELOOP, "a symbolic link is in the way", DestinationRefused),
        (errno.EROFS, "the file system is read-only", DestinationRefused),
        (errno.ENAMETOOLONG, "the name is too long", DestinationRefused),
        (errno.ENOENT, "No such file or directory", DestinationFailed),
        (errno.ENOSPC, "No space left on device", DestinationFailed),
        (None, "Success", DestinationFailed),
    ],
)
def test_what_a_disk_says(code: int | None, words: str, kind: type[Exception], inbox: Path, spool: Path) -> None:
    def fail(_: int) -> None:
        raise OSError(code, "another word") if code else OSError("no number")

    with LocalDirectory(inbox) as destination:
        with pytest.raises(kind) as said:
            destination.upload(spool, "temp", fail)
        assert type(said.value) is kind
        assert str(said.value) == f"{inbox}: upload: {words}"
        assert destination.list() == []


@pytest.mark.parametrize("room", [0, 7])
def test_a_name_has_room_for_what_is_added(room: int) -> None:
    assert check_name("x" * (255 - room), room=room) == "x" * (255 - room)
    assert check_name("é" * 124, room=room) == "é" * 124
    with pytest.raises(ConfigError, match=f"file name longer than {255 - room} bytes"):
        check_name("x" * (256 - room), room=room)


def test_the_directory_is_let_go(inbox: Path) -> None:
    gc.collect()  # what other tests left open is closed now, not in between
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with LocalDirectory.hosted(inbox, "acme_outdoor", "a/b/c") as destination:
            assert destination.software == ""
    assert len(list(Path("/proc/self/fd").iterdir())) == before

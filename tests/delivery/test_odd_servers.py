"""Servers that forbid something: what the settings for them do, what is said without these, what stays there."""

from __future__ import annotations

from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh_here import running
from builders import integration, job
from pydantic import ValidationError

from delivery.errors import DestinationFailed, DestinationRefused, Held
from delivery.ledger import Ledger
from delivery.transfer.local_directory import LocalDirectory
from delivery.transfer.protocol import hand_over
from delivery.transfer.sftp_directory import SftpDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTENT = b"a,b\r\n1,2\r\n" * 5000


class Odd(asyncssh.SFTPServer):
    """A server over a folder that forbids what stands in `forbids`; `takes` says which names a file may have."""

    forbids: frozenset[str] = frozenset()
    takes: Callable[[bytes], bool]

    def _check(self, what: str) -> None:
        if what in self.forbids:
            raise asyncssh.SFTPPermissionDenied(f"{what}: not allowed")

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> object:
        if not type(self).takes(path.rsplit(b"/", 1)[-1]):
            raise asyncssh.SFTPPermissionDenied("file name not allowed")
        if not pflags & asyncssh.FXF_WRITE:
            self._check("read")
        if attrs.permissions is not None:
            self._check("attributes")
        return super().open(path, pflags, attrs)

    def fsetstat(self, file_obj: object, attrs: asyncssh.SFTPAttrs) -> object:
        self._check("attributes")
        return super().fsetstat(file_obj, attrs)

    def lstat(self, path: bytes) -> object:
        self._check("look")
        return super().lstat(path)

    async def scandir(self, path: bytes) -> Any:
        self._check("list")
        async for one in super().scandir(path):
            yield one

    def remove(self, path: bytes) -> object:
        self._check("remove")
        return super().remove(path)

    def mkdir(self, path: bytes, attrs: asyncssh.SFTPAttrs) -> object:
        self._check("mkdir")
        return super().mkdir(path, attrs)


def odd(*forbids: str, takes: Callable[[bytes], bool] = lambda _: True) -> type[Odd]:
    return type("Forbids", (Odd,), {"forbids": frozenset(forbids), "takes": staticmethod(takes)})


class World:
    """A server, a file to be handed over to it, and a ledger."""

    def __init__(self, tmp_path: Path, ledger: Ledger, target: Any) -> None:
        self.home, self.ledger, self.target = tmp_path / "home", ledger, target
        (self.home / "in").mkdir()
        (spool := tmp_path / "spool").write_bytes(CONTENT)
        key = ledger.plan(**job().record("there", None)).id
        row = {"part": 0, "role": "data", "name": "daily.csv", "spool": str(spool), "rows": 1, "bytes": len(CONTENT)}
        ledger.spooled(key, [row | {"sha256": sha256(CONTENT).hexdigest(), "destination": "there"}])
        self.key = key

    def directory(self, **changes: Any) -> SftpDirectory:
        return SftpDirectory.of("acme", self.target.model_copy(update=changes), "in")

    def hand_over(self, **changes: Any) -> str:
        with self.directory(**changes) as destination:
            return hand_over(self.ledger.files(self.key)[0], destination, self.ledger, replace=False).state

    def names(self) -> list[str]:
        return sorted(path.name for path in (self.home / "in").iterdir())


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    with (
        running(tmp_path, [], asks=False, sftp=request.param) as (target, _),
        closing(Ledger("sqlite://")) as ledger,
    ):
        yield World(tmp_path, ledger, target)


def without_dot(name: bytes) -> bool:
    return not name.startswith(b".")


def only_csv(name: bytes) -> bool:
    return name.endswith(b".csv") and not name.startswith(b".")


ODD: list[tuple[type[Odd], dict[str, Any], str]] = [
    (odd("read"), {"verify": "size"}, "set `verify: size`"),
    (odd("read", "look", "list"), {"verify": "none"}, ""),
    (odd(takes=without_dot), {"temporary_name": "{name}.{sha8}.tmp"}, "set `temporary_name`"),
    (odd(takes=only_csv), {"temporary_name": "tmp_{sha8}_{name}.csv"}, "set `temporary_name`"),
]


@pytest.mark.parametrize(("world", "settings", "hint"), ODD, indirect=["world"])
def test_what_a_server_forbids_has_a_setting(world: World, settings: dict[str, Any], hint: str) -> None:
    with world.directory() as destination, pytest.raises((DestinationRefused, DestinationFailed)) as refused:
        destination.probe("01234567")
    assert hint in refused.value.hint
    assert world.names() == []
    with world.directory(**settings) as destination:
        seen = destination.probe("01234567")
        assert (seen.rename, seen.rename_refuses, seen.left) == (True, True, ())
    assert world.names() == []
    assert world.hand_over(**settings) == "published"
    assert world.names() == ["daily.csv"]
    assert (world.home / "in" / "daily.csv").read_bytes() == CONTENT


@pytest.mark.parametrize("world", [odd("attributes")], indirect=True)
def test_a_file_is_opened_without_a_mode_where_one_is_refused(world: World) -> None:
    with world.directory() as destination:
        assert destination.probe("01234567").left == ()
    assert world.hand_over() == "published"


@pytest.mark.parametrize("world", [odd("remove")], indirect=True)
def test_what_a_probe_leaves_is_said(world: World) -> None:
    """And a later one with the same token is not stopped by it."""
    for number in (1, 2):
        with world.directory() as destination:
            seen = destination.probe("01234567")
        assert len(world.names()) == number
        assert set(seen.left) <= set(world.names())
        assert seen.rename_refuses
    assert world.hand_over() == "published"


@pytest.mark.parametrize("world", [odd("read", "remove")], indirect=True)
def test_what_a_probe_leaves_is_said_where_it_fails_too(world: World) -> None:
    with world.directory() as destination, pytest.raises(DestinationRefused) as refused:
        destination.probe("01234567")
    (left,) = world.names()
    assert f"{left} could not be removed there" in refused.value.message


@pytest.mark.parametrize("world", [odd("read")], indirect=True)
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_file_has_its_mode(world: World, mode: int) -> None:
    assert world.hand_over(verify="size", file_mode=mode) == "published"
    assert (world.home / "in" / "daily.csv").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("world", [odd("read")], indirect=True)
def test_only_the_size_is_looked_at_where_that_is_asked(world: World) -> None:
    """A file that is too short is noticed; on resume, one of our size counts as ours."""
    with world.directory(verify="size") as destination:
        upload = destination.upload

        def cut(spool: Path, temp: str, progress: Callable[[int], None] | None = None) -> None:
            upload(spool, temp, progress)
            (world.home / "in" / temp).write_bytes(CONTENT[:-1])

        destination.upload = cut  # type: ignore[method-assign]
        with pytest.raises(DestinationFailed, match="other bytes than were sent"):
            hand_over(world.ledger.files(world.key)[0], destination, world.ledger, replace=False)
    assert world.names() == []
    (world.home / "in" / "daily.csv").write_bytes(b"theirs")
    with pytest.raises(Held, match="`existing` is hold"):
        world.hand_over(verify="size")


@pytest.mark.parametrize("world", [odd(), odd("mkdir")], indirect=True)
def test_a_dated_folder_is_made_where_that_is_allowed(world: World, request: pytest.FixtureRequest) -> None:
    """Below what must be there; and it goes again when nothing was left in it."""

    def opened(there: str) -> SftpDirectory:
        return SftpDirectory.of("acme", world.target, "in/2026/11").made_below(there)

    if "mkdir" in request.node.callspec.params["world"].forbids:
        with pytest.raises(DestinationRefused, match="mkdir"), opened("in"):
            pytest.fail("made")
        return
    with opened("in") as destination:
        destination.probe("01234567")
    assert world.names() == []
    for _ in range(2):
        with opened("in") as destination:
            assert hand_over(world.ledger.files(world.key)[0], destination, world.ledger, replace=False)
    assert (world.home / "in" / "2026" / "11" / "daily.csv").read_bytes() == CONTENT
    assert (world.home / "in" / "2026").stat().st_mode & 0o777 == 0o700
    with (
        pytest.raises(DestinationRefused),
        SftpDirectory.of("acme", world.target, "nowhere/2026").made_below("nowhere"),
    ):
        pytest.fail("the folder of the integration must be there")


def test_a_local_dated_folder_likewise(tmp_path: Path) -> None:
    for there, fits in ((tmp_path, True), (tmp_path / "nowhere", False)):
        destination = LocalDirectory(there / "2026" / "11", below=there)
        if not fits:
            with pytest.raises(DestinationRefused, match="no such directory"), destination:
                pytest.fail("made")
            assert not there.exists()
            continue
        with destination:
            destination.create("x.done")
        assert (there / "2026" / "11" / "x.done").exists()


WRONG = [
    {"file_mode": 640},
    {"file_mode": 0o755},
    {"file_mode": 0o400},
    {"file_mode": 0o620},
    {"file_mode": 0o1600},
    {"file_mode": "640"},
    {"file_mode": True},
    {"temporary_name": "{name}.part"},
    {"temporary_name": "{sha8}.part"},
    {"temporary_name": "tmp/{name}.{sha8}"},
    {"temporary_name": "{name}{name}{sha8}"},
    {"temporary_name": "{name}.{sha8}.{campaign}"},
    {"verify": "sometimes"},
]


@pytest.mark.parametrize("setting", WRONG, ids=str)
def test_settings_that_cannot_be_meant(setting: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        integration(destination={"type": "hosted"} | setting)


@pytest.mark.parametrize(("said", "mode"), [(0o640, 0o640), ("0640", 0o640), ("0o644", 0o644), (0o660, 0o660)])
def test_modes_as_people_write_them(said: object, mode: int) -> None:
    assert integration(destination={"type": "hosted", "file_mode": said}).destination.file_mode == mode


def test_what_is_not_read_back_replaces_nothing() -> None:
    with pytest.raises(ValidationError, match="replace needs verify: hash"):
        integration(destination={"type": "local", "verify": "size"}, existing="replace")

"""Very many SFTP sessions at once, and what becomes of those who are at it when they are to go: real ProFTPD."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest
from share_world import NAME, Visitor, World, call, world_of
from small_project import CLIENTS

from benchmarks.share import as_account
from delivery.files.disk import hash_file

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSIONS = 200
PRIVATE_BYTES = 3 << 20  # of each session's process, at most; docs/share.md says what was seen
LARGE_BYTES = 4 << 20


@pytest.fixture
def world() -> Iterator[World]:
    with world_of() as opened:
        yield opened


async def connected(world: World, number: int, begun: asyncio.Semaphore) -> asyncssh.SSHClientConnection:
    """A session of its own, from an address of its own: one that connects too often is locked out."""
    host_key = (world.doors.run / "host.key.pub").read_text().strip()
    known = asyncssh.import_known_hosts(f"* {host_key}\n")
    async with begun:
        return await asyncssh.connect(
            "127.0.0.1", world.doors.share.sftp_port, username="robot", client_keys=[str(world.keys / "robot")],
            known_hosts=known, local_addr=(f"127.0.5.{number + 1}", 0), config=None, login_timeout=60,
        )  # fmt: skip


async def fetched(client: asyncssh.SFTPClient, path: str, together: asyncio.Barrier) -> str:
    """The SHA-256 of a file. together: all have it open, before anybody reads, and all have read half of it."""
    digest, half = hashlib.sha256(), LARGE_BYTES // 2
    async with client.open(path, "rb", block_size=32 << 10) as file:
        for start in (0, half):
            await together.wait()
            for at in range(start, start + half, 64 << 10):
                digest.update(await file.read(64 << 10, at))
        assert await file.read(1, LARGE_BYTES) == b""
    return digest.hexdigest()


async def all_at_once(world: World, path: str) -> tuple[list[str], int, list[int]]:
    """What each session got; how many of them were there; bytes of the server's processes while they read."""
    begun, together = asyncio.Semaphore(16), asyncio.Barrier(SESSIONS)
    seen: list[int] = []

    async def looking() -> None:
        while True:
            seen.append(sum(private_bytes(world.doors.sftp)))
            await asyncio.sleep(1)

    async with contextlib.AsyncExitStack() as stack:
        connections = await asyncio.gather(*(connected(world, number, begun) for number in range(SESSIONS)))
        for one in connections:
            stack.push_async_callback(one.wait_closed)
            stack.callback(one.close)
        clients = await asyncio.gather(*(one.start_sftp_client() for one in connections))
        there, watch = len(private_bytes(world.doors.sftp)), asyncio.create_task(looking())
        got = await asyncio.gather(*(fetched(client, path, together) for client in clients))
        watch.cancel()
        other = await asyncio.to_thread(world.sftp, "acme_it", f"ls /{CLIENTS[0]}/inbox", source="127.0.6.1")
        assert NAME in other, "somebody else is served meanwhile"
    return got, there, seen


def private_bytes(server: subprocess.Popen[bytes]) -> list[int]:
    """Of each of a server's sessions: the bytes that it shares with nobody."""
    of = ["ps", "-o", "pid=", "--ppid", str(server.pid)]
    found = []
    for pid in subprocess.run(of, capture_output=True, text=True, check=False).stdout.split():
        with contextlib.suppress(OSError):  # it has ended
            lines = [line.split() for line in open(f"/proc/{pid}/smaps_rollup")]  # noqa: SIM115, PTH123
            found.append(sum(int(line[1]) << 10 for line in lines if line[0].startswith("Private_")))
    return found


@pytest.mark.slow
def test_very_many_sessions_fetch_at_once_with_flat_memory(world: World) -> None:
    large = world.file(CLIENTS[0], "large.bin")
    large.write_bytes(bytes(range(256)) * (LARGE_BYTES // 256))
    shutil.chown(large, group=world.project.share.stat().st_gid)
    large.chmod(0o640)
    with ThreadPoolExecutor(1) as apart:  # this one may have a browser's loop, which stays
        got, there, seen = apart.submit(asyncio.run, all_at_once(world, f"/{CLIENTS[0]}/inbox/large.bin")).result()
    assert got == [hash_file(large)] * SESSIONS
    assert there == SESSIONS
    most = max(seen) / SESSIONS
    print(f"{SESSIONS} sessions, at most {most / (1 << 20):.1f} MiB each, of {len(seen)} times looked")
    assert most < PRIVATE_BYTES, most


@pytest.mark.slow
def test_who_is_removed_while_at_it(world: World, tmp_path: Path) -> None:
    """Both downloads are cut, and nothing more is to be had. By SFTP others go on; on the page they resume."""
    large = world.file(CLIENTS[0], "large.bin")
    large.write_bytes(os.urandom(1 << 20) * 64)  # more than lies between the two when it is cut
    shutil.chown(large, group=world.project.share.stat().st_gid)
    large.chmod(0o640)
    path = f"/{CLIENTS[0]}/inbox/large.bin"
    pages = {user: Visitor(world, tmp_path / f"jar-{user}", source="127.0.7.1") for user in ("acme_it", "both.of-them")}
    assert [page.log_in(user) for user, page in pages.items()] == [302, 302]
    slow = ("--limit-rate", "4M")

    def by_page(user: str, *more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["curl", "-s", "-k", "-b", pages[user].jar, *more, "-o", tmp_path / user, world.url + path]
        )

    with (
        by_page("acme_it", *slow) as removed,
        by_page("both.of-them", *slow) as beside,
        world.sftp_begun("acme_it", f"get {path} {tmp_path / 'sftp'}", more=("-l", "32000")) as by_sftp,
        world.sftp_begun("robot", f"get {path} {tmp_path / 'other'}", more=("-l", "32000")) as other,
    ):
        for _ in range(200):
            if all((tmp_path / name).exists() for name in (*pages, "sftp", "other")):
                break
            time.sleep(0.05)
        assert {one.poll() for one in (removed, beside, by_sftp, other)} == {None}, "they are at it"
        assert call(world.project, "user", "remove", "acme_it").exit_code == 0
        cut(world)
        by_sftp.communicate(timeout=30)
        assert (removed.wait(5), beside.wait(5)) == (18, 18)
        assert pages["acme_it"].ask(path)[0] == 401
        with by_page("both.of-them", "-C", "-") as resumed:
            assert resumed.wait(60) == 0, "without another login"
        other.communicate(timeout=60)
        assert other.returncode == 0
    assert by_sftp.returncode != 0
    assert max((tmp_path / name).stat().st_size for name in ("acme_it", "sftp")) < large.stat().st_size
    assert hash_file(tmp_path / "both.of-them") == hash_file(tmp_path / "other") == hash_file(large)


def cut(world: World) -> None:
    """What systemd does when the file has changed that its unit looks at: the other unit's very command."""
    units = world.doors.share.folder / "config" / "systemd"
    (seen,) = re.findall("^PathChanged=(.*)$", (units / "share-cut.path").read_text(), re.MULTILINE)
    assert time.time() - Path(seen).stat().st_mtime < 10
    (command,) = re.findall("^ExecStart=(.*)$", (units / "share-cut.service").read_text(), re.MULTILINE)
    subprocess.run([*as_account(), *shlex.split(command)], check=True)

"""The runner's lock: one at a time, the holder is named, and no death leaves it behind."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from delivery.errors import Busy, WriteFailed
from delivery.ledger.lock import only_runner

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLD = """
import subprocess, sys
from pathlib import Path
from delivery.ledger.lock import only_runner
with only_runner(Path(sys.argv[1])):
    child = subprocess.Popen(["sleep", "60"]) if "--child" in sys.argv else None
    print(child.pid if child else "held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def holder(state: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that holds the lock, and the line that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def test_a_second_runner_is_told_who_holds_it(tmp_path: Path) -> None:
    with holder(tmp_path) as (process, line):
        assert line == "held"
        with (
            pytest.raises(Busy, match=rf"process {process.pid} since 20\d\d-\d\d-\d\dT[\d:]+Z") as busy,
            only_runner(tmp_path),
        ):
            raise AssertionError
        assert busy.value.hint
        process.communicate("done\n")
        with only_runner(tmp_path):
            pass


def test_a_killed_holder_frees_it(tmp_path: Path) -> None:
    with holder(tmp_path) as (process, _):
        process.send_signal(signal.SIGKILL)
        process.wait()
        with only_runner(tmp_path):
            assert f'"pid": {os.getpid()}' in (tmp_path / "run.lock").read_text()


def test_a_build_that_outlives_its_runner_does_not_hold_it(tmp_path: Path) -> None:
    with holder(tmp_path, "--child") as (process, child):
        process.send_signal(signal.SIGKILL)
        process.wait()
        try:
            with only_runner(tmp_path):
                pass
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_an_error_inside_frees_it(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), only_runner(tmp_path):
        raise ZeroDivisionError
    with only_runner(tmp_path):
        pass


def test_it_is_not_held_twice_by_one_process(tmp_path: Path) -> None:
    with only_runner(tmp_path), pytest.raises(Busy, match=f"process {os.getpid()} "), only_runner(tmp_path):
        raise AssertionError


@pytest.mark.parametrize("content", ["", "[]", "null", "5", "{", '{"pid": 1}'])
def test_whatever_lies_in_the_lock_file_busy_is_busy(tmp_path: Path, content: str) -> None:
    with only_runner(tmp_path):
        (tmp_path / "run.lock").write_text(content)
        with pytest.raises(Busy, match="it has just started"), only_runner(tmp_path):
            raise AssertionError


def test_state_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with only_runner(tmp_path / "deep" / "state"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "deep" / "state").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "deep" / "state" / "run.lock").stat().st_mode) == 0o600


def test_a_state_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    below_a_file = tmp_path / "file" / "state"
    with pytest.raises(WriteFailed, match="cannot be written: Not a directory"), only_runner(below_a_file):
        raise AssertionError
    (tmp_path / "run.lock").mkdir()
    with pytest.raises(WriteFailed, match="cannot be written: Is a directory"), only_runner(tmp_path):
        raise AssertionError


def test_a_file_system_without_room_or_locks_is_said(tmp_path: Path) -> None:
    (tmp_path / "run.lock").symlink_to("/dev/full")
    with pytest.raises(WriteFailed, match="cannot be locked: "), only_runner(tmp_path):
        raise AssertionError


def test_a_longer_word_of_the_one_before_is_gone(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text(
        '{"pid": 4194304, "since": "2026-11-04T06:00:00Z", "host": "another.example.com"}'
    )
    with only_runner(tmp_path):
        said = json.loads((tmp_path / "run.lock").read_text())
        assert said.keys() == {"pid", "since"}
        assert said["pid"] == os.getpid()
        since = datetime.strptime(said["since"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        assert abs(datetime.now(UTC) - since) < timedelta(minutes=2)


def test_two_states_have_two_locks(tmp_path: Path) -> None:
    with only_runner(tmp_path / "one"), only_runner(tmp_path / "two"):
        assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]

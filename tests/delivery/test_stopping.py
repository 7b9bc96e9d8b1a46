"""A run that a signal ends: in seconds, with a word of where things stand, and the next run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from small_project import CANARIES, DAY, make_project

if TYPE_CHECKING:
    from pathlib import Path

SHARES = ("by_share", "share_of_brightside_beauty", "share_of_cedar_books")
ARGUMENTS = ["run", "--window", DAY, *(word for name in SHARES for word in ("--integration", name))]
WITHIN = 5.0
# Runs the command, and waits without an end at the second delivery's step, once so many others were delivered;
# `hangs`: when it is to be closed, too. What waits in a lane is not woken by the signal.
SCRIPT = """
import sqlite3, sys, time
from pathlib import Path
from delivery.cli import main
from delivery.transfer import local_directory, protocol
from delivery.files import spool
where, ready = sys.argv[1], Path(sys.argv[2])
def delivered():
    with sqlite3.connect(Path(sys.argv[2]) / ".delivery" / "ledger.sqlite", timeout=30) as ledger:
        return ledger.execute("select count(*) from deliveries where state = 'delivered'").fetchone()[0]
def wait(*_, **__):
    while others and delivered() < others:
        time.sleep(0.05)
    ready.touch()
    try:
        time.sleep(60)
    except BaseException:
        if where == "hangs":
            time.sleep(60)
        raise
def at_second(real):
    def instead(self, *arguments, **more):
        if "brightside" in f"{getattr(self, '_path', '')} {arguments}":
            wait()
        return real(self, *arguments, **more)
    return instead
others = 2 if where in ("uploading", "renaming") else 0
if where == "uploading":
    local_directory.LocalDirectory.upload = at_second(local_directory.LocalDirectory.upload)
elif where == "renaming":
    local_directory.LocalDirectory.publish = at_second(local_directory.LocalDirectory.publish)
elif where in ("writing", "hangs"):
    spool.Spool.write = at_second(spool.Spool.write)
elif where == "rendering":  # while the threads that read, write and prove wait for more
    from delivery.files import writer
    writer.NewFile.add = wait
elif where == "before":
    from delivery import setup
    setup.Setup.wanted = wait
sys.argv = ["delivery", *sys.argv[3:]]
main()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make_project(tmp_path / "project")
    return tmp_path / "project"


def start(root: Path, where: str, ready: Path, **how: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, where, str(ready), "--project-dir", str(root), *ARGUMENTS]
    how.setdefault("preexec_fn", lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))  # whatever these tests run under
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    running: subprocess.Popen[str] = subprocess.Popen(command, env=os.environ | CANARIES, **pipes, **how)  # type: ignore[call-overload]
    for _ in range(300):
        if ready.exists():
            return running
        time.sleep(0.1)
    running.kill()
    raise AssertionError(running.communicate())


def files(root: Path) -> list[str]:
    return sorted(path.parts[-3] for path in (root / "share").rglob("*.csv") if ".part" not in path.name)


AT: list[tuple[str, signal.Signals, list[str], int]] = [
    ("before", signal.SIGINT, ["0 of 0 deliveries have ended."], 0),
    ("writing", signal.SIGTERM, ["0 of 3 deliveries have ended.", "not written yet"], 0),
    ("rendering", signal.SIGINT, ["0 of 3 deliveries have ended.", "not written yet"], 0),
    ("uploading", signal.SIGHUP, ["2 of 3 deliveries have ended.", "written, 0 of 2 files handed over"], 2),
    ("renaming", signal.SIGTERM, ["2 of 3", f"whether daily_{DAY}.csv has its name is looked at first"], 2),
    ("hangs", signal.SIGTERM, ["What was under way did not end in time, and was cut off."], 0),
]


@pytest.mark.parametrize(
    ("where", "number", "said", "arrived"),
    [pytest.param(*at, marks=[] if at[0] == "uploading" else [pytest.mark.slow]) for at in AT],
    ids=[at[0] for at in AT],
)
def test_a_signal_ends_a_run_and_the_next_goes_on(
    root: Path, tmp_path: Path, where: str, number: signal.Signals, said: list[str], arrived: int
) -> None:
    running = start(root, where, tmp_path / "ready")
    began = time.monotonic()
    running.send_signal(number)
    _, errors = running.communicate(timeout=30)
    assert time.monotonic() - began < WITHIN
    assert running.returncode == 1
    assert f"Error: Stopped by {number.name}." in errors
    assert "Next: Run again: what was handed over stays" in errors
    for one in said:
        assert one in errors
    assert "Traceback" not in errors
    assert not any(canary in errors for canary in CANARIES.values())
    assert len(files(root)) == arrived
    command = [sys.executable, "-m", "delivery", "--project-dir", str(root), *ARGUMENTS]
    again = subprocess.run(command, env=os.environ | CANARIES, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert files(root) == ["acme_outdoor", "brightside_beauty", "cedar_books"]


@pytest.mark.slow
def test_what_ignores_the_signal_goes_on_ignoring_it(root: Path, tmp_path: Path) -> None:
    """As `nohup` wants it; and a second signal cuts nothing short."""
    running = start(
        root, "uploading", tmp_path / "ready", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    running.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert running.poll() is None
    running.send_signal(signal.SIGTERM)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=WITHIN)
    assert "Error: Stopped by SIG" in errors
    assert "2 of 3 deliveries have ended." in errors


def test_a_build_ends_with_the_run(tmp_path: Path) -> None:
    """dbt is told to end, and not left behind with the warehouse in its hand."""
    script = '''
import sys, time
from pathlib import Path
from delivery.cli.stopping import stoppable
from delivery.errors import Stopped
from delivery.gate.dbt_command import run_dbt
from delivery.progress import Watch
child = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(open(sys.argv[1] + ".told", "w").write("to end")))
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(60)
"""
try:
    with stoppable():
        run_dbt([sys.executable, "-c", child, sys.argv[1]], Path.cwd(), Watch())
except Stopped:
    print("ended")
'''
    running = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "child")], stdout=subprocess.PIPE, text=True
    )
    child = tmp_path / "child"
    for _ in range(100):
        if child.exists() and child.read_text():
            break
        time.sleep(0.1)
    began = time.monotonic()
    running.terminate()
    out, _ = running.communicate(timeout=30)
    assert out == "ended\n"
    assert time.monotonic() - began < WITHIN
    with pytest.raises(ProcessLookupError):
        os.kill(int(child.read_text()), 0)
    assert (tmp_path / "child.told").exists()


def test_handlers_are_as_before_and_without_a_signal_no_thread_stays() -> None:
    script = """
import os, signal, threading, time
from delivery.cli import stopping
from delivery.errors import Stopped
before = [signal.getsignal(one) for one in stopping.SIGNALS]
with stopping.stoppable():
    pass
time.sleep(0.1)
print([one.name for one in threading.enumerate()])
try:
    with stopping.stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
except Stopped as stopped:
    print(stopped)
assert [signal.getsignal(one) for one in stopping.SIGNALS] == before
assert signal.set_wakeup_fd(-1) == -1
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["['MainThread']", "SIGTERM"]

"""What processes used, as Linux tells it."""

import ctypes
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

TICKS = os.sysconf("SC_CLK_TCK")
SUBREAPER = 36  # of prctl(2)
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Usage:
    """Of one process until now. peak_mb: its resident memory at most; cpu_seconds: user and system."""

    peak_mb: int
    cpu_seconds: float


def own_peak() -> int:
    """Of this process, in MB. Linux's ru_maxrss begins with what the process that started this one had."""
    found = _usage(Path("/proc/self"))
    return found.peak_mb if found else getrusage(RUSAGE_SELF).ru_maxrss // 1024


def marked(mark: str) -> Iterator[tuple[int, Usage]]:
    """Id and usage of the running processes whose command line holds the mark."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            asked = mark.encode() in (process / "cmdline").read_bytes()
        except OSError:  # it ended
            continue
        if asked and (found := _usage(process)):
            yield int(process.name), found


def of_process(pid: int) -> Usage | None:
    """None when it has ended."""
    return _usage(Path("/proc") / str(pid))


def _usage(process: Path) -> Usage | None:
    try:
        status, stat = (process / "status").read_text(), (process / "stat").read_text()
    except OSError:
        return None
    peak = _kilobytes(status, "VmHWM:")
    user, system = stat.rpartition(")")[2].split()[11:13]  # the 14th and 15th of proc(5)
    return None if peak is None else Usage(peak // 1024, round((int(user) + int(system)) / TICKS, 1))


def _kilobytes(status: str, name: str) -> int | None:
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith(name)), None)


@contextmanager
def looking(look: Callable[[], None], seconds: float) -> Iterator[None]:
    """Calls it again and again, in a thread of its own, while the context lasts."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(seconds):
            look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def adopt_orphans() -> None:
    """From now on servers that leave their parent, and what a program leaves behind, are this process's children."""
    ctypes.CDLL(None, use_errno=True).prctl(SUBREAPER, 1, 0, 0, 0)


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """What all that this process started used while the context lasted, servers among it; filled in when it ends.

    seconds, cpu_seconds; peak_mb: memory of their own, of all together, at most (what they share is left out). Call
    `adopt_orphans` first.
    """
    found: dict[str, float] = {}
    peaks = [0.0]
    began, before = time.monotonic(), _descendants()[0]
    try:
        with looking(lambda: peaks.append(_descendants()[1]), LOOK_SECONDS):
            yield found
    finally:
        used = _descendants()[0] - before
        found |= {"seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(used, 1)}
        found["peak_mb"] = round(max(peaks))


def _descendants() -> tuple[float, float]:
    """CPU seconds of all processes that this one started, those that ended among them; memory of those that run, MB."""
    children: dict[int, list[int]] = defaultdict(list)
    ticks: dict[int, list[int]] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended
            continue
        children[int(fields[1])].append(int(process.name))
        ticks[int(process.name)] = [int(field) for field in fields[11:15]]  # its own two, and of those it waited for
    own = os.getpid()
    found, cpu, memory = list(children[own]), sum(ticks[own][2:]), 0
    while found:
        one = found.pop()
        found += children[one]
        cpu += sum(ticks[one])
        memory += _anonymous(one)
    return cpu / TICKS, memory / 1024


def _anonymous(pid: int) -> int:
    """In kB."""
    try:
        return _kilobytes(Path(f"/proc/{pid}/status").read_text(), "RssAnon:") or 0
    except OSError:
        return 0

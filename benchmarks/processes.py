"""What processes used, as Linux tells it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

TICKS = os.sysconf("SC_CLK_TCK")


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
    peak = next((int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM:")), None)
    user, system = stat.rpartition(")")[2].split()[11:13]  # the 14th and 15th of proc(5)
    return None if peak is None else Usage(peak, round((int(user) + int(system)) / TICKS, 1))

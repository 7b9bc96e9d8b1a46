"""`make` of several parts, one after the other: goes on after one that failed, ends with a line for each of them.

python tests/delivery/parts.py PART[+PART…]…    exit code 1 when one of them failed

Of parts joined by +, two run at a time: those that use one processor most of the time, and look at no clock.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
PASSED = re.compile(r"^=* ?\d+ (passed|failed).*$")  # pytest's last line


def main(groups: list[str]) -> int:
    """Returns the exit code."""
    failed, lines = [], []
    for group in groups:
        parts = group.split("+")
        with ThreadPoolExecutor(2) as pool:
            ended = list(pool.map(run, parts, [f"{part}: " if len(parts) > 1 else "" for part in parts]))
        for part, (code, figures, minutes, processor) in zip(parts, ended, strict=True):
            failed += [part] if code else []
            took = f"{minutes:5.1f} min  {processor:5.1f} CPU min"
            lines.append(f"{part:<11} {took}  {'FAILED' if code else 'ok':<7} {figures}".rstrip())
    print("\n".join(["", *lines]))
    print(f"failed: {', '.join(failed)}" if failed else "all parts are green")
    return int(bool(failed))


def run(part: str, before: str) -> tuple[int, str, float, float]:
    """Makes a part; its exit code, its line of figures, which begins with its name or is pytest's own, and its minutes,
    by the clock and by the processors, which tell a slow machine from a slow part.

    before: what each of its lines begins with where others are between them.
    """
    print(f"\n=== make {part}", flush=True)
    figures, began = "", time.monotonic()
    command = ["make", "--no-print-directory", part]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, errors="replace") as made:
        for line in made.stdout or ():
            print(f"{before}{line}", end="", flush=True)
            if line.startswith(part) or PASSED.match(line):
                figures = line.strip(" =\n")
        _, status, used = os.wait4(made.pid, 0)
        made.returncode = os.waitstatus_to_exitcode(status)
    processor = (used.ru_utime + used.ru_stime) / 60
    return made.returncode, figures, (time.monotonic() - began) / 60, processor


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

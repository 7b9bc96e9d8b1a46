"""`make` of several parts, one after the other: goes on after one that failed, ends with a line for each of them.

python tests/delivery/parts.py PART…    exit code 1 when one of them failed
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PASSED = re.compile(r"^=* ?\d+ (passed|failed).*$")  # pytest's last line


def main(parts: list[str]) -> int:
    """Returns the exit code."""
    failed, lines = [], []
    for part in parts:
        began = time.monotonic()
        code, figures = run(part)
        failed += [part] if code else []
        minutes = (time.monotonic() - began) / 60
        lines.append(f"{part:<11} {minutes:5.1f} min  {'FAILED' if code else 'ok':<7} {figures}".rstrip())
    print("\n".join(["", *lines]))
    print(f"failed: {', '.join(failed)}" if failed else "all parts are green")
    return int(bool(failed))


def run(part: str) -> tuple[int, str]:
    """Makes a part; its exit code and its line of figures, which begins with its name or is pytest's own."""
    print(f"\n=== make {part}", flush=True)
    figures = ""
    command = ["make", "--no-print-directory", part]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, errors="replace") as made:
        for line in made.stdout or ():
            print(line, end="", flush=True)
            if line.startswith(part) or PASSED.match(line):
                figures = line.strip(" =\n")
    return made.returncode, figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

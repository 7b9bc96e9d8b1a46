"""Which part of a long sweep is run: one of eight, chosen by the commit, so that eight commits in a row run everything.

SAMPLE=3/8 asks for a part, SAMPLE=all (or none) for everything; this module, run, prints the commit's part.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

PARTS = 8
ALL = range(PARTS)


def chosen() -> range:
    """The parts to run, from SAMPLE."""
    asked = os.environ.get("SAMPLE", "all")
    if asked == "all":
        return ALL
    named = {f"{part}/{PARTS}": range(part, part + 1) for part in ALL}
    if asked not in named:
        sys.exit(f"SAMPLE is {asked}; known: all, {', '.join(named)}.")
    return named[asked]


def part_of(name: str) -> int:
    """The part that something belongs to by its name, whatever else there is."""
    return zlib.crc32(name.encode()) % PARTS


def part_of_item(item: pytest.Item) -> int:
    """The part of a slow test: by its name, or the one that it is of (`sample_part` among its parameters)."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return int(parameters.get("sample_part", part_of(item.nodeid)))


def described(command: str) -> str:
    """What a sweep says of itself: which part it is, and how to run it again."""
    parts = chosen()
    if len(parts) == PARTS:
        return f"everything: SAMPLE=all {command}"
    return f"sample {parts[0]}/{PARTS}; again: SAMPLE={parts[0]}/{PARTS} {command}"


def of_commit(folder: Path) -> str:
    """The sample of the commit that is checked out: how many commits there are up to it, from merge to merge."""
    counted = ["git", "-C", str(folder), "rev-list", "--first-parent", "--count", "HEAD"]
    shallow = ["git", "-C", str(folder), "rev-parse", "--is-shallow-repository"]
    if subprocess.check_output(shallow, text=True).strip() == "true":
        sys.exit("A shallow clone cannot tell which sample is this commit's: clone whole, or set SAMPLE.")
    return f"{int(subprocess.check_output(counted, text=True)) % PARTS}/{PARTS}"


if __name__ == "__main__":
    print(of_commit(Path(__file__).parents[2]))

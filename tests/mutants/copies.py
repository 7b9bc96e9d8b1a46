"""Copies of the project, one for each worker: a fault is never in the checkout."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "target" / "mutants"


@cache
def sources() -> tuple[str, ...]:
    """The project's files, those not yet committed among them, as they were when this was first asked."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return tuple(sorted({name for name in names if name and (ROOT / name).is_file()}))


def content_hash(*prefixes: str, but: str = "\0") -> str:
    """A hash of the sources below these paths."""
    seen = hashlib.sha256()
    for name in sources():
        if name.startswith(prefixes) and not name.startswith(but):
            seen.update(f"{name}\0".encode() + hashlib.sha256((ROOT / name).read_bytes()).digest())
    return seen.hexdigest()[:16]


def make_copy(folder: Path) -> Path:
    """The project's files in a folder of their own, nothing else in it."""
    if folder.exists():
        shutil.rmtree(folder)
    for name in sources():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    (folder / "dbt_packages").mkdir()
    (folder / "dbt_packages" / "dbt_delivery").symlink_to("../delivery/dbt_package")
    (folder / ".git").mkdir()  # the top of a repository, for tests that look for one; nothing is in it
    return folder

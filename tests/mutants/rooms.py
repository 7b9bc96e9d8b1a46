"""What is drawn from: files by room, faults by line, those left out that change nothing."""

from __future__ import annotations

import random
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from tests.mutants.copies import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.mutants.change import Change

EQUIVALENT = Path(__file__).with_name("equivalent.yml")
# Where a fault means late, lost, doubled or unproven rows.
SPINE = [
    *("judge", "lineage", "bounds", "windows", "slots", "jobs", "gaps", "names", "spool", "receipts", "corrections"),
    *("text", "proof", "rows", "protocol", "probe", "book", "leases", "run", "setup", "retention", "holds"),
]


def room(file: str) -> str:
    """A file's room: the folder of the package or of the models, or the module that stands in none."""
    path = Path(file)
    if path.parts[0] in {"delivery", "models"} and len(path.parts) > 2:
        return path.parts[1] if path.suffix == ".py" else "/".join(path.parts[:2])
    return path.stem if path.suffix == ".py" else path.parts[0]


def is_chosen(file: str, rooms: list[str]) -> bool:
    """Whether a file is in one of the rooms: names of modules or folders, globs, or `spine`."""
    wanted = [one for name in rooms for one in (SPINE if name == "spine" else [name])]
    parts = {Path(file).stem, room(file), *Path(file).parts}
    return not wanted or any(one in parts or fnmatch(file, one) for one in wanted)


def equivalent() -> list[dict[str, str]]:
    """The faults that change nothing that anyone sees, each with its reason; without `after`, every fault of a line."""
    found: list[dict[str, str]] = yaml.safe_load(EQUIVALENT.read_text()) or []
    return found


def draw(changes: list[Change], count: int, seed: int, can_be: Callable[[Change, str], bool]) -> list[Change]:
    """At most one fault of a line, each as likely: but SQL in Python thrice, a seed's row a third."""
    order = random.Random(seed)
    texts = {name: (ROOT / name).read_text() for name in sorted({c.file for c in changes})}
    known = {(e["file"], e["before"], e.get("after")) for e in equivalent()}
    lines: dict[tuple[str, int], list[Change]] = {}
    for change in changes:
        lines.setdefault((change.file, change.line(texts[change.file])), []).append(change)
    ranked = []
    for line in sorted(lines):
        sql = [c for c in lines[line] if c.kind.startswith("sql")]
        weight = 3 if sql else 1 / 3 if line[0].endswith(".csv") else 1
        ranked.append((order.random() ** (1 / weight), line, sql if sql and order.random() < 0.7 else lines[line]))
    drawn: list[Change] = []
    for _, _, choices in sorted(ranked, key=lambda r: (-r[0], r[1])):
        if len(drawn) == count:
            break
        kinds = sorted({c.kind for c in choices})
        order.shuffle(kinds)
        for change in (order.choice([c for c in choices if c.kind == kind]) for kind in kinds):
            text = texts[change.file]
            before, after = change.diff(text)
            if not {(change.file, before, after), (change.file, before, None)} & known and can_be(change, text):
                drawn.append(change)
                break
    return drawn

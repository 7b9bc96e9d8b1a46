"""`make gate`: each way tried on a copy of a built project; ends with one line of figures.

python -m tests.gate [NAME…]    those ways; without names, the sample (SAMPLE)
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from tests.delivery.dbt_worker import DbtWorker
from tests.delivery.sampling import chosen, described, part_of
from tests.gate.beside import BESIDE
from tests.gate.ways import WAYS, Way
from tests.gate.world import NOW, World, environment, landed, lines, new_project


def main(names: list[str]) -> int:
    """Returns the exit code."""
    known = {way.name: way for way in WAYS}
    asked = [known[name] for name in names] if names else [way for way in WAYS if part_of(way.name) in chosen()]
    print(described("make gate"), flush=True)
    let_through, faults = 0, []
    with tempfile.TemporaryDirectory(prefix="gate-") as name:
        built = new_project(Path(name, "built"))
        world = World(built, DbtWorker(built, environment()))
        world.sql(landed(NOW))
        if world.dbt("build"):
            sys.exit((built / "said").read_text())
        for number, way in enumerate(asked):
            copy = World(Path(name, str(number)), world.worker)
            shutil.copytree(built, copy.folder, symlinks=True)
            passed, wrong = tried(way, copy)
            let_through += passed
            faults += wrong
            print(f"{'ok ' if not wrong else 'BAD'} {way.name}", flush=True)
            shutil.rmtree(copy.folder)
        for way in [] if names else [way for way in BESIDE if part_of(way.name) in chosen()]:
            passed, wrong = way.tried(Path(name))
            let_through += passed
            faults += wrong
            asked.append(way)
            print(f"{'ok ' if not wrong else 'BAD'} {way.name}", flush=True)
    for fault in faults:
        print(fault)
    print(f"gate: {len(asked)} ways {let_through} let through")
    return int(bool(faults))


def tried(way: Way, world: World) -> tuple[bool, list[str]]:
    """Whether something left that must not, and everything that was otherwise than the table says."""
    try:
        way.do(world)
    except AssertionError as error:
        return False, [f"{way.name}: could not be tried: {str(error)[-600:]}"]
    found = world.verdicts(way.campaign, way.day, way.at)
    refused = {name for name, reasons in found.items() if reasons}
    faults = [f"{way.name}: {name} is let through" for name in sorted(way.refused - refused)]
    faults += [f"{way.name}: {name} is refused: {lines(found[name])}" for name in sorted(refused - way.refused)]
    faults += [
        f"{way.name}: {name} is refused for another reason than {way.said!r}: {lines(found[name])}"
        for name in sorted(way.refused & refused)
        if way.said not in "\n".join(found[name])
    ]
    return bool(way.refused - refused), faults


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make histories`: orders in which twelve days of raw data may arrive, drawn from a seed each.

Builds after some of the days, and compares with a full refresh in the middle and at the end. Of every other history
delivers what is due after most builds, corrections too, and compares with a first delivery of the rebuilt tables.
Ends with `histories: <n> histories <n> different`, the second 0.
"""

from __future__ import annotations

import os
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from random import Random

from tests.delivery.sampling import described
from tests.histories.arrivals import ARRIVALS, a_day
from tests.histories.builds import BY_DAY, STORED, WAREHOUSE, Builder, apart, copied, side_by_side
from tests.histories.compare import different, what_clients_have, wrongly_dated
from tests.histories.seeds import FEW, seeds
from tests.histories.world import DAYS, World, begin, moment, text

FEW_KINDS = 5  # of arrival in one history: where everything happens, every day is due anyway
CORRECTED = 7  # days of which `delivery run --due` looks for corrections


def play(builder: Builder, folder: Path, seed: int, *, told: bool) -> list[str]:
    """What differs after one history. told: whether its arrivals are said."""
    world, warehouse = World(folder / "landing", seed), copied(builder.seeded, folder)
    begin(world)
    plan = Random(seed)
    kinds = plan.sample(ARRIVALS, FEW_KINDS)
    builds = sorted({*plan.sample(range(1, DAYS - 1), 4), DAYS - 1})
    halfway, is_delivered = builds[2], seed % 2 == 0
    for world.day in range(DAYS):
        world.draw("a day")
        a_day(world)
        for number, arrival in enumerate(plan.choices(kinds, k=plan.randrange(5))):
            world.draw(f"{number} {arrival.__name__}")
            arrival(world)
            if told:
                print(f"{moment(world.day):%Y-%m-%d} {arrival.__name__}", flush=True)
        if world.day in builds:
            is_first, is_compared = world.day == builds[0], world.day in (halfway, builds[-1])
            if found := build(builder, world, warehouse, is_first=is_first, is_compared=is_compared):
                return [f"{moment(world.day):%Y-%m-%d}: {one}" for one in found]
            if is_delivered and (plan.random() < 0.7 or world.day == builds[-1]):
                deliver_due(builder, world, warehouse)
    return delivered_otherwise(builder, folder) if is_delivered else []


def build(builder: Builder, world: World, warehouse: Path, *, is_first: bool, is_compared: bool) -> list[str]:
    """Builds; what is wrong then. is_compared: with a full refresh."""
    before = copied(warehouse, warehouse.parent / "before")
    selected = [] if is_first else ["--select", *(STORED if is_compared else BY_DAY)]
    builder.dbt("run", *selected, warehouse=warehouse, landing=world.landing)
    found: list[str] = [] if is_first else apart(wrongly_dated, before, warehouse)
    if is_compared:
        rebuilt = copied(warehouse, warehouse.parent / "rebuilt")
        builder.dbt("run", "--full-refresh", "--select", *STORED, warehouse=rebuilt, landing=world.landing)
        found += apart(different, warehouse, rebuilt, builder.tables)
    return found


def deliver_due(builder: Builder, world: World, warehouse: Path) -> None:
    """What is due on the morning after, with the corrections."""
    at = text(moment(world.day + 1, 21600))
    builder.deliver("--due", "--at", at, warehouse=warehouse, share=warehouse.with_name("share"))


def delivered_otherwise(builder: Builder, folder: Path) -> list[str]:
    """Windows of which clients have other rows, corrections applied, than a first delivery of what was rebuilt.

    Those before the first run of `--due` are nobody's.
    """
    first, end = (f"{moment(day):%Y-%m-%d}" for day in (DAYS - CORRECTED, DAYS))
    asked = ("--from", first, "--to", end, "--at", text(moment(DAYS, 21600) + timedelta(hours=1)))
    builder.deliver(*asked, warehouse=folder / "rebuilt" / WAREHOUSE, share=folder / "truth")
    truth, have = (what_clients_have(folder / name, first) for name in ("truth", "share"))
    lost = [] if f"{moment(DAYS - 1):%Y-%m-%d}" in max(have) else ["the last day was not delivered"]
    return lost + [f"delivered otherwise: {name}" for name in sorted(have) if truth.get(name) != have[name]]


def play_all(builder: Builder, folder: Path, asked: range, is_alone: bool) -> int:
    """Plays histories, one after the other; how many differ."""
    wrong = 0
    for seed in asked:
        found = play(builder, Path(tempfile.mkdtemp(dir=folder)), seed, told=is_alone)
        wrong += bool(found)
        said = [f"SEED={seed} make histories: {'different' if found else 'the same'}", *(one[:1500] for one in found)]
        print("\n".join(said), flush=True)
    return wrong


def main() -> int:
    """The histories, two at a time where there are many; the exit code."""
    asked = seeds()
    workers = 2 if len(asked) > FEW else 1  # beside the parts of a sample, others run
    with tempfile.TemporaryDirectory(prefix="histories-", dir=os.environ.get("TMPDIR")) as folder:
        builder = Builder(Path(folder, "project"))
        parts = [(builder, Path(folder), asked[worker::workers], len(asked) == 1) for worker in range(workers)]
        wrong = sum(side_by_side(play_all, parts))
    print(described("make histories"))
    print(f"histories: {len(asked)} histories {wrong} different")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

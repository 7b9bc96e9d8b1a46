"""Histories that share a landing folder, a warehouse and its builds: nothing of one is on a day of another."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import TYPE_CHECKING

from tests.histories.arrivals import ARRIVALS, a_day
from tests.histories.builds import BY_DAY, STORED, WAREHOUSE, Builder, apart, copied
from tests.histories.compare import different, what_clients_have, wrongly_dated
from tests.histories.seeds import PACK
from tests.histories.world import APART, DAYS, FIRST, World, begin, text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FEW_KINDS = 5  # of arrival in one history: where everything happens, every day is due anyway


@dataclass
class History:
    """What arrives in one world, day by day; of every other one, what is due is delivered after most builds."""

    world: World
    plan: Random = field(init=False)
    kinds: list[Callable[[World], None]] = field(init=False)

    def __post_init__(self) -> None:
        self.plan = Random(self.world.seed)
        self.kinds = self.plan.sample(ARRIVALS, FEW_KINDS)
        begin(self.world)

    def live(self, day: int, *, told: bool) -> None:
        """A day of it. told: whether its arrivals are said."""
        world = self.world
        world.day = day
        world.draw("a day")
        a_day(world)
        for number, arrival in enumerate(self.plan.choices(self.kinds, k=self.plan.randrange(5))):
            world.draw(f"{number} {arrival.__name__}")
            arrival(world)
            if told:
                print(f"{world.moment(day):%Y-%m-%d} {arrival.__name__}", flush=True)

    @property
    def is_delivered(self) -> bool:
        return self.world.seed % 2 == 0

    def deliver_due(self, builder: Builder, warehouse: Path) -> None:
        """What is due on the morning after, with the corrections."""
        at = text(self.world.moment(self.world.day + 1, 21600))
        share = warehouse.with_name(f"share-{self.world.seed}")
        builder.deliver("--due", "--at", at, clients=self.world.clients, warehouse=warehouse, share=share)

    def delivered_otherwise(self, builder: Builder, folder: Path) -> list[str]:
        """Windows of which clients have other rows, corrections applied, than a first delivery of what was rebuilt.

        Those before the first run of `--due` are nobody's.
        """
        world = self.world
        first, end = (f"{world.moment(day):%Y-%m-%d}" for day in (0, DAYS))
        asked = ("--from", first, "--to", end, "--at", text(world.moment(DAYS, 25200)))
        rebuilt, shares = folder / "rebuilt" / WAREHOUSE, [folder / f"{of}-{world.seed}" for of in ("truth", "share")]
        builder.deliver(*asked, clients=world.clients, warehouse=rebuilt, share=shares[0])
        truth, have = (what_clients_have(share, first) for share in shares)
        is_whole = f"{world.moment(DAYS - 1):%Y-%m-%d}" in max(have)
        lost = [] if is_whole else [f"the last day was not delivered to {world.clients}"]
        return lost + [f"delivered otherwise: {name}" for name in sorted(have) if truth.get(name) != have[name]]


def play(builder: Builder, folder: Path, asked: range) -> dict[int, list[str]]:
    """What differs, by the seed of the history that it is of: those asked for, which are of one pack."""
    warehouse = copied(builder.seeded, folder)
    histories = [History(World(folder / "landing", seed, seed % PACK)) for seed in asked]
    delivered = [history for history in histories if history.is_delivered]
    plan = Random(f"builds of {asked[0] // PACK}")
    builds = sorted({*plan.sample(range(1, DAYS - 1), 4), DAYS - 1})
    for day in range(DAYS):
        for history in histories:
            history.live(day, told=len(asked) == 1)
        if day in builds:
            is_compared = day in (builds[2], builds[-1])
            if found := build(builder, warehouse, is_first=day == builds[0], is_compared=is_compared):
                return by_seed([f"after day {day + 1}: {one}" for one in found], asked)
        for history in delivered:
            if day in builds and (history.plan.random() < 0.7 or day == builds[-1]):
                history.deliver_due(builder, warehouse)
    return by_seed([one for history in delivered for one in history.delivered_otherwise(builder, folder)], asked)


def build(builder: Builder, warehouse: Path, *, is_first: bool, is_compared: bool) -> list[str]:
    """Builds; what is wrong then. is_compared: with a full refresh."""
    landing, before = warehouse.with_name("landing"), copied(warehouse, warehouse.parent / "before")
    selected = [] if is_first else ["--select", *(STORED if is_compared else BY_DAY)]
    builder.dbt("run", *selected, warehouse=warehouse, landing=landing)
    found: list[str] = [] if is_first else apart(wrongly_dated, before, warehouse)
    if is_compared:
        rebuilt = copied(warehouse, warehouse.parent / "rebuilt")
        builder.dbt("run", "--full-refresh", "--select", *STORED, warehouse=rebuilt, landing=landing)
        found += apart(different, warehouse, rebuilt, builder.tables)
    return found


def by_seed(found: list[str], asked: range) -> dict[int, list[str]]:
    """Whose each finding is, by the client or the day that it names; of none that can be told, the first's."""
    of: dict[int, list[str]] = {}
    for one in found:
        seed = asked[0]
        if client := re.search(r"(?:acme|brightside|third)_(\d+)", one):
            seed = int(client[1])
        elif day := re.search(r"\d{4}-\d\d-\d\d", one):
            late = timedelta(days=APART // 2)  # rows lie around the days of their history
            place = (FIRST.date() + late - date.fromisoformat(day[0])).days // APART
            seed = next((seed for seed in asked if seed % PACK == place), seed)
        of.setdefault(seed, []).append(one)
    return of

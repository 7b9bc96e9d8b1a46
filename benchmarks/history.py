"""What a day's build, and one without news, cost with much history behind them, beside those with a week behind them.

`python -m benchmarks.history --days 120` makes two projects whose days are alike, builds each until the day before the
last, and then in turn, from a copy of that warehouse: the last day, and a build for which nothing landed. CPU seconds
of dbt and what it started; one JSON line a build, then medians and the ratio of the two.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
from datetime import date, timedelta
from pathlib import Path

import click

from benchmarks.generate import generate
from benchmarks.project import link_sources, run

WEEK = 7
LAST = date(2026, 11, 11)


class History:
    """A project of so many days of which the last has not landed yet, built; its warehouse is kept as it is then."""

    def __init__(self, root: Path, days: int, events: int, customers: int) -> None:
        self.root, self.landing = root, root / "landing"
        root.mkdir()
        link_sources(root)
        first = LAST - timedelta(days=days - 1)
        generate(self.landing, events=events * days, days=days, namespaces=2, customers=customers, seed=1, start=first)
        self.last = [path for path in sorted(self.landing.rglob(f"{LAST}*")) if path.is_file()]
        self.land(landed=False)
        self.build()
        shutil.copy(root / "warehouse.duckdb", root / "before.duckdb")

    def land(self, *, landed: bool) -> None:
        """Puts the last day's files there, or away."""
        for path in self.last:
            away = self.root / f"{path.parent.name}-{path.name}"
            shutil.move(*((away, path) if landed else (path, away)))

    def build(self) -> float:
        """CPU seconds of a daily build."""
        return run(self.root, "dbt", "build", "--exclude-resource-type", "unit_test").cpu_seconds

    def day(self) -> tuple[float, float]:
        """CPU seconds of the last day's build, and of one more, without news."""
        shutil.copy(self.root / "before.duckdb", self.root / "warehouse.duckdb")
        self.land(landed=True)
        taken = self.build(), self.build()
        self.land(landed=False)
        return taken


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--days", type=click.IntRange(min=8), default=120, help="Of the long history.")
@click.option("--events", type=click.IntRange(min=1), default=10_000, help="Of each day.")
@click.option("--customers", type=click.IntRange(min=1), default=5_000)
@click.option("--repeat", type=click.IntRange(min=1), default=3, help="Builds of each kind.")
def main(days: int, events: int, customers: int, repeat: int) -> None:
    """CPU seconds of each build, medians and their ratio, as JSON on stdout."""
    taken: dict[tuple[int, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="history") as folder:
        histories = {number: History(Path(folder) / str(number), number, events, customers) for number in (WEEK, days)}
        for _ in range(repeat):
            for number, history in histories.items():
                for kind, seconds in zip(("day", "nothing new"), history.day(), strict=True):
                    taken.setdefault((number, kind), []).append(seconds)
                    click.echo(json.dumps({"days": number, "build": kind, "cpu_seconds": round(seconds, 1)}))
    medians = {key: statistics.median(some) for key, some in taken.items()}
    found = {
        "events_a_day": events,
        "medians": {f"{kind}, {number} days": round(seconds, 1) for (number, kind), seconds in medians.items()},
        "ratios": {
            f"{kind}, {days} / {WEEK} days": round(medians[days, kind] / medians[WEEK, kind], 3)
            for kind in ("day", "nothing new")
        },
    }
    click.echo(json.dumps(found))


if __name__ == "__main__":
    main()

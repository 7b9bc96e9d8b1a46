"""Retention: what the hosted share and the spool have kept longer than their days, by the ledger.

Only what the ledger says was delivered, and still has the ledger's hash, is removed, and what no delivery needs.
A file is as old as the youngest of three ages says: by the clock since it was published, by its own time in the file
system, and by the time that the ledger has seen pass. A gap in the ledger's entries counts as no time, so that a clock
that jumps makes nothing old.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left, bisect_right
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.config.integrations import KEPT_DAYS, kept_days
from delivery.config.integrations_file import Integrations
from delivery.config.values import TEMPORARY_NAME
from delivery.errors import DeliveryError, WriteFailed
from delivery.files.disk import clear
from delivery.ledger import File, FileState, Ledger, State, deliveries
from delivery.ledger.lock import only_runner
from delivery.schedule.names import finished_name
from delivery.transfer.descriptions import describe
from delivery.transfer.local_directory import LocalDirectory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from delivery.config.project import Project
    from delivery.ledger import Recorded

LONGEST_GAP = timedelta(days=3)
AT_ONCE, AT_HAND = 1_000, 20_000  # files in a transaction, and in memory
NEEDED = (
    State.PLANNED,
    State.SPOOLED,
    State.HELD,
)  # states of deliveries whose spool and temporary files may be needed
SPOOL_FOLDER = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Pruned:
    """One thing that prune looked at. kind: `file`, `temporary` or `spool`; done: `removed`, `gone` or `left`."""

    kind: str
    name: str
    where: str
    days: float
    done: str
    why: str


@dataclass(frozen=True)
class Clock:
    """What time it is, and the times at which the ledger has entries, in order. confirmed: a person vouches for it."""

    now: datetime
    entries: Sequence[datetime]
    confirmed: bool

    def age(self, since: datetime, *others: datetime) -> timedelta:
        """The youngest of the ages since these times."""
        youngest = max((since, *others))
        age = self.now - youngest
        return age if self.confirmed else min(age, self._seen_to_pass(youngest))

    def _seen_to_pass(self, since: datetime) -> timedelta:
        times, seen = self._seen
        if since >= self.now:
            return timedelta()
        after = bisect_right(times, since)
        return _step(since, times[after]) + seen[-1] - seen[after]

    @cached_property
    def _seen(self) -> tuple[list[datetime], list[timedelta]]:
        """The entries up to now, now the last, and how much time had been seen to pass at each."""
        times = [*self.entries[: bisect_left(self.entries, self.now)], self.now]
        return times, list(
            itertools.accumulate(itertools.starmap(_step, itertools.pairwise(times)), initial=timedelta())
        )


def _step(before: datetime, after: datetime) -> timedelta:
    """The time between two entries; none where it is so much that a clock may have jumped."""
    return after - before if after - before <= LONGEST_GAP else timedelta()


def prune(project: Project, now: datetime, days: int | None = None, *, dry_run: bool = False) -> list[Pruned]:
    """Removes what is old enough and needed no more; says what it did and what it left. Records each removal.

    days: instead of each integration's own; it also vouches for the clock. Raises Busy while a run is at work,
    WriteFailed when the ledger has entries of the future.
    """
    with only_runner(project.state), closing(Ledger(project.ledger_url)) as ledger:
        entries = ledger.times()
        if entries and entries[-1] > now + timedelta(minutes=5) and days is None:
            raise WriteFailed(
                f"The ledger's last entry is of {entries[-1]:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M} now: "
                "the clock is wrong, or was.",
                hint="Set the clock. If it is right now, `delivery prune --days 7` vouches for it.",
            )
        pruning = _Pruning(project, ledger, Clock(now, entries, days is not None), days, dry_run=dry_run)
        found = [*pruning.share(), *pruning.spool()]
        if not dry_run:
            ledger.tick(now)
        return found


class _Pruning:
    def __init__(self, project: Project, ledger: Ledger, clock: Clock, days: int | None, *, dry_run: bool) -> None:
        self._project, self._ledger, self._clock, self._days, self._dry_run = project, ledger, clock, days, dry_run
        declared = Integrations(project.integrations_file)
        declared.usable(())
        self._declared, self._integrations = declared.names, declared.loaded
        self._has_page = declared.share is not None
        self._deliveries: dict[str, Recorded] = {}  # of the files at hand
        self._unkept: list[tuple[File, str]] = []  # and not yet on record: `prune` finds that by looking, if we die

    def share(self) -> Iterable[Pruned]:
        """Delivered files and left-over temporary files of the hosted share, place by place."""
        try:
            for first, last in self._pages():
                there, self._deliveries = self._ledger.left_between(first, last)
                yield from self._places(there)
        finally:
            self._keep()

    def _pages(self) -> Iterable[tuple[str, str]]:
        """The first and the last of some places after the others, with so many files as may be at hand at once."""
        page: list[str] = []
        size = 0
        for place, count in self._ledger.places_below(str(self._project.share)):
            page.append(place)
            size += count
            if size >= AT_HAND:
                yield page[0], page[-1]
                page, size = [], 0
        if page:
            yield page[0], page[-1]

    def _places(self, there: list[File]) -> Iterable[Pruned]:
        places: dict[str, list[File]] = {}
        for file in there:
            if self._is_hosted(file):
                places.setdefault(file.destination, []).append(file)
        for place, known in places.items():
            path = Path(place)
            if not path.is_dir():
                yield from self._gone(known)
                continue
            try:
                with LocalDirectory(path, below=self._project.share) as directory:
                    yield from self._files(directory, known)
                    yield from self._temporary(directory, known)
            except (DeliveryError, OSError) as error:
                yield Pruned("file", "*", place, 0, "left", str(error))
            if self._has_page and not self._dry_run:
                describe(path, self._project.share, self._integrations)

    def spool(self) -> Iterable[Pruned]:
        """Spool folders that no delivery needs: of deliveries that have ended, or of none that the ledger knows."""
        needed = {row.id[:32] for row in self._ledger.find(deliveries.c.state.in_(NEEDED))}
        folders = sorted(self._project.spool.iterdir()) if self._project.spool.is_dir() else []
        for folder in folders:
            if folder.name in needed:
                continue
            if folder.is_symlink() or not folder.is_dir() or not SPOOL_FOLDER.fullmatch(folder.name):
                yield Pruned("spool", folder.name, str(folder.parent), 0, "left", "not ours")
                continue
            changed = _changed(folder)
            if (age := self._age(changed)) < timedelta(days=self._days or KEPT_DAYS):
                continue
            if not self._dry_run:
                clear(folder)
            yield Pruned("spool", folder.name, str(folder.parent), _days(age), "removed", "needed by no delivery")

    def _is_hosted(self, file: File) -> bool:
        """Whether it lies on the share. An integration that cannot be read now may ask for more days: not touched."""
        name = self._deliveries[file.delivery_id].integration
        integration = self._integrations.get(name)
        hosted = name not in self._declared if integration is None else integration.destination.type == "hosted"
        return hosted and file.destination.startswith(f"{self._project.share}/")

    def _gone(self, known: list[File]) -> Iterable[Pruned]:
        for file in filter(self._is_removable, known):
            yield self._record(file, timedelta(), "gone", "its directory is gone")

    def _files(self, directory: LocalDirectory, known: list[File]) -> Iterable[Pruned]:
        """By name, manifests first: a loader that sees a manifest finds its files."""
        names: dict[str, list[File]] = {}
        for file in sorted(known, key=lambda file: -file.part):
            names.setdefault(file.name, []).append(file)
        for name, rows in names.items():
            if any(self._is_needed(row) for row in rows):
                continue
            if removable := list(filter(self._is_removable, rows)):
                yield from self._named(directory, name, removable)

    def _named(self, directory: LocalDirectory, name: str, rows: list[File]) -> Iterable[Pruned]:
        """What lies under a name that one delivery, or with `existing: replace` several, gave it."""
        found = directory.look(name)
        if found is None:
            yield from (self._record(row, self._age(_instant(row.updated_at)), "gone", "collected") for row in rows)
            return
        where = directory.describe()
        if found.kind != "file":
            yield Pruned("file", name, where, 0, "left", "not a file")
            return
        age = self._age(_changed(Path(where, name)), *(_instant(row.updated_at) for row in rows))
        if age < timedelta(days=max(map(self._keep_days, rows)) if self._days is None else self._days):
            return
        if directory.hash(name) not in {row.sha256 for row in rows}:
            yield Pruned("file", name, where, _days(age), "left", "other content than the ledger knows")
            return
        if not self._dry_run:
            directory.remove(name)
        yield from (self._record(row, age, "removed", f"kept {_days(age):g} days") for row in rows)

    def _temporary(self, directory: LocalDirectory, known: list[File]) -> Iterable[Pruned]:
        """Temporary files under names of ours that no delivery may still finish."""
        ours = {file.name for file in known}
        needed = {file.name for file in known if self._is_needed(file)}
        patterns = {TEMPORARY_NAME} | {self._integrations[name].destination.temporary_name for name in self._of(known)}
        for name in directory.list():
            if {finished_name(pattern, name) for pattern in patterns}.isdisjoint(ours - needed):
                continue
            found = directory.look(name)
            age = self._age(_changed(Path(directory.describe(), name)))
            if found is None or found.kind != "file" or age < timedelta(days=self._days or KEPT_DAYS):
                continue
            if not self._dry_run:
                directory.remove(name)
            yield Pruned("temporary", name, directory.describe(), _days(age), "removed", "needed by no delivery")

    def _of(self, known: list[File]) -> set[str]:
        """The integrations of the files that can be read now."""
        return {self._deliveries[file.delivery_id].integration for file in known} & self._integrations.keys()

    def _is_needed(self, file: File) -> bool:
        return self._deliveries[file.delivery_id].state in NEEDED

    def _is_removable(self, file: File) -> bool:
        return self._deliveries[file.delivery_id].state == State.DELIVERED and file.state != FileState.PRUNED

    def _keep_days(self, file: File) -> int:
        return kept_days(self._integrations.get(self._deliveries[file.delivery_id].integration))

    def _age(self, since: datetime, *others: datetime) -> timedelta:
        return self._clock.age(since, *others)

    def _record(self, file: File, age: timedelta, done: str, why: str) -> Pruned:
        if not self._dry_run:
            self._unkept.append((file, why))
            if len(self._unkept) >= AT_ONCE:
                self._keep()
        return Pruned("file", file.name, file.destination, _days(age), done, why)

    def _keep(self) -> None:
        """Records what is gone: some hundreds at once, because each transaction is written through to the disk."""
        gone, self._unkept = self._unkept, []
        if gone:
            self._ledger.pruned(gone)


def _changed(path: Path) -> datetime:
    return datetime.fromtimestamp(path.lstat().st_mtime, UTC)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _days(age: timedelta) -> float:
    return round(age / timedelta(days=1), 1)

"""What the tests say of one client's rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.config.datasets import ACCEPTED_TESTS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from delivery.gate.asked import Asked
    from delivery.gate.lineage import Lineage
    from delivery.gate.log import Entry, Log


class Tested:
    """The tests on all that is read for what is asked. reasons and warnings: what `judge` found."""

    def __init__(self, asked: Asked, built: list[str], tests: list[str], lineage: Lineage, log: Log) -> None:
        self._asked = asked
        self._built = built
        self.tests = tests
        self._lineage = lineage
        self._nodes = lineage.nodes
        self._log = log
        self.reasons: list[str] = []
        self.warnings: list[str] = []

    def missing(self, read: set[str], accepted: set[tuple[str, str]]) -> Iterable[str]:
        """Tests that are not there, no more, or say less than they seem to."""
        if not self._lineage.has_key(self._asked.dataset):
            yield f"{self._asked.dataset.name}: no test tells its rows apart (unique, is_key, …)"
        for name, change in self._lineage.weakened(self.tests, read):
            if (name, change) not in accepted:
                yield f"{name}: says less than it seems to ({change}); say why in seeds/{ACCEPTED_TESTS}.csv"
        for known in self._log.tests:
            name = known.unique_id.split(".")[2]
            there = known.unique_id in self._nodes or self._lineage.is_switched_off(known.unique_id)
            spoke_of = self._lineage.last_of(known.speaks_of & self._nodes.keys())
            if not there and spoke_of & read and (name, "gone") not in accepted:
                yield f"{name}: is gone ({known.status} when it last ran); say why in seeds/{ACCEPTED_TESTS}.csv"

    def failed(self) -> Iterable[str]:
        """Tests that failed when they last ran, of this client's rows."""
        for test in self.tests:
            last = self._log.last_build(test)
            failed = last and last.status in ("fail", "error", "warn") and not self._may_warn(test, last)
            if last and failed and self._log.concerns(test, last, self._asked):
                yield f"{self._nodes[test]['name']}: {last.status}{last}"

    def _may_warn(self, test: str, entry: Entry) -> bool:
        meta = self._nodes[test]["config"].get("meta") or {}
        return entry.status == "warn" and meta.get("gate") == "open_list"

    def judge(self, test: str) -> None:
        """Adds what a test says to the reasons and warnings."""
        name = self._nodes[test]["name"]
        results = sorted(self._log.ends[test], key=lambda entry: entry.began_at)
        if test.startswith("unit_test."):  # it speaks of code, not of rows: daily builds leave it out
            if results:
                self._weigh(test, results[-1], None, None)
            return
        if not results:
            self.reasons.append(f"{name}: has no result")
            return
        growing = [node for node in self._lineage.read_by(test) if self._log.days[node]]
        since = self._last_change(test, growing if self._lineage.is_by_day(test) else ())
        if not self._lineage.is_by_day(test):
            self._weigh(test, self._proof(test, results, None, since), None, since)
            return
        if since is not None and results[-1].began_at < since:
            self.reasons.append(f"{name}: no result since the build of {since} UTC")
            return
        whole = next((entry for entry in reversed(results) if entry.whole_table), None)
        if whole and not self._has_passed(test, whole) and self._log.concerns(test, whole, self._asked):
            self.reasons.append(f"{name}: {whole.status} when it last looked at all days{whole}")
            return
        changed = [at for node in self._lineage.read_by(test) if (at := self._log.changed_at(node))]
        needed: dict[date, datetime] = {}
        for node in growing:
            for day, at in self._log.days[node].items():
                needed[day] = max([needed.get(day, at), at, *changed])
        for day, at in sorted(needed.items()):
            self._weigh(test, self._proof(test, results, day, at), day, at)

    def _last_change(self, test: str, growing: Iterable[str]) -> datetime | None:
        """When what the test reads was last built; of a source, when the command began that read it last."""
        times = []
        for node in self._lineage.read_by(test):
            if node in growing:
                continue
            if node in self._nodes and self._nodes[node]["resource_type"] == "source":
                readers = self._lineage.readers(node, self._built)
                times += [last.started_at for reader in readers if (last := self._log.last_build(reader))]
            elif last := self._log.last_build(node):
                times.append(last.ended_at)
        return max(times, default=None)

    def _weigh(self, test: str, proof: Entry | None, day: date | None, since: datetime | None) -> None:
        """What the deciding result says of what is asked."""
        name = self._nodes[test]["name"]
        where = f" for {day}" if day else ""
        if proof is None:
            self.reasons.append(f"{name}: no result{where} since the build of {since} UTC")
        elif proof.partial:
            self.reasons.append(f"{name}: its last run{where} was partial")
        elif proof.fingerprint and proof.fingerprint != self._lineage.fingerprint(test):
            self.reasons.append(f"{name}: was changed since its last run{where}")
        elif other := self._other_variables(test, proof):
            self.reasons.append(f"{name}: its last run{where} had other --vars than the build of {other}")
        elif self._may_warn(test, proof):
            rows = self._log.concerning(test, proof, self._asked, day)
            if rows != 0:
                self.warnings.append(f"{name}: {rows or proof.failures} rows outside an open list")
        elif proof.status != "pass":
            if self._log.concerns(test, proof, self._asked, day):
                self.reasons.append(f"{name}: {proof.status}{where}{proof}")
            elif (said := f"{name}: {proof.status}{proof}, of other clients or days") not in self.warnings:
                self.warnings.append(said)

    def _other_variables(self, test: str, proof: Entry) -> str | None:
        """What the test speaks of, where its command had variables that were not given when that was built.

        What it asks may be less for them; without any it asks what the project says.
        """
        if not proof.variables:
            return None
        built = [node for node in sorted(self._lineage.spoken_of(test)) if self._log.ends[node]]
        for node in built:
            ends = self._log.ends[node]
            if ends[-1].variables == proof.variables or any(end.invocation_id == proof.invocation_id for end in ends):
                return None
        return ", ".join(self._nodes[node]["name"] for node in built) or None

    def _has_passed(self, test: str, entry: Entry) -> bool:
        return not entry.partial and (entry.status == "pass" or self._may_warn(test, entry))

    def _proof(self, test: str, results: list[Entry], day: date | None, since: datetime | None) -> Entry | None:
        """The result that decides: the last one since the build; for a day, a pass since then.

        A test bounded by days looks at those that it has not passed since they were built (macros/days.sql), so a pass
        vouches for every day built until then, and a later failure speaks only of days built after it.
        """
        failed = None
        newest_first = [entry for entry in reversed(results) if since is None or entry.began_at >= since]
        for entry in newest_first:
            if day is None or entry.whole_table:
                return failed or entry
            if self._has_passed(test, entry):
                return self._warning(test, newest_first, day) or entry
            failed = failed or entry
        return failed

    def _warning(self, test: str, newest_first: list[Entry], day: date) -> Entry | None:
        """The last result that warned of the day: a test that may warn does not look at it again until it is built."""
        warned = (entry for entry in newest_first if self._may_warn(test, entry))
        return next((entry for entry in warned if self._log.concerning(test, entry, self._asked, day) != 0), None)

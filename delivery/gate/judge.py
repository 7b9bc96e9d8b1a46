"""The gate: a dataset leaves only if every test on it and on all that it is built from passed after it was last built.

dbt's manifest says which tests there must be; the build log that every dbt command appends to in the warehouse
(macros/audit.sql) says what became of them, so gate and rows are read in one snapshot. Tests on growing tables cover
the days built since they last passed; for those the gate asks about each day of the window.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from delivery.errors import EngineDown, GateRefused, WriteFailed, redact
from delivery.gate.lineage import Lineage
from delivery.sql import literal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from delivery.config.datasets import Dataset, Manifest
    from delivery.warehouse import Engine
    from delivery.windows import Window


# A day that a test must have covered (None: the whole table), and since when.
Need = tuple["date | None", "datetime | None"]


@dataclass(frozen=True)
class Verdict:
    """Whether a dataset may leave. reasons: every refusal, each naming the node or test and what was seen."""

    dataset: str
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    invocation_id: str | None = None

    @property
    def passed(self) -> bool:
        """True when nothing refuses."""
        return not self.reasons

    def error(self) -> GateRefused:
        """The refusal as an error."""
        return GateRefused(
            f"{self.dataset} is not proven:\n" + "\n".join(f"  {reason}" for reason in self.reasons),
            hint="Mend the data or the model, run `dbt build`, then run again.",
        )


@dataclass(frozen=True)
class Entry:
    """One result in the build log."""

    invocation_id: str
    started_at: datetime
    status: str
    failures: int | None
    partial: bool
    whole_table: bool
    message: str


@dataclass
class Log:
    """What the build log says about some nodes. starts and ends: per node, oldest first; days: per node and day."""

    starts: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    ends: dict[str, list[Entry]] = field(default_factory=lambda: defaultdict(list))
    days: dict[str, dict[date, list[tuple[datetime, str]]]] = field(default_factory=lambda: defaultdict(dict))

    def last_build(self, node: str) -> Entry | None:
        """The last result of building the node."""
        return self.ends[node][-1] if self.ends[node] else None


class Gate:
    """Judges datasets by one snapshot's build log."""

    def __init__(self, manifest: Manifest, engine: Engine) -> None:
        self._lineage = Lineage(manifest)
        self._nodes = self._lineage.nodes
        self._engine = engine
        self._verdicts: dict[tuple[str, Window | None, tuple[str, ...]], Verdict] = {}
        self._seen: dict[str, int] = {}  # lines of the build log, by schema, before it was first read

    def judge(self, dataset: Dataset, window: Window | None, proven_with: tuple[str, ...] = ()) -> Verdict:
        """The verdict on a dataset, for the days of a window or for all of its days. Raises EngineDown.

        proven_with: unique ids of what it leaves with: an audience, entitlements.
        """
        key = (dataset.name, window, proven_with)
        if key not in self._verdicts:
            self._verdicts[key] = self._judge(dataset, window, proven_with)
        return self._verdicts[key]

    def check_unchanged(self, dataset: Dataset) -> None:
        """Raises WriteFailed when something was built since the gate looked, on an engine that keeps no snapshot.

        A build says that it begins before it replaces anything (macros/audit.sql), so a log that has not grown vouches
        for every row that was read in between.
        """
        if not self._engine.is_snapshot and self._lines(dataset) != self._seen[_schema(dataset)]:
            raise WriteFailed(
                f"Something was built or tested while {dataset.name} was read.",
                hint="Let the build end, then run again; what was not finished is resumed.",
            )

    def _lines(self, dataset: Dataset) -> int:
        lines: int = self._engine.table(f"select count(*) as n from {_schema(dataset)}.build_log")["n"][0].as_py()
        return lines

    def _judge(self, dataset: Dataset, window: Window | None, proven_with: tuple[str, ...]) -> Verdict:
        built = sorted(self._lineage.upstream([dataset.unique_id, *proven_with]))
        tests = self._lineage.tests_on(set(built))
        try:
            if _schema(dataset) not in self._seen:
                self._seen[_schema(dataset)] = self._lines(dataset)
            log = self._read_log(dataset, [*built, *tests], window)
        except EngineDown:
            raise
        except Exception as error:  # noqa: BLE001 - without a readable log nothing is proven, whatever the cause
            return Verdict(dataset.name, (f"the build log cannot be read: {redact(str(error))}",))
        reasons = list(self._unbuilt(built, log))
        warnings: list[str] = []
        if reasons:
            reasons = [*self._failures(tests, log), *reasons]  # the cause before what it kept from being built
        else:
            for test in tests:
                # A unit test speaks of code: daily builds leave it out, and only a failure that nobody mended counts.
                if self._nodes[test]["resource_type"] == "unit_test":
                    reasons += self._failures([test], log)
                else:
                    self._judge_test(test, log, reasons, warnings)
        last = log.last_build(dataset.unique_id)
        return Verdict(dataset.name, tuple(reasons), tuple(warnings), last.invocation_id if last else None)

    def _read_log(self, dataset: Dataset, nodes: Iterable[str], window: Window | None) -> Log:
        schema = _schema(dataset)
        names = ", ".join(literal(node) for node in nodes)
        bounds = (
            "" if window is None else f" and event_day >= date '{window.start}' and event_day < date '{window.end}'"
        )
        log = Log()
        for row in self._engine.table(
            "select unique_id, event_day, invocation_id, started_at "
            f"from {schema}.build_days where unique_id in ({names}){bounds} order by started_at"
        ).to_pylist():
            builds = log.days[row["unique_id"]].setdefault(row["event_day"], [])
            builds.append((row["started_at"], row["invocation_id"]))
        # The log grows with every build: of older ones only each node's last word is read.
        since = min((builds[-1][0] for days in log.days.values() for builds in days.values()), default=None)
        recent = f" or started_at >= timestamp '{since}'" if since else ""
        for row in self._engine.table(
            "select * from (select unique_id, phase, invocation_id, started_at, status, failures, partial, whole_table,"
            " message, row_number() over (partition by unique_id, phase order by started_at desc) as age"
            f" from {schema}.build_log where unique_id in ({names})) as entries"
            f" where age = 1{recent} order by started_at"
        ).to_pylist():
            side = log.starts if row["phase"] == "start" else log.ends
            entry = Entry(
                row["invocation_id"],
                row["started_at"],
                row["status"],
                row["failures"],
                bool(row["partial"]),
                bool(row["whole_table"]),
                row["message"] or "",
            )
            side[row["unique_id"]].append(entry)
        return log

    def _unbuilt(self, built: Iterable[str], log: Log) -> Iterable[str]:
        skipped = []
        for node in built:
            name = self._nodes[node]["name"]
            last = log.last_build(node)
            begun = log.starts[node][-1] if log.starts[node] else None
            if last is None and begun is None:
                yield f"{name} was never built"
            elif last is None or (begun and begun.started_at > last.started_at):
                yield f"{name}: the build that began at {begun.started_at if begun else '?'} UTC did not end"
            elif last.status == "skipped":
                skipped.append(name)
            elif last.status != "success":
                yield f"{name}: its last build ended as {last.status}{_detail(last)}"
            elif last.partial:
                yield f"{name}: its last build was partial (--empty, --sample or --defer)"
        if skipped:
            yield f"skipped by the last build: {', '.join(skipped)}"

    def _failures(self, tests: Iterable[str], log: Log) -> Iterable[str]:
        for test in tests:
            last = log.last_build(test)
            if last and last.status in ("fail", "error", "warn") and not self._may_warn(test, last):
                yield f"{self._nodes[test]['name']}: {last.status}{_detail(last)}"

    def _may_warn(self, test: str, entry: Entry) -> bool:
        meta = self._nodes[test]["config"].get("meta") or {}
        return entry.status == "warn" and meta.get("gate") == "open_list"

    def _judge_test(self, test: str, log: Log, reasons: list[str], warnings: list[str]) -> None:
        name = self._nodes[test]["name"]
        results = log.ends[test]
        nodes = [n for n in self._nodes[test]["depends_on"]["nodes"] if n in log.ends or n in log.days]
        if not results:
            reasons.append(f"{name}: has no result")
            return
        needed: list[Need] = [(None, max((b.started_at for n in nodes if (b := log.last_build(n))), default=None))]
        if any(not entry.whole_table for entry in results):
            needed = self._days_to_prove(nodes, log)
        for day, since in needed:
            proof = self._proof(test, results, day, since)
            where = f" for {day}" if day else ""
            if proof is None:
                reasons.append(f"{name}: no result{where} since the build of {since} UTC")
            elif proof.partial:
                reasons.append(f"{name}: its last run{where} was partial")
            elif self._may_warn(test, proof):
                warnings.append(f"{name}: {proof.failures} rows outside an open list")
            elif proof.status != "pass":
                reasons.append(f"{name}: {proof.status}{where}{_detail(proof)}")

    def _proof(self, test: str, results: list[Entry], day: date | None, since: datetime | None) -> Entry | None:
        """The result that decides: the last one since the build; for a day, a pass since then.

        A test bounded by days looks at those that it has not passed since they were built (macros/days.sql), so a pass
        vouches for every day built until then, and a later failure speaks only of days built after it.
        """
        failed = None
        for entry in reversed(results):
            if since is not None and entry.started_at < since:
                break
            if day is None or entry.whole_table:
                return failed or entry
            if not entry.partial and (entry.status == "pass" or self._may_warn(test, entry)):
                return entry
            failed = failed or entry
        return failed

    def _days_to_prove(self, nodes: Iterable[str], log: Log) -> list[Need]:
        needed: dict[date, datetime] = {}
        for node in nodes:
            for day, builds in log.days[node].items():
                needed[day] = max(needed.get(day, builds[-1][0]), builds[-1][0])
        return sorted(needed.items())


def _schema(dataset: Dataset) -> str:
    return dataset.relation.rsplit(".", 1)[0]


def _detail(entry: Entry) -> str:
    rows = f" with {entry.failures} rows" if entry.failures else ""
    counted_only = entry.message.startswith("Got ")  # dbt's own words for a failing test
    return rows + (f": {redact(entry.message.strip())}" if entry.message.strip() and not counted_only else "")

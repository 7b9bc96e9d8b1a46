"""The gate: one client's rows leave only if they are complete, and every test on them passed since, for that client.

dbt's manifest says which tests there must be; the build log that every dbt command appends to in the warehouse
(dbt_package/macros/audit.sql) says what became of them, so gate and rows are read in one snapshot. Tests on growing
tables cover the days built since they last passed; for those the gate asks about each day of the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from functools import cached_property
from typing import TYPE_CHECKING

from delivery.config.datasets import ACCEPTED_TESTS, PACKAGE, build_log, datasets, relation_of
from delivery.errors import EngineDown, GateRefused, WriteFailed, redact
from delivery.gate.asked import Asked
from delivery.gate.complete import disagreeing, incomplete, outrun, overwritten, replaced, unbuilt, unstored
from delivery.gate.lineage import Lineage
from delivery.gate.log import Log, read_builds, read_log
from delivery.gate.rejected import Rejected, Rejections
from delivery.gate.tested import Tested

if TYPE_CHECKING:
    from datetime import date, datetime

    from delivery.config.datasets import Dataset, Manifest
    from delivery.warehouse import Engine
    from delivery.windows import Window


@dataclass(frozen=True)
class Verdict:
    """Whether a dataset may leave. reasons: every refusal, each naming the node or test and what was seen.

    built_at: when the dataset was last built; data_until: what had landed by then was read. Both UTC.
    """

    dataset: str
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    invocation_id: str | None = None
    built_at: datetime | None = None
    data_until: datetime | None = None
    rejected: Rejected | None = None  # what of the client's rows was, if the rest may leave and anything was

    @property
    def passed(self) -> bool:
        """True when nothing refuses."""
        return not self.reasons

    def error(self) -> GateRefused:
        """The refusal as an error."""
        return GateRefused(
            f"{self.dataset} is not proven:\n" + "\n".join(f"  {reason}" for reason in self.reasons),
            hint="Mend what a test names, then run again with --build, or after `dbt build` with the target used here.",
        )


class Gate:
    """Judges datasets by one snapshot's build log."""

    def __init__(self, manifest: Manifest, engine: Engine) -> None:
        self._manifest = manifest
        self._lineage = Lineage(manifest)
        self._nodes = self._lineage.nodes
        self._engine = engine
        self._rejections = Rejections(engine)
        self._logs: dict[tuple[str, Window | None, tuple[str, ...]], Log] = {}
        self._verdicts: dict[Asked, Verdict] = {}
        self._lists: dict[tuple[str, Window], tuple[str, ...]] = {}  # why a list of rejected rows is not known
        self._outruns: dict[tuple[str, datetime, tuple[str, ...]], list[str]] = {}
        self._seen: dict[str, int] = {}  # lines of the build log, by schema, before it was first read

    def judge(
        self,
        dataset: Dataset,
        window: Window | None,
        proven_with: tuple[str, ...] = (),
        *,
        namespace: str | None = None,
        complete_at: datetime | None = None,
    ) -> Verdict:
        """The verdict on a client's rows of a window, or of all days. Raises EngineDown.

        complete_at: by default, the window's end. Without a namespace, all clients' rows are asked about.
        """
        if complete_at is None and window is not None:
            complete_at = window.end_at
        asked = Asked(dataset, window, namespace, complete_at, proven_with)
        if asked not in self._verdicts:
            self._verdicts[asked] = self._judge(asked)
        return self._verdicts[asked]

    def rejected_by_day(self, namespace: str, window: Window) -> list[tuple[date, Rejected]]:
        """What of a client's rows was rejected, by list and day, whatever the tests say.

        Raises GateRefused where a list was not built to its end, and EngineDown.
        """
        found: list[tuple[date, Rejected]] = []
        for name, dataset in {d.rejects.name: d for d in datasets(self._manifest).values() if d.rejects}.items():
            if (name, window) not in self._lists:  # the log says the same of every client
                self._lists[name, window] = self._uncounted(dataset, window)
            if reasons := self._lists[name, window]:
                raise Verdict(dataset.name, reasons).error()
            found += self._rejections.by_day(dataset, namespace, window).items()
        return found

    def _uncounted(self, dataset: Dataset, window: Window) -> tuple[str, ...]:
        """Why nobody knows what was rejected."""
        counted = self._counted(dataset)
        try:
            log = read_log(self._engine, dataset.log, counted, window, {})
        except EngineDown:
            raise
        except Exception as error:  # noqa: BLE001 - whatever the cause
            return (self._unreadable(error),)
        return tuple(unbuilt(counted, self._lineage, log))

    def _counted(self, dataset: Dataset) -> list[str]:
        """What has the rejected rows: it must be built, but its tests say nothing of the rows that leave."""
        return sorted(self._lineage.upstream(dataset.rejects.nodes if dataset.rejects else ()))

    def check_unchanged(self, dataset: Dataset) -> None:
        """Raises WriteFailed when something was built since the gate looked, on an engine that keeps no snapshot.

        A build says that it begins before it replaces anything (dbt_package/macros/audit.sql), so a log that has not
        grown vouches for every row that was read in between.
        """
        if not self._engine.is_snapshot and self._lines(dataset) != self._seen[dataset.log]:
            raise WriteFailed(
                f"Something was built or tested while {dataset.name} was read.",
                hint="Let the build end, then run again; what was not finished is resumed.",
            )

    def _lines(self, dataset: Dataset) -> int:
        lines: int = self._engine.table(f"select count(*) as n from {dataset.log}.build_log")["n"][0].as_py()
        return lines

    def _judge(self, asked: Asked) -> Verdict:
        dataset = asked.dataset
        read = self._lineage.read([dataset.unique_id, *asked.proven_with])
        built = sorted(self._lineage.upstream(read))
        complete = sorted({*built, *self._counted(dataset)})
        tests = self._lineage.tests_on(read)
        try:
            log = self._log(asked, complete, read, tests)
            accepted = self._accepted
        except EngineDown:
            raise
        except Exception as error:  # noqa: BLE001 - without a readable log nothing is proven, whatever the cause
            return Verdict(dataset.name, (self._unreadable(error),))
        tested = Tested(asked, built, tests, self._lineage, log)
        reasons = [
            *replaced(read, self._lineage, self._views),
            *unstored({dataset.unique_id, *asked.proven_with}, self._lineage),
            *disagreeing(complete, self._lineage, log),
            *overwritten(complete, self._lineage, log),
            *unbuilt(complete, self._lineage, log),
        ]
        if reasons:
            reasons = [*tested.failed(), *reasons]  # the cause before what it kept from being built
        else:
            for test in tests:
                tested.judge(test)
            reasons = [
                *(list(incomplete(asked, complete, read, self._lineage, log)) or self._outrun(asked, complete, log)),
                *tested.missing(read, accepted),
                *tested.reasons,
            ]
        last = log.last_build(dataset.unique_id)
        return Verdict(
            dataset.name,
            tuple(reasons),
            tuple(tested.warnings),
            last.invocation_id if last else None,
            last.ended_at if last else None,
            min((entry.started_at for node in built if (entry := log.last_build(node))), default=None),
            None if reasons or asked.namespace is None else self._rejections.of(dataset, asked.namespace, asked.window),
        )

    def _outrun(self, asked: Asked, complete: list[str], log: Log) -> list[str]:
        """What was built before what it is made of. One command builds in order, so only of several is that asked."""
        commands = {last.invocation_id for node in complete if (last := log.last_build(node))}
        if asked.complete_at is None or len(commands) == 1:
            return []
        key = (asked.dataset.unique_id, asked.complete_at, asked.proven_with)
        if key not in self._outruns:  # the log says the same of every client
            since = asked.complete_at.astimezone(UTC).replace(tzinfo=None)
            builds = read_builds(self._engine, asked.dataset.log, complete, since)
            self._outruns[key] = list(outrun(complete, self._lineage, builds))
        return self._outruns[key]

    @cached_property
    def _views(self) -> frozenset[tuple[str, str]]:
        """Schema and name of each view, where tables are told from them; the reader of Spark refuses a view itself."""
        if (self._manifest.get("metadata") or {}).get("adapter_type") not in ("duckdb", "postgres"):
            return frozenset()
        query = "select table_schema, table_name from information_schema.tables where table_type = 'VIEW'"
        rows = self._engine.table(query).to_pylist()
        return frozenset((row["table_schema"], row["table_name"]) for row in rows)

    def _log(self, asked: Asked, complete: list[str], read: set[str], tests: list[str]) -> Log:
        log = asked.dataset.log
        if log not in self._seen:
            self._seen[log] = self._lines(asked.dataset)
        key = (asked.dataset.unique_id, asked.window, asked.proven_with)
        if key not in self._logs:
            beside = {parent for test in tests for parent in self._lineage.read_by(test)}
            nodes = sorted({*complete, *read, *tests, *beside})
            places = {node: self._lineage.place(node) for node in complete}
            self._logs[key] = read_log(self._engine, log, nodes, asked.window, places)
        return self._logs[key]

    @cached_property
    def _accepted(self) -> set[tuple[str, str]]:
        relation = relation_of(self._manifest, ACCEPTED_TESTS)
        if relation is None:
            return set()
        rows = self._engine.table(f"select * from {relation}").to_pylist()
        return {(row["test"], row["weakened_by"]) for row in rows if str(row.get("reason") or "").strip()}

    def _unreadable(self, error: Exception) -> str:
        without = f"; the dbt package {PACKAGE} writes it: docs/your-own-project.md"
        return f"the build log cannot be read: {redact(str(error))}" + ("" if build_log(self._manifest) else without)

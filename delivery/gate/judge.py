"""The gate: one client's rows leave only if they are complete, and every test on them passed since, for that client.

dbt's manifest says which tests there must be; the build log that every dbt command appends to in the warehouse
(macros/audit.sql) says what became of them, so gate and rows are read in one snapshot. Tests on growing tables cover
the days built since they last passed; for those the gate asks about each day of the window.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from delivery.config.datasets import ACCEPTED_TESTS, relation_of
from delivery.errors import EngineDown, GateRefused, WriteFailed, redact
from delivery.gate.lineage import Lineage
from delivery.gate.log import Entry, Log, read_log

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from delivery.config.datasets import Dataset, Manifest
    from delivery.warehouse import Engine
    from delivery.windows import Window

CLOCKS_DIFFER = timedelta(minutes=5)  # between the host that builds and this one


@dataclass(frozen=True)
class Asked:
    """What is to leave. complete_at: what it is built from must have begun to be built then, or later.

    proven_with: unique ids of what it leaves with: an audience, entitlements.
    """

    dataset: Dataset
    window: Window | None
    namespace: str | None = None
    complete_at: datetime | None = None
    proven_with: tuple[str, ...] = ()


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


class Gate:
    """Judges datasets by one snapshot's build log."""

    def __init__(self, manifest: Manifest, engine: Engine) -> None:
        self._manifest = manifest
        self._lineage = Lineage(manifest)
        self._nodes = self._lineage.nodes
        self._engine = engine
        self._logs: dict[tuple[str, Window | None, tuple[str, ...]], Log] = {}
        self._verdicts: dict[Asked, Verdict] = {}
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

    def _judge(self, asked: Asked) -> Verdict:
        dataset = asked.dataset
        read = self._lineage.read([dataset.unique_id, *asked.proven_with])
        built = sorted(self._lineage.upstream(read))
        tests = self._lineage.tests_on(read)
        try:
            log = self._log(asked, built, tests)
            accepted = self._accepted()
        except EngineDown:
            raise
        except Exception as error:  # noqa: BLE001 - without a readable log nothing is proven, whatever the cause
            return Verdict(dataset.name, (f"the build log cannot be read: {redact(str(error))}",))
        reasons = [*self._unbuilt(built, log)]
        warnings: list[str] = []
        if reasons:
            reasons = [*self._failures(tests, log, asked), *reasons]  # the cause before what it kept from being built
        else:
            reasons += self._incomplete(asked, built, log)
            reasons += self._untested(asked, read, tests, log, accepted)
            for test in tests:
                self._judge_test(test, log, asked, built, reasons, warnings)
        last = log.last_build(dataset.unique_id)
        return Verdict(
            dataset.name,
            tuple(reasons),
            tuple(warnings),
            last.invocation_id if last else None,
            last.ended_at if last else None,
            min((entry.started_at for node in built if (entry := log.last_build(node))), default=None),
        )

    def _log(self, asked: Asked, built: list[str], tests: list[str]) -> Log:
        schema = _schema(asked.dataset)
        if schema not in self._seen:
            self._seen[schema] = self._lines(asked.dataset)
        key = (asked.dataset.unique_id, asked.window, asked.proven_with)
        if key not in self._logs:
            beside = {parent for test in tests for parent in self._lineage.read_by(test)}
            self._logs[key] = read_log(self._engine, schema, sorted({*built, *tests, *beside}), asked.window)
        return self._logs[key]

    def _accepted(self) -> set[tuple[str, str]]:
        relation = relation_of(self._manifest, ACCEPTED_TESTS)
        if relation is None:
            return set()
        rows = self._engine.table(f"select test, weakened_by from {relation}").to_pylist()
        return {(row["test"], row["weakened_by"]) for row in rows}

    def _unbuilt(self, built: Iterable[str], log: Log) -> Iterable[str]:
        skipped = []
        now = datetime.now(UTC).replace(tzinfo=None) + CLOCKS_DIFFER
        for node in built:
            name = self._nodes[node]["name"]
            last, begun = log.last_build(node), self._open_build(node, log)
            if last is None and begun is None:
                yield f"{name} was never built"
            elif begun:
                yield f"{name}: the build that began at {begun.started_at} UTC did not end"
            elif last is None:
                continue
            elif last.status == "skipped":
                skipped.append(name)
            elif last.status != "success":
                yield f"{name}: its last build ended as {last.status}{_detail(last)}"
            elif last.partial:
                yield f"{name}: its last build was partial (--empty, --sample or --defer)"
            elif last.started_at > now:
                yield (
                    f"{name}: its last build began at {last.started_at} UTC, which is yet to come; take it back: "
                    f"dbt run-operation take_back --args '{{invocation_id: {last.invocation_id}}}'"
                )
        if skipped:
            yield f"skipped by the last build: {', '.join(skipped)}"

    def _open_build(self, node: str, log: Log) -> Entry | None:
        """A build that replaced the node's rows, or may have, and has not ended."""
        ended = {entry.invocation_id for entry in log.ends[node]}
        last = log.last_build(node)
        begun = log.starts[node][-1] if log.starts[node] else None
        if begun and begun.invocation_id not in ended and (last is None or begun.started_at > last.started_at):
            return begun
        replaced = log.replaced.get(node)  # by a command that began before the last one, and ran beside it
        if replaced and last and replaced.invocation_id not in ended and replaced.ended_at > last.ended_at:
            return replaced
        return None

    def _incomplete(self, asked: Asked, built: list[str], log: Log) -> Iterable[str]:
        """What may lack rows that came before the window ended."""
        if asked.complete_at is None:
            return
        until = asked.complete_at.astimezone(UTC).replace(tzinfo=None)
        what = "the window ended" if asked.window else "the slot"
        if until > datetime.now(UTC).replace(tzinfo=None):
            yield f"not built since {what} at {until} UTC, which is yet to come"
            return
        begun = {node: last.started_at for node in built if (last := log.last_build(node))}
        if late := [self._nodes[node]["name"] for node, at in begun.items() if at < until]:
            yield f"not built since {what} at {until} UTC, but at {min(begun.values())}: {', '.join(late)}"
            return
        if asked.window is None:
            return
        missing: dict[date, list[str]] = {}
        for node in built:
            if self._lineage.grows(node):
                for day in asked.window.days():
                    if day not in log.days[node]:
                        missing.setdefault(day, []).append(self._nodes[node]["name"])
        for day, names in missing.items():
            yield (
                f"{day} is not built: no build has it on record ({', '.join(names)}); if nothing was to come: "
                f"dbt build --vars '{{rebuild_from: {day}, rebuild_to: {day}}}'"
            )

    def _untested(
        self, asked: Asked, read: set[str], tests: list[str], log: Log, accepted: set[tuple[str, str]]
    ) -> Iterable[str]:
        """Tests that are not there, no more, or say less than they seem to."""
        if not self._lineage.has_key(asked.dataset):
            yield f"{asked.dataset.name}: no test tells its rows apart (unique, is_key, …)"
        for name, change in self._lineage.weakened(tests, read):
            if (name, change) not in accepted:
                yield f"{name}: says less than it seems to ({change}); say why in seeds/{ACCEPTED_TESTS}.csv"
        for known in log.tests:
            name = known.unique_id.split(".")[2]
            there = known.unique_id in self._nodes or known.unique_id in self._manifest.get("disabled", {})
            spoke_of = self._lineage.last_of(known.speaks_of & self._nodes.keys())
            if not there and spoke_of & read and (name, "gone") not in accepted:
                yield f"{name}: is gone ({known.status} when it last ran); say why in seeds/{ACCEPTED_TESTS}.csv"

    def _failures(self, tests: Iterable[str], log: Log, asked: Asked) -> Iterable[str]:
        for test in tests:
            last = log.last_build(test)
            failed = last and last.status in ("fail", "error", "warn") and not self._may_warn(test, last)
            if last and failed and log.concerns(test, last, asked.namespace, asked.window, None):
                yield f"{self._nodes[test]['name']}: {last.status}{_detail(last)}"

    def _may_warn(self, test: str, entry: Entry) -> bool:
        meta = self._nodes[test]["config"].get("meta") or {}
        return entry.status == "warn" and meta.get("gate") == "open_list"

    def _judge_test(
        self, test: str, log: Log, asked: Asked, built: list[str], reasons: list[str], warnings: list[str]
    ) -> None:
        name = self._nodes[test]["name"]
        results = sorted(log.ends[test], key=lambda entry: entry.began_at)
        if not results:
            reasons.append(f"{name}: has no result")
            return
        if test.startswith("unit_test."):  # it speaks of code, not of rows, and runs before the model
            self._weigh(test, results[-1], None, None, log, asked, reasons, warnings)
            return
        growing = [node for node in self._lineage.read_by(test) if log.days[node]]
        since = self._last_change(test, log, built, growing if self._lineage.is_by_day(test) else ())
        if not self._lineage.is_by_day(test):
            self._weigh(test, self._proof(test, results, None, since), None, since, log, asked, reasons, warnings)
            return
        if since is not None and results[-1].began_at < since:
            reasons.append(f"{name}: no result since the build of {since} UTC")
            return
        whole = next((entry for entry in reversed(results) if entry.whole_table), None)
        if (
            whole
            and not self._has_passed(test, whole)
            and log.concerns(test, whole, asked.namespace, asked.window, None)
        ):
            reasons.append(f"{name}: {whole.status} when it last looked at all days{_detail(whole)}")
            return
        changed = [at for node in self._lineage.read_by(test) if (at := log.changed_at(node))]
        needed: dict[date, datetime] = {}
        for node in growing:
            for day, at in log.days[node].items():
                needed[day] = max([needed.get(day, at), at, *changed])
        for day, at in sorted(needed.items()):
            self._weigh(test, self._proof(test, results, day, at), day, at, log, asked, reasons, warnings)

    def _last_change(self, test: str, log: Log, built: list[str], growing: Iterable[str]) -> datetime | None:
        """When what the test reads was last built; of a source, when the command began that read it last."""
        times = []
        for node in self._lineage.read_by(test):
            if node in growing:
                continue
            if node in self._nodes and self._nodes[node]["resource_type"] == "source":
                readers = self._lineage.readers(node, built)
                times += [last.started_at for reader in readers if (last := log.last_build(reader))]
            elif last := log.last_build(node):
                times.append(last.ended_at)
        return max(times, default=None)

    def _weigh(
        self, test: str, proof: Entry | None, day: date | None, since: datetime | None, log: Log, asked: Asked,
        reasons: list[str], warnings: list[str],
    ) -> None:  # fmt: skip
        """What the deciding result says of what is asked."""
        name = self._nodes[test]["name"]
        where = f" for {day}" if day else ""
        if proof is None:
            reasons.append(f"{name}: no result{where} since the build of {since} UTC")
        elif proof.partial:
            reasons.append(f"{name}: its last run{where} was partial")
        elif proof.fingerprint and proof.fingerprint != self._lineage.fingerprint(test):
            reasons.append(f"{name}: was changed since its last run{where}")
        elif self._may_warn(test, proof):
            warnings.append(f"{name}: {proof.failures} rows outside an open list")
        elif proof.status != "pass":
            if log.concerns(test, proof, asked.namespace, asked.window, day):
                reasons.append(f"{name}: {proof.status}{where}{_detail(proof)}")
            elif (said := f"{name}: {proof.status}{_detail(proof)}, of other clients or days") not in warnings:
                warnings.append(said)

    def _has_passed(self, test: str, entry: Entry) -> bool:
        return not entry.partial and (entry.status == "pass" or self._may_warn(test, entry))

    def _proof(self, test: str, results: list[Entry], day: date | None, since: datetime | None) -> Entry | None:
        """The result that decides: the last one since the build; for a day, a pass since then.

        A test bounded by days looks at those that it has not passed since they were built (macros/days.sql), so a pass
        vouches for every day built until then, and a later failure speaks only of days built after it.
        """
        failed = None
        for entry in reversed(results):
            if since is not None and entry.began_at < since:
                break
            if day is None or entry.whole_table:
                return failed or entry
            if self._has_passed(test, entry):
                return entry
            failed = failed or entry
        return failed


def _schema(dataset: Dataset) -> str:
    return dataset.relation.rsplit(".", 1)[0]


def _detail(entry: Entry) -> str:
    rows = f" with {entry.failures} rows" if entry.failures else ""
    counted_only = entry.message.startswith("Got ")  # dbt's own words for a failing test
    return rows + (f": {redact(entry.message.strip())}" if entry.message.strip() and not counted_only else "")

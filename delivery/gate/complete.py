"""Whether what a dataset is built from was built, and late enough to hold all that came until the window ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping
    from datetime import date

    from delivery.gate.asked import Asked
    from delivery.gate.lineage import Lineage
    from delivery.gate.log import Entry, Log

FRESHNESS = ("pass", "warn", "error")  # of a source that was asked; another status is no answer
STORED = ("table", "incremental", "seed")
CLOCKS_DIFFER = timedelta(minutes=5)  # between the host that builds and this one


def unbuilt(built: Iterable[str], lineage: Lineage, log: Log) -> Iterable[str]:
    """What was not built to its end, wholly, by a command of the past."""
    found = [(lineage.nodes[node]["name"], log.last_build(node), _open_build(node, log)) for node in built]
    if never := [name for name, last, begun in found if not last and not begun]:
        yield f"no dbt build of this warehouse made it: {', '.join(never)}"
    skipped = []
    now = datetime.now(UTC).replace(tzinfo=None) + CLOCKS_DIFFER
    for name, last, begun in found:
        if begun:
            yield f"{name}: the build that began at {begun.started_at} UTC did not end"
        elif last is None:
            continue
        elif last.status == "skipped":
            skipped.append(name)
        elif last.status != "success":
            yield f"{name}: its last build ended as {last.status}{last}"
        elif last.partial:
            yield f"{name}: its last build was partial (--empty, --sample or --defer)"
        elif last.started_at > now:
            yield (
                f"{name}: its last build began at {last.started_at} UTC, which is yet to come; take it back: "
                f"dbt run-operation take_back --args '{{invocation_id: {last.invocation_id}}}'"
            )
    if skipped:
        yield f"skipped by the last build: {', '.join(skipped)}"


def replaced(read: Iterable[str], lineage: Lineage, views: Container[tuple[str, str]]) -> Iterable[str]:
    """What was built as a table where a view stands now: `dbt clone` puts one there, and tells no log.

    views: schema and name.
    """
    for node in read:
        about = lineage.nodes[node]
        place = (about.get("schema", ""), about.get("alias") or about["name"])
        if about["config"].get("materialized") in STORED and place in views:
            yield f"{about['name']} was built as a table, and is a view now (`dbt clone`?)"


def unstored(read: Iterable[str], lineage: Lineage) -> Iterable[str]:
    """What shows rows that nothing has stored: whatever lands in its source leaves, and no test has looked at it."""
    for node in sorted(read):
        if shown := lineage.shown(node):
            name = lineage.nodes[node]["name"]
            yield (
                f"{name} shows rows of {', '.join(shown)} as they are when somebody looks, tested or not;"
                f" give it, or what is between, `materialized: table`, and build it"
            )


def disagreeing(built: Iterable[str], lineage: Lineage, log: Log) -> Iterable[str]:
    """What the manifest makes otherwise than its last build did.

    Of other models: what that was made of has tests unknown here. Into another table: the one that the manifest names
    holds what some build before left there. The database does not count: of DuckDB it is the file's name.
    """
    for node in built:
        last, name = log.last_build(node), lineage.nodes[node]["name"]
        if last and last.fingerprint and not node.startswith("seed.") and last.fingerprint != lineage.fingerprint(node):
            yield f"{name}: its last build read other models than the manifest says; build it"
        now = lineage.place(node)
        if last and last.speaks_of and last.speaks_of.rsplit(".", 2)[-2:] != now.rsplit(".", 2)[-2:]:
            yield f"{name}: its last build was into {last.speaks_of}, and the manifest says {now}; build it"


def overwritten(built: Iterable[str], lineage: Lineage, log: Log) -> Iterable[str]:
    """What another project, or a model of another name, has put its rows into since."""
    for node in built:
        last = log.last_build(node)
        by = log.stored.get(lineage.place(node), {})
        for other in sorted(other for other, at in by.items() if other != node and last and at > last.ended_at):
            yield f"{lineage.nodes[node]['name']}: {other} was built into the same table at {by[other]} UTC"


def outrun(
    built: Iterable[str], lineage: Lineage, builds: Mapping[str, list[tuple[datetime, datetime]]]
) -> Iterable[str]:
    """What no build has read since all that it is made of was complete.

    builds: per node, when each whole build by a command that began late enough began and ended.
    """
    whole: dict[str, datetime] = {}  # when a node first was: built late enough, from what was whole
    late = []

    def since(node: str) -> datetime:
        if node not in whole:
            ready = max(map(since, lineage.made_of(node)), default=datetime.min)
            ended = [end for began, end in builds.get(node, ()) if began >= ready]
            if lineage.is_view(node):  # its rows are those of what it shows, whenever it was made
                whole[node] = ready
            else:
                if not ended:
                    late.append(lineage.nodes[node]["name"])
                whole[node] = min(ended, default=ready)
        return whole[node]

    for node in sorted(built):
        since(node)
    if late:
        yield f"not built since what they are made of was: {', '.join(sorted(late))}"


def _open_build(node: str, log: Log) -> Entry | None:
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


def _stale(until: datetime, what: str, read: Iterable[str], lineage: Lineage, log: Log) -> Iterable[str]:
    """Sources in which nothing had landed for longer than they allow when the window ended, as dbt was told since."""
    for source in sorted(read):
        most, last = lineage.silence(source), log.last_build(source)
        if most is None or last is None or last.status not in FRESHNESS or last.ended_at < until:
            continue
        landed = datetime.fromisoformat(last.message).replace(tzinfo=None)  # dbt says it in UTC
        if until - landed > most:
            name = f"{lineage.nodes[source]['source_name']}.{lineage.nodes[source]['name']}"
            yield (
                f"source {name}: nothing has landed since {landed} UTC, more than {_days(most)}"
                f" before {what} at {until} UTC; once it has: dbt source freshness"
            )


def _days(silence: timedelta) -> str:
    return f"{silence.days} days" if silence.days and not silence.seconds else f"{silence / timedelta(hours=1):g} hours"


def incomplete(asked: Asked, built: list[str], read: Iterable[str], lineage: Lineage, log: Log) -> Iterable[str]:
    """What may lack rows that came before the window ended. read: what was built, and the sources."""
    if asked.complete_at is None:
        return
    until = asked.complete_at.astimezone(UTC).replace(tzinfo=None)
    what = "the window ended" if asked.window else "the slot"
    if until > datetime.now(UTC).replace(tzinfo=None):
        yield f"not built since {what} at {until} UTC, which is yet to come"
        return
    yield from _stale(until, what, read, lineage, log)
    begun = {node: last.started_at for node in built if (last := log.last_build(node))}
    if late := [lineage.nodes[node]["name"] for node, at in begun.items() if at < until]:
        yield f"not built since {what} at {until} UTC, but at {min(begun.values())}: {', '.join(late)}"
        return
    if asked.window is None:
        return
    missing: dict[date, list[str]] = {}
    for node in built:
        if lineage.grows(node):
            for day in asked.window.days():
                if day not in log.days[node]:
                    missing.setdefault(day, []).append(lineage.nodes[node]["name"])
    for day, names in missing.items():
        yield (
            f"{day} is not built: no build has it on record ({', '.join(names)}); if nothing was to come: "
            f"dbt build --vars '{{rebuild_from: {day}, rebuild_to: {day}}}'"
        )

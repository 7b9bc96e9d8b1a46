"""A run as OpenLineage events (openlineage.io, spec 2-0-2): of each delivery that it had in hand, start and end.

One JSON object a line, appended to a file, as OpenLineage's file transport writes them: whoever collects lineage reads
it from there.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from delivery import __version__
from delivery.handing_over import Ended
from delivery.ledger import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from delivery.config.project import Project
    from delivery.handing_over import Outcome
    from delivery.ledger import Delivery, File

PRODUCER = f"urn:dbt-delivery:{__version__}"
SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
STATISTICS = (
    "https://openlineage.io/spec/facets/1-0-2/OutputStatisticsOutputDatasetFacet.json"
    "#/$defs/OutputStatisticsOutputDatasetFacet"
)
COMPLETE = (Ended.DELIVERED, Ended.SKIPPED)
FAIL = (Ended.HELD, Ended.REFUSED, Ended.FAILED)


def append(file: Path, project: Project, found: Sequence[Outcome], began: datetime) -> list[str]:
    """Adds the events of a run to the file. Returns why not, where it cannot be written: no run fails by it."""
    try:
        text = "".join(json.dumps(event) + "\n" for event in events(project, found, began))
        with file.open("a", encoding="utf-8") as log:
            log.write(text)
    except OSError as error:
        return [f"{file} has no lineage of this run: {error.strerror}."]
    return []


def events(project: Project, found: Sequence[Outcome], began: datetime) -> Iterator[dict[str, Any]]:
    """Two events for each delivery that this run ended or tried to; none for those that had ended before."""
    ended = datetime.now(UTC)
    tables = {
        node["name"]: node["relation_name"].replace('"', "").replace("`", "")
        for node in project.manifest()["nodes"].values()
        if node["resource_type"] == "model" and node.get("relation_name")
    }
    for outcome in found:
        if outcome.state not in COMPLETE + FAIL:
            continue
        one = outcome.delivery
        about = {
            "run": {"runId": str(uuid5(NAMESPACE_URL, f"{PRODUCER}:{one.id}:{began.isoformat()}"))},
            "job": {"namespace": "delivery", "name": f"{one.campaign}.{one.integration}"},
            "producer": PRODUCER,
            "schemaURL": SCHEMA,
            "inputs": [{"namespace": _warehouse(project), "name": tables.get(one.dataset, one.dataset)}],
        }
        is_whole = outcome.state in COMPLETE
        files = [_file(one, file) for file in outcome.files if is_whole and file.role == Role.DATA]
        yield about | {"eventType": "START", "eventTime": began.isoformat(), "outputs": []}
        kind = "COMPLETE" if is_whole else "FAIL"
        yield about | {"eventType": kind, "eventTime": ended.isoformat(), "outputs": files}


def _warehouse(project: Project) -> str:
    """Where the tables are, by OpenLineage's conventions."""
    profile = project.profile
    if profile.get("type") == "postgres":
        return f"postgres://{profile.get('host', 'localhost')}:{profile.get('port', 5432)}"
    return str(profile.get("type"))


def _file(delivery: Delivery, file: File) -> dict[str, Any]:
    statistics = {"rowCount": file.rows or 0, "size": file.bytes, "_producer": PRODUCER, "_schemaURL": STATISTICS}
    return {
        "namespace": delivery.destination,
        "name": file.name,
        "outputFacets": {"outputStatistics": statistics},
    }

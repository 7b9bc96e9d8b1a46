"""Whether the values whose rows a client wants exist: a misspelt one would send nothing, and nobody would notice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.config.faults import nearest
from delivery.errors import GateRefused
from delivery.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.config.datasets import Dataset, Manifest
    from delivery.schedule.jobs import Job
    from delivery.warehouse import Engine


def refusal(job: Job, manifest: Manifest, engine: Engine) -> GateRefused | None:
    """Why the rows that are to be chosen cannot be; None when a test lists each value."""
    wrong = []
    for column, values in job.integration.rows.items():
        known = sorted({*_listed(job.campaign.dataset, column, manifest, engine)})
        if not known:
            wrong.append(f"{column}: no test lists its values (accepted_values, relationships, listed_in)")
        wrong += [
            f"{column}: unknown {value!r}; known: {', '.join(known)}{nearest(value, known)}"
            for value in values
            if known and value not in known
        ]
    if not wrong:
        return None
    return GateRefused(
        f"{job.integration_name}: rows cannot be chosen by\n" + "\n".join(f"  {line}" for line in wrong),
        hint="Mend `rows` of the integration; what was delivered once keeps its own: start a new campaign.",
    )


def _listed(dataset: Dataset, column: str, manifest: Manifest, engine: Engine) -> Iterator[str]:
    """The values that the column's tests allow."""
    for node in manifest["nodes"].values():
        about = node.get("test_metadata") or {}
        if node.get("attached_node") != dataset.unique_id or node.get("column_name") != column:
            continue
        if about["name"] == "accepted_values":
            yield from map(str, about["kwargs"]["values"])
        elif about["name"] in ("relationships", "listed_in"):
            field, to = identifier(about["kwargs"]["field"]), about["kwargs"]["to"]
            parents = (manifest["nodes"][name] for name in node["depends_on"]["nodes"] if name in manifest["nodes"])
            for relation in (parent["relation_name"] for parent in parents if parent["name"] in to):
                listed = engine.table(f"select distinct {field} as value from {relation} where {field} is not null")
                yield from listed["value"].to_pylist()

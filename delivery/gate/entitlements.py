"""Who may have which definition: what the warehouse says of the client's contract, asked before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.config.datasets import ENTITLEMENTS, relation_of
from delivery.errors import GateRefused
from delivery.sql import literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.config.datasets import Manifest
    from delivery.schedule.jobs import Job
    from delivery.warehouse import Engine


def refusal(job: Job, columns: Iterable[str], manifest: Manifest, engine: Engine) -> GateRefused | None:
    """Why the client must not get some of the columns, each with its reason; None when it may have them all.

    No override reaches this: it is the contract's word, not a test's.
    """
    namespace, dataset = job.integration.namespace, job.campaign.dataset
    # The key stands for the rows themselves: contacts alone need a contract, too.
    asked = [name for name in dict.fromkeys((dataset.key or "", *columns)) if name in dataset.definitions]
    if not asked:
        return None
    relation = relation_of(manifest, ENTITLEMENTS)
    query = f"select definition, entitled, reason from {relation} where namespace = {literal(namespace)}"
    known = {row["definition"]: row for row in engine.table(query).to_pylist()}
    refused = [
        f"{name}: {known[name]['reason'] if name in known else 'the platform does not list the client'}"
        for name in asked
        if name not in known or not known[name]["entitled"]
    ]
    if not refused:
        return None
    return GateRefused(
        f"{job.integration_name}: {namespace} may not have\n" + "\n".join(f"  {line}" for line in refused),
        hint="Take the definition out of the integration and start a new campaign, or have the contract extended.",
    )

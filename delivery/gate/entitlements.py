"""Who may have which definition: what the warehouse says of the client's contract, asked before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.config.datasets import DATASET_ENTITLEMENTS, ENTITLEMENTS, relation_of
from delivery.errors import GateRefused
from delivery.sql import literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.config.datasets import Manifest
    from delivery.schedule.jobs import Job
    from delivery.warehouse import Engine


def refusal(job: Job, columns: Iterable[str], manifest: Manifest, engine: Engine) -> GateRefused | None:
    """Why the client must not get the dataset, or some of the columns; None when it may have them all.

    No override reaches this: it is the contract's word, not a test's.
    """
    namespace, dataset = job.integration.namespace, job.campaign.dataset
    if without := dataset_refusal(dataset.name, namespace, manifest, engine):
        return without
    # The key stands for the rows themselves: contacts alone need a contract, too. So does what rows are chosen by.
    told = dict.fromkeys((dataset.key or "", *columns, *job.integration.rows))
    asked = [name for name in told if name in dataset.definitions]
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


def dataset_refusal(dataset: str, namespace: str, manifest: Manifest, engine: Engine) -> GateRefused | None:
    """Why the client must not get the dataset at all; None when it may, or when no contract speaks of the dataset."""
    relation = relation_of(manifest, DATASET_ENTITLEMENTS)
    if relation is None:
        return None
    query = f"select namespace, entitled, reason from {relation} where dataset = {literal(dataset)}"
    known = {row["namespace"]: row for row in engine.table(query).to_pylist()}
    if not known or (namespace in known and known[namespace]["entitled"]):
        return None
    reason = known[namespace]["reason"] if namespace in known else "the platform does not list the client"
    return GateRefused(
        f"{namespace} may not have {dataset}: {reason}.",
        hint="Leave the client out of the campaign, or have the contract extended: a line of platform/entitlements.",
    )

"""What keeps rows that the gate lets through from being written: their number, certificates, unknown spellings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.config.datasets import relation_of
from delivery.errors import ConfigError, GateRefused
from delivery.files.openpgp import check_certificates, check_signature
from delivery.files.receipts import Content, is_whole
from delivery.gate import bounds
from delivery.sql import literal

if TYPE_CHECKING:
    from delivery.config.campaigns import Campaign
    from delivery.config.datasets import Manifest
    from delivery.ledger import Ledger
    from delivery.schedule.jobs import Job
    from delivery.warehouse import Engine


def judge(job: Job, content: Content, ledger: Ledger, accepted: str | None) -> None:
    """The policies on the number of rows. Raises GateRefused."""
    rows = content.rows if content.holds is None else content.holds
    if refusal := bounds.refusal(job, rows, ledger) or _vanished(job, content):
        if accepted is None:
            raise refusal
        ledger.note(job.key, f"row count accepted: {accepted}; {refusal.message}")
    if empty := _empty(job, rows):
        raise empty


def foreseen(
    job: Job, rows: int, columns: tuple[str, ...], ledger: Ledger, *, accepted: bool
) -> GateRefused | ConfigError | None:
    """Why a delivery of so many rows, or a correction after which a window has so many, would not be written."""
    content = Content(rows, {}, holds=rows if job.corrects and not is_whole(job, columns, ledger) else None)
    refusal = None if accepted else bounds.refusal(job, rows, ledger) or _vanished(job, content)
    if found := refusal or _empty(job, rows):
        return found
    try:
        check_certificates(job.integration.certificates)
        check_signature(job.integration.signature)
    except ConfigError as error:
        return error
    return None


def _empty(job: Job, rows: int) -> GateRefused | None:
    if rows or job.empty != "fail":
        return None
    client, chosen = job.integration.namespace, ", ".join(job.integration.rows)
    lacks = f"none of the rows that {client} chooses by {chosen}" if chosen else f"no rows for {client}"
    return GateRefused(
        f"{job.campaign.dataset.name} has {lacks} in {job.when}.",
        hint="Find out why; or set `empty: header` or `empty: skip` for the campaign or the integration.",
    )


def _vanished(job: Job, content: Content) -> GateRefused | None:
    """Why a correction must not take all of a window back: that is rather a build that went wrong."""
    if content.holds != 0:
        return None
    return GateRefused(
        f"{job.campaign.name} to {job.integration_name} {job.when}: none of the rows that were delivered is left.",
        hint="Find out why. If that is right: run again with --ungated --reason.",
    )


def spellings(campaign: Campaign, manifest: Manifest, engine: Engine) -> dict[str, dict[str, str]]:
    """Per column, the client's spelling of its values: the event names of the seed `event_spellings`.

    Raises GateRefused when the seed does not know the campaign's spelling.
    """
    asked = campaign.export.layout.event_names
    if asked == "default":
        return {}
    seed = relation_of(manifest, "event_spellings")
    query = f"select event, name from {seed} where spelling = {literal(asked)}"
    rows = engine.table(query).to_pylist() if seed else []
    if not rows:
        raise GateRefused(
            f"{campaign.name}: the seed event_spellings has no spelling {asked!r}.",
            hint="Add it to seeds/event_spellings.csv and build.",
        )
    return {"event": {row["event"]: row["name"] for row in rows}}

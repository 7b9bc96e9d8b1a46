"""What a run would do, with gate verdicts, layout differences and taken names; nothing is touched."""

from __future__ import annotations

import shutil
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.config.integrations_file import Integrations
from delivery.errors import ConfigError, DeliveryError, ExitCode
from delivery.files import layouts
from delivery.files.receipts import unknown
from delivery.gate import chosen, entitlements, rejected
from delivery.gate.judge import Gate, Verdict
from delivery.ledger import OPEN_STATES, Ledger, State, deliveries
from delivery.ledger.identity import check_known, this_runner
from delivery.run import judge
from delivery.schedule.names import file_name
from delivery.setup import Setup, check_namespace, load, namespaces
from delivery.transfer.probe import foreseen_method
from delivery.warehouse import Engine, open_engine
from delivery.warehouse.kinds import kinds_of
from delivery.warehouse.rows import selection_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.config.project import Project
    from delivery.schedule.jobs import Job
    from delivery.schedule.request import Request


@dataclass(frozen=True)
class Forecast:
    """What `run` would do with one delivery. rows: None when the gate refuses or the delivery is done.

    publish: how its files will get their final names; empty until the destination was probed.
    """

    title: str
    state: str
    destination: str
    publish: str
    file: str
    verdict: Verdict | None
    rows: int | None
    columns: tuple[str, ...]
    layout_changes: tuple[str, ...]
    refusal: str  # what the contract does not allow, too many rejected rows, or what the client's settings lack
    hint: str  # what to do about it
    code: ExitCode
    taken: str  # why the delivery would be held, if it is foreseen


@dataclass(frozen=True)
class Snapshot:
    """The warehouse as of one moment. clients: those that it knows; None where the project keeps no list."""

    engine: Engine
    gate: Gate
    clients: frozenset[str] | None


def plan(project: Project, request: Request) -> list[Forecast]:
    """What `run` would do, without touching anything."""
    with closing(Ledger.to_read(project.ledger_url)) as ledger:
        check_known(project.state, this_runner(project.state), ledger, unattended=request.due)
        setup = load(project, Integrations(project.integrations_file), request.integrations)
        with _leaving_nothing(project.state):
            wanted = setup.wanted(request, ledger, keep=False)
            with open_engine(project) as engine:
                seen = Snapshot(engine, Gate(setup.manifest, engine), namespaces(setup.manifest, engine))
                return [_forecast(setup, job, ledger, seen) for job in wanted]


@contextmanager
def _leaving_nothing(state: Path) -> Iterator[None]:
    """Takes the folder in which an engine would spill away again, where there was no state directory before."""
    was_there = state.exists()
    try:
        yield
    finally:
        if not was_there:
            shutil.rmtree(state / "scratch", ignore_errors=True)
            with suppress(OSError):
                state.rmdir()


def _forecast(setup: Setup, job: Job, ledger: Ledger, seen: Snapshot) -> Forecast:
    state = next((row.state for row in ledger.find(deliveries.c.id == job.key)), State.PLANNED)
    refusal: DeliveryError | None = None
    verdict = kinds = rows = None
    if state == State.PLANNED:
        verdict = judge(job, seen.gate)
        kinds = kinds_of(job.campaign.dataset, seen.engine) if verdict.passed else None
    layout = layouts.layout_of(job, ledger, kinds or {})
    if kinds:
        refusal = entitlements.refusal(job, layout.columns, setup.manifest, seen.engine)
        refusal = refusal or chosen.refusal(job, setup.manifest, seen.engine)
        refusal = refusal or rejected.refusal(job, verdict.rejected if verdict else None)
        rows = selection_of(job, layout.columns).count(seen.engine)
    try:
        check_namespace(job.integration_name, job.integration, seen.clients)
    except ConfigError as error:
        refusal = error
    lack: DeliveryError | None = setup.lack(job)
    if state == State.PLANNED:
        lack = lack or unknown(job, setup.project)
    refusal = lack or refusal
    title, destination = (
        f"{job.campaign.name} to {job.integration_name} {job.window or job.when}",
        setup.destination(job),
    )
    return Forecast(
        title + (f" r{job.revision}" if job.revision else ""),
        state,
        destination.describe(),
        foreseen_method(destination, job.integration, ledger) or "",
        file_name(job, job.slot),
        verdict,
        rows,
        layout.columns,
        layouts.changes(layout, layouts.layout_asked(job.campaign, setup.integrations[job.integration_name]), kinds),
        refusal.message if refusal else "",
        refusal.hint if refusal else "",
        refusal.exit_code if refusal else ExitCode.DONE,
        _taken(job, ledger, destination.describe()) if state in OPEN_STATES else "",
    )


def _taken(job: Job, ledger: Ledger, where: str) -> str:
    """Why the first file's name would hold the delivery; the name itself is not looked for at the destination."""
    name = file_name(job, job.slot)
    others = [] if job.integration.filename_timestamped else ledger.deliveries_of(where, name, besides=job.key)
    if job.integration.existing == "replace":
        others = [row for row in others if (row.campaign, row.integration, row.namespace) != job.series]
    return f"{name} already lies in {where}, from {others[-1].title}: the delivery would be held." if others else ""

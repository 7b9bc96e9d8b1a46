"""What a run would do, with gate verdicts, layout differences and taken names; nothing is touched."""

from __future__ import annotations

import shutil
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from delivery.config.integrations_file import Integrations
from delivery.errors import ConfigError, DeliveryError, ExitCode, GateRefused
from delivery.files import layouts, policies
from delivery.files.receipts import unknown
from delivery.gate import chosen, entitlements, rejected
from delivery.gate.judge import Gate, Verdict
from delivery.ledger import OPEN_STATES, Ledger, State, deliveries
from delivery.ledger.identity import check_known, this_runner
from delivery.run import judge
from delivery.schedule.jobs import told_since
from delivery.schedule.names import file_name
from delivery.schedule.slots import SLOT
from delivery.setup import Setup, check_namespace, load, namespaces
from delivery.transfer.probe import foreseen_method
from delivery.warehouse import Engine, open_engine
from delivery.warehouse.kinds import kinds_of
from delivery.warehouse.rows import check_columns, selection_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.config.datasets import Dataset
    from delivery.config.project import Project
    from delivery.ledger import Delivery
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
    code: ExitCode  # that of `run`, which the gate's word counts for, too, unless a person overrides it
    taken: str  # why the delivery would be held, if it is foreseen


@dataclass(frozen=True)
class Snapshot:
    """The warehouse as of one moment. clients: those that it knows; None where the project keeps no list."""

    engine: Engine
    gate: Gate
    clients: frozenset[str] | None
    _kinds: dict[str, dict[str, str]] = field(default_factory=dict)

    def kinds(self, dataset: Dataset) -> dict[str, str]:
        """What each column of a table holds."""
        if dataset.relation not in self._kinds:
            self._kinds[dataset.relation] = kinds_of(dataset, self.engine)
        return self._kinds[dataset.relation]


def plan(project: Project, request: Request) -> list[Forecast]:
    """What `run` would do, without touching anything. Raises as `run` does."""
    with closing(Ledger.to_read(project.ledger_url)) as ledger:
        check_known(project.state, this_runner(project.state), ledger, unattended=request.due)
        setup = load(project, Integrations(project.integrations_file), request.integrations, request.select)
        with _leaving_nothing(project.state):
            wanted = setup.wanted(request, ledger, keep=False)
            with open_engine(project) as engine:
                seen = Snapshot(engine, Gate(setup.manifest, engine), namespaces(setup.manifest, engine))
                return setup.done([_forecast(setup, job, ledger, seen, request) for job in wanted])


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


def _forecast(setup: Setup, job: Job, ledger: Ledger, seen: Snapshot, request: Request) -> Forecast:
    row = next(iter(ledger.find(deliveries.c.id == job.key)), None)
    state = row.state if row else State.PLANNED
    refusal: DeliveryError | None = None
    verdict = kinds = rows = None
    if state == State.PLANNED:
        verdict = judge(job, seen.gate)
        kinds = seen.kinds(job.campaign.dataset) if verdict.passed or request.ungated else None
    layout = layouts.layout_of(job, ledger, kinds or {})
    if kinds:
        refusal = entitlements.refusal(job, layout.columns, setup.manifest, seen.engine)
        refusal = refusal or chosen.refusal(job, setup.manifest, seen.engine)
        if not request.ungated:
            refusal = refusal or rejected.refusal(job, verdict.rejected if verdict else None)
        rows = selection_of(job, layout.columns).count(seen.engine)
        if not setup.lack(job):  # whose certificates are no files, say
            refusal = refusal or _unfit(setup, job, ledger, seen, layout.columns, rows, accepted=request.ungated)
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
        _code(verdict, refusal, accepted=request.ungated),
        (_taken(job, ledger, destination.describe()) or _waits(job, row, ledger)) if state in OPEN_STATES else "",
    )


def _code(verdict: Verdict | None, refusal: DeliveryError | None, *, accepted: bool) -> ExitCode:
    if verdict and not verdict.passed and not accepted:
        return ExitCode.GATE
    return refusal.exit_code if refusal else ExitCode.DONE


def _unfit(
    setup: Setup, job: Job, ledger: Ledger, seen: Snapshot, columns: tuple[str, ...], rows: int, *, accepted: bool
) -> DeliveryError | None:
    """Why what the gate lets through would not be written. accepted: a person says that the number of rows is right."""
    try:
        if not seen.kinds(job.campaign.dataset).keys() >= set(columns):
            check_columns(seen.engine, selection_of(job, columns))
        policies.spellings(job.campaign, setup.manifest, seen.engine)
    except GateRefused as error:
        return error
    return policies.foreseen(job, rows, columns, ledger, accepted=accepted)


def _waits(job: Job, row: Delivery | None, ledger: Ledger) -> str:
    """Why changes would wait: those before them are held. What is only on its way may leave in the same run."""
    if job.campaign.export.mode != "changes":
        return ""
    since = row.since if row and row.state == State.SPOOLED else told_since(job, ledger)[1]
    held = ledger.find(deliveries.c.id == since, deliveries.c.state == State.HELD) if since else []
    return f"it tells the changes since {held[0].title}, which is held: it would wait for that one." if held else ""


def _taken(job: Job, ledger: Ledger, where: str) -> str:
    """Why the first file's name would hold the delivery; the name itself is not looked for at the destination."""
    name = file_name(job, job.slot)
    others = [] if job.integration.filename_timestamped else ledger.deliveries_of(where, name, besides=job.key)
    if job.integration.existing == "replace":  # not a file of its own, but for one of a later slot
        slot, own = job.slot.strftime(SLOT), job.series
        others = [row for row in others if (row.campaign, row.integration, row.namespace) != own or row.slot > slot]
    return f"{name} already lies in {where}, from {others[-1].title}: the delivery would be held." if others else ""

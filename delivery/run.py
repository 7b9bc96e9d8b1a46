"""One run: plan, gate, write, hand over, record. Each delivery ends for itself: one that fails stops no other."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from delivery.config.campaigns import campaigns as campaigns_of
from delivery.config.campaigns import definition_faults
from delivery.config.datasets import relation_of
from delivery.config.integrations import declared_definitions, declared_names, load_integrations
from delivery.errors import Busy, ConfigError, DeliveryError, DestinationFailed, ExitCode, GateRefused, Held, NothingDue
from delivery.files import layouts, receipts
from delivery.files.openpgp import check_certificate
from delivery.files.spool import Spool, clear, folder_of
from delivery.gate import entitlements
from delivery.gate.build import build
from delivery.gate.judge import Gate, Verdict
from delivery.ledger import OPEN_STATES, AskedBy, FileState, Ledger, State
from delivery.ledger.lock import only_runner
from delivery.ledger.opened import open_ledger
from delivery.schedule.jobs import Job, jobs, sent
from delivery.schedule.names import file_name
from delivery.transfer import open_destination
from delivery.transfer.probe import foreseen_method, publish_method
from delivery.transfer.protocol import hand_over, temp_name
from delivery.warehouse import Engine, open_engine
from delivery.warehouse.kinds import kinds_of
from delivery.warehouse.rows import selection_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.config.campaigns import Campaign
    from delivery.config.datasets import Manifest
    from delivery.config.integrations import Integration
    from delivery.config.project import Project
    from delivery.ledger import Delivery, File
    from delivery.schedule.request import Request
    from delivery.transfer import Destination
    from delivery.transfer.progress import Watch

ATTEMPTS = 3


class Ended(StrEnum):
    """How a delivery ended in a run. ALREADY: it had ended so before."""

    DELIVERED = "delivered"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    HELD = "held"
    REFUSED = "refused"
    FAILED = "failed"
    ALREADY_DELIVERED = "already delivered"
    ALREADY_SKIPPED = "already skipped"
    ALREADY_CANCELLED = "already cancelled"


@dataclass(frozen=True)
class Outcome:
    """How one delivery ended. code: what it asks of the operator; files: as recorded, in order of handing over."""

    delivery: Delivery
    state: Ended
    code: ExitCode
    files: tuple[File, ...] = ()
    message: str = ""
    hint: str = ""
    layout_changes: tuple[str, ...] = ()


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
    refusal: str  # what the contract does not allow


@dataclass(frozen=True)
class Setup:
    """The configuration of one run, validated."""

    project: Project
    manifest: Manifest
    campaigns: dict[str, Campaign]
    integrations: dict[str, Integration]

    def destination(self, job: Job) -> Destination:
        """The job's destination, not yet connected."""
        return open_destination(job.integration_name, job.integration, share=self.project.share, root=self.project.root)


def load(project: Project, integrations: tuple[str, ...] = ()) -> Setup:
    """Reads and checks integrations and campaigns. Raises ConfigError with every fault."""
    known = load_integrations(project.integrations_file, integrations or None)
    manifest = project.manifest()
    names = declared_names(project.integrations_file)  # those whose secrets are not set, too
    found = campaigns_of(manifest, names)
    if faults := definition_faults(found, declared_definitions(project.integrations_file)):
        raise ConfigError(
            f"{project.integrations_file.name} has faults:\n" + "\n".join(f"  {fault}" for fault in faults),
            hint="docs/data-dictionary.md has every definition.",
        )
    return Setup(project, manifest, found, known)


def run(project: Project, request: Request, watch: Watch, *, build_first: bool = False) -> list[Outcome]:
    """Makes the requested deliveries. Raises DeliveryError only for what concerns the run as a whole."""
    with only_runner(project.state), open_ledger(project) as ledger:
        if build_first:
            load_integrations(project.integrations_file, request.integrations or None)
            build(project, request.select)
        setup = load(project, request.integrations)
        wanted = _wanted(setup, request, ledger)
        rows: dict[str, Delivery] = {}
        refused: dict[str, Outcome] = {}
        for job in wanted:
            rows[job.key], busy = _take(setup, job, request, ledger)
            if busy:
                refused[job.key] = _failed(job, ledger, busy)
        planned = [job for job in wanted if rows[job.key].state == State.PLANNED and job.key not in refused]
        changed: dict[str, tuple[str, ...]] = {}
        refused |= _spool_all(setup, request, ledger, planned, changed)
        found = [refused.get(job.key) or _deliver(setup, job, ledger, watch, was=rows[job.key].state) for job in wanted]
        return [replace(one, layout_changes=changed.get(one.delivery.id, ())) for one in found]


def _take(setup: Setup, job: Job, request: Request, ledger: Ledger) -> tuple[Delivery, Busy | None]:
    """Plans a delivery and takes it in hand if there is something to do; what keeps us from it, if anything."""
    asked_by = AskedBy.SCHEDULE if request.due else AskedBy.HAND
    row = ledger.plan(**job.record(setup.destination(job).describe(), request.reason), asked_by=asked_by)
    if row.state not in OPEN_STATES:
        return row, None
    try:
        ledger.take(job.key)
    except Busy as busy:
        return row, busy
    row = ledger.delivery(job.key)
    if row.state == State.SPOOLED and not ledger.is_ours(row.spooled_by):
        _write_anew(setup, job, ledger, f"written anew: {row.spooled_by} has the spool")
    return ledger.delivery(job.key), None


def _write_anew(setup: Setup, job: Job, ledger: Ledger, note: str) -> None:
    """Puts back what lies in another runner's spool, unless a part of it may have been renamed: that is looked for."""
    files = ledger.files(job.key)
    if any(file.state not in {FileState.SPOOLED, FileState.UPLOADED} for file in files):
        return
    with suppress(DeliveryError), setup.destination(job) as destination:
        for file in files:
            destination.remove(temp_name(file))
    ledger.advance(job.key, State.SPOOLED, State.PLANNED, note=note)


def plan(project: Project, request: Request) -> list[Forecast]:
    """What `run` would do, without touching anything."""
    fresh = project.ledger_url.startswith("sqlite:///") and not (project.state / "ledger.sqlite").exists()
    with closing(Ledger("sqlite://" if fresh else project.ledger_url)) as ledger:
        setup = load(project, request.integrations)
        wanted = _wanted(setup, request, ledger)
        with open_engine(project) as engine:
            _check_namespaces(setup, wanted, engine)
            gate = Gate(setup.manifest, engine)
            return [_forecast(setup, job, ledger, gate, engine) for job in wanted]


def _wanted(setup: Setup, request: Request, ledger: Ledger) -> list[Job]:
    wanted = jobs(request, setup.campaigns, setup.integrations, ledger)
    wanted += receipts.outdated(sent(request, setup.campaigns, setup.integrations, ledger), setup.project)
    if not wanted:
        raise NothingDue(
            "Nothing is due.", hint="`delivery plan` shows the schedules; `delivery status` what was done."
        )
    places: dict[tuple[str, str], Job] = {}
    for job in wanted:
        place = (setup.destination(job).describe(), file_name(job, request.at))
        other = places.setdefault(place, job)
        if other is not job and job.integration.existing != "replace":
            raise ConfigError(
                f"{place[1]} in {place[0]} would be written by {other.campaign.name} for {other.when} "
                f"and by {job.campaign.name} for {job.when}.",
                hint="Put {campaign} and {window:%Y-%m-%d} into file_name.",
            )
    return wanted


def _check_namespaces(setup: Setup, wanted: Iterable[Job], engine: Engine) -> None:
    relation = relation_of(setup.manifest, "namespaces")
    if relation is None:
        return
    known = set(engine.table(f"select namespace from {relation}")["namespace"].to_pylist())
    unknown = {
        job.integration_name: job.integration.namespace for job in wanted if job.integration.namespace not in known
    }
    if unknown:
        raise ConfigError(
            "\n".join(
                f"integrations.{name}.namespace: unknown namespace {namespace!r}" for name, namespace in unknown.items()
            ),
            hint=f"Known: {', '.join(sorted(known))}.",
        )


def _spool_all(
    setup: Setup, request: Request, ledger: Ledger, planned: list[Job], changed: dict[str, tuple[str, ...]]
) -> dict[str, Outcome]:
    """Judges and writes what is only planned, all of it from one snapshot; returns what was refused.

    changed: is told how each layout differs from what a new campaign's would be.
    """
    refused: dict[str, Outcome] = {}
    if not planned:
        return refused
    with open_engine(setup.project) as engine:
        _check_namespaces(setup, planned, engine)
        gate = Gate(setup.manifest, engine)
        spool = Spool(setup.project, ledger, engine, gate, setup.manifest)
        for job in planned:
            try:
                verdict = gate.judge(job.campaign.dataset, job.window, job.campaign.proven_with)
                if not verdict.passed and not request.ungated:
                    raise verdict.error()
                if not verdict.passed:
                    ledger.note(job.key, f"gate overridden: {request.reason}; {len(verdict.reasons)} refusals")
                kinds = kinds_of(job.campaign.dataset, engine)
                layout = layouts.layout_of(job, ledger, kinds)
                changed[job.key] = layouts.changes(layout, job.campaign.columns(job.integration.definitions), kinds)
                if refusal := entitlements.refusal(job, layout.columns, setup.manifest, engine):
                    raise refusal
                accepted = request.reason if request.ungated else None
                spool.write(job, layout, verdict, setup.destination(job).describe(), accepted)
            except DeliveryError as error:
                ledger.note(job.key, error.message)
                refused[job.key] = _failed(job, ledger, error)
    return refused


def _deliver(setup: Setup, job: Job, ledger: Ledger, watch: Watch, *, was: str) -> Outcome:
    row = ledger.delivery(job.key)
    recorded = tuple(ledger.files(job.key))
    if row.state == State.HELD:
        return Outcome(row, Ended.HELD, ExitCode.FAILED, recorded, row.note, "Look at it: `delivery history`.")
    if row.state != State.SPOOLED:
        state = Ended(f"already {row.state}" if was == row.state else row.state)
        return Outcome(row, state, ExitCode.DONE, recorded, row.note)
    try:
        if job.integration.public_key:  # it may have expired since the file was encrypted
            check_certificate(job.integration.public_key)
        _hand_over_all(setup, job, ledger, watch)
    except Held as error:
        ledger.advance(job.key, State.SPOOLED, State.HELD, note=error.message)
        return _failed(job, ledger, error)
    except DeliveryError as error:
        ledger.note(job.key, error.message)
        return _failed(job, ledger, error)
    ledger.freeze_layout(job.key)  # before a run can die
    ledger.advance(job.key, State.SPOOLED, State.DELIVERED)
    clear(folder_of(setup.project, job.key))
    return Outcome(ledger.delivery(job.key), Ended.DELIVERED, ExitCode.DONE, tuple(ledger.files(job.key)))


def _hand_over_all(setup: Setup, job: Job, ledger: Ledger, watch: Watch) -> None:
    replace = job.integration.existing == "replace"
    for attempt in Retrying(
        retry=retry_if_exception_type(DestinationFailed),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.5, max=10),
        reraise=True,
    ):
        with attempt, setup.destination(job) as destination:
            method = publish_method(destination, job.integration, ledger, job.key[:8])
            for file in ledger.files(job.key):
                with watch.upload(f"{job.integration_name}: {file.name}", file.bytes) as progress:
                    hand_over(file, destination, ledger, replace=replace, method=method, progress=progress)


def _failed(job: Job, ledger: Ledger, error: DeliveryError) -> Outcome:
    kinds = {GateRefused: Ended.REFUSED, Held: Ended.HELD}
    state = next((state for kind, state in kinds.items() if isinstance(error, kind)), Ended.FAILED)
    return Outcome(
        ledger.delivery(job.key), state, error.exit_code, tuple(ledger.files(job.key)), error.message, error.hint
    )


def _forecast(setup: Setup, job: Job, ledger: Ledger, gate: Gate, engine: Engine) -> Forecast:
    try:
        state = ledger.delivery(job.key).state
    except KeyError:
        state = State.PLANNED
    verdict, refusal, kinds, rows = None, None, None, None
    if state == State.PLANNED:
        verdict = gate.judge(job.campaign.dataset, job.window, job.campaign.proven_with)
        kinds = kinds_of(job.campaign.dataset, engine) if verdict.passed else None
    layout = layouts.layout_of(job, ledger, kinds or {})
    if kinds:
        refusal = entitlements.refusal(job, layout.columns, setup.manifest, engine)
        rows = selection_of(job, layout.columns).count(engine)
    row = job.record("", None)
    title = f"{row['campaign']} to {row['integration']} {job.window or row['slot']}"
    return Forecast(
        title + (f" r{job.revision}" if job.revision else ""),
        state,
        setup.destination(job).describe(),
        foreseen_method(setup.destination(job), job.integration, ledger) or "",
        file_name(job, job.slot),
        verdict,
        rows,
        layout.columns,
        layouts.changes(layout, job.campaign.columns(job.integration.definitions), kinds),
        refusal.message if refusal else "",
    )

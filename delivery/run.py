"""One run: plan, gate, write, hand over, record. Each delivery ends for itself: one that fails stops no other."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from delivery.config.integrations_file import Integrations
from delivery.errors import (
    Busy,
    DeliveryError,
    DestinationFailed,
    ExitCode,
    GateRefused,
    Held,
    Stopped,
    stopped,
    unexpected,
)
from delivery.files import layouts
from delivery.files.openpgp import check_certificate
from delivery.files.receipts import forget
from delivery.files.spool import Spool, clear, folder_of
from delivery.gate import entitlements, rejected
from delivery.gate.build import build
from delivery.gate.judge import Gate, Verdict
from delivery.ledger import OPEN_STATES, AskedBy, FileState, Ledger, State, deliveries
from delivery.ledger.lock import only_runner
from delivery.ledger.opened import open_ledger
from delivery.schedule.jobs import waits_for
from delivery.setup import Setup, check_namespace, load, namespaces
from delivery.transfer.probe import publish_method
from delivery.transfer.protocol import hand_over, temp_name
from delivery.warehouse import open_engine
from delivery.warehouse.kinds import kinds_of

if TYPE_CHECKING:
    from delivery.config.project import Project
    from delivery.gate.rejected import Rejected
    from delivery.ledger import Delivery, File
    from delivery.progress import Watch
    from delivery.schedule.jobs import Job
    from delivery.schedule.request import Request

ATTEMPTS = 3
LISTED = 20  # deliveries that did not end, when a signal ends a run


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
    rejected: Rejected | None = None


def run(project: Project, request: Request, watch: Watch, *, build_first: bool = False) -> list[Outcome]:
    """Makes the requested deliveries. Raises DeliveryError only for what concerns the run as a whole."""
    with only_runner(project.state), open_ledger(project, unattended=request.due) as ledger:
        wanted: list[Job] = []
        try:
            declared = Integrations(project.integrations_file)
            if build_first:
                declared.usable(request.integrations or None)
                build(project, request.select, watch)
            setup = load(project, declared, request.integrations)
            wanted += setup.wanted(request, ledger, keep=True)
            forget(project)
            return _make(setup, request, ledger, watch, wanted)
        except Stopped as signal:
            raise stopped(str(signal), _where_things_stand(wanted, ledger)) from None


def _make(setup: Setup, request: Request, ledger: Ledger, watch: Watch, wanted: list[Job]) -> list[Outcome]:
    rows: dict[str, Delivery] = {}
    refused: dict[str, Outcome] = {}
    for job in wanted:
        rows[job.key], busy = _take(setup, job, request, ledger)
        if busy:
            refused[job.key] = _failed(job, ledger, busy)
    planned = [job for job in wanted if rows[job.key].state == State.PLANNED and job.key not in refused]
    told: dict[str, dict[str, Any]] = {}
    if planned:
        watch.stage(f"Deliveries to judge, write and prove: {len(planned)}.")
        refused |= _spool_all(setup, request, ledger, planned, told)
    found = [refused.get(job.key) or _deliver(setup, job, ledger, watch, was=rows[job.key].state) for job in wanted]
    return [replace(one, **told.get(one.delivery.id, {})) for one in found]


def _where_things_stand(wanted: list[Job], ledger: Ledger) -> list[str]:
    """A line for each delivery that has not ended, the first of them, and how many have."""
    rows = {row.id: row for row in ledger.find(deliveries.c.id.in_([job.key for job in wanted]))}
    unfinished = [row for row in rows.values() if row.state in OPEN_STATES]
    lines = [f"{len(rows) - len(unfinished)} of {len(wanted)} deliveries have ended."]
    lines += [f"{row.title}: {_stands(row, ledger)}" for row in unfinished[:LISTED]]
    more = len(wanted) - len(rows) + len(unfinished[LISTED:])
    return [*lines, *([f"{more} more: not begun, or not handed over."] if more else [])]


def _stands(row: Delivery, ledger: Ledger) -> str:
    if row.state == State.PLANNED:
        return "not written yet"
    files = ledger.files(row.id)
    done = sum(file.state == FileState.PUBLISHED for file in files)
    undecided = [file.name for file in files if file.state in {FileState.PUBLISHING, FileState.OPENING}]
    looks = f"; whether {undecided[0]} has its name is looked at first" if undecided else ""
    return f"written, {done} of {len(files)} files handed over{looks}"


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
    elif row.state == State.SPOOLED and (before := waits_for(row, ledger)) and before.state == State.CANCELLED:
        _write_anew(setup, job, ledger, f"written anew: {before.title}, since which it told the changes, was cancelled")
    return ledger.delivery(job.key), None


def _write_anew(setup: Setup, job: Job, ledger: Ledger, note: str) -> None:
    """Puts back what lies in another runner's spool, unless a part of it may have been renamed: that is looked for."""
    files = ledger.files(job.key)
    if any(file.state not in {FileState.SPOOLED, FileState.UPLOADED} for file in files):
        return
    with suppress(DeliveryError), setup.destination(job) as destination:
        for file in files:
            destination.remove(temp_name(file, destination))
    ledger.advance(job.key, State.SPOOLED, State.PLANNED, note=note)


def _spool_all(
    setup: Setup, request: Request, ledger: Ledger, planned: list[Job], told: dict[str, dict[str, Any]]
) -> dict[str, Outcome]:
    """Judges and writes what is only planned, all of it from one snapshot; returns what was refused.

    told: gets what people are to know of each: how its layout differs from a new campaign's, and what was rejected.
    """
    refused: dict[str, Outcome] = {}
    with open_engine(setup.project) as engine:
        gate, clients = Gate(setup.manifest, engine), namespaces(setup.manifest, engine)
        spool = Spool(setup.project, ledger, engine, gate, setup.manifest)
        for job in planned:
            try:
                check_namespace(job.integration_name, job.integration, clients)
                _write(setup, job, request, spool, told)
            except Exception as error:  # noqa: BLE001 - whatever it is, it stops no other delivery
                refused[job.key] = _noted(job, ledger, error)
    return refused


def _write(setup: Setup, job: Job, request: Request, spool: Spool, told: dict[str, dict[str, Any]]) -> None:
    verdict = judge(job, spool.gate)
    if not verdict.passed and not request.ungated:
        raise verdict.error()
    if not verdict.passed:
        spool.ledger.note(job.key, f"gate overridden: {request.reason}; {len(verdict.reasons)} refusals")
    kinds = kinds_of(job.campaign.dataset, spool.engine)
    layout = layouts.layout_of(job, spool.ledger, kinds)
    differs = layouts.changes(layout, job.campaign.columns(job.integration.definitions), kinds)
    told[job.key] = {"layout_changes": differs, "rejected": verdict.rejected}
    if refusal := entitlements.refusal(job, layout.columns, setup.manifest, spool.engine):
        raise refusal
    if refusal := rejected.refusal(job, verdict.rejected):
        if not request.ungated:
            raise refusal
        spool.ledger.note(job.key, f"rejected rows accepted: {request.reason}; {verdict.rejected}")
    accepted = request.reason if request.ungated else None
    spool.write(job, layout, verdict, setup.destination(job).describe(), accepted)


def judge(job: Job, gate: Gate) -> Verdict:
    """The gate's verdict on a delivery's rows."""
    return gate.judge(
        job.campaign.dataset,
        job.window,
        job.campaign.proven_with,
        namespace=job.integration.namespace,
        complete_at=job.complete_at,
    )


def _deliver(setup: Setup, job: Job, ledger: Ledger, watch: Watch, *, was: str) -> Outcome:
    row = ledger.delivery(job.key)
    recorded = tuple(ledger.files(job.key))
    if row.state == State.HELD:
        return Outcome(row, Ended.HELD, ExitCode.FAILED, recorded, row.note, "Look at it: `delivery status ID`.")
    if row.state != State.SPOOLED:
        ended = Ended(f"already {row.state}" if was == row.state else row.state)
        return Outcome(row, ended, ExitCode.DONE, recorded, row.note)
    try:
        if job.integration.public_key:  # it may have expired since the file was encrypted
            check_certificate(job.integration.public_key)
        _hand_over_all(setup, job, ledger, watch)
    except Held as error:
        ledger.advance(job.key, State.SPOOLED, State.HELD, note=error.message)
        return _failed(job, ledger, error)
    except Exception as error:  # noqa: BLE001 - whatever it is, it stops no other delivery
        return _noted(job, ledger, error)
    ledger.freeze_layout(job.key)  # before a run can die
    ledger.advance(job.key, State.SPOOLED, State.DELIVERED)
    clear(folder_of(setup.project, job.key))
    return Outcome(ledger.delivery(job.key), Ended.DELIVERED, ExitCode.DONE, tuple(ledger.files(job.key)))


def _hand_over_all(setup: Setup, job: Job, ledger: Ledger, watch: Watch) -> None:
    if before := waits_for(ledger.delivery(job.key), ledger):
        raise DeliveryError(
            f"It tells the changes since {before.title}, which the client does not have yet: {before.state}.",
            hint="It leaves after that one has; a person may have to decide on it: `delivery status --held`.",
        )
    with setup.login(job):
        _try_to_hand_over(setup, job, ledger, watch)


def _try_to_hand_over(setup: Setup, job: Job, ledger: Ledger, watch: Watch) -> None:
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


def _noted(job: Job, ledger: Ledger, error: Exception) -> Outcome:
    known = error if isinstance(error, DeliveryError) else unexpected(error)
    ledger.note(job.key, known.message)
    return _failed(job, ledger, known)


def _failed(job: Job, ledger: Ledger, error: DeliveryError) -> Outcome:
    state = Ended.REFUSED if isinstance(error, GateRefused) else Ended.HELD if isinstance(error, Held) else Ended.FAILED
    row, recorded = ledger.delivery(job.key), tuple(ledger.files(job.key))
    return Outcome(row, state, error.exit_code, recorded, error.message, error.hint)

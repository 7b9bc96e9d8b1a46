"""One run: plan, gate, write, hand over, record. Each delivery ends for itself: one that fails stops no other."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from delivery.config.integrations_file import Integrations
from delivery.errors import Busy, Stopped, stopped
from delivery.files import layouts
from delivery.gate import chosen, entitlements, rejected
from delivery.gate.build import build
from delivery.gate.judge import Gate, Verdict
from delivery.handing_over import HandingOver, Outcome
from delivery.lanes import Lanes
from delivery.ledger import NOT_LEFT, OPEN_STATES, AskedBy, FileState, Ledger, State, deliveries
from delivery.ledger.lock import only_runner
from delivery.ledger.opened import open_ledger
from delivery.schedule.jobs import waits_for
from delivery.schedule.request import DEADLINE
from delivery.setup import check_namespace, load, namespaces
from delivery.warehouse import open_engine
from delivery.warehouse.kinds import kinds_of

if TYPE_CHECKING:
    from delivery.config.project import Project
    from delivery.files.spool import Spool
    from delivery.ledger import Delivery
    from delivery.progress import Watch
    from delivery.schedule.jobs import Job
    from delivery.schedule.request import Request

WRITTEN_NO_MORE = (State.CANCELLED, State.PLANNED)  # or not yet again
LISTED = 20  # deliveries that did not end, when a signal ends a run


def run(
    project: Project, request: Request, watch: Watch, *, build_first: bool = False, deadline: float = DEADLINE
) -> list[Outcome]:
    """Makes the requested deliveries. Raises DeliveryError only for what concerns the run as a whole, and LeftOut.

    deadline: seconds, those of the build among them, after which nothing more is begun and what is under way is left
    to the next run. A build is not cut off.
    """
    ends = time.monotonic() + deadline
    with only_runner(project.state), open_ledger(project, unattended=request.due) as ledger:
        wanted: list[Job] = []
        try:
            declared = Integrations(project.integrations_file)
            if build_first:
                declared.usable(request.integrations or (() if declared.possible else None))
                build(project, request.select, watch)
            setup = load(project, declared, request.integrations, request.select)
            wanted += setup.wanted(request, ledger, keep=True)
            return setup.done(_make(HandingOver(setup, ledger, watch, Lanes()), request, wanted, ends))
        except Stopped as signal:
            raise stopped(str(signal), _where_things_stand(wanted, ledger)) from None


def _make(handing: HandingOver, request: Request, wanted: list[Job], ends: float) -> list[Outcome]:
    with (
        handing.watch.deliveries(len(wanted)),
        closing(handing.setup.kept),
        handing.lanes as lanes,
        lanes.within(ends - time.monotonic()),
    ):
        rows = {job.key: _take(job, request, handing) for job in wanted}
        later: list[Job] = []
        behind: set[tuple[str, str, str]] = set()
        for job in wanted:
            if job.key in handing.outcomes:
                continue
            if rows[job.key].state == State.PLANNED:
                behind.add(job.series)
            if job.series in behind:
                later.append(job)
            else:  # what was written before need not wait for what is written now, but for what comes before it
                handing.begin(job, was=rows[job.key].state)
        if later:
            _write_and_begin(later, request, handing)
        lanes.finish()
        for job in wanted:
            if job.key not in handing.outcomes:
                handing.late(job)
    return [replace(handing.outcomes[job.key], **handing.told.get(job.key, {})) for job in wanted]


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


def _take(job: Job, request: Request, handing: HandingOver) -> Delivery:
    """Plans a delivery and takes it in hand if there is something to do and nobody else has it."""
    asked_by = AskedBy.SCHEDULE if request.due else AskedBy.HAND
    ledger = handing.ledger
    row = ledger.plan(**job.record(handing.setup.destination(job).describe(), request.reason), asked_by=asked_by)
    if row.state not in OPEN_STATES:
        return row
    if lack := handing.setup.lack(job):
        handing.noted(job, lack)
        return row
    try:
        ledger.take(job.key)
    except Busy as busy:
        handing.failed(job, busy)
        return row
    row = ledger.delivery(job.key)
    if request.redeliver and _may_be_all(job, row, ledger):
        ledger.ask_again(row, request.reason or "")
        if row.state == State.SPOOLED and row.corrects:
            _write_anew(job, handing, "written anew: all of it is to be sent again")
    elif row.state == State.SPOOLED and not ledger.is_ours(row.spooled_by):
        _write_anew(job, handing, f"written anew: {row.spooled_by} has the spool")
    elif row.state == State.SPOOLED and row.destination != (leads := handing.setup.destination(job).describe()):
        _write_anew(job, handing, f"written anew: {job.integration_name} leads to {leads} now")
        _hold_what_moved(job, ledger, leads)
    elif row.state == State.SPOOLED and (before := waits_for(row, ledger)) and before.state in WRITTEN_NO_MORE:
        _write_anew(job, handing, f"written anew: {before.title}, since which it told the changes, is {before.state}")
    return ledger.delivery(job.key)


def _may_be_all(job: Job, row: Delivery, ledger: Ledger) -> bool:
    """Whether a delivery that has not left can be the whole one that is asked for again.

    Changes are what they are, and so is a correction of which a part went: the whole one comes after these.
    """
    begun = {file.state for file in ledger.files(row.id)} - {*NOT_LEFT}
    return job.campaign.export.mode == "full" and not (row.corrects and begun)


def _write_anew(job: Job, handing: HandingOver, note: str) -> None:
    """Puts back what lies in another runner's spool, unless a part of it may have been renamed: that is looked for."""
    files = handing.ledger.files(job.key)
    if all(file.state in NOT_LEFT for file in files):
        handing.take_back(job, files)
        handing.ledger.advance(job.key, State.SPOOLED, State.PLANNED, note=note)


def _hold_what_moved(job: Job, ledger: Ledger, leads: str) -> None:
    """No delivery lies in two places: one of which a part went before the integration led elsewhere waits."""
    row, states = ledger.delivery(job.key), {file.state for file in ledger.files(job.key)}
    if row.state == State.SPOOLED and states != {FileState.PUBLISHED}:
        why = f"A part of it lies in {row.destination}, or may, and {job.integration_name} leads to {leads} now."
        ledger.advance(job.key, State.SPOOLED, State.HELD, note=why)


def _write_and_begin(jobs: list[Job], request: Request, handing: HandingOver) -> None:
    """Judges and writes what is only planned, all of it from one snapshot; each leaves as soon as it is written."""
    from delivery.files.spool import Spool  # here, because formatting is slow to import, and often nothing is due

    setup, ledger = handing.setup, handing.ledger
    states = {job.key: ledger.delivery(job.key).state for job in jobs}
    count = sum(state == State.PLANNED for state in states.values())
    handing.watch.stage(f"Deliveries to judge, write and prove: {count}.")
    with open_engine(setup.project) as engine:
        gate, clients = Gate(setup.manifest, engine), namespaces(setup.manifest, engine)
        spool = Spool(setup.project, ledger, engine, gate, setup.manifest)
        for job in jobs:
            if handing.lanes.ended.is_set():
                return
            try:
                if states[job.key] == State.PLANNED:
                    check_namespace(job.integration_name, job.integration, clients)
                    _write(job, request, spool, handing)
            except Exception as error:  # noqa: BLE001 - whatever it is, it stops no other delivery
                handing.noted(job, error)
            else:
                handing.begin(job, was=states[job.key])


def _write(job: Job, request: Request, spool: Spool, handing: HandingOver) -> None:
    setup = handing.setup
    verdict = judge(job, spool.gate)
    if not verdict.passed and not request.ungated:
        raise verdict.error()
    if not verdict.passed:
        spool.ledger.note(job.key, f"gate overridden: {request.reason}; {len(verdict.reasons)} refusals")
    kinds = kinds_of(job.campaign.dataset, spool.engine)
    layout = layouts.layout_of(job, spool.ledger, kinds)
    asked = layouts.layout_asked(job.campaign, setup.integrations[job.integration_name])
    differs = layouts.changes(layout, asked, kinds)
    handing.told[job.key] = {
        "layout_changes": differs, "rejected": verdict.rejected, "warnings": verdict.warnings
    }  # fmt: skip
    if refusal := entitlements.refusal(job, layout.columns, setup.manifest, spool.engine):
        raise refusal
    if refusal := chosen.refusal(job, setup.manifest, spool.engine):
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

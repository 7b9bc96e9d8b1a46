"""Handing over what is written, side by side with others, and how each delivery ended."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from tenacity import (
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_random_exponential,
)

from delivery.errors import (
    Busy,
    DeliveryError,
    DestinationFailed,
    ExitCode,
    GateRefused,
    Held,
    LoginRefused,
    known,
)
from delivery.files.disk import clear, folder_of
from delivery.files.openpgp import check_certificates
from delivery.lanes import Again
from delivery.ledger import Ledger, State
from delivery.schedule.jobs import waits_for
from delivery.transfer.probe import publish_method
from delivery.transfer.protocol import hand_over, temp_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from delivery.gate.rejected import Rejected
    from delivery.lanes import Lanes
    from delivery.ledger import Delivery, File
    from delivery.progress import Watch
    from delivery.schedule.jobs import Job
    from delivery.setup import Setup
    from delivery.transfer import Destination

ATTEMPTS = 3
BACK_OFF = wait_random_exponential(multiplier=0.5, max=10)


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
    """How one delivery ended. code: what it asks of the operator; files: as recorded, in order of handing over.

    late: the destination's time was over; the next run goes on.
    """

    delivery: Delivery
    state: Ended
    code: ExitCode
    files: tuple[File, ...] = ()
    message: str = ""
    hint: str = ""
    layout_changes: tuple[str, ...] = ()
    rejected: Rejected | None = None
    warnings: tuple[str, ...] = ()
    late: bool = False


@dataclass(frozen=True)
class HandingOver:
    """The deliveries of one run, each in a lane.

    By key, outcomes: of those that have ended; told: what people are to know of one beside, as fields of its outcome.
    """

    setup: Setup
    ledger: Ledger
    watch: Watch
    lanes: Lanes
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)

    def begin(self, job: Job, *, was: str) -> None:
        """Hands a delivery over as soon as there is a lane, if it is written. was: its state before this run."""
        row = self.ledger.delivery(job.key)
        if row.state == State.SPOOLED:
            self._in_a_lane(job, partial(self._deliver, job))
            return
        recorded = tuple(self.ledger.files(job.key))
        if row.state == State.HELD:
            hint = "Look at it: `delivery status ID`."
            self._ended(Outcome(row, Ended.HELD, ExitCode.FAILED, recorded, row.note, hint))
        else:
            if row.state == State.DELIVERED:  # by a run that may have died before it had said so on the page
                self.setup.describe(job)
            ended = Ended(f"already {row.state}" if was == row.state else row.state)
            self._ended(Outcome(row, ended, ExitCode.DONE, recorded, row.note))

    def failed(self, job: Job, error: Exception) -> None:
        """A delivery goes no further in this run."""
        why = known(error)
        state = Ended.HELD if isinstance(why, Held) else Ended.FAILED
        state = Ended.REFUSED if isinstance(why, GateRefused) else state
        row, recorded = self.ledger.delivery(job.key), tuple(self.ledger.files(job.key))
        late = isinstance(why, DestinationFailed) and why.late
        self._ended(Outcome(row, state, why.exit_code, recorded, why.message, why.hint, late=late))

    def noted(self, job: Job, error: Exception) -> None:
        """The same, left as a remark in the ledger."""
        self.ledger.note(job.key, known(error).message)
        self.failed(job, error)

    def late(self, job: Job) -> None:
        """The run's time was over before a delivery had its turn."""
        text = "The run's time was over before its turn came; the next run goes on."
        why = DestinationFailed(text, step="wait", late=True)
        self.failed(job, why)

    def take_back(self, job: Job, files: list[File]) -> None:
        """Removes what was uploaded of files that are to be written anew, before others of their series go."""

        def remove() -> None:
            with suppress(Exception), self._reached(job) as destination, destination:  # `prune` finds what stays
                for file in files:
                    destination.remove(temp_name(file, destination))

        self._in_a_lane(job, remove)

    def _ended(self, outcome: Outcome) -> None:
        self.outcomes[outcome.delivery.id] = outcome
        self.watch.ended()

    def _in_a_lane(self, job: Job, work: Callable[[], None]) -> None:
        where, most = self.setup.place(job)
        self.lanes.begin(where, most, job.series, work)

    def _deliver(self, job: Job) -> None:
        try:
            check_certificates(job.integration.certificates)  # one may have expired since the file was encrypted
            self._hand_over_all(job)
            self.ledger.freeze_layout(job.key)  # before a run can die
            self.ledger.advance(job.key, State.SPOOLED, State.DELIVERED)
        except Again:
            raise
        except Exception as error:  # whatever it is, it stops no other delivery
            if self.lanes.ended.is_set() and not self.lanes.is_late:  # it was cut off: the next run goes on
                raise
            self._not_delivered(job, error)
            return
        self.setup.describe(job)
        clear(folder_of(self.setup.project, job.key))
        row, recorded = self.ledger.delivery(job.key), tuple(self.ledger.files(job.key))
        self._ended(Outcome(row, Ended.DELIVERED, ExitCode.DONE, recorded))

    def _not_delivered(self, job: Job, error: Exception) -> None:
        if not isinstance(error, Held):
            return self.noted(job, error)
        try:
            self.ledger.advance(job.key, State.SPOOLED, State.HELD, note=error.message)
        except Busy as busy:
            return self.failed(job, busy)
        return self.failed(job, error)

    def _hand_over_all(self, job: Job) -> None:
        if before := waits_for(self.ledger.delivery(job.key), self.ledger):
            raise DeliveryError(
                f"It tells the changes since {before.title}, which the client does not have yet: {before.state}.",
                hint="It leaves after that one has; a person may have to decide on it: `delivery status --held`.",
            )
        replace, where = job.integration.existing == "replace", self.setup.place(job)[0]
        with self._reached(job) as destination:
            for attempt in Retrying(
                retry=retry_if_exception_type(DestinationFailed),
                stop=stop_after_attempt(ATTEMPTS) | stop_when_event_set(self.lanes.ended),
                wait=BACK_OFF,
                sleep=sleep_using_event(self.lanes.ended),
                reraise=True,
            ):
                with attempt, self._alone_if_crowded(job), destination:
                    method = publish_method(destination, job.integration, self.ledger, job.key[:8])
                    self.lanes.answers(where)
                    for file in self.ledger.files(job.key):
                        with self.watch.upload(f"{job.integration_name}: {file.name}", file.bytes) as progress:
                            hand_over(file, destination, self.ledger, replace=replace, method=method, progress=progress)

    @contextmanager
    def _reached(self, job: Job) -> Iterator[Destination]:
        """The job's destination, not yet connected, which a signal cuts off."""
        destination = self.setup.destination(job)
        with self.setup.login(job), self.lanes.reach(destination.cut):
            yield destination

    @contextmanager
    def _alone_if_crowded(self, job: Job) -> Iterator[None]:
        """What fails beside others at one place is done again alone: the server may not take so many at once."""
        try:
            yield
        except (DestinationFailed, LoginRefused):
            if self.lanes.ended.is_set() or not self.lanes.is_crowded(self.setup.place(job)[0]):
                raise
            raise Again from None

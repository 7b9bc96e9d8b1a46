"""Deliveries that wait for a person: carrying out what the person decided."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from delivery.config.integrations_file import Integrations
from delivery.errors import ConfigError, DeliveryError, Held
from delivery.files.disk import clear, folder_of
from delivery.ledger import FileState, State, deliveries
from delivery.ledger.lock import only_runner
from delivery.ledger.opened import open_ledger
from delivery.setup import open_place
from delivery.transfer.protocol import check_spool, temp_name

if TYPE_CHECKING:
    from delivery.config.project import Project
    from delivery.ledger import Delivery, Ledger


def release(project: Project, start: str, decision: str, reason: str) -> Delivery:
    """Carries out a person's decision on the held delivery whose id begins so.

    resend: the next run hands it over again, looking first; accept: the client has it; cancel: it is not wanted, which
    may also be said of one that is only planned. Raises ConfigError when the id is not that of one such delivery, or a
    resend is no longer possible.
    """
    states = (State.HELD, State.PLANNED) if decision == "cancel" else (State.HELD,)
    with only_runner(project.state), open_ledger(project) as ledger:
        found = [row for row in ledger.find(deliveries.c.state.in_(states)) if row.id.startswith(start)]
        if len(found) != 1:
            raise ConfigError(
                f"{len(found)} {' or '.join(states)} deliveries have an id that begins with {start!r}.",
                hint="`delivery status --held` shows those that wait for a person, `delivery status` all.",
            )
        row = found[0]
        note = f"released by a person: {decision}, {reason}"
        if decision == "resend":
            ledger.resend(row.id, anew=_needs_writing(ledger, row), note=note)
        elif decision == "accept":
            ledger.freeze_layout(row.id)
            ledger.advance(row.id, State.HELD, State.DELIVERED, note=note)
        else:
            ledger.take(row.id)  # another runner may be at it
            ledger.advance(row.id, row.state, State.CANCELLED, note=note)
            _tidy(project, ledger, row)
        return ledger.delivery(row.id)


def _needs_writing(ledger: Ledger, row: Delivery) -> bool:
    """Whether the spool must be written anew. Raises ConfigError when a part of it has already left."""
    files = ledger.files(row.id)
    try:
        for file in files:
            if file.state != FileState.PUBLISHED:
                check_spool(file)
    except Held as error:
        if any(file.state == FileState.PUBLISHED for file in files):
            raise ConfigError(
                f"{error.message} Part of the delivery has been handed over.",
                hint="Accept or cancel it, then redeliver.",
            ) from None
        return True
    return not files


def _tidy(project: Project, ledger: Ledger, row: Delivery) -> None:
    """Removes what a cancelled delivery left: its spool, and its temporary files if its destination can be reached."""
    clear(folder_of(project, row.id))
    left = [file for file in ledger.files(row.id) if file.state != FileState.PUBLISHED]
    try:
        integration = Integrations(project.integrations_file).usable((row.integration,)).get(row.integration)
        if integration is None:
            raise ConfigError(f"There is no integration {row.integration} any more.")
        day = date.fromisoformat(row.window_start or row.slot[:10])
        with open_place(project, row.integration, integration, day) as destination:
            if destination.describe() != row.destination:
                raise ConfigError(f"{row.integration} leads to {destination.describe()} now.")
            for file in left:
                destination.remove(temp_name(file, destination))
    except DeliveryError as error:
        ledger.note(row.id, f"cancelled; temporary files may lie in {row.destination}: {error.message}")

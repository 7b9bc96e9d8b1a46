"""Whether clients have fetched from the share what was delivered there, as far as `delivery share log` has read."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from delivery.ledger import Delivery, File, FileState, Ledger, Role, State
from delivery.ledger.fetches import fetches_of, whole_since

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from delivery.config.integrations_file import Integrations
    from delivery.config.project import Project


class Fetched(NamedTuple):
    """What became of a delivery on the share. goes_on: the day on which `prune` may take it; None when it is gone."""

    state: str  # not fetched yet, fetched in part, or fetched: some user has all its data files
    users: list[str]
    goes_on: str | None

    @property
    def text(self) -> str:
        """In words."""
        if self.users:
            return f"fetched by {', '.join(self.users)}"
        return self.state + (f", goes on {self.goes_on}" if self.goes_on else ", and gone")


def fetched(
    project: Project, ledger: Ledger, rows: Sequence[Delivery], declared: Integrations | None = None
) -> dict[str, Fetched]:
    """Of those rows that were delivered to a share with doors, by id. declared: integrations.yml, where it was read."""
    from delivery.config.integrations_file import Integrations

    share = f"{project.share}/"
    hosted = [row for row in rows if row.state == State.DELIVERED and row.destination.startswith(share)]
    if not hosted:
        return {}
    declared = declared or Integrations(project.integrations_file)
    if declared.share is None:
        return {}
    found, told = fetches_of(ledger, [row.id for row in hosted]), {}
    for row in hosted:
        data = {file.part: file for file in ledger.files(row.id) if file.role == Role.DATA}
        integration = declared.loaded.get(row.integration)
        if not data or integration is None or integration.destination.type != "hosted":
            continue
        whole = [key for key in whole_since(found[row.id]) if key[0] in data]
        users = sorted({user for _, user in whole if {part for part, one in whole if one == user} == data.keys()})
        begun = any(fetch.part in data for fetch in found[row.id])
        days = _days(data.values(), timedelta(days=integration.destination.keep_days))
        state = "fetched" if users else "fetched in part" if begun else "not fetched yet"
        told[row.id] = Fetched(state, users, min(days, default=None))
    return told


def _days(data: Iterable[File], kept: timedelta) -> Iterator[str]:
    """When each of the files that are there goes."""
    from delivery.transfer.descriptions import goes_on  # here, because pydantic is slow to import

    for file in data:
        if file.state == FileState.PUBLISHED:
            with suppress(OSError):  # it has gone
                yield goes_on(Path(file.destination, file.name), kept)

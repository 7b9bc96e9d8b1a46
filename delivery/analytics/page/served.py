"""What this process serves, and who is looking; the script that Streamlit runs anew for each visitor finds it here."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from delivery.config.integrations_file import Integrations
from delivery.errors import ConfigError, GateRefused, known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delivery.analytics.page.front_door import Account, FrontDoor
    from delivery.config.project import Project


@dataclass(frozen=True)
class Served:
    """A project, and the clients whose data may be looked at.

    at: a fixed now, None for the clock's. door: the login in front, behind which each user sees the own clients; None
    when whoever reaches the page sees all of them.
    """

    project: Project
    namespaces: tuple[str, ...]
    at: datetime | None
    door: FrontDoor | None = None

    def now(self) -> datetime:
        """The time as the page sees it, in UTC."""
        return self.at or datetime.now(UTC)


_current: list[Served] = []
_looking: ContextVar[str] = ContextVar("looking", default="")  # the user; nobody is one


def serve_these(
    project: Project, namespaces: Sequence[str], at: datetime | None, door: FrontDoor | None = None
) -> Served:
    """Sets what is served: the clients named, or all. Raises ConfigError for one that has no integration."""
    known = Integrations(project.integrations_file).clients
    unknown = [name for name in namespaces if name not in known]
    if unknown:
        raise ConfigError(
            f"Unknown namespace: {', '.join(map(repr, unknown))}.", hint=f"Known: {', '.join(known) or 'none'}."
        )
    if not known:
        raise ConfigError("integrations.yml names no client, so there is nothing to look at.")
    _current[:] = [Served(project, tuple(sorted(set(namespaces))) or tuple(known), at, door)]
    return _current[0]


def current() -> Served:
    """What is served."""
    return _current[0]


def looks(user: str) -> Account | None:
    """Says who is looking from here on, in this thread or task; None for who is not on the list, and sees nothing."""
    door = current().door
    _looking.set(user)
    return door.account(user) if door else None


def visible() -> tuple[str, ...]:
    """The clients that whoever is looking may see now."""
    here = current()
    if here.door is None:
        return here.namespaces
    account = here.door.account(_looking.get())
    return tuple(name for name in here.namespaces if account and name in account.namespaces)


def told(error: Exception) -> str:
    """What a visitor is told of an error: behind the share's login nothing of how this works, which the log has."""
    shown = known(error)
    if current().door is None:
        return f"{shown.message}\n\n{shown.hint}"
    print(f"{shown.message} {shown.hint}", file=sys.stderr)  # noqa: T201
    return shown.message if isinstance(shown, GateRefused) else "This cannot be shown now. Try again in a few minutes."

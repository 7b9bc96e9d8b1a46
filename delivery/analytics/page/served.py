"""What this process serves; the script that Streamlit runs anew for each visitor finds it here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from delivery.config.integrations_file import Integrations
from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delivery.config.project import Project


@dataclass(frozen=True)
class Served:
    """A project, and the clients whose data may be looked at. at: a fixed now, None for the clock's."""

    project: Project
    namespaces: tuple[str, ...]
    at: datetime | None

    def now(self) -> datetime:
        """The time as the page sees it, in UTC."""
        return self.at or datetime.now(UTC)


_current: list[Served] = []


def serve_these(project: Project, namespaces: Sequence[str], at: datetime | None) -> Served:
    """Sets what is served: the clients named, or all. Raises ConfigError for one that has no integration."""
    known = Integrations(project.integrations_file).clients
    unknown = [name for name in namespaces if name not in known]
    if unknown:
        raise ConfigError(
            f"Unknown namespace: {', '.join(map(repr, unknown))}.", hint=f"Known: {', '.join(known) or 'none'}."
        )
    if not known:
        raise ConfigError("integrations.yml names no client, so there is nothing to look at.")
    _current[:] = [Served(project, tuple(sorted(set(namespaces))) or tuple(known), at)]
    return _current[0]


def current() -> Served:
    """What is served."""
    return _current[0]

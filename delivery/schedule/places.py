"""Places: a destination, a directory and the names in it belong to one campaign, integration and namespace."""

from __future__ import annotations

import os
import posixpath
from typing import TYPE_CHECKING, NamedTuple

from delivery.config.buckets import BucketDestination
from delivery.config.templates import AnyDay, can_meet, fixed_start
from delivery.errors import ConfigError
from delivery.schedule.names import directory, possible_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from delivery.config.campaigns import Campaign
    from delivery.config.integrations import Integration
    from delivery.config.project import Project

SHOWN = 20


class _Owner(NamedTuple):
    """Whose files have a name. place: for people."""

    campaign: str
    integration: str
    namespace: str
    place: str

    def __str__(self) -> str:
        return f"{self.campaign} to {self.integration} ({self.namespace})"


def check_places(campaigns: Iterable[Campaign], integrations: Mapping[str, Integration], project: Project) -> None:
    """Raises ConfigError, naming each two whose files might have one name, on whatever days.

    What a name begins with is looked up: names that begin otherwise are never compared, however many there are.
    """
    owners: dict[str, list[tuple[str, _Owner]]] = {}
    for campaign in campaigns:
        for name in dict.fromkeys(campaign.integrations):
            if (integration := integrations.get(name)) is not None:
                place = _place(integration, project)
                owner = _Owner(campaign.name, name, integration.namespace, place)
                for file in _names(campaign, name, integration):
                    pattern = f"{place}/{file}"
                    owners.setdefault(fixed_start(pattern), []).append((pattern, owner))
    alike = dict.fromkeys(_alike(owners))
    if alike:
        lines = [f"  {one} and {other}, in {_shown(one.place)}" for one, other in list(alike)[:SHOWN]]
        lines += [f"  and {len(alike) - SHOWN} more"] if len(alike) > SHOWN else []
        raise ConfigError(
            "One file might be written by two:\n" + "\n".join(lines),
            hint="Give each its own directory, or put {campaign} and {namespace} into file_name.",
        )


def _names(campaign: Campaign, name: str, integration: Integration) -> list[str]:
    try:
        return list(possible_names(campaign, integration))
    except ConfigError as error:
        raise ConfigError(
            f"integrations.{name}.file_name: {error.message} ({campaign.name})", hint=error.hint
        ) from None


def _alike(owners: Mapping[str, list[tuple[str, _Owner]]]) -> Iterator[tuple[_Owner, _Owner]]:
    lengths = {len(start) for start in owners}
    for start, mine in owners.items():
        shorter = [start[:length] for length in lengths if length < len(start)]
        for number, (pattern, owner) in enumerate(mine):
            others = [*mine[:number], *(other for begin in shorter for other in owners.get(begin, ()))]
            for seen, other in others:
                if other != owner and can_meet(pattern, seen):
                    yield min(owner, other), max(owner, other)


def _place(integration: Integration, project: Project) -> str:
    """Where the files go, so that what is one place has one text."""
    target, path = integration.destination, directory(integration, AnyDay())
    if target.type == "sftp":
        root = "" if path.startswith("/") else "~/"
        tidy = posixpath.normpath(path).strip("/")
        return f"{target.server}/{root}{tidy}"
    if isinstance(target, BucketDestination):
        return f"{target.url}/{posixpath.normpath(f'/{path}').strip('/')}"
    below = project.share / integration.namespace / path.strip("/") if target.type == "hosted" else project.root / path
    return os.path.realpath(below)


def _shown(place: str) -> str:
    return f"{fixed_start(place)}…" if fixed_start(place) != place else place

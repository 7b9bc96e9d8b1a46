"""Places: a destination, a directory and the names in it belong to one campaign, integration and namespace."""

from __future__ import annotations

import os
import posixpath
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from delivery.config.buckets import BucketDestination
from delivery.config.templates import AnyDay, can_meet, fixed_start
from delivery.errors import ConfigError
from delivery.schedule.names import Naming, directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from delivery.config.campaigns import Campaign
    from delivery.config.integrations import Integration
    from delivery.config.project import Project

SHOWN = 20
DEEPEST = 100  # folders in folders, looked at one by one
APART = "give each its own directory, or put {campaign} and {namespace} into file_name"


class _Owner(NamedTuple):
    """Whose files have a name. place: for people."""

    campaign: str
    integration: str
    namespace: str
    place: str

    def __str__(self) -> str:
        return f"{self.campaign} to {self.integration} ({self.namespace})"


def shared_places(
    campaigns: Iterable[Campaign], integrations: Mapping[str, Integration], project: Project
) -> dict[str, list[str]]:
    """By integration, what is wrong with where its files go: two whose files might have one name, on whatever days.

    Names are made once for all that are named alike, and compared only within a place, or between two that may be one.
    Of very many the first are told, and all are named.
    """
    real = _real_paths()
    where = {name: _place(integration, project, real) for name, integration in integrations.items()}
    patterns: dict[Naming, list[str]] = {}
    places: dict[str, list[tuple[_Owner, Naming]]] = {}
    wrong: dict[str, list[str]] = {}
    for campaign in campaigns:
        for name in dict.fromkeys(campaign.integrations):
            if (integration := integrations.get(name)) is not None:
                naming = Naming.of(campaign, integration)
                try:
                    patterns[naming] = patterns.get(naming) or list(naming.possible())
                except ConfigError as error:
                    line = f"integrations.{name}.file_name: {error.message} {error.hint} ({campaign.name})"
                    wrong.setdefault(name, []).append(line)
                    continue
                owner = _Owner(campaign.name, name, integration.namespace, where[name])
                places.setdefault(owner.place, []).append((owner, naming))
    for count, (one, other) in enumerate(dict.fromkeys(_alike(places, patterns))):
        line = f"one file might be written by {one} and {other}, in {_shown(one.place)}: {APART}"
        for owner in (one, other):
            wrong.setdefault(owner.integration, []).extend([line] if count < SHOWN else [])
    return wrong


def _alike(
    places: Mapping[str, list[tuple[_Owner, Naming]]], patterns: Mapping[Naming, list[str]]
) -> Iterator[tuple[_Owner, _Owner]]:
    known: dict[tuple[Naming, ...], set[tuple[int, int]]] = {}
    apart = list(places.values())
    both = (apart[one] + apart[other] for one, other in _meeting([[place] for place in places]))
    for there in (*apart, *both):
        if len(there) > 1:
            owners, namings = zip(*there, strict=True)
            if namings not in known:
                known[namings] = set(_meeting([patterns[naming] for naming in namings]))
            for pair in sorted(known[namings]):
                one, other = sorted(owners[number] for number in pair)
                yield one, other


def _meeting(lists: Sequence[Sequence[str]]) -> Iterator[tuple[int, int]]:
    """Which two of several lists of patterns have such as may be one name.

    What a name begins with is looked up: names that begin otherwise are never compared, however many there are.
    """
    begin: dict[str, list[tuple[str, int]]] = {}
    for number, patterns in enumerate(lists):
        for pattern in patterns:
            begin.setdefault(fixed_start(pattern), []).append((pattern, number))
    lengths = {len(start) for start, found in begin.items() if any(pattern != start for pattern, _ in found)}
    for start, mine in begin.items():
        shorter = [start[:length] for length in lengths if length < len(start)]
        for number, (pattern, of) in enumerate(mine):
            others = [*mine[:number], *(other for begun in shorter for other in begin.get(begun, ()))]
            for seen, other in others:
                if other != of and can_meet(pattern, seen):
                    yield min(of, other), max(of, other)


def _place(integration: Integration, project: Project, real: Callable[[str], str]) -> str:
    """Where the files go, so that what is one place has one text."""
    target, path = integration.destination, directory(integration, AnyDay())
    if target.type == "sftp":
        root = "" if path.startswith("/") else "~/"
        tidy = posixpath.normpath(path).strip("/")
        return f"{target.server}/{root}{tidy}"
    if isinstance(target, BucketDestination):
        return f"{target.url}/{posixpath.normpath(f'/{path}').strip('/')}"
    if target.type == "hosted":
        return real(f"{project.share}/{integration.namespace}/{path.strip('/')}")
    return real(path if path.startswith("/") else f"{project.root}/{path}")


def _real_paths() -> Callable[[str], str]:
    """`os.path.realpath`, which looks at no folder twice."""

    @cache
    def real(path: str) -> str:
        above, name = os.path.split(path)
        if name in {"", ".", ".."} or path.count("/") > DEEPEST or os.path.islink(path):  # noqa: PTH114 - of thousands
            return os.path.realpath(path)
        return f"{real(above).rstrip('/')}/{name}"

    return real


def _shown(place: str) -> str:
    return f"{fixed_start(place)}…" if fixed_start(place) != place else place

"""What an engine is told: the keys of a target of profiles.yml, those that are dbt's alone, and how long it waits."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING

from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from delivery.config.project import Project

LOCK_WAIT_SECONDS = 60.0


def read_keys(
    project: Project,
    *,
    needs: Collection[str],
    may: Collection[str],
    for_dbt: Collection[str] = (),
    aliases: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """What the target says, as text, without what is empty. Raises ConfigError that names every fault.

    for_dbt: keys that say how dbt builds. Any other key might say where to read or how safely, so it is not ignored.
    aliases: dbt's other names of keys.
    """
    known = {"type", *needs, *may}
    said = {aliases.get(key, key): _text(value) for key, value in project.profile.items() if value not in (None, "")}
    faults = [f"{key} is missing" for key in needs if key not in said]
    faults += [f"{key} is not read here" for key in said if key not in {*known, *for_dbt}]
    if faults:
        raise ConfigError(
            f"profiles.yml: target {project.target!r}: {', '.join(faults)}.", hint=f"Known: {', '.join(sorted(known))}."
        )
    return {key: value for key, value in said.items() if key in known}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def lock_wait() -> float:
    """How many seconds to wait for who holds what is to be read."""
    return float(os.environ.get("DELIVERY_LOCK_WAIT", LOCK_WAIT_SECONDS))

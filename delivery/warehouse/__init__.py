"""Engines: each opens one read-only snapshot of the warehouse and streams Arrow batches from it.

No engine renders a file: formats differ between them, bytes must not. Other distributions bring their own by an entry
point: docs/engines.md.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol, cast

from delivery.errors import ConfigError, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from importlib.metadata import EntryPoint, EntryPoints

    import pyarrow as pa

    from delivery.config.project import Project

    Opener = Callable[[Project], AbstractContextManager["Engine"]]


# Types of target. Each is a module here, with a function `open_<type>`: a driver costs its import only in use.
BUILT_IN = ("duckdb", "postgres", "spark")
M_ARENA_MAX = -8  # glibc, malloc.h
GROUP = "delivery.engines"  # of entry points: the name is the type of target, the value its function


class Engine(Protocol):
    """One open snapshot.

    keeps_order: whether rows come back in the order in which they were stored. is_snapshot: whether all statements are
    of one state; where they are not, the gate looks again after the rows were read.
    """

    keeps_order: bool
    is_snapshot: bool

    def table(self, sql: str) -> pa.Table:
        """A small result, whole."""

    def stream(self, sql: str, *, sorts: bool = False) -> Iterator[pa.RecordBatch]:
        """A result of any size, in batches, in flat memory. sorts: the statement orders its rows."""


def open_engine(project: Project) -> AbstractContextManager[Engine]:
    """The engine of the project's target. Raises ConfigError as find_engine does."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, 2)  # or each of the threads that rows go through keeps a heap of its own
    return find_engine(project)(project)


def find_engine(project: Project) -> Opener:
    """What opens the target. Raises ConfigError when nothing does, more than one would, or what was brought is broken.

    Of several, the order of sys.path would choose; and nobody would see that a built-in one is no longer ours.
    """
    kind = str(project.profile.get("type"))
    brought = _brought(tuple(sys.path))
    found = list(brought.select(name=kind))
    by = [*(["delivery"] if kind in BUILT_IN else []), *map(_distribution, found)]
    if len(by) > 1:
        raise ConfigError(
            f"Several distributions bring the engine of type {kind!r}: {', '.join(by)}.", hint="Uninstall all but one."
        )
    if found:
        return _loaded(found[0])
    if kind not in BUILT_IN:
        raise ConfigError(
            f"Target {project.target!r} is of type {kind!r}, which cannot be read.",
            hint=f"Known: {', '.join([*BUILT_IN, *sorted(brought.names - {*BUILT_IN})])}.",
        )
    return cast("Opener", getattr(import_module(f"delivery.warehouse.{kind}"), f"open_{kind}"))


@cache
def _brought(_path: tuple[str, ...]) -> EntryPoints:
    """Looked for once: it opens a file of each distribution on the path."""
    return entry_points(group=GROUP)


def _loaded(entry: EntryPoint) -> Opener:
    broken = f"The engine {entry.name!r} of {_distribution(entry)} cannot be loaded"
    try:
        opener = entry.load()
    except Exception as error:  # whatever somebody else's module does
        said = f"{type(error).__name__}: {redact(str(error))}"
        raise ConfigError(f"{broken}: {said}", hint="Mend or uninstall it; --debug shows where it failed.") from error
    if not callable(opener):
        raise ConfigError(f"{broken}: {entry.value} is no function.", hint="Mend or uninstall it.")
    return cast("Opener", opener)


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unknown one"

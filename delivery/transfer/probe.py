"""Proof, by probe files, of what a directory lets us do: the work behind `delivery check` and the publish method."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from delivery.errors import DeliveryError, DestinationFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.transfer import Destination

FIRST, OTHER = (b"This is a probe of `delivery`; it may be deleted. %d\n" % number for number in (1, 2))


@dataclass(frozen=True)
class Proof:
    """What was seen; see Capabilities."""

    rename: bool
    rename_refuses: bool
    replace: bool


def prove(destination: Destination, token: str, rename: Callable[[str, str], None]) -> Proof:
    """Try each step on small files of our own. What a server answers is not believed: the files are looked at.

    rename: as the destination does it, without looking first. Raises what an upload raises, and DestinationFailed when
    the connection breaks. Leaves nothing behind, unless it dies; then the next probe with the same token removes what
    is left.
    """
    names = [f".delivery-probe-{token}-{number}" for number in (1, 2)]
    one, two = names
    try:
        for name in names:
            _clear(destination, name)
        _put(destination, one, FIRST)
        renamed = _done(destination, rename, one, two) and destination.look(one) is None
        if not renamed:
            _clear(destination, one)
            _clear(destination, two)
            _put(destination, two, FIRST)
        _put(destination, one, OTHER)
        refuses = renamed and not _done(destination, rename, one, two, over=True)
        if destination.look(one) is None:
            _put(destination, one, OTHER)
        with suppress(DeliveryError):
            destination.replace(one, two)
        replaces = destination.look(one) is None and _holds(destination, two, OTHER)
    finally:
        for name in names:
            with suppress(DeliveryError):
                destination.remove(name)
    return Proof(renamed, refuses, replaces)


def _done(
    destination: Destination, step: Callable[[str, str], None], old: str, new: str, *, over: bool = False
) -> bool:
    """Whether the step gave a file its new name. over: a name that is taken by a file with the content FIRST."""
    with suppress(DeliveryError):
        step(old, new)
    if over:
        return destination.look(old) is None or not _holds(destination, new, FIRST)
    return destination.look(new) is not None


def _holds(destination: Destination, name: str, content: bytes) -> bool:
    return destination.look(name) is not None and destination.hash(name) == hashlib.sha256(content).hexdigest()


def _put(destination: Destination, name: str, content: bytes) -> None:
    with NamedTemporaryFile() as spool:
        spool.write(content)
        spool.flush()
        destination.upload(Path(spool.name), name)
    if not _holds(destination, name, content):
        raise DestinationFailed(f"{destination.describe()}: a probe file reads back changed", step="verify")


def _clear(destination: Destination, name: str) -> None:
    if destination.look(name) is not None:
        destination.remove(name)

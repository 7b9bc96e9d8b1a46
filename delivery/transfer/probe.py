"""How files get their final names at a destination: as configured, if probe files proved that it is safe there."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from delivery.errors import DeliveryError, DestinationFailed, DestinationRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.config.integrations import Integration
    from delivery.ledger import Ledger
    from delivery.transfer import Capabilities, Destination, Method

FIRST, OTHER = (b"This is a probe of `delivery`; it may be deleted. %d\n" % number for number in (1, 2))


def publish_method(destination: Destination, integration: Integration, ledger: Ledger, token: str) -> Method:
    """How files get their final names at a connected destination: as configured, if a probe proved that it can.

    A probe holds until the server says that it is another one. Raises DestinationRefused when the way is not safe.
    """
    method = integration.destination.publish
    kept = ledger.probes().get(destination.describe())
    if kept and kept.software == destination.software and kept.method == method:
        return method
    if method == "exclusive":
        ledger.keep_probe(destination.describe(), method, {}, destination.software)
        return method
    probe(destination, method, ledger, token)
    return method


def probe(destination: Destination, method: Method, ledger: Ledger, token: str) -> Capabilities:
    """Probes the directory, and keeps what was seen. Raises DestinationRefused when the method is not safe there."""
    seen = destination.probe(token)
    allowed = seen.allows(method)
    ledger.keep_probe(destination.describe(), method if allowed else None, asdict(seen), destination.software)
    if not seen.rename and not allowed:
        raise DestinationRefused(
            f"{destination.describe()}: a probe file could not be renamed.",
            hint="Ask for the right to rename; or, if the client waits for a done file, set `publish: exclusive`.",
        )
    if not allowed:
        raise DestinationRefused(
            f"{destination.describe()}: a rename onto a name that was taken replaced the file there.",
            hint="If nobody else writes there, set `publish: look-and-rename`; if the client waits for a done file, "
            "`publish: exclusive`.",
        )
    return seen


def foreseen_method(destination: Destination, integration: Integration, ledger: Ledger) -> str | None:
    """What publish_method would choose, as far as it is known without asking; None before the first probe."""
    return "exclusive" if integration.publishes_open else ledger.method(destination.describe())


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

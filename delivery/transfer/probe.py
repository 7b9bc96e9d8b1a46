"""How files get their final names at a destination: as configured, if probe files proved that it is safe there."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from delivery.errors import DeliveryError, DestinationFailed, DestinationRefused
from delivery.schedule.names import temporary_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.config.integrations import Integration
    from delivery.ledger import Ledger
    from delivery.transfer import Capabilities, Destination, Method

FIRST = b"This is a probe of `delivery`; it may be deleted.\n"
TRIED = 9  # names, where what lay there cannot be removed
OTHER = FIRST + b"It is the second one.\n"  # of another size, too, where only that is looked at


def publish_method(destination: Destination, integration: Integration, ledger: Ledger, token: str) -> Method:
    """How files get their final names at a connected destination: as configured, if a probe proved that it can.

    A probe holds until the server says that it is another one, and for all directories of a server: each name is
    looked at before a rename wherever it is. Raises DestinationRefused when the way is not safe.
    """
    method, where = integration.destination.publish, destination.describe()
    kept = ledger.probe(where)
    if kept and kept.software == destination.software and kept.method == method:
        return method
    server = destination.server if kept is None and method != "exclusive" else None
    if server and ledger.is_proven(server, method, destination.software):
        ledger.keep_probe(where, method, {}, destination.software)
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
    left: tuple[str, ...]


def prove(destination: Destination, token: str, rename: Callable[[str, str], None]) -> Proof:
    """Try each step on small files of our own. What a server answers is not believed: the files are looked at.

    rename: as the destination does it, without looking first. Raises what an upload raises, and DestinationFailed when
    the connection breaks. Leaves nothing behind, unless it dies, or the server lets nobody delete: then it says what.
    The next probe with the same token removes what is left, or has other names.
    """
    tried = (_name(destination, token, number) for number in range(1, TRIED))
    names = list(itertools.islice((name for name in tried if _is_free(destination, name)), 2))
    if len(names) < 2:
        raise DestinationRefused(f"{destination.describe()}: probe files of before cannot be removed.")
    one, two = names
    try:
        _put(destination, one, FIRST)
        if destination.look(one) is None:  # `verify: none`, and nobody may look there: what is answered is believed
            renamed = _answers(rename, one, two)
            _put(destination, one if renamed else two, OTHER)
            refuses = renamed and not _answers(rename, one, two)
            replaces = _answers(destination.replace, one, two)
        else:
            renamed, refuses, replaces = _seen(destination, rename, one, two)
    except DeliveryError as error:
        if left := _removed_but_for(destination, names):
            error.message += f"; {' and '.join(left)} could not be removed there"
        raise
    except BaseException:
        _removed_but_for(destination, names)
        raise
    return Proof(renamed, refuses, replaces, _removed_but_for(destination, names))


def _seen(destination: Destination, rename: Callable[[str, str], None], one: str, two: str) -> tuple[bool, bool, bool]:
    """Whether a rename does, refuses and replaces. one: lies there with the content FIRST."""
    renamed = _done(destination, rename, one, two)
    if not renamed:
        _clear(destination, one)
        _clear(destination, two)
        _put(destination, two, FIRST)
    _put(destination, one, OTHER)
    refuses = renamed and not _done(destination, rename, one, two, over=True)
    if destination.look(one) is None:
        _put(destination, one, OTHER)
    _answers(destination.replace, one, two)
    return renamed, refuses, destination.look(one) is None and _holds(destination, two, OTHER)


def _answers(step: Callable[[str, str], None], old: str, new: str) -> bool:
    """Whether it is said to be done."""
    with suppress(DeliveryError):
        step(old, new)
        return True
    return False


def _removed_but_for(destination: Destination, names: list[str]) -> tuple[str, ...]:
    """Removes the files; those that stay, as far as can be seen."""
    for name in names:
        with suppress(DeliveryError):
            destination.remove(name)
    with suppress(DeliveryError):
        there = zip(names, destination.look_at(*names), strict=True)
        return tuple(name for name, found in there if found is not None)
    return ()


def _name(destination: Destination, token: str, number: int) -> str:
    """As files are named while they are uploaded: what is not allowed for these is noticed now."""
    return temporary_name(
        destination.handling.temporary_name, f"delivery-probe-{token}-{number}", sha256(FIRST).hexdigest()
    )


def _is_free(destination: Destination, name: str) -> bool:
    if destination.handling.verify != "none" and destination.look(name) is None:
        return True
    with suppress(DestinationRefused):
        destination.remove(name)
    return destination.look(name) is None


def _done(
    destination: Destination, step: Callable[[str, str], None], old: str, new: str, *, over: bool = False
) -> bool:
    """Whether the step gave a file its new name. over: a name that is taken by a file with the content FIRST."""
    _answers(step, old, new)
    if over:
        return destination.look(old) is None or not _holds(destination, new, FIRST)
    here, there = destination.look_at(old, new)
    return here is None and there is not None


def _holds(destination: Destination, name: str, content: bytes) -> bool:
    """As far as `verify` asks."""
    found, verify = destination.look(name), destination.handling.verify
    if verify == "none" and found is None:
        return True
    fits = destination.handling.fits(found, len(content))
    return fits and (verify != "hash" or destination.hash(name, len(content)) == sha256(content).hexdigest())


def _put(destination: Destination, name: str, content: bytes) -> None:
    with NamedTemporaryFile() as spool:
        spool.write(content)
        spool.flush()
        destination.upload(Path(spool.name), name)
    if not _holds(destination, name, content):
        raise DestinationFailed(f"{destination.describe()}: a probe file reads back changed", step="verify")


def _clear(destination: Destination, name: str) -> None:
    if destination.handling.verify == "none" or destination.look(name) is not None:
        destination.remove(name)

"""Proof, by a probe file, of what a directory lets us do: the work behind `delivery check`."""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from delivery.errors import DeliveryError, DestinationFailed, NameTaken

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.destinations import Destination

CONTENT = b"This is a probe of `delivery check`; it may be deleted.\n"


def rename_refuses(destination: Destination, rename: Callable[[str, str], None], *, replaces: bool) -> bool:
    """Write, read back, rename and remove small files; tell whether a rename refused a name that was taken.

    rename: as the destination does it, without looking first; replaces: whether to try `replace` too.
    Raises what the step that failed raises. Leaves nothing behind.
    """
    names = first, second = [f".delivery-probe-{secrets.token_hex(4)}" for _ in range(2)]
    with NamedTemporaryFile() as spool:
        spool.write(CONTENT)
        spool.flush()
        try:
            destination.upload(Path(spool.name), first)
            if destination.hash(first) != hashlib.sha256(CONTENT).hexdigest():
                raise DestinationFailed(f"{destination.describe()}: a probe file reads back changed", step="verify")
            destination.publish(first, second)
            destination.upload(Path(spool.name), first)
            with suppress(NameTaken, DestinationFailed):
                rename(first, second)
            refuses = destination.look(first) is not None and destination.look(second) is not None
            if replaces and refuses:
                destination.replace(first, second)
        finally:
            for name in names:
                with suppress(DeliveryError):
                    destination.remove(name)
    return refuses

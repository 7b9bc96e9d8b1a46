"""How files get their final names at a destination: as configured, if a probe proved that it is safe there."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from delivery.errors import DestinationRefused

if TYPE_CHECKING:
    from delivery.config.integrations import Integration
    from delivery.ledger import Ledger
    from delivery.transfer import Capabilities, Destination, Method


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

"""Proving destinations before they are needed: `check` and `trust`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from delivery.destinations import Capabilities, open_destination
from delivery.errors import ConfigError, DeliveryError
from delivery.integrations import SftpDestination, load_integrations, load_without_secrets

if TYPE_CHECKING:
    from delivery.integrations import Integration
    from delivery.project import Project


@dataclass(frozen=True)
class Check:
    """What became of one integration's probe."""

    integration: str
    where: str
    capabilities: Capabilities | None
    error: DeliveryError | None

    @property
    def ok(self) -> bool:
        """Whether the destination would take a file."""
        return self.error is None

    def offers(self) -> str:
        """What the destination can do, for people."""
        if self.capabilities is None:
            return ""
        return ", ".join(name for name, value in asdict(self.capabilities).items() if value is True)

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "integration": self.integration,
            "where": self.where,
            "ok": self.ok,
            "capabilities": asdict(self.capabilities) if self.capabilities else None,
            "error": self.error.message if self.error else None,
        }


def check(project: Project, names: tuple[str, ...]) -> list[Check]:
    """Probes the named integrations, all by default; one that fails stops no other."""
    known = load_integrations(project.integrations_file, names or None)
    return [_probe(project, name, _named(known, name)) for name in names or known]


def _named(known: dict[str, Integration], name: str) -> Integration:
    if name not in known:
        raise ConfigError(f"Unknown integration: {name}.", hint=f"Known: {', '.join(known) or 'none'}.")
    return known[name]


def _probe(project: Project, name: str, integration: Integration) -> Check:
    destination = open_destination(name, integration, share=project.share, root=project.root)
    try:
        with destination:
            return Check(name, destination.describe(), destination.probe(), None)
    except DeliveryError as error:
        return Check(name, destination.describe(), None, error)


def host_keys(project: Project, name: str) -> list[tuple[str, str]]:
    """(OpenSSH line, SHA-256 fingerprint) of every host key that the integration's server has."""
    from delivery.destinations.ssh import HostKey, fetch_host_keys

    target = load_without_secrets(project.integrations_file, name).destination
    if not isinstance(target, SftpDestination):
        raise ConfigError(f"{name} is not an SFTP integration.", hint="`trust` is for SFTP servers.")
    return [
        (line, HostKey.parse(line).fingerprint) for line in fetch_host_keys(target.host, target.port, target.timeout)
    ]

"""Proving destinations before they are needed: `check` and `trust`."""

from __future__ import annotations

import re
import secrets
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from delivery.config.host_keys import HostKey
from delivery.config.integrations import SftpDestination
from delivery.config.integrations_file import Integrations, unknown_integration
from delivery.config.values import NAME
from delivery.errors import ConfigError, DeliveryError
from delivery.ledger import Ledger
from delivery.setup import check_namespace, namespaces, open_place
from delivery.transfer.probe import probe
from delivery.warehouse import open_engine

if TYPE_CHECKING:
    from delivery.config.integrations import Account, Integration
    from delivery.config.project import Project
    from delivery.transfer import Capabilities, Method


@dataclass(frozen=True)
class Check:
    """What became of one integration's probe. publish: how files will get their final names."""

    integration: str
    where: str
    publish: Method | None
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

    @property
    def left(self) -> str:
        """What the probe could not take away, for people."""
        names = self.capabilities.left if self.capabilities else ()
        if not names:
            return ""
        return (
            f"the server lets nobody delete: {', '.join(names)} stays in {self.where}, and so will the temporary file "
            "of an upload that fails. Have them removed there."
        )

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "integration": self.integration,
            "where": self.where,
            "ok": self.ok,
            "publish": self.publish,
            "capabilities": asdict(self.capabilities) if self.capabilities else None,
            "error": self.error.message if self.error else None,
        }


def check(project: Project, names: tuple[str, ...]) -> list[Check]:
    """Probes the named integrations, all by default, and keeps what was proven; one that fails stops no other."""
    declared = Integrations(project.integrations_file)
    declared.usable(names)
    if unknown := [name for name in names if name not in declared.names]:
        raise unknown_integration(unknown[0], declared.names)
    faults = {name: declared.faults(name, secrets=True) for name in names or declared.names}
    known = {name: declared.loaded[name] for name, found in faults.items() if not found}
    clients = _clients(project) if any(one.destination.type == "hosted" for one in known.values()) else None
    with closing(Ledger(project.ledger_url)) as ledger:
        return [
            _check(project, ledger, name, known[name], clients)
            if name in known
            else Check(name, "", None, None, declared.left_out({name: found}))
            for name, found in faults.items()
        ]


def _clients(project: Project) -> frozenset[str] | None:
    """The clients that the warehouse knows; None before it is built, and while it cannot be read."""
    with suppress(DeliveryError), open_engine(project) as engine:
        return namespaces(project.manifest(), engine)
    return None


def _check(
    project: Project, ledger: Ledger, name: str, integration: Integration, clients: frozenset[str] | None
) -> Check:
    destination = open_place(project, name, integration, datetime.now(UTC).date())
    try:
        if integration.destination.type == "hosted":  # whose folder it would make
            check_namespace(name, integration, clients)
        with destination:
            method = integration.destination.publish
            seen = probe(destination, method, ledger, secrets.token_hex(4))
            return Check(name, destination.describe(), method, seen, None)
    except DeliveryError as error:
        return Check(name, destination.describe(), None, None, error)


def host_keys(project: Project, name: str) -> list[tuple[str, str]]:
    """What `keys_at` finds at an integration's server."""
    target = Integrations(project.integrations_file).without_secrets(name).destination
    if not isinstance(target, SftpDestination):
        raise ConfigError(f"{name} is not an SFTP integration.", hint="`trust` is for SFTP servers.")
    return keys_at(target.host, target.port, target.timeout, target.jump)


def keys_at(host: str, port: int, timeout: float = 30.0, jump: Account | None = None) -> list[tuple[str, str]]:
    """(OpenSSH line, SHA-256 fingerprint) of every host key that a server has, reached through a jump host if any."""
    from delivery.sftp.ssh import Server, fetch_host_keys

    return [(line, HostKey.parse(line).fingerprint) for line in fetch_host_keys(Server(host, port, timeout, jump))]


def address(text: str) -> tuple[str, int] | None:
    """Host and port of HOST[:PORT]; None of an integration's name, which has neither dot nor colon.

    Raises ConfigError for what is neither.
    """
    if NAME.fullmatch(text):
        return None
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^:\s/@\[\]]+))(?::(\d{1,5}))?", text)
    if found is None or not 0 < int(found[3] or 22) < 65536:
        hint = "Write it as sftp.example.com or sftp.example.com:2222."
        raise ConfigError(f"{text!r} is neither an integration nor HOST[:PORT].", hint=hint)
    return found[1] or found[2], int(found[3] or 22)

"""Reading `integrations.yml`: once a run, and every fault of it at once."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from delivery.config.alerts import Sink  # noqa: TC001 - pydantic reads it
from delivery.config.faults import Faults, described, nearest
from delivery.config.integrations import Integration
from delivery.config.share import Share
from delivery.config.values import NAME, SECRETS, Name
from delivery.config.yaml_file import is_secret_reference, read_yaml, render
from delivery.errors import ConfigError, LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

KEYS = ("integrations", "share", "alerts")
MEND = "Mend {} or the environment, then run `delivery plan`. docs/data-dictionary.md has every definition."
BESIDE = (
    *SECRETS,
    "private_key",
    "service_account",
    "public_key",
    "recipients",
)  # what lies beside the file, and may be gone


@dataclass(frozen=True)
class Entry:
    """One integration as the file has it. integration: None where it cannot be one; secrets may not be set.

    faults, missing: by key path, what is wrong with the file, and what only the environment lacks.
    """

    namespace: str
    definitions: tuple[str, ...]
    integration: Integration | None
    faults: dict[str, str]
    missing: dict[str, str]


class _Alerts(BaseModel):
    alerts: dict[Name, Sink]


class Integrations:
    """integrations.yml, read once. Raises ConfigError when the file is not there or no YAML.

    names, namespaces, definitions: of all entries, whether or not they can be used; clients: the namespaces, in order;
    around: faults that are not one integration's.
    possible: those that are whole but for what the environment lacks; loaded: those whose secrets are set; share: None
    where the file has none, or it has faults; alerts: by name, a URL that the environment lacks is as it stands there.
    """

    def __init__(self, path: Path) -> None:
        self._file = path
        document = read_yaml(path, hint="Create it: docs/configure-a-client.md.")
        entries, self.around = _entries(document)
        self._entries = {name: _entry(entry, name, path.parent) for name, entry in entries.items()}
        self.names = list(self._entries)
        self.namespaces = {name: entry.namespace for name, entry in self._entries.items()}
        self.clients = sorted({*self.namespaces.values()})
        self.definitions = {name: entry.definitions for name, entry in self._entries.items()}
        self.possible = {name: one.integration for name, one in self._entries.items() if one.integration}
        self.loaded = {name: one for name, one in self.possible.items() if not self._entries[name].missing}
        self._looked: dict[str, list[str]] = {}
        self.share = None
        self.alerts: dict[str, Sink] = {}
        if isinstance(document, dict) and "share" in document:
            self.share, faults = _share(document["share"], path.parent)
            self.around += _lines(faults)
        if isinstance(document, dict) and "alerts" in document:
            self.alerts, faults = _alerts(document["alerts"], path.parent)
            self.around += _lines(faults)

    def usable(self, names: Iterable[str] | None = None, *, secrets: bool = True) -> dict[str, Integration]:
        """Those of the names that are loaded, all by default. secrets: whether these must be set.

        Raises ConfigError with every fault of them, and of what stands around all integrations, each with its key path.
        """
        names = self.names if names is None else names
        faults = Faults()
        self.add_faults(faults, {name: self.faults(name, secrets=secrets) for name in names})
        faults.raise_any()
        return {name: self.loaded[name] for name in names if name in self.loaded}

    def faults(self, name: str, *, secrets: bool) -> list[str]:
        """What is wrong with one integration. secrets: and what of it this machine lacks."""
        if name not in self._entries:
            return []
        return [*_lines(self._entries[name].faults), *(self._lacks(name) if secrets else ())]

    def add_faults(self, faults: Faults, of: Mapping[str, Iterable[str]]) -> None:
        """Adds what is wrong with the file around its integrations, and what was found of some of them."""
        found = dict.fromkeys(line for lines in (self.around, *of.values()) for line in lines)
        faults.add(f"{self._file.name} has", found, MEND.format(self._file.name))

    def left_out(self, wrong: Mapping[str, Iterable[str]]) -> LeftOut | None:
        """What is said of integrations with faults: they are one client's trouble. None where none has any."""
        lines = dict.fromkeys(line for lines in wrong.values() for line in lines)
        text = f"Nothing goes to {', '.join(wrong)}, until this is mended in {self._file.name}:"
        return LeftOut("\n  ".join([text, *lines]), hint=MEND.format(self._file.name)) if wrong else None

    def _lacks(self, name: str) -> list[str]:
        """Each key and certificate is looked at once."""
        if name not in self._looked:
            self._looked[name] = _lacking(name, self._entries[name])
        return self._looked[name]

    @cached_property
    def lacking(self) -> dict[str, ConfigError]:
        """By name, those for which a secret is not set, or a key or a certificate cannot be read.

        Its deliveries are known all the same, and say so.
        """
        beside = (
            (name, self._lacks(name))
            for name, entry in self._entries.items()
            if entry.integration
            and all(path.rstrip(".0123456789").rpartition(".")[2] in BESIDE for path in entry.missing)
        )
        hint = "Set it for whoever runs this, then run again."
        return {name: ConfigError("; ".join(lines) + ".", hint=hint) for name, lines in beside if lines}

    def without_secrets(self, name: str) -> Integration:
        """One whose secrets need not be set, but for those of a jump host: enough to reach its server, not to log in.

        Raises ConfigError with every other fault of it, or when the file does not have it.
        """
        entry = self._entries.get(name)
        if entry is None:
            raise unknown_integration(name, self.names)
        own = {path for path in entry.missing if path.rsplit(".", 1)[-1] in SECRETS and ".jump." not in path}
        missing = {path: why for path, why in entry.missing.items() if path not in own}
        faults = Faults()
        faults.add(f"{self._file.name} has", _lines(entry.faults | missing), "")
        faults.raise_any()
        assert entry.integration is not None  # noqa: S101 - or it has faults
        return entry.integration


def unknown_integration(name: str, known: Iterable[str]) -> ConfigError:
    """What is said of a name that the file does not have."""
    known = list(known)
    return ConfigError(
        f"Unknown integration: {name}{nearest(name, known)}.", hint=f"Known: {', '.join(known) or 'none'}."
    )


def _entries(document: Any) -> tuple[dict[str, Any], list[str]]:
    """The entries, and the faults around them. One whose name cannot be one has it in quotes."""
    entries = document.get("integrations") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(entries, dict):
        return {}, ["integrations: is required: a mapping of names to integrations"]
    close = {key: nearest(key, KEYS) for key in document if key not in KEYS}
    faults = [f"{key}: unknown key; known: {', '.join(KEYS)}{meant}" for key, meant in close.items()]
    return {
        name if isinstance(name, str) and NAME.fullmatch(name) else repr(str(name)): entry
        for name, entry in entries.items()
    }, faults


def _entry(entry: Any, name: str, folder: Path) -> Entry:
    where = f"integrations.{name}"
    named = {} if NAME.fullmatch(name) else {where: f"a name has letters, digits, - and _ (seen: {name})"}
    faults, missing = _literal_secrets(entry, where, named), dict[str, str]()
    rendered = _without_empty_secrets(entry, render(entry, where, faults, missing), where, missing)
    integration = None
    try:
        integration = Integration.model_validate(rendered, context={"folder": folder})
    except ValidationError as error:
        for path, message in described(error, Integration, where):
            if path not in missing:
                faults.setdefault(path, message)
    said = rendered if isinstance(rendered, dict) else {}
    definitions = said.get("definitions")
    return Entry(
        str(said.get("namespace")),
        tuple(map(str, definitions)) if isinstance(definitions, list) else (),
        integration,
        faults,
        missing,
    )


def _without_empty_secrets(entry: Any, rendered: Any, where: str, missing: dict[str, str]) -> Any:
    """A secret whose variable holds nothing is as one that is not set. missing: gains a message by key path."""
    if not isinstance(entry, dict) or not isinstance(rendered, dict):
        return rendered
    done = {}
    for key, value in rendered.items():
        path, written = f"{where}.{key}", entry[key]
        if value == "" and key in SECRETS and is_secret_reference(written):
            _, name, _ = written.replace('"', "'").split("'")
            missing[path] = f"the environment variable {name} is empty"
            value = written  # as `render` leaves what is not set
        done[key] = _without_empty_secrets(written, value, path, missing)
    return done


def _lacking(name: str, entry: Entry) -> list[str]:
    lines = _lines(entry.missing)
    if entry.integration is not None:
        lines += _unusable_keys(entry.integration.destination, f"integrations.{name}.destination")
        lines += _unreadable_certificates(entry.integration, f"integrations.{name}")
        if entry.integration.signature:
            lines += _unusable_keys(entry.integration.signature, f"integrations.{name}.signature")
    return lines


def _lines(faults: dict[str, str]) -> list[str]:
    return [f"{path}: {message}" for path, message in faults.items()]


def _share(entry: Any, folder: Path) -> tuple[Share | None, dict[str, str]]:
    faults: dict[str, str] = {}
    try:
        return Share.model_validate(render(entry, "share", faults, faults), context={"folder": folder}), faults
    except ValidationError as error:
        for path, message in described(error, Share, "share"):
            faults.setdefault(path, message)
        return None, faults


def _alerts(entry: Any, folder: Path) -> tuple[dict[str, Sink], dict[str, str]]:
    """What the environment lacks is no fault: it stops no delivery, and is said when somebody is to be told."""
    faults = _literal_secrets(entry, "alerts", {})
    try:
        found = _Alerts.model_validate({"alerts": render(entry, "alerts", faults, {})}, context={"folder": folder})
    except ValidationError as error:
        for path, message in described(error, _Alerts, ""):
            faults.setdefault(path.removeprefix("."), message)
        return {}, faults
    return found.alerts, faults


def _literal_secrets(node: Any, path: str, found: dict[str, str]) -> dict[str, str]:
    """What is found is added, by key path."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        is_secret = key in SECRETS or (isinstance(value, str) and "PRIVATE KEY" in value)
        if is_secret and value is not None and not is_secret_reference(value):
            found[f"{path}.{key}"] = "a secret must not stand in the file; use \"{{ env_var('NAME') }}\""
        if isinstance(value, dict | list):
            _literal_secrets(value, f"{path}.{key}", found)
    return found


def _unreadable_certificates(integration: Integration, where: str) -> Iterator[str]:
    """Whether files can be encrypted to them is judged delivery by delivery: one that expires stops no other client."""
    key = "public_key" if integration.public_key else "recipients"
    for path in integration.certificates:
        try:
            _mode(path)
        except OSError as error:
            yield f"{where}.{key}: {path} cannot be read: {error.strerror}"


def _unusable_keys(target: BaseModel, where: str) -> Iterator[str]:
    """Of files that hold secrets, those that cannot be read, or that others can; with those of a jump host."""
    for name, key in target:
        if isinstance(key, BaseModel):
            yield from _unusable_keys(key, f"{where}.{name}")
        if not isinstance(key, Path):
            continue
        try:
            mode = _mode(key)
        except OSError as error:
            yield f"{where}.{name}: {key} cannot be read: {error.strerror}"
            continue
        if mode & 0o077:
            yield f"{where}.{name}: {key} is open to others; chmod 600"


def _mode(path: Path) -> int:
    """The mode of a file that can be read; OSError of what is none. Of a pipe nobody waits for the other end."""
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(opened).st_mode
    finally:
        os.close(opened)
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no file")
    return mode

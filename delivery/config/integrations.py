"""Integrations: where exports go and what their files look like (`integrations.yml`).

The keys follow the platform's form; values may use `{{ env_var('NAME') }}` or `{{ env_var('NAME', 'default') }}`.
Secrets must: a password in the file is refused. `json_schema()` gives the same rules to editors.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from delivery.config.values import NAME, Directory, FileName, HostKey, KeyFile, Name, Nulls, RowCount, Secret
from delivery.config.yaml_file import ONLY_ENV_VAR, is_secret_reference, read_yaml, render
from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pydantic_core import ErrorDetails

SECRETS = ("password", "passphrase")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


Publish = Annotated[
    Literal["rename", "look-and-rename", "exclusive"],
    Field(
        description="how files get their final names; "
        "look-and-rename: a rename overwrites there, and nobody else writes; "
        "exclusive: under their final names at once, and a done file comes last"
    ),
]


class SftpDestination(_Strict):
    """A client's SFTP server. host_keys: OpenSSH public key lines, several while a key is being rotated."""

    type: Literal["sftp"]
    host: str = Field(min_length=1)
    port: int = Field(default=22, ge=1, le=65535)
    username: str = Field(min_length=1)
    password: Secret | None = None
    private_key: KeyFile | None = None
    passphrase: Secret | None = None
    host_keys: list[HostKey] = Field(min_length=1)
    timeout: float = Field(default=30.0, gt=0, description="seconds that any one reply may take")
    deadline: float = Field(default=3600.0, gt=0, description="seconds that a whole delivery may take")
    publish: Publish = "rename"

    @model_validator(mode="after")
    def _has_login(self) -> SftpDestination:
        if self.password is None and self.private_key is None:
            raise ValueError("needs a password or a private_key")
        return self


class HostedDestination(_Strict):
    """The platform's own share, below `/<namespace>/`. keep_days: then `delivery prune` removes what was delivered."""

    type: Literal["hosted"]
    keep_days: int = Field(default=7, ge=1)
    publish: Publish = "rename"


class LocalDestination(_Strict):
    """A directory of this machine, or one mounted here."""

    type: Literal["local"]
    publish: Publish = "rename"


DESTINATIONS: dict[str, type[BaseModel]] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind
    for kind in (SftpDestination, HostedDestination, LocalDestination)
}
AnyDestination = Annotated[SftpDestination | HostedDestination | LocalDestination, Field(discriminator="type")]


class Split(_Strict):
    """Where one file ends and the next begins: one of the three."""

    rows: int | None = Field(default=None, ge=1, description="rows of a part, at most")
    bytes: int | None = Field(
        default=None, ge=1024, description="bytes of a part's text, at most; a row is never split"
    )
    by: Literal["day"] | None = Field(default=None, description="a part for each day of the window")

    @model_validator(mode="after")
    def _is_one(self) -> Split:
        if sum(value is not None for value in (self.rows, self.bytes, self.by)) != 1:
            raise ValueError("needs one of rows, bytes and by")
        return self


class Integration(_Strict):
    """One client's destination and file format. Keys as the platform's form names them."""

    vendor_name: str = Field(min_length=1)
    namespace: Name = Field(description="the client whose rows go here")
    definitions: list[str] = Field(default_factory=list, description="columns of audience exports, in this order")
    destination: AnyDestination
    directory: Directory
    file_name: FileName | None = None
    filename_timestamped: bool = Field(default=False, description="adds _YYYYMMDDHHMMSS (UTC) before the extension")
    character_encoding: Literal["UTF-8", "UTF-16"] = "UTF-8"
    row_delimiter: Literal["windows", "linux"] = "windows"
    column_delimiter: Literal[",", "|", "\t", ";"] = ","
    include_header_row: bool = True
    compression: Literal["none", "gzip", "zstd"] = "none"
    encryption: Literal["none", "openpgp"] = "none"
    public_key: KeyFile | None = Field(default=None, description="the client's OpenPGP certificate, for encryption")
    split: Split | None = None
    bom: bool = Field(default=False, description="a byte-order mark for UTF-8; UTF-16 always has one")
    nulls: Nulls = Field(default="", max_length=20, description="what stands for NULL; empty by default")
    quoting: Literal["minimal", "all"] = "minimal"
    escape_formulas: bool = Field(
        default=False, description="an apostrophe before = + - @ tab and CR, for spreadsheets"
    )
    manifest: bool = True
    done_file: bool = Field(default=False, description="an empty <file>.done, after all else")
    empty: Literal["header", "skip", "fail"] = "header"
    row_count: RowCount | None = None
    existing: Literal["hold", "replace"] = "hold"

    @model_validator(mode="after")
    def _consistent(self) -> Integration:
        if self.existing == "replace" and self.filename_timestamped:
            raise ValueError("existing: replace needs a fixed name, not filename_timestamped")
        if self.existing == "replace" and self.has_done_file:
            raise ValueError("existing: replace goes with neither done_file nor publish: exclusive: names must be new")
        if self.existing == "replace" and self.split:
            raise ValueError("existing: replace cannot be split: parts left over from before would stay")
        if (self.encryption == "openpgp") != (self.public_key is not None):
            raise ValueError("encryption: openpgp needs public_key, and public_key needs encryption: openpgp")
        if any(mark in self.nulls for mark in (self.column_delimiter, '"', "\r", "\n")):
            raise ValueError("nulls must not contain the column delimiter, a quote or a line break")
        if self.destination.type == "hosted" and "." in self.directory.split("/"):
            raise ValueError("directory must be plain names on the hosted share, without '.'")
        return self

    @property
    def publishes_open(self) -> bool:
        """Whether files are written under their final names, for want of a rename."""
        return self.destination.publish == "exclusive"

    @property
    def has_done_file(self) -> bool:
        """Whether an empty file comes last; where files are written under their final names, it must."""
        return self.done_file or self.publishes_open


PARTS: dict[str, type[BaseModel]] = {"split": Split, "row_count": RowCount}


class _File(_Strict):
    integrations: dict[Name, Integration]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `integrations.yml`, for editors. Any value may also be an env_var template; secrets must."""
    schema = _File.model_json_schema()
    for model in schema["$defs"].values():
        for name, field in model["properties"].items():
            if name in SECRETS:
                model["properties"][name] = {"type": "string", "pattern": ONLY_ENV_VAR}
            elif "const" not in field:
                model["properties"][name] = _or_template(field)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "integrations.yml"}


def _or_template(field: dict[str, Any]) -> dict[str, Any]:
    if "items" in field:
        return {**field, "items": _or_template(field["items"])}
    if field.get("type") == "string" and not {"enum", "pattern", "maxLength"} & set(field):
        return field
    if not {"type", "enum"} & set(field):  # a choice of models
        return field
    about = {key: value for key, value in field.items() if key in ("title", "description", "default")}
    rule = {key: value for key, value in field.items() if key not in about}
    return {**about, "anyOf": [rule, {"type": "string", "pattern": r"\{\{.*env_var\(.*\}\}"}]}


def load_integrations(path: Path, needed: Iterable[str] | None = None) -> dict[str, Integration]:
    """Every integration of the file by name; of those not in `needed`, the ones whose secrets are set.

    Raises ConfigError with every fault of the file, each with its key path.
    """
    needed_names = None if needed is None else set(needed)
    entries, faults = _entries(_read(path))
    loaded = {}
    for name, entry in entries.items():
        is_needed = needed_names is None or name in needed_names
        integration, found, missing = _load(entry, f"integrations.{name}", path.parent)
        if is_needed:
            found += missing
            if integration is not None:
                found += _unusable_key(integration, f"integrations.{name}.destination.private_key")
                found += _unreadable_certificate(integration, f"integrations.{name}.public_key")
        faults += found
        if integration is not None and not missing:
            loaded[name] = integration
    if faults:
        raise ConfigError(
            f"{path.name} has {_count(faults)}:\n" + "\n".join(f"  {fault}" for fault in faults),
            hint=f"Mend {path.name} or the environment, then run `delivery plan`.",
        )
    return loaded


def load_without_secrets(path: Path, name: str) -> Integration:
    """One integration whose secrets need not be set: enough to reach its server, not to log in.

    Raises ConfigError with every other fault of it, or when the file does not have it.
    """
    entries = _entries(_read(path))[0]
    if name not in entries:
        raise ConfigError(f"Unknown integration: {name}.", hint=f"Known: {', '.join(entries) or 'none'}.")
    integration, faults, missing = _load(entries[name], f"integrations.{name}", path.parent)
    faults += [line for line in missing if line.split(":", 1)[0].rsplit(".", 1)[-1] not in SECRETS]
    if faults or integration is None:
        raise ConfigError(f"{path.name} has {_count(faults)}:\n" + "\n".join(f"  {fault}" for fault in faults))
    return integration


def declared_names(path: Path) -> list[str]:
    """The names of all integrations of the file, whether or not their secrets are set."""
    return list(_entries(_read(path))[0])


def declared_namespaces(path: Path) -> dict[str, str]:
    """The namespace of every integration of the file, whether or not its secrets are set."""
    entries, _ = _entries(_read(path))
    return {name: str(render(entry.get("namespace"), name, {}, {})) for name, entry in entries.items()}


def declared_definitions(path: Path) -> dict[str, list[str]]:
    """The definitions of every integration of the file, whether or not its secrets are set."""
    entries, _ = _entries(_read(path))
    return {name: list(render(entry.get("definitions") or [], name, {}, {})) for name, entry in entries.items()}


def _read(path: Path) -> Any:
    return read_yaml(path, hint="Create it: docs/configure-a-client.md.")


def _entries(document: Any) -> tuple[dict[str, Any], list[str]]:
    """The entries with a name that can be one, and the faults around them."""
    entries = document.get("integrations") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(entries, dict):
        return {}, ["integrations: is required: a mapping of names to integrations"]
    faults = [f"{key}: unknown key; known: integrations" for key in document if key != "integrations"]
    named = {}
    for name, entry in entries.items():
        if isinstance(name, str) and NAME.fullmatch(name):
            named[name] = entry
        else:
            faults.append(f"integrations.{name}: a name has letters, digits, - and _ (seen: {name!r})")
    return named, faults


def _load(entry: Any, where: str, folder: Path) -> tuple[Integration | None, list[str], list[str]]:
    """The integration if it can be one, its faults, and those that only the environment has."""
    faults, missing = dict(_literal_secrets(entry, where)), dict[str, str]()
    rendered = render(entry, where, faults, missing)
    integration = None
    try:
        integration = Integration.model_validate(rendered, context={"folder": folder})
    except ValidationError as error:
        for fault in error.errors():
            path, message = _describe(fault, where)
            if path not in missing:
                faults.setdefault(path, message)
    return integration, _lines(faults), _lines(missing)


def _lines(faults: dict[str, str]) -> list[str]:
    return [f"{path}: {message}" for path, message in faults.items()]


def _count(faults: list[str]) -> str:
    return "one fault" if len(faults) == 1 else f"{len(faults)} faults"


def _literal_secrets(node: Any, path: str) -> Iterator[tuple[str, str]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        where = f"{path}.{key}"
        if key in SECRETS and value is not None and not is_secret_reference(value):
            yield where, "a secret must not stand in the file; use \"{{ env_var('NAME') }}\""
        yield from _literal_secrets(value, where)


def _describe(fault: ErrorDetails, prefix: str) -> tuple[str, str]:
    loc = [str(part) for part in fault["loc"]]
    kind = loc.pop(1) if loc[:1] == ["destination"] and len(loc) > 1 else None
    where = ".".join([prefix, *loc])
    if fault["type"] == "extra_forbidden":
        model = DESTINATIONS[kind] if kind else PARTS.get(loc[0], Integration)
        return where, f"unknown key; known: {', '.join(model.model_fields)}"
    if fault["type"] == "missing":
        return where, "is required"
    if fault["type"] == "union_tag_not_found":
        return f"{where}.type", f"is required; known: {', '.join(DESTINATIONS)}"
    if fault["type"] == "union_tag_invalid":
        return f"{where}.type", f"unknown {fault['ctx']['tag']!r}; known: {', '.join(DESTINATIONS)}"
    return where, fault["msg"].removeprefix("Value error, ") + _seen(loc, fault)


def _seen(loc: list[str], fault: ErrorDetails) -> str:
    value = fault.get("input")
    secret = {*SECRETS, "private_key", "destination"} & {*loc}
    if secret and loc[-1] not in ("host", "port", "username", "timeout", "deadline"):
        return ""
    return f" (seen: {value!r})" if isinstance(value, str | int | float) and len(str(value)) < 100 else ""


def _unreadable_certificate(integration: Integration, where: str) -> list[str]:
    """Whether files can be encrypted to it is judged delivery by delivery: one that expires stops no other client."""
    try:
        if integration.public_key is not None:
            integration.public_key.open("rb").close()
    except OSError as error:
        return [f"{where}: {integration.public_key} cannot be read: {error.strerror}"]
    return []


def _unusable_key(integration: Integration, where: str) -> list[str]:
    destination = integration.destination
    if not isinstance(destination, SftpDestination) or destination.private_key is None:
        return []
    try:
        with destination.private_key.open("rb") as key:
            mode = os.fstat(key.fileno()).st_mode
    except OSError as error:
        return [f"{where}: {destination.private_key} cannot be read: {error.strerror}"]
    return [f"{where}: {destination.private_key} is open to others; chmod 600"] if mode & 0o077 else []

"""Integrations: where exports go and what their files look like (`integrations.yml`).

The keys follow the platform's form; values may use `{{ env_var('NAME') }}` or `{{ env_var('NAME', 'default') }}`.
Secrets must: a password in the file is refused. `json_schema()` gives the same rules to editors.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import yaml
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic_core import ErrorDetails

SECRETS = ("password", "passphrase")
FILE_NAME_FIELDS = ("namespace", "campaign", "window", "revision", "part")


def _safe_directory(value: str) -> str:
    if not value or "\0" in value or "\\" in value or ".." in value.split("/"):
        raise ValueError("must be a path without '..', backslash or NUL")
    return value


def _safe_file_name(value: str) -> str:
    if not value or "/" in value or "\\" in value or "\0" in value or value.startswith("."):
        raise ValueError("must be a name without a path, not starting with a dot")
    if re.search(r"[\x00-\x1f]", value):
        raise ValueError("must not contain control characters")
    try:
        fields = [name for _, name, _, _ in Formatter().parse(value) if name is not None]
    except ValueError as error:
        raise ValueError(f"is not a template: {error}") from None
    unknown = sorted(set(fields) - set(FILE_NAME_FIELDS))
    if unknown:
        raise ValueError(f"unknown {{{unknown[0]}}}; known: {', '.join(FILE_NAME_FIELDS)}")
    return value


Directory = Annotated[str, AfterValidator(_safe_directory)]
FileName = Annotated[str, AfterValidator(_safe_file_name)]
HostKey = Annotated[str, Field(pattern=r"^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}( .*)?$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class SftpDestination(_Strict):
    """A client's SFTP server. host_keys: OpenSSH public key lines, several while a key is being rotated."""

    type: Literal["sftp"]
    host: str = Field(min_length=1)
    port: int = Field(default=22, ge=1, le=65535)
    username: str = Field(min_length=1)
    password: SecretStr | None = None
    private_key: Path | None = None
    passphrase: SecretStr | None = None
    host_keys: list[HostKey] = Field(min_length=1)
    timeout: float = Field(default=30.0, gt=0, description="seconds that any one reply may take")
    deadline: float = Field(default=3600.0, gt=0, description="seconds that a whole delivery may take")

    @model_validator(mode="after")
    def _has_login(self) -> SftpDestination:
        if self.password is None and self.private_key is None:
            raise ValueError("needs a password or a private_key")
        return self


class HostedDestination(_Strict):
    """The platform's own share, below `/<namespace>/`, kept for 7 days."""

    type: Literal["hosted"]


class LocalDestination(_Strict):
    """A directory of this machine, or one mounted here."""

    type: Literal["local"]


AnyDestination = Annotated[SftpDestination | HostedDestination | LocalDestination, Field(discriminator="type")]


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
    bom: bool = Field(default=False, description="a byte-order mark for UTF-8; UTF-16 always has one")
    nulls: str = Field(default="", max_length=20, description="what stands for NULL; empty by default")
    quoting: Literal["minimal", "all"] = "minimal"
    escape_formulas: bool = Field(
        default=False, description="an apostrophe before = + - @ tab and CR, for spreadsheets"
    )
    manifest: bool = True
    empty: Literal["header", "skip", "fail"] = "header"
    existing: Literal["hold", "replace"] = "hold"

    @model_validator(mode="after")
    def _consistent(self) -> Integration:
        if self.existing == "replace" and self.filename_timestamped:
            raise ValueError("existing: replace needs a fixed name, not filename_timestamped")
        if any(mark in self.nulls for mark in (self.column_delimiter, '"', "\r", "\n")):
            raise ValueError("nulls must not contain the column delimiter, a quote or a line break")
        return self


class _File(_Strict):
    integrations: dict[Name, Integration]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of `integrations.yml`, for editors. Booleans and numbers may also be env_var templates."""
    schema = _File.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "integrations.yml", **schema}


def load_integrations(path: Path, needed: Iterable[str] | None = None) -> dict[str, Integration]:
    """Every integration of the file by name; of those not in `needed`, the ones whose secrets are set.

    Raises ConfigError with every fault of the file, each with its key path.
    """
    document = _read_yaml(path)
    needed_names = None if needed is None else set(needed)
    entries = document.get("integrations") if isinstance(document, dict) else None
    faults: list[str] = []
    if isinstance(entries, dict):
        _literal_secrets(entries, "integrations", faults)
        for name in list(entries):
            missing: list[str] = []
            entries[name] = _render(entries[name], f"integrations.{name}", missing)
            if missing and (needed_names is None or name in needed_names):
                faults += missing
            if missing:
                del entries[name]
    try:
        loaded = _File.model_validate(document).integrations
    except ValidationError as error:
        faults += [_describe(fault) for fault in error.errors()]
        loaded = {}
    faults += _unusable_keys(loaded, needed_names)
    if faults:
        raise ConfigError(
            f"{path.name} has {_count(faults)}:\n" + "\n".join(f"  {fault}" for fault in faults),
            hint=f"Mend {path.name} or the environment, then run `delivery plan`.",
        )
    return loaded


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"No {path.name} in {path.parent}.", hint="Create it: docs/configure-a-client.md.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{path.name} is not YAML{where}.", hint="Check indentation and quotes there.") from None


def _count(faults: list[str]) -> str:
    return "one fault" if len(faults) == 1 else f"{len(faults)} faults"


def _literal_secrets(node: Any, path: str, faults: list[str]) -> None:
    for key, value, where in _walk(node, path):
        if key in SECRETS and value is not None and not (isinstance(value, str) and "env_var(" in value):
            faults.append(f"{where}: a secret must not stand in the file; use \"{{{{ env_var('NAME') }}}}\"")


def _walk(node: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list):
        items = enumerate(node)
    for key, value in items:
        where = f"{path}.{key}"
        yield str(key), value, where
        yield from _walk(value, where)


class _MissingVariableError(Exception):
    pass


def _env_var(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None:
        raise _MissingVariableError(name)
    return value


_TEMPLATES = SandboxedEnvironment(undefined=StrictUndefined)
_TEMPLATES.globals = {"env_var": _env_var}


def _render(node: Any, path: str, faults: list[str]) -> Any:
    if isinstance(node, dict):
        return {key: _render(value, f"{path}.{key}", faults) for key, value in node.items()}
    if isinstance(node, list):
        return [_render(value, f"{path}.{index}", faults) for index, value in enumerate(node)]
    if not isinstance(node, str) or "{{" not in node:
        return node
    try:
        return _TEMPLATES.from_string(node).render()
    except _MissingVariableError as error:
        faults.append(f"{path}: the environment variable {error} is not set")
    except TemplateError as error:
        faults.append(f"{path}: the template cannot be read: {error.message}")
    return node


def _describe(fault: ErrorDetails) -> str:
    loc = [str(part) for part in fault["loc"] if part not in ("sftp", "hosted", "local")]
    where = ".".join(loc) or "the file"
    if fault["type"] == "extra_forbidden":
        return f"{where}: unknown key; known: {', '.join(_known_keys(fault['loc']))}"
    if fault["type"] == "missing":
        return f"{where}: is required"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}{_seen(loc, fault)}"


def _seen(loc: list[str], fault: ErrorDetails) -> str:
    value = fault.get("input")
    if any(part in SECRETS for part in loc) or not isinstance(value, str | int | float | bool):
        return ""
    return f" (seen: {value!r})"


def _known_keys(loc: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = _File
    if len(loc) > 2:
        model = Integration
    if "destination" in loc:
        kinds = {
            str(get_args(kind.model_fields["type"].annotation)[0]): kind
            for kind in (SftpDestination, HostedDestination, LocalDestination)
        }
        model = next((kinds[str(part)] for part in loc if part in kinds), SftpDestination)
    return list(model.model_fields)


def _unusable_keys(integrations: Mapping[str, Integration], needed: set[str] | None) -> list[str]:
    faults = []
    for name, integration in integrations.items():
        destination = integration.destination
        if not isinstance(destination, SftpDestination) or destination.private_key is None:
            continue
        if needed is not None and name not in needed:
            continue
        where = f"integrations.{name}.destination.private_key"
        try:
            mode = destination.private_key.stat().st_mode
            destination.private_key.open("rb").close()
        except OSError as error:
            faults.append(f"{where}: {destination.private_key} cannot be read: {error.strerror}")
            continue
        if mode & 0o077:
            faults.append(f"{where}: {destination.private_key} is open to others; chmod 600")
    return faults

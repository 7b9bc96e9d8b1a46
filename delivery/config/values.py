"""Kinds of values in `integrations.yml`: what each may be, and why not."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    model_validator,
)

from delivery.config.host_keys import KEY_TYPES, HostKey
from delivery.config.templates import AnyDay, AnyNumber, check_template, shortest

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_BYTES = 255  # NAME_MAX of Linux file systems
PATH_BYTES = 1000  # fits below a share's folder (PATH_MAX), and into a bucket's key
LONGEST = 7 * 86_400.0  # seconds; no timer takes just any number
# Keys whose values only the environment may hold.
SECRETS = ("password", "passphrase", "secret_access_key", "account_key", "sas_token", "url")
TEMPORARY_NAME = ".{name}.{sha8}.part"
FILE_NAME_FIELDS = {"namespace": "text", "campaign": "text", "window": "date", "revision": "number", "part": "number"}
_ANY = {"text": "x", "date": AnyDay(), "number": AnyNumber()}
CONTROL = re.compile(r"[\x00-\x1f\x7f\ue000-\uf8ff]")  # and what has no meaning of its own


def _safe_directory(value: str) -> str:
    example = _example(value, {"window": "date"})
    if not value or "\\" in value or ".." in example.split("/") or CONTROL.search(value):
        raise ValueError("must be a path without '..', backslash or control characters")
    if len(example.encode()) > PATH_BYTES or any(len(part.encode()) > NAME_BYTES for part in example.split("/")):
        raise ValueError(f"must be a path of at most {PATH_BYTES} bytes, of names of at most {NAME_BYTES}")
    return value


def _example(value: str, fields: Mapping[str, str]) -> str:
    try:
        check_template(value, fields)
    except ValueError as error:
        is_unknown = str(error).startswith("unknown ")
        raise ValueError(str(error) if is_unknown else f"is not a template: {error}") from None
    return shortest(value.format_map({name: _ANY[kind] for name, kind in fields.items()}))


def _safe_temporary_name(value: str) -> str:
    example = _example(value, {"name": "text", "sha8": "text"})
    if value.count("{name}") != 1 or value.count("{sha8}") != 1:
        raise ValueError("must have {name} and {sha8} once each: a name of its own for each file and its content")
    if "/" in example or "\\" in example or CONTROL.search(value) or example == "x":
        raise ValueError("must be a name without a path or control characters")
    return value


def _host(value: str) -> str:
    """A name or an address alone; what stands beside it has keys of its own."""
    if found := re.fullmatch(r"([^:]+|\[.+\]):(\d+)", value):
        raise ValueError(f"must be a host alone: write {found[1].strip('[]')}, and `port: {found[2]}` beside it")
    try:
        ipaddress.ip_address(value)
    except ValueError:
        if not re.fullmatch(r"(?!.*\.\.)\w(?:[\w.-]*\w)?\.?", value):
            raise ValueError("must be the name or the address of a host, without scheme, user or path") from None
    return value


def _file_mode(value: object) -> object:
    """From `0640`, which YAML reads as octal, or "0640"; `640` would be another number."""
    if isinstance(value, str) and re.fullmatch(r"0o?[0-7]{3,4}", value):
        value = int(value.replace("o", ""), 8)
    is_readable = isinstance(value, int) and all(value >> bits & 0o7 in {0, 4, 6} for bits in (0, 3))
    if not isinstance(value, int) or isinstance(value, bool) or value >> 6 != 0o6 or not is_readable:
        raise ValueError("must be octal, 0600 and what others may read or write on top, as in 0640")
    return value


def _safe_file_name(value: str) -> str:
    for name in (value, _example(value, FILE_NAME_FIELDS)):
        if not name or "/" in name or "\\" in name or name.startswith(".") or CONTROL.search(name):
            raise ValueError("must be a name without a path or control characters, not starting with a dot")
    return value


def _not_a_key(value: object) -> object:
    if isinstance(value, str) and ("\n" in value or "PRIVATE KEY" in value):
        raise ValueError("must be the path of a key file, not the key itself")
    return value


def _from_the_file(value: Path, info: ValidationInfo) -> Path:
    """A path is relative to the folder of integrations.yml, wherever the command runs."""
    folder: Path = (info.context or {}).get("folder", Path())
    if CONTROL.search(str(value)):
        raise ValueError("must be a path without control characters")
    try:
        return folder / value.expanduser()
    except RuntimeError:
        raise ValueError("must be a path: nobody here has such a home") from None


def _key_or_path(value: object, info: ValidationInfo) -> object:
    r"""A path, or a key's text, in which `\n` may be two characters."""
    if isinstance(value, str) and "PRIVATE KEY" in value:
        return SecretStr(value if "\n" in value else value.replace("\\n", "\n"))
    if not isinstance(value, str | Path):
        raise ValueError("must be the path of a key file, or the key itself from the environment")  # noqa: TRY004
    return _from_the_file(Path(value), info)


def _pinned(value: str) -> str:
    return HostKey.parse(value).line


def _trailer(value: str) -> str:
    check_template(value, {"rows": "number"})
    if "{rows" not in value or CONTROL.search(value.replace("\t", "")):
        raise ValueError("must be one line with {rows} in it, without control characters but tabs")
    return value


def _told_from_values(value: str) -> str:
    if CONTROL.search(value) or value.startswith("\ufeff"):
        raise ValueError("must not contain control characters, or begin with a byte-order mark")
    if re.fullmatch(r"(?i)true|false|[+-]?(\d.*|inf|nan)", value):
        raise ValueError("could be a value: choose a token that is no number, date or boolean")
    return value


Directory = Annotated[str, AfterValidator(_safe_directory)]
TemporaryName = Annotated[str, AfterValidator(_safe_temporary_name)]
Host = Annotated[str, Field(min_length=1), AfterValidator(_host)]
FileMode = Annotated[
    int, BeforeValidator(_file_mode), Field(json_schema_extra={"type": ["integer", "string"], "examples": ["0640"]})
]
FileName = Annotated[str, AfterValidator(_safe_file_name)]
PinnedKey = Annotated[
    str, AfterValidator(_pinned), Field(json_schema_extra={"pattern": rf"(^|\s)({'|'.join(KEY_TYPES)}) AAAA\S+"})
]
KeyFile = Annotated[Path, BeforeValidator(_not_a_key), AfterValidator(_from_the_file)]
PrivateKey = Annotated[Path | SecretStr, BeforeValidator(_key_or_path)]
Secret = Annotated[SecretStr, Field(min_length=1)]
Trailer = Annotated[str, Field(max_length=200), AfterValidator(_trailer)]
Nulls = Annotated[str, AfterValidator(_told_from_values)]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
Name = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]


class RejectedLimit(BaseModel):
    """How many of a client's rows of a window may have been rejected: more than both, and the rest does not leave."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int = Field(default=20, ge=0)
    percent: float = Field(default=5, ge=0, le=100, description="of the rows that came")


class RowCount(BaseModel):
    """Bounds of a delivery's row count."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: int | None = Field(default=None, ge=0)
    max: int | None = Field(default=None, ge=0)
    change: float | None = Field(default=None, gt=0, description="per cent, against the median of the last deliveries")

    @model_validator(mode="after")
    def _can_be_met(self) -> RowCount:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must not be above max")
        if self.min is self.max is self.change is None:
            raise ValueError("needs min, max or change")
        return self

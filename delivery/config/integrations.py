"""Integrations: where exports go and what their files look like (`integrations.yml`).

The keys follow the platform's form; values may use `{{ env_var('NAME') }}` or `{{ env_var('NAME', 'default') }}`.
Secrets must: a password in the file is refused. `json_schema()` gives the same rules to editors.
"""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from delivery.config.alerts import Sink  # noqa: TC001 - pydantic reads it
from delivery.config.buckets import BucketDestination
from delivery.config.columns import Chosen, Columns  # noqa: TC001 - pydantic reads it
from delivery.config.formats import DateFormat, TimestampFormat, TimeZone, check_encoded
from delivery.config.share import Share  # noqa: TC001 - pydantic reads it
from delivery.config.values import (
    LONGEST,
    NAME_BYTES,
    SECRETS,
    TEMPORARY_NAME,
    Directory,
    FileMode,
    FileName,
    Host,
    KeyFile,
    Name,
    Nulls,
    PinnedKey,
    PrivateKey,
    RejectedLimit,
    RowCount,
    Secret,
    TemporaryName,
    Trailer,
)
from delivery.config.yaml_file import ONLY_ENV_VAR


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Publish = Annotated[
    Literal["rename", "look-and-rename", "exclusive"],
    Field(
        description="how files get their final names; "
        "look-and-rename: a rename overwrites there, and nobody else writes; "
        "exclusive: under their final names at once, and a done file comes last"
    ),
]


class _Destination(_Strict):
    """What every destination may say of the files in it."""

    publish: Publish = "rename"
    file_mode: FileMode = Field(default=0o600, description="octal; for servers where another account reads")
    temporary_name: TemporaryName = Field(
        default=TEMPORARY_NAME, description="while a file is uploaded; for servers that forbid some names"
    )
    verify: Literal["hash", "size", "none"] = Field(
        default="hash", description="what is held against the file after its upload; for servers that let nobody read"
    )


class Account(_Strict):
    """A login at an SSH server. host_keys: lines of OpenSSH or `ssh-keyscan`, several while a key is being rotated.

    private_key: a path, or, from the environment alone, the key itself.
    """

    host: Host
    port: int = Field(default=22, ge=1, le=65535)
    username: str = Field(min_length=1)
    password: Secret | None = None
    private_key: PrivateKey | None = None
    passphrase: Secret | None = None
    host_keys: list[PinnedKey] = Field(min_length=1)

    @property
    def login(self) -> tuple[object, ...]:
        """All that a connection is made with: who has the same may use it."""
        who = (self.host, self.port, self.username, self.password, self.private_key, self.passphrase)
        return (*who, *self.host_keys)

    @model_validator(mode="after")
    def _has_login(self) -> Self:
        if self.password is None and self.private_key is None:
            raise ValueError("needs a password or a private_key")
        return self


class SftpDestination(_Destination, Account):
    """A client's SFTP server."""

    type: Literal["sftp"]
    jump: Account | None = Field(default=None, description="the server through which that one is reached")
    timeout: float = Field(default=30.0, gt=0, le=LONGEST, description="seconds that any one reply may take")
    deadline: float = Field(default=3600.0, gt=0, le=LONGEST, description="seconds that a whole delivery may take")
    connections: int = Field(default=4, ge=1, le=16, description="with this login at once, at most")

    @property
    def login(self) -> tuple[object, ...]:
        """That of the jump host is a part of it."""
        return (*super().login, *(self.jump.login if self.jump else ()))

    @property
    def server(self) -> str:
        """The account at the server as a URL without a path: what is one server has one text."""
        via = f" via {_address(self.jump)}" if self.jump else ""
        return f"sftp://{self.username}@{_address(self)}{via}"


def _address(account: Account) -> str:
    host = account.host.lower().rstrip(".")
    with suppress(ValueError):  # it is a name
        host = ip_address(host).compressed
    return f"{host}:{account.port}"


class HostedDestination(_Destination):
    """The platform's own share, below `/<namespace>/`. keep_days: then `delivery prune` removes what was delivered."""

    type: Literal["hosted"]
    file_mode: FileMode = Field(default=0o640, description="octal; the group of the share's folder reads")
    keep_days: int = Field(default=7, ge=1, le=36_500)


class LocalDestination(_Destination):
    """A directory of this machine, or one mounted here."""

    type: Literal["local"]


AnyDestination = Annotated[
    SftpDestination | HostedDestination | LocalDestination | BucketDestination, Field(discriminator="type")
]


class Split(_Strict):
    """Where one file ends and the next begins: one of the three."""

    rows: int | None = Field(default=None, ge=1, description="rows of a part, at most")
    bytes: int | None = Field(
        default=None, ge=1024, description="bytes of a part's text, at most; a row is never split"
    )
    by: str | None = Field(
        default=None,
        description="`day`: a part for each; or a column of rows: a part for each value named there",
    )

    @model_validator(mode="after")
    def _is_one(self) -> Split:
        if sum(value is not None for value in (self.rows, self.bytes, self.by)) != 1:
            raise ValueError("needs one of rows, bytes and by")
        return self

    @property
    def column(self) -> str | None:
        """Of whose values each has a part; None where parts end by day, rows or bytes."""
        return None if self.by == "day" else self.by


class Signature(_Strict):
    """By whose key encrypted files are signed. private_key: as an account's."""

    private_key: PrivateKey
    passphrase: Secret | None = None


class Integration(_Strict):
    """One client's destination and file format. Keys as the platform's form names them."""

    vendor_name: str = Field(min_length=1)
    namespace: Name = Field(max_length=NAME_BYTES, description="the client whose rows go here")
    definitions: list[str] = Field(default_factory=list, description="columns of audience exports, in this order")
    destination: AnyDestination
    directory: Directory
    columns: Columns | None = Field(default=None, description="of the dataset: which, in which order, called what")
    rows: Chosen = Field(default_factory=dict, description="by column, the values whose rows are sent; all by default")
    file_name: FileName | None = None
    extension: bool = Field(default=True, description="`.csv`, for a file_name without one")
    filename_timestamped: bool = Field(default=False, description="adds _YYYYMMDDHHMMSS (UTC) before the extension")
    character_encoding: Literal["UTF-8", "UTF-16", "Windows-1252", "ISO-8859-1"] = "UTF-8"
    row_delimiter: Literal["windows", "linux"] = "windows"
    column_delimiter: Literal[",", "|", "\t", ";"] = ","
    include_header_row: bool = True
    trailer: Trailer | None = Field(default=None, description="a last line, with {rows} in it")
    timestamp_format: TimestampFormat | None = Field(default=None, description="ISO 8601 by default")
    date_format: DateFormat | None = Field(default=None, description="ISO 8601 by default")
    time_zone: TimeZone = Field(default="UTC", description="of timestamps")
    compression: Literal["none", "gzip", "zstd"] = "none"
    encryption: Literal["none", "openpgp"] = "none"
    public_key: KeyFile | None = Field(default=None, description="the client's OpenPGP certificate, for encryption")
    recipients: list[KeyFile] = Field(
        default_factory=list, description="instead of public_key: certificates, each of whose owners can read the files"
    )
    signature: Signature | None = Field(default=None, description="encrypted files are signed by this key, too")
    armor: bool = Field(default=False, description="encrypted files are text")
    encrypted_extension: Literal["pgp", "gpg", "asc"] = "pgp"
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
    rejected: RejectedLimit = RejectedLimit()
    existing: Literal["hold", "replace"] = "hold"

    @model_validator(mode="after")
    def _consistent(self) -> Integration:
        if self.existing == "replace" and self.filename_timestamped:
            raise ValueError("existing: replace needs a fixed name, not filename_timestamped")
        if self.existing == "replace" and self.has_done_file:
            raise ValueError("existing: replace goes with neither done_file nor publish: exclusive: names must be new")
        if self.existing == "replace" and self.destination.verify != "hash":
            raise ValueError("existing: replace needs verify: hash: only a file that is known by it is replaced")
        if self.existing == "replace" and self.split:
            raise ValueError("existing: replace cannot be split: parts left over from before would stay")
        if (self.encryption == "openpgp") != bool(self.certificates):
            raise ValueError("encryption: openpgp needs public_key or recipients, and these need encryption: openpgp")
        if not self.certificates and (self.signature or self.armor or self.encrypted_extension != "pgp"):
            raise ValueError("signature, armor and encrypted_extension are of files with encryption: openpgp")
        if self.public_key and self.recipients:
            raise ValueError("public_key and recipients are two ways to say one thing: list all in recipients")
        if self.destination.type == "hosted" and "." in self.directory.split("/"):
            raise ValueError("directory must be plain names on the hosted share, without '.'")
        return self

    @model_validator(mode="after")
    def _parts_have_names(self) -> Integration:
        column = self.split.column if self.split else None
        if column is None:
            return self
        values = self.split_values
        if not values:
            raise ValueError(f"split by {column} needs rows: {{{column}: [...]}}, the values that have a file each")
        if odd := [value for value in values if not re.fullmatch(r"\w[\w .-]*", value)]:
            raise ValueError(f"split by {column} names files by values: {odd[0]!r} cannot stand in a name")
        if len({value.casefold() for value in values}) < len(values):
            raise ValueError(f"split by {column}: two values are the same, but for upper and lower case")
        if "{part:" in (self.file_name or ""):
            raise ValueError(f"split by {column}: {{part}} is a value then, and takes no format")
        return self

    @model_validator(mode="after")
    def _can_be_read(self) -> Integration:
        if any(mark in self.nulls for mark in (self.column_delimiter, '"', "\r", "\n")):
            raise ValueError("nulls must not contain the column delimiter, a quote or a line break")
        if self.trailer and self.split and self.split.bytes:
            raise ValueError("trailer does not go with split by bytes, which count the rows")
        if self.bom and not self.character_encoding.startswith("UTF"):
            raise ValueError(f"bom is for UTF-8: {self.character_encoding} has no byte-order mark")
        if self.time_zone != "UTC" and "%z" not in (self.timestamp_format or "%z"):
            raise ValueError("timestamp_format needs %z in another time_zone than UTC: an hour comes twice in autumn")
        given = (self.nulls, self.trailer, self.timestamp_format, self.date_format, *(self.columns or {}).values())
        check_encoded(self.character_encoding, filter(None, given))
        return self

    @property
    def certificates(self) -> tuple[Path, ...]:
        """Those that files are encrypted to, each of them; none where they are not encrypted."""
        return (self.public_key,) if self.public_key else tuple(self.recipients)

    @property
    def split_values(self) -> tuple[str, ...]:
        """The values that have a part each, in the order of the parts; none where nothing is split by a column."""
        return self.rows.get(self.split.column, ()) if self.split and self.split.column else ()

    def label(self, name: str) -> str:
        """What a column is called in the files."""
        return (self.columns or {}).get(name, name)

    @property
    def own_timestamp_format(self) -> str | None:
        """How times are written; None where it is ISO 8601 in UTC."""
        return self.timestamp_format or (None if self.time_zone == "UTC" else "%Y-%m-%dT%H:%M:%S%z")

    @property
    def publishes_open(self) -> bool:
        """Whether files are written under their final names, for want of a rename."""
        return self.destination.publish == "exclusive"

    @property
    def has_done_file(self) -> bool:
        """Whether an empty file comes last; where files are written under their final names, it must."""
        return self.done_file or self.publishes_open


KEPT_DAYS: int = HostedDestination.model_fields["keep_days"].default


def kept_days(integration: Integration | None) -> int:
    """How long the share keeps the integration's files; of one that cannot be read now, as long as by default."""
    target = integration.destination if integration else None
    return target.keep_days if isinstance(target, HostedDestination) else KEPT_DAYS


class _File(_Strict):
    integrations: dict[Name, Integration]
    share: Share | None = None
    alerts: dict[Name, Sink] = Field(default_factory=dict)


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

"""The manifest that comes last with each delivery, and checking files against it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from delivery.errors import ConfigError
from delivery.files.disk import hash_file
from delivery.schedule.names import MANIFEST_SUFFIX
from delivery.schedule.slots import SLOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from delivery.config.integrations import Integration
    from delivery.files.parts import Part
    from delivery.schedule.jobs import Job

# The integration's keys that say how to read its files.
FORMAT = {
    "character_encoding",
    "row_delimiter",
    "column_delimiter",
    "include_header_row",
    "compression",
    "encryption",
    "nulls",
    "quoting",
    "bom",
    "escape_formulas",
}

# Those that are said only where they were asked for.
ON_REQUEST = ("timestamp_format", "date_format", "time_zone", "trailer")


class ManifestFile(BaseModel):
    """One data file of a delivery. rows: without the header; sha256: of the bytes as they lie there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    rows: int
    bytes: int
    sha256: str
    plain_sha256: str


class Correction(BaseModel):
    """What a correction corrects. scope: `changes` is new and changed rows, to be merged by unique_key; `whole` all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    corrects: str
    scope: Literal["changes", "whole"]
    withdrawn: str | None = Field(description="the file that lists the unique_keys of rows that are no more")


class Changes(BaseModel):
    """Which files tell what changed since the delivery `since`: to be applied as left, changed, entered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: str
    entered: list[str]
    changed: list[str]
    left: list[str]


class DeliveryManifest(BaseModel):
    """What a client needs to check a delivery and to load it.

    Only a correction has the key `correction`, only a delivery of changes `changes`, only one of chosen rows `rows`,
    only what was not read back `verified`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = 1
    delivery: str
    campaign: str
    integration: str
    namespace: str
    dataset: str
    window: dict[str, str] | None
    slot: str
    revision: int
    correction: Correction | None = None
    changes: Changes | None = None
    columns: list[str]
    rows: dict[str, list[str]] | None = Field(
        default=None, description="by column of the dataset, the values whose rows were chosen"
    )
    file_format: dict[str, Any] = Field(description="the integration's keys that say how to read the files")
    files: list[ManifestFile]
    verified: Literal["size", "none"] | None = Field(
        default=None, description="what the files were held against after their upload, where it was not their hash"
    )
    dbt_invocation_id: str | None
    built_at: datetime | None = Field(default=None, description="when the rows were built (UTC)")
    data_until: datetime | None = Field(default=None, description="what had landed by then was read (UTC)")

    @classmethod
    def of(
        cls,
        job: Job,
        columns: Iterable[str],
        parts: Iterable[Part],
        invocation_id: str | None,
        told: Correction | Changes | None = None,
        built: tuple[datetime | None, datetime | None] = (None, None),
    ) -> Self:
        """Of a delivery whose data files are written.

        told: what it is in the light of those before it. built: when the rows were, and until when data was read (UTC).
        """
        built_at, data_until = (at and at.replace(microsecond=0, tzinfo=UTC) for at in built)
        window = job.window
        return cls(
            delivery=job.key,
            campaign=job.campaign.name,
            integration=job.integration_name,
            namespace=job.integration.namespace,
            dataset=job.campaign.dataset.name,
            window={"start": f"{window.start}T00:00:00Z", "end": f"{window.end}T00:00:00Z"} if window else None,
            slot=job.slot.strftime(SLOT),
            revision=job.revision,
            correction=told if isinstance(told, Correction) else None,
            changes=told if isinstance(told, Changes) else None,
            columns=[job.integration.label(name) for name in columns],
            rows={name: list(values) for name, values in job.integration.rows.items()} or None,
            file_format=job.integration.model_dump(mode="json", include=FORMAT | _asked(job.integration)),
            files=[ManifestFile(name=part.path.name, **asdict(part.written)) for part in parts],
            verified=None if job.integration.destination.verify == "hash" else job.integration.destination.verify,
            dbt_invocation_id=invocation_id,
            built_at=built_at,
            data_until=data_until,
        )

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The manifest that lies there; None when there is none, or it cannot be read."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (ValidationError, OSError):
            return None

    def content(self) -> bytes:
        """The bytes of its file."""
        may_lack = ("correction", "changes", "rows", "verified", "built_at", "data_until")
        absent = {name for name in may_lack if getattr(self, name) is None}
        text = json.dumps(self.model_dump(mode="json", exclude=absent), indent=2, ensure_ascii=False)
        return (text + "\n").encode()


def _asked(integration: Integration) -> set[str]:
    return {name for name in ON_REQUEST if getattr(integration, name) != type(integration).model_fields[name].default}


@dataclass(frozen=True)
class Checked:
    """One file held against its manifest. problem: empty when it is as the manifest says."""

    file: str
    manifest: str
    rows: int
    bytes: int
    problem: str


def verify(path: Path) -> list[Checked]:
    """Checks a manifest, a file beside its manifest, or every manifest in a directory and below.

    Raises ConfigError when there is no manifest to check against.
    """
    if path.is_dir():
        manifests = sorted(path.rglob(f"*{MANIFEST_SUFFIX}"))
    elif path.name.endswith(MANIFEST_SUFFIX):
        manifests = [path]
    else:
        beside = path.with_name(path.name + MANIFEST_SUFFIX)
        manifests = [beside] if beside.is_file() else _naming(path)
    if not manifests or not all(manifest.is_file() for manifest in manifests):
        raise ConfigError(
            f"There is no manifest for {path}.", hint=f"A manifest is named <first file>{MANIFEST_SUFFIX}."
        )
    return [checked for manifest in manifests for checked in _check(manifest)]


def _naming(path: Path) -> list[Path]:
    """The manifests beside a file that name it: of several parts, the first gives the manifest its name."""
    beside = {found: DeliveryManifest.read(found) for found in sorted(path.parent.glob(f"*{MANIFEST_SUFFIX}"))}
    return [
        found for found, manifest in beside.items() if manifest and path.name in {file.name for file in manifest.files}
    ]


def _check(path: Path) -> list[Checked]:
    manifest = DeliveryManifest.read(path)
    if manifest is None:
        return [Checked("", str(path), 0, 0, "the manifest cannot be read")]
    results = []
    for file in manifest.files:
        if file.name in ("", "..") or file.name != PurePath(file.name).name:
            return [Checked("", str(path), 0, 0, f"the manifest names no file beside it: {file.name!r}")]
        found = path.with_name(file.name)
        if not found.is_file():
            problem = "is missing"
        elif found.stat().st_size != file.bytes:
            problem = f"has {found.stat().st_size} bytes, the manifest says {file.bytes}"
        elif hash_file(found) != file.sha256:
            problem = "has other content than the manifest says"
        else:
            problem = ""
        results.append(Checked(str(found), str(path), file.rows, file.bytes, problem))
    return results

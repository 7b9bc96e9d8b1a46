"""Names of files: plain, short enough for what is added to them, and with the endings that tell what is inside."""

from __future__ import annotations

import re
from datetime import UTC
from itertools import product
from typing import TYPE_CHECKING

from delivery.config.templates import ANY, AnyDay, AnyNumber, shortest
from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from delivery.config.campaigns import Campaign
    from delivery.config.integrations import Integration
    from delivery.schedule.jobs import Job

NAME_BYTES = 255  # NAME_MAX of Linux file systems
MANIFEST_SUFFIX = ".manifest.json"
DONE_SUFFIX = ".done"
ALL = "all"
STAMP = "_%Y%m%d%H%M%S"
LISTED = ("left", "withdrawn")  # in one file, whatever the others are split by
KINDS = ("entered", "changed", *LISTED)
_NEVER = re.compile(r"[/\x00-\x1f\x7f]")
EXTENSIONS = {"none": "", "gzip": ".gz", "zstd": ".zst"}


def file_name(job: Job, now: datetime, part: int = 1, kind: str = "") -> str:
    """The final name of a part, or of the only file.

    now: for `filename_timestamped`; kept by the ledger from the first time on. kind: what else than rows it has.
    """
    by_value = job.integration.split_values
    named = (ALL if kind in LISTED else by_value[part - 1]) if by_value else part
    values = {"window": job.day, "revision": job.revision, "part": named}
    stamp = now.astimezone(UTC).strftime(STAMP)
    return _named(job.campaign, job.integration, values, stamp, kind, is_revised=job.revision > 0)


def possible_names(campaign: Campaign, integration: Integration) -> Iterator[str]:
    """Patterns (delivery/config/templates.py) of all the names that a campaign's files for an integration can have."""
    kinds = ("", *KINDS) if campaign.export.mode == "changes" or campaign.is_corrected else ("",)
    by_value = integration.split_values
    for part, kind, is_revised in product((*by_value, ALL) if by_value else (AnyNumber(),), kinds, (False, True)):
        values = {"window": AnyDay(), "revision": AnyNumber(), "part": part}
        name = _named(campaign, integration, values, format(AnyDay(), STAMP), kind, is_revised=is_revised)
        yield name
        yield from (name + MANIFEST_SUFFIX for _ in range(integration.manifest))
        yield from (name + DONE_SUFFIX for _ in range(integration.has_done_file))


def directory(integration: Integration, day: object) -> str:
    """Where the files of a window go, by its first day, or by the day of a slot.

    The share's root, as its clients see it, is `/<namespace>/`: a directory may be written so, too.
    """
    path = integration.directory.format(window=day)
    if integration.destination.type == "hosted" and f"{path}/".startswith(f"/{integration.namespace}/"):
        path = path.removeprefix(f"/{integration.namespace}")
    return path


def _template(campaign: Campaign, integration: Integration) -> str:
    by_day = campaign.dataset.window or campaign.export.schedule != "once"
    return integration.file_name or ("{campaign}_{window:%Y-%m-%d}" if by_day else "{campaign}")


def _named(
    campaign: Campaign, keys: Integration, values: Mapping[str, object], stamp: str, kind: str, *, is_revised: bool
) -> str:
    template = _template(campaign, keys)
    name = template.format(namespace=keys.namespace, campaign=campaign.name, **values)
    compressed, encrypted = EXTENSIONS[keys.compression], f".{keys.encrypted_extension}" if keys.certificates else ""
    name = name.removesuffix(encrypted)
    packed = compressed != "" and name.endswith(compressed)
    stem, suffix = split_name(name.removesuffix(compressed) if packed else name)
    if is_revised and "{revision" not in template and keys.existing != "replace":
        stem += f"_r{values['revision']}"
    if keys.split and "{part" not in template:
        stem += f"_{values['part']}" if keys.split_values else f"_part{values['part']:04}"
    if kind:
        stem += f"_{kind}"
    if keys.filename_timestamped:
        stem += stamp
    name = stem + (suffix or ("" if packed or not keys.extension else ".csv")) + compressed + encrypted
    longest = temporary_name(keys.destination.temporary_name, MANIFEST_SUFFIX, "0" * 8, fence=999_999)
    return check_name(name, room=len(longest.encode()))


def temporary_name(pattern: str, name: str, sha256: str, *, fence: int = 0) -> str:
    """The name of a file while it is uploaded: whose bytes lie there, and in which hand they were spooled."""
    return pattern.format(name=name, sha8=sha256[:8] + (f".{fence}" if fence else ""))


def finished_name(pattern: str, temporary: str) -> str | None:
    """The final name of what `temporary_name` named by this pattern; None of anything else."""
    sign = re.escape(pattern).replace(r"\{name\}", "(?P<name>.+)").replace(r"\{sha8\}", r"[0-9a-f]{8}(?:\.[0-9]+)?")
    found = re.fullmatch(sign, temporary)
    return found["name"] if found else None


def check_name(name: str, *, room: int = 0) -> str:
    """Return the name if it is one plain component that cannot leave its directory; otherwise ConfigError.

    room: bytes that must be left, for what will be added to the name.
    """
    if not name or name in {".", ".."} or _NEVER.search(name):
        raise ConfigError(f"not a plain file name: {name!r}", hint="Use a name without slashes and control characters.")
    if len(shortest(name).encode()) > NAME_BYTES - room:
        raise ConfigError(f"file name longer than {NAME_BYTES - room} bytes: {name[:40]!r}…", hint="Shorten file_name.")
    return name


def split_name(name: str) -> tuple[str, str]:
    """Stem and extension: what follows the last dot and begins with a letter, so that `2026.11.03` has none."""
    found = re.fullmatch(rf"(.+)(\.[A-Za-z][A-Za-z0-9{ANY}]*)", name)
    return (found[1], found[2]) if found else (name, "")

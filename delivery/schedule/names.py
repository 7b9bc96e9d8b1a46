"""Names of files: plain, short enough for what is added to them, and with the endings that tell what is inside."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from delivery.errors import ConfigError

if TYPE_CHECKING:
    from datetime import datetime

    from delivery.schedule.jobs import Job

NAME_BYTES = 255  # NAME_MAX of Linux file systems
MANIFEST_SUFFIX = ".manifest.json"
DONE_SUFFIX = ".done"
TEMPORARY = ".part"  # ends the name of a file that is being uploaded
EXTENSIONS = {"none": "", "gzip": ".gz", "zstd": ".zst", "openpgp": ".pgp"}
LONGEST_ADDITION = len("..12345678.123456" + TEMPORARY + MANIFEST_SUFFIX)  # a manifest's name while it is uploaded


def file_name(job: Job, now: datetime, part: int = 1, kind: str = "") -> str:
    """The final name of a part, or of the only file.

    now: for `filename_timestamped`; kept by the ledger from the first time on. kind: what else than rows it has.
    """
    keys = job.integration
    template = keys.file_name or ("{campaign}_{window:%Y-%m-%d}" if job.window else "{campaign}")
    name = template.format(
        namespace=keys.namespace,
        campaign=job.campaign.name,
        window=job.window.start if job.window else job.slot.date(),
        revision=job.revision,
        part=part,
    )
    compressed, encrypted = EXTENSIONS[keys.compression], EXTENSIONS[keys.encryption]
    name = name.removesuffix(encrypted)
    packed = compressed != "" and name.endswith(compressed)
    stem, suffix = split_name(name.removesuffix(compressed) if packed else name)
    if job.revision and "{revision" not in template and keys.existing != "replace":
        stem += f"_r{job.revision}"
    if keys.split and "{part" not in template:
        stem += f"_part{part:04}"
    if kind:
        stem += f"_{kind}"
    if keys.filename_timestamped:
        stem += now.astimezone(UTC).strftime("_%Y%m%d%H%M%S")
    name = stem + (suffix or ("" if packed else ".csv")) + compressed + encrypted
    return check_name(name, room=LONGEST_ADDITION)


def check_name(name: str, *, room: int = 0) -> str:
    """Return the name if it is one plain component that cannot leave its directory; otherwise ConfigError.

    room: bytes that must be left, for what will be added to the name.
    """
    if not name or name in {".", ".."} or "/" in name or any(ord(c) < 32 or ord(c) == 127 for c in name):
        raise ConfigError(f"not a plain file name: {name!r}", hint="Use a name without slashes and control characters.")
    if len(name.encode()) > NAME_BYTES - room:
        raise ConfigError(f"file name longer than {NAME_BYTES - room} bytes: {name[:40]!r}…", hint="Shorten file_name.")
    return name


def split_name(name: str) -> tuple[str, str]:
    """Stem and extension: what follows the last dot and begins with a letter, so that `2026.11.03` has none."""
    found = re.fullmatch(r"(.+)(\.[A-Za-z][A-Za-z0-9]*)", name)
    return (found[1], found[2]) if found else (name, "")

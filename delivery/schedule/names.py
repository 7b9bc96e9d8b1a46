"""Names of files: plain, short enough for what is added to them, and with the endings that tell what is inside."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from delivery.config.templates import ANY, AnyDay, AnyNumber, shortest
from delivery.config.values import NAME_BYTES
from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from delivery.config.campaigns import Campaign
    from delivery.config.integrations import Integration
    from delivery.schedule.jobs import Job

MANIFEST_SUFFIX = ".manifest.json"
DONE_SUFFIX = ".done"
ALL = "all"
STAMP = "_%Y%m%d%H%M%S"
LISTED = ("left", "withdrawn")  # in one file, whatever the others are split by
KINDS = ("entered", "changed", *LISTED)
TOGETHER = (("", "withdrawn"), ("entered", "changed", "left"))  # in one delivery, at most
_NEVER = re.compile(r"[/\x00-\x1f\x7f]")
EXTENSIONS = {"none": "", "gzip": ".gz", "zstd": ".zst"}


class Naming(NamedTuple):
    """All that the names of a campaign's files for an integration are made of; of thousands of clients most are alike.

    namespace, campaign: empty where the template does not name them; by_value: the values that have a part each.
    """

    template: str
    namespace: str
    campaign: str
    extension: bool
    compressed: str
    encrypted: str
    renames_revised: bool
    is_split: bool
    by_value: tuple[str, ...]
    is_stamped: bool
    beside: tuple[str, ...]
    kinds: tuple[str, ...]
    temporary: str

    @classmethod
    def of(cls, campaign: Campaign, integration: Integration) -> Naming:
        """What an integration says of names, and of a campaign what it may name."""
        template = _template(campaign, integration)
        tells = campaign.export.mode == "changes" or campaign.is_corrected
        return cls(
            template,
            integration.namespace if "{namespace" in template else "",
            campaign.name if "{campaign" in template else "",
            integration.extension,
            EXTENSIONS[integration.compression],
            f".{integration.encrypted_extension}" if integration.certificates else "",
            "{revision" not in template and integration.existing != "replace",
            integration.split is not None,
            integration.split_values,
            integration.filename_timestamped,
            (MANIFEST_SUFFIX,) * integration.manifest + (DONE_SUFFIX,) * integration.has_done_file,
            KINDS if tells else (),
            integration.destination.temporary_name,
        )

    def possible(self) -> Iterator[str]:
        """Patterns (delivery/config/templates.py) of all the names that there can be.

        Raises ConfigError for a name that cannot be, or that two files of one delivery would have.
        """
        for is_revised, together in product((False, True), TOGETHER):
            kinds = [kind for kind in together if kind in ("", *self.kinds)]
            names = [self._pattern(part, kind, is_revised=is_revised) for kind in kinds for part in self._parts(kind)]
            _check_apart([*names, *(first + ending for first in names[:1] for ending in self.beside)])
            yield from (name + ending for name in names for ending in ("", *self.beside))

    def _parts(self, kind: str) -> tuple[object, ...]:
        if not self.by_value:
            return (AnyNumber(),)
        return (ALL,) if kind in LISTED else self.by_value

    def _pattern(self, part: object, kind: str, *, is_revised: bool) -> str:
        values = {"window": AnyDay(), "revision": AnyNumber(), "part": part}
        return self.name(values, format(AnyDay(), STAMP), kind, is_revised=is_revised)

    def name(self, values: Mapping[str, object], stamp: str, kind: str, *, is_revised: bool) -> str:
        """One of them."""
        name = self.template.format(namespace=self.namespace, campaign=self.campaign, **values)
        name = name.removesuffix(self.encrypted)
        packed = self.compressed != "" and name.endswith(self.compressed)
        stem, suffix = split_name(name.removesuffix(self.compressed) if packed else name)
        if is_revised and self.renames_revised:
            stem += f"_r{values['revision']}"
        if self.is_split and "{part" not in self.template:
            stem += f"_{values['part']}" if self.by_value else f"_part{values['part']:04}"
        if kind:
            stem += f"_{kind}"
        if self.is_stamped:
            stem += stamp
        name = stem + (suffix or ("" if packed or not self.extension else ".csv")) + self.compressed + self.encrypted
        longest = temporary_name(self.temporary, MANIFEST_SUFFIX, "0" * 8, fence=999_999)
        return check_name(name, room=len(longest.encode()))


def file_name(job: Job, now: datetime, part: int = 1, kind: str = "") -> str:
    """The final name of a part, or of the only file.

    now: for `filename_timestamped`; kept by the ledger from the first time on. kind: what else than rows it has.
    """
    naming = Naming.of(job.campaign, job.integration)
    named = (ALL if kind in LISTED else naming.by_value[part - 1]) if naming.by_value else part
    values = {"window": job.day, "revision": job.revision, "part": named}
    return naming.name(values, now.astimezone(UTC).strftime(STAMP), kind, is_revised=job.revision > 0)


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
        shown = shortest(name)[:40]
        raise ConfigError(f"file name longer than {NAME_BYTES - room} bytes: {shown!r}…", hint="Shorten file_name.")
    return name


def _check_apart(names: list[str]) -> None:
    """Of one delivery, so one pattern is one name: day, revision and time are the same in all of them."""
    if twice := next((name for name, count in Counter(names).items() if count > 1), None):
        raise ConfigError(
            f"two files of one delivery would be called {shortest(twice)!r}.",
            hint="Leave one of the values out that have a file each, or set another extension, done_file or manifest.",
        )


def split_name(name: str) -> tuple[str, str]:
    """Stem and extension: what follows the last dot and begins with a letter, so that `2026.11.03` has none."""
    found = re.fullmatch(rf"(.+)(\.[A-Za-z][A-Za-z0-9{ANY}]*)", name)
    return (found[1], found[2]) if found else (name, "")

"""What the share's page says beside each file: its rows, when it goes, its SHA-256; from the manifests that lie there.

Apache reads it as the folder's `.htaccess`, in which the page's configuration allows descriptions and nothing else.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from delivery.config.integrations import kept_days
from delivery.files.disk import locked
from delivery.files.manifest import DeliveryManifest
from delivery.schedule.names import MANIFEST_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from delivery.config.integrations import Integration

NAME = ".htaccess"
MODE = 0o640  # as of the files that it is about
_UNFINISHED = f"{NAME}.part"
_SHA256 = re.compile("[0-9a-f]{64}")
_MEANS_MORE = re.compile(r"[^\w./-]")


def describe(folder: Path, share: Path, integrations: Mapping[str, Integration]) -> None:
    """Writes anew what the page says of a folder of the share, by what lies there now.

    Nothing fails by it: what could not be written is written with the folder's next delivery, or by `prune`.
    """
    with suppress(OSError), locked(folder, follow=False):  # whoever writes last has seen all that lies there
        content = "".join(_lines(folder, share, integrations)).encode()
        path, unfinished = folder / NAME, folder / _UNFINISHED
        if content == (path.read_bytes() if path.exists() else b""):
            return
        if not content:
            path.unlink()
            return
        unfinished.unlink(missing_ok=True)
        opened = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(opened)
            os.fchmod(opened, MODE)
        unfinished.replace(path)


def _lines(folder: Path, share: Path, integrations: Mapping[str, Integration]) -> Iterator[str]:
    said: dict[str, str] = {}
    with os.scandir(folder) as entries:
        is_folder = {one.name: one.is_dir() for one in entries if not one.name.startswith(".")}
    names = list(is_folder)
    for name in names:
        if not name.endswith(MANIFEST_SUFFIX) or not (manifest := DeliveryManifest.read(folder / name)):
            continue
        kept = timedelta(days=kept_days(integrations.get(manifest.integration)))
        said[name] = f"Says what the file must be, goes on {goes_on(folder / name, kept)}"
        for file in manifest.files:
            with suppress(OSError, ValueError):  # it has gone before its manifest, or has a name that none can have
                size, goes = (folder / file.name).lstat().st_size, goes_on(folder / file.name, kept)
                if size == file.bytes and _SHA256.fullmatch(file.sha256):
                    rows = "1 row" if file.rows == 1 else f"{file.rows:,} rows"
                    said[file.name] = f"{rows}, goes on {goes}<br>SHA-256 <code>{file.sha256}</code>"
    if not said:
        return
    # A description is of every name that has this one in it, and the first one counts. Without a path Apache looks for
    # the name alone, which is quick: it asks each description for each file. Folders below would get them, too.
    within = "*/" + _pattern(f"{folder.relative_to(share)}/") if any(is_folder.values()) else ""
    for name in sorted(names, key=lambda name: (-len(name), name)):
        yield f'AddDescription "{said.get(name, " ")}" "{within}{_pattern(name)}"\n'


def goes_on(path: Path, kept: timedelta) -> str:
    """The day (UTC) on which `prune` may take a file of the share, as page, status and alerts say. Raises OSError."""
    return f"{datetime.fromtimestamp(path.lstat().st_mtime, UTC) + kept:%Y-%m-%d}"


def _pattern(text: str) -> str:
    """A name as the server is told it; for what may mean something to the server, any bytes as many."""
    return "".join("?" * len(c.encode()) if _MEANS_MORE.match(c) else c for c in text)

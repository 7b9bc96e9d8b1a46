"""What the share's two servers wrote down, line by line, held against the files that the ledger knows."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from delivery.ledger import Fetch, File, FileState, Ledger
from delivery.ledger.fetches import keep_fetches
from delivery.share.config import run_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.config.project import Project
    from delivery.config.share import Share

_RANGE = re.compile(r"bytes (\d+)-\d+/\d+")
_PATH = ',"path":"'  # comes last, so that nothing in it can be taken for another field


class _Sent(NamedTuple):
    """One line: bytes of a file went to a user. path: below the share."""

    line: str
    door: str
    user: str
    at: str
    start: int
    bytes: int
    path: str


def read_logs(project: Project, share: Share) -> list[tuple[Fetch, File]]:
    """Records what is new in the logs, also in rotated ones, and returns it with the files. Raises WriteFailed."""
    with closing(Ledger(project.ledger_url)) as ledger:
        places: dict[str, list[File]] = defaultdict(list)
        for file in sorted(ledger.all_files(), key=lambda file: file.updated_at):
            if file.state in (FileState.PUBLISHED, FileState.PRUNED):
                places[f"{file.destination}/{file.name}"].append(file)
        found: dict[str, tuple[Fetch, File]] = {}
        for sent in _lines(run_folder(share), f"{share.folder / 'users' / 'home'}/"):
            if known := places.get(str(project.share / sent.path)):
                # Of several that had the name, the last that was there then.
                file = next((one for one in reversed(known) if one.updated_at <= sent.at), known[-1])
                key = hashlib.sha256(f"{sent.door} {sent.line}".encode()).hexdigest()
                what = (file.delivery_id, file.part, sent.user, sent.door, sent.at, sent.start, sent.bytes)
                found[key] = (Fetch(key, *what, file.bytes), file)
        return [found[fetch.id] for fetch in keep_fetches(ledger, (fetch for fetch, _ in found.values()))]


def _lines(folder: Path, home: str) -> Iterator[_Sent]:
    for door, parse in (("page", _page), ("sftp", _sftp)):
        for path in sorted(folder.glob(f"{'web' if door == 'page' else door}.json*")):
            with path.open(encoding="utf-8", errors="replace") as log:
                for line in log:
                    if sent := parse(line.rstrip("\n"), home):
                        yield sent._replace(door=door)


def _page(line: str, _: str) -> _Sent | None:
    """A request that was answered with a file, or a range of it."""
    fields = _fields(line)
    if fields is None or fields["status"] not in (200, 206) or fields["method"] != "GET":
        return None
    asked = _RANGE.fullmatch(fields["range"])
    # The server escapes the path as it came, which the client had escaped.
    path = unquote(unquote(fields["path"])).lstrip("/")
    return _Sent(line, "", fields["user"], fields["at"], int(asked[1]) if asked else 0, fields["bytes"], path)


def _sftp(line: str, home: str) -> _Sent | None:
    """A file that was read and closed. Where it began is not told: a download that was resumed counts as a part."""
    fields = _fields(line)
    if fields is None or not str(fields["bytes"]).isdigit() or not fields["path"].startswith(home):
        return None
    return _Sent(line, "", fields["user"], fields["at"], 0, int(fields["bytes"]), fields["path"].removeprefix(home))


def _fields(line: str) -> dict[str, str | int] | None:
    """None for what is no line of ours: cut by a full disk, say."""
    head, found, path = line.partition(_PATH)
    try:
        fields = json.loads(head + "}")
    except ValueError:
        return None
    if not found or not path.endswith('"}') or not isinstance(fields, dict):
        return None
    return fields | {"path": path.removesuffix('"}')}

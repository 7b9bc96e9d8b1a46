"""What the share's two servers wrote down, line by line, held against the files that the ledger knows."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections import Counter, defaultdict
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from delivery.ledger import Fetch, File, FileState, Ledger
from delivery.ledger.fetches import CHECK, keep_fetches
from delivery.share.config import run_folder
from delivery.share.users import Users

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from delivery.config.project import Project
    from delivery.config.share import Share

_AT = "%Y-%m-%dT%H:%M:%SZ"
_TOO_MANY = 1 << 63  # bytes, for the ledger
_RANGE = re.compile(r"bytes (\d+)-\d+/\d+")
_LOGS = {"page": "web.json*", "sftp": "sftp.transfers*"}  # with those that were rotated
# What ProFTPD writes in place of a blank or control character, so that no name can look like another line.
_PLAIN = dict.fromkeys((*range(33), 127), "_")


class _Sent(NamedTuple):
    """One line: bytes of a file went to a user. path: below the share."""

    line: str
    door: str
    user: str
    at: str
    start: int
    bytes: int
    path: str


def read_logs(project: Project, share: Share, checked: Collection[str] = ()) -> list[tuple[Fetch, File]]:
    """Records what is new in the logs, also in rotated ones, and returns it with the files. Raises WriteFailed.

    checked: users as whom we have just logged in ourselves; what they fetched counts for nothing.
    """
    with closing(Ledger(project.ledger_url)) as ledger:
        places: dict[str, list[File]] = defaultdict(list)
        for file in sorted(ledger.all_files(), key=lambda file: file.updated_at):
            if file.state in (FileState.PUBLISHED, FileState.PRUNED):
                path = f"{file.destination}/{file.name}".removeprefix(f"{project.share}/")
                places[path].append(file)
                if (plain := path.translate(_PLAIN)) != path:
                    places[plain].append(file)
        found: dict[str, tuple[Fetch, File]] = {}
        for sent in _lines(run_folder(share), f"{Users.of(share).home}/"):
            if known := places.get(sent.path):
                # Of several that had the name, the last that was there then; else what `prune` took first after it.
                there = [one for one in known if one.state == FileState.PUBLISHED and one.updated_at <= sent.at]
                gone = [one for one in known if one.state == FileState.PRUNED and one.updated_at > sent.at]
                file = (there[-1:] or gone or known[-1:])[0]
                key = hashlib.sha256(f"{sent.door} {sent.line}".encode()).hexdigest()
                door = CHECK if sent.user in checked else sent.door
                what = (file.delivery_id, file.part, sent.user, door, sent.at, sent.start, sent.bytes)
                found[key] = (Fetch(key, *what, file.bytes), file)
        return [found[fetch.id] for fetch in keep_fetches(ledger, (fetch for fetch, _ in found.values()))]


def told(share: Share) -> Counter[tuple[str, str]]:
    """How often each log says that a file, or some of it, went to a user: by user and door."""
    return Counter((sent.user, sent.door) for sent in _lines(run_folder(share), f"{Users.of(share).home}/"))


def _lines(folder: Path, home: str) -> Iterator[_Sent]:
    for door, pattern in _LOGS.items():
        for path in sorted(folder.glob(pattern)):
            with path.open(encoding="utf-8", errors="replace") as log:
                for line in log:
                    if sent := _sent(line.strip(), door, home):
                        yield sent


def _sent(line: str, door: str, home: str) -> _Sent | None:
    """None for any other line, and for one that no server wrote: cut by a full disk, say."""
    try:
        sent = _page(line) if door == "page" else _sftp(line, home)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return sent if sent and sent.start + sent.bytes < _TOO_MANY else None


def _page(line: str) -> _Sent | None:
    """A request that was answered with a file, or a range of it."""
    fields: dict[str, Any] = json.loads(line)
    answered = fields["status"] in (200, 206) and fields["method"] == "GET"
    count, asked = int(fields["bytes"]), _RANGE.fullmatch(fields["range"])
    if fields["ended"] == "X":  # by the client: what was sent may have come, but not to the last byte
        count = max(0, min(count, fields["sent"]) - 1)
    # The server escapes the path as it came, which the client had escaped; it takes `//`, `/./` and `/../` as one may.
    path = posixpath.normpath(unquote(unquote(fields["path"]))).lstrip("/")
    # Several ranges in one answer: which is not told, and the count is of what stands between them, too.
    answered = answered and (fields["status"] == 200 or asked is not None)
    at = f"{datetime.strptime(fields['at'], _AT):{_AT}}"
    sent = _Sent(line, "page", str(fields["user"]), at, int(asked[1]) if asked else 0, count, path)
    return sent if answered else None


def _sftp(line: str, home: str) -> _Sent | None:
    """A file that was read: day and time, seconds, address, bytes, path, five words, user, …, `c` if it was whole.

    Where it began is not told: a download that was resumed counts as a part.
    """
    words = line.split()
    home = home.translate(_PLAIN)
    if len(words) != 18 or not words[7].isdigit() or not words[8].startswith(home):
        return None
    at = datetime.strptime(" ".join(words[1:5]), "%b %d %H:%M:%S %Y")
    count = max(0, int(words[7]) - (words[-1] != "c"))
    return _Sent(line, "sftp", words[13], f"{at:{_AT}}", 0, count, words[8].removeprefix(home))

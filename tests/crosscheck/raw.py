"""The raw landing files, read without any of the project's code.

A line is a record when it is one JSON object by the letter of the standard: no name twice in one object, no NaN, no
character NUL, no half of a character. Of a post each event is asked that by itself. Of a file that cannot be unpacked
to its end, nothing is read.
"""

from __future__ import annotations

import json
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.crosscheck.documents import check_texts, document, refused
from tests.crosscheck.values import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Row = dict[str, Any]
POSTED = re.compile(r"\d{8}T\d{6}Z")
LINES = (".ndjson", ".jsonl", ".ndjson.gz", ".jsonl.gz")
POSTS = (".json", ".json.gz")
FIRST_DAY = datetime(2020, 1, 1)
CLOCKS = timedelta(days=1)  # by how much those of two machines may differ


@dataclass(frozen=True)
class Post:
    """One event of the provider, as it came. place: file and line, which tell posts of one moment apart.

    timely: it says when it was received, and that can be; else received is when its file was written.
    """

    received: datetime
    payload: Row
    place: tuple[str, int]
    timely: bool = True


def received(said: datetime | None, path: Path) -> tuple[datetime, bool]:
    """When something of a file was received, and whether it says so itself."""
    written = landed(path)
    timely = said is not None and FIRST_DAY <= said < written + CLOCKS
    return said if said and timely else written, timely


def content(path: Path) -> bytes | None:
    """What a file holds, plain or gzip; None where it is damaged."""
    data = path.read_bytes()
    if path.suffix != ".gz":
        return data
    found, rest = b"", data
    while rest or not data:
        member = zlib.decompressobj(31)
        try:
            found += member.decompress(rest) + member.flush()
        except zlib.error:
            return None
        if not member.eof:
            return None
        rest = member.unused_data
    return found


def parsed(text: bytes) -> Any:
    """The value of a JSON text; None where it is none, or one that readers take for different things."""
    try:
        json.loads(text, object_pairs_hook=_object)
        return document(text.decode())
    except (ValueError, RecursionError):
        return None


def post(text: bytes) -> Any:
    """The value of a post, whatever single events hold; one with a name twice has NUL in its place."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=refused)
    except (ValueError, RecursionError):
        return None


def lines(folder: Path, read: Callable[[bytes], Any] = parsed) -> Iterator[tuple[Path, int, Any]]:
    """File, line from 1, and value of each line that is JSON, in the order of names."""
    for path in sorted(folder.rglob("*") if folder.name == "sendgrid" else folder.glob("*")):
        if path.name.endswith(LINES) and path.is_file():
            for number, line in enumerate((content(path) or b"").removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
                if (value := read(line)) is not None:
                    yield path, number, value


def rows(folder: Path) -> Iterator[Row]:
    """The records of all files of a folder."""
    yield from (value for _, _, value in lines(folder) if isinstance(value, dict))


def posts(folder: Path) -> Iterator[Post]:
    """Every event of the provider."""
    sendgrid = folder / "sendgrid"
    for path, number, value in lines(sendgrid, post):
        if isinstance(value, dict):
            yield from _events(path, number, moment(value.get("received_at")), value.get("payload"))
    for path in sorted((sendgrid / "posts").glob("*")):
        if path.name.endswith(POSTS) and (said := POSTED.match(path.name)):
            posted = datetime.strptime(said[0], "%Y%m%dT%H%M%SZ")
            yield from _events(path, 1, posted, post(content(path) or b""))


def can_be(at: datetime, written: datetime) -> bool:
    """Whether a record may be of a time: programs that know none write the first of 1970, or one long before."""
    return datetime(1970, 1, 1) <= at < written + CLOCKS


def landed(path: Path) -> datetime:
    """When a file was written (UTC): at the latest now, where it says a time before all data, as unpacked files may."""
    at = datetime(1970, 1, 1) + timedelta(microseconds=path.stat().st_mtime_ns // 1000)
    return at if at >= FIRST_DAY else datetime.now(UTC).replace(tzinfo=None)


def _events(path: Path, number: int, said: datetime | None, payload: Any) -> Iterator[Post]:
    at, timely = received(said, path)
    for event in payload if isinstance(payload, list) else [payload]:
        with suppress(ValueError):
            check_texts(event)
            if isinstance(event, dict):
                yield Post(at, event, (str(path), number), timely)


def _once(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    return found if len(found) == len(pairs) else {"": "\0"}


def _object(pairs: list[tuple[str, Any]]) -> Row:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice")
    return found

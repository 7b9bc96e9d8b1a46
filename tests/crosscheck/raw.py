"""The raw landing files, read without any of the project's code."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Row = dict[str, Any]
POSTED = re.compile(r"(\d{8}T\d{6})Z")


def text(path: Path) -> str:
    """What a file holds, plain or gzip."""
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")


def rows(folder: Path) -> Iterator[Row]:
    """The lines of all files of a folder, in the order of names. Numbers with a point are decimals."""
    for path in sorted([*folder.glob("*.ndjson"), *folder.glob("*.ndjson.gz")]):
        for line in text(path).split("\n"):
            if line.strip():
                yield json.loads(line, parse_float=Decimal)


def posts(folder: Path) -> Iterator[tuple[datetime, Row]]:
    """Every event of the provider with when it was received, in no order."""
    for row in rows(folder / "sendgrid"):
        received = moment(row["received_at"])
        assert received is not None
        yield from ((received, event) for event in listed(row["payload"]))
    for path in sorted((folder / "sendgrid" / "posts").glob("*.json*")):
        found = POSTED.match(path.name)
        assert found, path
        received = datetime.strptime(found[1], "%Y%m%dT%H%M%S")
        yield from ((received, event) for event in listed(json.loads(text(path))))


def listed(payload: Any) -> list[Row]:
    """One event, or the events of one POST."""
    return payload if isinstance(payload, list) else [payload]


def moment(value: Any) -> datetime | None:
    """A time as UTC without a zone; None for what is none."""
    if not isinstance(value, str) or not value:
        return None
    found = datetime.fromisoformat(value)
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def word(value: Any) -> str | None:
    """Text, or None for nothing."""
    return None if value is None or value == "" else str(value)


def address(value: Any) -> str | None:
    """An address, trimmed and in lower case."""
    return (value.strip(" ").lower() or None) if isinstance(value, str) else None

"""Reads a landing folder the slow and obvious way, sharing no code with the models."""

from __future__ import annotations

import gzip
import json
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Row = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """One raw SendGrid event: when and in which file it was received, and its payload."""

    received_at: str
    file: str
    payload: Row

    @property
    def day(self) -> str:
        return self.received_at[:10]


def text_of(path: Path) -> str:
    """The text of a file, plain or gzip."""
    data = path.read_bytes()
    return (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")


def lines_of(path: Path) -> list[Any]:
    """The JSON values of a newline-delimited file; text that is not strict JSON raises."""
    return [json.loads(line, parse_constant=refuse) for line in text_of(path).split("\n")[:-1]]


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def events_of(folder: Path) -> list[Event]:
    """Every SendGrid event of the folder, in the order of the files."""
    events = []
    for path in sorted((folder / "sendgrid").rglob("*")):
        name = str(path.relative_to(folder))
        if match := re.match(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z.*\.json", path.name):
            posts = [("{}-{}-{}T{}:{}:{}Z".format(*match.groups()), json.loads(text_of(path)))]
        elif path.is_file():
            posts = [(line["received_at"], line["payload"]) for line in lines_of(path)]
        else:
            continue
        for received_at, payload in posts:
            many = payload if isinstance(payload, list) else [payload]
            events += [Event(received_at, name, event) for event in many]
    return events


def platform_of(folder: Path, system: str = "platform") -> dict[str, list[Row]]:
    """The rows of every entity of the platform, or of another system."""
    rows = defaultdict(list)
    for path in sorted((folder / system).glob("*/*")):
        rows[path.parent.name] += lines_of(path)
    return dict(rows)

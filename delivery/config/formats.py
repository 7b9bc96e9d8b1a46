"""How times are written in a client's files, and which texts an encoding has: only what can be read back exactly.

A format is made of the letters of `strftime`. The fraction of a second follows `%S`, where the data has one; `%z` is
the distance from UTC, as `+01:00`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field

from delivery.config.values import CONTROL

if TYPE_CHECKING:
    from collections.abc import Iterable

CODECS = {"UTF-8": "utf-8", "UTF-16": "utf-16-le", "Windows-1252": "cp1252", "ISO-8859-1": "latin-1"}
DATE, CLOCK = "Ymd", "HMS"


def tokens(text: str) -> list[str]:
    """The letters of a format with their `%`, and what stands between them."""
    return [token for token in re.split(r"(%.?)", text) if token]


def _checked(text: str, letters: str, optional: str = "") -> str:
    found = tokens(text)
    used = [token[1:] for token in found if token.startswith("%")]
    if unknown := [letter for letter in used if letter not in (*letters, *optional)]:
        known = ", ".join(f"%{letter}" for letter in letters + optional)
        raise ValueError(f"unknown %{unknown[0]}; known: {known}")
    if len(used) != len(set(used)) or not {*letters} <= {*used}:
        raise ValueError(f"must have each of {', '.join(f'%{letter}' for letter in letters)} once, or it says less")
    if not found[0].startswith("%") or found[0] == "%z" or CONTROL.search(text):
        raise ValueError("must begin with a date or a time, without control characters")
    after = found[found.index("%S") + 1 :][:1] if "S" in letters else []
    if after and re.match(r"[\d.]|%[^z]", after[0]):
        raise ValueError("must have something but digits and dots after %S: a fraction may stand there")
    return text


def _timestamp(text: str) -> str:
    return _checked(text, DATE + CLOCK, "z")


def _date(text: str) -> str:
    return _checked(text, DATE)


def _zone(text: str) -> str:
    try:
        if text != "UTC":
            ZoneInfo(text if re.fullmatch(r"[A-Z]\w*(/[A-Z][\w+-]*)+", text) else "")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be UTC or a zone of the tz database, as Europe/Berlin") from None
    return text


def check_encoded(encoding: str, texts: Iterable[str]) -> None:
    """Raises ValueError when the encoding lacks a character of a text."""
    for text in texts:
        try:
            text.encode(CODECS[encoding])
        except UnicodeEncodeError:
            raise ValueError(f"{encoding} has not every character of {text!r}") from None


TimestampFormat = Annotated[str, Field(max_length=60), AfterValidator(_timestamp)]
DateFormat = Annotated[str, Field(max_length=60), AfterValidator(_date)]
TimeZone = Annotated[str, AfterValidator(_zone)]

"""JSON by the letter of the standard, of a whole line or written as text in a field."""

from __future__ import annotations

import json
from typing import Any


def document(text: str) -> Any:
    """What a text says. Raises ValueError where it is no JSON, or says NaN, NUL or half a character."""
    found = json.loads(text, parse_constant=refused)
    check_texts(found)
    return found


def check_texts(value: Any) -> None:
    """That each text in a value can be held by a file. Raises ValueError."""
    for part in (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
        check_texts(part)
    if isinstance(value, str) and ("\0" in value or any("\ud800" <= sign <= "\udfff" for sign in value)):
        raise ValueError("a character that no file can hold")


def refused(word: str) -> None:
    """NaN and its like are none."""
    raise ValueError(f"{word} is no JSON")

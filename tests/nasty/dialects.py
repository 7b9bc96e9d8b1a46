"""The dialects: a full cross of what changes the text, and pairs with the rest."""

from __future__ import annotations

from itertools import combinations, product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Dialect = dict[str, Any]
ONE_BYTE = ("Windows-1252", "ISO-8859-1")  # encodings that lack most texts, which are left out there

# A mark before UTF-8, or none; UTF-16 always has one.
FULL: dict[str, tuple[Any, ...]] = {
    "character_encoding": ("UTF-8", "UTF-16"),
    "bom": (False, True),
    "row_delimiter": ("windows", "linux"),
    "column_delimiter": (",", "|", "\t", ";"),
    "include_header_row": (True, False),
    "quoting": ("minimal", "all"),
    "nulls": ("", "<NULL>"),
}
PAIRS: dict[str, tuple[Any, ...]] = {
    **FULL,
    "character_encoding": ("UTF-8", "UTF-16", *ONE_BYTE),
    "nulls": ("", "NULL", "\\N"),
    "compression": ("none", "gzip", "zstd"),
    "escape_formulas": (False, True),
}


def crossed() -> list[Dialect]:
    """Every combination of FULL."""
    plain = {"compression": "none", "escape_formulas": False}
    return [plain | dialect for dialect in _cross(FULL) if not _says_nothing(dialect)]


def paired() -> list[Dialect]:
    """Dialects that hold each pair of values of two keys of PAIRS at least once: always the one that adds most."""
    every = [dialect for dialect in _cross(PAIRS) if not _says_nothing(dialect)]
    missing = {pair for dialect in every for pair in _pairs(dialect)}
    found = []
    while missing:
        best = max(every, key=lambda dialect: len(_pairs(dialect) & missing))
        missing -= _pairs(best)
        found.append(best)
    return [dialect for dialect in found if dialect not in crossed()]


def single_column() -> list[Dialect]:
    """Dialects of files with a single column, where a value is a whole line."""
    plain = {"character_encoding": "UTF-8", "bom": False, "column_delimiter": ","}
    return [dialect for dialect in crossed() if plain.items() <= dialect.items()] + paired()


def _says_nothing(dialect: Dialect) -> bool:
    return bool(dialect["bom"] and dialect["character_encoding"] != "UTF-8")


def _cross(factors: dict[str, tuple[Any, ...]]) -> Iterator[Dialect]:
    for values in product(*factors.values()):
        yield dict(zip(factors, values, strict=True))


def _pairs(dialect: Dialect) -> set[Any]:
    return set(combinations(dialect.items(), 2))

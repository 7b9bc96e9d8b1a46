"""What readers give instead of the value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.nasty.values import HEADER

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.config.integrations import Integration
    from tests.nasty.values import Cell


@dataclass(frozen=True)
class Spot:
    """Where a cell stands. Rows begin at 0; the header is row -1."""

    row: int
    column: int
    how: Integration

    @property
    def is_text(self) -> bool:
        """Whether the cell is of a text column: the first two and the last."""
        return self.row >= 0 and self.column in (0, 1, len(HEADER) - 1)


@dataclass(frozen=True)
class Rule:
    """Which values come back differently from which readers, as what, and why. Where it applies, it must be needed."""

    readers: tuple[str, ...]
    values: str
    why: str
    applies: Callable[[Cell, Spot], bool]
    gives: Callable[[Cell, Spot], Cell]


CANNOT_TELL = ("Python csv", "pandas", "SQLite", "LibreOffice", "Papa Parse", "read.csv", "PHP fgetcsv")
NO_TOKEN = ("opencsv", "Ruby CSV")

RULES: tuple[Rule, ...] = (
    Rule(
        ("every reader",),
        "texts that begin with `=` `+` `-` `@`, tab or CR, where `escape_formulas` is on",
        "The integration asks for an apostrophe before them.",
        lambda value, spot: spot.how.escape_formulas and spot.is_text and (value or "x")[0] in "=+-@\t\r",
        lambda value, spot: "'" + str(value),
    ),
    Rule(
        CANNOT_TELL,
        "NULL",
        "The reader has no NULL, or does not look at quotes: it gives the text that stands for NULL.",
        lambda value, spot: value is None,
        lambda value, spot: spot.how.nulls,
    ),
    Rule(
        NO_TOKEN,
        "NULL, where `nulls` is a token",
        "The reader takes only nothing without quotes for NULL.",
        lambda value, spot: value is None and spot.how.nulls != "",
        lambda value, spot: spot.how.nulls,
    ),
    Rule(
        ("Polars",),
        "a text equal to the token for NULL",
        "`null_values` does not look at quotes.",
        lambda value, spot: spot.how.nulls != "" and value == spot.how.nulls,
        lambda value, spot: None,
    ),
    Rule(
        ("fread",),
        "texts with a quote",
        "fread does not halve doubled quotes.",
        lambda value, spot: '"' in (value or ""),
        lambda value, spot: str(value).replace('"', '""'),
    ),
    Rule(
        ("read.csv",),
        "texts with a carriage return",
        "R turns each line break of a text into a line feed.",
        lambda value, spot: "\r" in (value or ""),
        lambda value, spot: re.sub("(?<!\r)\r\n|\r", "\n", str(value)),
    ),
    Rule(
        ("opencsv",),
        "texts with a carriage return",
        "It reads lines, and puts a line feed between them. `withKeepCarriageReturn` keeps them, and then the one at "
        "the end of a Windows row too.",
        lambda value, spot: "\r" in (value or ""),
        lambda value, spot: re.sub("\r\n|\r", "\n", str(value)),
    ),
    Rule(
        ("LibreOffice",),
        "texts with a carriage return",
        "Each line break becomes a line feed.",
        lambda value, spot: "\r" in (value or ""),
        lambda value, spot: re.sub("\r\n|\n\r|\r", "\n", str(value)),
    ),
    Rule(
        ("LibreOffice",),
        "texts longer than 65,535 characters",
        "The rest of the text is cut off.",
        lambda value, spot: len(value or "") > 65_535,
        lambda value, spot: str(value)[:65_535],
    ),
    Rule(
        ("Text::CSV_XS",),
        "texts with a noncharacter, where `character_encoding` is `UTF-16`",
        "Perl replaces noncharacters as it decodes UTF-16.",
        lambda value, spot: (
            spot.how.character_encoding == "UTF-16" and re.search("[\ufffe\uffff\U0010ffff]", value or "") is not None
        ),
        lambda value, spot: re.sub("[\ufffe\uffff\U0010ffff]", "\ufffd", str(value)),
    ),
)

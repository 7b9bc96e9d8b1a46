"""docs/evidence/nasty-values.md, from what is compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tests.nasty.dialects import FULL, PAIRS, crossed, paired, single_column
from tests.nasty.readers import READERS, Reader
from tests.nasty.rules import RULES
from tests.nasty.values import COLUMNS, HEADER, REFUSED, TEXTS, count, lacking, texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.nasty.dialects import Dialect

PAGE = Path(__file__).parents[2] / "docs" / "evidence" / "nasty-values.md"
SHOWN = 48
LEAD = """\
# Nasty values

Which values come back as they were, from which readers, and what a client's loader must set. `make nasty` writes every
value in every dialect with the code that writes deliveries, has programs that are not ours read the files, and compares
cell by cell with the value itself. Every difference must be foretold by a rule below, exactly, and every rule must be
needed wherever it applies. `python -m tests.nasty --write-docs` writes this page; a stale one fails the tests.
"""


def page() -> str:
    """The page's text."""
    return "\n".join([LEAD, compared(), readers(), rules(), refused(), values()])


def comparisons() -> int:
    """How many cells are compared: of the header too, where there is one."""
    total = 0
    for reader in READERS:
        for long, dialects in ((False, crossed()), (True, paired())):
            total += sum(
                (rows_of(reader, dialect, long=long) + dialect["include_header_row"]) * len(HEADER)
                for dialect in dialects
            )
        for dialect in single_column() if reader.narrow else []:
            total += rows_of(reader, dialect, long=False) + dialect["include_header_row"] - (not dialect["nulls"])
    return total


def rows_of(reader: Reader, dialect: Dialect, *, long: bool) -> int:
    """How many rows a file in that dialect has for a reader."""
    return len(texts(long=long, without=reader.refuses | lacking(dialect["character_encoding"])))


def compared() -> str:
    rows = [
        (
            "values",
            f"{count()}: {len(TEXTS)} texts in the first and the last column, {count() - len(TEXTS)} of other types",
        ),
        ("column names", ", ".join(code(name) for name in HEADER)),
        (
            "dialects",
            f"{len(crossed()) + len(paired())}: {len(crossed())} are all combinations, {len(paired())} cover pairs",
        ),
        ("files of a single column", f"{len(single_column())} more, where a value is a whole line"),
        ("all combinations of", settings(FULL)),
        ("pairs of", settings(PAIRS)),
        ("readers", str(len(READERS))),
        ("cells compared", f"{comparisons():,}"),
    ]
    return table("What is compared", ("what", ""), rows) + (
        "\nA mark with another encoding than UTF-8 is left out: it says nothing. So are, in Windows-1252 and "
        "ISO-8859-1, the texts that these lack, which a delivery refuses. Dialects whose content is the same "
        "after a conversion are read once by that reader and compared each.\n"
    )


def settings(factors: dict[str, tuple[object, ...]]) -> str:
    return "; ".join(f"`{key}` {' '.join(code(value) for value in found)}" for key, found in factors.items())


def readers() -> str:
    rows = [(reader.name, reader.settings, done_before(reader)) for reader in READERS]
    return table(
        "The readers", ("reader", "settings that read our files", "what it cannot, and was done before"), rows
    ) + (
        "\nThat each of these is needed is tested too: without it, the reader fails or gives other values. A client "
        "whose loader cannot take a mark asks for `bom: false`, the default; one that cannot take UTF-16, for UTF-8.\n"
    )


def done_before(reader: Reader) -> str:
    done = [f"texts left out: {' '.join(map(code, sorted(map(str, reader.refuses))))}"] if reader.refuses else []
    if not reader.narrow:
        done.append("files of a single column left out")
    if not reader.utf16:
        done.append("UTF-16 converted")
    if not reader.one_byte:
        done.append("Windows-1252 and ISO-8859-1 converted")
    if not reader.mark:
        done.append("mark before UTF-8 removed")
    packed = [kind for kind in ("gzip", "zstd") if kind not in reader.unpacks]
    return "; ".join([*done, *([f"{' and '.join(packed)} unpacked"] if packed else [])])


def rules() -> str:
    rows = [(", ".join(rule.readers), rule.values, rule.why) for rule in RULES]
    return (
        table("What comes back differently", ("readers", "values", "why"), rows) + "\nEverything else is identical.\n"
    )


def refused() -> str:
    return table("Refused by rule, in every dialect", ("what", "why"), [(what, why) for what, _, why in REFUSED]) + (
        "\nHalf a surrogate pair cannot be: Arrow, from which files are written, holds only valid Unicode. "
        "NULL in a file's only column is refused unless `nulls` is a token: the line would be blank.\n"
    )


def values() -> str:
    written = [(code(text.value), text.why) for text in TEXTS]
    typed = [
        (
            str(column.type),
            code(column.name),
            " ".join("NULL" if text is None else code(text) for _, text in column.values),
        )
        for column in COLUMNS
    ]
    return (
        table("The texts", ("text", "why it is nasty"), written)
        + "\n"
        + table("The other types", ("type", "column", "what the file holds"), typed)
    )


def code(value: object) -> str:
    """A value in ASCII, as Python writes texts, not too long."""
    if value is None:
        return "NULL"
    text = ascii(value) if isinstance(value, str) else str(value).lower()
    if len(text) > SHOWN:
        return f"`{text[: SHOWN // 2]}`… {len(str(value)):,} characters"
    return "`" + text.replace("`", "\\x60").replace("|", "\\|") + "`"


def table(title: str, names: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [names, tuple("---" for _ in names), *rows]
    return f"## {title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)

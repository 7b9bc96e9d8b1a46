"""The faults of a model, a macro or a seed.

SQL is read by sqlglot's tokenizer, with Jinja's expressions as names of the same length; so Jinja stays what it is.
In macros, conditions within Jinja are turned too. A seed loses a row or has a cell changed.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import TokenError

from tests.mutants.change import Change

if TYPE_CHECKING:
    from collections.abc import Iterator

TURNED = {"<": ("<=", ">"), "<=": ("<",), ">": (">=", "<"), ">=": (">",), "=": ("!=",), "!=": ("=",), "<>": ("=",)}
WORDS = {
    "and": "or",
    "or": "and",
    "true": "false",
    "false": "true",
    "min": "max",
    "max": "min",
    "asc": "desc",
    "first": "last",
    "last": "first",
    "any_value": "max",
    "min_by": "max_by",
    "max_by": "min_by",
    "floor": "ceil",
}
WRAPPERS = {"coalesce", "lower", "upper", "trim", "nullif", "greatest", "least", "round", "abs"}
ENDS = {
    *("where", "group", "order", "having", "qualify", "union", "limit", "window", "select", "join", "left", "cross"),
    *("inner", "full", "anti", "semi", "then", "when", "else", "end", "rows", "range", "from", "except", "intersect"),
}
PROSE = {"meaning", "reason", "definition"}  # columns of a seed that say it in words
# What DuckDB's build never runs.
OTHER_ENGINES = re.compile(r"\{%-?\s*macro\s+(spark|postgres|snowflake|bigquery|lake)__.*?endmacro\s*-?%\}", re.DOTALL)
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


@dataclass(frozen=True)
class Word:
    """A token: its place and its text in lower case."""

    start: int
    end: int
    said: str


def changes_of(file: str, text: str) -> list[Change]:
    """All faults of a file, in the order of the text."""
    if file.endswith(".csv"):
        return _of_seed(file, text)
    hidden = OTHER_ENGINES.sub(lambda m: re.sub(r"\S", " ", m[0]), text)
    found = _Sql(file, text, hidden).changes()
    if "macros/" in file:
        found += list(_of_jinja(file, hidden))
    # A block of Jinja, or half of one, would go with the SQL around it: no fault, but a file that does not parse.
    whole = [c for c in found if c.before != c.after and not re.search(r"\{[%#]|[%#]\}", c.before)]
    unique = {(c.start, c.before, c.after): c for c in whole}
    return [unique[key] for key in sorted(unique)]


def _of_seed(file: str, text: str) -> list[Change]:
    lines = text.splitlines(keepends=True)
    (names,) = csv.reader(lines[:1])
    found, start = [], len(lines[0])
    for line in lines[1:]:
        found.append(Change(file, start, line, "", "seed row gone"))
        (cells,) = csv.reader([line])
        for index, cell in enumerate(cells):
            if names[index] in PROSE and " " in cell:
                continue
            other = {"true": "false", "false": "true", "": None}.get(
                cell, f"{cell}x" if not cell.lstrip("-").isdigit() else str(int(cell) + 1)
            )
            if other is not None:
                row = io.StringIO()
                csv.writer(row, lineterminator="\n").writerow([*cells[:index], other, *cells[index + 1 :]])
                found.append(Change(file, start, line, row.getvalue(), "seed cell changed"))
        start += len(line)
    return found


def _of_jinja(file: str, text: str) -> Iterator[Change]:
    """Conditions of macros."""
    for block in JINJA.finditer(text):
        if block[0].startswith("{#"):
            continue
        for pattern, after in (
            (r" or [\w.]+(\([^()]*\))?", ""), (r" and (not )?[\w.]+(\([^()]*\))?", ""), (r"\bnot ", ""),
            (r" and ", " or "), (r" < ", " <= "), (r" > ", " >= "), (r" == ", " != "),
        ):  # fmt: skip
            for found in re.finditer(pattern, block[0]):
                yield Change(file, block.start() + found.start(), found[0], after, "jinja condition")


class _Sql:
    def __init__(self, file: str, text: str, hidden: str) -> None:
        self.file, self.text, self.found = file, text, []  # type: tuple[str, str, list[Change]]
        masked = JINJA.sub(_as_name, hidden)
        masked = re.sub(r"--[^\n]*", lambda m: " " * len(m[0]), masked)
        try:
            tokens = DuckDB().tokenize(masked)
        except TokenError:
            tokens = []
        self.words = [Word(t.start, t.end + 1, masked[t.start : t.end + 1].lower()) for t in tokens]
        self.depths, depth = [], 0
        for word in self.words:
            depth -= word.said == ")"
            self.depths.append(depth)
            depth += word.said == "("

    def _put(self, start: int, end: int, after: str, kind: str) -> None:
        self.found.append(Change(self.file, start, self.text[start:end], after, kind))

    def _said(self, index: int) -> str:
        return self.words[index].said if 0 <= index < len(self.words) else ""

    def changes(self) -> list[Change]:
        """Token by token."""
        for index, word in enumerate(self.words):
            for after in TURNED.get(word.said, ()):
                self._put(word.start, word.end, after, "comparison")
            self._words(index, word)
            if word.said in ("+", "-") and index and self._said(index - 1) not in ("(", ",", "select"):
                self._put(word.start, word.end, "-" if word.said == "+" else "+", "arithmetic")
            if word.said == "not" and self._said(index + 1) != "materialized":
                self._put(word.start, self._start(index + 1), "", "negation")
            if word.said == "is" and self._said(index + 1) == "null":
                self._put(word.start, word.end, "is not", "negation")
            if word.said == "distinct" and self._said(index - 1) in ("select", "("):
                self._put(word.start, self._start(index + 1), "", "distinct gone")
            if word.said == "desc":
                self._put(self.words[index - 1].end, word.end, "", "order turned")
            self._joins(index, word)
            self._calls(index, word)
            self._clauses(index, word)
        return self.found

    def _words(self, index: int, word: Word) -> None:
        said = word.said
        if said in WORDS and (said != "first" or self._said(index - 1) == "nulls") and not self._of_between(index):
            self._put(word.start, word.end, WORDS[said], "word")
        if said.isdigit() and len(said) < 6:
            self._put(word.start, word.end, str(int(said) + 1), "bound")
            if int(said):
                self._put(word.start, word.end, str(int(said) - 1), "bound")

    def _start(self, index: int) -> int:
        return self.words[index].start if index < len(self.words) else len(self.text)

    def _of_between(self, index: int) -> bool:
        """Whether this is the `and` of a `between`."""
        if self._said(index) != "and":
            return False
        depth = self.depths[index]
        for back in range(index - 1, max(index - 40, -1), -1):
            if self.depths[back] < depth:
                return False
            if self.depths[back] == depth:
                if self._said(back) == "between":
                    return True
                if self._said(back) in {"and", "or", *ENDS, "on"}:
                    return False
        return False

    def _joins(self, index: int, word: Word) -> None:
        before = self._said(index - 1)
        if word.said == "left" and self._said(index + 1) == "join":
            self._put(word.start, self._start(index + 1), "", "join made inner")
        elif word.said == "join" and before not in ("left", "cross", "full", "anti", "semi", "asof", "outer", "right"):
            start = self.words[index - 1].start if before == "inner" else word.start
            self._put(start, word.end, "left join", "join made outer")
        elif word.said in ("union", "union all"):
            self._union(index, word)

    def _union(self, index: int, word: Word) -> None:
        if self._said(index + 1) == "all":
            self._put(word.start, self.words[index + 1].end, "union", "union")
        else:
            self._put(word.start, word.end, "union" if word.said == "union all" else "union all", "union")

    def _closing(self, index: int) -> int:
        """The index of the bracket that closes the one at `index`."""
        return next(
            (
                i
                for i in range(index + 1, len(self.words))
                if self.depths[i] == self.depths[index] and self._said(i) == ")"
            ),
            index,
        )

    def _calls(self, index: int, word: Word) -> None:
        if self._said(index + 1) != "(":
            return
        end = self._closing(index + 1)
        items = self._items(index + 2, end, self.depths[index + 1] + 1)
        if word.said in WRAPPERS and items:
            self._put(word.start, self.words[end].end, self.text[items[0][0] : items[0][1]], f"{word.said} dropped")
        if word.said in ("in", "using") and len(items) > 1 and self._said(index + 2) != "select":
            self._gone(items, f"{word.said} without one")

    def _items(self, first: int, end: int, depth: int) -> list[tuple[int, int]]:
        """Places of what stands between commas."""
        items, begin = [], first
        for i in range(first, end + 1):
            if i == end or (self._said(i) == "," and self.depths[i] == depth):
                if i > begin:
                    items.append((self.words[begin].start, self.words[i - 1].end))
                begin = i + 1
        return items

    def _gone(self, items: list[tuple[int, int]], kind: str) -> None:
        for i, (start, end) in enumerate(items):
            if i + 1 < len(items):
                self._put(start, items[i + 1][0], "", kind)
            elif i:
                self._put(items[i - 1][1], end, "", kind)

    def _until(self, index: int, ends: set[str]) -> int:
        """Where a clause that begins at `index` ends: a word of `ends` at its depth, or the bracket around it."""
        depth = self.depths[index]
        for i in range(index, len(self.words)):
            if self.depths[i] < depth or (self.depths[i] == depth and self._said(i) in ends):
                return i
        return len(self.words)

    def _clauses(self, index: int, word: Word) -> None:
        # sqlglot reads `partition by` and `order by` as one word or as two, by version.
        by = word.said in ("partition by", "order by") or (
            word.said in ("partition", "order") and self._said(index + 1) == "by"
        )
        if by and index + 2 < len(self.words):
            first = index + (1 if word.said.endswith("by") else 2)
            end = self._until(first, ENDS | {"order by", "partition by", "group by", "union all"})
            self._lists(word, first, end)
        if word.said in ("where", "on", "having", "qualify"):
            self._conditions(
                index + 1,
                self._until(
                    index + 1,
                    (ENDS | {"order by", "group by", "union all", "on", ","}) - {"then", "when", "else", "end"},
                ),
            )
        if word.said == "when":
            self._branch(index)
        if word.said == "else":
            end = self._until(index + 1, {"end"})
            self._put(word.start, self._start(end), "", "else gone")

    def _lists(self, word: Word, first: int, end: int) -> None:
        items = self._items(first, end, self.depths[first])
        if word.said.startswith("partition"):
            if len(items) > 1:
                self._gone(items, "partition without one")
            return
        if len(items) > 1:
            self._gone(items, "order without one")
            (a, b), (c, d) = items[0], items[1]
            self._put(a, d, self.text[c:d] + self.text[b:c] + self.text[a:b], "order swapped")
        for start, stop in items:
            if not self.text[start:stop].endswith((" desc", " asc", " last", " first")):
                self._put(start, stop, self.text[start:stop] + " desc", "order turned")

    def _conditions(self, first: int, end: int) -> None:
        if first >= end:
            return
        depth, parts, begin = self.depths[first], [], first
        for i in range(first, end + 1):
            splits = i < end and self._said(i) == "and" and self.depths[i] == depth and not self._of_between(i)
            if i == end or splits:
                parts.append((begin, i))
                begin = i + 1
        if any(self._said(i) == "or" and self.depths[i] == depth for i in range(first, end)):
            return
        for one, (a, b) in enumerate(parts):
            if b <= a:
                continue
            if len(parts) == 1:
                self._put(self.words[a].start, self.words[b - 1].end, "true", "condition gone")
            elif one + 1 < len(parts):
                self._put(self.words[a].start, self._start(parts[one + 1][0]), "", "condition gone")
            else:
                self._put(self.words[parts[one - 1][1] - 1].end, self.words[b - 1].end, "", "condition gone")

    def _branch(self, index: int) -> None:
        end = self._until(index + 1, {"when", "else", "end"})
        several = self._said(end) == "when" or (index and self._said(index - 1) != "case")
        if several:
            self._put(self.words[index].start, self._start(end), "", "branch gone")


def _as_name(block: re.Match[str]) -> str:
    """An expression as a name, everything else as blanks; lines stay."""
    if block[0].startswith("{{"):
        return "j" + "_" * (len(block[0]) - 1)
    return re.sub(r"\S", " ", block[0])

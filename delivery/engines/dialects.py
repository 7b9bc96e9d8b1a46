"""Servers that write texts and names in SQL otherwise than we do: 'it''s' and "name"."""

from __future__ import annotations

import re

# A text, a name, or a name that dbt wrote in the server's own quotes, which stays.
QUOTED = re.compile(r"'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"|`[^`]*`")
ESCAPED = str.maketrans({"\\": r"\\", "'": r"\'", "`": r"\`", "\n": r"\n", "\r": r"\r"})


def with_backslashes(sql: str) -> str:
    """For servers where a backslash in a text begins an escape: it would end the text elsewhere than we do."""
    return QUOTED.sub(lambda found: found[0] if found[1] is None else found[0].replace("\\", r"\\"), sql)


def in_backticks(sql: str) -> str:
    """For BigQuery: names in backticks, texts with backslashes; two quotes do not stand for one there."""

    def one(found: re.Match[str]) -> str:
        if found[1] is not None:
            return "'" + found[1].replace("''", "'").translate(ESCAPED) + "'"
        if found[2] is not None:
            return "`" + found[2].replace('""', '"').translate(ESCAPED) + "`"
        return found[0]

    return QUOTED.sub(one, sql)

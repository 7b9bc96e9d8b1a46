"""Texts and names as SQL writes them."""

from __future__ import annotations

import glob


def literal(text: str) -> str:
    """The text as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """The name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def path_literal(path: str) -> str:
    """A file's path as a literal for DuckDB's readers, in which no sign is a wildcard."""
    return literal(glob.escape(path))

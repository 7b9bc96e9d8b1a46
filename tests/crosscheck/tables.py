"""A dataset of the warehouse against what it should hold, every column of every row a cell."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.crosscheck.raw import Row


@dataclass
class Compared:
    """said: whether a column says something, anywhere. faults: the first of each column."""

    cells: int = 0
    different: int = 0
    said: dict[str, bool] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    def add(self, wanted: Row | None, found: Row | None) -> None:
        """One row; one that only one side has is different in all its cells."""
        row: Row = wanted if wanted is not None else found or {}
        self.cells += len(row)
        if wanted is None or found is None:
            self.different += len(row)
            what = "is not there" if found is None else "should not be there"
            self.faults.setdefault(what, f"{what}: {row}")
            return
        for name in wanted.keys() | found.keys():
            one, other = wanted.get(name, "no column"), found.get(name, "no column")
            self.said[name] = self.said.get(name, False) or bool(one)
            if one != other:
                self.different += 1
                self.faults.setdefault(name, f"{name}: expected {one!r}, found {other!r} of {wanted['unique_key']}")


def compare(warehouse: Path, table: str, wanted: Iterable[Row]) -> Compared:
    """Rows are told apart by their key; a key that comes twice is a row that should not be there."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        read = connection.sql(f"select * from {table}").to_arrow_table().to_pylist()
    there: dict[Any, list[Row]] = defaultdict(list)
    for row in read:
        there[row["unique_key"]].append(row)
    compared = Compared()
    for row in wanted:
        found = there[row["unique_key"]]
        compared.add(row, found.pop() if found else None)
    for rest in there.values():
        for row in rest:
            compared.add(None, row)
    return compared

"""Which files a table on a path holds: not all that lie in its folder are its own.

A killed job leaves parts behind, a log of Delta or Iceberg keeps those that it has removed, and a folder says nothing
of a view. What cannot be known is refused by the table's name: rows that the table does not hold must not leave.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from delivery.errors import NotRead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

ENDED = "_SUCCESS"  # Spark's committer writes it anew when a job has moved all its parts to their places
UNENDED = "_temporary"  # below it lie the parts of a job until then
DAY = "event_day"
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
# Logs that say which of a folder's parts are the table's, by what their names begin with.
OTHER_LOGS = {"_spark_metadata": "a stream", "_started_": "Databricks' jobs", "_committed_": "Databricks' jobs"}


@dataclass(frozen=True)
class Held:
    """What a table holds now.

    parts: paths of parquet files, in the order in which they are read. schema: of a table whose log has one. is_cut:
    whether the folders of the parts say more columns, `name=value` each. is_alike: whether all parts have the columns
    of the first, as those of a model that grows: dbt builds it anew when they change.
    """

    parts: tuple[str, ...]
    schema: pa.Schema | None = None
    is_cut: bool = False
    is_alike: bool = False

    def days(self) -> dict[str, str | None]:
        """Each part of a table that is cut by day, with its day as YYYY-MM-DD, None for those of no day.

        Of other tables, and where a folder writes a day otherwise, nothing.
        """
        found: dict[str, str | None] = {}
        for part in self.parts if self.is_cut else ():
            values = values_of(part)
            day = values.get(DAY)
            if DAY not in values or (day is not None and not ISO_DAY.fullmatch(day)):
                return {}
            found[part] = day
        return found


def values_of(part: str) -> dict[str, str | None]:
    """What the folders of a part say, by column."""
    named = (folder.partition("=") for folder in part.split("/")[:-1] if "=" in folder)
    return {name: None if value == NO_VALUE else unquote(value) for name, _, value in named}


def parquet_table(table: Path, *, is_log: bool = False) -> Held:
    """The parts that ended jobs left in a folder. Raises NotRead.

    As Spark reads it: those in the folder itself, or in folders `name=value`; no empty files, none that are hidden.
    is_log: each of its jobs adds a few rows, and one that writes now is no reason to wait.
    """
    found = [Path(path, name) for path, names in _walk(table) for name in names]
    if strange := [path.name for path in found if path.suffix != ".parquet"]:
        raise NotRead(
            f"The table {table.name} is not of parquet alone: it holds {strange[0]!r}"
            + (f" and {len(strange) - 1} files more that are none." if len(strange) > 1 else "."),
            hint="Of files, parquet is read, and Delta and Iceberg by their logs: set file_format, and build it anew.",
        )
    parts = tuple(sorted(str(path) for path in found))
    is_cut = [path.parent != table for path in found]
    for name in sorted(path.name for path in table.iterdir()):
        _check_log(table, name)
    if any(is_cut) and not all(is_cut):
        raise NotRead(
            f"The table {table.name} has parts in its folder and in folders of partitions: only one kind is its own.",
            hint=f"Remove what is left of an earlier table in {table}, or drop the table; build it anew.",
        )
    if any(is_cut):
        check_place(table)
    if not is_log and (parts or (table / UNENDED).exists()):
        _check_ended(table, parts)
    return Held(parts, is_cut=any(is_cut))


def check_place(table: Path) -> None:
    """That no folder above a table which is cut reads as one of its partitions. Raises NotRead."""
    if folder := next((name for name in table.parts if "=" in name), None):
        raise NotRead(
            f"The table {table.name} lies below a folder called {folder!r}, which reads as one of its partitions.",
            hint="Set SPARK_WAREHOUSE to a path without =, as that of a link to the folder.",
        )


def _walk(table: Path) -> Iterator[tuple[str, list[str]]]:
    for path, folders, names in os.walk(table, followlinks=True):
        folders[:] = [name for name in folders if "=" in name and not _is_hidden(name)]
        yield path, [name for name in names if not _is_hidden(name) and Path(path, name).stat().st_size]


def _check_log(table: Path, name: str) -> None:
    """That a name in a table's folder is of no log that is not read here."""
    for begin, writer in OTHER_LOGS.items():
        if name.startswith(begin):
            raise NotRead(
                f"The table {table.name} has the log of {writer}, which says what of its folder is its own: {name!r}.",
                hint="Write it without that log, by a batch job as dbt does, or as Delta; build it anew.",
            )


def _is_hidden(name: str) -> bool:
    """Spark's rule."""
    return name.startswith(".") or name.endswith("._COPYING_") or (name.startswith("_") and "=" not in name)


def _check_ended(table: Path, parts: Sequence[str]) -> None:
    """That no part is of a job that did not end: one that is killed while it moves its parts leaves some of them."""
    again = "Let a build that is running end, and run again. If it was killed: build again."
    if not (table / ENDED).exists():
        raise NotRead(
            f"The table {table.name} has no {ENDED}: the job that wrote it did not end.",
            hint=f"{again} Spark must not be told to leave {ENDED} out.",
        )
    ended = (table / ENDED).stat().st_mtime_ns
    if (table / UNENDED).exists() and any(Path(part).stat().st_mtime_ns > ended for part in parts):
        raise NotRead(
            f"The table {table.name} has parts of a job that did not end: {UNENDED} is still there.",
            hint=f"{again} Before that, remove {table / UNENDED}: Spark's next job would take its parts for its own.",
        )

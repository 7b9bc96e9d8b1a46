"""Spark's raw tables: folders of parquet parts, a folder a source, to which each load adds one part."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from delivery.errors import Busy, ConfigError
from delivery.files.disk import locked
from delivery.operations.loading import KNOWN, Loaded
from delivery.sql import path_literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.config.project import Project
    from delivery.operations.loading import Landed


class RawParts:
    """The parts below RAW_DIR. A part gets its name when it is whole: when a loader dies, it is there or it is not."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.scratch = root / ".loading"  # on the same disk, so that a part can be renamed

    def known(self) -> pa.Table:
        """The files, and versions of them, that the parts hold. An empty file is in none: it is looked at again."""
        parts = [str(part) for part in self._root.glob("*/*/*.parquet")]
        if not parts:
            return KNOWN.empty_table()
        query = (
            "select distinct file_name, cast(null as bigint) as file_size, landed_at as modified_at from read_parquet("
        )
        with duckdb.connect(":memory:") as connection:
            return connection.sql(f"{query}[{', '.join(map(path_literal, parts))}])").to_arrow_table().cast(KNOWN)

    def take(self, landed: Landed) -> Loaded:
        """Adds a part to each source that has something new."""
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}.parquet"
        rows = 0
        for source, part in landed.parts.items():
            folder = self._root.joinpath(*source)
            folder.mkdir(parents=True, exist_ok=True)
            if count := pq.read_metadata(part).num_rows:
                part.replace(folder / name)
            rows += count
        return Loaded(len(landed.files), rows)


@contextmanager
def open_parts(project: Project) -> Iterator[RawParts]:  # noqa: ARG001 - as that of another engine
    """The folder that RAW_DIR names. Raises ConfigError where it names none, Busy while another loader has it."""
    where = os.environ.get("RAW_DIR", "")
    if not where.startswith("/"):
        raise ConfigError(
            f"RAW_DIR is {where!r}.", hint="Set it to the folder of the raw tables, as a path from the root (/...)."
        )
    root = Path(where)
    root.mkdir(parents=True, exist_ok=True)
    try:
        with locked(root, wait=False):
            yield RawParts(root)
    except BlockingIOError:
        raise Busy(f"Another `load` is at work on {root}.", hint="Let it end, then run again.") from None

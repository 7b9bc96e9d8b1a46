"""DuckLake: parquet files that a catalog in PostgreSQL lists, read by the embedded DuckDB with two extensions.

A transaction sees one snapshot of the catalog, and files of a snapshot are never changed: readers and builds do not
wait for one another.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from delivery.engines import attached_lake, identifier, literal
from delivery.engines.duckdb import THREADS, DuckDB, Settings
from delivery.errors import ConfigError, WriteFailed, redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.project import Project

EXTENSIONS = ("postgres_scanner", "ducklake")
PACKAGE = "duckdb_extension_"
# Of parquet files, a whole group of rows is held; builds write groups of so many.
GROUP_ROWS = 16_384
SCAN_MEMORY = "128MB"
NO_LAKE = "creating a new DuckLake is explicitly disabled"


class Lake(DuckDB):
    """One snapshot of a lake. catalog: how it is reached, which is never shown, as it may hold a password."""

    # Files are read in the order in which they were written, and rows in theirs; dbt's DuckDB writes with one thread.
    keeps_order = True
    scan_memory = SCAN_MEMORY

    def __init__(self, connection: duckdb.DuckDBPyConnection, catalog: str) -> None:
        super().__init__(connection)
        self._catalog = catalog

    def table(self, sql: str) -> pa.Table:
        """A small result, whole."""
        with self._explained():
            return super().table(sql)

    def stream(self, sql: str, *, sorts: bool = False) -> Iterator[pa.RecordBatch]:
        """A result of any size, in batches."""
        with self._explained():
            yield from super().stream(sql, sorts=sorts)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except WriteFailed as error:
            raise WriteFailed(
                error.message.replace(self._catalog, "...").replace("The warehouse", "The lake"),
                hint="See that the server is up and LAKE_DATA is the folder of the files; then run again.",
            ) from None


def load_extensions(connection: duckdb.DuckDBPyConnection) -> None:
    """Loads what a lake needs from the Python environment; nothing is downloaded. Raises ConfigError without it."""
    for name in EXTENSIONS:
        package = find_spec(PACKAGE + name)
        if package is None or package.origin is None:
            raise ConfigError(
                "The target needs the extra `lake`, which is not installed.",
                hint="pip install 'delivery[lake]', in an environment of its own, as `make lake` does.",
            )
        path = Path(package.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
        if not path.is_file():
            raise ConfigError(
                f"The extension {name} that is installed is not for DuckDB {duckdb.__version__}.",
                hint="Install requirements/lake.lock in an environment of its own, as `make lake` does.",
            )
        connection.load_extension(str(path))


@contextmanager
def open_lake(project: Project) -> Iterator[Lake]:
    """The target's lake, read-only, as it is now. Raises ConfigError when it, the server or an extension is missing."""
    pa.set_memory_pool(pa.system_memory_pool())
    scratch = project.state / "scratch"
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings: Settings = {
        "memory_limit": SCAN_MEMORY,
        "threads": THREADS,
        "temp_directory": str(scratch),
        "autoinstall_known_extensions": False,
    }
    lake = attached_lake(project.profile) or {}
    connection = duckdb.connect(":memory:", config=settings)
    try:
        load_extensions(connection)
        attach(connection, lake["path"], _statement(project.root, lake))
        connection.execute("begin transaction")
        yield Lake(connection, _login(lake["path"]))
    finally:
        connection.close()


def attach(connection: duckdb.DuckDBPyConnection, path: str, statement: str) -> None:
    """Attaches a lake. path: `ducklake:postgres:` and how the server is reached. Raises ConfigError if it is not."""
    try:
        connection.execute(statement)
    except duckdb.Error as error:
        raise _not_attached(str(error).replace(_login(path), "...")) from None


def _login(path: str) -> str:
    """What follows `ducklake:postgres:`, as errors quote it."""
    return path.split(":", 2)[-1]


def _statement(root: Path, lake: dict[str, Any]) -> str:
    """The catalog keeps the folder as dbt named it, which may be relative: here it is below the project."""
    options = lake.get("options") or {}
    said = ["read_only", "override_data_path true"]
    said.append(f"data_path {literal(str(root / str(options['data_path'])))}" if "data_path" in options else "")
    said.append(f"metadata_schema {literal(options['metadata_schema'])}" if "metadata_schema" in options else "")
    return f"attach {literal(lake['path'])} as {identifier(lake['alias'])} ({', '.join(filter(None, said))})"


def _not_attached(said: str) -> ConfigError:
    if NO_LAKE in said:
        return ConfigError(
            "There is no lake in the catalog yet.",
            hint="Run `delivery --target lake run --build`, or set PGDATABASE to the catalog's database.",
        )
    seen = redact(said.rsplit('": ', 1)[-1].splitlines()[0])
    return ConfigError(
        f"The lake's catalog does not let us in: {seen}",
        hint="See that the server is up, and PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE are right.",
    )

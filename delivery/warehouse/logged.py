"""Tables with a log of their own, Delta and Iceberg: what they hold is what the log says of one snapshot.

The logs are read by their own libraries. What they do not say file by file is refused: rows deleted within files,
columns with another name in older files, features that came later.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.errors import NotRead, redact
from delivery.warehouse.parts import Held, check_place, values_of

if TYPE_CHECKING:
    import pyarrow as pa

DELTA_LOG = "_delta_log"
ICEBERG_LOG = "metadata"
# Of Delta's reader features, those that change nothing in what a file means.
HARMLESS = {"timestampNtz"}
PACKAGE = "pip install 'dbt-delivery[spark]'."


def is_delta(table: Path) -> bool:
    """Whether a folder is a Delta table."""
    return (table / DELTA_LOG).is_dir()


def is_iceberg(table: Path) -> bool:
    """Whether a folder is an Iceberg table."""
    return any((table / ICEBERG_LOG).glob("*.metadata.json"))


def delta_table(table: Path) -> Held:
    """The newest snapshot. Raises NotRead."""
    what = f"The table {table.name} is a Delta table"
    try:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError
    except ImportError:
        raise NotRead(f"{what}, and deltalake is not installed.", hint=PACKAGE) from None
    import pyarrow as pa

    try:
        log = DeltaTable(table)
        protocol, mapping = log.protocol(), log.metadata().configuration.get("delta.columnMapping.mode", "none")
        actions = pa.table(log.get_add_actions(flatten=True)).to_pylist()
        schema = pa.schema(log.schema().to_arrow())
    except (DeltaError, OSError, ValueError) as error:
        said = redact(str(error).splitlines()[0])
        raise NotRead(f"{what}, and its log cannot be read: {said}", hint=_again(table)) from None
    features = set(protocol.reader_features or ()) - HARMLESS
    features |= {"columnMapping"} if mapping != "none" else set()
    if features or protocol.min_reader_version not in (1, 2, 3):
        used = ", ".join(sorted(features)) or f"reader version {protocol.min_reader_version}"
        raise NotRead(
            f"{what} with {used}: its files alone do not say its rows.",
            hint="Build it anew without that feature (REORG TABLE … APPLY (PURGE), then DROP FEATURE), or as parquet.",
        )
    parts = [_delta_part(table, action, what) for action in actions]
    if is_cut := bool(log.metadata().partition_columns):
        check_place(table)
    return Held(tuple(sorted(parts)), schema, is_cut=is_cut)


def _delta_part(table: Path, action: dict[str, Any], what: str) -> str:
    """The path of a file. Its folders must say what the log says, for the files do not hold these columns."""
    prefix = "partition."
    said = {key.removeprefix(prefix): value for key, value in action.items() if key.startswith(prefix)}
    path = str(action["path"])
    if values_of(path) != {name: None if value is None else str(value) for name, value in said.items()}:
        raise NotRead(f"{what} whose folders are not called as its partitions are.", hint=_again(table))
    if not (table / path).is_file():
        raise NotRead(f"{what}, and a file that its log lists is not there, or is elsewhere.", hint=_again(table))
    return str(table / path)


def iceberg_table(schema: str, name: str, catalog: str) -> Held:
    """The current snapshot: only a catalog knows which that is. catalog: its name to pyiceberg. Raises NotRead."""
    what = f"The table {name} is an Iceberg table"
    try:
        from pyiceberg.catalog import load_catalog
        from pyiceberg.io.pyarrow import schema_to_pyarrow
    except ImportError:
        raise NotRead(f"{what}, and pyiceberg is not installed.", hint=PACKAGE) from None
    uri = f"PYICEBERG_CATALOG__{catalog.upper()}__URI"
    hint = f"Tell pyiceberg of the catalog, by {uri} or .pyiceberg.yaml; or build the table as parquet."
    try:
        table = load_catalog(catalog).load_table((schema, name))
        tasks = list(table.scan().plan_files())
    except Exception as error:  # noqa: BLE001 - of whatever catalog; its text may hold a login
        raise NotRead(
            f"{what}, and its catalog does not tell its snapshot: {type(error).__name__}.", hint=hint
        ) from None
    if faults := _iceberg_faults(table, tasks):
        raise NotRead(
            f"{what} {' and '.join(faults)}: its files alone do not say its rows.",
            hint="Rewrite it (CALL system.rewrite_data_files), or build it anew, or as parquet.",
        )
    held: pa.Schema = schema_to_pyarrow(table.schema())
    return Held(tuple(sorted(_local(task.file.file_path) for task in tasks)), held)


def _iceberg_faults(table: Any, tasks: list[Any]) -> list[str]:
    names: dict[int, set[tuple[str, str]]] = {}
    ids: dict[str, set[int]] = {}
    for schema in table.schemas().values():
        for field in schema.fields:
            names.setdefault(field.field_id, set()).add((field.name, str(field.field_type)))
            ids.setdefault(field.name, set()).add(field.field_id)
    changed = any(len(found) > 1 for found in names.values()) or any(len(found) > 1 for found in ids.values())
    faults = {
        f"of format {table.format_version}": table.format_version > 2,
        "with deleted rows in its files": any(task.delete_files for task in tasks),
        "with columns that were renamed or changed": changed,
        "that took files of another table": "schema.name-mapping.default" in table.properties,
        "with files that are no parquet": any(task.file.file_format != "PARQUET" for task in tasks),
        "with files elsewhere": any(not Path(_local(task.file.file_path)).is_file() for task in tasks),
    }
    return [fault for fault, is_so in faults.items() if is_so]


def _local(path: str) -> str:
    return path.removeprefix("file://").removeprefix("file:")


def _again(table: Path) -> str:
    return f"Look at {table}; if Spark reads the table, build it anew, or as parquet."

"""The tables of a Spark warehouse by its folders: what each holds, or why nobody can say without its catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from delivery.errors import NotRead
from delivery.warehouse.logged import delta_table, iceberg_table, is_delta, is_iceberg
from delivery.warehouse.parts import DAY, Held, parquet_table, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BUILD_DAYS = "build_days"
LISTED_LAST = (BUILD_DAYS, "build_failures", "build_log")


def tables_of(folder: Path, models: Mapping[str, Any], schema: str, catalog: str) -> dict[str, Held | NotRead]:
    """By name in lower case, each table of a schema's folder and each view, listed as they are now.

    models: dbt's nodes by their names in the schema; catalog: that of Iceberg tables, as pyiceberg calls it.
    """
    days = _days_built(folder / BUILD_DAYS)
    # Spark's own are in lower case: where two differ in nothing else, that is the table.
    found = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    called = {name.lower(): name for name in (*found, *models)}  # by dbt, of whose names Spark makes lower case
    tables: dict[str, Held | NotRead] = {}
    for name in sorted(called, key=lambda name: (name in LISTED_LAST, name)):
        model = models.get(called[name], {})
        try:
            held = _held(called[name], found.get(name), model, schema, catalog)
        except NotRead as why:
            tables[name] = why
            continue
        if held is not None:
            tables[name] = _of_days_built(held, model, days)
    return tables


def _held(name: str, folder: Path | None, model: Mapping[str, Any], schema: str, catalog: str) -> Held | None:
    """What a table holds, by its own log where it has one; None where there is none. Raises NotRead."""
    config = model.get("config") or {}
    kind, file_format = config.get("materialized"), config.get("file_format") or "parquet"
    if config.get("location_root"):
        raise NotRead(
            f"The table {name} lies elsewhere, below {config['location_root']!r} (location_root).",
            hint="Leave location_root out, so that the table lies below spark.sql.warehouse.dir; build it anew.",
        )
    if kind == "view":
        raise NotRead(
            f"{name} is a view, which only Spark can read.", hint="Give the model `materialized: table`; build it."
        )
    if folder is None:
        if file_format == "iceberg":
            return iceberg_table(schema, name, catalog)
        return None
    logs = {"delta": is_delta(folder), "iceberg": is_iceberg(folder), "hudi": (folder / ".hoodie").is_dir()}
    written = [log for log, is_there in logs.items() if is_there]
    if len(written) > 1:
        raise NotRead(
            f"The table {name} has the logs of {' and '.join(written)}: nobody knows which of them speaks.",
            hint="Drop it and build it anew, in one format.",
        )
    if written == ["delta"]:
        return delta_table(folder)
    if written == ["iceberg"]:
        return iceberg_table(schema, name, catalog)
    if written or file_format != "parquet":
        raise NotRead(
            f"The table {name} is of the format {(written or [file_format])[0]}: nothing here says its rows.",
            hint="Parquet is read, and Delta and Iceberg by their logs: set file_format, and build it anew.",
        )
    return parquet_table(folder, is_log=name in LISTED_LAST)


def _days_built(log: Path) -> dict[str, set[str]] | None:
    """The days that builds of each model have ended, as YYYY-MM-DD; None where there is no such log."""
    if not log.is_dir():
        return None
    found: dict[str, set[str]] = {}
    for part in parquet_table(log, is_log=True).parts:
        unique_id = values_of(part).get("unique_id")  # Spark cuts the log by it
        for row in pq.ParquetFile(part).read().to_pylist():
            found.setdefault(str(unique_id or row["unique_id"]), set()).add(str(row[DAY]))
    return found


def _of_days_built(held: Held, model: Mapping[str, Any], days: dict[str, set[str]] | None) -> Held:
    """Of a model that grows by day, the days that a build has ended: a build that was killed may have left more.

    Spark moves the parts of a day to their place before it tells its catalog of the day.
    """
    meta = (model.get("config") or {}).get("meta") or {}
    if days is None or not held.is_cut or meta.get("grows_by") != DAY:
        return held
    ended = days.get(str(model.get("unique_id")), set())
    return Held(tuple(part for part, day in held.days().items() if day in ended), is_cut=True, is_alike=True)

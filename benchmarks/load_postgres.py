"""Loads the raw parts that `make load` wrote below RAW_DIR into PostgreSQL's raw tables, each part once.

A part and the note that it is loaded are one transaction, so a load that stopped half way is gone on with.
The server is the one of libpq's variables: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE.
"""

import os
import sys
from pathlib import Path

import adbc_driver_postgresql.dbapi
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def main() -> None:
    """Says how many parts were loaded."""
    root = Path(os.environ["RAW_DIR"])
    parts = sorted(root.glob("*/*/*.parquet"))
    if not parts:
        sys.exit(f"There are no raw parts below {root}: run `make load`.")
    loaded = 0
    with adbc_driver_postgresql.dbapi.connect("postgresql:///") as connection, connection.cursor() as cursor:
        # Where it is must not depend on the search path, in which a schema of the user's name comes first.
        cursor.execute("create table if not exists public.raw_parts (name text primary key)")
        cursor.execute("select name from public.raw_parts")
        known = {row[0] for row in cursor.fetchall()}
        for part in parts:
            table, schema, name = part.parent.name, part.parent.parent.name, str(part.relative_to(root))
            if name in known:
                continue
            cursor.execute(f"create schema if not exists {schema}")
            with pq.ParquetFile(part) as content:
                schema_of = content.schema_arrow
                batches = content.iter_batches(batch_size=10_000)
                cursor.adbc_ingest(
                    table,
                    pa.RecordBatchReader.from_batches(schema_of, map(_without_nul, batches)),
                    mode="create_append",
                    db_schema_name=schema,
                )
            cursor.execute("insert into public.raw_parts values ($1)", (name,))
            connection.commit()
            loaded += 1
        connection.commit()
    print(f"{loaded} parts loaded, {len(parts) - loaded} were there")


def _without_nul(batch: pa.RecordBatch) -> pa.RecordBatch:
    """PostgreSQL's text has no NUL. As a raw byte it stands only in lines that are no JSON."""
    place = batch.schema.get_field_index("payload")
    return batch.set_column(place, "payload", pc.replace_substring(batch["payload"], "\x00", "\ufffd"))


if __name__ == "__main__":
    main()

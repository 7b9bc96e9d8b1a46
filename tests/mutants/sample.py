"""The sample, built without a fault: where every fault of a model begins, and what its rows are compared with."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb

from tests.mutants.copies import KEPT, ROOT, content_hash

LINKS = (
    *["models", "macros", "dbt_packages", "seeds", "tests", "landing"],
    *(f"{n}.yml" for n in ["selectors", "dbt_project", "profiles", "integrations"]),
)
# What says when and by which run something was built.
ITS_OWN = ("build_",)


def built() -> Path:
    """The folder of the built sample, with `warehouse.duckdb` and `target`; built once for a content of the sources."""
    here = content_hash(
        "models/",
        "macros/",
        "delivery/dbt_package/",
        "seeds/",
        "landing/",
        "tests/dbt/",
        "dbt_project.yml",
        "profiles.yml",
        but="tests/dbt/test_",
    )
    folder = KEPT / "built"
    if (folder / "done").exists() and (folder / "done").read_text() == here:
        return folder
    print("building the sample", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in LINKS:
        (folder / name).symlink_to(ROOT / name)
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("DBT_", "WAREHOUSE", "LANDING_", "DELIVERY_"))
    }
    command = [str(Path(sys.executable).with_name("dbt")), "build"]
    with (KEPT / "built.log").open("w") as log:
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=log)
    (folder / "done").write_text(here)
    return folder


def hashes(warehouse: Path) -> dict[str, str]:
    """A hash of the rows of each relation; of exports in the order in which they are stored."""
    found, exports = {}, {path.stem for path in (ROOT / "models" / "exports").glob("*.sql")}
    with duckdb.connect(str(warehouse), read_only=True, config={"threads": 1}) as connection:
        listed = "select table_name, table_type from information_schema.tables where table_schema = 'main'"
        for name, kind in connection.execute(listed).fetchall():
            if not name.startswith(ITS_OWN):
                # The stored order is promised of exports alone.
                sorting = "" if kind != "VIEW" and name in exports else " order by all"
                try:
                    # When a row was loaded is another time in each build.
                    rows = connection.execute(
                        f"select columns(c -> c <> 'loaded_at') from \"{name}\"{sorting}"
                    ).fetchall()
                except duckdb.Error as error:
                    rows = [(str(error),)]
                found[name] = hashlib.sha256(repr(rows).encode()).hexdigest()
    return found

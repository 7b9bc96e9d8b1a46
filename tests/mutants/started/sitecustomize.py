"""Put first on the path of processes that a test starts, so that what they run is noted for the test."""

import atexit
import os
import sys
from pathlib import Path

if os.environ.get("MUTANTS_TEST") and not any(Path(part).name == "dbt" for part in sys.orig_argv[:3]):
    try:
        from tests.mutants import noting

        atexit.register(noting.finish)
    except Exception as problem:  # noqa: BLE001 - the process does its work all the same
        os.write(2, f"not noted: {problem}\n".encode())

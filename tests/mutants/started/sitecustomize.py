"""Put first on the path of processes that a test starts, so that what they run is noted for the test."""

import atexit
import os

if os.environ.get("MUTANTS_TEST") and "PYTEST_XDIST_WORKER_STARTING" not in os.environ:
    try:
        from tests.mutants import noting

        atexit.register(noting.finish)
    except Exception as problem:  # noqa: BLE001 - the process does its work all the same
        os.write(2, f"not noted: {problem}\n".encode())

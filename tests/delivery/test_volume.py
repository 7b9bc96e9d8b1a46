"""A part of `make volume`: the same files from PostgreSQL as from DuckDB, of more rows than the sample has."""

from __future__ import annotations

import subprocess
import sys

import pytest
from projects import ROOT

from tests.engines.volume import different_files

EVENTS, CLIENTS = 50_000, 20  # of one day: minutes, nearly all of them dbt's cost of a model and a test


def test_a_file_that_is_missing_or_another_on_one_engine_is_different() -> None:
    found = [{"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "c": "1"}, {"a": "1", "b": "1", "d": "1"}]
    assert different_files(found) == ["b", "c", "d"]
    assert different_files(found[:1] * 3) == []


@pytest.mark.slow
def test_generated_events_give_the_same_files_on_postgresql(postgres_socket: str) -> None:
    command = [sys.executable, "-m", "tests.engines.volume", "--events", str(EVENTS), "--days", "1"]
    done = subprocess.run([*command, "duckdb", "postgres"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"volume: duckdb postgres {EVENTS} events {CLIENTS} files 0 different"

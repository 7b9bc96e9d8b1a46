"""The sweep can see: `put` and then record, swept in the same way, comes twice and half."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from servers import missing_for_sftp_server


@pytest.mark.skipif(bool(missing_for_sftp_server()), reason=missing_for_sftp_server())
def test_put_and_then_record_fails_the_sweep() -> None:
    sweep = [sys.executable, str(Path(__file__).with_name("sweep.py")), "--control", "--every", "20", "--doubles", "10"]
    everything = os.environ | {"SAMPLE": "all"}  # a part of a twentieth shows too little
    done = subprocess.run(sweep, text=True, capture_output=True, check=False, env=everything)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr

"""Large files to a server that is far away: flat memory, and new keys in the middle."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import paramiko
import pytest
from projects import ROOT
from servers import missing_for_sshd, running_sshd

from delivery.transfer.sftp_directory import SftpDirectory

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
GROWTH_MB = 40


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file() -> None:
    if missing := missing_for_sshd():
        pytest.skip(missing)
    peaks = []
    for mib in (192, 512):
        command = [sys.executable, "-m", "benchmarks.far", "--mib", str(mib), "--runs", "1", "--round-trip", "10"]
        done = subprocess.run(
            [*command, "--only", "hand-over"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300
        )
        peaks.append(json.loads(done.stdout.splitlines()[0])["peak_mb"])
    assert peaks[1] - peaks[0] < GROWTH_MB, peaks


@pytest.mark.slow
def test_keys_that_are_exchanged_again_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing := missing_for_sshd():
        pytest.skip(missing)
    exchanges, inner = [], paramiko.Transport._activate_inbound  # type: ignore[attr-defined]

    def count(self: Any) -> Any:
        exchanges.append(self)
        return inner(self)

    monkeypatch.setattr(paramiko.Transport, "_activate_inbound", count)
    content = bytes(range(256)) * (64 * MIB // 256)
    (tmp_path / "large").write_bytes(content)
    with running_sshd(extra="RekeyLimit 8M") as sshd:
        sshd.directory("inbox")
        with SftpDirectory.of("far", sshd.target(), "inbox") as destination:
            destination.upload(tmp_path / "large", "large.part")
            assert destination.hash("large.part") == sha256(content).hexdigest()
    assert len(exchanges) > 8, "64 MiB there and back, new keys every 8 MiB"

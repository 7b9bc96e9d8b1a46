"""Small files to one server that is far away: a first run of ten deliveries, beside `sftp -b` with the same files.

`python -m benchmarks.small_files` starts an sshd of its own behind the proxy of `benchmarks.far`. Each run begins
without a ledger: it writes, proves, logs in, probes the server, and hands over each file and its manifest. OpenSSH only
puts what came of that, once with the manifests and once without. `from the first step`: without what it takes to start,
by the ledger's times. In alternation; one JSON line a run, and the medians and their ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.far import CIPHER

OURS = ("delivery", "from the first step")
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "delivery"))


def _project(root: Path, target: dict[str, Any], count: int) -> None:
    from small_project import CLIENTS, make_project  # type: ignore[import-not-found]

    make_project(root)
    of = {
        f"client_{number}": {
            "vendor_name": "Acme",
            "namespace": CLIENTS[number % len(CLIENTS)],
            "directory": f"inbox-{number}",
            "destination": target,
        }
        for number in range(count)
    }
    (root / "integrations.yml").write_text(yaml.safe_dump({"integrations": of}))


def _deliver(root: Path, state: Path) -> tuple[float, float]:
    from small_project import DAY

    command = [sys.executable, "-m", "delivery", "--project-dir", str(root), "run", "--window", DAY]
    began = time.monotonic()
    done = subprocess.run(
        command, env=os.environ | {"DELIVERY_STATE": str(state)}, text=True, capture_output=True, check=False
    )
    took = time.monotonic() - began
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    with closing(sqlite3.connect(state / "ledger.sqlite")) as ledger:
        times = ledger.execute("select min(at), max(at) from steps").fetchone()
    first, last = map(datetime.fromisoformat, times)
    return took, (last - first).total_seconds()


def _openssh(target: dict[str, Any], files: list[tuple[Path, str]]) -> float:
    command = ["sftp", "-q", "-b", "-", "-P", str(target["port"]), "-i", target["private_key"], "-c", CIPHER]
    command += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    batch = "".join(f"put {file} {there}\n" for file, there in files)
    began = time.monotonic()
    to = f"{target['username']}@{target['host']}"
    subprocess.run([*command, to], input=batch, text=True, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> int:
    """Measures in alternation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--round-trip", type=float, default=40.0, metavar="MS")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    from servers import running_sshd  # type: ignore[import-not-found]

    found: dict[str, list[float]] = {name: [] for name in (*OURS, "sftp -b", "sftp -b, no manifests")}
    with running_sshd() as sshd, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.far", "--proxy", str(sshd.port), str(options.round_trip / 2000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
            port = int(proxy.stdout.readline()) if proxy.stdout else 0
            target = sshd.target(port=port).model_dump(mode="json", exclude_none=True)
            _project(Path(folder, "project"), target, options.files)
            for run in range(options.runs):
                inboxes = [sshd.directory(f"inbox-{number}") for number in range(options.files)]
                took = _deliver(Path(folder, "project"), Path(folder, f"state-{run}"))
                for name, seconds in zip(OURS, took, strict=True):
                    found[name].append(seconds)
                taken = Path(folder, f"taken-{run}")
                files = [path for inbox in inboxes for path in sorted(inbox.iterdir())]
                put: list[tuple[Path, str]] = []
                for path in files:
                    copy = taken / path.parent.name / path.name
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.move(path, copy)
                    put.append((copy, f"{path.parent.name}/{path.name}"))
                found["sftp -b"].append(_openssh(target, put))
                for inbox in inboxes:
                    shutil.rmtree(inbox)
                    sshd.directory(inbox.name)
                data = [one for one in put if one[0].suffix == ".csv"]
                found["sftp -b, no manifests"].append(_openssh(target, data))
                for inbox in inboxes:
                    shutil.rmtree(inbox)
                print(json.dumps({name: round(times[-1], 2) for name, times in found.items()}), flush=True)
            proxy.terminate()
    medians = {name: round(statistics.median(times), 2) for name, times in found.items()}
    others = [name for name in found if name not in OURS]
    ratios = {ours: {name: round(medians[ours] / medians[name], 2) for name in others} for ours in OURS}
    print(json.dumps({"medians": medians, "ratios": ratios}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

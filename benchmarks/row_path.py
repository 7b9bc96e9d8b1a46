"""One large file from the table to a server nearby: `delivery run` beside scripts that prove less.

`python -m benchmarks.row_path` makes events and builds them once, starts an sshd of its own, and runs in turn

- base: DuckDB's COPY, then OpenSSH's sftp. Nothing is compressed, hashed or read back.
- script: COPY, pigz -1 if compressed, sha256sum, sftp put, sftp get, sha256sum. No cell is proven.
- delivery: `delivery run` with a new ledger: gate, file, every cell proven, upload, hash there, rename, manifest.

Whole commands, the same cipher; seconds, CPU seconds (of what they started, too; not of sshd) and the largest process
in MB. Medians and their ratios go to a JSON file. Debian packages: openssh-server, pigz.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from benchmarks.far import CIPHER
from benchmarks.namespaces import DAY
from benchmarks.project import BIN, ROOT, environment, link_sources

sys.path.insert(0, str(ROOT / "tests" / "delivery"))

CLIENT = "client_0000"
INTEGRATIONS = {"gzip": "acme_share", "none": "brightside_drop"}  # of the sample's campaign, by compression
COPY = """import duckdb, sys
warehouse, columns, file = sys.argv[1:]
where = "namespace = '{client}' and event_day = date '{day}'"
query = f"copy (select {{columns}} from esp_events where {{where}}) to '{{file}}' (format csv, header)"
duckdb.connect(warehouse, read_only=True).execute(query)
"""
CHECKED = """set -euo pipefail
"$@"
if [ "$PACKED" != "$PLAIN" ]; then pigz -1 "$PLAIN"; fi
sum=$(sha256sum < "$PACKED")
$SFTP <<< "put $PACKED inbox/file" > /dev/null
$SFTP <<< "get inbox/file $PACKED.back" > /dev/null
[ "$(sha256sum < "$PACKED.back")" = "$sum" ]
"""
UNCHECKED = 'set -euo pipefail; "$@"; $SFTP <<< "put $PLAIN inbox/file" > /dev/null'


def _built(folder: Path, events: int) -> None:
    """The project with its warehouse, unless it is there."""
    if (folder / "built").exists():
        return
    folder.mkdir(parents=True)
    link_sources(folder)
    _set_up(folder, {"type": "hosted"})
    asked = ["--events", str(events), "--namespaces", "1", "--start", str(DAY), "--out", str(folder / "landing")]
    subprocess.run([sys.executable, "-m", "benchmarks.generate", *asked], cwd=ROOT, check=True)
    command = [str(BIN / "dbt"), "build", "--exclude-resource-type", "unit_test"]
    subprocess.run(command, cwd=folder, env=environment(folder), check=True, stdout=subprocess.DEVNULL)
    (folder / "built").touch()


def _set_up(folder: Path, destination: dict[str, Any]) -> None:
    of = {
        name: {"vendor_name": name, "namespace": CLIENT, "destination": destination, "directory": "inbox"}
        | {"file_name": f"{{campaign}}_{kind}", "compression": kind}
        for kind, name in INTEGRATIONS.items()
    }
    (folder / "integrations.yml").write_text(yaml.safe_dump({"integrations": of}))


def _measured(command: list[str], folder: Path, environment: dict[str, str]) -> dict[str, float]:
    """One command: seconds, CPU seconds and the largest of its processes in MB."""
    os.sync()
    began = time.monotonic()
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
    took = time.monotonic() - began
    if status:
        raise SystemExit((folder / "said").read_text())
    cpu = used.ru_utime + used.ru_stime
    return {"seconds": round(took, 2), "cpu": round(cpu, 2), "peak_mb": used.ru_maxrss // 1024}


def _medians(folder: Path, runs: int, inbox: Path, sftp: str) -> dict[str, dict[str, float]]:
    state, file, columns = folder / "state", str(folder / "file.csv"), ""
    ours = [str(BIN / "delivery"), "run", "--select", "daily_esp_events", "--window", str(DAY), "--integration"]
    copy = [sys.executable, "-c", COPY.format(client=CLIENT, day=DAY), "warehouse.duckdb"]
    found: dict[str, list[dict[str, float]]] = defaultdict(list)

    def measure(name: str, command: list[str], packed: str = file) -> None:
        for path in (*inbox.iterdir(), *folder.glob("file.csv*")):
            path.unlink()
        shutil.rmtree(state, ignore_errors=True)
        set_for = environment(folder, DELIVERY_STATE=str(state), SFTP=sftp, PLAIN=file, PACKED=packed)
        found[name].append(_measured(command, folder, set_for))

    for run in range(runs + 1):  # the first, which warms up, tells the columns of the file
        for kind, name in INTEGRATIONS.items():
            measure(f"delivery, {kind}", [*ours, name])
            if kind == "none":
                with next(inbox.glob("*.csv")).open() as delivered:
                    columns = next(delivered).strip()
            if run:
                script = ["bash", "-c", CHECKED, "-", *copy, columns, file]
                measure(f"script, {kind}", script, f"{file}.gz" if kind == "gzip" else file)
        if run:
            measure("base", ["bash", "-c", UNCHECKED, "-", *copy, columns, file])
            print(json.dumps({name: times[-1] for name, times in found.items()}), flush=True)
    return {
        name: {what: round(statistics.median(one[what] for one in times[-runs:]), 2) for what in times[0]}
        for name, times in found.items()
    }


def main() -> int:
    """Measures in alternation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=ROOT / "generated", help="what is built is kept there")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "evidence" / "performance.json")
    options = parser.parse_args()
    from servers import running_sshd  # type: ignore[import-not-found]

    folder = options.folder.resolve() / f"row_path_{options.events}"
    _built(folder, options.events)
    with running_sshd() as sshd:
        _set_up(folder, sshd.target().model_dump(mode="json", exclude_none=True))
        sftp = f"sftp -q -b - -P {sshd.port} -i {sshd.user_key} -c {CIPHER} -o StrictHostKeyChecking=no"
        sftp += f" -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR {sshd.username}@{sshd.host}"
        medians = _medians(folder, options.runs, sshd.directory("inbox"), sftp)
    ratios = {
        f"{kind}, to {name.split(',')[0]}": {
            what: round(medians[f"delivery, {kind}"][what] / medians[name][what], 2) for what in ("seconds", "cpu")
        }
        for kind in INTEGRATIONS
        for name in ("base", f"script, {kind}")
    }
    machine = f"{os.cpu_count()} cores, {platform.machine()}, load {os.getloadavg()[0]:.1f}"
    about = {"at": f"{datetime.now(UTC):%Y-%m-%d}", "machine": machine, "events": options.events, "runs": options.runs}
    options.out.write_text(json.dumps(about | {"medians": medians, "ratios": ratios}, indent=2) + "\n")
    print(options.out.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())

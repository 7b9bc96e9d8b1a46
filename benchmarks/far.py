"""One large file to a server that is far away: the whole hand-over beside paramiko's `put` and OpenSSH's sftp.

`python -m benchmarks.far` starts an sshd of its own behind a proxy that delays each byte, and writes one JSON line a
run: seconds, peak memory in MB, and at the end the medians and their ratios. The hand-over uploads, syncs, reads the
file back, renames it and looks again; `put` uploads. Both use the same cipher, both in a process of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import closing
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "delivery"))

CIPHER = "aes128-gcm@openssh.com"
BLOCK = 1 << 20
IN_FLIGHT = 1 << 28  # bytes that the proxy holds at most, in each direction


# The proxy


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    waiting: deque[tuple[float, bytes]] = deque()
    held, changed = 0, asyncio.Event()

    async def send() -> None:
        nonlocal held
        while True:
            while not waiting:
                changed.clear()
                await changed.wait()
            due, data = waiting.popleft()
            if (left := due - time.monotonic()) > 0:
                await asyncio.sleep(left)
            if not data:
                writer.close()
                return
            held -= len(data)
            writer.write(data)
            await writer.drain()

    sender = asyncio.create_task(send())
    try:
        while data := await reader.read(BLOCK):
            held += len(data)
            waiting.append((time.monotonic() + delay, data))
            changed.set()
            while held > IN_FLIGHT:
                await asyncio.sleep(0.001)
    finally:
        waiting.append((time.monotonic() + delay, b""))
        changed.set()
        await sender


async def _proxy(port: int, delay: float) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port, limit=BLOCK)
        await asyncio.gather(_carry(reader, back, delay), _carry(there, writer, delay), return_exceptions=True)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=BLOCK)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# What is measured, each in a process of its own


def hand_over(job: dict[str, Any]) -> None:
    """The whole of our hand-over, from the connection to the last look."""
    from delivery.config.integrations import SftpDestination
    from delivery.ledger import Ledger
    from delivery.transfer.protocol import hand_over as hand_over_file
    from delivery.transfer.sftp_directory import SftpDirectory

    target = SftpDestination.model_validate(job["target"])
    spool = Path(job["file"])
    with closing(Ledger("sqlite://")) as ledger:
        key = "k" * 64
        ledger.plan(
            id=key, campaign="c", integration="i", namespace="n", dataset="d", slot="2026-11-04T05:00:00Z",
            revision=0, destination="far",
        )  # fmt: skip
        row = {"part": 0, "role": "data", "name": job["name"], "spool": str(spool), "rows": 0}
        ledger.spooled(key, [row | {"bytes": job["bytes"], "sha256": job["sha256"], "destination": "far"}])
        with SftpDirectory.of("far", target, job["directory"]) as destination:
            hand_over_file(ledger.files(key)[0], destination, ledger, replace=False)


def put(job: dict[str, Any]) -> None:
    """paramiko's own upload, with the same cipher, and nothing around it."""
    import paramiko

    target = job["target"]
    transport = paramiko.Transport((target["host"], target["port"]))
    transport.get_security_options().ciphers = (CIPHER,)
    transport.connect(username=target["username"], pkey=paramiko.PKey.from_path(target["private_key"]))
    client = paramiko.SFTPClient.from_transport(transport)
    if client is None:
        raise SystemExit("no SFTP there")
    client.put(job["file"], f"{job['directory']}/{job['name']}")
    transport.close()


def openssh(job: dict[str, Any]) -> None:
    """OpenSSH's sftp, with the same cipher."""
    target = job["target"]
    command = ["sftp", "-q", "-b", "-", "-P", str(target["port"]), "-i", target["private_key"], "-c", CIPHER]
    command += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
    batch = f"put {job['file']} {job['directory']}/{job['name']}\n"
    subprocess.run([*command, f"{target['username']}@{target['host']}"], input=batch, text=True, check=True)


CLIENTS = {"hand-over": hand_over, "put": put, "openssh": openssh}


def _measure(client: str, job: dict[str, Any]) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.far", "--client", client]
    done = subprocess.run(command, input=json.dumps(job), text=True, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(f"{client} failed:\n{done.stderr}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _run_client(client: str) -> None:
    job = json.loads(sys.stdin.read())
    began = time.monotonic()
    CLIENTS[client](job)
    who = resource.RUSAGE_CHILDREN if client == "openssh" else resource.RUSAGE_SELF
    peak = resource.getrusage(who).ru_maxrss / 1024
    print(json.dumps({"seconds": round(time.monotonic() - began, 2), "peak_mb": round(peak)}))


def _write_file(path: Path, size: int) -> str:
    digest, block = hashlib.sha256(), hashlib.shake_128(b"far").digest(BLOCK)
    with path.open("wb") as file:
        for number in range(size // BLOCK):
            data = number.to_bytes(8) + block[8:]
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def main() -> int:
    """Measures in alternation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--round-trip", type=float, default=40.0, metavar="MS")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(CLIENTS), default=list(CLIENTS))
    parser.add_argument("--client", choices=list(CLIENTS), help=argparse.SUPPRESS)
    parser.add_argument("--proxy", nargs=2, metavar=("PORT", "SECONDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        _run_client(options.client)
        return 0
    if options.proxy:
        asyncio.run(_proxy(int(options.proxy[0]), float(options.proxy[1])))
        return 0
    from servers import running_sshd  # type: ignore[import-not-found]

    with running_sshd() as sshd, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "large"
        sha256 = _write_file(file, options.mib * BLOCK)
        command = [sys.executable, "-m", "benchmarks.far", "--proxy", str(sshd.port), str(options.round_trip / 2000)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
            port = int(proxy.stdout.readline()) if proxy.stdout else 0
            target = sshd.target(port=port, timeout=60).model_dump(mode="json")
            found: dict[str, list[dict[str, float]]] = {client: [] for client in options.only}
            for run in range(options.runs):
                for client, measured in found.items():
                    inbox = sshd.directory(f"{client}-{run}")
                    job = {"target": target, "directory": inbox.name, "name": "large", "file": str(file)}
                    measured.append(_measure(client, job | {"bytes": file.stat().st_size, "sha256": sha256}))
                    shutil.rmtree(inbox)
                    print(json.dumps({"client": client, "mib": options.mib, **measured[-1]}), flush=True)
            proxy.terminate()
    medians = {client: statistics.median(m["seconds"] for m in measured) for client, measured in found.items()}
    ratios = {client: round(medians["put"] / seconds, 2) for client, seconds in medians.items() if "put" in medians}
    print(json.dumps({"medians": medians, "as_fast_as_put": ratios}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

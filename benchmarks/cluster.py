"""Runs a command beside a Spark cluster of this machine: a standalone master and its workers, of the pyspark installed.

    python -m benchmarks.cluster dbt build --target spark

The command finds the master in SPARK_MASTER_URL. Afterwards one JSON line on stdout says how long it took, and what
peak memory and CPU time the command itself, Spark's driver and each executor used.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks.processes import Usage, looking, marked, of_process

DEPLOY = "org.apache.spark.deploy"
START_SECONDS = 120
CONNECT_SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
KINDS = {"driver": "org.apache.spark.deploy.SparkSubmit", "executor": "CoarseGrainedExecutorBackend"}


@dataclass(frozen=True)
class Cluster:
    """A master's URL, and its workers."""

    url: str
    workers: list[subprocess.Popen[bytes]]

    def lose_worker(self) -> None:
        """Kills one, and with it its executors, as when a machine is lost."""
        self.workers.pop().kill()


@contextmanager
def standalone(workers: int = 2, cores: int = 1, memory: str = "2g") -> Iterator[Cluster]:
    """A master and workers on loopback; cores and memory are each worker's. All of it ends with the context."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="cluster")))
        master = [f"{DEPLOY}.master.Master", "--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
        ready = r"Starting Spark master at (spark://\S+)"
        url, _ = stack.enter_context(_running(master, folder / "master.log", ready))
        cluster = Cluster(url, [])
        for number in range(workers):
            work = folder / f"worker{number}"
            size = ["--cores", str(cores), "--memory", memory, "--work-dir", str(work), "--webui-port", "0"]
            worker = [f"{DEPLOY}.worker.Worker", "--host", "127.0.0.1", *size, url]
            ready = "Successfully registered with master (.*)"
            cluster.workers.append(stack.enter_context(_running(worker, folder / f"{work.name}.log", ready))[1])
        yield cluster


@contextmanager
def connect(warehouse: str, master: str = "local[2]") -> Iterator[str]:
    """The URL of a Spark Connect server whose catalog is the one that the target `spark` keeps below `warehouse`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="connect")))
        settings = {
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": "0",
            "spark.sql.catalogImplementation": "hive",
            "spark.sql.warehouse.dir": warehouse,
            "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={warehouse}/catalog;create=true",
            "spark.ui.enabled": "false",
        }
        server = [f"{DEPLOY}.SparkSubmit", "--master", master, "--class", CONNECT_SERVER]
        server += [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
        log = folder / "server.log"
        port, _ = stack.enter_context(
            _running([*server, "spark-internal"], log, r"Spark Connect server started at: \S*:(\d+)")
        )
        yield f"sc://127.0.0.1:{port}"


@contextmanager
def _running(command: list[str], log: Path, ready: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A daemon that has said that it is ready, and where."""
    home = find_spec("pyspark")
    if home is None or home.origin is None:
        raise click.ClickException("pyspark is not installed: `make spark` installs it.")
    spark = Path(home.origin).parent
    with log.open("wb") as out:
        process = subprocess.Popen(
            [spark / "bin" / "spark-class", *command],
            env=os.environ | {"SPARK_HOME": str(spark)},
            stdout=out,
            stderr=out,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not (said := re.search(ready, log.read_text(errors="replace"))):
            if process.poll() is not None or time.monotonic() > until:
                raise click.ClickException(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.2)
        yield said[1], process
    finally:
        process.terminate()
        process.wait()


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]})
@click.option(
    "--workers", type=click.IntRange(min=0), default=2, show_default=True, help="0: no cluster, only the figures."
)
@click.option("--cores", type=click.IntRange(min=1), default=1, show_default=True, help="Of each worker.")
@click.option("--memory", default="2g", show_default=True, help="Of each worker.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def main(workers: int, cores: int, memory: str, command: tuple[str, ...]) -> None:
    """Run COMMAND beside a cluster; its exit code is this command's."""
    with ExitStack() as stack:
        environment = dict(os.environ)
        if workers:
            environment["SPARK_MASTER_URL"] = stack.enter_context(standalone(workers, cores, memory)).url
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment)
        found = stack.enter_context(_watched(process.pid))
        code = process.wait()
        seconds = time.perf_counter() - began
    click.echo(json.dumps({"command": " ".join(command), "seconds": round(seconds, 1)} | found))
    sys.exit(code)


@contextmanager
def _watched(command: int) -> Iterator[dict[str, list[dict[str, float]]]]:
    """What each process used, by kind, the largest first; filled in when the context ends. Looks once a second."""
    found: dict[str, list[dict[str, float]]] = {}
    seen: dict[str, dict[int, Usage]] = {kind: {} for kind in ("command", *KINDS)}

    def look() -> None:
        if own := of_process(command):
            seen["command"][command] = own
        for kind, mark in KINDS.items():
            seen[kind].update(marked(mark))

    try:
        with looking(look, 1):
            yield found
    finally:
        for kind, used in seen.items():
            found[kind] = [asdict(one) for one in sorted(used.values(), key=lambda one: -one.peak_mb)]


if __name__ == "__main__":
    main()

"""Times a daily run for many clients: one small file each, from one table, to the share of this machine.

The table is built from generated events; each client has one integration. Prints one JSON line a run.
"""

import json
import subprocess
import tempfile
import time
from datetime import date
from pathlib import Path

import click

from benchmarks.generate import generate
from benchmarks.project import BIN, declare_clients, environment, link_sources

DAY = date(2026, 11, 1)
EVENTS = 200  # of one client


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option(
    "--namespaces", type=click.IntRange(min=3), multiple=True, default=(100, 1000), help="Clients, a run each."
)
def main(namespaces: tuple[int, ...]) -> None:
    """Seconds to plan, and to deliver, as JSON on stdout."""
    for number in namespaces:
        with tempfile.TemporaryDirectory(prefix="namespaces") as folder:
            click.echo(json.dumps({"namespaces": number} | timed(Path(folder), number)))


def timed(root: Path, number: int) -> dict[str, float]:
    """A project in `root`, built, with so many clients; then a plan, a run, and the same run once more."""
    link_sources(root)
    generate(root / "landing", events=number * EVENTS, days=1, namespaces=number, seed=1, start=DAY)
    declare_clients(root, number)
    _run(root, "dbt", "build")
    command = ["--select", "daily_email_unsubscribes", "--window", str(DAY)]
    return {
        "plan_seconds": _run(root, "delivery", "plan", *command),
        "run_seconds": _run(root, "delivery", "run", *command),
        "run_again_seconds": _run(root, "delivery", "run", *command),
        "files": sum(1 for path in (root / "share").rglob("*.csv")),
    }


def _run(root: Path, program: str, *arguments: str) -> float:
    began = time.perf_counter()
    done = subprocess.run([BIN / program, *arguments], cwd=root, env=environment(root), capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(
            f"{program} {arguments[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return round(time.perf_counter() - began, 2)


if __name__ == "__main__":
    main()

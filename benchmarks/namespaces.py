"""Times a daily run for many clients: one small file each, from one table, to the share of this machine.

The table is built from generated events; each client has one integration. Prints one JSON line a run.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import click
import yaml

from benchmarks.generate import generate

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
SOURCES = ("models", "macros", "dbt_packages", "seeds", "tests", "selectors.yml", "dbt_project.yml", "profiles.yml")
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
    for name in SOURCES:
        (root / name).symlink_to(ROOT / name)
    generate(root / "landing", events=number * EVENTS, days=1, namespaces=number, seed=1, start=DAY)
    names = ["acme_share", "brightside_drop"]  # which campaigns of the sample name
    integrations = {
        name: {
            "vendor_name": name,
            "namespace": f"client_{client:04}",
            "destination": {"type": "hosted"},
            "directory": name,
            "definitions": ["first_name"],
        }
        for client, name in enumerate(names + [f"share_{client:05}" for client in range(number - len(names))])
    }
    (root / "integrations.yml").write_text(yaml.safe_dump({"integrations": integrations}))
    _run(root, "dbt", "build")
    command = ["--select", "daily_email_unsubscribes", "--window", str(DAY)]
    return {
        "plan_seconds": _run(root, "delivery", "plan", *command),
        "run_seconds": _run(root, "delivery", "run", *command),
        "run_again_seconds": _run(root, "delivery", "run", *command),
        "files": sum(1 for path in (root / "share").rglob("*.csv")),
    }


def _run(root: Path, program: str, *arguments: str) -> float:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("DBT_", "DELIVERY_", "WAREHOUSE"))
    }
    environment = kept | {"LANDING_DIR": str(root / "landing")}
    began = time.perf_counter()
    done = subprocess.run([BIN / program, *arguments], cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise click.ClickException(
            f"{program} {arguments[0]} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return round(time.perf_counter() - began, 2)


if __name__ == "__main__":
    main()

"""Projects on which benchmarks run: this one's models, in a folder of their own."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import click
import yaml

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
SOURCES = ("models", "macros", "dbt_packages", "seeds", "tests", "selectors.yml", "dbt_project.yml", "profiles.yml")
OF_OTHERS = ("DBT_", "DELIVERY_", "WAREHOUSE", "LANDING_", "PYTHONDONTWRITEBYTECODE")


def link_sources(root: Path) -> None:
    """The project's sources, by links, so that it can be built in `root`."""
    for name in SOURCES:
        (root / name).symlink_to(ROOT / name)


def environment(root: Path, **more: str) -> dict[str, str]:
    """Ours, without what is set for other projects; raw files lie in the folder `landing` of `root`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OF_OTHERS)}
    return kept | {"LANDING_DIR": str(root / "landing"), **more}


class Run(NamedTuple):
    """What a command and all that it started took. megabytes: of the largest process."""

    seconds: float
    cpu_seconds: float
    megabytes: int


def run(root: Path, program: str, *arguments: str, expected: int = 0) -> Run:
    """Runs one of our programs in a project. Raises ClickException when it ends with another code than expected."""
    began = time.perf_counter()
    with (root / "said.log").open("w+") as log:
        process = subprocess.Popen([BIN / program, *arguments], cwd=root, env=environment(root), stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code != expected:
            log.seek(0)
            raise click.ClickException(f"{program} {arguments[0]} ended with {code}:\n{log.read()[-3000:]}")
    return Run(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024)


def declare_clients(root: Path, number: int) -> dict[str, str]:
    """Writes integrations.yml with so many clients on the share, one integration each: its namespace, by its name."""
    names = ["acme_share", "brightside_drop"]  # which campaigns of the sample name
    names += [f"share_{client:05}" for client in range(number - len(names))]
    namespaces = {name: f"client_{client:04}" for client, name in enumerate(names)}
    integrations = {
        name: {
            "vendor_name": name,
            "namespace": namespace,
            "destination": {"type": "hosted"},
            "directory": name,
            "definitions": ["first_name"],
        }
        for name, namespace in namespaces.items()
    }
    (root / "integrations.yml").write_text(yaml.safe_dump({"integrations": integrations}))
    return namespaces

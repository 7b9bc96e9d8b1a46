"""One command of dbt as a subprocess (importing dbt costs seconds), told in a line and in what went wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter, deque
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from delivery.errors import ConfigError, Stopped, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from delivery.config.project import Project
    from delivery.progress import Watch

# What it says is for us, in JSON; its log is for people, and without what it says of itself, a tenth of a build's time.
SAYS = ("--no-use-colors", "--log-format", "json", "--log-format-file", "debug", "--log-level-file", "info")
STRAY = 40  # lines that are no events, such as a traceback: the last ones are shown when dbt did not come to its end
GRACE = 2.0  # seconds that it has to end by itself, when a signal ends us
FINISHED = (0, 1)  # dbt's exit codes for a build that ran to its end, tests failed or not
FOR_THE_GATE = ("LogFreshnessResult",)  # it says so where that holds a delivery back
# Below the first line of an error PostgreSQL quotes the row at which it stopped.
BELOW = re.compile(r"(Database Error.*\n.*)\n[\s\S]*")
ENDED = {"LogModelResult": "model", "LogSeedResult": "seed", "LogTestResult": "test"}


def dbt(project: Project, target: str, *arguments: str) -> list[str]:
    """A command of dbt on a project's target. Raises ConfigError where no dbt is installed beside us."""
    program = Path(sys.executable).with_name("dbt")
    if not program.exists():
        raise ConfigError(f"No dbt beside {sys.executable}.", hint="Install dbt-delivery with pip.")
    where = ("--project-dir", str(project.root), "--profiles-dir", str(project.profiles), "--target", target)
    return [str(program), *SAYS, *arguments, *where]


def run_dbt(command: list[str], root: Path, watch: Watch, environment: Mapping[str, str] | None = None) -> int:
    """Runs it in `root`, its events read as JSON lines; returns dbt's exit code. environment: by default, ours.

    People see warnings and errors as dbt words them, and at the end of a build what was built.
    """
    began, ended, stray = monotonic(), Counter[tuple[str, str]](), deque[str](maxlen=STRAY)
    with (
        watch.steps("dbt") as show,
        subprocess.Popen(
            command,
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as running,
        _ended_with_us(running),
    ):
        for line in running.stdout or ():
            event = _event(line)
            if not event:
                stray.append(line.rstrip())
                continue
            name, data = event["info"]["name"], event["data"]
            if name in ENDED:
                ended[ENDED[name], data["node_info"]["node_status"]] += 1
                if show:
                    show(data["index"], data["total"])
            elif event["info"]["level"] in ("warn", "error") and name not in FOR_THE_GATE:
                watch.stage(redact(BELOW.sub(r"\1", event["info"]["msg"].strip("\n"))))
    if running.returncode not in FINISHED:
        for line in stray:
            watch.stage(redact(line))
    if "build" in command:
        watch.stage(f"{_told(ended)} in {monotonic() - began:.0f} s.")
    return running.returncode


@contextmanager
def _ended_with_us(running: subprocess.Popen[str]) -> Iterator[None]:
    """Ends the process when a signal ends us: what it has not committed is not there."""
    try:
        yield
    except Stopped:
        running.terminate()
        try:
            running.wait(GRACE)
        except subprocess.TimeoutExpired:
            running.kill()
        raise


def _event(line: str) -> dict[str, Any] | None:
    """dbt's event on that line; None for text that something else wrote."""
    try:
        event = json.loads(line)
        return event if event["info"].keys() >= {"name", "level", "msg"} and "data" in event else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _told(ended: Counter[tuple[str, str]]) -> str:
    """The nodes in words: `dbt: 66 models built, 243 tests passed, 1 warned`."""
    words = {"success": "built", "pass": "passed", "warn": "warned", "fail": "failed", "error": "failed"}
    parts = [
        f"{number} {kind}{'s' if number != 1 else ''} {words.get(status, status)}"
        for (kind, status), number in sorted(ended.items())
    ]
    return f"dbt: {', '.join(parts) or 'nothing was built'}"

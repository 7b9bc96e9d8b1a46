"""A process that has imported dbt and parsed the project once; a command of dbt runs in a fork of it.

Importing dbt and making its parsers cost five seconds, which a command that builds a few rows need not pay again. The
fork runs the command's own entry point in the folder, with the environment and the arguments that it was given, and
ends as any process does; what it wrote and its exit code come back. `dbt` itself is typed in test_dbt_worker.py.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class DbtWorker:
    """The process, from this side."""

    def __init__(self, project: Path, environment: dict[str, str]) -> None:
        """project: the folder of a project to parse, so that dbt's parsers are made; its target is written."""
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(project)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self.end)
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n", "dbt cannot parse the project"

    def run(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """`dbt ARGUMENTS` in a folder: exit code (less than 0: the signal that ended it), stdout and stderr."""
        assert self._process.stdin
        assert self._process.stdout
        with tempfile.TemporaryDirectory() as written:
            streams = [str(Path(written, name)) for name in ("stdout", "stderr")]
            self._process.stdin.write(json.dumps([arguments, str(folder), environment, *streams]) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            stdout, stderr = (Path(path).read_text(encoding="utf-8") for path in streams)
        return subprocess.CompletedProcess(["dbt", *arguments], code, stdout, stderr)

    def end(self) -> None:
        """Ends the process, which is waiting for a command."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)


def serve(project: str) -> None:
    """Commands from stdin, a line each, until it ends; their exit codes to stdout."""
    # What it would find it finds in vain, as dbt keeps the project to its end; in a fork, looking copies all of it.
    gc.disable()
    from dbt.cli.main import cli, dbtRunner

    def fork(arguments: list[str], then: Callable[[], None]) -> int:
        child = os.fork()
        if not child:
            then()
            if dies_at := int(os.environ.get("DIE_AT_EVENT", "0")):
                dbtRunner(callbacks=[dying(dies_at)]).invoke(arguments)
            cli(arguments, prog_name="dbt")
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    here = ["--project-dir", project, "--profiles-dir", project]
    parse = ["--quiet", "parse", *here, "--target-path", f"{project}/target", "--log-path", f"{project}/logs"]
    # First in a fork, as dbt's static parser starts threads, without which a later fork would wait for ever. What is
    # left to do here is to read the parsed project: that makes dbt's readers, and starts none.
    if fork(parse, lambda: None) or not dbtRunner().invoke(["--no-static-parser", *parse]).success:
        return
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a fork has one thread"
    print("ready", flush=True)
    for line in sys.stdin:
        arguments, folder, environment, *streams = json.loads(line)
        print(fork(arguments, functools.partial(become, folder, environment, streams)), flush=True)


def dying(at: int) -> Callable[[Any], None]:
    """Kills this process at the so-many-th event of a node that starts or has finished."""
    seen = iter(range(1, at + 1))

    def look(event: Any) -> None:
        if event.info.name in ("NodeStart", "NodeFinished") and next(seen) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return look


def become(folder: str, environment: dict[str, str], streams: list[str]) -> None:
    """Makes a fork look like a process that was started there."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate([os.devnull, *streams]):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)


if __name__ == "__main__":
    serve(sys.argv[1])

"""A process that has imported what the tests need, but not the package; it forks for every fault.

`python -m tests.mutants.forked COPY BUILT` reads lines of JSON, `{"tests": [[...], ...], "seconds": ...}`,
and answers with one: `{"noticed": "<test>" | null, "how": ..., "ran": <n>}`. Each list of tests runs in a fork,
until one is red. `{"dbt": ["build", ...]}` runs a command of dbt in such a fork.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

HANGS = 60.0  # seconds: a test may take so long, or twenty times what it took without a fault
LOADED = (
    "pytest _pytest.assertion.rewrite xdist hypothesis click click.testing pydantic yaml jinja2 duckdb pyarrow "
    "pyarrow.parquet polars sqlalchemy sqlalchemy.dialects.sqlite paramiko asyncssh tenacity rich.console rich.table "
    "rich.progress cronsim xlsxwriter zstandard isal.igzip openpyxl jsonschema pysequoia "
    "dbt.cli.main dbt.adapters.duckdb"
)


class Chosen:
    """A pytest plugin: runs the chosen tests in their order, and says which one is running."""

    def __init__(self, tests: list[str], pipe: int, built: Path) -> None:
        self._rank = {test: rank for rank, test in enumerate(tests)}
        self._pipe, self._built = pipe, built

    def _say(self, word: str, test: str) -> None:
        os.write(self._pipe, f"{word} {json.dumps(test)}\n".encode())

    def pytest_sessionstart(self, session: Any) -> None:
        """The sample is built already."""
        factory = session.config._tmp_path_factory
        if self._built.exists():
            (factory.getbasetemp() / "built").symlink_to(self._built)

    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        """The chosen ones only."""
        kept = [item for item in items if item.nodeid in self._rank]
        items[:] = sorted(kept, key=lambda item: self._rank[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        """A test begins."""
        self._say("begin", nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """The first red one ends the run."""
        if report.failed:
            os.write(1, str(report.longrepr).encode())
            self._say("red", report.nodeid)
            os._exit(0)

    def pytest_collectreport(self, report: Any) -> None:
        """A package that cannot be imported is noticed too."""
        if report.failed:
            self._say("red", f"{report.nodeid} (import)")
            os._exit(0)


def run(
    tests: list[str], usual: dict[str, float], seconds: float, copy: Path, log: Path, built: Path
) -> dict[str, Any]:
    """Runs tests in a fork until one is red, one hangs, or they used so many seconds of a processor."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.setsid()
        _in_child(tests, write, copy, log, built)
    os.close(write)
    try:
        return _watch(read, child, usual, seconds)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.close(read)
        os.waitpid(child, 0)


def _in_child(tests: list[str], pipe: int, copy: Path, log: Path, built: Path) -> None:
    code = 3
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(copy)
        import pytest

        files = list(dict.fromkeys(test.split("::")[0] for test in tests))
        arguments = [
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            "--hypothesis-seed=0",
            f"--basetemp={copy}.tmp",
        ]
        ended = pytest.main([*arguments, *files], plugins=[Chosen(tests, pipe, built)])
        # 5: nothing collected
        os.write(pipe, f"end {int(ended)}\n".encode())
        code = 0
    except BaseException as problem:  # noqa: BLE001
        os.write(pipe, f"red {json.dumps(f'({type(problem).__name__}) {problem}'[:300])}\n".encode())
    finally:
        os._exit(code)


class Silence:
    """How long nothing was said, without what was spent in waiting for a processor: a busy machine makes no hang."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._before: tuple[float, float] | None = None

    def goes_on(self, at: float, starved: float) -> None:
        """at: the time. starved: how long processes have waited for a processor so far; of one that ended nothing."""
        if self._before:
            self.seconds += max(at - self._before[0] - max(starved - self._before[1], 0.0), 0.0)
        self._before = at, starved


def _watch(read: int, child: int, usual: dict[str, float], seconds: float) -> dict[str, Any]:
    """What the child says, and when it says nothing any more."""
    now, silence, limit, said, ran = "(import)", Silence(), 2 * HANGS, b"", 0
    while True:
        ready, _, _ = select.select([read], [], [], 1)
        used = _processor_seconds(child)
        if used > seconds:
            return {"noticed": None, "how": "time is up", "ran": ran, "used": used}
        if not ready:
            silence.goes_on(time.monotonic(), _starved(child))
            if silence.seconds >= limit:
                return {"noticed": now, "how": "hangs", "ran": ran, "used": used}
            continue
        told = os.read(read, 65536)
        if not told:
            return {"noticed": now, "how": "died", "ran": ran}
        *lines, said = (said + told).split(b"\n")
        for line in lines:
            word, _, rest = line.decode().partition(" ")
            if word == "begin":
                now, silence, ran = json.loads(rest), Silence(), ran + 1
                limit = max(HANGS, 20 * usual.get(now, 0))
            elif word == "red":
                return {"noticed": json.loads(rest), "how": "red", "ran": ran}
            elif word == "end":
                fine = rest in ("0", "5")
                return {
                    "noticed": None if fine else "(pytest)",
                    "how": f"ended with {rest}",
                    "ran": ran,
                    "used": _processor_seconds(child),
                }


def dbt(arguments: list[str], copy: Path, seconds: float) -> dict[str, Any]:
    """A dbt command in the copy: which of its nodes are red."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        os.setsid()
        _dbt_in_child(arguments, write, copy)
    os.close(write)
    said, until = b"", time.monotonic() + seconds
    try:
        while True:
            ready, _, _ = select.select([read], [], [], max(until - time.monotonic(), 0))
            if not ready:
                return {"red": ["(hangs)"], "ok": False}
            told = os.read(read, 65536)
            said += told
            if not told or said.endswith(b"\n"):
                answer: dict[str, Any] = json.loads(said) if said else {"red": ["(died)"], "ok": False}
                return answer
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.close(read)
        os.waitpid(child, 0)


def _dbt_in_child(arguments: list[str], pipe: int, copy: Path) -> None:
    try:
        out = os.open(f"{copy}.dbt.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(copy)
        for name in [n for n in os.environ if n.startswith(("DBT_", "DELIVERY_", "WAREHOUSE", "LANDING_"))]:
            del os.environ[name]
        os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
        from dbt.cli.main import dbtRunner

        done = dbtRunner().invoke(arguments)
        results = getattr(done.result, "results", None) or []
        red = [r.node.unique_id for r in results if str(r.status) in ("error", "fail", "runtime error")]
        if not done.success and not red:
            red = [f"({type(done.exception).__name__}) {done.exception}"[:200]]
        os.write(pipe, json.dumps({"ok": bool(done.success), "red": red[:5]}).encode() + b"\n")
    except BaseException as problem:  # noqa: BLE001
        os.write(
            pipe, json.dumps({"ok": False, "red": [f"({type(problem).__name__}) {problem}"[:200]]}).encode() + b"\n"
        )
    finally:
        os._exit(0)


def _processor_seconds(child: int) -> float:
    """What a process and those that it waited for have used; how busy the machine is does not matter to it."""
    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _starved(session: int) -> float:
    """How long the threads of a session have waited for a processor that others used, in seconds."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            if int(stat.read_text().rpartition(")")[2].split()[3]) == session:
                total += sum(int(one.read_text().split()[1]) for one in stat.parent.glob("task/*/schedstat"))
    return total / 1e9


def main() -> None:
    """Reads what to run until the end of the input."""
    copy, built = Path(sys.argv[1]), Path(sys.argv[2])
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ["PYTHONPATH"] = str(copy)
    for name in LOADED.split():
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    sys.path[:] = [str(copy), *[p for p in sys.path if p not in ("", str(Path.cwd()), str(Path(__file__).parents[2]))]]
    if any(name.split(".")[0] == "delivery" for name in sys.modules):
        raise SystemExit("the package is loaded already, without the fault")
    for name in [n for n in sys.modules if n.split(".")[0] == "tests"]:
        del sys.modules[name]
    for line in sys.stdin:
        asked = json.loads(line)
        if "dbt" in asked:
            sys.stdout.write(json.dumps(dbt(asked["dbt"], copy, asked["seconds"])) + "\n")
            sys.stdout.flush()
            continue
        left = asked["seconds"]
        answer: dict[str, Any] = {"noticed": None, "how": "no test runs it", "ran": 0}
        ran = 0
        for tests in asked["tests"]:
            if not tests:
                continue
            answer = run(tests, asked["usual"], left, copy, Path(f"{copy}.log"), Path(asked.get("built") or built))
            ran, left = ran + answer["ran"], left - answer.pop("used", 0)
            if answer["noticed"] or answer["how"] == "time is up":
                break
        sys.stdout.write(json.dumps({**answer, "ran": ran}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

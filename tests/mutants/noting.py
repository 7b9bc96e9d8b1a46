"""A pytest plugin: which test runs which line of the package, and which test has to do with dbt.

Processes that a test starts are noted for it too: `MUTANTS_TEST` names the test, `sitecustomize.py` starts it there.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import coverage
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

COPY = Path(os.environ["MUTANTS_COPY"])
OUT = Path(os.environ["MUTANTS_OUT"])
PACKAGE = str(COPY / "delivery")

_now = os.environ.get("MUTANTS_TEST", "")
_models: dict[str, set[str]] = defaultdict(set)
_seconds: dict[str, float] = {}
_red: list[str] = []
_coverage = coverage.Coverage(data_file=None, source=[PACKAGE], config_file=False, messages=False)
_coverage.set_option("run:disable_warnings", ["no-data-collected"])  # tests compare what a process says
_started = bool(_now)


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    """The audit hook: a dbt command, or a file of the dbt project that is read."""
    try:
        if event == "subprocess.Popen" and _now:
            command = arguments[1]
            said = command if isinstance(command, str) else " ".join(str(part) for part in command)
            if "dbt" in said.split(" ")[0] or "--build" in said or "dbt" in said.split(" ")[1:3]:
                _models[_now].add("dbt")
        elif event == "open" and _now and isinstance(arguments[0], str) and arguments[0].endswith((".sql", ".csv")):
            path = os.path.realpath(arguments[0])
            if path.startswith(str(COPY)):
                name = path[len(str(COPY)) + 1 :]
                if name.startswith(("models/", "macros/", "delivery/dbt_package/macros/", "seeds/")):
                    _models[_now].add(name)
    except (TypeError, IndexError, ValueError):
        return


sys.addaudithook(_note)
_coverage.start()
if _now:
    _coverage.switch_context(_now)


def finish() -> None:
    """Writes what was noted, a file for each process. In one that a test started all is that test's.

    Its environment says whose: a fork of tests/delivery/dbt_worker.py is for another test than the one that started it.
    """
    _coverage.stop()
    data = _coverage.get_data()
    owner = os.environ.get("MUTANTS_TEST", "") if _started else ""
    lines: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for file in data.measured_files():
        for line, tests in data.contexts_by_lineno(file).items():
            for test in tests:
                lines[owner or test].setdefault(file[len(str(COPY)) + 1 :], []).append(line)
    models: dict[str, set[str]] = defaultdict(set)
    for test, names in _models.items():
        models[owner or test] |= names
    if owner and "dbt.cli.main" in sys.modules:
        models[owner].add("dbt")
    noted = {"lines": lines, "models": {t: sorted(m) for t, m in models.items()}, "seconds": _seconds, "red": _red}
    (OUT / f"{os.getpid()}-{time.time_ns()}.json").write_text(json.dumps(noted))


def pytest_sessionstart(session: pytest.Session) -> None:
    """The sample is built already; all workers share it."""
    folder = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    shared = folder.parent if hasattr(session.config, "workerinput") else folder
    with suppress(FileExistsError):
        (shared / "built").symlink_to(os.environ["MUTANTS_BUILT"])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Everything from here on is this test's."""
    global _now
    _now = os.environ["MUTANTS_TEST"] = item.nodeid
    if "built" in getattr(item, "fixturenames", ()):
        _models[_now].add("built")
    _coverage.switch_context(_now)
    began = time.monotonic()
    result = yield
    _seconds[_now] = time.monotonic() - began
    _coverage.switch_context("")
    _now = ""
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A red test proves nothing about a fault."""
    if report.failed:
        _red.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """At the end of each worker, before it says that it is done: what is late is killed."""
    if hasattr(session.config, "workerinput") or not session.config.getoption("numprocesses", None):
        finish()

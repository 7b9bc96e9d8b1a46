"""Fixtures shared by all tests of the runner; what is left out is said, and in CI nothing may be skipped."""

from __future__ import annotations

import gc
import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import sampling
import sqlalchemy as sa

from delivery.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytest_plugins = ["browsers", "once", "postgres", "projects", "servers"]
# Of the project itself: its pages, its sample and generator, how it tests. Counted apart from the product's.
PROJECT = {
    "dbt_worker",
    "dictionary",
    "docs",
    "examples",
    "generate",
    "landing",
    "mutants",
    "nasty_page",
    "readers",
    "sampling",
}


@pytest.fixture
def ledger() -> Generator[Ledger]:
    """An empty one, in memory."""
    opened = Ledger("sqlite://")
    yield opened
    opened.close()


@pytest.fixture
def queries(ledger: Ledger) -> list[str]:
    """Texts of all that the ledger is asked from now on."""
    asked: list[str] = []
    sa.event.listen(ledger.storage.engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    return asked


@pytest.fixture
def spool(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A file to be sent, with the test module's CONTENT."""
    path = tmp_path / "spool"
    path.write_bytes(request.module.CONTENT)
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With NO_SKIPS set, a test that skips has failed."""
    report = yield
    if report.skipped and os.environ.get("NO_SKIPS") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr}"
    return report


def pytest_collection() -> None:
    """What is imported and collected stays to the end: the collector of garbage looks for none in it."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    gc.unfreeze()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the project's own tests, takes those of the sample of the slow ones, and puts dbt's first.

    Whoever has dbt's builds the sample while others run what needs no dbt; what needs the sample comes last, so that
    nobody waits for it.
    """
    for item in items:
        if item.path.stem.removeprefix("test_") in PROJECT:
            item.add_marker(pytest.mark.project)
    parts = sampling.chosen()
    taken = [item for item in items if not item.get_closest_marker("slow") or sampling.part_of_item(item) in parts]
    if len(taken) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in taken])
    taken.sort(key=_when)
    items[:] = taken


def _when(item: pytest.Item) -> int:
    return 0 if "dbt" in item.path.parts else 2 if "built" in getattr(item, "fixturenames", ()) else 1


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Counts what `-m "not slow"` or a sample leaves out."""
    if items:
        stash = items[0].config.stash
        stash[LEFT_OUT] = stash.get(LEFT_OUT, 0) + sum(bool(item.get_closest_marker("slow")) for item in items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The last lines of a run: what was counted, and a line for each kind of thing that was not run."""
    passed = Counter("project" in report.keywords for report in terminalreporter.stats.get("passed", []))
    terminalreporter.write_line(f"passed: {passed[False]} of the product, {passed[True]} of docs, sample and generator")
    why = Counter(report.longrepr[2] for report in terminalreporter.stats.get("skipped", []))
    for reason, count in sorted(why.items()):
        terminalreporter.write_line(f"not run: {count} tests. {reason}")
    if left_out := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(f"left out: {left_out} tests marked slow; `make sweep` runs them all")
    if config.option.markexpr == "slow":
        terminalreporter.write_line(sampling.described("make slow"))


LEFT_OUT = pytest.StashKey[int]()

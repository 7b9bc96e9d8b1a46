"""Progress: a bar for people who watch a terminal, none for a log."""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from delivery.progress import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest


@contextmanager
def two_uploads(watch: Watch) -> Iterator[Callable[[int], None] | None]:
    """Side by side, of three deliveries; one has ended before. What it gives moves the first."""
    with watch.deliveries(3), watch.upload("acme_share daily.csv", 4_000_000) as tell:
        watch.ended()
        with watch.upload("cedar_share daily.csv", 5_000_000) as other:
            assert (other is None) == (tell is None)
            yield tell
            time.sleep(0.5)  # it is drawn four times a second


def shown(terminal: int, monkeypatch: pytest.MonkeyPatch, done: list[int], *, steps: int = 0) -> str:
    """What a person sees of uploads, one of them of 4 MB, or of so many steps."""
    reader, writer = os.openpty() if terminal else os.pipe()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    with open(writer, "w", encoding="utf-8", buffering=1) as stream:  # noqa: PTH123 - a descriptor
        monkeypatch.setattr(sys, "stderr", stream)
        work: Any = Watch().steps("dbt") if steps else two_uploads(Watch())
        with work as tell:
            for so_far in done:
                assert (tell is not None) == bool(terminal)
                if tell:
                    tell(so_far, *([steps] if steps else []))
        monkeypatch.undo()
        os.set_blocking(reader, False)
        seen = b""
        try:
            while part := os.read(reader, 65_536):
                seen += part
        except BlockingIOError:
            pass
    os.close(reader)
    return seen.decode()


def test_a_terminal_shows_whose_file_and_how_much_of_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = shown(True, monkeypatch, [1_000_000, 3_000_000])
    assert "acme_share daily.csv" in seen
    assert "3.0/4.0 MB" in seen
    assert "cedar_share daily.csv" in seen
    assert "1/3" in seen


def test_a_terminal_shows_how_many_steps_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = shown(True, monkeypatch, [1, 17], steps=40)
    assert "dbt" in seen
    assert "17/40" in seen
    assert "/100" not in seen, "before the first it is not known of how many"
    assert seen.endswith("\x1b[1A\x1b[2K"), "at its end the bar is taken away"


def test_a_stage_is_a_line_beside_what_the_command_gives(capsys: pytest.CaptureFixture[str]) -> None:
    Watch().stage("Building.")
    assert capsys.readouterr() == ("", "Building.\n")


def test_a_log_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(False, monkeypatch, [1_000_000]) == shown(False, monkeypatch, [1], steps=2) == ""

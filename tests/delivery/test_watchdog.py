"""The watchdog: what it waits for, what it closes, and why it says so."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from delivery.sftp.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def watching(stall: float, deadline: float) -> Iterator[tuple[Watchdog, threading.Event]]:
    """A watchdog, and whether it closed what it has to."""
    watchdog, closed = Watchdog(stall, deadline), threading.Event()
    watchdog.closes(closed.set)
    try:
        yield watchdog, closed
    finally:
        watchdog.stop()


def test_a_step_in_which_nothing_moves_is_ended() -> None:
    with watching(0.2, 60) as (watchdog, closed), watchdog.step():
        assert closed.wait(20)
        assert watchdog.reason == "nothing moved for 0.2 s"


def test_all_that_is_open_is_closed_once() -> None:
    seen: list[str] = []
    with watching(0.05, 60) as (watchdog, closed):
        watchdog.closes(lambda: seen.append("second"))
        with watchdog.step():
            assert closed.wait(20)
            time.sleep(0.3)
    assert seen == ["second"]


def test_patience_is_on_top_and_is_the_steps_own() -> None:
    with watching(0.3, 60) as (watchdog, closed):
        with watchdog.step(30):
            assert not closed.wait(0.8)
        with watchdog.step():
            assert closed.wait(20)
        assert watchdog.reason == "nothing moved for 0.3 s"


def test_patience_ends_too() -> None:
    with watching(0.1, 60) as (watchdog, closed), watchdog.step(0.2):
        assert closed.wait(20)
        assert watchdog.reason == "nothing moved for 0.3 s"


def test_between_steps_nothing_need_move() -> None:
    with watching(0.1, 60) as (watchdog, closed):
        with watchdog.step():
            pass
        assert not closed.wait(0.6)
        assert watchdog.reason == ""


def test_what_moves_now_and_then_lives_until_its_deadline() -> None:
    with watching(5, 0.6) as (watchdog, closed), watchdog.step():
        assert 0 < watchdog.left <= 0.6
        while not closed.wait(0.05):
            watchdog.beat()
        assert watchdog.reason == "not finished within its deadline of 0.6 s"
        assert watchdog.left == 0.0


def test_the_deadline_holds_between_steps_too() -> None:
    with watching(0.2, 0.4) as (watchdog, closed):
        assert closed.wait(20)
        assert watchdog.reason == "not finished within its deadline of 0.4 s"


def test_one_that_was_stopped_closes_nothing() -> None:
    with watching(0.05, 0.3) as (watchdog, closed):
        watchdog.stop()
        assert not closed.wait(0.7)
        assert watchdog.reason == ""

"""Lanes: what goes side by side, what waits for what, and how all of it ends."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from delivery.errors import Stopped
from delivery.lanes import PATIENCE, Again, Lanes

if TYPE_CHECKING:
    from collections.abc import Callable

WITHIN = 10.0  # seconds: what does not happen by then does not happen


class Work:
    """Pieces that wait until they are let go; `began` and `ended` name them in order."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.began: list[str] = []
        self.ended: list[str] = []
        self._go: dict[str, threading.Event] = {}
        self._changed = threading.Condition()

    def begin(self, name: str, series: str = "", most: int = 16, *, answers: bool = True) -> None:
        """A piece named `place/piece`, that says at its start that the place answers."""
        place = name.partition("/")[0]
        self._go[name] = threading.Event()

        def work() -> None:
            self._note(self.began, name)
            if answers:
                self.lanes.answers(place)
            assert self._go[name].wait(WITHIN)
            self._note(self.ended, name)

        self.lanes.begin(place, most, series or name, work)

    def let_go(self, *names: str) -> None:
        for name in names:
            self._go[name].set()
            self.wait_for(lambda name=name: name in self.ended)  # type: ignore[misc]

    def wait_for(self, happened: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(happened, WITHIN), (self.began, self.ended)

    def under_way(self) -> list[str]:
        """Once nothing more begins."""
        time.sleep(0.05)
        return sorted(set(self.began) - set(self.ended))

    def _note(self, where: list[str], name: str) -> None:
        with self._changed:
            where.append(name)
            self._changed.notify_all()


def test_so_much_at_once_in_all_and_at_one_place() -> None:
    with Lanes(at_once=3) as lanes:
        work = Work(lanes)
        for name in ("a/1", "a/2", "a/3"):
            work.begin(name, most=2)
        work.wait_for(lambda: len(work.began) == 2)
        work.begin("b/1")
        work.begin("c/1")
        work.wait_for(lambda: len(work.began) == 3)
        assert work.under_way() == ["a/1", "a/2", "b/1"], "two at a, and three in all"
        work.let_go("a/1")
        work.wait_for(lambda: len(work.began) == 4)
        assert work.under_way() == ["a/2", "b/1", "c/1"], "where the least is under way is served first"
        work.let_go("b/1")
        work.wait_for(lambda: len(work.began) == 5)
        work.let_go("a/2", "a/3", "c/1")
        lanes.finish()


def test_a_place_that_has_not_answered_holds_one_lane() -> None:
    with Lanes(at_once=4) as lanes:
        work = Work(lanes)
        for number in range(4):
            work.begin(f"silent/{number}", answers=False)
        for number in range(3):
            work.begin(f"near/{number}")
        work.wait_for(lambda: len(work.began) == 4)
        assert work.under_way() == ["near/0", "near/1", "near/2", "silent/0"]
        lanes.answers("silent")
        work.let_go("near/0")
        work.wait_for(lambda: len(work.began) == 5)
        assert work.under_way() == ["near/1", "near/2", "silent/0", "silent/1"]
        work.let_go("near/1", "near/2", "silent/0", "silent/1", "silent/2", "silent/3")


def test_a_series_goes_in_order_whatever_becomes_of_each() -> None:
    with Lanes() as lanes:
        work = Work(lanes)
        work.begin("a/1", series="s")
        lanes.begin("a", 16, "s", lambda: 1 / 0)
        work.begin("a/2", series="s")
        work.begin("a/other")
        work.wait_for(lambda: len(work.began) == 2)
        assert work.under_way() == ["a/1", "a/other"]
        work.let_go("a/1")
        work.wait_for(lambda: "a/2" in work.began)
        work.let_go("a/2", "a/other")
        with pytest.raises(ZeroDivisionError):
            lanes.finish()


def test_a_crowded_place_gets_one_at_a_time() -> None:
    """What failed beside others is done again, alone, and before what comes after it in its series."""
    done: list[str] = []
    with Lanes() as lanes:
        work = Work(lanes)
        work.begin("a/1")
        work.wait_for(lambda: work.began == ["a/1"])

        def fails_beside_others() -> None:
            if lanes.is_crowded("a"):
                done.append("failed")
                raise Again
            done.append("done")

        lanes.begin("a", 16, "s", fails_beside_others)
        lanes.begin("a", 16, "s", lambda: done.append("after"))
        work.begin("a/2")
        while not done:
            time.sleep(0.01)
        work.let_go("a/1")
        work.let_go("a/2")
        lanes.finish()
        assert done == ["failed", "done", "after"]
        assert not lanes.is_crowded("a")


def test_a_signal_cuts_off_what_is_under_way_and_begins_nothing_more() -> None:
    cut, began = threading.Event(), time.monotonic()
    lanes = Lanes()
    work = Work(lanes)

    def run() -> None:
        def woken() -> None:
            with lanes.reach(cut.set):
                work.began.append("woken")
                assert cut.wait(WITHIN)
                time.sleep(0.1)
                work.ended.append("woken")

        with lanes:
            lanes.begin("a", 1, "s", woken)
            lanes.begin("a", 1, "s", lambda: work.began.append("never"))
            while not work.began:
                time.sleep(0.01)
            raise Stopped("SIGTERM")

    with pytest.raises(Stopped):
        run()
    assert work.ended == ["woken"], "it is waited for"
    assert time.monotonic() - began < PATIENCE
    with lanes.reach(lambda: work.ended.append("at once")):
        assert work.ended[-1] == "at once"
    lanes.begin("b", 1, "t", lambda: work.began.append("never"))
    assert work.under_way() == []


def test_what_has_ended_is_not_cut_off() -> None:
    cut = threading.Event()

    def run() -> None:
        with Lanes() as lanes:
            with lanes.reach(cut.set):
                pass
            raise Stopped("SIGTERM")

    with pytest.raises(Stopped):
        run()
    assert not cut.is_set()


def test_what_cannot_be_woken_is_not_waited_for_long() -> None:
    hangs, began = threading.Event(), time.monotonic()

    def run() -> None:
        with Lanes() as lanes:
            lanes.begin("a", 1, "s", lambda: bool(hangs.wait(WITHIN)))  # type: ignore[arg-type,return-value]
            raise Stopped("SIGTERM")

    with pytest.raises(Stopped):
        run()
    assert PATIENCE <= time.monotonic() - began < PATIENCE + 1
    hangs.set()


def test_an_error_of_whoever_begins_lets_the_rest_go_on() -> None:
    done: list[int] = []

    def run() -> None:
        with Lanes(at_once=1) as lanes:
            for number in range(3):
                lanes.begin("a", 1, number, lambda number=number: done.append(number))  # type: ignore[misc]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    assert done == [0, 1, 2]

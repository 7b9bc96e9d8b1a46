"""Work side by side, each piece in a thread: so much in all, so much at one place, and in order within a series.

At a place that has not answered yet one piece goes alone: a server that hangs or refuses holds one lane, however much
is to go there, and no account is tried with the same wrong password from several sides.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from types import TracebackType

AT_ONCE = 16  # each may have 16 MiB under way (transfer/sftp_directory.py)
PATIENCE = 1.5  # seconds in which what is under way has to end when a signal ends the run
THREADS = "delivery-lane"  # what their names begin with


class Again(Exception):
    """Raised by a piece of work that is to be done once more, from its start."""


@dataclass
class _Place:
    """most: pieces at once. ready: by series what waits, in order; of these series nothing is under way."""

    most: int
    answers: bool = False
    under_way: int = 0
    ready: dict[Hashable, deque[Callable[[], None]]] = field(default_factory=dict)

    @property
    def has_room(self) -> bool:
        return bool(self.ready) and self.under_way < (self.most if self.answers else 1)


class Lanes:
    """Used inside `with`, which waits for all work, unless a signal ends it: then work under way is cut off.

    ended: set when nothing more is begun; is_late: whether that is because the time was over.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self.ended, self.is_late = threading.Event(), False
        self._free = self._at_once = at_once
        self._changed = threading.Condition(threading.RLock())
        self._places: dict[Hashable, _Place] = {}
        self._busy: dict[Hashable, deque[Callable[[], None]]] = {}  # by series: what is under way, then what waits
        self._cuts: list[Callable[[], None]] = []
        self._errors: list[BaseException] = []
        self._threads = ThreadPoolExecutor(at_once, THREADS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None or issubclass(kind, Exception):
                self._wait()
        finally:
            self._end()
            self._wait(PATIENCE)
            self._threads.shutdown(wait=False)

    def begin(self, where: Hashable, most: int, series: Hashable, work: Callable[[], None]) -> None:
        """Does the work as soon as there is room, and all that was begun of its series before is done.

        most: pieces at once at that place, once one has said that it `answers`.
        """
        with self._changed:
            place = self._places.setdefault(where, _Place(most))
            place.most = min(place.most, most)
            (self._busy.get(series) or place.ready.setdefault(series, deque())).append(work)
            self._start()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Inside, nothing more is begun once so many seconds are over, and what is under way is cut off."""
        if seconds <= 0:
            self._late()
        timer = threading.Timer(max(0.0, seconds), self._late)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def finish(self) -> None:
        """Waits until all is done. Raises the first error that was raised by a piece of work."""
        self._wait()
        if self._errors:
            raise self._errors[0]

    def answers(self, where: Hashable) -> None:
        """Said by work under way: the place does what it should, more may go there at once."""
        with self._changed:
            self._places[where].answers = True
            self._start()

    def is_crowded(self, where: Hashable) -> bool:
        """Whether others are under way there, too; if so, one at a time is from now on.

        Asked by work that failed: there are servers that allow a login one connection, or close the older one.
        """
        with self._changed:
            place = self._places[where]
            crowded = place.under_way > 1
            place.most = 1 if crowded else place.most
            return crowded

    @contextmanager
    def reach(self, cut: Callable[[], None]) -> Iterator[None]:
        """Inside, `cut` is called when all is to end. It must wake what waits there, and not wait itself."""
        with self._changed:
            self._cuts.append(cut)
            if self.ended.is_set():
                cut()
        try:
            yield
        finally:
            with self._changed:
                self._cuts.remove(cut)

    def _wait(self, patience: float | None = None) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._free == self._at_once, patience)

    def _late(self) -> None:
        self.is_late = True
        self._end()

    def _end(self) -> None:
        with self._changed:
            self.ended.set()
            for cut in self._cuts:
                cut()

    def _start(self) -> None:
        """Begins what there is room for; the place with the least under way is served first."""
        while self._free and not self.ended.is_set():
            open_ = (place for place in self._places.values() if place.has_room)
            place = min(open_, key=lambda place: place.under_way, default=None)
            if place is None:
                return
            series = next(iter(place.ready))
            self._busy[series] = place.ready.pop(series)
            place.under_way += 1
            self._free -= 1
            self._threads.submit(self._work, place, series)

    def _work(self, place: _Place, series: Hashable) -> None:
        waiting, again = self._busy[series], False
        try:
            waiting[0]()
        except Again:
            again = True
        except BaseException as error:  # noqa: BLE001 - it is raised again by `finish`
            self._errors.append(error)
            if not isinstance(error, Exception):
                self._end()
        with self._changed:
            if not again:
                waiting.popleft()
            del self._busy[series]
            if waiting:
                place.ready[series] = waiting
            place.under_way -= 1
            self._free += 1
            self._start()
            self._changed.notify_all()

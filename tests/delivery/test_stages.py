"""Stages side by side: order, errors, and nothing left running."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from delivery.files.stages import MOST, Behind, ahead

if TYPE_CHECKING:
    from collections.abc import Generator


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("delivery-")]


class Source:
    """Numbers, made one by one. fails: in place of which an error comes."""

    def __init__(self, count: int, fails: int = -1) -> None:
        self.made, self.closed, self._count, self._fails = 0, False, count, fails

    def items(self) -> Generator[int]:
        try:
            for number in range(self._count):
                if number == self._fails:
                    raise ValueError(number)
                self.made += 1
                yield number
        finally:
            self.closed = True


@pytest.mark.parametrize("count", [0, 1, MOST, MOST + 1, 50])
def test_items_come_in_order_and_few_are_made_ahead(count: int) -> None:
    source, seen = Source(count), []
    with closing(ahead(source.items())) as items:
        for item in items:
            time.sleep(0.001)
            seen.append(item)
            assert source.made <= len(seen) + MOST
    assert seen == list(range(count))
    assert (source.closed, running()) == (True, [])


def test_an_error_comes_in_the_place_of_its_item() -> None:
    source, seen = Source(20, fails=7), []
    with pytest.raises(ValueError, match="7"), closing(ahead(source.items())) as items:
        seen.extend(items)
    assert seen == list(range(7))
    assert (source.closed, running()) == (True, [])


def test_what_is_given_up_ends() -> None:
    """However much there is."""
    source = Source(10**9)
    items = ahead(source.items())
    assert [next(items) for _ in range(6)] == [*range(6)]
    items.close()
    assert (source.closed, running()) == (True, [])
    assert source.made <= 6 + MOST


def test_calls_behind_are_made_in_order_and_few_wait() -> None:
    done: list[bytes] = []

    def slowly(data: bytes) -> None:
        time.sleep(0.001)
        done.append(data)

    with Behind() as behind:
        for number in range(30):
            behind.call(slowly, b"%d" % number)
            assert number + 1 - len(done) <= MOST + 1
        behind.finish()
        assert done == [b"%d" % number for number in range(30)]
    assert not running()


def test_what_a_call_behind_raises_is_raised() -> None:
    def full(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    with Behind() as behind:
        behind.call(full, b"")
        with pytest.raises(OSError, match="space"):
            behind.finish()
        for _ in range(MOST):
            behind.call(full, b"")
        with pytest.raises(OSError, match="space"):
            behind.call(full, b"")
    assert not running()

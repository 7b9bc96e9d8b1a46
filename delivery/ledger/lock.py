"""One runner at a time: a lock that the kernel drops when its holder dies, whatever the way."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from delivery.errors import Busy, WriteFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def only_runner(state: Path) -> Iterator[None]:
    """Holds the state directory's lock. Raises Busy, naming the holder, when another runner has it."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(state / "run.lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise WriteFailed(f"{state} cannot be written: {error.strerror}.", hint="Set DELIVERY_STATE.") from None
    try:
        _take(handle, state)
        yield
    finally:
        os.close(handle)


def _take(handle: int, state: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"pid": os.getpid(), "since": since}).encode(), 0)
    except BlockingIOError:
        raise Busy(f"Another runner is at work: {_holder(handle)}.", hint="Wait for it, then run again.") from None
    except OSError as error:  # no locks on this file system, or no space
        raise WriteFailed(f"{state} cannot be locked: {error.strerror}.", hint="Set DELIVERY_STATE.") from None


def _holder(handle: int) -> str:
    try:
        holder = json.loads(os.pread(handle, 200, 0))
        return f"process {holder['pid']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "it has just started"

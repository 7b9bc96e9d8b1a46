"""The local steps of a process, found by the interpreter: every call from Python into C that may touch the outside.

Between two of them nothing changes that another process could see, so a SIGKILL before each one and after the last one
is a SIGKILL at every step. What is left out is named, so that a new library or call is swept without being listed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from delivery.lanes import THREADS

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import FrameType

# Modules and functions of C that only compute, or only read this process.
PURE = (
    "_abc", "_ast", "_bisect", "_codecs", "_collections", "_contextvars", "_csv", "_datetime", "_decimal",
    "_functools", "_hashlib", "_imp", "_io.BytesIO", "_io.StringIO", "_json", "_locale", "_operator", "_random",
    "_sha2", "_sre", "_stat", "_string", "_struct", "_thread", "_warnings", "_weakref", "_weakrefset", "atexit",
    "binascii", "builtins", "collections", "datetime", "enum", "gc", "io.text_encoding", "isal", "itertools",
    "marshal", "math", "numpy", "operator", "pandas", "polars", "posix._path_normpath", "posix.fspath",
    "posix.getpid", "posix.urandom", "pyarrow", "pydantic_core", "re", "socket.socket.settimeout", "sqlalchemy",
    "sqlite3.Connection.create_function", "sys", "threading", "time", "types", "typing", "weakref", "yaml", "zlib",
    "zstandard",
)  # fmt: skip


def install(kill: int | None, watcher: socket.socket | None) -> Callable[[], int]:
    """Counts the steps of this thread and of all lanes from now on, dies before the one with that number (from 0).

    What it gives tells the count.

    watcher: is told of each step, and answers when it has looked.
    """
    seen = 0
    one_at_a_time = threading.Lock()
    pure: dict[Any, bool] = {}

    def hook(frame: FrameType, event: str, function: Any) -> None:
        nonlocal seen
        if event != "c_call":
            return
        key = (type(getattr(function, "__self__", None)), function.__name__)
        if key not in pure:
            pure[key] = _is_pure(function)
        if pure[key] or frame.f_code.co_filename.startswith("<frozen importlib"):
            return
        with one_at_a_time:
            if watcher is not None:
                watcher.sendall(b"s")
                watcher.recv(1)
            if seen == kill:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

    def begin(*_: Any) -> None:
        sys.setprofile(hook if threading.current_thread().name.startswith(THREADS) else None)

    threading.setprofile(begin)
    sys.setprofile(hook)
    return lambda: seen


def _is_pure(function: Any) -> bool:
    owner = getattr(function, "__self__", None)
    kind = owner if isinstance(owner, type) else type(owner)
    module = getattr(function, "__module__", None) or kind.__module__
    name = f"{module}.{getattr(function, '__qualname__', '')}"
    return any(name == pure or name.startswith(pure + ".") for pure in PURE)

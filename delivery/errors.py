"""What can go wrong, grouped by what the operator should do about it.

DeliveryError                 exit 1
├── ConfigError               exit 2  mend the configuration or the command line
│   └── LeftOut                       one client's integration has faults; the others' deliveries are done
├── GateRefused               exit 3  mend the data or the models, and build again
│   └── NotRead                       nobody can say here what a table holds
├── DestinationRefused        exit 4  mend the agreement with the client's server; never retried
│   ├── HostKeyRefused                the server is not the one that was pinned
│   └── LoginRefused                  the server does not accept our credentials
├── DestinationFailed         exit 1  try again: the next run resumes
├── NameTaken                 exit 1  look at the destination: a person decides
├── Held                      exit 1  look at the delivery: a person decides
├── Busy                      exit 1  wait: somebody else holds the lock
├── WriteFailed               exit 1  local disk, spool or ledger: free it and run again
├── EngineDown                exit 1  the warehouse's server does not answer: start it, or wait, and run again
├── CutOff                    exit 1  a signal ended the run: run again
└── NothingDue                exit 5  nothing
"""

from __future__ import annotations

import re
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class ExitCode(IntEnum):
    """What a command's exit code asks of whoever called it."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    GATE = 3
    DESTINATION = 4
    NOTHING_DUE = 5


class DeliveryError(Exception):
    """Base of all errors that a person is meant to read.

    message: what was seen, and where. hint: what to do next. Neither ever holds a secret or an address of a customer.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(DeliveryError):
    """The configuration or the command line is wrong; nothing was started."""

    exit_code = ExitCode.USAGE


class GateRefused(DeliveryError):
    """A dataset is not proven by its tests; nothing of it left."""

    exit_code = ExitCode.GATE


class NotRead(GateRefused):
    """A table of which nobody can say here what it holds."""


class DestinationRefused(DeliveryError):
    """The destination will not take the file, and will not the next time either."""

    exit_code = ExitCode.DESTINATION


class HostKeyRefused(DestinationRefused):
    """The server's host key is not among those pinned."""


class LoginRefused(DestinationRefused):
    """The server does not accept the credentials."""


class DestinationFailed(DeliveryError):
    """The destination failed in a way that may pass. step: the protocol's step that failed; late: its time was over."""

    def __init__(
        self,
        message: str,
        *,
        step: str,
        hint: str = "Run again: the delivery resumes where it stopped.",
        late: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.step, self.late = step, late


class NameTaken(DeliveryError):
    """Something already lies under the final name."""


class Held(DeliveryError):
    """A delivery that only a person can decide on."""


class Busy(DeliveryError):
    """Another process holds a lock that this one needs."""


class WriteFailed(DeliveryError):
    """The local disk, spool or ledger could not be written or read."""


class EngineDown(DeliveryError):
    """The server that holds the warehouse, or builds it, does not answer."""


class LeftOut(ConfigError):
    """Integrations with faults, for which nothing was done. done: what came of all others."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.done: Sequence[Any] = ()


class NothingDue(DeliveryError):
    """No campaign is due."""

    exit_code = ExitCode.NOTHING_DUE


class CutOff(DeliveryError):
    """A signal ended a run."""


class Stopped(BaseException):
    """A signal, which its argument names, asks to end: only what has to be closed is closed any more."""


def stopped(signal: str, lines: list[str]) -> DeliveryError:
    """What people are told of a run that a signal ended. lines: where things stand."""
    return CutOff(
        "\n  ".join([f"Stopped by {signal}.", *lines]),
        hint="Run again: what was handed over stays, the rest goes on where it stopped, and nothing is sent twice.",
    )


# Text that comes from elsewhere (dbt, the engine, a server) may quote the data; addresses never go on to a log.
# The `@` may be escaped as URLs, JSON or HTML do it; the local part may be in quotes, and then hold anything.
_AT = r"(?:@|%40|\\+u0040|&#64;|&commat;|\uff20)"
_EDGE = r"""\s'"<>(),;:|\\{}\[\]"""
_START = rf"(?<![^{_EDGE}])[^{_EDGE}]"
_LOCAL = (
    r'"[^"\n]{1,200}"'
    rf"|{_START}[^\s\"<>(),;:|\\]{{0,63}}?(?={_AT})"  # with apostrophes, at most 64 characters long
    rf"|{_START}[^{_EDGE}]*?(?={_AT})"  # of any length, as the end of a long URL
)
_ADDRESS = re.compile(rf"(?:{_LOCAL}){_AT}(?:\[[^\]\s]*\]|[^{_EDGE}]*)", re.IGNORECASE)


def redact(text: str) -> str:
    """The text with everything that looks like an e-mail address replaced."""
    return _ADDRESS.sub("<address>", text)


def known(error: Exception) -> DeliveryError:
    """An error of ours as it is, one that nobody foresaw without its text, which may quote the data."""
    if isinstance(error, DeliveryError):
        return error
    import traceback as tracebacks

    frame = tracebacks.extract_tb(error.__traceback__)[-1]
    return DeliveryError(
        f"Unexpected {type(error).__name__} in {frame.name}, line {frame.lineno} of {Path(frame.filename).name}.",
        hint="This is a defect: report it with what `--debug` shows. Run again: deliveries resume where they stopped.",
    )

"""The one place where what a server or the network did becomes an error for people."""

from __future__ import annotations

from paramiko import SSHException

from delivery.errors import DeliveryError, DestinationFailed, DestinationRefused, redact
from delivery.sftp.session import (
    NO_SUCH_FILE,
    OP_UNSUPPORTED,
    PERMISSION_DENIED,
    BadReply,
    ConnectionLost,
    Status,
)

LOWER_ERRORS = (Status, ConnectionLost, BadReply, SSHException, EOFError, OSError)

# 12, 14 and 15 belong to later versions of the protocol; some servers send them in version 3.
_MEANING = {
    NO_SUCH_FILE: "no such file or directory",
    PERMISSION_DENIED: "no permission",
    OP_UNSUPPORTED: "the server does not support this",
    12: "the file system is read-only",
    14: "no space left",
    15: "the quota is exceeded",
}
_FINAL = {
    PERMISSION_DENIED: "Ask the server's owner for the right to create, rename and delete files in this directory.",
    OP_UNSUPPORTED: "`delivery check` shows what the server offers.",
    12: "Ask the server's owner to make the directory writable.",
}


MOST = 200  # characters
_AT_STEP = {
    "open": "{} If the server forbids names that begin with a dot, or some ending: set `temporary_name`.",
    "verify": "Ask the server's owner for the right to read; where nobody may, set `verify: size`.",
    "look": "Ask the server's owner for the right to list; where nobody may, set `verify: none`.",
}


def translate(where: str, step: str, error: Exception, reason: str) -> DeliveryError:
    """Choose the error. reason: why the watchdog closed the connection, if it did."""
    if isinstance(error, Status) and not reason:
        words = _MEANING.get(error.code, f"status {error.code}")
        text = f"{where}: {step}: {words} (the server says: {fit(error.text)})"
        if error.code in _FINAL:
            return DestinationRefused(text, hint=_AT_STEP.get(step, "{}").format(_FINAL[error.code]))
        return DestinationFailed(text, step=step)
    if isinstance(error, OSError):
        words = error.strerror or str(error) or type(error).__name__
    else:
        words = {ConnectionLost: "the connection was lost ", BadReply: "a bad reply: "}.get(type(error), "") + str(
            error
        )
    late = bool(reason) or isinstance(error, TimeoutError)
    return DestinationFailed(f"{where}: {step}: {reason or fit(words) or type(error).__name__}", step=step, late=late)


def fit(text: str) -> str:
    """What a server said, or what quotes it, for people and logs. Cut last: half an address is not known as one."""
    return redact("".join(c for c in text if c.isprintable()))[:MOST]

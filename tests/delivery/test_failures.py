"""What a server or the network did, as people read it."""

from __future__ import annotations

import errno

import pytest
from paramiko import SSHException

from delivery.errors import DestinationFailed, DestinationRefused
from delivery.sftp.failures import LOWER_ERRORS, translate
from delivery.sftp.session import BadReply, ConnectionLost, Status

ASK = "Ask the server's owner for the right to create, rename and delete files in this directory."
OFFERS = "`delivery check` shows what the server offers."
WRITABLE = "Ask the server's owner to make the directory writable."
NAMES = " If the server forbids names that begin with a dot, or some ending: set `temporary_name`."
AGAIN = "Run again: the delivery resumes where it stopped."


@pytest.mark.parametrize(
    ("code", "words", "hint"),
    [
        (1, "status 1", AGAIN),
        (2, "no such file or directory", AGAIN),
        (3, "no permission", ASK + NAMES),
        (4, "status 4", AGAIN),
        (5, "status 5", AGAIN),
        (8, "the server does not support this", OFFERS + NAMES),
        (11, "status 11", AGAIN),
        (12, "the file system is read-only", WRITABLE + NAMES),
        (13, "status 13", AGAIN),
        (14, "no space left", AGAIN),
        (15, "the quota is exceeded", AGAIN),
        (31, "status 31", AGAIN),
    ],
)
def test_a_status(code: int, words: str, hint: str) -> None:
    """Only what will be so the next time, too, is refused; the rest may be tried again."""
    said = translate("sftp://there", "open", Status(code, "of jane@example.com"), "")
    assert (said.message, said.hint) == (f"sftp://there: open: {words} (the server says: of <address>)", hint)
    long = translate("sftp://there", "open", Status(code, "x" * 195 + " jane.doe@example.com"), "")
    assert "jane" not in long.message, "cut in the middle of an address"
    assert type(said) is (DestinationFailed if hint == AGAIN else DestinationRefused)
    assert getattr(said, "step", "open") == "open"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
        (TimeoutError("timed out"), "timed out"),
        (OSError(), "OSError"),
        (EOFError(), "EOFError"),
        (SSHException("Key-exchange failed"), "Key-exchange failed"),
        (SSHException(), "SSHException"),
        (SSHException('no version "220 of jane@example.com\x1b[31m"'), 'no version "220 of <address>[31m"'),
        (SSHException("x" * 195 + " jane.doe@example.com"), "x" * 195 + " <add"),
        (ConnectionLost("while sending"), "the connection was lost while sending"),
        (BadReply("cut short"), "a bad reply: cut short"),
    ],
)
@pytest.mark.parametrize("reason", ["", "nothing moved for 30 s"])
def test_the_network(error: Exception, words: str, reason: str) -> None:
    """Why we closed the connection ourselves goes before what followed from it."""
    assert isinstance(error, LOWER_ERRORS)
    said = translate("there", "verify", error, reason)
    assert isinstance(said, DestinationFailed)
    assert (said.message, said.step) == (f"there: verify: {reason or words}", "verify")


def test_a_status_that_came_while_we_closed_the_connection() -> None:
    said = translate("there", "close", Status(3, "no"), "not finished within its deadline of 9 s")
    assert (type(said), said.message) == (DestinationFailed, "there: close: not finished within its deadline of 9 s")

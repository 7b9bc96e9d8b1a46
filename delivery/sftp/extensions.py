"""What a server may offer beyond the SFTP draft. Each function says so when it does not: None or False.

Sources: PROTOCOL in OpenSSH's sources; draft-ietf-secsh-filexfer-extensions-00 and ProFTPD's mod_sftp for check-file.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from delivery.sftp.session import EXTENDED, STATUS, Status, string

if TYPE_CHECKING:
    from delivery.sftp.session import Session

FSYNC, POSIX_RENAME = "fsync@openssh.com", "posix-rename@openssh.com"
STATVFS, LIMITS = "statvfs@openssh.com", "limits@openssh.com"
CHECK_FILE = {"check-file", "versions"}  # ProFTPD has it in version 3, but tells only of its later versions
SAFE_REQUEST, LARGE_REQUEST = 1 << 15, 1 << 18  # bytes: what every server takes; what is fastest (decision 0009)


def request_bytes(session: Session) -> int:
    """Largest READ and WRITE that the server takes."""
    if LIMITS not in session.extensions:
        return SAFE_REQUEST
    try:
        reply = session.extended(LIMITS)
    except Status:
        return SAFE_REQUEST
    _packet, reads, writes = reply.take("Q"), reply.take("Q"), reply.take("Q")
    return min(LARGE_REQUEST, reads or SAFE_REQUEST, writes or SAFE_REQUEST)  # 0: no limit is known


def free_bytes(session: Session, path: bytes) -> int | None:
    """Bytes that we may still write below the path."""
    if STATVFS not in session.extensions:
        return None
    try:
        reply = session.extended(STATVFS, string(path))
    except Status:
        return None
    _block, fragment, _blocks, _free, available = (reply.take("Q") for _ in range(5))
    return fragment * available


def begin_fsync(session: Session, handle: bytes) -> int | None:
    """Send the request to bring an open file to the disk."""
    if FSYNC not in session.extensions:
        return None
    return session.begin(EXTENDED, string(FSYNC.encode()), string(handle))


def posix_rename(session: Session, old: bytes, new: bytes) -> bool:
    """Rename over what lies there; Status when that fails."""
    if POSIX_RENAME not in session.extensions:
        return False
    session.extended(POSIX_RENAME, string(old), string(new), expected=STATUS)
    return True


def remote_hash(session: Session, handle: bytes) -> str | None:
    """SHA-256 (hex) of a whole open file, computed by the server."""
    if CHECK_FILE.isdisjoint(session.extensions):
        return None
    whole = struct.pack(">QQI", 0, 0, 0)  # offset, length to the end, one block
    try:
        reply = session.extended("check-file-handle", string(handle), string(b"sha256"), whole)
    except Status:
        return None
    algorithm = reply.string()
    if algorithm == b"check-file":
        algorithm = reply.string()
    digest = reply.rest()
    return digest.hex() if algorithm == b"sha256" and len(digest) == 32 else None

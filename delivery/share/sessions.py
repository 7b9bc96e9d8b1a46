"""Whoever is connected by SFTP, or is sent a file by the page, stays so, list or no list, until the server is told."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from delivery.errors import WriteFailed
from delivery.files.disk import writing
from delivery.share.config import ended, run_folder

if TYPE_CHECKING:
    from delivery.config.share import Share

SECONDS = 30


def end_sessions(share: Share, user: str) -> None:
    """Ends a user's connections to the SFTP server, if it runs, and what the page is sending, everybody's.

    Raises WriteFailed when a server cannot be told.
    """
    with writing(ended(share)):
        ended(share).touch()
    socket = run_folder(share) / "sftp.sock"
    if not socket.exists():
        return
    told = shutil.which("ftpdctl")
    command = [str(told), "-s", str(socket), "kick", "user", user]
    if not told or subprocess.run(command, capture_output=True, timeout=SECONDS, check=False).returncode != 0:
        raise WriteFailed(
            f"{user} cannot log in any more, but what is open by SFTP stays open: the server could not be told.",
            hint="Restart the SFTP server: `systemctl restart share-sftp`.",
        )

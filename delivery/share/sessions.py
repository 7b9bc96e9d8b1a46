"""Whoever is connected by SFTP stays so, list or no list, until the server is told."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from delivery.errors import WriteFailed
from delivery.share.config import run_folder

if TYPE_CHECKING:
    from delivery.config.share import Share

SECONDS = 30


def end_sessions(share: Share, user: str) -> None:
    """Ends a user's connections to the SFTP server, if it runs. Raises WriteFailed when it cannot be told."""
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

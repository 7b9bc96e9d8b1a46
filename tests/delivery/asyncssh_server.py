"""asyncssh's SFTP server for the tests: `python asyncssh_server.py BASE PORT PASSWORD`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncssh


class Login(asyncssh.SSHServer):
    """One account, by key or password."""

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        if username == "acme":
            self._connection.set_authorized_keys(str(Path(sys.argv[1]) / "authorized_keys"))
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("acme", sys.argv[3])


async def serve(base: Path, port: int) -> None:
    """Listens until it is ended."""
    server = await asyncssh.listen(
        "127.0.0.1",
        port,
        server_factory=Login,
        server_host_keys=[str(base / "host_ed25519")],
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(base / "home").encode()),
    )
    await server.wait_closed()


asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))

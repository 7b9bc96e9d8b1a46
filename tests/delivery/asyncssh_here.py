"""asyncssh's server in this process, with an account and an SFTP server that are as odd as a test wants them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import asyncssh
from servers import PASSWORD, free_port, keygen

from delivery.config.integrations import SftpDestination

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Asked = list[tuple[str, bool]]


class Account(asyncssh.SSHServer):
    """Takes the password, or asks for it in these rounds; counts each password that it was given."""

    def __init__(self, given: list[str], rounds: list[tuple[str, Asked]], *, expired: bool, asks: bool) -> None:
        self.given, self.rounds, self.expired, self.asks = given, list(rounds), expired, asks

    def password_auth_supported(self) -> bool:
        return not self.asks

    def validate_password(self, username: str, password: str) -> bool:
        self.given.append(password)
        if self.expired:
            raise asyncssh.PasswordChangeRequired("Your password has expired")
        return password == PASSWORD

    def kbdint_auth_supported(self) -> bool:
        return bool(self.rounds)

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> tuple[str, str, str, Asked]:
        return self._next()

    def validate_kbdint_response(self, username: str, responses: list[str]) -> Any:
        self.given += responses
        return self._next() if self.rounds else list(responses) == [PASSWORD]

    def _next(self) -> tuple[str, str, str, Asked]:
        title, prompts = self.rounds.pop(0)
        return title, "", "", prompts


@contextmanager
def running(
    tmp_path: Path,
    rounds: list[tuple[str, Asked]],
    *,
    expired: bool = False,
    asks: bool = True,
    sftp: type[asyncssh.SFTPServer] = asyncssh.SFTPServer,
    account: type[Account] = Account,
    **settings: Any,
) -> Iterator[tuple[SftpDestination, list[str]]]:
    """An asyncssh server in this process, and what its account was given."""
    key, given, loop = keygen(tmp_path / "host"), list[str](), asyncio.new_event_loop()
    (tmp_path / "home").mkdir()
    port = free_port()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            port,
            server_factory=lambda: account(given, rounds, expired=expired, asks=asks),
            server_host_keys=[str(tmp_path / "host")],
            sftp_factory=lambda channel: sftp(channel, chroot=str(tmp_path / "home").encode()),
            **settings,
        )

    loop.set_exception_handler(lambda _loop, _context: None)  # a login that failed is what a test asked for
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()  # the loop of a browser's tests may be this thread's
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(60)
    try:
        yield target(port, key, password=PASSWORD), given
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


async def _end(server: asyncssh.SSHAcceptor) -> None:
    """Nothing of it is left to the garbage collector: what asyncio would say of it then could come inside any test."""
    server.close()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def target(port: int, key: str, **login: Any) -> SftpDestination:
    host = {"type": "sftp", "host": "127.0.0.1", "port": port, "username": "acme", "host_keys": [key], "timeout": 5}
    return SftpDestination.model_validate(host | login)

"""The share's login in front of the page: who is believed to say who is there, and how long that holds."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from delivery.config.share import ANALYTICS, SECRET_HEADER, USER_HEADER
from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

_USER, _SECRET = USER_HEADER.lower().encode(), SECRET_HEADER.lower().encode()
# Streamlit's own scripts and fonts, which anybody can install: the share asks nobody's password for them.
_ASSETS = f"/{ANALYTICS}/static/"
REFUSED = 1008  # as a websocket says it


@dataclass(frozen=True)
class Account:
    """A user on the list now. password: its hash; it changes when the user is set anew."""

    namespaces: tuple[str, ...]
    password: str


@dataclass(frozen=True)
class FrontDoor:
    """Where the page is served, and whom it believes.

    host: of the share's page. port: on loopback. secret: the file that the share's page reads, too. account: of a
    user; None when there is none. session_seconds: how long after the last click a visitor is let go on.
    """

    host: str
    port: int
    secret: Path
    account: Callable[[str], Account | None]
    session_seconds: int

    def check(self) -> None:
        """Raises ConfigError when the secret is not there, or others can read it."""
        hint = "Run `delivery share config` again, which makes it."
        if not self._expected():
            raise ConfigError(f"The front door's secret, {self.secret}, is not there or empty.", hint=hint)
        if self.secret.stat().st_mode & 0o007:
            raise ConfigError(f"Everybody on this machine can read {self.secret}.", hint=f"Remove it. {hint}")

    def lets_in(self, scope: Scope) -> bool:
        """Whether the request comes from the front door, and from a user who is on the list."""
        named, told, origins = (
            [value for name, value in scope["headers"] if name == header] for header in (_USER, _SECRET, b"origin")
        )
        secret = self._expected()
        if not secret or len(told) != 1 or not hmac.compare_digest(told[0], secret):
            return False
        if scope["type"] == "http" and scope["path"].startswith(_ASSETS):
            return True
        # A page of another site must not open a connection in a visitor's name.
        if scope["type"] == "websocket" and [urlsplit(one.decode("latin-1")).hostname for one in origins] != [
            self.host.lower()
        ]:
            return False
        return len(named) == 1 and self.account(named[0].decode("latin-1")) is not None

    def _expected(self) -> bytes:
        try:
            return self.secret.read_bytes().strip()
        except OSError:
            return b""


class Admission:
    """Answers nothing but what the front door passes on; what is behind does not see the secret."""

    def __init__(self, app: ASGIApp, door: FrontDoor) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI calls it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif self._door.lets_in(scope):
            kept = [(name, value) for name, value in scope["headers"] if name != _SECRET]
            await self._app({**scope, "headers": kept}, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": REFUSED})
        else:
            from starlette.responses import PlainTextResponse

            await PlainTextResponse("Come by the share's page, and log in there.\n", 403)(scope, receive, send)

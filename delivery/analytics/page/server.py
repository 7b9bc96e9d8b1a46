"""Answers browsers: Streamlit's application behind one check of who is asked for, until Ctrl-C."""

from __future__ import annotations

import ipaddress
import socket
import threading
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from delivery.analytics.page.front_door import FrontDoor

NEEDS = ("streamlit", "uvicorn")
PAGES = ("delivery.analytics.page.results", "delivery.analytics.page.deliveries")
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
SETTINGS: dict[str, Any] = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",  # an error may quote the data; ours are shown by `app`
    "client.toolbarMode": "viewer",
    "server.fileWatcherType": "none",
    "server.headless": True,
    "logger.level": "error",
    "theme.base": "light",
}


def serve(host: str, port: int, announce: Callable[[str], None], door: FrontDoor | None = None) -> None:
    """Serves until interrupted; `announce` gets the address once a browser may come. port 0: any that is free.

    door: the share's login, if it is in front.
    Raises ConfigError when the extra is missing, or when the address cannot be had.
    """
    if any(find_spec(name) is None for name in NEEDS):
        raise ConfigError(
            "The page needs the extra `analytics`, which is not installed.",
            hint="pip install 'dbt-delivery[analytics]', or `make analytics` in a clone.",
        )
    listener = _listen(host, port)
    url = f"http://{_in_url(host)}:{listener.getsockname()[1]}"

    import uvicorn
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.routing import Route
    from streamlit import config
    from streamlit.web.server.starlette import App

    from delivery.analytics.page import downloads, front_door

    for name, value in SETTINGS.items():
        config.set_option(name, value)
    config.set_option("browser.serverAddress", door.host if door else host)
    config.set_option("server.baseUrlPath", downloads.base())

    @asynccontextmanager
    async def lifespan(_: App) -> AsyncIterator[None]:
        announce(url)
        yield

    # On loopback, a page of the web that had its name point here would ask for that name: only ours are answered.
    hosts = list(LOOPBACK) if is_loopback(host) else ["*"]
    app = App(
        Path(__file__).with_name("app.py"),
        lifespan=lifespan,
        routes=[Route(f"{downloads.base()}{downloads.PATH}", downloads.answer)],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts),
            *([Middleware(front_door.Admission, door=door)] if door else []),
        ],
    )
    # What the first visitor would wait for is loaded while his browser loads the page.
    threading.Thread(target=lambda: [import_module(name) for name in PAGES], daemon=True).start()
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=1))
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    """Asked for here, so that a port in use is said before anything is loaded."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        raise ConfigError(
            f"{_in_url(host)}:{port} cannot be listened on: {error.strerror}.",
            hint="Choose another with --port or --host; --port 0 takes any that is free.",
        ) from None
    return listener


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host

"""paramiko's transport that asks for the login service once, with what it does not tell us kept.

What is overridden, and why: it waits for ever for a server that does not accept the service request; it forgets an
answer that comes before it begins to wait; it says which methods are still allowed only after one that succeeded in
part; it takes a request to change the password for a defect; and what a server offers is gone when nothing fits.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from paramiko.auth_handler import AuthOnlyHandler
from paramiko.channel import Channel
from paramiko.common import cMSG_SERVICE_REQUEST
from paramiko.message import Message
from paramiko.ssh_exception import SSHException
from paramiko.transport import ServiceRequestingTransport

if TYPE_CHECKING:
    import threading


class PasswordExpired(SSHException):
    """The server wants a new password."""


class Login(AuthOnlyHandler):
    """The client's side of a login. allowed: the methods that the server named last; is_answered: the last request."""

    allowed: tuple[str, ...] = ()
    is_answered = False

    def send_auth_request(self, username: str, method: str, finish_message: Any = lambda _: None) -> Any:
        """Send one request and wait for its answer."""
        self.is_answered = False
        return super().send_auth_request(username, method, finish_message)

    def wait_for_response(self, event: threading.Event) -> Any:
        """Wait, unless the answer came before this thread had got here."""
        if self.is_answered:
            event.set()
        return super().wait_for_response(event)

    def _parse_userauth_success(self, m: Message) -> None:
        super()._parse_userauth_success(m)  # type: ignore[misc]
        self.is_answered = True

    def _parse_userauth_failure(self, m: Message) -> None:
        self.allowed = tuple(m.get_list())
        m.rewind()
        super()._parse_userauth_failure(m)  # type: ignore[misc]
        self.is_answered = True

    def _parse_userauth_info_request(self, m: Message) -> None:
        if self.auth_method == "password":  # then the same number asks for a new one: RFC 4252, 8
            raise PasswordExpired
        super()._parse_userauth_info_request(m)  # type: ignore[misc]


class Transport(ServiceRequestingTransport):
    """One connection. offered: the server's lists of algorithms, by paramiko's names, once they came."""

    offered: dict[str, list[str]]
    _service_userauth_accepted: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.offered = {}
        super().__init__(*args, **kwargs)

    def close(self) -> None:
        """End the connection, and that of the jump host which carries it."""
        super().close()
        if isinstance(self.sock, Channel):
            self.sock.get_transport().close()

    def get_auth_handler(self) -> Login:
        """Our own."""
        return Login(self)

    def ensure_session(self) -> None:
        """Ask once for the login service, as long as `auth_timeout` allows. Raises SSHException."""
        if self._service_userauth_accepted:
            return
        request = Message()
        request.add_byte(cMSG_SERVICE_REQUEST)
        request.add_string("ssh-userauth")
        self._send_message(request)  # type: ignore[attr-defined]
        ends = time.monotonic() + self.auth_timeout
        while not self._service_userauth_accepted:
            if not self.is_active() or time.monotonic() > ends:
                raise self.get_exception() or SSHException("no answer to the login")
            time.sleep(0.01)
        self.auth_handler = self.get_auth_handler()

    def _parse_kex_init(self, m: Message) -> None:
        self.offered = self._really_parse_kex_init(m)  # type: ignore[attr-defined]
        m.rewind()
        super()._parse_kex_init(m)  # type: ignore[misc]

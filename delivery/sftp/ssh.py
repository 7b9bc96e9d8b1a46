"""SSH connections to pinned servers: no agent, no ~/.ssh, no weak algorithm, no wait without an end."""

from __future__ import annotations

import logging
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from delivery.config.host_keys import KEY_TYPES, HostKey
from delivery.errors import DestinationFailed, DestinationRefused, HostKeyRefused, LoginRefused
from delivery.sftp.failures import fit
from delivery.sftp.keys import read_private_key
from delivery.sftp.login import log_in
from delivery.sftp.transport import Transport
from delivery.sftp.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from delivery.config.integrations import Account, SftpDestination

# GCM first: paramiko prefers CTR with an HMAC, at 1.5 times the CPU (docs/decisions/0009-sftp-session.md).
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}  # a key of this type never signs with SHA-1 here
HOST_KEY = "host keys"
_PROHIBITED = 1  # RFC 4254, 5.1
# By a word of paramiko's message: what it is about, and the server's lists of it.
_ABOUT = {
    "host key": (HOST_KEY, ("server_key_algo_list",)),
    "kex": ("key exchanges", ("kex_algo_list",)),
    "cipher": ("ciphers", ("server_encrypt_algo_list", "client_encrypt_algo_list")),
    "mac": ("MACs", ("server_mac_algo_list", "client_mac_algo_list")),
}


class _Incompatible(Exception):
    """Nothing in common that is safe. what: of which kind; offered: what the server has of it, for people."""

    def __init__(self, error: IncompatiblePeer, transport: Transport) -> None:
        super().__init__(str(error))
        word = next((word for word in _ABOUT if word in str(error)), "")
        self.what, lists = _ABOUT.get(word, ("versions", ()))
        named = dict.fromkeys(name for key in lists for name in transport.offered[key])
        names = (name for name in named if not name.startswith(("kex-strict-", "ext-info-")))  # no algorithms
        self.offered = ", ".join(re.sub(r"[^\w@.-]", "?", name)[:60] for name in names) or "none"
        exchanges = transport.get_security_options().kex
        safe = {HOST_KEY: _names(KEY_TYPES), "key exchanges": exchanges, "ciphers": CIPHERS, "MACs": MACS}
        self.safe = ", ".join(safe.get(self.what, ("SSH 2.0",)))

    def refusal(self, where: str) -> DestinationRefused:
        """What is said of it."""
        return DestinationRefused(
            f"{where}: no algorithm in common that is safe: of {self.what} the server offers {self.offered}",
            hint=f"Ask the server's owner to allow one of: {self.safe}.",
        )


@dataclass(frozen=True)
class Server:
    """Where a server is. timeout: seconds that any one answer may take; jump: through which it is reached."""

    host: str
    port: int = 22
    timeout: float = 30.0
    jump: Account | None = None

    def __str__(self) -> str:
        """For people."""
        return f"{self.host}:{self.port}"


def connect(target: SftpDestination, trust: str, watchdog: Watchdog) -> Transport:
    """Open a connection to a pinned server and log in. trust: the command that shows the server's keys."""
    return _logged_in(target, Server(target.host, target.port, target.timeout, target.jump), trust, watchdog)


def _logged_in(account: Account, server: Server, trust: str, watchdog: Watchdog) -> Transport:
    pins = [HostKey.parse(line) for line in account.host_keys]
    key = read_private_key(account.private_key, _secret(account.passphrase)) if account.private_key else None
    hint = f"Ask the server's owner whether its key changed; then: {trust}"
    try:
        transport = _negotiate(server, [pin.kind for pin in pins], watchdog)
    except _Incompatible as error:
        if error.what != HOST_KEY:
            raise error.refusal(str(server)) from None
        kinds = ", ".join(sorted({pin.kind for pin in pins}))
        message = f"{server}: the server has no host key of a pinned type ({kinds}); it offers {error.offered}"
        raise HostKeyRefused(message, hint=hint) from None
    seen = _host_key(transport)
    if seen not in pins:
        transport.close()
        message = f"{server}: the server's host key is not pinned: {seen.kind} {seen.fingerprint}"
        raise HostKeyRefused(message, hint=hint)
    watchdog.beat()
    log_in(transport, account.username, key, _secret(account.password), watchdog)
    watchdog.beat()
    return transport


def fetch_host_keys(server: Server) -> list[str]:
    """Return the server's host keys as OpenSSH lines, strongest type first; one handshake per type, no login there.

    Raises DestinationRefused, saying what the server offers, when there is none that could be pinned.
    """
    found, unfit = list[str](), list[_Incompatible]()
    for kind in KEY_TYPES:
        watchdog = Watchdog(server.timeout, server.timeout)
        try:
            transport = _negotiate(server, [kind], watchdog)
            found.append(_host_key(transport).line)
            transport.close()
        except _Incompatible as error:
            if error.what != HOST_KEY:
                raise error.refusal(str(server)) from None
            unfit.append(error)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise DestinationFailed(f"{server}: {watchdog.reason or fit(str(error))}", step="connect") from error
        finally:
            watchdog.stop()
    if not found:
        raise unfit[-1].refusal(str(server))
    return found


def _dial(server: Server, watchdog: Watchdog) -> socket.socket | paramiko.Channel:
    if server.jump is not None:
        return _forwarded(server, server.jump, watchdog)
    sock = socket.create_connection((server.host, server.port), server.timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return sock


def _forwarded(server: Server, jump: Account, watchdog: Watchdog) -> paramiko.Channel:
    """A channel to the server, opened by the jump host, whose connection ends with it."""
    gate = Server(jump.host, jump.port, server.timeout)
    try:
        transport = _logged_in(jump, gate, f"delivery trust {gate}", watchdog)
    except LoginRefused as error:
        raise LoginRefused(f"at the jump host {gate}: {error.message}", hint=error.hint) from None
    try:
        return transport.open_channel("direct-tcpip", (server.host, server.port), ("127.0.0.1", 0))
    except paramiko.ChannelException as error:
        transport.close()
        if error.code == _PROHIBITED:
            raise DestinationRefused(
                f"the jump host {gate} does not let {jump.username} through to {server}",
                hint="Ask its owner to allow TCP forwarding to that host and port.",
            ) from None
        raise DestinationFailed(f"the jump host {gate} does not reach {server}: {error.text}", step="connect") from None
    except BaseException:
        transport.close()
        raise


def _negotiate(server: Server, kinds: Sequence[str], watchdog: Watchdog) -> Transport:
    logging.getLogger("paramiko").addHandler(logging.NullHandler())  # or its threads print tracebacks to stderr
    sock = _dial(server, watchdog)
    try:
        transport = Transport(sock)
    except BaseException:
        sock.close()
        raise
    watchdog.closes(transport.close)
    options = transport.get_security_options()
    options.ciphers, options.digests = CIPHERS, MACS
    options.key_types = _names(kinds)
    later = server.timeout + 1.0  # the watchdog is quicker, and says what happened
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = later
    transport.channel_timeout = transport.clear_to_send_timeout = later
    try:
        transport.start_client(timeout=later)  # returns when the time is over, without an error
        transport.get_remote_server_key()  # raises then
    except IncompatiblePeer as error:
        transport.close()
        raise _Incompatible(error, transport) from None
    except BaseException:
        transport.close()
        raise
    return transport


def _names(kinds: Iterable[str]) -> tuple[str, ...]:
    """Of the signatures that keys of these types make."""
    return tuple(dict.fromkeys(name for kind in kinds for name in _SIGNATURES.get(kind, (kind,))))


def _host_key(transport: Transport) -> HostKey:
    key = transport.get_remote_server_key()
    return HostKey(key.get_name(), key.asbytes())


def _secret(value: object) -> str | None:
    """Read a pydantic SecretStr, if any."""
    get = getattr(value, "get_secret_value", None)
    return get() if get else None

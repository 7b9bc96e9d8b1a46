"""SSH connections to pinned servers: no agent, no ~/.ssh, no weak algorithm, no wait without an end."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import paramiko
from paramiko.pkey import UnknownKeyType
from paramiko.ssh_exception import IncompatiblePeer

from delivery.errors import ConfigError, DestinationFailed, DestinationRefused, HostKeyRefused, LoginRefused
from delivery.sftp.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from delivery.config.integrations import SftpDestination

# GCM first: paramiko prefers CTR with an HMAC, at 1.5 times the CPU (docs/decisions/0009-sftp-session.md).
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}  # a key of this type never signs with SHA-1 here


@dataclass(frozen=True)
class HostKey:
    """A server's public key: its type, as in OpenSSH, and its bytes."""

    kind: str
    blob: bytes

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read `ssh-ed25519 AAAA… [comment]`; ConfigError for anything else."""
        kind, _, rest = line.strip().partition(" ")
        try:
            blob = base64.b64decode(rest.split()[0], validate=True)
        except (IndexError, binascii.Error):
            blob = b""
        if kind not in KEY_TYPES or blob[4 : 4 + len(kind)] != kind.encode():
            hint = f"One line per key as OpenSSH writes it; types: {', '.join(KEY_TYPES)}."
            raise ConfigError(f"host_keys: not a public key: {line[:60]!r}", hint=hint)
        return cls(kind, blob)

    @property
    def line(self) -> str:
        """The key as OpenSSH writes it."""
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"

    @property
    def fingerprint(self) -> str:
        """The key as `ssh-keygen -l` shows it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


def connect(target: SftpDestination, trust: str, watchdog: Watchdog) -> paramiko.Transport:
    """Open a connection to a pinned server and log in. trust: the command that shows the server's keys."""
    pins = [HostKey.parse(line) for line in target.host_keys]
    key = _private_key(target.private_key, _secret(target.passphrase)) if target.private_key else None
    where, hint = f"{target.host}:{target.port}", f"Ask the server's owner whether its key changed; then: {trust}"
    try:
        transport = _negotiate(target.host, target.port, target.timeout, [pin.kind for pin in pins], watchdog)
    except IncompatiblePeer as error:
        if "host key" not in str(error):
            raise DestinationRefused(f"{where}: no algorithm in common that is safe ({error})") from error
        kinds = ", ".join(sorted({pin.kind for pin in pins}))
        raise HostKeyRefused(f"{where}: the server has no host key of a pinned type ({kinds})", hint=hint) from None
    seen = _host_key(transport)
    if seen not in pins:
        transport.close()
        message = f"{where}: the server's host key is not pinned: {seen.kind} {seen.fingerprint}"
        raise HostKeyRefused(message, hint=hint)
    watchdog.beat()
    _log_in(transport, target.username, key, _secret(target.password), watchdog)
    watchdog.beat()
    return transport


def fetch_host_keys(host: str, port: int = 22, timeout: float = 30.0) -> list[str]:
    """Return the server's host keys as OpenSSH lines, strongest type first; one handshake per type, no login."""
    found = []
    for kind in KEY_TYPES:
        watchdog = Watchdog(timeout, timeout)
        try:
            transport = _negotiate(host, port, timeout, [kind], watchdog)
            found.append(_host_key(transport).line)
            transport.close()
        except IncompatiblePeer:
            continue
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise DestinationFailed(f"{host}:{port}: {watchdog.reason or error}", step="connect") from error
        finally:
            watchdog.stop()
    return found


def _negotiate(host: str, port: int, timeout: float, kinds: Sequence[str], watchdog: Watchdog) -> paramiko.Transport:
    logging.getLogger("paramiko").addHandler(logging.NullHandler())  # or its threads print tracebacks to stderr
    sock = socket.create_connection((host, port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    try:
        transport = paramiko.Transport(sock)
    except BaseException:
        sock.close()
        raise
    watchdog.closes(transport.close)
    options = transport.get_security_options()
    options.ciphers, options.digests = CIPHERS, MACS
    options.key_types = tuple(dict.fromkeys(name for kind in kinds for name in _SIGNATURES.get(kind, (kind,))))
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = timeout
    transport.channel_timeout = transport.clear_to_send_timeout = timeout
    try:
        transport.start_client(timeout=timeout)  # returns when the time is over, without an error
        transport.get_remote_server_key()  # raises then
    except BaseException:
        transport.close()
        raise
    return transport


def _host_key(transport: paramiko.Transport) -> HostKey:
    key = transport.get_remote_server_key()
    return HostKey(key.get_name(), key.asbytes())


def _log_in(
    transport: paramiko.Transport, user: str, key: paramiko.PKey | None, password: str | None, watchdog: Watchdog
) -> None:
    """Offer the key, then the password where there is one and the server still asks."""
    refused: paramiko.AuthenticationException | None = None
    try:
        if key is not None:
            try:
                transport.auth_publickey(user, key)
            except paramiko.AuthenticationException as error:
                refused = error
        if password is not None and not transport.is_authenticated() and transport.is_active():
            transport.auth_password(user, password)
    except paramiko.AuthenticationException as error:
        refused = error
    if transport.is_authenticated():
        return
    if watchdog.reason or "timeout" in str(refused).lower():
        raise paramiko.SSHException("no answer to the login")
    # A connection closed here counts as refused: retrying a wrong password locks accounts.
    closed = "" if transport.is_active() else ", and the server closed the connection"
    offered = " and ".join(text for text, given in (("the key", key), ("the password", password)) if given)
    transport.close()
    raise LoginRefused(
        f"login as {user} was refused with {offered or 'nothing'}{closed}",
        hint="Check username, key and password with the server's owner; nothing is tried again by itself.",
    )


def _private_key(path: Path, passphrase: str | None) -> paramiko.PKey:
    """Load a key that only its owner can read; the messages never quote the file."""
    path = path.expanduser()
    try:
        mode = path.stat().st_mode
        if mode & 0o077:
            hint = f"chmod 600 {path}"
            raise ConfigError(f"private_key: {path} is open to others (mode {mode & 0o777:04o})", hint=hint)
        # bytes, whatever the signature says: with text, 5.1.0 fails for every encrypted key
        return paramiko.PKey.from_path(path, passphrase.encode() if passphrase else None)  # type: ignore[arg-type]
    except OSError as error:
        raise ConfigError(f"private_key: {path}: {error.strerror}", hint="Give the path of a readable key.") from None
    except (ValueError, TypeError, paramiko.SSHException, UnknownKeyType):
        hint = "Check the passphrase; types: ed25519, ECDSA, RSA."
        raise ConfigError(f"private_key: {path} cannot be read as a key with this passphrase", hint=hint) from None


def _secret(value: object) -> str | None:
    """Read a pydantic SecretStr, if any."""
    get = getattr(value, "get_secret_value", None)
    return get() if get else None

"""Logging in: every order of the two factors, what servers ask, and what is said when it cannot be."""

from __future__ import annotations

import base64
import threading
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
from asyncssh_here import Account, Asked, running, target
from cryptography.hazmat.primitives import serialization
from servers import PASSWORD, SshServer, keygen, missing_for_sshd, running_sshd

from delivery.config.host_keys import HostKey
from delivery.errors import DestinationFailed, DestinationRefused, LoginRefused
from delivery.sftp.ssh import Server, fetch_host_keys
from delivery.transfer.sftp_directory import SftpDirectory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from delivery.config.integrations import SftpDestination

with_sshd = pytest.mark.skipif(bool(missing_for_sshd()), reason=missing_for_sshd())


def log_in(target: SftpDestination, **changes: Any) -> None:
    with SftpDirectory.of("acme", target.model_copy(update=changes), "."):
        pass


HIDDEN = ("Password: ", False)


@pytest.mark.parametrize(
    "rounds",
    [
        [("", [HIDDEN])],
        [("Terms of use", []), ("", [("Passwort für acme:", False)])],
        [("", [HIDDEN]), ("You are in", [])],
    ],
)
def test_a_password_that_is_asked_for(tmp_path: Path, rounds: list[tuple[str, Asked]]) -> None:
    """Alone, and after a key that the server does not know."""
    with running(tmp_path, rounds) as (server, given):
        if rounds[-1][1]:
            keygen(tmp_path / "stranger")
            log_in(server, private_key=tmp_path / "stranger")
        else:
            with pytest.raises(LoginRefused):  # an empty answer to a notice is not the password
                log_in(server)
    assert given == [PASSWORD]


@pytest.mark.parametrize(
    ("rounds", "shown"),
    [
        ([("", [HIDDEN, ("Token: ", False)])], "'Password', 'Token'"),
        ([("", [("Verification code: ", False)])], "'Verification code'"),
        ([("", [HIDDEN]), ("", [("Enter it for jane@example.com", True)])], "'Enter it for <address>'"),
    ],
)
def test_what_only_a_person_can_answer(tmp_path: Path, rounds: list[tuple[str, Asked]], shown: str) -> None:
    with running(tmp_path, rounds) as (server, given), pytest.raises(LoginRefused) as caught:
        log_in(server)
    assert f"asks for {shown}, which only a person can answer" in caught.value.message
    assert given == [PASSWORD] * (len(rounds) - 1), "the password answers nothing else"


@pytest.mark.parametrize("how", ["password", "asked", "told after it"])
def test_a_password_that_has_expired(tmp_path: Path, how: str) -> None:
    """Exit 4, and given once: the account may be locked."""
    rounds = {"asked": [("Your password has expired", [("New password: ", False)])], "password": []}
    rounds["told after it"] = [("", [HIDDEN]), ("You must change your password now", [HIDDEN])]
    world = running(tmp_path, rounds[how], expired=True, asks=how != "password")
    with world as (server, given), pytest.raises(LoginRefused, match="has expired") as caught:
        log_in(server)
    assert len(given) == (how != "asked")
    assert "may lock the account" in caught.value.hint


def test_a_password_that_was_refused_is_not_given_again(tmp_path: Path) -> None:
    """Where the server would take it in answer to a question, too."""
    with running(tmp_path, [("", [HIDDEN])], asks=False) as (server, given), pytest.raises(LoginRefused) as caught:
        log_in(server.model_copy(update={"password": type(server.password)("battery staple")}))  # type: ignore[arg-type]
    assert given == ["battery staple"]
    assert caught.value.message.startswith("login as acme was refused with the password")


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    """Nothing was given: to try again does no harm."""
    with running(tmp_path, [("", [HIDDEN])], login_timeout=1) as (server, given):
        waits = threading.Event()
        slow = Account.begin_auth
        Account.begin_auth = lambda self, username: waits.wait(2) or True  # type: ignore[method-assign]
        try:
            with pytest.raises(DestinationFailed):
                log_in(server, timeout=0.5)
        finally:
            waits.set()
            Account.begin_auth = slow  # type: ignore[method-assign]
    assert given == []


@with_sshd
@pytest.mark.parametrize("order", ["publickey,password", "password,publickey"])
def test_two_factors_in_either_order(order: str, tmp_path: Path) -> None:
    with running_sshd(("ed25519",), extra=f"AuthenticationMethods {order}") as server:
        log_in(server.target(private_key=server.user_key, password=PASSWORD))
        first, _, second = order.partition(",")
        login = {"publickey": {"private_key": server.user_key}, "password": {"password": PASSWORD}}
        for name, given in login.items():
            with pytest.raises(LoginRefused) as caught:
                log_in(server.target(**given))
            lacking = "password" if name == "publickey" else "private_key"
            assert f"Set `{lacking}`" in caught.value.hint
            wants = "still wants" if name == first else "takes"
            assert f"{wants} a {'password' if lacking == 'password' else 'key'}" in caught.value.message, second
        keygen(tmp_path / "stranger")
        with pytest.raises(LoginRefused, match="refused with the key"):
            log_in(server.target(private_key=tmp_path / "stranger", password=PASSWORD))


# Keys in other forms


PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PKCS8, OLD = serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL


@with_sshd
def test_keys_as_other_programs_write_them(sshd: SshServer, tmp_path: Path) -> None:
    """PKCS#8 with and without passphrase, of every type; the old form; DER; and from the environment."""
    known = sshd.base / "authorized_keys"
    before = known.read_text()
    plain = serialization.NoEncryption()
    locked = serialization.BestAvailableEncryption(b"open sesame")
    forms = {
        "rsa": [(PEM, PKCS8, plain), (PEM, OLD, plain)],
        "ecdsa": [(PEM, PKCS8, locked), (PEM, OLD, plain)],
        "ed25519": [(PEM, PKCS8, plain), (DER, PKCS8, plain)],
    }
    try:
        for kind in ("rsa", "ecdsa", "ed25519"):
            public = keygen(path := tmp_path / kind, kind)
            known.write_text(public + "\n")
            key = serialization.load_ssh_private_key(path.read_bytes(), None)
            for encoding, form, secrecy in forms[kind]:
                path.write_bytes(key.private_bytes(encoding, form, secrecy))
                words = {"passphrase": "open sesame"} if secrecy is locked else {}
                log_in(sshd.target(private_key=path, **words))
                if form is PKCS8 and encoding is PEM:
                    log_in(sshd.target(private_key=path.read_text().replace("\n", "\\n"), **words))
    finally:
        known.write_text(before)


# Who the server is


SCANNED: list[Callable[[str], str]] = [
    lambda key: f"sftp.example.com {key}",
    lambda key: f"[sftp.example.com]:2222,[192.0.2.1]:2222 {key} a comment\r",
    lambda key: f"|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= {key}",
    lambda key: f"  {key}\n",
]


@pytest.mark.parametrize("scanned", SCANNED)
def test_pins_as_ssh_keyscan_prints_them(tmp_path: Path, scanned: Callable[[str], str]) -> None:
    key = keygen(tmp_path / "key")
    of = target(22, scanned(key), private_key=tmp_path / "key")
    assert of.host_keys == [key]


@pytest.mark.parametrize(
    "kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"]
)
def test_a_key_of_each_type_is_read_and_known_by_its_fingerprint(kind: str) -> None:
    made = asyncssh.generate_private_key(kind)
    line = made.export_public_key().decode().strip()
    key = HostKey.parse(line)
    assert (key.kind, key.line, key.fingerprint) == (kind, line, made.get_fingerprint())


@pytest.mark.parametrize("mark", ["@revoked ", "@cert-authority *.example.com ", "no-pty "])
def test_what_pins_nothing(tmp_path: Path, mark: str) -> None:
    """A mark before a key says the opposite of what it seems to; `no-pty` is read as a host."""
    key = keygen(tmp_path / "key")
    if mark.startswith("@"):
        with pytest.raises(ValueError, match="no public key"):
            HostKey.parse(mark + key)
    else:
        assert HostKey.parse(mark + key).line == key


@pytest.mark.parametrize(
    "line",
    [
        "", "ssh-ed25519", "sftp.example.com ssh-ed25519", "{key} {blob}", "ssh-rsa {blob}", "ssh-ed25519 {blob}!",
        "ssh-ed25519 {named}", "ssh-ed25519 AAAA", "a b ssh-ed25519 {blob}",
    ],
)  # fmt: skip
def test_lines_that_are_no_key(tmp_path: Path, line: str) -> None:
    """Nothing, no key, no type, another type, cut, only its type, and behind two words."""
    _, blob = keygen(tmp_path / "key").split()
    named = base64.b64encode(base64.b64decode(blob)[:15]).decode()
    with pytest.raises(ValueError, match="is no public key of a server"):
        HostKey.parse(line.format(blob=blob, named=named, key="no-such-type"))


@pytest.mark.parametrize(
    ("settings", "offered"),
    [
        ({"kex_algs": ["diffie-hellman-group14-sha1"]}, "key exchanges the server offers diffie-hellman-group14-sha1"),
        ({"encryption_algs": ["aes256-cbc"], "mac_algs": ["hmac-sha1"]}, "ciphers the server offers aes256-cbc"),
        ({"encryption_algs": ["aes128-ctr"], "mac_algs": ["hmac-sha1"]}, "MACs the server offers hmac-sha1"),
    ],
)
def test_a_server_with_nothing_that_is_safe(tmp_path: Path, settings: dict[str, Any], offered: str) -> None:
    """Its keys cannot be shown: an empty list would look as if there were none."""
    with running(tmp_path, [("", [HIDDEN])], **settings) as (server, _):
        for use in (lambda: log_in(server), lambda: fetch_host_keys(Server(server.host, server.port, 5))):
            with pytest.raises(DestinationRefused, match="no algorithm in common") as caught:
                use()
            assert caught.value.message.endswith(offered)
            assert "sha2" in caught.value.hint or "aes128-gcm" in caught.value.hint

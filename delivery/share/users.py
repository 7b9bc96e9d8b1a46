"""Who may enter the share. One `passwd` is read by both servers, at each login and each request: who is out, is out."""

from __future__ import annotations

import base64
import re
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from delivery.config.host_keys import HostKey
from delivery.errors import ConfigError
from delivery.files.disk import locked, writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from delivery.config.share import Share

NAME = re.compile(r"[a-z][a-z0-9_.-]{0,31}")
SHORTEST, LONGEST = 12, 72  # characters of a password; bytes that bcrypt looks at
# Asked for at each request of the page: 2**10 rounds, what OWASP has as the least, take some 60 ms.
ROUNDS = 10
RSA_BITS = 2048  # NIST SP 800-131A: shorter keys are not to be used
_NO_PASSWORD = "*"  # noqa: S105 - no hash is like this
_ID = 65534  # neither server runs as root, so that none can change to it


@dataclass(frozen=True)
class User:
    """One login. password: its hash; keys: the text of the file of public keys that the SFTP server reads."""

    name: str
    namespaces: tuple[str, ...]
    password: str = _NO_PASSWORD
    keys: str = ""

    @property
    def has_password(self) -> bool:
        """Whether the page lets it in."""
        return self.password != _NO_PASSWORD

    @property
    def key_count(self) -> int:
        """How many public keys it has."""
        return self.keys.count("BEGIN")


class Users:
    """The list in one folder: `passwd`, `groups` for Apache and `group` for ProFTPD, where a group is a namespace.

    Files have mode 0640 and folders 2750, so that the servers' group reads them, if the folder above is that group's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"

    @classmethod
    def of(cls, share: Share) -> Self:
        """Those who may enter a share."""
        return cls(share.folder / "users")

    def all(self) -> dict[str, User]:
        """By name, sorted."""
        return {name: replace(user, keys=self._keys(name)) for name, user in self.listed().items()}

    def listed(self) -> dict[str, User]:
        """By name, sorted, without their keys: what is asked at each click."""
        lines = [line.split(":") for line in _lines(self.folder / "passwd")]
        groups = (line.partition(":") for line in _lines(self.folder / "groups"))
        members = {namespace: users.split() for namespace, _, users in groups}
        return {
            name: User(name, tuple(ns for ns in members if name in members[ns]), password)
            for name, password, *_ in sorted(lines)
        }

    def put(self, user: User) -> None:
        """Adds the user, or sets one with that name anew."""
        with self._changing() as users:
            users[user.name] = user

    def remove(self, name: str) -> None:
        """Raises ConfigError for one who is not there."""
        with self._changing() as users:
            if name not in users:
                raise ConfigError(f"No user {name!r}.", hint=f"Known: {', '.join(users) or 'none'}.")
            del users[name]

    def make(self) -> None:
        """Makes the list, with nobody on it, where there is none: the servers do not start without."""
        with self._changing():
            pass

    def _keys(self, name: str) -> str:
        return "\n".join(_lines(self.folder / "keys" / name))

    @contextmanager
    def _changing(self) -> Iterator[dict[str, User]]:
        keys = self.folder / "keys"
        with writing(self.folder):
            for folder in (self.folder.parent, self.folder, keys, self.home):
                if not folder.exists():
                    folder.mkdir()
                    folder.chmod(0o2750)
            with locked(self.folder):
                users = self.all()
                yield users
                self._write(users)
                for path in keys.iterdir():
                    if path.name not in users:
                        path.unlink()

    def _write(self, users: dict[str, User]) -> None:
        """What lets in comes last for who is new; for who is gone nothing is left that lets in after the first."""
        namespaces = sorted({ns for user in users.values() for ns in user.namespaces})
        members = {ns: [user.name for user in users.values() if ns in user.namespaces] for ns in namespaces}
        passwd = [f"{user.name}:{user.password}:{_ID}:{_ID}::{self.home}:/bin/false" for user in users.values()]
        known = self.all()
        _put(self.folder / "passwd", [line for line in passwd if line.partition(":")[0] in known])
        _put(self.folder / "groups", [f"{ns}: {' '.join(names)}" for ns, names in members.items()])
        numbered = enumerate(members.items(), _ID + 1)
        _put(self.folder / "group", [f"{ns}:x:{number}:{','.join(names)}" for number, (ns, names) in numbered])
        for user in users.values():
            _put(self.folder / "keys" / user.name, user.keys.splitlines())
        _put(self.folder / "passwd", passwd)


def new_user(name: str, namespaces: Iterable[str], known: Iterable[str], password: str, keys: Iterable[str]) -> User:
    """A user as people give it. known: the namespaces there are. password: "" for none; keys: OpenSSH lines.

    Raises ConfigError with every fault; it quotes no password.
    """
    chosen, known = tuple(sorted(set(namespaces))), sorted(known)
    faults = [f"unknown namespace {ns!r}; known: {', '.join(known)}" for ns in chosen if ns not in known]
    if not NAME.fullmatch(name):
        faults.append("a user's name has small letters, digits, dots, - and _, begins with a letter, at most 32 long")
    if password and len(password) < SHORTEST:
        faults.append(f"the password is shorter than {SHORTEST} characters")
    if len(password.encode()) > LONGEST or not password.isprintable():
        faults.append(f"the password is longer than {LONGEST} bytes, or has what cannot be typed")
    shown = []
    for line in keys:
        try:
            shown.append(_rfc4716(_key(line)))
        except ValueError:
            faults.append(
                "a public key is not one whole line as OpenSSH writes it, without options: ssh-ed25519 AAAA…; "
                f"RSA has {RSA_BITS} bits at least"
            )
    if not password and not shown:
        faults.append("there is neither a password nor a public key")
    if faults:
        raise ConfigError(f"User {name!r}: " + "; ".join(faults) + ".")
    return User(name, chosen, hashed(password) if password else _NO_PASSWORD, "\n".join(shown))


def hashed(password: str) -> str:
    """Its bcrypt hash, under the one prefix that both Apache and the C library know."""
    import bcrypt

    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(ROUNDS)).decode().replace("$2b$", "$2y$", 1)


def _key(line: str) -> HostKey:
    """Raises ValueError for options, which no server would hold, for more lines than one, and for a part of a key."""
    key, end, size = HostKey.parse(line), 0, 0
    while end < len(key.blob):  # its numbers, each after its length; of RSA the modulus is the last
        size = int.from_bytes(key.blob[end : end + 4], "big")
        end += 4 + size
    is_weak = key.kind == "ssh-rsa" and size * 8 < RSA_BITS
    if not line.startswith(key.kind) or len(line.splitlines()) > 1 or end != len(key.blob) or is_weak:
        raise ValueError(line)
    return key


def _rfc4716(key: HostKey) -> str:
    text = base64.b64encode(key.blob).decode()
    lines = [text[start : start + 70] for start in range(0, len(text), 70)]
    return "\n".join(["---- BEGIN SSH2 PUBLIC KEY ----", *lines, "---- END SSH2 PUBLIC KEY ----"])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def _put(path: Path, lines: list[str]) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    unfinished.chmod(0o640)
    unfinished.replace(path)

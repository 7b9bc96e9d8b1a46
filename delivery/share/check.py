"""Proving the share from outside: each user finds the own files and figures, whole, and nothing of anybody else."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery.errors import ConfigError, DeliveryError
from delivery.files.manifest import DeliveryManifest
from delivery.schedule.names import MANIFEST_SUFFIX
from delivery.share.config import run_folder
from delivery.share.doors import Web, open_door
from delivery.share.logs import told

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.config.share import Share
    from delivery.share.doors import Door
    from delivery.share.users import User

DOORS = ("page", "sftp")
LOG_SECONDS = 5  # in which a server has written down what it sent


@dataclass(frozen=True)
class Proof:
    """What one user was found to see and do at one door. problem: empty when that is right."""

    user: str
    door: str
    what: str
    problem: str


def check(share: Share, files: Path, users: dict[str, User], passwords: dict[str, str]) -> list[Proof]:
    """Everything that is to be proven, for each user with a password. files: the share's root, as we see it.

    Of each client the newest delivery is fetched whole; beside it lie two hidden files for a moment.
    Raises ConfigError when the servers have no host key yet.
    """
    try:
        host_key = (run_folder(share) / "host.key.pub").read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"The SFTP server's host key cannot be read: {error.strerror}.", hint="Start both servers: docs/share.md."
        ) from None
    proofs, before = [_links(files)] if share.view is None else [], told(share)
    for name, password in passwords.items():
        for kind in DOORS:
            try:
                with open_door(kind, share, host_key, name, password) as door:
                    proofs += _of(door, users[name], files)
                    if share.analytics_port and isinstance(door, Web):
                        proofs += _figures(door, users[name], _clients(files))
            except DeliveryError as error:
                proofs.append(Proof(name, kind, "log in", error.message))
    own = {
        name: {*users[name].namespaces} & {one for one in _clients(files) if _newest(files, one)} for name in passwords
    }
    whole = [one for one in proofs if one.what == "own files whole" and not one.problem]
    fetched = [(one.user, one.door) for one in whole if own[one.user]]
    return [*proofs, *_logged(share, before, fetched)]


def _logged(share: Share, before: Counter[tuple[str, str]], fetched: list[tuple[str, str]]) -> Iterator[Proof]:
    """Whether the servers wrote down what was fetched; else `share log` would call it not fetched for good."""
    until, now = time.monotonic() + LOG_SECONDS, told(share)
    while any(now[one] <= before[one] for one in fetched) and time.monotonic() < until:
        time.sleep(0.1)
        now = told(share)
    for user, door in fetched:
        silent = f"no new line in {run_folder(share)} tells of what was fetched"
        yield Proof(user, door, "in the log", "" if now[user, door] > before[user, door] else silent)


def _links(files: Path) -> Proof:
    """The SFTP server follows links, unless the share is mounted for it so that it cannot."""
    found = [path for path in files.rglob("*") if path.is_symlink()]
    return Proof("", "", "no links on the share", f"{found[0]} is one; remove it, or set `view`" if found else "")


def _of(door: Door, user: User, files: Path) -> Iterator[Proof]:
    clients = _clients(files)
    mine = clients & {*user.namespaces}
    if (seen := door.folders()) != mine:
        yield Proof(user.name, door.name, "own folders", f"sees {_names(seen)} instead of {_names(mine)}")
    else:
        yield Proof(user.name, door.name, "own folders", "")
    newest = {client: _newest(files, client) for client in clients}
    wrong = [path for client in mine for path, sha256 in newest[client].items() if door.fetch(path) != sha256]
    yield Proof(user.name, door.name, "own files whole", f"not as its manifest says: {wrong[0]}" if wrong else "")
    others = [path for client in clients - mine for path in (f"/{client}/", *newest[client])]
    open_ = [path for path in others if door.fetch(path) is not None or (path[-1] == "/" and door.names(path[:-1]))]
    yield Proof(user.name, door.name, "nothing of others", f"could be read: {open_[0]}" if open_ else "")
    probe = f"probe_{secrets.token_hex(4)}"
    own, foreign = ([path for client in sorted(of) for path in newest[client]] for of in (mine, clients - mine))
    if own:
        folder = own[0].rpartition("/")[0]
        made = door.changes(own[0], f"{folder}/{probe}")
        for path in foreign[:1]:
            made += [f"{way} at another's" for way in door.changes(path, f"{path.rpartition('/')[0]}/{probe}")]
        yield Proof(user.name, door.name, "no change", f"not refused: {', '.join(made)}" if made else "")
        yield Proof(user.name, door.name, "nothing hidden", _shown(door, files, folder, probe))


def _shown(door: Door, files: Path, folder: str, probe: str) -> str:
    """What is wrong when names that nobody is to see lie in a folder: one that is hidden, one that is temporary."""
    names = f".{probe}", f"{probe}.part"
    try:
        for name in names:
            with (files / folder[1:] / name).open("x") as file:
                file.write("for a moment\n")
                os.fchmod(file.fileno(), 0o640)
        listed = door.names(folder)
        seen = [name for name in names if name in listed]
        seen += [f"{name} by its name" for name in names if door.fetch(f"{folder}/{name}") is not None]
    except OSError as error:
        return f"could not be tried, no file could be made: {error.strerror}; run it as the user who delivers"
    finally:
        for name in names:
            with suppress(OSError):
                (files / folder[1:] / name).unlink()
    return f"shown: {', '.join(seen)}" if seen else ""


def _figures(page: Web, user: User, clients: set[str]) -> Iterator[Proof]:
    """Rows of the own clients, or that no contract has them; of others what is said of a client that there is not."""
    unknown = page.figures(f"nobody_{secrets.token_hex(4)}")
    answers = {client: page.figures(client) for client in sorted(clients)}
    wrong = [
        f"of {client}: {answer}"
        for client, answer in answers.items()
        if client in user.namespaces and (answer == unknown or answer.status not in (200, 404))
    ]
    yield Proof(user.name, "figures", "own figures", wrong[0] if wrong else "")
    open_ = [client for client in answers if client not in user.namespaces and answers[client] != unknown]
    yield Proof(user.name, "figures", "nothing of others", f"another answer of {open_[0]}" if open_ else "")


def _clients(files: Path) -> set[str]:
    """Who has a folder on the share."""
    return {folder.name for folder in files.iterdir() if folder.is_dir() and not folder.is_symlink()}


def _newest(files: Path, client: str) -> dict[str, str]:
    """SHA-256 by path of the files of a client's newest delivery; none where nothing lies there."""
    manifests = [path for path in (files / client).rglob(f"*{MANIFEST_SUFFIX}") if not path.name.startswith(".")]
    for path in sorted(manifests, key=lambda path: path.stat().st_mtime, reverse=True):
        if manifest := DeliveryManifest.read(path):
            return {f"/{path.relative_to(files).with_name(file.name)}": file.sha256 for file in manifest.files}
    return {}


def _names(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"

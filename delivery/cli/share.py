"""`share`: the page and the SFTP server on which clients fetch from the hosted share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from delivery.cli.command import HELP, cli, command, project, telling
from delivery.console import Table, View
from delivery.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from delivery.config.integrations_file import Integrations
    from delivery.config.project import Project
    from delivery.config.share import Share


@cli.group(context_settings=HELP)
def share() -> None:
    """The page and the SFTP server on which clients fetch from the hosted share."""


@share.group(context_settings=HELP)
def user() -> None:
    """Who may enter, and which clients' folders they see."""


def _opened() -> tuple[Project, Integrations, Share]:
    """The project, its integrations and its share. Raises ConfigError when there is none."""
    from delivery.config.integrations_file import Integrations
    from delivery.share.config import settings

    asked = project()
    integrations = Integrations(asked.integrations_file)
    return asked, integrations, settings(integrations)


@command(group=share)
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="A folder.")
def config(*, output: Path) -> View:
    """Write the configuration of both servers, and their systemd units."""
    from delivery.share import config as configuration

    asked, integrations, _ = _opened()
    account = (configuration.ACCOUNT, configuration.ACCOUNT)
    written = configuration.write(asked, integrations, output, account)
    return View({"files": written}, [*map(str, written), "What to do with them: docs/share.md."])


@command(group=user)
@click.argument("name")
@click.option("--namespace", multiple=True, required=True, help="A client whose folder the user sees. May be repeated.")
@click.option("--key", "keys", multiple=True, help="A public key for SFTP, as OpenSSH writes it. May be repeated.")
@click.option("--no-password", is_flag=True, help="SFTP by key only.")
def add(*, name: str, namespace: tuple[str, ...], keys: tuple[str, ...], no_password: bool) -> View:
    """Add a user, or set one anew; the password is asked for, or is the first line of standard input."""
    from delivery.share.config import namespaces
    from delivery.share.sessions import end_sessions
    from delivery.share.users import Users, new_user

    _, integrations, doors = _opened()
    password = "" if no_password else asked_password(name, confirm=True)
    added = new_user(name, namespace, namespaces(integrations), password, keys)
    users = Users.of(doors)
    had = name in users.listed()
    users.put(added)
    if had:  # somebody else may have had the name
        end_sessions(doors, name)
    return View({"user": name, "namespaces": added.namespaces}, [f"{name} may enter by both doors now."])


@command(group=user)
@click.argument("name")
def remove(*, name: str) -> View:
    """Remove a user, who is out at once at both doors."""
    from delivery.share.sessions import end_sessions
    from delivery.share.users import Users

    _, _, doors = _opened()
    Users.of(doors).remove(name)
    end_sessions(doors, name)
    return View({"user": name}, [f"{name} is out."])


@command(group=user, tables=True)
def list_() -> View:
    """The users, with what they see and how they may log in."""
    from delivery.share.users import Users

    _, _, doors = _opened()
    found = Users.of(doors).all().values()
    return View(
        {
            "users": [
                {"name": u.name, "namespaces": u.namespaces, "password": u.has_password, "keys": u.key_count}
                for u in found
            ]
        },
        [
            Table(
                ["user", "clients", "password", "#keys"],
                [[u.name, ", ".join(u.namespaces), "yes" if u.has_password else "no", u.key_count] for u in found],
            )
        ],
    )


def asked_password(name: str, *, confirm: bool = False) -> str:
    """From the terminal, unseen, or the next line of standard input."""
    if sys.stdin.isatty():
        return str(click.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=confirm, err=True))
    return sys.stdin.readline().rstrip("\r\n")


@command(group=share, tables=True)
def check() -> View:
    """Log in as each user by both doors, and prove: own files there and whole, nobody else's, no change."""
    from delivery.share import check as checks
    from delivery.share.logs import read_logs
    from delivery.share.users import Users

    asked, _, doors = _opened()
    users = Users.of(doors).all()
    passwords = {name: asked_password(name) for name, one in users.items() if one.has_password}
    if unsaid := [name for name, password in passwords.items() if not password]:
        raise ConfigError(
            f"No password was given of {', '.join(unsaid)}; nobody was logged in.",
            hint=f"Type it, or write a line for each to standard input, in this order: {', '.join(passwords)}.",
        )
    read_logs(asked, doors)
    found = checks.check(doors, asked.share, users, passwords)
    read_logs(asked, doors, checked=passwords)
    unasked = [f"{name} has no password, and was not checked." for name in users if name not in passwords]
    return View(
        {"proofs": found},
        [
            Table(
                ["user", "door", "what", "result"],
                [[proof.user, proof.door, proof.what, proof.problem or "proven"] for proof in found],
            ),
            *unasked,
        ],
        ExitCode.FAILED if any(proof.problem for proof in found) else ExitCode.DONE,
    )


@command(group=share, tables=True)
def log() -> View:
    """Read both servers' logs into the ledger: who fetched which file, when, how much of it."""
    from delivery.share.logs import read_logs

    asked = project()
    with telling(asked, "share log"):
        _, _, doors = _opened()
        found = read_logs(asked, doors)
    return View(
        {"fetched": [{**fetch._asdict(), "name": file.name} for fetch, file in found]},
        [
            Table(
                ["at", "user", "door", "file", "#bytes", "#of"],
                [[one.at, one.login, one.door, file.name, one.bytes, one.size] for one, file in found],
            ),
            f"{len(found)} new.",
        ],
    )

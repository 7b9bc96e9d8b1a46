"""`init`: the first files of a dbt project that delivers."""

from __future__ import annotations

import sys

import click

from delivery.cli.command import as_json, command
from delivery.console import View
from delivery.errors import ConfigError

OF_SERVER = ("host", "username", "host_key")
KINDS = click.Choice(["sftp", "local", "hosted"], case_sensitive=False)
QUESTIONS = {
    "client": "The client, as the column namespace has it",
    "dataset": "The model that it gets",
    "destination": "Where its files go: sftp, local (a folder) or hosted (the share)",
    "directory": "The directory there",
    "host": "The SFTP server: HOST or HOST:PORT",
    "username": "The login there, a service account and not a person's",
    "host_key": "The server's key, a line of `delivery trust HOST[:PORT]` that the client confirmed",
}


@command()
@click.option("--client", metavar="NAME", help=f"{QUESTIONS['client']}.")
@click.option("--dataset", metavar="MODEL", help=f"{QUESTIONS['dataset']}.")
@click.option("--destination", type=KINDS, help="Where its files go.")
@click.option("--directory", metavar="PATH", help=f"{QUESTIONS['directory']}.")
@click.option("--host", metavar="HOST[:PORT]", help="The SFTP server.")
@click.option("--username", metavar="NAME", help=f"{QUESTIONS['username']}; the password comes from the environment.")
@click.option("--host-key", metavar="LINE", help=f"{QUESTIONS['host_key']}.")
@click.option("--schedule", metavar="CRON", default="0 5 * * *", show_default=True, help="When, in UTC, or `once`.")
def init(*, schedule: str, **said: str | None) -> View:
    """Write integrations.yml and a campaign for a first client, and say what is next. Asks for what is not given."""
    from delivery.operations.first_files import Wanted, write_first_files

    asks = sys.stdin.isatty() and not as_json()
    answers: dict[str, str] = {}
    for name, question in QUESTIONS.items():
        if name not in OF_SERVER or answers["destination"] == "sftp":
            kind = KINDS if name == "destination" else None
            answers[name] = said[name] or (
                click.prompt(question, type=kind, show_choices=False, err=True) if asks else ""
            )
    options = {name: f"--{name.replace('_', '-')}" for name in QUESTIONS}
    if missing := [options[name] for name, answer in answers.items() if not answer]:
        raise ConfigError(f"Not given: {', '.join(missing)}.", hint="Give it, or answer questions on a terminal.")
    if stray := [options[name] for name in OF_SERVER if said[name] and name not in answers]:
        raise ConfigError(f"Only for --destination sftp: {', '.join(stray)}.", hint="Leave it out, or give that.")
    done = write_first_files(
        click.get_current_context().find_root().obj["project_dir"].resolve(), Wanted(**answers, schedule=schedule)
    )
    return View(done, [f"Written: {', '.join(done.files)}.", "Next:", *(f"  {step}" for step in done.next)])

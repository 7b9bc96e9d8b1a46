"""The command line's frame: its options before the command, and what every command has in common."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from delivery import __version__, console
from delivery.errors import ConfigError, ExitCode, known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from delivery.config.project import Project

EXIT_CODES = """\b
Exit codes:
  0  done
  1  some delivery failed or is held; failed ones may be tried again
  2  wrong command line or configuration; nothing was started
  3  the gate refused: a test failed, or has no fresh result
  4  the destination refused: host key, login, permission or directory
  5  nothing was due
"""
# Commands that `status` has taken over: they still do what they did, and are in no help.
OLDER_NAMES = {"held": ["--held"], "gaps": ["--gaps"], "layouts": ["--layouts"], "history": []}
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _Group(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] in OLDER_NAMES:
            args = ["status", *OLDER_NAMES[args[0]], *args[1:]]
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        formatter.write("\n" + EXIT_CODES.removeprefix("\b\n"))


@click.group(cls=_Group, context_settings=HELP)
@click.version_option(__version__)
@click.option(
    "--project-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    envvar="DELIVERY_PROJECT_DIR",
    help="The dbt project. [default: here]",
)
@click.option("--target", envvar="DBT_TARGET", help="A target of profiles.yml. [default: the profile's]")
@click.option("--ledger", envvar="DELIVERY_LEDGER", help="SQLAlchemy URL. [default: SQLite in .delivery/]")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_context
def cli(ctx: click.Context, project_dir: Path, target: str | None, ledger: str | None, debug: bool) -> None:
    """Hands each client its tested data, exactly once."""
    ctx.obj = {"project_dir": project_dir, "target": target, "ledger": ledger}
    ctx.meta["debug"] = debug


def project() -> Project:
    """The project that the options name. Raises ConfigError."""
    from delivery.config.project import open_project

    asked = click.get_current_context().find_root().obj
    return open_project(asked["project_dir"], asked["target"], asked["ledger"])


def as_json() -> bool:
    """Whether the command was asked for a JSON document."""
    return bool(click.get_current_context().params["as_json"])


def instant(at: str | None) -> datetime:
    """The time that counts as now. Raises ConfigError for what is no time, or has not come."""
    from datetime import UTC, datetime

    from delivery.windows import parse_instant

    now = datetime.now(UTC)
    chosen = now if at is None else parse_instant(at)
    if chosen > now:
        raise ConfigError(
            f"{at} has not come: it is {now:%Y-%m-%dT%H:%M:%SZ}.", hint="Give a time in the past, or set the clock."
        )
    return chosen


@contextmanager
def telling(asked: Project, command: str) -> Iterator[None]:
    """Tells the sinks of integrations.yml when a command that a timer runs fails."""
    from delivery.operations.alerts import alert_of

    error = None
    try:
        yield
    except Exception as failure:
        error = known(failure)
        raise
    finally:
        for text in alert_of(asked, command, error):
            console.say(text)


def command(
    *, group: click.Group = cli, tables: bool = False
) -> Callable[[Callable[..., console.View | None]], click.Command]:
    """A command that returns a view: shown as tables or, with --json, as a document; errors become exit codes.

    tables: whether it shows any, and may be asked for --full ones.
    """

    def of(function: Callable[..., console.View | None]) -> click.Command:
        @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, all else on stderr.")
        @click.pass_context
        @functools.wraps(function)
        def wrapped(ctx: click.Context, /, *args: Any, as_json: bool, full: bool = False, **options: Any) -> None:
            try:
                view = function(*args, **options)
                if view is not None:
                    console.show(view, as_json=as_json, full=full)
                code = ExitCode.DONE if view is None else view.code
            except (click.exceptions.Exit, click.exceptions.Abort):
                raise
            except Exception as error:  # noqa: BLE001 - shown here or nowhere: a raw traceback may quote the data
                if ctx.meta["debug"]:
                    console.traceback(error)
                shown = known(error)
                console.failure(shown, as_json=as_json)
                code = shown.exit_code
            ctx.exit(int(code))

        if tables:
            full = click.option("--full", is_flag=True, help="Tables as wide as they need, with whole hashes.")
            wrapped = full(wrapped)
        return group.command(name=function.__name__.rstrip("_"), context_settings=HELP)(wrapped)

    return of

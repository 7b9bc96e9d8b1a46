"""The command line: options and exit codes, nothing else. Modules are imported by the commands that need them."""

from __future__ import annotations

import functools
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from delivery import __version__
from delivery.errors import ConfigError, DeliveryError, ExitCode, redact, unexpected
from delivery.windows import when

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.config.project import Project
    from delivery.schedule.request import Request

EXIT_CODES = """\b
Exit codes:
  0  done
  1  some delivery failed or is held; failed ones may be tried again
  2  wrong command line or configuration; nothing was started
  3  the gate refused: a test failed, or has no fresh result
  4  the destination refused: host key, login, permission or directory
  5  nothing was due
"""


HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class _Group(click.Group):
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


def _project() -> Project:
    from delivery.config.project import open_project

    asked = click.get_current_context().find_root().obj
    return open_project(asked["project_dir"], asked["target"], asked["ledger"])


def _command(function: Callable[..., Any], group: click.Group = cli) -> click.Command:
    """A command with --json whose errors are shown and turned into exit codes."""

    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, all else on stderr.")
    @click.pass_context
    @functools.wraps(function)
    def wrapped(ctx: click.Context, /, *args: Any, as_json: bool, **options: Any) -> None:
        try:
            code = function(*args, as_json=as_json, **options)
        except click.exceptions.Exit:
            raise
        except Exception as error:  # noqa: BLE001 - shown here or nowhere: a raw traceback may quote the data
            from delivery import console

            if ctx.meta["debug"]:
                console.traceback(error)
            known = error if isinstance(error, DeliveryError) else unexpected(error)
            console.failure(known, as_json=as_json)
            code = known.exit_code
        ctx.exit(int(code))

    return group.command(name=function.__name__.rstrip("_"), context_settings=HELP)(wrapped)


def _request_options(function: Callable[..., Any]) -> Callable[..., Any]:
    options = [
        click.option("--select", multiple=True, metavar="CAMPAIGN", help="Only this campaign; may be repeated."),
        click.option("--integration", multiple=True, metavar="NAME", help="Only this integration; may be repeated."),
        click.option("--window", metavar="DAY", help="The window that holds this day: YYYY-MM-DD or `yesterday`."),
        click.option("--from", "start", metavar="DAY", help="With --to: every window from this day on."),
        click.option("--to", "end", metavar="DAY", help="The day after the last one."),
        click.option("--due", is_flag=True, help="What the schedules say, missed and unfinished deliveries included."),
        click.option("--at", metavar="TIME", help="Act as at this time (UTC). [default: now]"),
        click.option(
            "--redeliver", is_flag=True, help="Send delivered windows again, as a new revision; needs --reason."
        ),
        click.option(
            "--ungated", is_flag=True, help="Send although the gate refuses; needs --reason, which is recorded."
        ),
        click.option("--reason", metavar="TEXT", help="Why, for the ledger; no addresses."),
    ]
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), function)


def _request(**options: Any) -> Request:
    from delivery.schedule.request import Request
    from delivery.windows import parse_instant

    chosen = [name for name in ("window", "start", "due") if options[name]]
    if len(chosen) > 1 or bool(options["start"]) != bool(options["end"]):
        raise ConfigError("Give one of --window, --from with --to, or --due.")
    if (options["redeliver"] or options["ungated"]) != bool(options["reason"]):
        raise ConfigError("--redeliver and --ungated need --reason, and --reason needs one of them.")
    at, reason = options.pop("at"), options.pop("reason")
    return Request(
        at=datetime.now(UTC) if at is None else parse_instant(at),
        integrations=options.pop("integration"),
        reason=reason and redact(reason),
        **options,
    )


@_command
@_request_options
@click.option("--build", "build_first", is_flag=True, help="First build what the campaigns need, under the same lock.")
@click.option("--dry-run", is_flag=True, help="The same as `plan`.")
def run(*, build_first: bool, dry_run: bool, as_json: bool, **options: Any) -> ExitCode:
    """Deliver: gate, write, hand over, record. Running it again sends nothing twice."""
    if dry_run:
        return _show_plan(as_json=as_json, **options)
    from delivery import console
    from delivery import run as runner
    from delivery.transfer.progress import Watch

    found = runner.run(_project(), _request(**options), Watch(), build_first=build_first)
    if as_json:
        console.document(console.outcomes_document(found))
    else:
        console.outcomes(found)
    return console.exit_code(found)


@_command
@_request_options
def plan(*, as_json: bool, **options: Any) -> ExitCode:
    """Show what `run` would do, with gate verdicts and layout differences; touches nothing."""
    return _show_plan(as_json=as_json, **options)


def _show_plan(*, as_json: bool, **options: Any) -> ExitCode:
    from delivery import console
    from delivery import run as runner

    found = runner.plan(_project(), _request(**options))
    if as_json:
        console.document(console.forecasts_document(found))
    else:
        console.forecasts(found)
    refuses = any(f.refusal or (f.verdict and not f.verdict.passed) for f in found)
    return ExitCode.GATE if refuses else ExitCode.DONE


@_command
@click.argument("integration", nargs=-1)
def check(*, integration: tuple[str, ...], as_json: bool) -> ExitCode:
    """Connect to each INTEGRATION (all by default), and prove write, rename and delete with a probe file."""
    from delivery import console
    from delivery.operations import checks

    found = checks.check(_project(), integration)
    if as_json:
        console.document({"integrations": [result.as_dict() for result in found]})
    else:
        console.table(
            ["integration", "where", "result", "publish", "offers"],
            [[r.integration, r.where, "ok" if r.ok else "failed", r.publish, r.offers()] for r in found],
        )
        for result in found:
            if result.error:
                console.say(f"\n{result.integration}:")
                console.failure(result.error, as_json=False)
    return max((r.error.exit_code for r in found if r.error), default=ExitCode.DONE)


@_command
@click.argument("integration")
def trust(*, integration: str, as_json: bool) -> ExitCode:
    """Show the host keys of an SFTP INTEGRATION's server, to be compared with the client and pinned."""
    from delivery import console
    from delivery.operations import checks

    keys = checks.host_keys(_project(), integration)
    if as_json:
        console.document({"integration": integration, "host_keys": [{"key": k, "fingerprint": f} for k, f in keys]})
        return ExitCode.DONE
    console.say(f"Compare the fingerprints with what the client tells you, then pin below {integration}.destination:")
    click.echo("host_keys:")
    for key, fingerprint in keys:
        click.echo(f"  - {key}  # {fingerprint}")
    return ExitCode.DONE


@_command
@click.option("--campaign", metavar="NAME", help="Only this campaign.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many deliveries, the latest."
)
def status(*, campaign: str | None, limit: int, as_json: bool) -> ExitCode:
    """The latest deliveries, and which of them wait for the next run or for a person."""
    from delivery import console
    from delivery.ledger import history

    found, methods = history.latest(_project(), campaign, limit), history.publish_methods(_project())
    if as_json:
        document = [{**row._asdict(), "publish": methods.get(row.destination)} for row in found]
        console.document({"deliveries": document})
    else:
        console.table(
            ["id", "client", "campaign", "when", "#rev", "state", "#rows", "updated", "note"],
            [
                [
                    d.id[:12],
                    d.namespace,
                    d.campaign,
                    when(d.window_start, d.window_end, d.slot),
                    d.revision,
                    d.state,
                    d.rows,
                    d.updated_at[:19],
                    d.note.splitlines()[0] if d.note else "",
                ]
                for d in found
            ],
        )
    return ExitCode.DONE


@_command
def held(*, as_json: bool) -> ExitCode:
    """The deliveries that only a person can decide on, and why."""
    from delivery import console
    from delivery.operations import holds

    found = holds.held(_project())
    if as_json:
        console.document({"deliveries": [row._asdict() for row in found]})
    else:
        console.table(
            ["id", "delivery", "where", "why"], [[row.id[:12], row.title, row.destination, row.note] for row in found]
        )
    return ExitCode.DONE


@_command
@click.argument("delivery")
@click.option("--resend", "decision", flag_value="resend", help="Hand it over again with the next run, looking first.")
@click.option("--accept", "decision", flag_value="accept", help="The client has it: record it as delivered.")
@click.option("--cancel", "decision", flag_value="cancel", help="It is not wanted any more.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for the ledger; no addresses.")
def release(*, delivery: str, decision: str | None, reason: str, as_json: bool) -> ExitCode:
    """Carry out a person's decision on a held DELIVERY; its id, or the first characters of it, as `held` shows it."""
    from delivery import console
    from delivery.operations import holds

    if decision is None:
        raise ConfigError("Nothing was decided.", hint="Give one of --resend, --accept or --cancel.")
    row = holds.release(_project(), delivery, decision, reason)
    if as_json:
        console.document(row._asdict())
    else:
        console.say(f"{row.title} is {row.state} now.")
    return ExitCode.DONE


@_command
@click.argument("delivery")
def history(*, delivery: str, as_json: bool) -> ExitCode:
    """Every step of one DELIVERY; its id, or the first characters of it, as `status` shows it."""
    from delivery import console
    from delivery.ledger import history as ledger_history

    row, files, steps = ledger_history.one(_project(), delivery)
    if as_json:
        console.document(
            {
                **row._asdict(),
                "files": [f._asdict() for f in files],
                "steps": [{"at": at, "step": step, "note": note} for at, step, note in steps],
            }
        )
        return ExitCode.DONE
    console.say(row.title)
    console.table(["at", "step", "note"], steps)
    console.table(
        ["file", "state", "#rows", "#bytes", "SHA-256"], [[f.name, f.state, f.rows, f.bytes, f.sha256] for f in files]
    )
    return ExitCode.DONE


@_command
@click.option("--campaign", metavar="NAME", help="Only this campaign.")
@click.option("--from", "start", metavar="DAY", help="Look from this day on. [default: each campaign's first delivery]")
@click.option("--to", "end", metavar="DAY", help="The day after the last one to look at. [default: now]")
def gaps(*, campaign: str | None, start: str | None, end: str | None, as_json: bool) -> ExitCode:
    """The windows that should have gone by their schedules and did not. Exit code 1 when there are some."""
    from delivery import console
    from delivery.schedule import gaps as schedule_gaps

    found = schedule_gaps.gaps(_project(), datetime.now(UTC), campaign, start, end)
    if as_json:
        console.document({"gaps": [gap._asdict() for gap in found]})
    else:
        console.table(
            ["client", "campaign", "integration", "when", "due", "state", "note"],
            [[g.namespace, g.campaign, g.integration, g.when, g.due, g.state, g.note] for g in found],
        )
        console.say(f"{len(found)} gaps." if found else "Nothing is missing.")
    return ExitCode.FAILED if found else ExitCode.DONE


@cli.group(context_settings=HELP)
def ledger() -> None:
    """Look after the ledger: check it, copy it, accept a restored one."""


_ledger_command = functools.partial(_command, group=ledger)


@_ledger_command
def check_(*, as_json: bool) -> ExitCode:
    """Look for what must not be: damage, spools that changed, files that a delivery should have sent and did not."""
    from delivery import console
    from delivery.operations import health

    found = health.check(_project())
    if as_json:
        console.document({"problems": found})
    else:
        for problem in found:
            console.say(problem)
        console.say(f"{len(found)} problems." if found else "The ledger is well.")
    return ExitCode.FAILED if found else ExitCode.DONE


@_ledger_command
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def backup(*, path: Path, as_json: bool) -> ExitCode:
    """Copy a SQLite ledger to the new file PATH, as of one moment, also while a run is at work."""
    from delivery import console
    from delivery.operations import health

    health.copy(_project(), path)
    if as_json:
        console.document({"path": str(path)})
    else:
        console.say(f"The ledger is copied to {path}.")
    return ExitCode.DONE


@_ledger_command
@click.option("--reason", required=True, metavar="TEXT", help="Why, for the ledger; no addresses.")
def adopt(*, reason: str, as_json: bool) -> ExitCode:
    """Accept a ledger that is new or was restored: past deliveries that it does not know are held from now on."""
    from delivery import console
    from delivery.ledger.opened import adopt as adopt_ledger

    adopt_ledger(_project(), redact(reason))
    if as_json:
        console.document({"adopted": True})
    else:
        console.say("Adopted. What is due and not on record will be held: ask the client, then `delivery release`.")
    return ExitCode.DONE


@_command
@click.argument("path", type=click.Path(exists=True, path_type=Path))
def verify(*, path: Path, as_json: bool) -> ExitCode:
    """Check the files at PATH (a manifest, a file or a directory) against their manifests."""
    from delivery import console
    from delivery.files import manifest as manifest_file

    found = manifest_file.verify(path)
    if as_json:
        console.document({"files": [vars(result) for result in found]})
    else:
        console.table(
            ["file", "#rows", "#bytes", "result"],
            [[r.file or r.manifest, r.rows, r.bytes, r.problem or "as the manifest says"] for r in found],
        )
    return ExitCode.FAILED if any(result.problem for result in found) else ExitCode.DONE


@_command
@click.option("--days", type=click.IntRange(min=1), help="Instead of each integration's own; vouches for the clock.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed.")
def prune(*, days: int | None, dry_run: bool, as_json: bool) -> ExitCode:
    """Remove what the hosted share and the spool have kept longer than their days."""
    from delivery import console
    from delivery.operations import retention

    found = retention.prune(_project(), datetime.now(UTC), days, dry_run=dry_run)
    if as_json:
        console.document({"dry_run": dry_run, "pruned": [vars(thing) for thing in found]})
    else:
        headings = ["what", "name", "where", "#days", "would be" if dry_run else "is", "why"]
        console.table(headings, [list(vars(thing).values()) for thing in found])
    return ExitCode.DONE


@_command
@click.argument("dataset")
@click.option("--namespace", required=True, metavar="NAME", help="The client.")
@click.option("--from", "start", required=True, metavar="DAY", help="The first day: YYYY-MM-DD.")
@click.option("--to", "end", required=True, metavar="DAY", help="The day after the last one; `today` leaves today out.")
@click.option("--campaign-id", type=click.IntRange(min=0), help="Only this campaign, of analytics_campaigns.")
@click.option(
    "--grain",
    type=click.Choice(["total", "day", "week", "month"]),
    default="total",
    show_default=True,
    help="One row for the range, or for each day, week (Sunday to Saturday) or month.",
)
@click.option(
    "--format", "kind", type=click.Choice(["csv", "parquet", "xlsx", "json"]), help="[default: as FILE ends, else csv]"
)
@click.option("--output", "-o", required=True, metavar="FILE", help="The file, replaced whole; `-` for stdout.")
@click.option("--at", metavar="TIME", help="Act as at this time (UTC). [default: now]")
@click.option("--ungated", is_flag=True, help="Write although the gate refuses; needs --reason, which is recorded.")
@click.option("--reason", metavar="TEXT", help="Why; no addresses.")
def export(
    *,
    output: str,
    kind: str | None,
    at: str | None,
    ungated: bool,
    reason: str | None,
    as_json: bool,
    **asked: Any,
) -> ExitCode:
    """Write analytics of one client: DATASET, summed over any range of the last two years."""
    if ungated != bool(reason):
        raise ConfigError("--ungated needs --reason, and --reason needs --ungated.")
    if as_json and output == "-":
        raise ConfigError("With -o - the rows are on stdout: --json needs a file.")
    from delivery import console
    from delivery.analytics import export as exports
    from delivery.analytics import measures
    from delivery.windows import parse_instant

    project, now = _project(), datetime.now(UTC) if at is None else parse_instant(at)
    question = measures.question(project.manifest(), now, **asked)
    done = exports.export(project, question, output, exports.format_of(output, kind), now, reason and redact(reason))
    if done.unproven:
        console.say("The gate refuses, and was overridden:\n" + "\n".join(f"  {line}" for line in done.unproven))
    if as_json:
        console.document(vars(done))
    else:
        console.say(f"{done.rows} rows of {done.dataset}, {done.first_day} to {done.last_day}: {done.file}")
    return ExitCode.DONE


@_command
@click.option("--html", "path", type=click.Path(dir_okay=False, path_type=Path), help="The page, replaced whole.")
@click.option("--day", metavar="DAY", default="today", show_default=True, help="On which the deliveries were due.")
@click.option("--namespace", metavar="NAME", help="Only this client, so that the page may be sent to it.")
@click.option("--at", metavar="TIME", help="Act as at this time (UTC). [default: now]")
def report(*, path: Path | None, day: str, namespace: str | None, at: str | None, as_json: bool) -> ExitCode:
    """Write one day as one page that needs no network: deliveries, what was missed, and how campaigns did."""
    if path is None and not as_json:
        raise ConfigError("Name a file with --html, or ask for --json.")
    from delivery import console as shown
    from delivery.analytics import report as pages
    from delivery.files.writer import replace_file
    from delivery.windows import parse_day, parse_instant

    now = datetime.now(UTC) if at is None else parse_instant(at)
    found = pages.daily_report(_project(), parse_day(day, now), now, namespace)
    if path is not None:
        replace_file(path, pages.render(found).encode())
    if as_json:
        shown.document(found.as_dict())
    else:
        shown.say(f"{len(found.sent)} deliveries of {found.day}, {len(found.missed)} missed or unfinished: {path}")
    return ExitCode.DONE


@_command
@click.option("--namespace", multiple=True, metavar="NAME", help="Only this client; may be repeated. [default: all]")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to answer on; there is no login.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8501, show_default=True, help="0 takes any that is free."
)
@click.option("--at", metavar="TIME", help="Act as at this time (UTC). [default: now]")
def analytics(*, namespace: tuple[str, ...], host: str, port: int, at: str | None, as_json: bool) -> ExitCode:
    """Look at analytics and deliveries in a browser, and download what is shown; nothing is changed. Ctrl-C ends it."""
    from delivery import console
    from delivery.analytics.page import server
    from delivery.analytics.page.served import serve_these
    from delivery.windows import parse_instant

    served = serve_these(_project(), namespace, None if at is None else parse_instant(at))
    served.project.manifest()
    if not server.is_loopback(host):
        console.say(f"Whoever reaches {host} sees the data of {', '.join(served.namespaces)}: there is no login.")

    def announce(url: str) -> None:
        if as_json:
            console.document({"url": url, "namespaces": served.namespaces})
        else:
            console.say(f"Open {url} in a browser; Ctrl-C ends it.")

    server.serve(host, port, announce)
    return ExitCode.DONE


@_command
def layouts(*, as_json: bool) -> ExitCode:
    """List the frozen layouts: which columns each campaign's files for an integration have, and what changed since."""
    from delivery import console
    from delivery.operations.layouts import frozen_layouts

    found = frozen_layouts(_project())
    if as_json:
        console.document({"layouts": [one._asdict() for one in found]})
        return ExitCode.DONE
    console.table(
        ["campaign", "integration", "since", "columns"],
        [[one.campaign, one.integration, one.frozen_at, ", ".join(one.columns)] for one in found],
    )
    for one in found:
        for change in one.changes:
            console.say(f"{one.campaign} to {one.integration}: {change}")
    return ExitCode.DONE


@_command
@click.option("--namespace", metavar="NAME", help="Without the definitions that only other clients have.")
@click.option("--html", is_flag=True, help="One HTML page that needs nothing else, instead of Markdown.")
@click.option(
    "-o", "--output", type=click.File("w", "utf-8", atomic=True), default="-", help="A file. [default: stdout]"
)
def dictionary(*, namespace: str | None, html: bool, output: Any, as_json: bool) -> ExitCode:
    """Write the data dictionary: every dataset and column that a file may have, for a client's IT."""
    from delivery import console
    from delivery.operations import dictionary as pages

    found = pages.dictionary(_project().manifest(), namespace)
    if as_json:
        datasets = [page._asdict() | {"columns": [column._asdict() for column in page.columns]} for page in found]
        console.document({"datasets": datasets})
    else:
        output.write(pages.render(found, "html" if html else "markdown"))
    return ExitCode.DONE


@_command
def schema(*, as_json: bool) -> ExitCode:  # noqa: ARG001 - it is a JSON document either way
    """Print the JSON Schema of integrations.yml, for editors."""
    from delivery import console
    from delivery.config import integrations

    console.document(integrations.json_schema())
    return ExitCode.DONE


def main() -> None:
    """The entry point."""
    try:
        cli(standalone_mode=True)
    except BrokenPipeError:
        sys.exit(1)

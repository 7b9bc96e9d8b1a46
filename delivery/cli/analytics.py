"""`export`, `report` and `analytics`: what people take away or look at by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from delivery import console
from delivery.cli.command import as_json, command, instant, project
from delivery.console import View
from delivery.errors import ConfigError, redact

if TYPE_CHECKING:
    from delivery.analytics.page.front_door import FrontDoor
    from delivery.config.project import Project

LOOPBACK, PORT = "127.0.0.1", 8501


@command()
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
def export(*, output: str, kind: str | None, at: str | None, ungated: bool, reason: str | None, **asked: Any) -> View:
    """Write analytics of one client: DATASET, summed over any range of the last two years."""
    if ungated != bool(reason):
        raise ConfigError("--ungated needs --reason, and --reason needs --ungated.")
    if as_json() and output == "-":
        raise ConfigError("With -o - the rows are on stdout: --json needs a file.")
    from delivery.analytics import export as exports
    from delivery.analytics import measures

    from_project, now = project(), instant(at)
    question = measures.question(from_project.manifest(), now, **asked)
    kind = exports.format_of(output, kind)
    done = exports.export(from_project, question, output, kind, now, reason and redact(reason))
    overridden = "The gate refuses, and was overridden:\n" + "\n".join(f"  {line}" for line in done.unproven)
    if done.unproven:
        console.say(overridden)
    written = f"{done.rows} rows of {done.dataset}, {done.first_day} to {done.last_day}: {done.file}"
    return View(done, [written])


@command()
@click.option("--html", "path", type=click.Path(dir_okay=False, path_type=Path), help="The page, replaced whole.")
@click.option("--day", metavar="DAY", default="today", show_default=True, help="On which the deliveries were due.")
@click.option("--namespace", metavar="NAME", help="Only this client, so that the page may be sent to it.")
@click.option("--at", metavar="TIME", help="Act as at this time (UTC). [default: now]")
def report(*, path: Path | None, day: str, namespace: str | None, at: str | None) -> View:
    """Write one day as one page that needs no network: deliveries, what was missed, and how campaigns did."""
    if path is None and not as_json():
        raise ConfigError("Name a file with --html, or ask for --json.")
    from delivery.analytics import report as pages
    from delivery.files.disk import replace_file
    from delivery.windows import parse_day

    now = instant(at)
    found = pages.daily_report(project(), parse_day(day, now), now, namespace)
    if path is not None:
        replace_file(path, pages.render(found).encode())
    done = f"{len(found.sent)} deliveries of {found.day}, {len(found.missed)} missed or unfinished: {path}"
    return View(found.as_dict(), [done])


@command()
@click.option("--namespace", multiple=True, metavar="NAME", help="Only this client; may be repeated. [default: all]")
@click.option("--host", help="The address to answer on; there is no login. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="0 takes any that is free. [default: 8501]")
@click.option("--share", "behind_share", is_flag=True, help="Behind the share's login: each user sees the own clients.")
@click.option("--at", metavar="TIME", help="Act as at this time (UTC). [default: now]")
def analytics(
    *, namespace: tuple[str, ...], host: str | None, port: int | None, behind_share: bool, at: str | None
) -> None:
    """Look at analytics and deliveries in a browser, and download what is shown; nothing is changed. Ctrl-C ends it."""
    if behind_share and (host is not None or port is not None):
        raise ConfigError("With --share, `share:` of integrations.yml says where: no --host, no --port.")
    from delivery.analytics.page import server
    from delivery.analytics.page.served import serve_these

    asked = project()
    door = _front_door(asked) if behind_share else None
    served = serve_these(asked, namespace, None if at is None else instant(at), door)
    served.project.manifest()
    host, port = host or LOOPBACK, PORT if port is None else port
    if not server.is_loopback(host):
        console.say(f"Whoever reaches {host} sees the data of {', '.join(served.namespaces)}: there is no login.")
    json_wanted = as_json()

    def announce(url: str) -> None:
        document = {"url": url, "namespaces": served.namespaces}
        what = f"The share's page may show {url}" if door else f"Open {url} in a browser"
        console.show(View(document, [f"{what}; Ctrl-C ends it."]), as_json=json_wanted)

    server.serve(host, door.port if door else port, announce, door)


def _front_door(asked: Project) -> FrontDoor:
    """The share's login, from `share:`. Raises ConfigError when it leads to no page of figures."""
    from delivery.analytics.page.front_door import Account, FrontDoor
    from delivery.config.integrations_file import Integrations
    from delivery.share import config
    from delivery.share.users import Users

    share = config.settings(Integrations(asked.integrations_file))
    if share.analytics_port is None:
        raise ConfigError(
            "`share:` of integrations.yml has no `analytics_port`.", hint="docs/share.md says what it is."
        )
    users = Users.of(share)

    def account(name: str) -> Account | None:
        user = users.listed().get(name)
        return Account(user.namespaces, user.password) if user else None

    door = FrontDoor(share.host, share.analytics_port, share.analytics_secret, account, config.SESSION_SECONDS)
    door.check()
    return door

"""`status` and `release`: what became of deliveries, and what a person decides about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from delivery.cli.command import command, instant, project
from delivery.console import Brief, Hash, Table, Text, View
from delivery.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.fetched import Fetched
    from delivery.ledger import Delivery

SHOWN = 20
LATEST = "the latest deliveries"
OPTIONS = {  # of what may be asked for
    LATEST: ("--campaign", "--limit"),
    "DELIVERY": (),
    "--held": ("--campaign",),
    "--gaps": ("--campaign", "--from", "--to"),
    "--layouts": ("--campaign",),
    "--prometheus": (),
}


@command(tables=True)
@click.argument("delivery", required=False)
@click.option("--held", is_flag=True, help="The deliveries that only a person can decide on, and why.")
@click.option("--gaps", is_flag=True, help="What should have gone by the schedules and did not; exit code 1 if any.")
@click.option("--layouts", is_flag=True, help="The frozen layouts, and what changed since.")
@click.option("--prometheus", is_flag=True, help="Figures of all that is on record, as Prometheus reads them.")
@click.option("--campaign", metavar="NAME", help="Only this campaign.")
@click.option("--limit", type=click.IntRange(min=1), help=f"How many deliveries, the latest. [default: {SHOWN}]")
@click.option("--from", "start", metavar="DAY", help="Gaps from this day on. [default: each campaign's first delivery]")
@click.option("--to", "end", metavar="DAY", help="The day after the last one to look for gaps. [default: now]")
def status(
    *,
    delivery: str | None,
    held: bool,
    gaps: bool,
    layouts: bool,
    prometheus: bool,
    campaign: str | None,
    limit: int | None,
    start: str | None,
    end: str | None,
) -> View:
    """The latest deliveries; or every step of one DELIVERY: its id, or the first characters of it."""
    asked = {
        "DELIVERY": delivery is not None,
        "--held": held,
        "--gaps": gaps,
        "--layouts": layouts,
        "--prometheus": prometheus,
    }
    chosen = [name for name, is_asked in asked.items() if is_asked] or [LATEST]
    if len(chosen) > 1:
        raise ConfigError(f"{' and '.join(chosen)} do not go together.", hint="Give one of them.")
    given = {"--campaign": campaign, "--limit": limit, "--from": start, "--to": end}
    if wrong := [option for option, value in given.items() if value and option not in OPTIONS[chosen[0]]]:
        raise ConfigError(f"{wrong[0]} does not go with {chosen[0]}.")
    from delivery.operations.status import check_is_known

    try:
        check_is_known(project())
    except ConfigError as error:
        if gaps or prometheus:  # which would say that nothing is missing
            raise
        click.echo(f"{error.message} {error.hint}", err=True)
    views: dict[str, Callable[[], View]] = {
        LATEST: lambda: _latest(campaign, limit or SHOWN),
        "DELIVERY": lambda: _one(str(delivery)),
        "--held": lambda: _held(campaign),
        "--gaps": lambda: _gaps(campaign, start, end),
        "--layouts": lambda: _layouts(campaign),
        "--prometheus": _prometheus,
    }
    return views[chosen[0]]()


def _latest(campaign: str | None, limit: int) -> View:
    from delivery.operations.status import latest

    found = latest(project(), campaign, limit)
    return View(
        {"deliveries": [{**row._asdict(), "publish": method, "fetched": taken} for row, method, taken in found]},
        [
            Table(
                ["id", "client", "campaign", "when", "state", "#rows", "note"],
                [[Hash(d.id), d.namespace, d.campaign, _when(d), d.state, d.rows, _note(d, taken)]
                 for d, _, taken in found],
            )
        ],
    )  # fmt: skip


def _note(delivery: Delivery, taken: Fetched | None) -> Brief:
    """Who fetched it from the share, and what else is to be known."""
    return Brief("; ".join(filter(None, ["" if taken is None else taken.text, delivery.note.partition("\n")[0]])))


def _when(delivery: Delivery) -> str:
    from delivery.windows import when

    days = when(delivery.window_start, delivery.window_end, delivery.slot)
    return days + (f" r{delivery.revision}" if delivery.revision else "")


def _held(campaign: str | None) -> View:
    from delivery.operations.status import held

    found = held(project(), campaign)
    return View(
        {"deliveries": found},
        [
            Table(
                ["id", "delivery", "where", "why"],
                [[Hash(row.id), row.title, row.destination, row.note] for row in found],
            )
        ],
    )


def _one(delivery: str) -> View:
    from delivery.operations.status import one

    row, files, steps, taken = one(project(), delivery)
    return View(
        {
            **row._asdict(),
            "files": files,
            "steps": [{"at": at, "step": step, "note": note} for at, step, note in steps],
            "fetched": taken,
        },
        [
            row.title + (f": {taken.text}" if taken else ""),
            Table(["at", "step", "note"], [[at[:19], step, note] for at, step, note in steps]),
            Table(
                ["file", "state", "#rows", "#bytes", "SHA-256"],
                [[f.name, f.state, f.rows, f.bytes, Hash(f.sha256)] for f in files],
            ),
        ],
    )


def _gaps(campaign: str | None, start: str | None, end: str | None) -> View:
    from delivery.config.integrations_file import Integrations
    from delivery.schedule.gaps import gaps

    asked = project()
    found = gaps(asked, Integrations(asked.integrations_file), instant(None), campaign, start, end)
    return View(
        {"gaps": found},
        [
            Table(
                ["client", "campaign", "integration", "when", "due", "state", "note"],
                [[g.namespace, g.campaign, g.integration, g.when, g.due, g.state, Brief(g.note)] for g in found],
            ),
            f"{len(found)} gaps." if found else "Nothing is missing.",
        ],
        ExitCode.FAILED if found else ExitCode.DONE,
    )


def _layouts(campaign: str | None) -> View:
    from delivery.operations.status import frozen_layouts

    found = [one for one in frozen_layouts(project()) if campaign in (None, one.campaign)]
    return View(
        {"layouts": found},
        [
            Table(
                ["campaign", "integration", "since", "columns"],
                [[one.campaign, one.integration, one.frozen_at, ", ".join(one.columns)] for one in found],
            ),
            *(f"{one.campaign} to {one.integration}: {change}" for one in found for change in one.changes),
        ],
    )


def _prometheus() -> View:
    from delivery.operations.metrics import exposition, samples

    found = samples(project(), instant(None))
    return View({"metrics": found}, [Text(exposition(found))])


@command()
@click.argument("delivery")
@click.option("--resend", "decision", flag_value="resend", help="Hand it over again with the next run, looking first.")
@click.option("--accept", "decision", flag_value="accept", help="The client has it: record it as delivered.")
@click.option("--cancel", "decision", flag_value="cancel", help="It is not wanted any more.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for the ledger; no addresses.")
def release(*, delivery: str, decision: str | None, reason: str) -> View:
    """Carry out a person's decision on a held DELIVERY: its id, or first characters, as `status --held` shows it."""
    from delivery.operations import holds

    if decision is None:
        raise ConfigError("Nothing was decided.", hint="Give one of --resend, --accept or --cancel.")
    row = holds.release(project(), delivery, decision, reason)
    return View(row, [f"{row.title} is {row.state} now."])

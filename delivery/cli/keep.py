"""Looking after what a runner reads and keeps: raw tables, its ledger, and what lies on the share and in the spool."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from delivery.cli.command import HELP, cli, command, instant, project, telling
from delivery.console import Table, View, say
from delivery.errors import ExitCode, redact


@command()
def load() -> View:
    """Load landed files that are new or changed into the raw tables of a target that reads tables."""
    from delivery.operations.loading import load as load_landed
    from delivery.progress import Watch

    loaded = load_landed(project(), Watch())
    lines = [f"{loaded.files} files loaded, {loaded.rows} rows."]
    lines += [f"{name} changed while it was read: run again." for name in loaded.waiting]
    return View(vars(loaded), lines, ExitCode.FAILED if loaded.waiting else ExitCode.DONE)


@cli.group(context_settings=HELP)
def ledger() -> None:
    """Look after the ledger: check it, copy it, accept a restored one."""


@command(group=ledger)
def check() -> View:
    """Look for what must not be: damage, spools that changed, files that a delivery should have sent and did not."""
    from delivery.operations import health

    found = health.check(project())
    return View(
        {"problems": found},
        [*found, f"{len(found)} problems." if found else "The ledger is well."],
        ExitCode.FAILED if found else ExitCode.DONE,
    )


@command(group=ledger)
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def backup(*, path: Path) -> View:
    """Copy a SQLite ledger to the new file PATH, as of one moment, also while a run is at work."""
    from delivery.operations import health

    health.copy(project(), path)
    return View({"path": str(path)}, [f"The ledger is copied to {path}."])


@command(group=ledger)
@click.option("--reason", required=True, metavar="TEXT", help="Why, for the ledger; no addresses.")
def adopt(*, reason: str) -> View:
    """Accept a ledger that is new or was restored: past deliveries that it does not know are held from now on."""
    from delivery.ledger.opened import adopt as adopt_ledger

    adopt_ledger(project(), redact(reason))
    text = "Adopted. What is due and not on record will be held: ask the client, then `delivery release`."
    return View({"adopted": True}, [text])


@command(tables=True)
@click.option("--days", type=click.IntRange(min=1), help="Instead of each integration's own; vouches for the clock.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed.")
def prune(*, days: int | None, dry_run: bool) -> View:
    """Remove what the hosted share and the spool have kept longer than their days."""
    from delivery.operations import retention
    from delivery.operations.alerts import alert_before_prune

    asked, now = project(), instant(None)
    with nullcontext() if dry_run else telling(asked, "prune"):
        for text in () if dry_run else alert_before_prune(asked, now):
            say(text)
        found = retention.prune(asked, now, days, dry_run=dry_run)
    headings = ["what", "name", "where", "#days", "would be" if dry_run else "is", "why"]
    return View(
        {"dry_run": dry_run, "pruned": found},
        [Table(headings, [list(vars(thing).values()) for thing in found])],
    )

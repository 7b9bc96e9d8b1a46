"""Deliver daily with Dagster: build and deliver at 05:35 UTC, finish what failed in the hours after, then prune.

Needs dagster. The project lies in DELIVERY_PROJECT_DIR where the runs are executed; its lock, ledger and spool lie on
one host, so let the runs go there.
"""

import os
import subprocess

from dagster import Definitions, Failure, OpExecutionContext, ScheduleDefinition, job, op

PROJECT = os.environ.get("DELIVERY_PROJECT_DIR", "/srv/delivery")
TRY_AGAIN, NOTHING_DUE = 1, 5


def delivery(context: OpExecutionContext, *arguments: str) -> None:
    """Runs the command; its own words are in the log of the step. Only what another try may mend is tried again."""
    code = subprocess.run([f"{PROJECT}/.venv/bin/delivery", *arguments], cwd=PROJECT, check=False).returncode
    if code == NOTHING_DUE:
        context.log.info("Nothing was due.")
    elif code:
        raise Failure(f"delivery ended with {code}.", allow_retries=code == TRY_AGAIN)


@op
def build_and_deliver(context: OpExecutionContext) -> None:
    """The day's work."""
    delivery(context, "run", "--due", "--build")


@op
def deliver_what_is_left(context: OpExecutionContext) -> None:
    """What failed before; nothing when all has gone."""
    delivery(context, "run", "--due")


@op
def prune(context: OpExecutionContext) -> None:
    """What the share has kept longer than its days. Where clients log in to the share, its own timer does it."""
    delivery(context, "prune")


@job
def daily_exports() -> None:
    """Once a day."""
    build_and_deliver()


@job
def daily_exports_again() -> None:
    """In the hours after."""
    deliver_what_is_left()


@job
def daily_exports_kept() -> None:
    """When no run is at work."""
    prune()


defs = Definitions(
    jobs=[daily_exports, daily_exports_again, daily_exports_kept],
    schedules=[
        ScheduleDefinition(job=daily_exports, cron_schedule="35 5 * * *", execution_timezone="UTC"),
        ScheduleDefinition(job=daily_exports_again, cron_schedule="35 6-12 * * *", execution_timezone="UTC"),
        ScheduleDefinition(job=daily_exports_kept, cron_schedule="35 13 * * *", execution_timezone="UTC"),
    ],
)

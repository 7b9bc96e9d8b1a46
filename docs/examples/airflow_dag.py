"""Deliver daily with Airflow: build and deliver at 05:35 UTC, finish what failed in the hours after, then prune.

Needs apache-airflow-providers-standard. The project lies in DELIVERY_PROJECT_DIR on the workers; its lock, ledger and
spool lie on one host, so give the tasks a queue that always runs there.
"""

from datetime import UTC, datetime

from airflow import DAG
from airflow.providers.standard.operators.bash import BashOperator

PROJECT = "${DELIVERY_PROJECT_DIR:-/srv/delivery}"
NOTHING_DUE = 5

COMMON = {
    "start_date": datetime(2026, 11, 1, tzinfo=UTC),
    "catchup": False,  # --due catches up by itself
    "max_active_runs": 1,
    "tags": ["delivery"],
}

with DAG("daily_exports", schedule="35 5 * * *", **COMMON):
    BashOperator(
        task_id="build_and_deliver",
        bash_command=f"cd {PROJECT} && .venv/bin/delivery run --due --build",
        skip_on_exit_code=NOTHING_DUE,
        retries=0,  # the DAG below tries again
    )

with DAG("daily_exports_again", schedule="35 6-12 * * *", **COMMON):
    BashOperator(
        task_id="deliver_what_is_left",
        bash_command=f"cd {PROJECT} && .venv/bin/delivery run --due",
        skip_on_exit_code=NOTHING_DUE,
        retries=0,
    )

# What the share has kept longer than its days. Where clients log in to the share, its own timer does it.
with DAG("daily_exports_kept", schedule="35 13 * * *", **COMMON):
    BashOperator(
        task_id="prune",
        bash_command=f"cd {PROJECT} && .venv/bin/delivery prune",
        skip_on_exit_code=NOTHING_DUE,
        retries=0,
    )

"""BigQuery by its ADBC driver. Tried only as far as the driver goes without a project: docs/other-engines.md.

Options are those of adbc-driver-bigquery 1.11, keys those of dbt-bigquery's profile.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from delivery.engines.adbc import Adbc, Source, open_adbc
from delivery.engines.dialects import in_backticks
from delivery.engines.keys import read_keys
from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.project import Project

DRIVER = "adbc_driver_bigquery"
SQL = "adbc.bigquery.sql."
NEEDS = {"method": f"{SQL}auth_type", "project": f"{SQL}project_id", "dataset": f"{SQL}dataset_id"}
METHODS = {  # dbt's: the driver's, and what else each needs
    "oauth": ("auth_bigquery", {}),
    "service-account": ("json_credential_file", {"keyfile": f"{SQL}auth_credentials"}),
    "service-account-json": ("json_credential_string", {"keyfile_json": f"{SQL}auth_credentials"}),
    "oauth-secrets": (
        "user_authentication",
        {key: f"{SQL}auth.{key}" for key in ("client_id", "client_secret", "refresh_token")},
    ),
}
MAY = {"location": f"{SQL}location"}
LOGIN = tuple(key for _, keys in METHODS.values() for key in keys)
SECRET = ("keyfile_json", "client_secret", "refresh_token")
ALIASES = {"database": "project", "schema": "dataset"}
FOR_DBT = (
    "threads", "priority", "retries", "timeout_seconds", "job_retries", "job_retry_deadline_seconds",
    "job_creation_timeout_seconds", "job_execution_timeout_seconds", "job_link_info_level_log", "token_uri",
    "dataproc_region", "compute_region", "dataproc_cluster_name", "dataproc_batch", "gcs_bucket", "submission_method",
)  # fmt: skip
# Batches that the driver fetches ahead: 10 streams of 200 batches by default, which is not flat memory.
AHEAD: dict[str, str | int] = {f"{SQL}query.result_buffer_size": 4, f"{SQL}query.prefetch_concurrency": 2}


class BigQuery(Adbc):
    """A client. Each statement is of a state of its own; the driver has no transactions."""

    refusals = ("could not find default credentials", "invalid_grant", "notFound")
    by_bytes = "Build without a collation."

    def in_its_words(self, sql: str) -> str:
        """Our statement as the server writes it."""
        return in_backticks(sql)


@contextmanager
def open_bigquery(project: Project) -> Iterator[BigQuery]:
    """A client of the target's project. Raises ConfigError for keys that are missing or not read here."""
    with open_adbc(source(project), BigQuery) as engine:
        yield engine


def source(project: Project) -> Source:
    """The server that a target's keys speak of."""
    said = read_keys(project, needs=NEEDS, may=(*MAY, *LOGIN), for_dbt=FOR_DBT, aliases=ALIASES)
    if said["method"] not in METHODS:
        raise ConfigError(
            f"profiles.yml: target {project.target!r}: method {said['method']!r} is not known here.",
            hint=f"Known: {', '.join(METHODS)}.",
        )
    kind, keys = METHODS[said["method"]]
    if missing := [key for key in keys if key not in said]:
        raise ConfigError(
            f"profiles.yml: target {project.target!r}: {', '.join(missing)} is missing.",
            hint=f"The method {said['method']} needs {' and '.join(keys)}.",
        )
    given = said | {"method": f"{SQL}auth_type.{kind}"}
    if "keyfile" in keys:
        given["keyfile"] = str(project.root / said["keyfile"])
    if "keyfile_json" in keys:
        given["keyfile_json"] = _key(project.profile["keyfile_json"])
    return Source(
        name="BigQuery",
        place=said["project"],
        driver=DRIVER,
        extra="bigquery",
        settings="project, dataset and method of the target in profiles.yml",
        options={option: given[key] for key, option in {**NEEDS, **MAY, **keys}.items() if key in given},
        secrets=tuple(given[key] for key in SECRET if key in given),
        statement=AHEAD,
    )


def _key(said: Any) -> str:
    """A service account's key; an environment variable gives its line ends as two characters, as dbt knows."""
    if not isinstance(said, dict):
        raise ConfigError("profiles.yml: keyfile_json is a mapping here: the fields of the key file.")
    return json.dumps({key: str(value).replace("\\n", "\n") for key, value in said.items()})

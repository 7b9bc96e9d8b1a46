"""A server that speaks Arrow Flight SQL. dbt has no adapter of that name: the target is the runner's alone.

Options are those of adbc-driver-flightsql 1.13: docs/other-engines.md.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from delivery.engines.adbc import Adbc, Source, open_adbc
from delivery.engines.keys import read_keys
from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.project import Project

DRIVER = "adbc_driver_flightsql"
MAY = {
    "username": "username",
    "password": "password",
    "authorization_header": "adbc.flight.sql.authorization_header",
    "cookies": "adbc.flight.sql.rpc.with_cookie_middleware",
}
ENCRYPTED = "grpc+tls"
HERE = ("localhost", "127.0.0.1", "::1")


class FlightSql(Adbc):
    """A session. Whether statements are of one state is the server's affair, so it is not relied on."""

    refusals = ("Unauthenticated", "PermissionDenied")


@contextmanager
def open_flightsql(project: Project) -> Iterator[FlightSql]:
    """A session on the target's server. Raises ConfigError for keys that are missing or not read here."""
    with open_adbc(source(project), FlightSql) as engine:
        yield engine


def source(project: Project) -> Source:
    """The server that a target's keys speak of."""
    said = read_keys(project, needs=("uri",), may=MAY)
    where = urlsplit(said["uri"])
    if where.scheme != ENCRYPTED and where.hostname not in HERE:
        raise ConfigError(
            f"profiles.yml: target {project.target!r}: rows and passwords would go to {where.hostname} unencrypted.",
            hint=f"Write the uri as {ENCRYPTED}://HOST:PORT.",
        )
    if where.username or where.password:
        raise ConfigError(
            f"profiles.yml: target {project.target!r}: the uri holds a login.", hint="Use username and password."
        )
    return Source(
        name="Flight SQL",
        place=f"{where.hostname}:{where.port}",
        driver=DRIVER,
        extra="flightsql",
        settings="uri, username and password of the target in profiles.yml",
        options={option: said[key] for key, option in MAY.items() if key in said}
        | {"adbc.flight.sql.rpc.timeout_seconds.connect": "10"},
        secrets=tuple(said[key] for key in ("password", "authorization_header") if key in said),
        uri=said["uri"],
    )

"""Snowflake by its ADBC driver. Tried only as far as the driver goes without an account: docs/other-engines.md.

Options are those of adbc-driver-snowflake 1.11, keys those of dbt-snowflake's profile.
"""

from __future__ import annotations

import base64
import binascii
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.types as pt
from cryptography.hazmat.primitives import serialization

from delivery.engines.adbc import Adbc, Source, open_adbc
from delivery.engines.dialects import with_backslashes
from delivery.engines.keys import read_keys
from delivery.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.project import Project

DRIVER = "adbc_driver_snowflake"
SQL = "adbc.snowflake.sql."
NEEDS = {"account": f"{SQL}account", "database": f"{SQL}db", "schema": f"{SQL}schema", "warehouse": f"{SQL}warehouse"}
MAY = {"user": "username", "role": f"{SQL}role", "host": f"{SQL}uri.host", "port": f"{SQL}uri.port"}
LOGIN = ("authenticator", "password", "private_key", "private_key_path", "private_key_passphrase", "token")
TOKENS = {"oauth": "auth_oauth", "programmatic_access_token": "auth_pat"}  # by dbt's authenticator
FOR_DBT = (
    "threads", "query_tag", "client_session_keep_alive", "reuse_connections", "connect_retries", "connect_timeout",
    "retry_on_database_errors", "retry_all", "s3_stage_vpce_dns_name", "platform_detection_timeout_seconds",
)  # fmt: skip
FIXED = {
    f"{SQL}client_option.login_timeout": "30s",
    f"{SQL}client_option.use_high_precision": "true",  # decimals as decimals, not as floats
}
# Batches that the driver fetches ahead: 10 streams of 200 batches by default, which is not flat memory.
AHEAD: dict[str, str | int] = {"adbc.rpc.result_queue_size": 4, "adbc.snowflake.rpc.prefetch_concurrency": 2}


class Snowflake(Adbc):
    """A session. Each statement is of a state of its own. Names are folded to upper case there, to lower case here."""

    opening = ("alter session set timezone = 'UTC'", "alter session set quoted_identifiers_ignore_case = true")
    refusals = ("Incorrect username or password", "JWT token is invalid", "does not exist or not authorized")
    by_bytes = "Build without a default collation (DEFAULT_DDL_COLLATION)."

    def in_its_words(self, sql: str) -> str:
        """Our statement as the server writes it."""
        return with_backslashes(sql)

    def as_elsewhere(self, field: pa.Field) -> pa.Field:
        """A column as other engines give it: whole numbers, which Snowflake stores as NUMBER(38, 0), are integers."""
        field = super().as_elsewhere(field)
        is_whole = pt.is_decimal(field.type) and field.type.scale == 0
        return pa.field(field.name.lower(), pa.int64() if is_whole else field.type)


@contextmanager
def open_snowflake(project: Project) -> Iterator[Snowflake]:
    """A session in the target's schema. Raises ConfigError for keys that are missing or not read here."""
    with open_adbc(source(project), Snowflake) as engine:
        yield engine


def source(project: Project) -> Source:
    """The server that a target's keys speak of."""
    said = read_keys(project, needs=NEEDS, may=(*MAY, *LOGIN), for_dbt=FOR_DBT)
    said["account"] = said["account"].replace("_", "-")  # as dbt does: it becomes a host's name
    options = {option: said[key] for key, option in {**NEEDS, **MAY}.items() if key in said}
    login = _login(said, project)
    return Source(
        name="Snowflake",
        place=said["account"],
        driver=DRIVER,
        extra="snowflake",
        settings="account, user and login of the target in profiles.yml",
        options=options | login | FIXED,
        secrets=(
            *login.values(),
            *(said[key] for key in ("password", "private_key_passphrase", "token") if key in said),
        ),
        statement=AHEAD,
    )


def _login(said: dict[str, str], project: Project) -> dict[str, str]:
    """The driver's options for one way of logging in. Raises ConfigError when none is whole."""
    asked = said.get("authenticator", "snowflake")
    if asked in TOKENS and "token" in said:
        return {f"{SQL}auth_type": TOKENS[asked], f"{SQL}client_option.auth_token": said["token"]}
    if asked == "snowflake" and "user" in said:
        if "private_key" in said or "private_key_path" in said:
            key = _pkcs8(said, project)
            return {f"{SQL}auth_type": "auth_jwt", f"{SQL}client_option.jwt_private_key_pkcs8_value": key}
        if "password" in said:
            return {f"{SQL}auth_type": "auth_snowflake", "password": said["password"]}
    raise ConfigError(
        f"profiles.yml: target {project.target!r} does not say how to log in without a person.",
        hint="Known: user with password; user with private_key or private_key_path (and private_key_passphrase); "
        f"token with authenticator {' or '.join(TOKENS)}.",
    )


def _pkcs8(said: dict[str, str], project: Project) -> str:
    """The private key, which dbt takes as PEM, DER in base64, or a path, in the one form that the driver takes."""
    passphrase = said["private_key_passphrase"].encode() if "private_key_passphrase" in said else None
    try:
        if "private_key" not in said:
            key = serialization.load_pem_private_key((project.root / said["private_key_path"]).read_bytes(), passphrase)
        elif "-----BEGIN" in said["private_key"]:
            key = serialization.load_pem_private_key(said["private_key"].encode(), passphrase)
        else:
            key = serialization.load_der_private_key(base64.b64decode(said["private_key"], validate=True), passphrase)
    except (OSError, ValueError, TypeError, binascii.Error) as error:  # of which none quotes the key
        what = error.strerror if isinstance(error, OSError) else "it is no key, or the passphrase is not its own"
        raise ConfigError(f"profiles.yml: target {project.target!r}: the private key cannot be read: {what}.") from None
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*pem).decode()

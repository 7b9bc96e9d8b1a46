"""Snowflake, BigQuery, Flight SQL: what their drivers are told. No server of theirs was ever asked."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from delivery import build
from delivery.engines import KINDS, bigquery, flightsql, open_engine, postgres, snowflake
from delivery.engines.dialects import in_backticks
from delivery.engines.keys import read_keys
from delivery.errors import ConfigError
from delivery.project import Project

SNOWFLAKE = {
    "type": "snowflake",
    "account": "org_name-acct",
    "user": "delivery",
    "database": "analytics",
    "schema": "delivery",
    "warehouse": "small",
    "threads": 4,
}
BIGQUERY = {"type": "bigquery", "method": "oauth", "project": "prod", "dataset": "delivery", "threads": 4}
FLIGHT = {"type": "flightsql", "uri": "grpc+tls://db.example.com:31337"}
SECRET = "s3cret/p@ss"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def project(profile: dict[str, Any], root: Path = Path()) -> Project:
    return Project(root, "there", profile, root, root, "")


def fault(profile: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as refused, open_engine(project(profile)):
        pass
    return f"{refused.value.message} {refused.value.hint}"


def key(encoding: serialization.Encoding, form: serialization.PrivateFormat, passphrase: bytes = b"") -> bytes:
    locked = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return KEY.private_bytes(encoding, form, locked)


PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PKCS1, PKCS8 = serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8


def test_snowflake_by_password() -> None:
    source = snowflake.source(project(SNOWFLAKE | {"password": SECRET, "role": "reader", "port": 443}))
    assert source.options == {
        "adbc.snowflake.sql.account": "org-name-acct",
        "adbc.snowflake.sql.db": "analytics",
        "adbc.snowflake.sql.schema": "delivery",
        "adbc.snowflake.sql.warehouse": "small",
        "adbc.snowflake.sql.role": "reader",
        "adbc.snowflake.sql.uri.port": "443",
        "adbc.snowflake.sql.auth_type": "auth_snowflake",
        "adbc.snowflake.sql.client_option.login_timeout": "30s",
        "adbc.snowflake.sql.client_option.use_high_precision": "true",
        "username": "delivery",
        "password": SECRET,
    }
    assert source.without_secrets(f"wrong {SECRET}, said jane@example.com") == "wrong <secret>, said <address>"
    assert SECRET not in repr(source)


@pytest.mark.parametrize(
    ("authenticator", "kind"), [("oauth", "auth_oauth"), ("programmatic_access_token", "auth_pat")]
)
def test_snowflake_by_token(authenticator: str, kind: str) -> None:
    source = snowflake.source(project(SNOWFLAKE | {"authenticator": authenticator, "token": SECRET}))
    assert source.options["adbc.snowflake.sql.auth_type"] == kind
    assert source.options["adbc.snowflake.sql.client_option.auth_token"] == SECRET
    assert SECRET in source.secrets


@pytest.mark.parametrize(
    "said",
    [
        {"private_key_path": "key.pem"},
        {"private_key_path": "locked.p8", "private_key_passphrase": SECRET},
        {"private_key": key(PEM, PKCS8).decode()},
        {"private_key": base64.b64encode(key(DER, PKCS8)).decode()},
        {"private_key": base64.b64encode(key(DER, PKCS8, SECRET.encode())).decode(), "private_key_passphrase": SECRET},
    ],
)
def test_snowflake_by_key_in_every_form_that_dbt_takes(said: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(key(PEM, PKCS1))
    (tmp_path / "locked.p8").write_bytes(key(PEM, PKCS8, SECRET.encode()))
    source = snowflake.source(project(SNOWFLAKE | said, tmp_path))
    assert source.options["adbc.snowflake.sql.auth_type"] == "auth_jwt"
    pem = source.options["adbc.snowflake.sql.client_option.jwt_private_key_pkcs8_value"]
    assert pem == key(PEM, PKCS8).decode()
    assert "password" not in source.options
    assert pem not in repr(source)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"password": SECRET, "account": ""}, "account is missing"),
        ({"password": SECRET, "proxy_host": "x"}, "proxy_host is not read here"),
        ({"password": SECRET, "protocol": "http"}, "protocol is not read here"),
        ({}, "how to log in without a person"),
        ({"authenticator": "externalbrowser"}, "how to log in without a person"),
        ({"authenticator": "oauth", "token": SECRET, "oauth_client_id": "x"}, "oauth_client_id is not read here"),
        ({"private_key": SECRET}, "the private key cannot be read: it is no key"),
        ({"private_key": "c2VjcmV0"}, "the private key cannot be read: it is no key"),
        ({"private_key_path": "/nowhere/key"}, "the private key cannot be read: No such file"),
    ],
)
def test_snowflake_says_what_is_wrong(said: dict[str, str], words: str) -> None:
    found = fault(SNOWFLAKE | said)
    assert words in found
    assert SECRET not in found


def test_snowflake_columns_are_as_elsewhere() -> None:
    engine = snowflake.Snowflake(None, snowflake.source(project(SNOWFLAKE | {"password": SECRET})))
    given = [("N", pa.decimal128(38, 0)), ("PRICE", pa.decimal128(12, 2)), ("AT", pa.timestamp("ns", "UTC"))]
    assert [engine.as_elsewhere(pa.field(*one)) for one in given] == [
        pa.field("n", pa.int64()),
        pa.field("price", pa.decimal128(12, 2)),
        pa.field("at", pa.timestamp("us")),
    ]
    assert engine.in_its_words("select \"a\" from t where b = '\\'") == "select \"a\" from t where b = '\\\\'"


AUTH = "adbc.bigquery.sql.auth_type."


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ({}, {"auth_type": f"{AUTH}auth_bigquery"}),
        (
            {"method": "service-account", "keyfile": "key.json", "location": "EU", "priority": "batch"},
            {"auth_type": f"{AUTH}json_credential_file", "auth_credentials": "/project/key.json", "location": "EU"},
        ),
        (
            {"method": "oauth-secrets", "client_id": "a", "client_secret": "b", "refresh_token": "c"},
            {
                "auth_type": f"{AUTH}user_authentication",
                "auth.client_id": "a",
                "auth.client_secret": "b",
                "auth.refresh_token": "c",
            },
        ),
    ],
)
def test_bigquery(said: dict[str, str], options: dict[str, str]) -> None:
    source = bigquery.source(project(BIGQUERY | said, Path("/project")))
    expected = {"project_id": "prod", "dataset_id": "delivery", **options}
    assert source.options == {f"adbc.bigquery.sql.{name}": value for name, value in expected.items()}


def test_bigquery_by_a_key_in_the_profile() -> None:
    said = {"type": "service_account", "private_key": "one\\ntwo", "client_email": "x@example.com"}
    profile = {"type": "bigquery", "method": "service-account-json", "database": "prod", "schema": "delivery"}
    source = bigquery.source(project(profile | {"keyfile_json": said}))
    given = source.options["adbc.bigquery.sql.auth_credentials"]
    assert json.loads(given) == said | {"private_key": "one\ntwo"}
    assert source.options["adbc.bigquery.sql.project_id"] == "prod"
    assert given not in repr(source)
    assert source.without_secrets(f"bad key {given}") == "bad key <secret>"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"project": None}, "project is missing"),
        ({"method": "external-oauth-wif"}, "method 'external-oauth-wif' is not known here"),
        ({"method": "service-account"}, "keyfile is missing"),
        ({"method": "service-account-json", "keyfile_json": SECRET}, "keyfile_json is a mapping here"),
        ({"impersonate_service_account": "x"}, "impersonate_service_account is not read here"),
        ({"maximum_bytes_billed": 1}, "maximum_bytes_billed is not read here"),
    ],
)
def test_bigquery_says_what_is_wrong(said: dict[str, Any], words: str) -> None:
    found = fault(BIGQUERY | said)
    assert words in found
    assert SECRET not in found


def test_bigquery_writes_names_and_texts_otherwise() -> None:
    ours = """select "a""b`", count(*) as n from `my-prod`.`d`.t where x = 'it''s "so"\\' and y >= date '2026-11-01'"""
    theirs = (
        """select `a"b\\``, count(*) as n from `my-prod`.`d`.t where x = 'it\\'s "so"\\\\' and y >= date '2026-11-01'"""
    )
    assert in_backticks(ours) == theirs
    assert in_backticks("select '' , 'a\nb'") == "select '' , 'a\\nb'"
    engine = bigquery.BigQuery(None, bigquery.source(project(BIGQUERY)))
    assert engine.in_its_words('select "a"') == "select `a`"


def test_flight_sql() -> None:
    said = {"username": "delivery", "password": SECRET, "cookies": True}
    source = flightsql.source(project(FLIGHT | said))
    assert source.uri == "grpc+tls://db.example.com:31337"
    assert source.options == {
        "username": "delivery",
        "password": SECRET,
        "adbc.flight.sql.rpc.with_cookie_middleware": "true",
        "adbc.flight.sql.rpc.timeout_seconds.connect": "10",
    }
    assert flightsql.source(project(FLIGHT | {"uri": "grpc://localhost:31337"})).place == "localhost:31337"
    header = flightsql.source(project(FLIGHT | {"authorization_header": f"Bearer {SECRET}"}))
    assert header.options["adbc.flight.sql.authorization_header"] == f"Bearer {SECRET}"
    assert SECRET not in repr(header) + repr(source)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"uri": None}, "uri is missing"),
        ({"uri": "grpc://db.example.com:31337"}, "unencrypted"),
        ({"uri": f"grpc+tls://delivery:{SECRET.replace('/', '%2F')}@db.example.com:31337"}, "the uri holds a login"),
        ({"token": SECRET}, "token is not read here"),
    ],
)
def test_flight_sql_says_what_is_wrong(said: dict[str, Any], words: str) -> None:
    found = fault(FLIGHT | said)
    assert words in found
    assert "s3cret" not in found


@pytest.mark.parametrize("kind", [snowflake.Snowflake, bigquery.BigQuery, flightsql.FlightSql])
def test_none_of_them_vouches_for_one_state(kind: type) -> None:
    assert not kind.is_snapshot  # type: ignore[attr-defined]


@pytest.mark.parametrize("profile", [SNOWFLAKE | {"password": SECRET}, BIGQUERY, FLIGHT], ids=lambda p: p["type"])
def test_a_driver_that_is_not_installed_is_the_extra(profile: dict[str, Any]) -> None:
    assert f"pip install 'delivery[{profile['type']}]'" in fault(profile)


def test_a_target_that_is_not_known_lists_the_known() -> None:
    assert f"Known: {', '.join(KINDS)}." in fault({"type": "redshift"})


@pytest.mark.parametrize("kind", ["snowflake", "bigquery"])
def test_building_needs_dbts_adapter(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"dbt needs dbt-{kind}"):
        build.build(project({"type": kind}), ())


def test_a_flight_sql_target_cannot_be_built() -> None:
    with pytest.raises(ConfigError, match="can be read, not built"):
        build.build(project(FLIGHT), ())


def test_postgres_reads_what_makes_its_connection_safe() -> None:
    base = {"type": "postgres", "host": "db", "user": "u", "database": "d", "schema": "s", "pass": SECRET}
    said = read_keys(
        project(base | {"sslmode": "verify-full", "role": "a b", "search_path": "x"}),
        needs=postgres.NEEDS,
        may=(*postgres.PASSED_ON, "password", "role"),
        for_dbt=postgres.FOR_DBT,
        aliases=postgres.ALIASES,
    )
    uri = postgres.source(said).uri or ""
    assert "sslmode=verify-full" in uri
    assert "role%3Da%5C%20b" in uri
    assert "search_path" not in uri
    assert "gssencmode is not read here" in fault(base | {"gssencmode": "disable"})

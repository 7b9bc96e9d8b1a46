"""Kinds of values: what each may be, and what is said of what it may not be."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from delivery.config.values import Directory, FileName, KeyFile, Name, Nulls, PinnedKey, RowCount, Secret

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIGxvY2FsLWV4YW1wbGUta2V5LW5vdC1yZWFsLTAwMDAw"


def why_not(kind: Any, value: Any) -> str | None:
    """What is said of the value; None if it is one."""
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        return error.errors()[0]["msg"].removeprefix("Value error, ")
    return None


@pytest.mark.parametrize("value", ["a", "a/b", "/a/b/", ".", "a b", "..a/b..", "Grüße"])
def test_a_directory(value: str) -> None:
    assert why_not(Directory, value) is None


@pytest.mark.parametrize("value", ["", "..", "../a", "a/../b", "a/..", "a\\b", "a\nb", "a\0", "a\x7f"])
def test_no_directory(value: str) -> None:
    assert why_not(Directory, value) == "must be a path without '..', backslash or control characters"


@pytest.mark.parametrize(
    "value", ["a.csv", "{campaign}_{window:%Y-%m-%d}", "{namespace}-{part:03}.csv", "{{x}}", "a b"]
)
def test_a_file_name(value: str) -> None:
    assert why_not(FileName, value) is None


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("{day}", "unknown {day}; known: namespace, campaign, window, revision, part"),
        ("{}", "unknown {}; known: "),
        ("{campaign.x}", "unknown {campaign.x}; known: "),
        ("{campaign", "is not a template: "),
        ("{window!z}", "is not a template: "),
        ("{part:%Y}", "is not a template: "),
        ("", "must be a name without a path"),
        (".a", "must be a name without a path"),
        ("a/b", "must be a name without a path"),
        ("a\\b", "must be a name without a path"),
        ("a\tb", "must be a name without a path"),
        ("{window:%d/%m}", "must be a name without a path"),  # only what it becomes has one
        ("{campaign:.>9}", "is not a template: {campaign:.>9}: takes no format"),
        ("{campaign:/>1}", "is not a template: {campaign:/>1}: takes no format"),
    ],
)
def test_no_file_name(value: str, why: str) -> None:
    assert (why_not(FileName, value) or "").startswith(why)


def key_of(kind: str) -> str:
    """A public key as it is in files: what it is of, then its bytes."""
    return base64.b64encode(len(kind).to_bytes(4, "big") + kind.encode() + bytes(32)).decode()


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
@pytest.mark.parametrize("line", ["{kind} {key}", "{kind} {key} a comment", "[host]:22,10.0.0.1 {kind} {key}"])
def test_a_host_key(kind: str, line: str) -> None:
    assert why_not(PinnedKey, line.format(kind=kind, key=key_of(kind))) is None


@pytest.mark.parametrize(
    "value",
    [
        KEY, "", "ssh-ed25519", f"ecdsa-sha2-nistp256 {KEY}", "ssh-ed25519 not-base64!",
        f"@revoked h ssh-ed25519 {KEY}",
        f"sk-ssh-ed25519@openssh.com {key_of('sk-ssh-ed25519@openssh.com')}",
    ],
)  # fmt: skip
def test_no_host_key(value: str) -> None:
    assert why_not(PinnedKey, value)


def test_a_key_file_is_a_path_from_the_file_on_and_not_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    kind = TypeAdapter[Path](KeyFile)
    for value, expected in (("k", tmp_path / "k"), ("~/k", tmp_path / "home" / "k"), ("/etc/k", Path("/etc/k"))):
        assert kind.validate_python(value, context={"folder": tmp_path}) == expected
    for value in ("a\nb", "-----BEGIN OPENSSH PRIVATE KEY-----"):
        assert why_not(KeyFile, value) == "must be the path of a key file, not the key itself"


def test_a_secret_is_not_empty_and_not_shown() -> None:
    assert why_not(Secret, "")
    assert "hunter2" not in repr(TypeAdapter[Any](Secret).validate_python("hunter2"))


@pytest.mark.parametrize("value", ["", "NULL", "\\N", "n/a", "-", "+", "none", "true story"])
def test_what_may_stand_for_null(value: str) -> None:
    assert why_not(Nulls, value) is None


@pytest.mark.parametrize("value", ["0", "-1", "+2.5", "3 apples", "true", "FALSE", "nan", "-inf"])
def test_what_could_be_a_value_does_not(value: str) -> None:
    assert why_not(Nulls, value) == "could be a value: choose a token that is no number, date or boolean"


def test_what_stands_for_null_is_one_line() -> None:
    assert why_not(Nulls, "a\tb") == "must not contain control characters, or begin with a byte-order mark"


@pytest.mark.parametrize("value", ["a", "A-1_b", "0a"])
def test_a_name(value: str) -> None:
    assert why_not(Name, value) is None


@pytest.mark.parametrize("value", ["", "-a", "_a", "a b", "a.b", "a/b", "é", "a\n"])
def test_no_name(value: str) -> None:
    assert why_not(Name, value)


@pytest.mark.parametrize("value", [{"min": 0}, {"max": 0}, {"min": 3, "max": 3}, {"change": 0.5}])
def test_bounds_of_a_row_count(value: dict[str, float]) -> None:
    assert why_not(RowCount, value) is None


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({}, "needs min, max or change"),
        ({"min": 4, "max": 3}, "min must not be above max"),
        ({"min": -1}, "Input should be greater than or equal to 0"),
        ({"max": -1}, "Input should be greater than or equal to 0"),
        ({"change": 0}, "Input should be greater than 0"),
        ({"mni": 3}, "Extra inputs are not permitted"),
    ],
)
def test_no_bounds(value: dict[str, float], why: str) -> None:
    assert why_not(RowCount, value) == why

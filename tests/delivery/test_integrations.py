"""integrations.yml: every fault at once, each with its key path; secrets never in the file and never shown."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from builders import NOW, job
from pydantic import SecretStr

from delivery.config import integrations_file
from delivery.config.integrations import (
    HostedDestination,
    Integration,
    LocalDestination,
    SftpDestination,
    json_schema,
)
from delivery.config.integrations_file import Integrations
from delivery.errors import ConfigError
from delivery.schedule.names import file_name

ROOT = Path(__file__).parents[2]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxvY2FsLWV4YW1wbGUta2V5LW5vdC1yZWFsLTAwMDAw"
SFTP = {"type": "sftp", "host": "sftp.example.com", "username": "platform", "host_keys": [KEY]}
PASSWORD = "{{ env_var('ACME_PASSWORD') }}"
VALID: dict[str, Any] = {
    "vendor_name": "Acme",
    "namespace": "acme_outdoor",
    "destination": {"type": "hosted"},
    "directory": "daily",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_PASSWORD", "correct horse")
    monkeypatch.delenv("UNSET", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "integrations.yml"


def save(file: Path, **entries: dict[str, Any]) -> Path:
    file.write_text(yaml.safe_dump({"integrations": entries}, sort_keys=False), encoding="utf-8")
    return file


def faults(file: Path, names: tuple[str, ...] | None = None) -> list[str]:
    """What the file is refused for, one line a fault."""
    with pytest.raises(ConfigError) as refused:
        Integrations(file).usable(names)
    first, *rest = refused.value.message.splitlines()
    count = first.removeprefix("integrations.yml has ").split()[0]
    assert count == ("one" if len(rest) == 1 else str(len(rest)))
    return [line.strip() for line in rest]


def fault(file: Path, **changes: Any) -> str:
    """The one fault of an integration named `acme` with these changes; None removes a key."""
    changed = {key: value for key, value in {**VALID, **changes}.items() if value is not None}
    (only,) = faults(save(file, acme=changed))
    return only


def sftp(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**SFTP, "password": PASSWORD, **changes}.items() if value is not None}


def test_a_minimal_file_has_the_platforms_defaults(file: Path) -> None:
    loaded = Integrations(save(file, acme=VALID)).usable()["acme"]
    assert (loaded.character_encoding, loaded.row_delimiter, loaded.column_delimiter) == ("UTF-8", "windows", ",")
    assert (loaded.include_header_row, loaded.filename_timestamped, loaded.file_name) == (True, False, None)
    assert (loaded.compression, loaded.bom, loaded.nulls, loaded.quoting) == ("none", False, "", "minimal")
    assert (loaded.escape_formulas, loaded.manifest, loaded.empty, loaded.existing) == (False, True, "header", "hold")


def test_the_samples_file_is_valid() -> None:
    declared = Integrations(ROOT / "integrations.yml")
    assert set(declared.usable(secrets=False)) <= set(declared.names)


# Faults


def test_all_faults_are_said_at_once_with_their_paths(file: Path) -> None:
    save(
        file,
        acme={**VALID, "directory": "../up", "colour": "red", "destination": {"type": "hosted", "port": 22}},
        bright={"namespace": "bright side", "destination": sftp(password=None), "directory": "x"},
        sftp={**VALID, "destination": sftp(host=None, password="{{ env_var('UNSET') }}"), "bom": "perhaps"},
    )
    found = faults(file)
    assert [line.partition(": ")[0] for line in found] == [
        "integrations.acme.destination.port",
        "integrations.acme.directory",
        "integrations.acme.colour",
        "integrations.bright.vendor_name",
        "integrations.bright.namespace",
        "integrations.bright.destination",
        "integrations.sftp.destination.host",
        "integrations.sftp.bom",
        "integrations.sftp.destination.password",
    ]


@pytest.mark.parametrize(
    ("changes", "where", "known"),
    [
        ({"colour": 1}, "acme.colour", Integration.model_fields),
        ({"destination": {"type": "hosted", "colour": 1}}, "acme.destination.colour", HostedDestination.model_fields),
        ({"destination": {"type": "local", "port": 1}}, "acme.destination.port", LocalDestination.model_fields),
        ({"destination": sftp(hostkeys=[])}, "acme.destination.hostkeys", SftpDestination.model_fields),
    ],
)
def test_an_unknown_key_lists_the_known_ones_of_its_level(
    file: Path, changes: dict[str, Any], where: str, known: dict[str, Any]
) -> None:
    assert fault(file, **changes).startswith(f"integrations.{where}: unknown key; known: {', '.join(known)}")


@pytest.mark.parametrize("name", ["sftp", "hosted", "local", "destination"])
def test_an_integrations_name_may_be_a_word_of_the_format(file: Path, name: str) -> None:
    (found,) = faults(save(file, **{name: {**VALID, "colour": 1}}))
    assert found.startswith(f"integrations.{name}.colour: unknown key; known: vendor_name,")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"vendor_name": None}, "acme.vendor_name: is required"),
        ({"vendor_name": ""}, "acme.vendor_name: String should have at least 1 character (seen: '')"),
        ({"destination": None}, "acme.destination: is required"),
        ({"destination": {}}, "acme.destination.type: is required; known: sftp, hosted, local"),
        ({"destination": {"type": "ftp"}}, "acme.destination.type: unknown 'ftp'; known: sftp, hosted, local"),
        *(
            ({"destination": sftp(**{key: many})}, f"acme.destination.{key}: Input should be less than or equal")
            for key in ("timeout", "deadline")
            for many in (1e12, float("inf"))
        ),
        ({"destination": sftp(port=0)}, "acme.destination.port: Input should be greater than or equal to 1 (seen: 0)"),
        ({"destination": sftp(password=None)}, "acme.destination: needs a password or a private_key"),
        ({"destination": sftp(host_keys=None)}, "acme.destination.host_keys: is required"),
        (
            {"character_encoding": "utf8"},
            "acme.character_encoding: Input should be 'UTF-8', 'UTF-16', 'Windows-1252' or 'ISO-8859-1' (seen: 'utf8')",
        ),
        ({"existing": "replace", "filename_timestamped": True}, "acme: existing: replace needs a fixed name"),
        ({"nulls": "a,b"}, "acme: nulls must not contain the column delimiter"),
        ({"nulls": "|", "column_delimiter": "|"}, "acme: nulls must not contain the column delimiter"),
        ({"nulls": '"'}, "acme: nulls must not contain the column delimiter, a quote or a line break"),
        ({"nulls": "a\nb"}, "acme.nulls: must not contain control characters"),
        ({"nulls": "\0"}, "acme.nulls: must not contain control characters"),
        ({"nulls": "x" * 21}, "acme.nulls: String should have at most 20 characters"),
    ],
)
def test_faults_are_said_plainly(file: Path, changes: dict[str, Any], expected: str) -> None:
    assert fault(file, **changes).startswith(f"integrations.{expected}")


@pytest.mark.parametrize(
    "token", ["0", "-1", "+3.5", "1e5", "NaN", "nan", "inf", "-inf", "true", "FALSE", "1970-01-01"]
)
def test_a_token_that_could_be_a_value_is_refused(file: Path, token: str) -> None:
    assert "could be a value" in fault(file, nulls=token)


@pytest.mark.parametrize("token", ["NULL", "\\N", "<null>", "-", "(none)", "n/a", " ", "é"])
def test_any_other_token_is_taken(file: Path, token: str) -> None:
    assert Integrations(save(file, acme={**VALID, "nulls": token})).usable()["acme"].nulls == token


# Names and paths that could leave their directory


@pytest.mark.parametrize(
    "value", ["", "..", "../x", "x/../../y", "x/..", "a\\b", "a\0b", "a\nb", "a\x1bb", "a\x7f", "/../etc"]
)
@pytest.mark.parametrize("destination", [{"type": "hosted"}, {"type": "local"}, sftp()])
def test_a_directory_cannot_leave_its_place(file: Path, value: str, destination: dict[str, Any]) -> None:
    found = fault(file, directory=value, destination=destination)
    assert found.startswith("integrations.acme.directory: must be a path without '..'")
    assert value == "" or not set(value) & set(found) & set("\0\n\x1b\x7f"), "control characters are shown escaped"


def test_a_hosted_directory_has_plain_names(file: Path) -> None:
    assert "directory must be plain names on the hosted share" in fault(file, directory="./x")
    assert Integrations(save(file, acme={**VALID, "directory": "/a/b/"})).usable()["acme"].directory == "/a/b/"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "a/b",
        "../a",
        "..",
        ".hidden",
        "a\\b",
        "a\0b",
        "a\nb",
        "a\tb",
        "a\x7f",
        "{window:%Y/%m}",
    ],
)
def test_a_file_name_is_one_plain_name(file: Path, value: str) -> None:
    assert "acme.file_name: must be a name without a path or control characters" in fault(file, file_name=value)


@pytest.mark.parametrize(
    "value", ["{", "}", "a}b", "{campaign", "{campaign:d}", "{window:{x}}", "{campaign!z}", "{part:%Y}"]
)
def test_a_broken_template_is_refused_at_load(file: Path, value: str) -> None:
    assert "acme.file_name: is not a template: " in fault(file, file_name=value)


@pytest.mark.parametrize("value", ["{day}", "{}", "{0}", "{campaign.name}", "{campaign[0]}", "{window.__class__}"])
def test_an_unknown_field_lists_the_known(file: Path, value: str) -> None:
    assert fault(file, file_name=value).startswith(f"integrations.acme.file_name: unknown {value}; known: namespace, c")


@pytest.mark.parametrize("value", ["{campaign}", "{{x}}-{part:03d}", "a {window:%d %m}.txt", "Grüße.csv"])
def test_a_good_template_names_a_file(value: str) -> None:
    assert file_name(job(file_name=value), NOW)


@pytest.mark.parametrize("value", ["", "../x", "a/b", "a b", "a\n", "a\0", "'x'", ".x", "-x", "é", 5, None])
def test_a_namespace_is_a_plain_name(file: Path, value: Any) -> None:
    assert fault(file, namespace=value).startswith("integrations.acme.namespace: ")


@pytest.mark.parametrize("name", ["a b", "a.b", "../a", "", 5, True, "\x1b[31m", "a\nb"])
def test_an_integrations_name_is_a_plain_name(file: Path, name: Any) -> None:
    (found,) = faults(save(file, ok=VALID) if name is None else _save_named(file, name))
    shown = repr(str(name))
    assert found == f"integrations.{shown}: a name has letters, digits, - and _ (seen: {shown})"


def _save_named(file: Path, name: Any) -> Path:
    file.write_text(yaml.safe_dump({"integrations": {name: VALID}}), encoding="utf-8")
    return file


# Secrets and the environment


@pytest.mark.parametrize("key", ["password", "passphrase"])
@pytest.mark.parametrize(
    "value",
    [
        "hunter2",
        12345,
        "hunter2 {{ env_var('ACME_PASSWORD') }}",
        "{{ env_var('ACME_PASSWORD') }}hunter2",
        "{{ env_var('UNSET', 'hunter2') }}",
        "{{ 'hunter2' }}",
        "# env_var('ACME_PASSWORD')",
        "{{ env_var('ACME_PASSWORD') ~ 'hunter2' }}",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_shown(file: Path, key: str, value: Any) -> None:
    found = fault(file, destination=sftp(**{key: value}))
    rule = "a secret must not stand in the file; use \"{{ env_var('NAME') }}\""
    assert found == f"integrations.acme.destination.{key}: {rule}"


def test_a_secret_at_the_wrong_level_is_refused_too(file: Path) -> None:
    found = faults(save(file, acme={**VALID, "password": "hunter2"}))
    assert found[0].startswith("integrations.acme.password: a secret must not stand in the file")
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    "destination",
    [
        "sftp://platform:hunter2@sftp.example.com",
        sftp(pasword="hunter2"),
        sftp(private_key="-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----"),
        sftp(private_key="-----BEGIN OPENSSH PRIVATE KEY----- hunter2"),
        sftp(private_key="{{ env_var('PEM', '-----BEGIN PRIVATE KEY----- hunter2') }}"),
        sftp(host_keys=["-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2"]),
    ],
)
def test_what_looks_like_a_secret_is_not_shown(file: Path, destination: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PEM", "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\n")
    assert "hunter2" not in fault(file, destination=destination)


def test_loaded_secrets_are_not_shown(file: Path) -> None:
    loaded = Integrations(save(file, acme={**VALID, "destination": sftp()})).usable()["acme"]
    assert isinstance(loaded.destination, SftpDestination)
    assert loaded.destination.password
    assert loaded.destination.password.get_secret_value() == "correct horse"
    assert "horse" not in repr(loaded) + str(loaded) + loaded.model_dump_json()


def test_a_private_key_may_be_the_text_of_a_variable(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is a secret then: it is in no text of what was loaded."""
    text = "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\n"
    for said in (text, text.replace("\n", "\\n")):
        monkeypatch.setenv("PEM", said)
        entry = {**VALID, "destination": sftp(private_key="{{ env_var('PEM') }}")}
        loaded = Integrations(save(file, acme=entry)).usable()["acme"]
        assert isinstance(loaded.destination, SftpDestination)
        assert isinstance(loaded.destination.private_key, SecretStr)
        assert loaded.destination.private_key.get_secret_value() == text
        assert "hunter2" not in repr(loaded) + str(loaded) + loaded.model_dump_json()


def test_a_missing_variable_is_named_only_for_who_needs_it(file: Path) -> None:
    unset = {**VALID, "destination": sftp(password="{{ env_var('UNSET') }}")}
    save(file, acme=VALID, other=unset)
    expected = "integrations.other.destination.password: the environment variable UNSET is not set"
    assert faults(file) == [expected]
    assert faults(file, ("other",)) == [expected]
    assert list(Integrations(file).usable(("acme",))) == ["acme"]
    assert list(Integrations(file).usable(secrets=False)) == ["acme"]
    assert Integrations(file).names == ["acme", "other"]


def test_other_faults_beside_a_missing_variable_are_said_too(file: Path) -> None:
    unset = {**VALID, "destination": sftp(port="{{ env_var('UNSET') }}", host=""), "colour": 1}
    assert len(faults(save(file, acme=unset))) == 3
    assert len(faults(file, ("acme",))) == 3
    with pytest.raises(ConfigError) as refused:
        Integrations(file).usable(secrets=False)
    assert refused.value.message.count("integrations.acme.") == 2, "whoever needs it: it is wrong in itself"


def test_faults_are_those_of_the_integrations_that_are_named(file: Path) -> None:
    """And those around them, which are everybody's."""
    save(file, acme=VALID, other={**VALID, "colour": 1})
    assert list(Integrations(file).usable(("acme",))) == ["acme"]
    assert faults(file, ("other",))[0].startswith("integrations.other.colour: ")
    file.write_text(file.read_text() + "colour: 1\n")
    for names, expected in ((("acme",), 1), ((), 1), (("other",), 2), (None, 2)):
        assert len(faults(file, names)) == expected, names


def test_an_empty_secret_is_a_missing_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_PASSWORD", "")
    expected = "integrations.acme.destination.password: the environment variable ACME_PASSWORD is empty"
    assert fault(file, destination=sftp()) == expected
    save(file, acme={**VALID, "destination": sftp()}, other={**VALID, "directory": "beside"})
    found = Integrations(file)
    assert [str(error) for error in found.lacking.values()] == [f"{expected}."], "that is one client's trouble"
    assert list(found.usable(("other",))) == list(found.usable(secrets=False)) == ["other"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ env_var('UNSET', 'fallback') }}", "fallback"),
        ("{{ env_var('ACME_PASSWORD', 'fallback') }}", "correct horse"),
        ("to {{ env_var('ACME_PASSWORD') }}, with care", "to correct horse, with care"),
    ],
)
def test_any_value_may_come_from_the_environment(file: Path, text: str, expected: str) -> None:
    assert Integrations(save(file, acme={**VALID, "vendor_name": text})).usable()["acme"].vendor_name == expected


def test_numbers_and_booleans_may_come_from_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "2222")
    monkeypatch.setenv("BOM", "yes")
    values = {**VALID, "bom": "{{ env_var('BOM') }}", "destination": sftp(port="{{ env_var('PORT') }}")}
    loaded = Integrations(save(file, acme=values)).usable()["acme"]
    assert isinstance(loaded.destination, SftpDestination)
    assert (loaded.bom, loaded.destination.port) == (True, 2222)


@pytest.mark.parametrize(
    "text",
    ["{{ env_var('X' }}", "{{ nothing }}", "{{ env_var() }}", "{{ 1 / 0 }}", "{{ ''.__class__.mro() }}"],
)
def test_a_broken_template_is_a_fault_with_its_path(file: Path, text: str) -> None:
    assert fault(file, vendor_name=text).startswith("integrations.acme.vendor_name: the template cannot be read: ")


# Key files


def test_a_key_file_is_needed_readable_and_private(file: Path) -> None:
    key = file.with_name("id_ed25519")
    entry = {**VALID, "destination": sftp(private_key=str(key), password=None)}
    where = "integrations.acme.destination.private_key"
    assert faults(save(file, acme=entry)) == [f"{where}: {key} cannot be read: No such file or directory"]
    assert Integrations(file).usable(secrets=False)["acme"], "whoever does not need it goes on"
    key.mkdir()
    assert faults(file) == [f"{where}: {key} cannot be read: Is a directory"]
    key.rmdir()
    key.write_text("key")
    for mode in (0o640, 0o604, 0o610, 0o666):
        key.chmod(mode)
        assert faults(file) == [f"{where}: {key} is open to others; chmod 600"]
    key.chmod(0o600)
    assert Integrations(file).usable()["acme"]


def test_a_jump_host_is_held_to_the_same(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = {"host": "gate.example.com", "username": "acme", "host_keys": SFTP["host_keys"]}
    where = "integrations.acme.destination.jump"

    def seen(**changes: Any) -> list[str]:
        return faults(save(file, acme={**VALID, "destination": sftp(jump={**gate, **changes})}))

    assert seen() == [f"{where}: needs a password or a private_key"]
    assert seen(password="hunter2") == [
        f"{where}.password: a secret must not stand in the file; use \"{{{{ env_var('NAME') }}}}\""
    ]
    key = file.with_name("id_gate")
    key.write_text("key")
    key.chmod(0o640)
    assert seen(private_key=str(key)) == [f"{where}.private_key: {key} is open to others; chmod 600"]
    assert seen(private_key=str(key), hots="x")[0].startswith(f"{where}.hots: ")
    monkeypatch.delenv("GATE", raising=False)
    assert seen(password="{{ env_var('GATE') }}") == [f"{where}.password: the environment variable GATE is not set"]
    with pytest.raises(ConfigError, match="GATE"):  # which `trust` needs, to get through
        Integrations(file).without_secrets("acme")
    monkeypatch.setenv("GATE", "hunter2")
    loaded = Integrations(file).usable()["acme"]
    assert "hunter2" not in repr(loaded)


def test_a_key_files_path_is_relative_to_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setenv("HOME", str(file.parent / "home"))
    key = file.parent / "keys" / "id"
    key.parent.mkdir()
    key.touch(0o600)
    (file.parent / "home").mkdir()
    (file.parent / "home" / "id").touch(0o600)
    for text, path in (("keys/id", key), ("~/id", file.parent / "home" / "id"), (str(key), key)):
        loaded = Integrations(save(file, acme={**VALID, "destination": sftp(private_key=text)})).usable()["acme"]
        assert isinstance(loaded.destination, SftpDestination)
        assert loaded.destination.private_key == path


# YAML


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("integrations:\n  a: [1\n", "is not valid YAML at line 3, column 1: "),
        ("integrations:\n\ta: 1\n", "is not valid YAML at line 2, column 1: "),
        (
            "a: 1\na: 2\n",
            "is not valid YAML at line 2, column 1: the key 'a' stands in line 1 already",
        ),
        (
            "integrations:\n  acme:\n    bom: true\n    nulls: x\n    bom: false\n",
            "is not valid YAML at line 5, column 5: the key 'bom' stands in line 3 already",
        ),
        ("a: &a {}\nb: {<<: *a, <<: *a}\n", "is not valid YAML at line 2, column 13: the key '<<' stands in line 2"),
        ("a: 2026-02-30\n", "is not valid YAML: day is out of range for month"),
        ("a: \x00\n", "is not valid YAML: "),
        (
            "{a: 1, a: 2}",
            "is not valid YAML at line 1, column 8: the key 'a' stands in line 1 already",
        ),
    ],
)
def test_bad_yaml_is_said_with_its_line(file: Path, text: str, message: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        Integrations(file).usable()
    assert refused.value.message.startswith(f"integrations.yml {message}")


def test_a_file_that_is_not_there_or_not_text(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"No integrations\.yml in"):
        Integrations(file).usable()
    file.write_bytes(b"integrations: \xff\xfe")
    with pytest.raises(ConfigError, match=r"is not valid YAML: .*utf-8"):
        Integrations(file).usable()
    file.unlink()
    file.mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        Integrations(file).usable()


def test_merged_mappings_are_not_duplicates(file: Path) -> None:
    file.write_text(
        "integrations:\n"
        "  a: &base {vendor_name: A, namespace: n, directory: d, destination: {type: hosted}}\n"
        "  b: &more\n    <<: *base\n    directory: e\n"
        "  c:\n    <<: [*more]\n    vendor_name: C\n",
        encoding="utf-8",
    )
    loaded = Integrations(file).usable()
    assert [(one.vendor_name, one.directory) for one in loaded.values()] == [("A", "d"), ("A", "e"), ("C", "e")]


@pytest.mark.parametrize("text", ["", "[]", "text", "integrations:", "integrations: []", "integration: {}"])
def test_a_file_without_integrations_says_so(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    assert faults(file)[-1] == "integrations: is required: a mapping of names to integrations"


def test_an_unknown_key_at_the_top_lists_the_known(file: Path) -> None:
    file.write_text(yaml.safe_dump({"integrations": {"acme": VALID}, "version": 2}), encoding="utf-8")
    assert faults(file) == ["version: unknown key; known: integrations, share, alerts"]


@pytest.mark.parametrize("entry", [None, "text", [1], 5])
def test_an_entry_that_is_no_mapping(file: Path, entry: Any) -> None:
    (found,) = faults(save(file, acme=entry))
    assert found.startswith("integrations.acme: Input should be a valid dictionary")


# The editors' schema


def valid_in_schema(document: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(json_schema()).is_valid(document))


def test_the_schema_in_the_docs_is_fresh() -> None:
    kept = json.loads((ROOT / "docs" / "integrations.schema.json").read_text(encoding="utf-8"))
    assert kept == json_schema(), "run `make schema`"


def test_the_schema_is_a_schema_and_accepts_the_samples_file() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert valid_in_schema(yaml.safe_load((ROOT / "integrations.yml").read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (VALID, True),
        ({**VALID, "destination": sftp(passphrase=PASSWORD, private_key="/key")}, True),
        ({**VALID, "bom": "{{ env_var('BOM') }}", "destination": sftp(port="{{ env_var('PORT', '22') }}")}, True),
        ({**VALID, "namespace": "{{ env_var('N') }}", "quoting": "{{ env_var('Q') }}"}, True),
        ({**VALID, "destination": sftp(host_keys=["{{ env_var('HOST_KEY') }}"])}, True),
        ({**VALID, "colour": 1}, False),
        ({**VALID, "destination": {"type": "hosted", "port": 22}}, False),
        ({**VALID, "destination": {"type": "ftp"}}, False),
        ({**VALID, "destination": sftp(host_keys=["nonsense"])}, False),
        ({**VALID, "destination": sftp(host_keys=[])}, False),
        ({**VALID, "destination": sftp(password="hunter2")}, False),
        ({**VALID, "destination": sftp(password="{{ env_var('X', 'hunter2') }}")}, False),
        ({**VALID, "quoting": "some"}, False),
        ({**VALID, "bom": "perhaps"}, False),
        ({**VALID, "nulls": "x" * 21}, False),
        ({**VALID, "namespace": "a b"}, False),
        ({key: value for key, value in VALID.items() if key != "namespace"}, False),
    ],
)
def test_the_schema_says_what_the_loader_says(entry: dict[str, Any], expected: bool) -> None:
    assert valid_in_schema({"integrations": {"acme": entry}}) is expected
    assert not valid_in_schema({"integrations": {"acme": entry}, "other": 1})


# What was probably meant


@pytest.mark.parametrize(
    ("changes", "meant"),
    [
        ({"vendor": "x"}, "vendor_name"),
        ({"compresion": "gzip"}, "compression"),
        ({"compression": "gzpi"}, "gzip"),
        ({"character_encoding": "UTF8"}, "UTF-8"),
        ({"destination": {"type": "hostd"}}, "hosted"),
        ({"destination": {"type": "hosted", "verfy": "size"}}, "verify"),
        ({"destination": {"type": "local", "publish": "rename_"}}, "rename"),
        ({"row_count": {"mni": 1}}, "min"),
    ],
)
def test_the_nearest_known_word_is_said(file: Path, changes: dict[str, Any], meant: str) -> None:
    found = faults(save(file, acme={**VALID, **changes}, other={**VALID, "quoting": "al"}))
    assert any(f"(did you mean {meant!r}?)" in one for one in found)
    assert any(one.startswith("integrations.other.quoting") and "'all'" in one for one in found), "all in one go"


def test_what_is_near_to_nothing_is_not_guessed(file: Path) -> None:
    assert "did you mean" not in fault(file, shape=1)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("h:2222", "write h, and `port: 2222` beside it"),
        ("sftp.example.com:22", "write sftp.example.com, and `port: 22` beside it"),
        ("[2001:db8::1]:2222", "write 2001:db8::1, and `port: 2222` beside it"),
        ("sftp://sftp.example.com", "without scheme, user or path"),
        ("acme@sftp.example.com", "without scheme, user or path"),
        ("sftp.example.com/in", "without scheme, user or path"),
        ("sftp..example.com", "without scheme, user or path"),
        ("-oProxyCommand", "without scheme, user or path"),
        (" sftp.example.com", "without scheme, user or path"),
    ],
)
def test_a_host_is_a_host_alone(file: Path, host: str, why: str) -> None:
    assert why in fault(file, destination=sftp(host=host))


@pytest.mark.parametrize(
    "host", ["sftp.example.com", "h", "192.0.2.1", "2001:db8::1", "sftp.example.com.", "h_1", "bücher.example"]
)
def test_hosts(file: Path, host: str) -> None:
    assert Integrations(save(file, acme={**VALID, "destination": sftp(host=host)})).usable()


def test_what_an_integration_lacks_is_looked_for_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10,000 clients, whoever asks: keys are files."""
    looked: list[str] = []
    known = integrations_file._lacking
    monkeypatch.setattr(integrations_file, "_lacking", lambda name, one: looked.append(name) or known(name, one))  # type: ignore[func-returns-value]
    declared = Integrations(save(file, acme=VALID, other=VALID | {"directory": "other"}))
    assert declared.lacking == {}
    assert set(declared.usable()) == {"acme", "other"}
    assert looked == ["acme", "other"]


OTHER = VALID | {"namespace": "brightside_beauty"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("vendor_name: 0x" + "f" * 5000, ""),
        ("vendor_name: " + "9" * 5000, ""),
        ("armor: 0x" + "f" * 5000, "armor: "),
        ("namespace: " + "n" * 256, "namespace: String should have at most 255 characters"),
        ("? 0x" + "f" * 5000, ": unknown key; known: "),
        ('file_name: "{{ 3|xmlattr }}"', "file_name: the template cannot be read: AttributeError"),
        ("file_name: \"{{ 'a' * 100000000000000 }}\"", "file_name: the template cannot be read: MemoryError"),
        ("file_name: \"{{ env_var('BYTES') }}\"", "file_name: the template holds what is no UTF-8"),
        ("directory: \"{{ env_var('BYTES') }}\"", "directory: the template holds what is no UTF-8"),
        ("directory: in/" + "x" * 256, "directory: must be a path of at most 1000 bytes, of names of at most 255"),
        ("directory: " + "x/" * 501, "directory: must be a path of at most 1000 bytes, of names of at most 255"),
        ("public_key: ~no_such_person/key", "public_key: must be a path: nobody here has such a home"),
        ('recipients: ["a\\0b"]', "recipients.0: must be a path without control characters"),
        ("destination: {type: hosted, keep_days: 999999999999}", "destination.keep_days: "),
        ("signature: hunter2", "signature: Input should be a valid dictionary or instance of Signature"),
        ("destination: {type: sftp, host: 'sftp://a:hunter2@b'}", "destination.host: "),
    ],
)
def test_an_odd_value_is_one_integrations_fault(
    file: Path, change: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BYTES", os.fsdecode(b"a\xff"))
    key = change.partition(":")[0]
    kept = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in VALID.items() if name != key)
    file.write_text(f"integrations:\n  acme:\n{kept}    {change}\n  other: {json.dumps(OTHER)}\n")
    declared = Integrations(file)
    assert [*declared.usable(["other"])] == ["other"]
    found = "\n".join(declared.faults("acme", secrets=True))
    assert said in found
    assert "hunter2" not in found


def test_a_certificate_that_is_a_pipe_is_not_waited_for(file: Path) -> None:
    os.mkfifo(file.parent / "pipe")
    save(file, acme=VALID | {"encryption": "openpgp", "public_key": "pipe"})
    (found,) = Integrations(file).faults("acme", secrets=True)
    assert found.endswith("pipe cannot be read: it is no file")

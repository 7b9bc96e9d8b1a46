"""The manifest: what a client needs, the same for the same delivery, and enough to find any damage."""

from __future__ import annotations

import gzip
import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from builders import campaign, dataset, job

from delivery.errors import ConfigError
from delivery.files import MANIFEST_SUFFIX as SUFFIX
from delivery.files import write_file
from delivery.manifest_file import Checked, DeliveryManifest, render, verify

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = ("namespace", "email")


def deliver(folder: Path, name: str = "daily.csv", **changes: Any) -> Path:
    """A file and its manifest beside it, as a client would find them; returns the file."""
    chosen = job(**changes)
    rows = pa.record_batch({"namespace": ["acme_outdoor"] * 2, "email": ["a@example.com", "b@example.com"]})
    written = write_file(folder / name, [rows], chosen.integration)
    (folder / (name + SUFFIX)).write_bytes(render(chosen, COLUMNS, [(name, written)], "build-1"))
    return folder / name


def document(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.with_name(file.name + SUFFIX).read_bytes())
    return content


def problem(path: Path) -> str:
    (only,) = verify(path)
    return only.problem


def test_it_says_all_that_a_client_needs(tmp_path: Path) -> None:
    file = deliver(tmp_path, compression="gzip", revision=2, nulls="-")
    content = file.read_bytes()
    manifest = document(file)
    assert manifest.pop("delivery") == job(revision=2).key
    assert manifest.pop("file_format") == {
        "character_encoding": "UTF-8",
        "row_delimiter": "windows",
        "column_delimiter": ",",
        "include_header_row": True,
        "compression": "gzip",
        "encryption": "none",
        "bom": False,
        "nulls": "-",
        "quoting": "minimal",
        "escape_formulas": False,
    }
    (data,) = manifest.pop("files")
    plain = data.pop("plain_sha256")
    assert data == {"name": "daily.csv", "rows": 2, "bytes": len(content), "sha256": sha256(content).hexdigest()}
    assert plain == sha256(gzip.decompress(content)).hexdigest()
    assert manifest == {
        "version": 1,
        "campaign": "daily",
        "integration": "acme",
        "namespace": "acme_outdoor",
        "dataset": "events",
        "window": {"start": "2026-11-03T00:00:00Z", "end": "2026-11-04T00:00:00Z"},
        "slot": "2026-11-04T05:00:00Z",
        "revision": 2,
        "columns": ["namespace", "email"],
        "dbt_invocation_id": "build-1",
    }


def test_a_current_state_dataset_has_no_window(tmp_path: Path) -> None:
    current = campaign(of=dataset(window=None, order_by=("email",)))
    assert document(deliver(tmp_path, campaign=current))["window"] is None


def test_the_same_delivery_has_the_same_manifest(tmp_path: Path) -> None:
    """No time of writing is in it."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        deliver(tmp_path / folder)
    one, other = ((tmp_path / folder / f"daily.csv{SUFFIX}").read_bytes() for folder in ("a", "b"))
    assert one == other
    assert one.endswith(b"}\n")
    DeliveryManifest.model_validate_json(one)


def test_no_secret_and_no_address_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = {
        "type": "sftp",
        "host": "sftp.example.com",
        "username": "platform",
        "password": "hunter2",
        "host_keys": ["ssh-ed25519 AAAA"],
    }
    file = deliver(tmp_path, destination=destination)
    content = file.with_name(file.name + SUFFIX).read_text(encoding="utf-8")
    assert "hunter2" not in content
    assert "sftp" not in content
    assert "@" not in content


# verify


@pytest.mark.parametrize("path", ["", "daily.csv", f"daily.csv{SUFFIX}"])
def test_a_whole_delivery_is_as_its_manifest_says(tmp_path: Path, path: str) -> None:
    file = deliver(tmp_path)
    manifest = file.with_name(file.name + SUFFIX)
    assert verify(tmp_path / path) == [Checked(str(file), str(manifest), 2, file.stat().st_size, "")]


def test_a_folder_is_checked_to_its_depths(tmp_path: Path) -> None:
    for folder in ("a/daily", "b"):
        (tmp_path / folder).mkdir(parents=True)
        deliver(tmp_path / folder, "x.csv")
        deliver(tmp_path / folder, "y.csv")
    (tmp_path / "b" / "y.csv").unlink()
    found = verify(tmp_path)
    assert [result.problem for result in found] == ["", "", "", "is missing"]


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda content: content[:-1], "has 72 bytes, the manifest says 73"),
        (lambda content: content + b"\n", "has 74 bytes, the manifest says 73"),
        (lambda content: content.replace(b"a@", b"c@"), "has other content than the manifest says"),
        (lambda content: b"", "has 0 bytes, the manifest says 73"),
    ],
)
def test_any_damage_is_found(tmp_path: Path, damage: Any, expected: str) -> None:
    file = deliver(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    assert problem(tmp_path) == expected


def test_a_directory_in_place_of_the_file_is_a_missing_file(tmp_path: Path) -> None:
    file = deliver(tmp_path)
    file.unlink()
    file.mkdir()
    assert problem(file.with_name(file.name + SUFFIX)) == "is missing"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"version": 1}', b'{"version": 2, "other": 1}'],
)
def test_a_manifest_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"x{SUFFIX}").write_bytes(content)
    assert problem(tmp_path) == "the manifest cannot be read"


@pytest.mark.parametrize("key", ["sha256", "files", "delivery", "columns"])
def test_a_manifest_that_lacks_something(tmp_path: Path, key: str) -> None:
    file = deliver(tmp_path)
    manifest = document(file)
    (manifest if key in manifest else manifest["files"][0]).pop(key)
    file.with_name(file.name + SUFFIX).write_text(json.dumps(manifest))
    assert problem(tmp_path) == "the manifest cannot be read"


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "a/../x", "", ".", "..", "sub/x"])
def test_a_manifest_cannot_name_files_elsewhere(tmp_path: Path, name: str) -> None:
    file = deliver(tmp_path)
    manifest = document(file)
    manifest["files"][0]["name"] = name
    file.with_name(file.name + SUFFIX).write_text(json.dumps(manifest))
    assert problem(tmp_path) == f"the manifest names no file beside it: {name!r}"


@pytest.mark.parametrize("path", ["", "lonely.csv", f"none.csv{SUFFIX}"])
def test_nothing_to_check_against_is_said(tmp_path: Path, path: str) -> None:
    (tmp_path / "lonely.csv").touch()
    with pytest.raises(ConfigError, match="There is no manifest for") as refused:
        verify(tmp_path / path)
    assert SUFFIX in refused.value.hint

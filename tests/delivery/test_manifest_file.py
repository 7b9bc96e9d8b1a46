"""The manifest: what a client needs, the same for the same delivery, and enough to find any damage."""

from __future__ import annotations

import gzip
import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from builders import campaign, dataset, job
from click.testing import CliRunner

from delivery.cli import cli
from delivery.errors import ConfigError, ExitCode
from delivery.files.manifest import Changes, Checked, Correction, DeliveryManifest, verify
from delivery.files.parts import Part
from delivery.files.writer import write_file
from delivery.schedule.names import MANIFEST_SUFFIX as SUFFIX

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.schedule.jobs import Job

COLUMNS = ("namespace", "email")


def deliver(folder: Path, name: str = "daily.csv", **changes: Any) -> Path:
    """A file and its manifest beside it, as a client would find them; returns the file."""
    chosen = job(**changes)
    rows = pa.record_batch({"namespace": ["acme_outdoor"] * 2, "email": ["a@example.com", "b@example.com"]})
    part = Part(folder / name, write_file(folder / name, [rows], chosen.integration))
    (folder / (name + SUFFIX)).write_bytes(content([part], chosen))
    return folder / name


def content(parts: list[Part], of: Job, told: Correction | Changes | None = None) -> bytes:
    return DeliveryManifest.of(of, COLUMNS, parts, "build-1", told).content()


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
        "host_keys": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIlOM4VJ6dIqWGYKzvYF8Jj0yD5T2i6yL7O5m0c7b9Xk"],
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


@pytest.mark.parametrize("path", ["", "lonely.csv", "none.csv", f"none.csv{SUFFIX}", "no/such"])
def test_nothing_to_check_against_is_said(tmp_path: Path, path: str) -> None:
    (tmp_path / "lonely.csv").touch()
    with pytest.raises(ConfigError, match="There is no manifest for") as refused:
        verify(tmp_path / path)
    assert SUFFIX in refused.value.hint


@pytest.mark.parametrize(("damaged", "result"), [(False, "as the manifest says"), (True, "is missing")])
def test_people_see_what_each_file_is(tmp_path: Path, *, damaged: bool, result: str) -> None:
    file = deliver(tmp_path)
    size = file.stat().st_size
    if damaged:
        file.unlink()
    done = CliRunner().invoke(cli, ["verify", str(tmp_path), "--full"], catch_exceptions=False)
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert lines[0] == "file rows bytes result"
    assert lines[1:] == [f"{file} 2 {size} {result}"]
    said = CliRunner().invoke(cli, ["verify", str(tmp_path), "--json"], catch_exceptions=False)
    ((only),) = json.loads(said.stdout)["files"]
    assert (only["rows"], only["problem"]) == (2, "is missing" if damaged else "")
    assert done.exit_code == (ExitCode.FAILED if damaged else ExitCode.DONE)


# To the byte, and of several parts


def test_its_bytes(tmp_path: Path) -> None:
    """Indented by two, in the order of the fields, in UTF-8 as it is, with a line's end."""
    rows = pa.record_batch({"namespace": ["acme_outdoor"], "email": ["a@example.com"]})
    chosen = job()
    written = write_file(tmp_path / "x", [rows], chosen.integration)
    parts = [Part(tmp_path / "tägliche.csv", written)]
    content = DeliveryManifest.of(chosen, ("größe",), parts, None).content().decode()
    before, _, after = content.partition('  "file_format": {')
    assert before == (
        f'{{\n  "version": 1,\n  "delivery": "{chosen.key}",\n  "campaign": "daily",\n  "integration": "acme",\n'
        '  "namespace": "acme_outdoor",\n  "dataset": "events",\n  "window": {\n'
        '    "start": "2026-11-03T00:00:00Z",\n    "end": "2026-11-04T00:00:00Z"\n  },\n'
        '  "slot": "2026-11-04T05:00:00Z",\n  "revision": 0,\n  "columns": [\n    "größe"\n  ],\n'
    )
    assert after.partition('  "files": [\n')[2] == (
        f'    {{\n      "name": "tägliche.csv",\n      "rows": 1,\n      "bytes": {written.bytes},\n'
        f'      "sha256": "{written.sha256}",\n      "plain_sha256": "{written.plain_sha256}"\n    }}\n  ],\n'
        '  "dbt_invocation_id": null\n}\n'
    )


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (None, None),
        ("correction", Correction(corrects="d1", scope="changes", withdrawn="w.csv")),
        ("correction", Correction(corrects="d1", scope="whole", withdrawn=None)),
        ("changes", Changes(since="d0", entered=["e.csv"], changed=["c.csv"], left=["l.csv"])),
    ],
)
def test_only_a_correction_and_only_changes_say_so(key: str | None, told: Correction | Changes | None) -> None:
    found = json.loads(content([], job(), told))
    assert {name: found[name] for name in ("correction", "changes") if name in found} == (
        {key: told.model_dump()} if told else {}
    )


def deliver_parts(folder: Path, *names: str) -> list[Path]:
    """Parts of one row more each, and one manifest that is named for the first."""
    chosen, parts = job(), []
    for number, name in enumerate(names, 1):
        rows = pa.record_batch({"namespace": ["acme_outdoor"] * number, "email": ["a@example.com"] * number})
        parts.append(Part(folder / name, write_file(folder / name, [rows], chosen.integration)))
    (folder / (names[0] + SUFFIX)).write_bytes(content(parts, chosen))
    return [folder / name for name in names]


def test_any_part_leads_to_its_own_manifest(tmp_path: Path) -> None:
    """Beside another delivery's and one that cannot be read."""
    deliver_parts(tmp_path, "a_1.csv", "a_2.csv")
    parts = deliver_parts(tmp_path, "b_1.csv", "b_2.csv", "b_3.csv")
    (tmp_path / f"aa{SUFFIX}").write_bytes(b"{")
    (tmp_path / f"zz{SUFFIX}").mkdir()
    manifest = str(tmp_path / f"b_1.csv{SUFFIX}")
    for part in parts:
        assert verify(part) == [
            Checked(str(path), manifest, rows, path.stat().st_size, "") for rows, path in enumerate(parts, 1)
        ]
    parts[2].write_bytes(b"")
    assert [(found.rows, bool(found.problem)) for found in verify(parts[1])] == [(1, False), (2, False), (3, True)]
    with pytest.raises(ConfigError, match="There is no manifest for"):
        verify(tmp_path / "b_4.csv")


def test_a_part_that_two_manifests_name_is_held_against_both(tmp_path: Path) -> None:
    deliver_parts(tmp_path, "a_1.csv", "shared.csv")
    (tmp_path / "shared.csv").unlink()
    deliver_parts(tmp_path, "b_1.csv", "b_2.csv", "shared.csv")
    (result, *others) = verify(tmp_path / "shared.csv")[1:]
    assert (result.manifest, result.problem) == (
        str(tmp_path / f"a_1.csv{SUFFIX}"),
        "has 101 bytes, the manifest says 73",
    )
    assert [(other.manifest, other.problem) for other in others] == [(str(tmp_path / f"b_1.csv{SUFFIX}"), "")] * 3


def test_a_folder_with_one_that_cannot_be_read(tmp_path: Path) -> None:
    """The others are checked all the same."""
    deliver(tmp_path)
    (tmp_path / f"x{SUFFIX}").write_bytes(b"{")
    assert verify(tmp_path)[1:] == [Checked("", str(tmp_path / f"x{SUFFIX}"), 0, 0, "the manifest cannot be read")]
    assert verify(tmp_path)[0].problem == ""

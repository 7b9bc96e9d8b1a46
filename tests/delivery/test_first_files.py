"""`delivery init`: what it writes is read as it is, and nothing is written over or in part."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

import delivery
from delivery.cli import cli
from delivery.config.campaigns import Export
from delivery.config.integrations_file import Integrations

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGxvY2FsLWV4YW1wbGUta2V5LW5vdC1yZWFsLTAwMDAw"
SFTP = {
    "client": "acme-2", "dataset": "orders", "destination": "sftp", "directory": "in/{window:%Y}",
    "host": "[2001:db8::1]:2222", "username": "o'neil: #1", "host-key": KEY,
}  # fmt: skip
HOSTED = {"client": "acme", "dataset": "orders", "destination": "hosted", "directory": "in"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dbt_project.yml").write_text("name: shop\nprofile: shop\nmodel-paths: [transform, more]\n")
    return tmp_path


def init(root: Path, options: dict[str, str], *more: str) -> Result:
    given = [part for name, value in options.items() for part in (f"--{name}", value)]
    return CliRunner().invoke(cli, ["--project-dir", str(root), "init", *given, *more])


def written(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()} - {"dbt_project.yml"}


def test_what_is_written_is_read_without_faults(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = init(root, SFTP, "--json")
    assert done.exit_code == 0, done.stderr
    assert written(root) == {"integrations.yml", "packages.yml", "transform/campaigns/orders_to_acme_2.yml"}
    said = json.loads(done.stdout)
    assert {*said["files"]} == written(root)
    assert "Set SFTP_PASSWORD_ACME_2 in the environment." in said["next"]
    monkeypatch.setenv("SFTP_PASSWORD_ACME_2", "secret")
    to = Integrations(root / "integrations.yml").usable()["acme-2"]
    assert (to.namespace, to.directory) == ("acme-2", "in/{window:%Y}")
    target = to.destination.model_dump()
    assert [target[key] for key in ("host", "port", "username", "host_keys")] == [
        "2001:db8::1", 2222, "o'neil: #1", [KEY],
    ]  # fmt: skip
    (exposure,) = yaml.safe_load((root / "transform/campaigns/orders_to_acme_2.yml").read_text())["exposures"]
    export = Export.model_validate(exposure["config"]["meta"]["export"])
    assert (export.dataset, export.integrations, export.schedule) == ("orders", ("acme-2",), "0 5 * * *")
    (package,) = yaml.safe_load((root / "packages.yml").read_text())["packages"]
    assert Path(package["local"]) == Path(delivery.__file__).parent / "dbt_package"


def test_nothing_is_written_over(root: Path) -> None:
    (root / "packages.yml").write_text("packages: []\n")
    assert init(root, HOSTED).exit_code == 0
    before = {name: (root / name).read_text() for name in written(root)}
    assert before["packages.yml"] == "packages: []\n"
    again = init(root, HOSTED | {"directory": "other"})
    assert again.exit_code == 2
    assert "There is already integrations.yml, transform/campaigns/orders_to_acme.yml" in again.stderr
    assert {name: (root / name).read_text() for name in written(root)} == before


def test_nothing_is_written_in_part(root: Path) -> None:
    """So that, once it is mended, the same command goes through."""
    (root / "transform").write_text("a file where the folder should be")
    done = init(root, HOSTED)
    assert "could not be written: Not a directory" in done.stderr
    assert written(root) == {"transform"}
    (root / "transform").unlink()
    assert init(root, HOSTED).exit_code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "Not given: --client, --dataset, --destination, --directory."),
        ({"destination": "sftp"}, "Not given: --client, --dataset, --directory, --host, --username, --host-key."),
        (HOSTED | {"host": "h.example.com"}, "Only for --destination sftp: --host."),
        (HOSTED | {"client": "a b"}, "client: letters and digits, after the first - and _ (seen: 'a b')"),
        (HOSTED | {"client": "_a"}, "client: letters and digits, after the first - and _ (seen: '_a')"),
        (HOSTED | {"directory": "../up"}, "integrations.acme.directory: must be a path without '..'"),
        (HOSTED | {"schedule": "daily"}, "schedule: neither `once` nor a cron expression"),
        (SFTP | {"host-key": "ssh-ed25519 nonsense"}, "integrations.acme-2.destination.host_keys.0"),
        (SFTP | {"host": "sftp://h.example.com"}, "is neither an integration nor HOST[:PORT]"),
    ],
)
def test_what_has_a_fault_is_not_written(root: Path, options: dict[str, str], said: str) -> None:
    done = init(root, options)
    assert (done.exit_code, written(root)) == (2, set())
    assert said in done.stderr
    assert "Mend integrations.yml" not in done.stderr, "there is none"
    assert "Next: " in done.stderr


@pytest.mark.parametrize(
    ("project", "folder"),
    [
        ("", "models"),
        ("[]", "models"),
        ("model-paths: []", "models"),
        ("model-paths: [1]", "models"),
        ("model-paths: [sql, more]", "sql"),
    ],
)
def test_campaigns_lie_where_dbt_reads_models(root: Path, project: str, folder: str) -> None:
    (root / "dbt_project.yml").write_text(project)
    assert init(root, HOSTED).exit_code == 0
    assert list((root / folder / "campaigns").glob("*.yml"))


def test_a_folder_without_a_project_is_said(tmp_path: Path) -> None:
    done = init(tmp_path, HOSTED)
    assert (done.exit_code, done.stderr.splitlines()[0]) == (2, f"Error: No dbt_project.yml in {tmp_path}.")


def test_a_terminal_is_asked_for_what_is_not_given(root: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "delivery", "init", "--client", "acme"]
    with subprocess.Popen(command, cwd=root, stdin=theirs, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as asking:
        os.write(ours, b"orders\nftp\nLocal\n/srv/outgoing\n")
        _, said = asking.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert asking.returncode == 0, said
    assert b"The model that it gets" in said
    assert said.count(b"Where its files go") == 2, "what cannot be is asked for again"
    assert Integrations(root / "integrations.yml").usable()["acme"].directory == "/srv/outgoing"


def test_who_gives_no_answer_has_met_no_defect(root: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "delivery", "init"]
    with subprocess.Popen(command, cwd=root, stdin=theirs, stderr=subprocess.PIPE, stdout=subprocess.PIPE) as asking:
        os.write(ours, b"acme\n\x04")
        _, said = asking.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert (asking.returncode, written(root)) == (1, set())
    assert said.endswith(b"Aborted!\n"), said

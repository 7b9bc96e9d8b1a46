"""The command line against a real server, OpenSSH where there is one: trust, check, run, and refusals."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from projects import DAY
from servers import keygen

from delivery.files.manifest import verify

if TYPE_CHECKING:
    from pathlib import Path

    from projects import Copy
    from servers import SshServer

LOGINS = ("key", "password")


def point(project: Copy, server_at_hand: SshServer, directory: str, **changes: object) -> None:
    """Makes acme_share an SFTP integration of the server; secrets come from the environment."""
    path = project.own("integrations.yml")
    document = yaml.safe_load(path.read_text())
    project.env["ACME_PASSWORD"] = server_at_hand.password
    document["integrations"]["acme_share"] |= {
        "directory": directory,
        "destination": {
            "type": "sftp",
            "host": server_at_hand.host,
            "port": server_at_hand.port,
            "username": server_at_hand.username,
            "private_key": str(server_at_hand.user_key),
            "host_keys": list(server_at_hand.host_keys.values()),
            "timeout": 10,
            **changes,
        },
    }
    path.write_text(yaml.safe_dump(document))


@pytest.fixture
def inbox(server_at_hand: SshServer, tmp_path: Path) -> Path:
    return server_at_hand.directory(f"inbox-{tmp_path.name}")


@pytest.mark.parametrize("login", LOGINS)
def test_files_arrive_whole_and_once(project: Copy, server_at_hand: SshServer, inbox: Path, login: str) -> None:
    password = {"password": "{{ env_var('ACME_PASSWORD') }}", "private_key": None}
    point(project, server_at_hand, inbox.name, **(password if login == "password" else {}))

    code, report = project.deliver("--window", DAY, "--integration", "acme_share")

    assert code == 0, report
    assert {d["outcome"] for d in report["deliveries"]} == {"delivered"}
    assert sorted(p.name for p in inbox.iterdir()) == sorted(
        name
        for campaign in ("daily_esp_events", "daily_email_unsubscribes")
        for name in (f"{campaign}_{DAY}.csv", f"{campaign}_{DAY}.csv.manifest.json")
    )
    assert [r.problem for r in verify(inbox)] == ["", ""]
    code, report = project.deliver("--window", DAY, "--integration", "acme_share")
    assert {d["outcome"] for d in report["deliveries"]} == {"already delivered"}


def test_trust_shows_what_to_pin(project: Copy, server_at_hand: SshServer, inbox: Path) -> None:
    point(project, server_at_hand, inbox.name)
    shown = json.loads(project.delivery("trust", "--json", "acme_share").stdout)["host_keys"]
    pinned = {" ".join(line.split()[:2]) for line in server_at_hand.host_keys.values()}
    assert {key["key"] for key in shown} == pinned
    assert all(key["fingerprint"].startswith("SHA256:") for key in shown)


def test_check_proves_the_directory_and_leaves_nothing(project: Copy, server_at_hand: SshServer, inbox: Path) -> None:
    point(project, server_at_hand, inbox.name)
    result = project.delivery("check", "--json")
    assert result.exit_code == 0, result.output
    checked = {c["integration"]: c for c in json.loads(result.stdout)["integrations"]}
    assert checked["acme_share"]["ok"]
    assert checked["acme_share"]["capabilities"]["rename_refuses"]
    assert list(inbox.iterdir()) == []


def test_refusals_send_no_byte(project: Copy, server_at_hand: SshServer, inbox: Path, tmp_path: Path) -> None:
    stranger = keygen(tmp_path / "stranger")
    for changes, message in [
        ({"host_keys": [stranger]}, "not pinned"),
        ({"private_key": None, "password": "{{ env_var('WRONG') }}"}, "login"),
        ({"username": "nobody-here"}, "login"),
    ]:
        project.env["WRONG"] = "a wrong secret"
        point(project, server_at_hand, inbox.name, **changes)
        for command in (["run", "--window", DAY, "--integration", "acme_share"], ["check", "acme_share"]):
            result = project.delivery(*command)
            assert result.exit_code == 4, (changes, result.output)
            assert message in result.stderr.lower()
            assert "Next:" in result.stderr
            assert "a wrong secret" not in result.output
    assert list(inbox.iterdir()) == []


def test_no_directory_is_refused_and_a_later_run_delivers(
    project: Copy, server_at_hand: SshServer, tmp_path: Path
) -> None:
    name = f"later-{tmp_path.name}"
    point(project, server_at_hand, name)
    code, _ = project.deliver("--window", DAY, "--integration", "acme_share")
    assert code == 4
    server_at_hand.directory(name)
    code, report = project.deliver("--window", DAY, "--integration", "acme_share")
    assert code == 0
    assert {d["outcome"] for d in report["deliveries"]} == {"delivered"}


def test_a_server_that_is_away_can_be_tried_again(project: Copy, server_at_hand: SshServer, inbox: Path) -> None:
    point(project, server_at_hand, inbox.name, port=1)
    code, report = project.deliver("--window", DAY, "--integration", "acme_share")
    assert code == 1
    assert {d["outcome"] for d in report["deliveries"]} == {"failed"}
    point(project, server_at_hand, inbox.name)
    assert project.deliver("--window", DAY, "--integration", "acme_share")[0] == 0

"""Probes: what they prove is kept, used, shown, and made again when the server is another one."""

from __future__ import annotations

from base64 import b64decode, b64encode
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from builders import integration, job
from click.testing import CliRunner, Result
from pydantic import ValidationError
from servers import OverwritingServer, PipeChannel, Shim, SshServer, missing_for_sftp_server, over_pipe
from small_project import AT, CANARIES, DAY, make_project

from delivery import forecast as planner
from delivery import run as runner
from delivery.cli import cli
from delivery.config.host_keys import HostKey
from delivery.config.project import Project
from delivery.errors import ConfigError, DeliveryError, DestinationRefused, ExitCode
from delivery.ledger import Ledger
from delivery.operations.checks import address, check, host_keys
from delivery.progress import Watch
from delivery.schedule.request import Request
from delivery.transfer.probe import probe, publish_method
from delivery.transfer.protocol import hand_over

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.config.integrations import Integration

pytestmark = pytest.mark.skipif(bool(missing_for_sftp_server()), reason=missing_for_sftp_server())
PROBED = integration()
SERVER = {"type": "sftp", "host": "sftp.example.com", "username": "acme", "private_key": "/k"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIlOM4VJ6dIqWGYKzvYF8Jj0yD5T2i6yL7O5m0c7b9Xk"
OPEN, LOOKED_AT = (
    integration(destination=SERVER | {"host_keys": [KEY], "publish": publish})
    for publish in ("exclusive", "look-and-rename")
)
NOTHING = ("-P", "rename,posix-rename,hardlink")


def choose(ledger: Ledger, channel: PipeChannel | Shim, of: Any = PROBED) -> str:
    with over_pipe(channel) as destination:
        return publish_method(destination, of, ledger, "test")


def test_a_destination_is_probed_once(ledger: Ledger, tmp_path: Path) -> None:
    first, again = Shim(PipeChannel(tmp_path)), Shim(PipeChannel(tmp_path))
    assert choose(ledger, first) == choose(ledger, again) == ledger.method("pipe") == "rename"
    assert "RENAME" in first.log
    assert not {"RENAME", "OPEN", "REMOVE"} & {*again.log}
    assert list(tmp_path.iterdir()) == []


def test_another_server_is_probed_again(ledger: Ledger, tmp_path: Path) -> None:
    """It says that it is another one; this one's rename overwrites."""
    ledger.keep_probe("pipe", "rename", {}, "another version")
    with pytest.raises(DestinationRefused):
        choose(ledger, Shim(OverwritingServer(tmp_path)))
    assert ledger.method("pipe") is None


def test_a_rename_that_overwrites_is_refused_unless_the_integration_allows_it(ledger: Ledger, tmp_path: Path) -> None:
    """What was seen is said, and which settings allow it; one that was allowed is not once it is set back."""
    for _ in range(2):
        with pytest.raises(DestinationRefused, match="a name that was taken replaced the file") as refused:
            choose(ledger, Shim(OverwritingServer(tmp_path)))
        assert refused.value.exit_code == ExitCode.DESTINATION
        assert "publish: look-and-rename" in refused.value.hint
        assert "publish: exclusive" in refused.value.hint
    assert choose(ledger, Shim(OverwritingServer(tmp_path)), LOOKED_AT) == ledger.method("pipe") == "look-and-rename"
    again = Shim(OverwritingServer(tmp_path))
    assert choose(ledger, again, LOOKED_AT) == "look-and-rename"
    assert "RENAME" not in again.log, "probed once"
    with pytest.raises(DestinationRefused):
        choose(ledger, Shim(OverwritingServer(tmp_path)))
    assert list(tmp_path.iterdir()) == []


def test_what_is_configured_is_not_probed(ledger: Ledger, tmp_path: Path) -> None:
    shim = Shim(PipeChannel(tmp_path, *NOTHING))
    assert choose(ledger, shim, OPEN) == ledger.method("pipe") == "exclusive"
    assert "OPEN" not in shim.log
    assert choose(ledger, PipeChannel(tmp_path)) == "rename", "configured no more: probed"


@pytest.mark.parametrize("of", [PROBED, LOOKED_AT])
def test_a_server_without_a_rename_is_refused(ledger: Ledger, tmp_path: Path, of: Integration) -> None:
    for _ in range(2):
        with pytest.raises(DestinationRefused, match="could not be renamed") as refused:
            choose(ledger, PipeChannel(tmp_path, *NOTHING), of)
        assert "publish: exclusive" in refused.value.hint
        assert "look-and-rename" not in refused.value.hint


def test_a_done_file_that_was_made_is_not_taken_back_at_every_step_without_a_rename(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Whatever is said of the messages that make it: it comes once, and stays."""
    (spool := tmp_path / "spool").touch()
    for number in range(8):
        for which, fault in enumerate(("error", "done, error", "cut after", "reply twice")):
            place = tmp_path / f"{number}-{fault}"
            place.mkdir()
            key = ledger.plan(**job(revision=number * 10 + which).record(str(place), None)).id
            row = {"part": 0, "role": "done", "name": "daily.csv.done", "spool": str(spool), "rows": None}
            ledger.spooled(key, [row | {"bytes": 0, "sha256": sha256().hexdigest(), "destination": str(place)}])
            shim = Shim(PipeChannel(place, *NOTHING), {number: fault})
            try:
                with over_pipe(shim, timeout=0.2) as destination:
                    hand_over(ledger.files(key)[0], destination, ledger, replace=False, method="exclusive")
            except DeliveryError:
                pass
            opened = "OPEN" in shim.log[: number + 1] and (shim.log[number:][:1] != ["OPEN"] or fault != "error")
            removed_after = "REMOVE" in shim.log[shim.log.index("OPEN") :] if "OPEN" in shim.log else False
            assert not removed_after, (number, fault, shim.log)
            if opened and number < len(shim.log):
                assert (place / "daily.csv.done").exists(), (number, fault, shim.log)


def test_the_method_is_kept_used_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a done file, which comes last and is empty."""
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    make_project(tmp_path / "project")
    integrations = tmp_path / "project" / "integrations.yml"
    integrations.write_text(integrations.read_text().replace("{type: hosted}", "{type: hosted}\n    done_file: true"))
    state = tmp_path / "state"
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    project = Project(
        tmp_path / "project", "duckdb", profile, state, tmp_path / "share", f"sqlite:///{state}/ledger.sqlite"
    )
    request = Request(at=AT, window=DAY, integrations=("by_share",))
    assert [forecast.publish for forecast in planner.plan(project, request)] == [""]
    (outcome,) = runner.run(project, request, Watch())
    assert outcome.state == "delivered"
    assert [(file.role, file.state) for file in outcome.files] == [
        ("data", "published"), ("manifest", "published"), ("done", "published"),
    ]  # fmt: skip
    inbox = tmp_path / "share" / "acme_outdoor" / "inbox"
    assert sorted(path.name for path in inbox.iterdir()) == [
        f"daily_{DAY}.csv", f"daily_{DAY}.csv.done", f"daily_{DAY}.csv.manifest.json",
    ]  # fmt: skip
    assert (inbox / f"daily_{DAY}.csv.done").read_bytes() == b""
    assert [forecast.publish for forecast in planner.plan(project, request)] == ["rename"]
    assert methods(project) == {str(inbox): "rename"}
    (checked,) = check(project, ("by_share",))
    assert checked.as_dict()["publish"] == "rename"


@pytest.mark.parametrize(
    "changes", [{"done_file": True}, {"destination": SERVER | {"host_keys": [KEY], "publish": "exclusive"}}]
)
def test_a_name_that_is_used_again_has_no_done_file(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="goes with neither done_file nor publish: exclusive"):
        integration(existing="replace", file_name="daily.csv", **changes)


# Of a whole project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Two SFTP servers that cannot be reached here, and three clients' shares."""
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    make_project(tmp_path / "project")
    state, profile = tmp_path / "state", {"type": "duckdb", "path": "warehouse.duckdb"}
    return Project(
        tmp_path / "project", "duckdb", profile, state, tmp_path / "share", f"sqlite:///{state}/ledger.sqlite"
    )


def methods(project: Project) -> dict[str, str | None]:
    """How files are published, by destination, as the ledger knows it."""
    with closing(Ledger(project.ledger_url)) as ledger:
        return {where: kept.method for where, kept in ledger.probes().items()}


def test_one_that_fails_stops_no_other(project: Project) -> None:
    inbox = project.share / "cedar_books" / "inbox"
    inbox.parent.mkdir(parents=True)
    inbox.touch()
    found = check(project, ("share_of_cedar_books", "by_share", "share_of_brightside_beauty"))
    assert [(one.integration, one.ok, one.publish, one.where) for one in found] == [
        ("share_of_cedar_books", False, None, str(inbox)),
        ("by_share", True, "rename", str(project.share / "acme_outdoor" / "inbox")),
        ("share_of_brightside_beauty", True, "rename", str(project.share / "brightside_beauty" / "inbox")),
    ]
    assert found[0].offers() == ""
    assert found[0].as_dict() == {
        "integration": "share_of_cedar_books",
        "where": str(inbox),
        "ok": False,
        "publish": None,
        "capabilities": None,
        "error": f"{inbox}: open: not a directory",
    }
    shown = found[1].as_dict()
    assert shown["capabilities"].pop("free_bytes") > 0
    assert shown == {
        "integration": "by_share",
        "where": str(project.share / "acme_outdoor" / "inbox"),
        "ok": True,
        "publish": "rename",
        "capabilities": shown["capabilities"],
        "error": None,
    }
    assert {name: shown["capabilities"][name] for name in ("rename_refuses", "remote_hash", "request_bytes")} == {
        "rename_refuses": True, "remote_hash": False, "request_bytes": 1_048_576,
    }  # fmt: skip
    assert found[1].offers() == "rename, rename_refuses, replace, fsync, statvfs"
    assert methods(project) == {one.where: "rename" for one in found[1:]}


def test_all_are_checked_where_none_is_named(project: Project) -> None:
    text = project.integrations_file.read_text()
    project.integrations_file.write_text("integrations:" + text[text.index("\n  share_of_brightside") :])
    assert [(one.integration, one.ok) for one in check(project, ())] == [
        ("share_of_brightside_beauty", True),
        ("share_of_cedar_books", True),
        ("by_share", True),
    ]


def test_an_integration_that_is_not_known_is_named(project: Project) -> None:
    with pytest.raises(ConfigError, match="nobody") as refused:
        check(project, ("by_share", "nobody"))
    assert "by_share" in refused.value.hint
    assert not project.share.exists(), "nothing was probed"


def test_only_a_server_has_host_keys(project: Project) -> None:
    with pytest.raises(ConfigError, match="by_share is not an SFTP integration"):
        host_keys(project, "by_share")


def test_host_keys_are_shown_with_their_fingerprints(project: Project, sshd: SshServer) -> None:
    """Without any secret of the integration."""
    text = project.integrations_file.read_text()
    server = f"host: {sshd.host}\n      port: {sshd.port}\n      timeout: 5"
    project.integrations_file.write_text(text.replace("host: sftp.example.com", server))
    lines = list(sshd.host_keys.values())
    assert [line for line, _ in host_keys(project, "by_sftp")] == lines
    assert [mark for _, mark in host_keys(project, "by_sftp")] == [
        "SHA256:" + b64encode(sha256(b64decode(line.split()[1])).digest()).decode().rstrip("=") for line in lines
    ]


def test_a_method_that_was_proven_for_other_settings_is_not_used(ledger: Ledger, tmp_path: Path) -> None:
    """`publish: exclusive` after a probe, and a probe after `publish: exclusive`."""
    assert choose(ledger, PipeChannel(tmp_path)) == "rename"
    assert choose(ledger, PipeChannel(tmp_path), OPEN) == "exclusive"
    assert choose(ledger, PipeChannel(tmp_path)) == "rename"
    assert ledger.method("pipe") == "rename"


@pytest.mark.parametrize(("offers", "rename"), [((), True), (NOTHING, False)])
def test_checking_where_the_name_is_opened_keeps_that_method(
    ledger: Ledger, tmp_path: Path, offers: tuple[str, ...], rename: bool
) -> None:
    """Whatever the server can do; it is probed all the same, and shown."""
    with over_pipe(PipeChannel(tmp_path, *offers)) as destination:
        seen = probe(destination, "exclusive", ledger, "test")
    assert (seen.rename_refuses, ledger.probes()["pipe"].method) == (rename, "exclusive")
    assert list(tmp_path.iterdir()) == []


def test_host_keys_before_there_is_an_integration(sshd: SshServer, tmp_path: Path) -> None:
    """And without a project."""

    def trust(asked: str) -> Result:
        return CliRunner().invoke(cli, ["--project-dir", str(tmp_path), "trust", asked])

    shown = trust(f"{sshd.host}:{sshd.port}")
    assert (shown.exit_code, [*sshd.host_keys.values()]) == (
        0,
        [line[4:].split("  #")[0] for line in shown.stdout.splitlines()[1:]],
    )
    assert [line.split("  # ")[1] for line in shown.stdout.splitlines()[1:]] == [
        HostKey.parse(key).fingerprint for key in sshd.host_keys.values()
    ]
    assert shown.stdout.startswith("host_keys:\n")
    for neither in ("sftp.example.com:0", "a:b:c", "sftp.example.com/in", "user@sftp.example.com"):
        refused = trust(neither)
        assert (refused.exit_code, "neither an integration nor HOST[:PORT]" in refused.stderr) == (2, True), neither
    assert trust("acme_sfpt").exit_code == 2


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sftp.example.com", ("sftp.example.com", 22)),
        ("sftp.example.com:2222", ("sftp.example.com", 2222)),
        ("inner:22", ("inner", 22)),
        ("[2001:db8::1]:2222", ("2001:db8::1", 2222)),
        ("192.0.2.1", ("192.0.2.1", 22)),
        ("acme_sftp", None),
    ],
)
def test_what_is_an_address(text: str, expected: tuple[str, int] | None) -> None:
    assert address(text) == expected

"""The share without servers running: users, settings, the configuration that is written, and what logs say."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncssh
import pytest
import yaml
from builders import job
from click.testing import CliRunner
from servers import keygen
from share_world import (
    VENDOR,
    call,
    made,
    said_in,
)
from small_project import CLIENTS

from benchmarks import share as sample
from delivery.cli import cli
from delivery.config.integrations_file import Integrations
from delivery.config.share import Share
from delivery.errors import ConfigError, ExitCode
from delivery.fetched import fetched
from delivery.ledger import Fetch, File, Ledger
from delivery.ledger.fetches import fetches_of, keep_fetches, whole_since
from delivery.share import config
from delivery.share.logs import read_logs
from delivery.share.users import Users, new_user

if TYPE_CHECKING:
    from delivery.config.project import Project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("DELIVERY_LEDGER", "DELIVERY_STATE", "DELIVERY_SHARE", "DBT_TARGET"):
        monkeypatch.delenv(name, raising=False)
    return made(tmp_path / "project", folder="h")


# Users and settings


def test_a_user_is_added_listed_and_removed_and_only_a_hash_is_kept(project: Project, tmp_path: Path) -> None:
    key = keygen(tmp_path / "key")
    assert call(project, "user", "add", "acme_it", "--namespace", CLIENTS[0], typed="a long password\n").exit_code == 0
    more = ("--namespace", CLIENTS[0], "--namespace", CLIENTS[1], "--key", key, "--no-password")
    assert call(project, "user", "add", "robot", *more).exit_code == 0
    assert json.loads(call(project, "user", "list", "--json").stdout)["users"] == [
        {"name": "acme_it", "namespaces": [CLIENTS[0]], "password": True, "keys": 0},
        {"name": "robot", "namespaces": [*CLIENTS[:2]], "password": False, "keys": 1},
    ]
    folder = project.root / "h" / "users"
    kept = {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert "a long password" not in "".join(kept.values())
    people = [" ".join(line.split()) for line in call(project, "user", "list").stdout.splitlines()]
    assert people == [
        "user clients password keys",
        f"acme_it {CLIENTS[0]} yes 0",
        f"robot {CLIENTS[0]}, {CLIENTS[1]} no 1",
    ]
    assert kept["group"] == f"{CLIENTS[0]}:x:65535:acme_it,robot\n{CLIENTS[1]}:x:65536:robot\n"
    assert {tuple(line.split(":")[2:]) for line in kept["passwd"].splitlines()} == {
        ("65534", "65534", "", str(folder / "home"), "/bin/false")
    }, "no id of the machine's own"
    assert re.search(r"^acme_it:\$2y\$10\$\S{53}:", kept["passwd"], re.MULTILINE)
    assert kept["groups"] == "acme_outdoor: acme_it robot\nbrightside_beauty: robot\n"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()} == {0o640}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir()) if path.is_dir()} == {0o2750}

    ended = project.root / "h" / "ended"
    assert not ended.exists(), "nobody is cut off by who is new"
    assert call(project, "user", "add", "acme_it", "--namespace", CLIENTS[0], typed="another password\n").exit_code == 0
    assert ended.exists()
    ended.unlink()
    assert call(project, "user", "remove", "robot").exit_code == 0
    assert ended.exists()
    assert "robot" not in "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert not (folder / "keys" / "robot").exists()
    gone = call(project, "user", "remove", "robot")
    assert (gone.exit_code, "Known: acme_it." in gone.stderr) == (ExitCode.USAGE, True)


def test_at_a_terminal_a_password_is_asked_for_twice_unseen_and_beside_what_is_given(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    add = ("user", "add", "acme_it", "--namespace", CLIENTS[0], "--json")
    done = call(project, *add, typed="a long password\nanother password\na long password\na long password\n")
    assert json.loads(done.stdout) == {"user": "acme_it", "namespaces": [CLIENTS[0]]}
    assert done.stderr.count("Password of acme_it") == 2
    assert "a long password" not in done.output


def test_a_user_set_anew_keeps_nothing_of_before(project: Project) -> None:
    users = Users(project.root / "h" / "users")
    users.put(new_user("it", CLIENTS[:2], CLIENTS, "the first password", ()))
    first = users.all()["it"]
    users.put(new_user("it", CLIENTS[1:2], CLIENTS, "the second password", ()))
    second = users.all()["it"]
    assert (second.namespaces, second.password == first.password) == (CLIENTS[1:2], False)


def test_every_fault_of_a_user_is_said_at_once_without_the_password(project: Project) -> None:
    wrong = ("--namespace", "nobody", "--key", "nonsense")
    told = call(project, "user", "add", "Root:0", *wrong, typed="short\n")
    assert told.exit_code == ExitCode.USAGE
    for part in ("unknown namespace 'nobody'", "small letters", "shorter than 12", "public key"):
        assert part in told.stderr
    assert "short\n" not in told.stderr
    assert not (project.root / "h").exists()
    for password in ("", "é" * 37, "with\ttab and more"):
        with pytest.raises(ConfigError):
            new_user("it", CLIENTS[:1], CLIENTS, password, ())


def test_a_key_is_one_whole_line_and_without_options(project: Project, tmp_path: Path) -> None:
    """The servers hold no options, `from="192.0.2.1"` say: whoever gives one believes that they do."""
    key = keygen(tmp_path / "key")
    assert new_user("it", CLIENTS[:1], CLIENTS, "", [f"{key.strip()} it@example.com\n"]).key_count == 1
    for line in (f'from="192.0.2.1" {key}', f"{key.strip()}\n{key}", key[:40], key[:64]):
        with pytest.raises(ConfigError, match="public key"):
            new_user("it", CLIENTS[:1], CLIENTS, "", [line])


def test_a_short_key_of_rsa_is_refused(project: Project) -> None:
    short, long = (
        asyncssh.generate_private_key("ssh-rsa", key_size=bits).export_public_key().decode() for bits in (1024, 2048)
    )
    assert new_user("it", CLIENTS[:1], CLIENTS, "", [long]).key_count == 1
    with pytest.raises(ConfigError, match="RSA has 2048 bits at least"):
        new_user("it", CLIENTS[:1], CLIENTS, "", [short])


def test_a_check_needs_the_password_of_each_user_who_has_one(project: Project) -> None:
    """And tries none before it has all: a wrong login counts."""
    for name in ("zoe_it", "acme_it"):
        added = ("user", "add", name, "--namespace", CLIENTS[0])
        assert call(project, *added, typed="a long password\n").exit_code == 0
    for typed, unsaid in (("", "acme_it, zoe_it"), ("a long password\n", "zoe_it"), ("\na long password\n", "acme_it")):
        told = call(project, "check", typed=typed)
        assert told.exit_code == ExitCode.USAGE
        assert f"No password was given of {unsaid}; nobody was logged in." in told.stderr
        assert "in this order: acme_it, zoe_it." in told.stderr


def test_every_fault_of_the_settings_is_said_at_once(project: Project) -> None:
    path = project.integrations_file
    document = yaml.safe_load(path.read_text())
    document["share"] = said_in(host="a b", web_port=0, certificate='with"quote', users={}) | {"vendor_name": ""}
    path.write_text(yaml.safe_dump(document))
    told = call(project, "config", "-o", str(project.root / "out"))
    assert told.exit_code == ExitCode.USAGE
    for key in ("host", "web_port", "certificate", "vendor_name", "users: unknown key"):
        assert f"share.{key}" in told.stderr
    assert not (project.root / "out").exists()
    del document["share"]
    path.write_text(yaml.safe_dump(document))
    assert "has no `share:`" in call(project, "user", "list").stderr


def test_users_come_and_go_while_one_integration_has_a_fault(project: Project) -> None:
    """The servers' configuration is not written: a client that is left out of it would be locked out."""
    path = project.integrations_file
    document = yaml.safe_load(path.read_text())
    first, *_ = document["integrations"]
    document["integrations"][first]["colour"] = 1
    path.write_text(yaml.safe_dump(document))
    assert call(project, "user", "list").exit_code == ExitCode.DONE
    told = call(project, "config", "-o", str(project.root / "out"))
    assert told.exit_code == ExitCode.USAGE
    assert f"integrations.{first}.colour: unknown key" in told.stderr
    assert not (project.root / "out").exists()


@pytest.mark.parametrize("more", [False, True], ids=["plain", "behind a proxy, with a view"])
def test_the_servers_accept_their_configuration(tmp_path: Path, more: bool) -> None:
    if missing := sample.missing():
        pytest.skip(missing)
    view, out = tmp_path / "the view", tmp_path / "out"
    changes = {"view": str(view), "proxy": "10.1.2.3", "analytics_port": 8502} if more else {}
    project = made(tmp_path / "project with blanks", host="files.example.com", **changes)
    integrations = Integrations(project.integrations_file)
    share = config.settings(integrations)
    for folder in (project.share, view, config.run_folder(share)):
        folder.mkdir(parents=True)
    sample.make_certificate(share)
    config.write(project, integrations, out, ("nobody", "nogroup"))
    subprocess.run(["sh", out / "prepare.sh"], check=True)
    path = {"PATH": "/usr/sbin:/usr/bin:/bin"}
    for command in (["apache2", "-t", "-f"], ["proftpd", "--configtest", "--config"]):
        conf = out / ("web.conf" if command[0] == "apache2" else "sftp.conf")
        done = subprocess.run([*command, conf], capture_output=True, text=True, env=os.environ | path)
        assert done.returncode == 0, done.stderr
    assert f"\nListen {share.web_port} https\n" in (out / "web.conf").read_text()
    page = (out / "pages" / "log-in.html").read_text()
    assert "Böse &amp; &#34;Söhne&#34; &lt;script&gt;" in page
    assert VENDOR not in page
    service = (out / "systemd" / "share-sftp.service").read_text()
    assert ("Requires=" in service, len(list((out / "systemd").glob("*.mount")))) == (more, int(more))
    unit, secret = out / "systemd" / "share-analytics.service", share.analytics_secret
    assert (unit.exists(), secret.exists(), b"Figures" in (out / "pages" / "head.shtml").read_bytes()) == (more,) * 3
    if more:
        before = secret.read_text()
        assert (stat.S_IMODE(secret.stat().st_mode), len(before)) == (0o640, 64)
        assert before.encode() not in b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert config.unit_name(Path("/srv/share-view é")) == r"srv-share\x2dview\x20\xc3\xa9"

    kept = config.run_folder(share) / config.LOGINS
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    with closing(sqlite3.connect(kept)) as sessions:
        for number, expiry in enumerate((1, 4102444800 * 10**6)):
            sessions.execute("insert into sessions values (?, ?, 'x')", (str(number), expiry))
        assert sessions.execute("select id from sessions").fetchall() == [("1",)], "what has expired goes with a login"
        sessions.commit()
    subprocess.run(["sh", out / "prepare.sh"], check=True)
    with closing(sqlite3.connect(kept)) as sessions:
        assert sessions.execute("select id from sessions").fetchall() == [("1",)], "who is logged in stays so"

    written = call(project, "config", "-o", str(tmp_path / "again"))
    assert written.exit_code == 0, written.stderr
    assert not more or secret.read_text() == before, "a secret that is there stays"
    assert 'User "share"' in (tmp_path / "again" / "sftp.conf").read_text()


def test_the_servers_hide_what_is_hidden_wherever_the_share_is(tmp_path: Path) -> None:
    project = made(tmp_path / "c++ (new) | a.b")
    integrations = Integrations(project.integrations_file)
    config.write(project, integrations, tmp_path / "out", (config.ACCOUNT, config.ACCOUNT))
    (said,) = re.findall(r'PathDenyFilter "(.*)"', (tmp_path / "out" / "sftp.conf").read_text())
    home = Users.of(config.settings(integrations)).home
    denied = [name for name in ("a.csv", ".a/b.csv", "a.part/b.csv", "a.part") if re.match(said, f"{home}/acme/{name}")]
    assert denied == [".a/b.csv", "a.part/b.csv", "a.part"]


def test_a_share_that_the_units_cannot_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELIVERY_SHARE", str(tmp_path / "100%share"))
    project = made(tmp_path / "project", view=str(tmp_path / "view"))
    told = call(project, "config", "-o", str(tmp_path / "out"))
    assert (told.exit_code, "100%share has characters" in told.stderr) == (ExitCode.USAGE, True)


def test_units_of_settings_that_are_no_more_go(tmp_path: Path) -> None:
    project = made(tmp_path / "project", view=str(tmp_path / "view"), analytics_port=8502)
    units, out = tmp_path / "out" / "systemd", ("-o", str(tmp_path / "out"))
    assert call(project, "config", *out).exit_code == 0
    (units / "own.service").touch()
    before = {path.name for path in units.iterdir()}
    document = yaml.safe_load(project.integrations_file.read_text())
    del document["share"]["analytics_port"], document["share"]["view"]
    project.integrations_file.write_text(yaml.safe_dump(document, allow_unicode=True))
    assert call(project, "config", *out).exit_code == 0
    gone = before - {path.name for path in units.iterdir()}
    assert gone == {"share-analytics.service", f"{config.unit_name(tmp_path / 'view')}.mount"}


def test_who_runs_it_must_have_a_name(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: Path) -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(Path, "owner", nobody)
    told = call(project, "config", "-o", str(tmp_path / "out"))
    assert (told.exit_code, "belongs to no user with a name" in told.stderr) == (ExitCode.USAGE, True)


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    """Those that are written, and the examples of the docs."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("apt-get install systemd")
    (tmp_path / "view").mkdir()
    project = made(tmp_path / "project", view=str(tmp_path / "view"), analytics_port=8502)
    out = tmp_path / "out"
    config.write(project, Integrations(project.integrations_file), out, (config.ACCOUNT, config.ACCOUNT))
    examples = Path(__file__).parents[2] / "docs" / "examples"
    units = [*(out / "systemd").iterdir(), *examples.glob("delivery.*")]
    assert {path.suffix for path in units} == {".service", ".timer", ".mount", ".path"}
    for unit in units:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False,
            env=os.environ | {"SYSTEMD_UNIT_PATH": f"{out / 'systemd'}:{examples}:"},
        )  # fmt: skip
        # It looks whether programs are there; the examples' are on the server.
        said = [line for line in done.stderr.splitlines() if "/srv/delivery/" not in line]
        assert said == [], unit.name


def test_no_client_has_a_path_of_the_pages_own(project: Project, tmp_path: Path) -> None:
    project.integrations_file.write_text(project.integrations_file.read_text().replace(CLIENTS[0], "analytics"))
    told = call(project, "config", "-o", str(tmp_path / "out"))
    assert (told.exit_code, "/analytics for itself" in told.stderr) == (ExitCode.USAGE, True)
    assert not (tmp_path / "out").exists()


def test_a_page_that_the_share_does_not_have_is_not_served(project: Project) -> None:
    def analytics(*more: str) -> str:
        asked = ["--project-dir", str(project.root), "analytics", "--share", *more]
        told = CliRunner().invoke(cli, asked, catch_exceptions=False)
        assert told.exit_code == ExitCode.USAGE
        return told.stderr

    assert "no --host, no --port" in analytics("--port", "0")
    assert "has no `analytics_port`" in analytics()
    path = project.integrations_file
    document = yaml.safe_load(path.read_text())
    document["share"]["analytics_port"] = 8502
    path.write_text(yaml.safe_dump(document, allow_unicode=True))
    assert "analytics.secret, is not there or empty" in analytics()


def test_the_page_about_it_has_every_key_package_and_unit() -> None:
    page = (Path(__file__).parents[2] / "docs" / "share.md").read_text(encoding="utf-8")
    keys = re.findall(r"^\| `(\w+)` \| .* \| .* \| .* \|$", page, re.MULTILINE)
    assert keys == sorted(Share.model_fields, key=keys.index)
    (packages,) = re.findall(r"^apt-get install (.*)$", page, re.MULTILINE)
    assert set(packages.split()) == sample.PACKAGES.keys() - {"openssl", "openssh-client"}
    units = " ".join(re.findall(r"^systemctl enable --now (.*)$", page, re.MULTILINE)).split()
    begun_by_others = {"share-prune.service", "share-cut.service"}
    assert {unit if "." in unit else f"{unit}.service" for unit in units} == config.UNITS.keys() - begun_by_others
    for number in (config.SESSION_SECONDS // 60, 12):
        assert re.search(rf"\b{number}\b", page)


# What the logs say


def fetch(number: int, start: int, count: int, **changes: Any) -> Fetch:
    values = {"delivery_id": "d", "part": 0, "login": "acme_it", "door": "page", "at": f"2026-11-05T0{number}:00:00Z"}
    return Fetch(**{"id": str(number), **values, "start": start, "bytes": count, "size": 100, **changes})


@pytest.mark.parametrize(
    ("found", "since"),
    [
        ([fetch(1, 0, 100)], 1),
        ([fetch(1, 0, 60), fetch(2, 60, 40)], 2),
        ([fetch(1, 60, 40), fetch(2, 0, 60), fetch(3, 0, 100)], 2),
        ([fetch(1, 0, 60), fetch(2, 61, 39)], None),
        ([fetch(1, 0, 60), fetch(2, 60, 40, login="robot")], None),
        ([fetch(1, 0, 60), fetch(2, 60, 40, part=1)], None),
        ([fetch(1, 0, 99), fetch(2, 0, 99)], None),
    ],
)
def test_a_file_is_fetched_when_one_user_has_all_its_bytes(found: list[Fetch], since: int | None) -> None:
    assert whole_since(found).get((0, "acme_it")) == (since and f"2026-11-05T0{since}:00:00Z")


def test_a_line_of_a_log_is_kept_once(ledger: Ledger) -> None:
    with ledger.storage.begin() as connection:
        connection.exec_driver_sql("pragma foreign_keys=off")
    first, second = fetch(1, 0, 60), fetch(2, 60, 40)
    key = ledger.plan(**job().record("/share/acme", None)).id
    first, second = first._replace(delivery_id=key), second._replace(delivery_id=key)
    assert keep_fetches(ledger, [first, first]) == [first]
    assert keep_fetches(ledger, [second, first]) == [second]
    assert fetches_of(ledger, [key]) == {key: [first, second]}


LINE = {
    "at": "2026-11-05T06:00:00Z", "user": "acme_it", "address": "192.0.2.1", "port": 1, "method": "GET", "status": 200,
    "bytes": 100, "sent": 300, "range": "-", "ended": "+", "path": "/acme_outdoor/inbox/a%2520b.csv",
}  # fmt: skip
TRANSFER = (
    "Thu Nov 05 06:00:00 2026 0 192.0.2.1 100 /h/users/home/acme_outdoor/inbox/a_b.csv b _ o r acme_it sftp 0 * c"
)


@pytest.mark.parametrize(
    ("page", "transfer", "told"),
    [
        ({}, "", ("page", 0, 100)),
        ({"status": 206, "range": "bytes 40-99/100", "bytes": 60}, "", ("page", 40, 60)),
        ({"status": 206, "range": "-", "bytes": 100}, "", None),
        ({"ended": "X", "sent": 70}, "", ("page", 0, 69)),
        ({"ended": "X"}, "", ("page", 0, 99)),
        ({"method": "HEAD"}, "", None),
        ({"status": 403}, "", None),
        ({"status": 304}, "", None),
        ({"path": "/acme_outdoor//./inbox/other/../a%2520b.csv"}, "", ("page", 0, 100)),
        ({"path": "/acme_outdoor/inbox/other.csv"}, "", None),
        ({"path": "/brightside_beauty/inbox/a%2520b.csv"}, "", None),
        ({}, TRANSFER, ("sftp", 0, 100)),
        ({}, TRANSFER[:-1] + "i", ("sftp", 0, 99)),
        ({}, TRANSFER[:-30], None),
        ({}, TRANSFER.replace("/h/users/home", ""), None),
        ({}, TRANSFER.replace("Nov", "Nix"), None),
    ],
)
def test_a_line_tells_how_much_of_which_file_went_to_whom(
    project: Project, page: dict[str, Any], transfer: str, told: tuple[str, int, int] | None
) -> None:
    share = shared(project)
    line = json.dumps(LINE | page)
    text = f"{line[:50]}\n[]\n{line}\n" if not transfer else ""
    run = config.run_folder(share)
    (run / "web.json").write_text("")
    (run / "web.json.1").write_text(text)
    home = str(share.folder / "users" / "home")
    (run / "sftp.transfers").write_text(transfer.replace("/h/users/home", home) + "\n")
    found = [(fetch.door, fetch.start, fetch.bytes) for fetch, _ in read_logs(project, share)]
    assert found == ([told] if told else [])
    assert read_logs(project, share) == []


@pytest.mark.parametrize(
    "odd",
    [
        {"bytes": 10**30},
        {"bytes": float("inf")},
        {"status": 206, "range": f"bytes {10**30}-{10**31}/1"},
        {"at": None},
        {"at": "later"},
        "[" * 100_000,
        TRANSFER.replace(" 100 ", f" {10**30} "),
        TRANSFER.replace(" 100 ", " ² "),
    ],
    ids=lambda odd: str(odd)[:40],
)
def test_a_line_that_no_server_wrote_stops_nothing(project: Project, odd: dict[str, Any] | str) -> None:
    share = shared(project)
    run, home = config.run_folder(share), str(share.folder / "users" / "home")
    text = odd.replace("/h/users/home", home) if isinstance(odd, str) else json.dumps(LINE | odd)
    for name in ("web.json", "sftp.transfers"):
        (run / name).write_text(text + "\n")
    with (run / "web.json").open("a") as log:
        log.write(json.dumps(LINE) + "\n")
    assert [fetch.bytes for fetch, _ in read_logs(project, share)] == [100]


def shared(project: Project) -> Share:
    """The settings of a share on which `a b.csv` lies, whose servers have run."""
    share = config.settings(Integrations(project.integrations_file))
    values = job().record(str(project.share / "acme_outdoor" / "inbox"), None)
    row = {"part": 0, "role": "data", "name": "a b.csv", "spool": "", "rows": 3, "bytes": 100, "sha256": "0" * 64}
    project.state.mkdir(mode=0o700)
    with closing(Ledger(project.ledger_url)) as opened:
        key = opened.plan(**values).id
        opened.spooled(key, [{**row, "destination": values["destination"]}], rows=3)
        file = opened.files(key)[0]
        for state in ("uploaded", "publishing", "published"):
            file = opened.advance_file(file, state)
    config.run_folder(share).mkdir(parents=True)
    return share


def test_what_is_new_in_the_logs_is_shown_and_what_we_fetched_ourselves_is_not_counted(project: Project) -> None:
    share = shared(project)
    log = config.run_folder(share) / "web.json"
    log.write_text(json.dumps(LINE) + "\n" + json.dumps(LINE | {"user": "robot", "bytes": 60}) + "\n")
    told = call(project, "log", "--full")
    assert [" ".join(line.split()) for line in told.stdout.splitlines()] == [
        "at user door file bytes of",
        "2026-11-05T06:00:00Z acme_it page a b.csv 100 100",
        "2026-11-05T06:00:00Z robot page a b.csv 60 100",
    ]
    assert told.stderr == "2 new.\n"
    assert json.loads(call(project, "log", "--json").stdout) == {"fetched": []}
    log.write_text("".join(json.dumps(LINE | {"port": 2, "user": user}) + "\n" for user in ("acme_it", "robot")))
    found = read_logs(project, share, checked=["robot"])
    assert [(fetch.login, fetch.door) for fetch, _ in found] == [("acme_it", "page"), ("robot", "check")]
    (key,) = {fetch.delivery_id for fetch, _ in found}
    with closing(Ledger(project.ledger_url)) as ledger:
        assert [one.login for one in fetches_of(ledger, [key])[key]] == ["acme_it", "robot", "acme_it"]


def test_a_delivery_of_several_files_is_fetched_when_one_user_has_all_of_them(project: Project) -> None:
    values = job().record(str(project.share / "acme_outdoor" / "inbox"), None) | {"integration": "by_share"}
    row = {"role": "data", "spool": "", "rows": 3, "bytes": 100, "sha256": "0" * 64, "destination": "x"}
    project.state.mkdir(mode=0o700)
    with closing(Ledger(project.ledger_url)) as ledger:
        key = ledger.plan(**values).id
        ledger.spooled(key, [{**row, "part": part, "name": f"{part}.csv"} for part in (0, 1)])
        for file in ledger.files(key):
            ledger.advance_file(file, "published")
        ledger.advance(key, "spooled", "delivered")

        def told(*new: Fetch) -> tuple[str, list[str]]:
            keep_fetches(ledger, [one._replace(delivery_id=key) for one in new])
            found = fetched(project, ledger, ledger.find())[key]
            return found.state, found.users

        assert told() == ("not fetched yet", [])
        assert told(fetch(1, 0, 100), fetch(2, 0, 100, part=1, login="robot")) == ("fetched in part", [])
        assert told(fetch(3, 0, 100, part=1)) == ("fetched", ["acme_it"])
        ledger.pruned([(file, "kept 7 days") for file in ledger.files(key)])
    shown = CliRunner().invoke(cli, ["--project-dir", str(project.root), "status", "--full"], catch_exceptions=False)
    assert "fetched by acme_it; pruned: kept 7 days" in shown.stdout
    asked = ["--project-dir", str(project.root), "status", key[:8]]
    assert ": fetched by acme_it" in CliRunner().invoke(cli, asked, catch_exceptions=False).output


def test_of_several_files_that_had_a_name_the_one_that_was_there_then_is_meant(project: Project) -> None:
    share = shared(project)
    with closing(Ledger(project.ledger_url)) as ledger:
        (row,) = ledger.find()
        with ledger.storage.begin() as connection:
            connection.exec_driver_sql("update files set updated_at = '2026-11-04T06:00:00Z'")
            for part, at in ((1, "2026-11-05T06:00:00Z"), (2, "2026-11-05T06:00:01Z")):
                other = {"part": str(part), "updated_at": f"'{at}'"}
                values = ", ".join(other.get(name, name) for name in File._fields)
                connection.exec_driver_sql(f"insert into files select {values} from files where part = 0")
    log = config.run_folder(share) / "web.json"
    log.write_text("".join(json.dumps(LINE | {"at": f"2026-11-0{day}T06:00:00Z"}) + "\n" for day in (3, 4, 5, 6)))
    assert [(fetch.delivery_id, fetch.part) for fetch, _ in read_logs(project, share)] == [
        (row.id, part) for part in (2, 0, 1, 2)
    ]


def test_what_prune_took_was_fetched_before_it_went(project: Project) -> None:
    share = shared(project)
    with closing(Ledger(project.ledger_url)) as ledger, ledger.storage.begin() as connection:
        connection.exec_driver_sql("update files set state = 'pruned', updated_at = '2026-11-10T13:35:00Z'")
        other = {"part": "1", "state": "'published'", "updated_at": "'2026-11-11T06:00:00Z'"}
        values = ", ".join(other.get(name, name) for name in File._fields)
        connection.exec_driver_sql(f"insert into files select {values} from files")
    log = config.run_folder(share) / "web.json"
    log.write_text("".join(json.dumps(LINE | {"at": f"2026-11-{day}T06:00:00Z"}) + "\n" for day in ("05", "11")))
    assert [fetch.part for fetch, _ in read_logs(project, share)] == [0, 1]

"""Alerts, told to real sinks on this machine: mail, a webhook, and sinks that are dead, slow or unknown."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from aiosmtpd.controller import Controller
from click.testing import CliRunner
from servers import free_port
from small_project import CANARIES, SHARE, make_project

from delivery.cli import cli
from delivery.config.integrations_file import Integrations
from delivery.config.project import open_project
from delivery.errors import ConfigError, stopped
from delivery.ledger import Ledger
from delivery.ledger.lock import only_runner
from delivery.operations import alerts
from delivery.schedule.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "canary-of-the-token"
DO = "What to do: `delivery status`, `delivery plan`."
DOORS = """
share: {host: localhost, vendor_name: V, certificate: c.pem, certificate_key: c.key}
"""
SINKS = """
alerts:
  mail: {{url: "{{{{ env_var('MAIL') }}}}"}}
  hook: {{url_file: hook.secret}}
  some: {{url_file: hook.secret, events: [gap, not_fetched]}}
  dead: {{url: "{{{{ env_var('DEAD') }}}}"}}
  slow: {{url: "{{{{ env_var('SLOW') }}}}"}}
  odd: {{url: "{{{{ env_var('ODD') }}}}"}}
  unset: {{url: "{{{{ env_var('NOT_SET_ANYWHERE') }}}}"}}
"""


class Mail:
    """What an SMTP server was given."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.messages.append(envelope.content.decode())
        return "250 OK"


@contextmanager
def mail_server() -> Iterator[tuple[int, list[str]]]:
    mail, port = Mail(), free_port()
    controller = Controller(mail, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port, mail.messages
    finally:
        controller.stop()


@contextmanager
def web_server() -> Iterator[tuple[int, list[dict[str, str]]]]:
    got: list[dict[str, str]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(json.loads(body) | {"path": self.path})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port, got
    finally:
        server.shutdown()
        server.server_close()


class World:
    """The small project with two shares and all sinks."""

    def __init__(self, root: Path, hooked: list[dict[str, str]], mailed: list[str], slow: int) -> None:
        self.root, self.hooked, self.mailed, self.slow = root, hooked, mailed, slow

    def run(self, *arguments: str) -> tuple[int, str]:
        return self.call("run", *arguments)

    def call(self, *arguments: str) -> tuple[int, str]:
        self.hooked.clear()
        self.mailed.clear()
        result = CliRunner().invoke(cli, ["--project-dir", str(self.root), *arguments])
        return result.exit_code, result.stderr

    def tests_end(self, status: str) -> None:
        with duckdb.connect(str(self.root / "warehouse.duckdb")) as warehouse:
            warehouse.execute(f"update build_log set status = '{status}' where unique_id like 'test.%'")

    @property
    def told(self) -> dict[str, str]:
        """What came to the webhook, by the path of the sink."""
        return {one["path"]: f"{one['title']}\n{one['message']}" for one in self.hooked}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    root = tmp_path / "project"
    make_project(root, campaigns={"daily": {"catch_up": "last"}})
    entries = SHARE.format(name="by_share", namespace="acme_outdoor").replace("hosted", "hosted, keep_days: 1")
    entries += SHARE.format(name="neighbour", namespace="brightside_beauty")
    (root / "integrations.yml").write_text("integrations:" + entries + DOORS + SINKS.format())
    with (
        mail_server() as (mail, mailed),
        web_server() as (hook, hooked),
        socket.create_server(("127.0.0.1", 0)) as slow,
    ):
        (root / "hook.secret").write_text(f"json://user:{SECRET}@127.0.0.1:{hook}/hook\n")
        monkeypatch.setenv("MAIL", f"mailto://127.0.0.1:{mail}?from=delivery@example.com&to=ops@example.com")
        monkeypatch.setenv("DEAD", f"json://user:{SECRET}@127.0.0.1:{free_port()}/")
        monkeypatch.setenv("ODD", f"nosuch://{SECRET}@example.com")
        monkeypatch.setattr(alerts, "SECONDS", 2.0)
        yield World(root, hooked, mailed, slow.getsockname()[1])


def test_each_sink_is_told_once_of_what_a_run_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.tests_end("fail")
    began = time.monotonic()
    with monkeypatch.context() as patched:
        patched.setenv("SLOW", f"json://user:{SECRET}@127.0.0.1:{world.slow}/?rto=300&cto=300")
        code, said = world.run("--due", "--at", "2026-11-04T06:00:00Z")
    assert code == 3
    assert time.monotonic() - began < 60  # the slow one would take ten minutes
    (told,) = world.hooked or pytest.fail(said)
    assert told["title"] == "delivery: 2 refused"
    assert told["message"].splitlines() == [
        "refused: daily to by_share [2026-11-03, 2026-11-04): events is not proven:",
        "refused: daily to neighbour [2026-11-03, 2026-11-04): events is not proven:",
        DO,
    ]
    (mail,) = world.mailed
    assert "Subject: delivery: 2 refused" in mail
    assert {line for line in said.splitlines() if line.startswith("alerts.")} == {
        "alerts.dead: not told of 2: it did not take the message.",
        "alerts.slow: not told of 2: no answer within 2 s.",
        "alerts.odd: not told of 2: its URL cannot be read, or is none that Apprise knows.",
        "alerts.unset: not told of 2: its URL cannot be read, or is none that Apprise knows.",
    }
    ledger = (world.root / ".delivery" / "ledger.sqlite").read_bytes().decode("latin-1")
    for secret in (SECRET, *CANARIES.values(), "canary-of-acme"):
        assert secret not in str(world.hooked) + str(world.mailed) + said + ledger

    # Nothing changed: who was told is not told again, who was not is tried again.
    code, said = world.run("--due", "--at", "2026-11-04T06:00:00Z")
    assert (code, world.hooked, world.mailed) == (3, [], [])
    assert "alerts.dead: not told of 2" in said

    # It passes, and later on something else has to be looked at.
    world.tests_end("pass")
    assert world.run("--due", "--at", "2026-11-04T06:00:00Z")[0] == 0
    assert (world.hooked, world.mailed) == ([], [])
    world.tests_end("fail")
    assert world.run("--window", "2026-11-03", "--redeliver", "--reason", "again")[0] == 3
    assert [text.partition("\n")[0] for text in world.told.values()] == ["delivery: 2 refused"]
    assert "r1" in world.hooked[0]["message"]


def test_who_could_not_be_told_is_said_beside_a_document_too(world: World) -> None:
    """And nobody waits for the other end of a pipe."""
    world.tests_end("fail")
    (world.root / "hook.secret").unlink()
    os.mkfifo(world.root / "hook.secret")
    code, said = world.run("--due", "--at", "2026-11-04T06:00:00Z", "--json")
    assert (code, world.hooked) == (3, [])
    assert "alerts.hook: not told of 2: its URL cannot be read, or is none that Apprise knows." in said
    assert "alerts.dead: not told of 2" in said


def test_what_failed_what_is_held_and_what_is_late_is_told(world: World) -> None:
    share = world.root / "share"
    taken = share / "acme_outdoor" / "inbox" / "daily_2026-11-03.csv"
    taken.parent.mkdir(parents=True)
    taken.write_text("theirs")
    (share / "brightside_beauty").write_text("a file where a folder should be")
    assert world.run("--window", "2026-11-03")[0] == 4
    assert world.hooked[0]["title"] in ("delivery: 1 failed, 1 held", "delivery: 1 held, 1 failed")  # side by side
    said = [line.partition(" [")[0] for line in world.hooked[0]["message"].splitlines()]
    assert sorted(said[:-1]) == ["failed: daily to neighbour", "held: daily to by_share"]
    assert world.run("--window", "2026-11-04", "--deadline", "1e-9")[0] == 1
    assert world.hooked[0]["title"] == "delivery: 2 late"


def test_what_no_run_sent_and_nobody_fetched_is_told(world: World) -> None:
    assert world.run("--due", "--at", "2026-11-04T06:00:00Z")[0] == 0
    assert world.hooked == []
    assert world.run("--due", "--at", "2026-11-07T06:00:00Z")[0] == 3  # 6 November; the two days before are left out
    of_all, of_some = (
        one["message"].splitlines()[:-1] for one in sorted(world.hooked, key=lambda one: -len(one["title"]))
    )
    gaps = [f"gap: daily to {name} 2026-11-0{day}: missing" for day in (4, 5) for name in ("by_share", "neighbour")]
    assert sorted(of_some) == sorted(gaps)
    assert {line.split(":")[0] for line in of_all} == {"refused", "gap"}
    world.run("--due")  # now, a day before what was delivered today goes
    lines = [line for one in world.hooked for line in one["message"].splitlines()]
    assert len([line for line in lines if line.startswith("not_fetched: daily to by_share [2026-11-03")]) == 2
    assert not [line for line in lines if line.startswith("not_fetched: daily to neighbour")]


def test_what_prune_is_about_to_take_unfetched_is_told_before_it_goes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, whoever says it; of a run that looks at less than prune, nothing is forgotten."""
    assert world.run("--due", "--at", "2026-11-04T06:00:00Z")[0] == 0
    path = world.root / "share" / "acme_outdoor" / "inbox" / "daily_2026-11-03.csv"
    there: list[bool] = []
    send = alerts._send

    def sent(messages: Any) -> dict[str, str]:
        there.extend([path.exists()] * bool(messages))
        return send(messages)

    monkeypatch.setattr(alerts, "_send", sent)
    assert world.call("prune", "--dry-run")[0] == 0
    assert (world.hooked, there) == ([], [])
    assert world.call("prune")[0] == 0
    goes = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    line = f"not_fetched: daily to by_share [2026-11-03, 2026-11-04): not fetched yet, goes on {goes}"
    assert [one["message"].splitlines() for one in world.hooked] == [[line, DO]] * 2
    assert there[0]
    world.run("--window", "2026-11-03")
    for again in (("prune",), ("run", "--due"), ("prune",)):
        world.call(*again)
        assert "not_fetched" not in str(world.hooked), again

    # Nobody looked for days: what is late is said as it goes.
    with (
        closing(Ledger(open_project(world.root, None, None).ledger_url)) as ledger,
        ledger.storage.begin() as connection,
    ):
        for table, column in (("files", "updated_at"), ("deliveries", "updated_at")):
            connection.exec_driver_sql(f"update {table} set {column} = '2026-10-01T05:00:00Z'")
        connection.exec_driver_sql("delete from meta where key like 'told %'")
    os.utime(path, (0, 0))
    assert world.call("prune", "--days", "1")[0] == 0
    assert "not_fetched: daily to by_share [2026-11-03" in world.told["/hook"]
    assert there[-1]
    assert not path.exists()


def test_a_command_of_a_timer_that_fails_is_told_once_until_it_passes(world: World) -> None:
    project = open_project(world.root, None, None)
    assert world.run("--due", "--at", "2026-11-04T06:00:00Z")[0] == 0
    world.call("prune")
    with only_runner(project.state):
        for told in (["delivery: 1 failed"], []):
            assert world.call("prune")[0] == 1
            assert [one["title"] for one in world.hooked] == told
            assert not told or "failed: prune, exit code 1: " in world.hooked[0]["message"]
    assert (world.call("prune")[0], world.hooked) == (0, [])
    with only_runner(project.state):
        world.call("prune")
        assert [one["title"] for one in world.hooked] == ["delivery: 1 failed"]

    log = world.root / ".share" / "servers" / "web.json"
    log.mkdir(parents=True)
    for told in (["delivery: 1 failed"], []):
        assert world.call("share", "log")[0] == 1
        assert [one["title"] for one in world.hooked] == told
    log.rmdir()
    assert (world.call("share", "log")[0], world.hooked) == (0, [])


def test_a_run_that_could_not_begin_is_told(world: World) -> None:
    (world.root / "target" / "manifest.json").unlink()
    assert world.run("--due")[0] == 2
    assert world.hooked[0]["title"] == "delivery: 1 failed"
    assert world.hooked[0]["message"].startswith("failed: the run, exit code 2: No manifest at ")


def test_a_client_that_is_left_out_is_told_until_it_is_mended(world: World) -> None:
    """Beside what is told of the others."""
    assert world.run("--due", "--at", "2026-11-04T06:00:00Z")[0] == 0
    text = (world.root / "integrations.yml").read_text()
    wrong = text.replace("namespace: brightside_beauty", "namespace: brightside_beauty\n    colour: red")
    (world.root / "integrations.yml").write_text(wrong)
    for at, is_news in (("06:00", True), ("06:30", False)):
        assert world.run("--due", "--at", f"2026-11-05T{at}:00Z")[0] == 2
        told = "\n".join(one["message"] for one in world.hooked)  # some sinks want gaps only
        assert ("failed: the run, exit code 2: Nothing goes to neighbour, until" in told) is is_news
        assert ("gap: daily to neighbour 2026-11-04: missing" in told) is is_news
    (world.root / "integrations.yml").write_text(text)
    assert world.run("--due", "--at", "2026-11-05T07:00:00Z")[0] == 0


def test_a_run_that_came_to_no_ledger_makes_none(world: World) -> None:
    """One that is lost must not look like a new one to the next run."""
    asked = Request(at=datetime(2026, 11, 4, 6, tzinfo=UTC), due=True)
    said = alerts.alert(open_project(world.root, None, None), asked, [], ConfigError("It is lost."))
    assert world.told["/hook"] == "delivery: 1 failed\nfailed: the run, exit code 2: It is lost.\n" + DO
    assert all("not told of 1" in line for line in said)
    assert not (world.root / ".delivery" / "ledger.sqlite").exists()


def test_a_run_that_a_signal_ended_tells_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: object, **__: object) -> None:
        raise stopped("SIGTERM", [])

    monkeypatch.setattr("delivery.run.run", ended)
    assert world.run("--due")[0] == 1
    assert (world.hooked, world.mailed) == ([], [])


@pytest.mark.parametrize(
    ("alerts_of", "fault"),
    [
        ("{a: {url: 'json://token@example.com'}}", "alerts.a.url: a secret must not stand in the file"),
        ("{a: {events: [gap]}}", "alerts.a: needs one of url and url_file"),
        ("{a: {url_file: f, events: [gaps]}}", "alerts.a.events.0: Input should be"),
        ("{a: {url_file: f, to: x}}", "alerts.a.to: unknown key; known: url, url_file, events"),
        ("[a]", "alerts: "),
    ],
)
def test_faults_of_alerts_are_said_with_their_place(tmp_path: Path, alerts_of: str, fault: str) -> None:
    path = tmp_path / "integrations.yml"
    path.write_text(f"integrations: {{}}\nalerts: {alerts_of}\n")
    with pytest.raises(ConfigError) as refused:
        Integrations(path).usable()
    assert fault in refused.value.message
    assert "token" not in refused.value.message

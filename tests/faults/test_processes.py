"""`delivery run` as a process, against a real sshd: killed at random moments, and eight at once."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from servers import SshServer, missing_for_sshd
from small_project import CLIENTS, DAY, ROWS, make_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(bool(missing_for_sshd()), reason=missing_for_sshd())
PARTS = 4  # for the workers of pytest
KILLS, KILLS_OF_EIGHT, ROUNDS, RUNNERS = 100, 56, 20, 8
AT_ONCE, AT_THE_SERVER = tuple(f"at_once_{number}" for number in range(8)), 8
NAMES = [f"daily_{DAY}.csv", f"daily_{DAY}.csv.manifest.json"]


@dataclass
class Client:
    """A project that delivers to a directory of its own on the server."""

    root: Path
    state: Path
    inbox: Path
    integrations: tuple[str, ...] = ("by_sftp",)

    def start(self) -> subprocess.Popen[str]:
        env = {"DELIVERY_STATE": str(self.state), "INBOX": self.inbox.name}
        command = [sys.executable, "-m", "delivery", "run", "--json", "--window", DAY]
        command += [word for name in self.integrations for word in ("--integration", name)]
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=os.environ | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
        out, err = process.communicate(timeout=120)
        try:
            return process.returncode, json.loads(out)
        except ValueError:
            raise AssertionError(f"exit {process.returncode}\n{out}\n{err}") from None

    def files(self) -> dict[str, tuple[int, str]]:
        """Inode and hash of what a client sees."""
        return {
            str(path.relative_to(self.inbox)): (path.stat().st_ino, sha256(path.read_bytes()).hexdigest())
            for path in self.inbox.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }


@pytest.fixture(scope="module")
def template(sshd: SshServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template") / "project"
    make_project(root)
    document = yaml.safe_load((root / "integrations.yml").read_text())
    document["integrations"]["by_sftp"] |= {
        "directory": "{{ env_var('INBOX') }}",
        "destination": {
            "type": "sftp",
            "host": sshd.host,
            "port": sshd.port,
            "username": sshd.username,
            "private_key": str(sshd.user_key),
            "host_keys": list(sshd.host_keys.values()),
        },
    }
    ours = document["integrations"]["by_sftp"]
    for number, name in enumerate(AT_ONCE):
        target = ours["destination"] | {"connections": AT_THE_SERVER}
        directory = f"{ours['directory']}/{name}"
        client = CLIENTS[number % len(CLIENTS)]
        document["integrations"][name] = ours | {"namespace": client, "directory": directory, "destination": target}
    (root / "integrations.yml").write_text(yaml.safe_dump(document))
    return root


@pytest.fixture
def clients(template: Path, sshd: SshServer, tmp_path: Path) -> Iterator[Client]:
    """A new client each time."""

    def each() -> Iterator[Client]:
        number = 0
        while True:
            number += 1
            inbox = sshd.directory(f"{tmp_path.name}-{number}")
            yield Client(template, tmp_path / str(number), inbox)

    return each()


@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_a_random_moment_each_file_comes_once(clients: Iterator[Client], part: int) -> None:
    chance = random.Random(part)
    reference = next(clients)
    began = time.monotonic()
    code, _ = reference.finish(reference.start())
    takes = time.monotonic() - began
    assert code == 0
    expected = {name: content for name, (_, content) in reference.files().items()}
    assert sorted(expected) == NAMES
    for _ in range(KILLS // PARTS):
        client = next(clients)
        process = client.start()
        # Half of the kills fall into the last part of the run, where it speaks with the server.
        time.sleep(takes * chance.choice((chance.random(), chance.uniform(0.6, 1.05))))
        process.kill()
        process.communicate()
        before = client.files()
        code, report = client.finish(client.start())
        assert code == 0, report
        after = client.files()
        assert {name: content for name, (_, content) in after.items()} == expected
        assert before.items() <= after.items(), "what was there was sent again"
        assert sorted(path.name for path in client.inbox.iterdir()) == NAMES, "nothing is left over"
        assert [d["rows"] for d in report["deliveries"]] == [ROWS]


@pytest.mark.parametrize("part", range(PARTS))
def test_eight_transfers_at_once_are_killed_and_each_file_comes_once(clients: Iterator[Client], part: int) -> None:
    """To one server: killed twice while they are at it, once so many files have come, and a little later."""
    chance = random.Random(part)

    def eight() -> Client:
        client = replace(next(clients), integrations=AT_ONCE)
        for name in AT_ONCE:
            folder = client.inbox / name
            folder.mkdir()
            shutil.chown(folder, client.inbox.stat().st_uid, client.inbox.stat().st_gid)
        return client

    reference = eight()
    code, _ = reference.finish(reference.start())
    assert code == 0
    expected = {name: content for name, (_, content) in reference.files().items()}
    assert sorted(expected) == sorted(f"{folder}/{name}" for folder in AT_ONCE for name in NAMES)
    died_midway = 0
    for _ in range(KILLS_OF_EIGHT // PARTS // 2):
        client, before = eight(), dict[str, tuple[int, str]]()
        for _ in range(2):
            process, come = client.start(), chance.randrange(min(len(before), len(expected) - 1), len(expected))
            while process.poll() is None and sum(1 for _ in client.inbox.glob("*/daily_*")) < come:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, 0.02))
            process.kill()
            process.communicate()
            assert before.items() <= client.files().items(), "what was there was sent again"
            before = client.files()
            died_midway += 0 < len(before) < len(expected)
        code, report = client.finish(client.start())
        assert code == 0, report
        after = client.files()
        assert {name: content for name, (_, content) in after.items()} == expected
        assert before.items() <= after.items(), "what was there was sent again"
        assert not list(client.inbox.rglob(".*")), "nothing is left over"
    assert died_midway, "no kill met them at work"


@pytest.mark.parametrize("part", range(2))
def test_eight_runners_at_once_deliver_once(clients: Iterator[Client], part: int) -> None:
    busy = 0
    for _ in range(ROUNDS // 2):
        client = next(clients)
        processes = [client.start() for _ in range(RUNNERS)]
        results = [client.finish(process) for process in processes]
        outcomes = [d["outcome"] for _, report in results for d in report.get("deliveries", [])]
        errors = [report["error"]["message"] for code, report in results if code]
        assert outcomes.count("delivered") == 1, results
        assert set(outcomes) <= {"delivered", "already delivered"}
        pids = {str(process.pid) for process in processes}
        for error in errors:
            assert error.startswith("Another runner is at work: ")
            assert any(f"process {pid} " in error for pid in pids) or "just started" in error
        assert len(outcomes) + len(errors) == RUNNERS
        assert sorted(client.files()) == sorted(path.name for path in client.inbox.iterdir()) == NAMES
        busy += len(errors)
    assert busy, "they never met"

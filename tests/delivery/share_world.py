"""A share of three clients with both doors open: real Apache and ProFTPD, asked with curl and OpenSSH's sftp."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from click.testing import CliRunner, Result
from servers import free_port, keygen
from small_project import AT, BESIDE, CLIENTS, DAY, make_project

from benchmarks import share as sample
from delivery import run as runner
from delivery.cli import cli
from delivery.config.integrations_file import Integrations
from delivery.config.project import Project, open_project
from delivery.progress import Watch
from delivery.schedule.request import Request
from delivery.share.users import Users, new_user

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORDS = {
    "acme_it": "a long 'quoted' password",
    "bright_it": 'another "one" & more',
    "both.of-them": "pässwörd mit Umlauten",
    "robot": "",
}
SEES = {
    "acme_it": {"acme_outdoor"},
    "bright_it": {"brightside_beauty"},
    "both.of-them": {"acme_outdoor", "brightside_beauty"},
    "robot": {"acme_outdoor"},
}
NAME = f"daily_{DAY}.csv"
ODD_NAMES = [
    "with blanks.csv",
    'it\'s "quoted".csv',
    "<script>alert(1)<script>.csv",
    "emoji 🎉 ünï.csv",
    "100%25 & a+b;c.csv",
]
SCREENSHOTS = os.environ.get("SCREENSHOTS")
VENDOR = "Example Mail" if SCREENSHOTS else 'Böse & "Söhne" <script>alert(1)</script>'
PROVEN = {"own folders", "own files whole", "nothing of others", "no change", "nothing hidden", "in the log"}


def said_in(vendor: str = VENDOR, **changes: Any) -> dict[str, Any]:
    """`share:` as a file has it."""
    settings = {"host": "localhost", "vendor_name": vendor, "web_port": free_port(), "sftp_port": free_port()}
    return {**settings, "certificate": ".share/certificate.pem", "certificate_key": ".share/certificate.key", **changes}


def made(root: Path, *, rows: int = 200, **changes: Any) -> Project:
    """The small project, with `share:`."""
    make_project(root, rows=rows)
    path = root / "integrations.yml"
    path.write_text(path.read_text() + "\n" + yaml.safe_dump({"share": said_in(**changes)}, allow_unicode=True))
    return open_project(root, None, None)


def call(project: Project, *arguments: str, typed: str = "") -> Result:
    asked = ["--project-dir", str(project.root), "share", *arguments]
    return CliRunner().invoke(cli, asked, input=typed, catch_exceptions=False)


@dataclass
class World:
    """The small project's share of three clients, delivered, with both doors open."""

    project: Project
    doors: sample.Doors
    keys: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.doors.share.web_port}"

    def file(self, client: str, name: str = NAME) -> Path:
        return self.project.share / client / "inbox" / name

    def sftp(self, user: str, *commands: str, source: str = "127.0.0.1", password: str | None = None) -> str:
        """What OpenSSH's sftp says, each command tried whatever became of those before."""
        with self.sftp_begun(user, *commands, source=source, password=password) as running:
            said, errors = running.communicate(timeout=60)
        return f"{running.returncode}\n{said}{errors}"

    def sftp_begun(
        self,
        user: str,
        *commands: str,
        source: str = "127.0.0.1",
        password: str | None = None,
        more: tuple[str, ...] = (),
    ) -> subprocess.Popen[str]:
        """The same, while it is at it. more: options."""
        asks, known = self.keys / "ask", self.keys / "known_hosts"
        if not known.exists():  # once: others are reading them
            asks.write_text('#!/bin/sh\nprintf "%s\\n" "$SHARE_PASSWORD"\n')
            asks.chmod(0o700)
            host_key = (self.doors.run / "host.key.pub").read_text()
            known.write_text(f"[localhost]:{self.doors.share.sftp_port} {host_key}")
        login = (
            ["-oPubkeyAuthentication=no"]
            if PASSWORDS[user]
            else ["-i", self.keys / user, "-oPasswordAuthentication=no"]
        )
        begun = subprocess.Popen(
            ["sftp", "-q", f"-oUserKnownHostsFile={known}", "-oNumberOfPasswordPrompts=1", f"-oBindAddress={source}",
             *login, "-oIdentitiesOnly=yes", "-oBatchMode=no", "-P", str(self.doors.share.sftp_port), *more, "-b", "-",
             f"{user}@localhost"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"SSH_ASKPASS": str(asks), "SSH_ASKPASS_REQUIRE": "force",
                              "SHARE_PASSWORD": PASSWORDS[user] if password is None else password},
        )  # fmt: skip
        assert begun.stdin
        begun.stdin.write("".join(f"-{command}\n" for command in commands))
        begun.stdin.flush()
        return begun


@dataclass
class Visitor:
    """A browser without a page: curl with cookies of its own, from an address of its own."""

    world: World
    jar: Path
    source: str = "127.0.0.1"

    def ask(self, path: str, *options: str, url: str | None = None) -> tuple[int, bytes]:
        """Status and body; the path goes out as it is."""
        port = self.world.doors.share.web_port
        with tempfile.NamedTemporaryFile() as body:
            done = subprocess.run(
                ["curl", "-sS", "--cacert", self.world.doors.share.certificate, "--path-as-is",
                 "-b", self.jar, "-c", self.jar, "--interface", self.source, "--resolve", f"localhost:{port}:127.0.0.1",
                 "-o", body.name, "-w", "%{http_code}", *options, (url or self.world.url) + path],
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            return int(done.stdout), Path(body.name).read_bytes()

    def ask_all(self, paths: list[str]) -> list[tuple[int, bytes]]:
        """The same of many, on one connection."""
        port = self.world.doors.share.web_port
        with tempfile.TemporaryDirectory() as folder:
            bodies = [Path(folder, str(number)) for number in range(len(paths))]
            asked = [
                part for body, path in zip(bodies, paths, strict=True) for part in ("-o", body, self.world.url + path)
            ]
            done = subprocess.run(
                ["curl", "-sS", "-g", "--cacert", self.world.doors.share.certificate, "--path-as-is", "-b", self.jar,
                 "--interface", self.source, "--resolve", f"localhost:{port}:127.0.0.1", "-w", "%{http_code}\\n",
                 *asked],
                capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            told = [body.read_bytes() if body.exists() else b"" for body in bodies]
        return list(zip(map(int, done.stdout.split()), told, strict=True))

    def log_in(self, user: str, password: str | None = None) -> int:
        told = ("--data-urlencode", f"httpd_username={user}")
        given = PASSWORDS[user] if password is None else password
        return self.ask("/log-in", *told, "--data-urlencode", f"httpd_password={given}")[0]


# As the mount unit does it, and for the server alone.
MOUNTED = 'mount --bind "$1" "$2" && mount -o remount,bind,ro,nosymfollow "$2" && shift 2 && exec "$@"'


@contextlib.contextmanager
def world_of(*, with_view: bool = False, rows: int = 200, **changes: Any) -> Iterator[World]:
    """with_view: the servers see the share through a mount of their own. rows: of each file. changes: of `share:`."""
    if missing := sample.missing():
        pytest.skip(missing)
    base = Path(tempfile.mkdtemp(prefix="share-"))
    base.chmod(0o711)  # the servers' account must get through
    try:
        view = base / "view"
        view.mkdir()
        project = made(base / "project", rows=rows, **changes, **({"view": str(view)} if with_view else {}))
        mounted = ("unshare", "--mount", "sh", "-c", MOUNTED, "sh", str(project.share), str(view))
        for day in (BESIDE[0], DAY):
            runner.run(project, Request(at=AT, window=day, integrations=hosted(project)), Watch())
        users = Users(project.root / ".share" / "users")
        key = keygen(base / "robot")
        for user, password in PASSWORDS.items():
            users.put(new_user(user, SEES[user], CLIENTS, password, [] if password else [key]))
        with sample.running(project, before=mounted if with_view else ()) as doors:
            yield World(project, doors, base)
    finally:
        shutil.rmtree(base)


def hosted(project: Project) -> tuple[str, ...]:
    """The integrations that deliver to the share."""
    loaded = Integrations(project.integrations_file).loaded
    return tuple(name for name, one in loaded.items() if one.destination.type == "hosted")

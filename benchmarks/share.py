"""The sample's share on this machine, without root: `make share`. Its servers are set up by `delivery share config`."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from delivery.config.integrations_file import Integrations
from delivery.config.project import open_project
from delivery.share import config
from delivery.share.users import Users, new_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.config.project import Project
    from delivery.config.share import Share

PACKAGES = {
    "apache2": "/usr/sbin/apache2",
    "openssh-client": "/usr/bin/ssh-keygen",
    "openssl": "/usr/bin/openssl",
    "proftpd-core": "/usr/sbin/proftpd",
    "proftpd-mod-crypto": "/usr/lib/proftpd/mod_sftp.so",
    "proftpd-mod-vroot": "/usr/lib/proftpd/mod_vroot.so",
}
SECONDS = 20


@dataclass(frozen=True)
class Doors:
    """The running servers. run: where their logs are. analytics: where the share has a page of figures."""

    share: Share
    run: Path
    web: subprocess.Popen[bytes]
    sftp: subprocess.Popen[bytes]
    analytics: subprocess.Popen[bytes] | None = None

    def log(self, name: str) -> str:
        """One of `web.log`, `web.json`, `sftp.log`, `sftp.transfers`."""
        path = self.run / name
        return path.read_text(encoding="utf-8") if path.exists() else ""


def missing() -> str:
    """Which Debian packages are not here; empty when all are."""
    absent = [name for name, path in PACKAGES.items() if not Path(path).exists()]
    return f"apt-get install {' '.join(absent)}" if absent else ""


@contextlib.contextmanager
def running(project: Project, *, before: tuple[str, ...] = ()) -> Iterator[Doors]:
    """The doors of a project's share on loopback; as nobody, where we are root. before: a command that runs the two."""
    integrations = Integrations(project.integrations_file)
    share, account = config.settings(integrations), _account()
    run, into = config.run_folder(share), share.folder / "config"
    config.write(project, integrations, into, account)
    make_certificate(share)
    run.mkdir(exist_ok=True)
    _give(project, share, account)
    subprocess.run([*as_account(), "sh", into / "prepare.sh"], check=True)
    commands: dict[str, list[str | Path]] = {
        "web": ["apache2", "-f", into / "web.conf", "-DFOREGROUND"],
        "sftp": ["proftpd", "--nodaemon", "--quiet", "--config", into / "sftp.conf"],
    }
    environment = os.environ | {"TZ": "UTC", "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin"}
    with contextlib.ExitStack() as stack:
        started, ports = {}, [("web", share.web_port), ("sftp", share.sftp_port)]
        for name, command in commands.items():
            started[name] = subprocess.Popen([*before, *as_account(), *command], env=environment)
            stack.callback(_end, started[name])
        if share.analytics_port:
            figures = [sys.executable, "-m", "delivery", "analytics", "--share"]
            quick = environment | {"DELIVERY_LOCK_WAIT": "2"}
            started["analytics"] = subprocess.Popen(figures, cwd=project.root, env=quick, stdout=subprocess.DEVNULL)
            stack.callback(_end, started["analytics"])
            ports.append(("analytics", share.analytics_port))
        for name, port in ports:
            wait_for_port(started[name], port, run / f"{name}.log")
        yield Doors(share, run, **started)


def as_account() -> tuple[str, ...]:
    """What a server's command begins with, so that it runs as nobody where we are root."""
    name, group = _account()
    return ("setpriv", f"--reuid={name}", f"--regid={group}", "--clear-groups") if os.geteuid() == 0 else ()


def _account() -> tuple[str, str]:
    who = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return who.pw_name, grp.getgrgid(who.pw_gid).gr_name


def _give(project: Project, share: Share, account: tuple[str, str]) -> None:
    """What an administrator does once: the servers' group may read, and one folder is theirs."""
    run, users = config.run_folder(share), share.folder / "users"
    if os.geteuid() != 0:
        return
    for path in (project.share, share.folder, users, share.certificate_key, share.analytics_secret):
        if path.exists():
            shutil.chown(path, group=account[1])
    for path in (*project.share.rglob("*"), *users.rglob("*")):
        if path.is_symlink():  # whatever it leads to is not ours to give
            continue
        shutil.chown(path, group=account[1])
        if path.is_dir():
            path.chmod(0o2750)
    project.share.chmod(0o2750)
    share.certificate_key.chmod(0o640)
    shutil.chown(run, *account)


def make_certificate(share: Share) -> None:
    """One that signed itself, where there is none."""
    if share.certificate.exists():
        return
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "90", "-subj", f"/CN={share.host}", "-addext", f"subjectAltName=DNS:{share.host}"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-keyout", share.certificate_key, "-out", share.certificate),
        ],
        check=True,
        capture_output=True,
    )


def wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until a server answers. Raises RuntimeError with its log when it does not."""
    for _ in range(SECONDS * 20):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{log.read_text(encoding='utf-8') if log.exists() else ''}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(SECONDS)


def main() -> None:
    """Runs the sample's share until Ctrl-C, with a user for each client that has something there."""
    if absent := missing():
        sys.exit(f"Missing packages. As root: {absent}")
    project = open_project(Path(), None, None)
    integrations = Integrations(project.integrations_file)
    share, clients = config.settings(integrations), config.namespaces(integrations)
    if not project.share.is_dir():
        sys.exit("There is nothing on the share yet. First: make deliver")
    listed = Users.of(share)
    passwords = {f"{client.partition('_')[0]}_it": secrets.token_urlsafe(12) for client in clients}
    for client, (name, password) in zip(clients, passwords.items(), strict=True):
        listed.put(new_user(name, [client], clients, password, ()))
    with running(project):
        print(f"https://{share.host}:{share.web_port}/  and  sftp -P {share.sftp_port} USER@{share.host}", flush=True)
        for name, password in passwords.items():
            print(f"  user {name}, password {password}", flush=True)
        if share.analytics_port:
            print("  figures: the link at the top of the page", flush=True)
        print("Ctrl-C ends the servers.", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)


if __name__ == "__main__":
    main()

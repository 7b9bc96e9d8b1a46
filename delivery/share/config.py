"""The configuration of the share's two servers and the systemd units, from `share:` of integrations.yml.

The servers run as an account of their own, without root, also on a low port; they write to one folder only.
"""

from __future__ import annotations

import re
import secrets
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from delivery.config.share import ANALYTICS, SECRET_HEADER, UNPLAIN, USER_HEADER
from delivery.errors import ConfigError
from delivery.files.disk import replace_file, writing
from delivery.share.users import Users

if TYPE_CHECKING:
    from delivery.config.integrations_file import Integrations
    from delivery.config.project import Project
    from delivery.config.share import Share

ACCOUNT = "share"  # who the servers run as, user and group
TRIES = 5
LOCKED_SECONDS = 600
FORM_BYTES = 1024  # of a request, at most
CONNECTIONS = 10  # of SFTP from an address at once: what its usual clients open to send files side by side
SESSION_SECONDS = 1800
TOO_MANY = "Too many logins have failed from your address. Try again in ten minutes."
WRONG = "This user name and password do not go together."
# In the order in which Apache is to load them.
MODULES = (
    *("mpm_event", "authn_core", "authn_file", "authn_anon", "authz_core", "authz_user"),
    *("authz_groupfile", "request", "dbd", "session", "session_dbd", "session_crypto", "auth_form", "allowmethods"),
    *("alias", "autoindex", "dir"),
    *("filter", "include", "mime", "headers", "setenvif", "reqtimeout", "socache_shmcb", "ssl", "rewrite", "asis"),
)
# What is written, and from which template.
PAGES = {
    "log-in.html": ("log-in.html", ""),
    "wrong.html": ("log-in.html", WRONG),
    "locked.html": ("log-in.html", TOO_MANY),
    "not-here.asis": ("not-here.asis", ""),
    **{
        name: (name, "")
        for name in ("not-here.html", "later.html", "head.shtml", "foot.html", "check.html", "style.css")
    },
}
OWN_PATHS = {"log-in", "log-out", ANALYTICS}  # of the page; everything else is a client's folder
LOGINS = "logins"  # what the page's list of sessions, and of logins in vain, begins as
SERVERS = ("web.conf", "sftp.conf", "prepare.sh")
ANALYTICS_UNIT = "share-analytics.service"
UNITS = {
    "share-web.service": "web.service",
    "share-sftp.service": "sftp.service",
    "share-cut.path": "cut.path",
    "share-cut.service": "cut.service",
    ANALYTICS_UNIT: "analytics.service",
    "share-prune.service": "prune.service",
    "share-prune.timer": "prune.timer",
}


def settings(integrations: Integrations) -> Share:
    """`share:` of the file. Raises ConfigError with its faults, or when there is none."""
    integrations.usable(())
    if integrations.share is None:
        raise ConfigError("integrations.yml has no `share:`.", hint="docs/share.md says what it holds.")
    return integrations.share


def namespaces(integrations: Integrations) -> list[str]:
    """The clients that have something on the share."""
    hosted = {one.namespace for one in integrations.loaded.values() if one.destination.type == "hosted"}
    return sorted(hosted)


def run_folder(share: Share) -> Path:
    """What the servers write: logs, their own keys, who is locked out."""
    return share.folder / "servers"


def ended(share: Share) -> Path:
    """Touched when somebody's sessions are to end: a unit sees it, and cuts what the page is sending."""
    return share.folder / "ended"


def write(project: Project, integrations: Integrations, into: Path, account: tuple[str, str]) -> list[Path]:
    """Writes all of it into a folder, and returns the files; makes the list of users where there is none.

    account: user and group that the servers run as.
    Raises ConfigError for what the servers' configuration cannot say, WriteFailed.
    """
    integrations.usable(secrets=False)  # a client that is left out would be locked out
    share, into = settings(integrations), into.resolve()
    if taken := OWN_PATHS & {*namespaces(integrations)}:
        raise ConfigError(f"The page has /{min(taken)} for itself: no client can have that name on the share.")
    users = Users.of(share)
    users.make()
    if share.analytics_port:
        _make_secret(share.analytics_secret)
    files = share.view or project.share
    for path in (into, files, project.share, project.root):
        if UNPLAIN & set(str(path)):
            raise ConfigError(f"{path} has characters that the servers' configuration cannot hold.")
    mount = f"{unit_name(files)}.mount" if share.view else ""
    modules = (*MODULES, *(("remoteip",) if share.proxy else ()))
    modules += ("proxy", "proxy_http") if share.analytics_port else ()
    fields = {
        "share": share,
        "alone": share.host == "localhost",  # then nobody else is to come in
        "behind": share.proxy is not None and share.proxy.is_loopback,
        "namespaces": namespaces(integrations),
        "account": account[0],
        "group": account[1],
        "modules": modules,
        "analytics": ANALYTICS,
        "user_header": USER_HEADER,
        "secret_header": SECRET_HEADER,
        "tries": TRIES,
        "locked_seconds": LOCKED_SECONDS,
        "form_bytes": FORM_BYTES,
        "connections": CONNECTIONS,
        "session_seconds": SESSION_SECONDS,
        "mount": mount,
        "files": files,
        "here": into,
        "logins": LOGINS,
        "pages": into / "pages",
        "run": run_folder(share),
        "users": users.folder,
        "home": re.sub(r"[^\w/-]", ".", str(users.home)),  # what may mean more in a pattern
        "ended": ended(share),
        "shared": project.share,
        "project": project.root,
        "runner": _owner(project.root),
        "delivery": Path(sys.executable).with_name("delivery"),
    }
    units = UNITS | ({mount: "view.mount"} if mount else {})
    if not share.analytics_port:
        del units[ANALYTICS_UNIT]
    made = {into / name: _filled(name, fields) for name in SERVERS}
    made |= {into / "systemd" / name: _filled(template, fields) for name, template in units.items()}
    for name, (template, said) in PAGES.items():
        made[into / "pages" / name] = _filled(template, fields | {"said": said})
    for path, text in made.items():
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_file(path, text.encode())
            path.chmod(0o644)  # no secret is in it
    _make_logins(into / LOGINS)
    for unit in (into / "systemd").iterdir():  # of settings before these
        if unit not in made and (unit.name in UNITS or unit.suffix == ".mount"):
            unit.unlink()
    return [*made, into / LOGINS]


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:  # in a container, say
        raise ConfigError(f"{path} belongs to no user with a name: the servers' configuration needs one.") from None


def _make_logins(path: Path) -> None:
    """The tables in which the page keeps sessions and logins that have not begun one, empty.

    Each login removes what has expired. One that begins a session was counted by the same connection, right before.
    """
    begun = "delete from tries where id = last_insert_rowid()"
    with writing(path):
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as database:
            database.execute("pragma journal_mode = wal")  # nobody waits for who writes
            database.executescript(f"""
                create table sessions (id text primary key, expiry integer, content text);
                create index sessions_by_expiry on sessions (expiry);
                create table tries (id integer primary key, address text, at integer);
                create index tries_by_address on tries (address, at);
                create trigger begun before insert on sessions begin {begun}; end;
                create trigger begun_anew before update on sessions when new.id <> old.id begin {begun}; end;
                create trigger expired after insert on sessions begin
                    delete from sessions where expiry < unixepoch() * 1000000;
                    delete from tries where at < unixepoch() - {LOCKED_SECONDS};
                end;
            """)
        path.chmod(0o644)


def _make_secret(path: Path) -> None:
    """Where there is none: of the folder's group, so that the page of the share reads it, too."""
    if not path.exists():
        replace_file(path, secrets.token_hex(32).encode())
        with writing(path):
            path.chmod(0o640)


def _filled(template: str, fields: dict[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("delivery.share"),
        autoescape=select_autoescape(("html", "shtml")),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(fields)


def unit_name(path: Path) -> str:
    """A path as the name of a unit, as systemd-escape writes it."""
    plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_."
    text = str(path).strip("/")
    return "".join(
        "-" if c == "/" else c if c in plain else "".join(f"\\x{byte:02x}" for byte in c.encode()) for c in text
    )

"""The share's login in front of the page: who is believed, who is let go on, and what those see who have nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from test_gate import sql

from delivery.analytics import page as page_room
from delivery.analytics.page.front_door import Account, FrontDoor
from delivery.analytics.page.served import serve_these
from delivery.config.project import open_project
from delivery.errors import ConfigError

if TYPE_CHECKING:
    from projects import Copy

streamlit = pytest.importorskip("streamlit.testing.v1")
streamlit_caching = pytest.importorskip("streamlit").cache_resource
SECRET = b"5ec7e7"
USERS = {
    "acme_it": Account(("acme_outdoor",), "$2y$a"),
    "both": Account(("acme_outdoor", "brightside_beauty"), "$2y$b"),
}
ORIGIN = (b"origin", b"https://files.example.com:8443")


def front_door(folder: Path, secret: bytes = SECRET, **changes: Any) -> FrontDoor:
    path = folder / "analytics.secret"
    path.write_bytes(secret)
    path.chmod(0o640)
    return FrontDoor(**{"host": "Files.example.com", "port": 1, "secret": path, "account": USERS.get,
                        "session_seconds": 60, **changes})  # fmt: skip


def told(user: bytes = b"acme_it", secret: bytes = SECRET) -> list[tuple[bytes, bytes]]:
    return [(b"x-share-user", user), (b"x-share-secret", secret)]


@pytest.mark.parametrize(
    ("kind", "path", "headers", "in_"),
    [
        ("http", "/analytics/", told(), True),
        ("http", "/analytics/", told()[:1], False),
        ("http", "/analytics/", told()[1:], False),
        ("http", "/analytics/", told(secret=b""), False),
        ("http", "/analytics/", told(secret=SECRET[:-1]), False),
        ("http", "/analytics/", told(secret=SECRET + b"0"), False),
        ("http", "/analytics/", [*told(), (b"x-share-secret", b"another")], False),
        ("http", "/analytics/", [*told(), (b"x-share-user", b"both")], False),
        ("http", "/analytics/", told(b""), False),
        ("http", "/analytics/", told(b"removed"), False),
        ("http", "/analytics/", told(b"\xff"), False),
        ("http", "/analytics/static/js/a.js", told(b""), True),
        ("http", "/analytics/static/js/a.js", told(secret=b"x"), False),
        ("http", "/analytics/rows/static/", told(b""), False),
        ("websocket", "/analytics/_stcore/stream", [*told(), ORIGIN], True),
        ("websocket", "/analytics/_stcore/stream", told(), False),
        ("websocket", "/analytics/_stcore/stream", [*told(), (b"origin", b"https://example.com")], False),
        ("websocket", "/analytics/_stcore/stream", [*told(), ORIGIN, ORIGIN], False),
        ("websocket", "/analytics/static/x", [*told(b""), ORIGIN], False),
    ],
)
def test_only_the_front_door_is_believed(
    tmp_path: Path, kind: str, path: str, headers: list[tuple[bytes, bytes]], in_: bool
) -> None:
    door = front_door(tmp_path)
    assert door.lets_in({"type": kind, "path": path, "headers": headers}) is in_


def test_an_empty_secret_is_none(tmp_path: Path) -> None:
    door = front_door(tmp_path, b" \n")
    assert not door.lets_in({"type": "http", "path": "/analytics/", "headers": told(secret=b"")})
    with pytest.raises(ConfigError, match="not there or empty"):
        door.check()
    door.secret.unlink()
    assert not door.lets_in({"type": "http", "path": "/analytics/", "headers": told(secret=b"")})
    with pytest.raises(ConfigError, match="not there or empty"):
        door.check()
    door = front_door(tmp_path)
    door.check()
    door.secret.chmod(0o644)
    with pytest.raises(ConfigError, match="Everybody on this machine"):
        door.check()


def test_who_is_out_sees_no_more_and_who_has_no_contract_is_told(
    project: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the script's own eyes: nobody's name comes with its connection, and the list says who nobody is."""
    monkeypatch.chdir(project.root)
    listed = {"": USERS["both"]}

    def looking(seconds: float = 60) -> Any:
        streamlit_caching.clear()
        door = front_door(tmp_path, account=lambda name: listed.get(name), session_seconds=seconds)
        serve_these(open_project(project.root, None, None), (), None, door)
        return streamlit.AppTest.from_file(Path(str(page_room.__file__)).with_name("app.py"), default_timeout=120).run()

    def is_out(page: Any) -> bool:
        return any("You are logged out" in one.proto.body for one in page.get("html")) and not page.metric

    page = looking()
    assert page.selectbox(key="namespace").options == ["Acme Outdoor, Inc.", "Brightside Beauty ✨"]
    assert page.metric
    assert not is_out(page)
    listed[""] = USERS["acme_it"]
    assert is_out(page.run()), "set anew, with another password"
    assert looking().selectbox(key="namespace").options == ["Acme Outdoor, Inc."]
    page = looking()
    del listed[""]
    assert is_out(page.run()), "removed"
    listed[""] = USERS["acme_it"]
    page = looking(0.5)
    time.sleep(0.6)
    assert is_out(page.run()), "too long after the last click"
    assert is_out(page.run()), "and for good"
    sql(project, "update dataset_entitlements set entitled = false where namespace = 'acme_outdoor'")
    page = looking()
    assert (["in no contract of yours" in one.value for one in page.info], list(page.metric)) == ([True], [])
    (project.root / "warehouse.duckdb").rename(project.root / "gone")
    assert [one.value for one in looking().error] == ["This cannot be shown now. Try again in a few minutes."]
    (project.root / "gone").rename(project.root / "warehouse.duckdb")
    listed[""] = USERS["both"]
    assert looking().selectbox(key="namespace").options == ["Brightside Beauty ✨"]

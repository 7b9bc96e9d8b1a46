"""Buckets: a real store that speaks S3, whole files under final names only, whatever is cut, taken or lost."""

from __future__ import annotations

import sys
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from buckets_here import BUCKET, KEYS, SECRET, Way, client, objects, running_store
from builders import integration, job
from small_project import AT, DAY
from tenacity import wait_none
from test_handover import OPERATIONS, OURS, STRANGE, Killed, Steps, Wrapped, row
from test_receipts import build, late, project_in

from delivery import run as runner
from delivery.config.project import Project
from delivery.errors import ConfigError, DestinationFailed, DestinationRefused, Held, NameTaken
from delivery.operations.checks import check
from delivery.progress import Watch
from delivery.schedule.request import Request
from delivery.transfer import Found, open_destination
from delivery.transfer.bucket_directory import BucketDirectory
from delivery.transfer.protocol import hand_over

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from delivery.ledger import File, Ledger

NAME = "daily.csv"
TEMP = f".{NAME}.01234567.part"
KINDS = ("cut before", "cut after", "refused", "done, then an error", "flip")


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with running_store() as endpoint:
        yield endpoint


def target(endpoint: str, **keys: Any) -> dict[str, Any]:
    return {"type": "s3", "bucket": BUCKET, "endpoint": endpoint, **KEYS, **keys}


def directory(endpoint: str, prefix: str, **keys: Any) -> BucketDirectory:
    return BucketDirectory(integration(destination=target(endpoint, **keys)).destination, prefix)  # type: ignore[arg-type]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "spool.csv"
    path.write_bytes(OURS)
    return path


@pytest.mark.parametrize("prefix", ["in/daily", "/in//daily/.", "in/daily/"])
def test_a_prefix_is_a_directory(store: str, spool: Path, prefix: str, tmp_path: Path) -> None:
    """Beside it lie one that begins alike and one below it, which are not seen."""
    for key in ("in/daily2/x", "in/daily/below/x", "in/x", "x"):
        client(store).put_object(Bucket=BUCKET, Key=key, Body=STRANGE)
    told: list[int] = []
    with directory(store, prefix) as bucket:
        assert bucket.describe() == f"s3://{store.removeprefix('http://')}/{BUCKET}/in/daily"
        assert bucket.look(NAME) is None
        bucket.upload(spool, TEMP, told.append)
        with pytest.raises(NameTaken):
            bucket.upload(spool, TEMP)
        assert bucket.look_at(TEMP, NAME) == [Found("file", len(OURS)), None]
        assert bucket.hash(TEMP) == bucket.hash(TEMP, len(OURS)) == sha256(OURS).hexdigest()
        bucket.publish(TEMP, NAME)
        assert (bucket.list(), told) == ([NAME], [len(OURS)])
        bucket.create("daily.csv.done")
        with pytest.raises(NameTaken):
            bucket.create("daily.csv.done")
        (tmp_path / "other").write_bytes(STRANGE)
        bucket.upload(tmp_path / "other", TEMP)
        with pytest.raises(NameTaken):
            bucket.publish(TEMP, NAME)
        with pytest.raises(NameTaken):
            bucket._rename(TEMP, NAME)
        assert objects(store, "in/daily/")[f"in/daily/{NAME}"] == OURS
        bucket.replace(TEMP, NAME)
        assert objects(store, "in/daily/")[f"in/daily/{NAME}"] == STRANGE
        for name in (NAME, NAME, "daily.csv.done"):
            bucket.remove(name)
        assert bucket.list() == []
        for name in ("a/b", "..", ""):
            with pytest.raises(ConfigError):
                bucket.look(name)
    assert set(objects(store)) == {"in/daily2/x", "in/daily/below/x", "in/x", "x"}


def test_a_file_of_many_parts_and_an_empty_one(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("delivery.transfer.bucket_directory.PART_BYTES", 5 << 20)  # the smallest that S3 takes
    content = bytes(range(256)) * (11 << 12)
    for name, text in (("many", content), ("none", b"")):
        (tmp_path / name).write_bytes(text)
        with directory(store, "parts") as bucket:
            told: list[int] = []
            bucket.upload(tmp_path / name, f".{name}", told.append)
            assert bucket.hash(f".{name}") == sha256(text).hexdigest()
            bucket.publish(f".{name}", name)
    assert objects(store, "parts") == {"parts/many": content, "parts/none": b""}


def test_a_probe_proves_that_a_taken_name_is_refused(store: str) -> None:
    with directory(store, "probed") as bucket:
        seen = bucket.probe("token")
        assert (seen.rename, seen.rename_refuses, seen.replace, seen.left) == (True, True, True, ())
    assert objects(store, "probed") == {}
    with directory(store, "probed", publish="look-and-rename") as bucket:
        assert bucket.probe("token").allows("look-and-rename")


class InBucket:
    """One spooled file of one delivery, and the prefix where it belongs."""

    def __init__(self, ledger: Ledger, spool: Path, endpoint: str, number: int) -> None:
        self.ledger, self.prefix, self.endpoint = ledger, f"there{number}", endpoint
        where = directory(endpoint, self.prefix).describe()
        self.key = ledger.plan(**job(revision=number).record(where, None)).id
        ledger.spooled(self.key, [row(spool, spool, OURS) | {"destination": where}])

    @property
    def file(self) -> File:
        return self.ledger.files(self.key)[0]

    def run(self, steps: Steps | None = None) -> File:
        ledger: Any = self.ledger
        with directory(self.endpoint, self.prefix) as bucket:
            chosen: Any = bucket
            if steps:
                ledger = Wrapped(ledger, advance_file=steps.wrap("record", ledger.advance_file))
                chosen = Wrapped(bucket, **{name: steps.wrap(name, getattr(bucket, name)) for name in OPERATIONS})
            return hand_over(self.file, chosen, ledger, replace=False)

    def assert_delivered(self, store: str) -> None:
        assert self.file.state == "published"
        assert objects(store, f"{self.prefix}/") == {f"{self.prefix}/{NAME}": OURS}


@pytest.mark.parametrize("when", ["before", "after"])
def test_dying_at_every_step_delivers_once(store: str, spool: Path, ledger: Ledger, when: str) -> None:
    base = 100 if when == "before" else 200
    first, steps = InBucket(ledger, spool, store, base), Steps()
    first.run(steps)
    first.assert_delivered(store)
    for number in range(len(steps.names)):
        again = InBucket(ledger, spool, store, base + number + 1)
        with pytest.raises(Killed):
            again.run(Steps(number, when))
        again.run()
        again.assert_delivered(store)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_happens_to_a_request_the_file_is_delivered_once(
    store: str, spool: Path, ledger: Ledger, kind: str
) -> None:
    """Each request of a delivery in turn; the next try, from the state as recorded, brings it to its end."""
    base = 1000 * (1 + KINDS.index(kind))
    with Way(store) as way:
        InBucket(ledger, spool, way.endpoint, base).run()
        messages = list(way.seen)
        assert len(messages) > 12
        assert messages.count("POST delete") == 1
        for number in range(len(messages)):
            again = InBucket(ledger, spool, way.endpoint, base + number + 1)
            way.fails(number, kind)
            with suppress(DestinationFailed):
                again.run()
            way.fails(-1, "")
            again.run()
            again.assert_delivered(store)


def test_what_was_copied_and_whose_answer_was_lost_is_ours(store: str, spool: Path, ledger: Ledger) -> None:
    """The next look finds it; the temporary file goes. A stranger's under the name is held."""
    ours, steps = InBucket(ledger, spool, store, 1), Steps()
    InBucket(ledger, spool, store, 5).run(steps)
    with pytest.raises(Killed):
        ours.run(Steps(steps.names.index("publish"), "after"))
    assert (ours.file.state, len(objects(store, "there1/"))) == ("publishing", 1)
    ours.run()
    ours.assert_delivered(store)
    taken = InBucket(ledger, spool, store, 2)
    client(store).put_object(Bucket=BUCKET, Key=f"there2/{NAME}", Body=STRANGE)
    with pytest.raises(Held, match="already lies in"):
        taken.run()
    late_one = InBucket(ledger, spool, store, 3)

    def appears(*_: Any) -> None:
        client(store).put_object(Bucket=BUCKET, Key=f"there3/{NAME}", Body=STRANGE)

    with directory(store, "there3") as bucket:
        between = Wrapped(bucket, publish=lambda old, new: (appears(), bucket._rename(old, new)))
        with pytest.raises(Held, match="appeared in"):
            hand_over(late_one.file, between, ledger, replace=False)
    assert objects(store, "there3/")[f"there3/{NAME}"] == STRANGE


def test_a_file_that_is_collected_at_once_was_delivered(store: str, spool: Path, ledger: Ledger) -> None:
    one = InBucket(ledger, spool, store, 4)

    def collected(old: str, new: str) -> None:
        bucket._rename(old, new)
        client(store).delete_object(Bucket=BUCKET, Key=f"there4/{NAME}")

    with directory(store, "there4") as bucket:
        hand_over(one.file, Wrapped(bucket, publish=collected), ledger, replace=False)
    assert (one.file.state, objects(store, "there4/")) == ("published", {})


def test_errors_say_what_to_do_and_no_secret(store: str, spool: Path) -> None:
    with directory(store, "x", bucket="nobucket") as bucket, pytest.raises(DestinationRefused, match="no such bucket"):
        bucket.upload(spool, TEMP)
    with directory(store, "x") as bucket, pytest.raises(DestinationFailed, match="verify: it is not there"):
        bucket.hash("nothing")
    with directory("http://127.0.0.1:9", "x") as bucket, pytest.raises(DestinationFailed) as failed:
        bucket.look("x")
    assert (failed.value.message, failed.value.late) == (
        f"s3://127.0.0.1:9/{BUCKET}/x: look: the request failed",
        False,
    )
    with directory(store, "x") as bucket:
        bucket.cut()
        with pytest.raises(DestinationFailed, match="cut off"):
            bucket.look("x")


def test_a_store_that_does_not_answer_is_late(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with directory(endpoint, "x", timeout=0.3) as bucket, pytest.raises(DestinationFailed) as failed:
            bucket.look("x")
    assert (failed.value.late, "no answer in time" in failed.value.message) == (True, True)


def test_what_the_store_refuses_is_not_tried_again(spool: Path) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Refusing(BaseHTTPRequestHandler):
        def _any(self) -> None:
            self.send_response(403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET = do_PUT = do_POST = _any  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        bucket = directory(f"http://127.0.0.1:{server.server_address[1]}", "x")
        with bucket, pytest.raises(DestinationRefused, match="look: no permission"):
            bucket.look(NAME)
        server.shutdown()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"endpoint": "http://minio.example.com"}, "without TLS on this machine only"),
        ({"endpoint": "https://user:pass@minio.example.com"}, "must be an address"),
        ({"endpoint": "minio.example.com"}, "must be an address"),
        ({"secret_access_key": None}, "needs both access_key_id and secret_access_key"),
        ({"bucket": "a/b"}, "String should match pattern"),
        ({"file_mode": 0o640}, "Extra inputs are not permitted"),
        ({"publish": "exclusive"}, "Input should be 'rename' or 'look-and-rename'"),
        ({"verify": "none"}, "Input should be 'hash' or 'size'"),
        ({"timeout": 0}, "greater than 0"),
    ],
    ids=str,
)
def test_what_cannot_be_a_bucket_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        integration(destination={"type": "s3", "bucket": BUCKET, **KEYS, **changes})


@pytest.mark.parametrize(
    ("destination", "where"),
    [
        ({"type": "s3", "bucket": "b-1"}, "s3://b-1/in"),
        ({"type": "s3", "bucket": "b-1", "endpoint": "https://Minio.example.com:9000/"}, "s3://minio.example.com:9000/b-1/in"),
        ({"type": "gcs", "bucket": "b-1"}, "gs://b-1/in"),
        ({"type": "azure", "bucket": "box", "account": "acme", "sas_token": "sig"}, "az://acme/box/in"),
    ],
)  # fmt: skip
def test_each_kind_of_bucket_has_one_name(destination: dict[str, Any], where: str, tmp_path: Path) -> None:
    one = integration(destination=destination)
    project = Project(tmp_path, "duckdb", {}, tmp_path, tmp_path, "sqlite://")
    one = one.model_copy(update={"directory": "in"})
    assert open_destination("acme", one, project).describe() == where


def test_the_environment_moves_no_place_and_lends_no_token(
    store: str, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As somebody's shell may have it for another account."""
    for name in ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "another's")
    with Way(store) as way:
        headers: list[str] = []
        passing = way.pass_on
        way.pass_on = lambda request: (headers.extend(request.headers.keys()), passing(request))[1]  # type: ignore[method-assign, func-returns-value]
        with directory(way.endpoint, "env") as bucket:
            bucket.upload(spool, TEMP)
    assert f"env/{TEMP}" in objects(store, "env")
    assert "x-amz-security-token" not in {name.lower() for name in headers}


def test_without_its_package_a_bucket_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "delivery.transfer.bucket_directory")
    project = Project(tmp_path, "duckdb", {}, tmp_path, tmp_path, "sqlite://")
    with pytest.raises(ConfigError, match="Buckets need the package obstore") as refused:
        open_destination("acme", integration(destination=target("https://x.example.com")), project)
    assert "dbt-delivery[buckets]" in refused.value.hint


@pytest.fixture
def project(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Two clients in one bucket, each below its own prefix, one of dated folders; a third has the share."""
    monkeypatch.setattr("delivery.handing_over.BACK_OFF", wait_none())
    monkeypatch.setenv("BUCKET_SECRET", SECRET)
    made = project_in(tmp_path, rows=5)
    path = made.root / "integrations.yml"
    document = yaml.safe_load(path.read_text())
    secret = "{{ env_var('BUCKET_SECRET') }}"
    for name, folder in (("share_of_cedar_books", "cedar"), ("by_share", "acme/{window:%Y/%m}")):
        document["integrations"][name] |= {
            "destination": target(store, secret_access_key=secret),
            "directory": f"{tmp_path.name}/{folder}",
        }
    path.write_text(yaml.safe_dump(document))
    return made


ASKED = ("by_share", "share_of_cedar_books", "share_of_brightside_beauty")


def run(project: Project, **request: Any) -> list[runner.Outcome]:
    return runner.run(project, Request(**{"at": AT, "window": DAY, "integrations": ASKED} | request), Watch())


def test_clients_of_one_bucket_get_their_files_once_and_their_corrections(
    project: Project, store: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert [one.state for one in run(project)] == ["delivered"] * 3
    lies = objects(store, tmp_path.name)
    own = f"{tmp_path.name}/acme/2026/11/daily_{DAY}.csv", f"{tmp_path.name}/cedar/daily_{DAY}.csv"
    assert set(lies) == {name + end for name in own for end in ("", ".manifest.json")}
    assert b"cedar" not in lies[own[0]]
    assert lies[own[1]].count(b"canary-of-cedar-books") == 5
    assert [one.state for one in run(project)] == ["already delivered"] * 3
    build(project, late("late1", 1))
    assert [one.state for one in run(project)].count("delivered") == 1
    assert objects(store, tmp_path.name)[own[0].replace(".csv", "_r1.csv")].count(b"late@example.com") == 1
    assert SECRET.encode() not in b"".join(path.read_bytes() for path in project.state.rglob("*") if path.is_file())
    (seen,) = check(project, ("by_share",))
    assert (seen.ok, seen.publish) == (True, "rename")
    assert objects(store, tmp_path.name).keys() >= lies.keys()


def test_two_clients_at_one_prefix_and_a_literal_secret_are_refused(project: Project) -> None:
    path = project.root / "integrations.yml"
    document = yaml.safe_load(path.read_text())
    document["integrations"]["share_of_cedar_books"]["directory"] = "one/./place/"
    document["integrations"]["by_share"]["directory"] = "/one/place"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError, match=r"one file might be written by .*one/place: give each"):
        run(project)
    document["integrations"]["by_share"]["destination"]["secret_access_key"] = SECRET
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError, match=r"by_share.destination.secret_access_key: a secret must not") as refused:
        run(project)
    assert SECRET not in str(refused.value)


def test_one_clients_dead_bucket_stops_nobody(project: Project, store: str) -> None:
    path = project.root / "integrations.yml"
    document = yaml.safe_load(path.read_text())
    document["integrations"]["by_share"]["destination"]["endpoint"] = "http://127.0.0.1:9"
    path.write_text(yaml.safe_dump(document))
    states = {one.delivery.integration: one.state for one in run(project)}
    assert states == {"by_share": "failed", **dict.fromkeys(ASKED[1:], "delivered")}

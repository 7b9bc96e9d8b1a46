"""Servers that answer otherwise than OpenSSH: the product's own client, checked writer and hand-over on each."""

from __future__ import annotations

import hashlib
import os
import random
import stat
import time
from itertools import product
from typing import TYPE_CHECKING, Any, get_args

import pytest
from builders import job
from odd_sftp import ALL, MODE, MORE, OWNER, SIZE, TIMES, Answers, OddServer, sha256_of

from delivery.errors import DeliveryError, DestinationFailed, DestinationRefused, Held, NameTaken
from delivery.sftp.kept import Opened
from delivery.transfer import Found, Handling, Method
from delivery.transfer.protocol import hand_over
from delivery.transfer.sftp_directory import SftpDirectory

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.ledger import Ledger

CONTENT = random.Random(3).randbytes(600_001)
METHODS = get_args(Method)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FSYNC, STATVFS, RENAME = "fsync@openssh.com", "statvfs@openssh.com", "posix-rename@openssh.com"


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """Where files land, beside names that are nearly theirs."""
    path = tmp_path / "remote"
    path.mkdir()
    for name in ("daily.csv ", " daily.csv", "daily.CSV", "daily.csv.", "temp "):
        (path / name).write_bytes(b"a neighbour's")
    return path


def over(server: OddServer, timeout: float = 5.0, deadline: float = 30.0) -> SftpDirectory:
    """Our client on the server."""
    return SftpDirectory("odd", str(server.directory), lambda _: Opened(server, server.close), timeout, deadline)


def client(remote: Path, **answers: Any) -> SftpDirectory:
    return over(OddServer(remote, Answers(**answers)))


# Whole deliveries

DELIVERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tells no mode": {"attributes": SIZE},
    "tells no owner": {"attributes": SIZE | MODE},
    "tells more than there is": {"attributes": ALL | MORE},
    "offers nothing": {"limits": None, "fsync": False, "space": None},
    "takes 1 KiB": {"limits": (34_000, 1024, 1024, 0)},
    "reads less than it writes": {"limits": (0, 5000, 30_000, 0)},
    "writes less than it reads": {"limits": (0, 30_000, 5000, 0)},
    "knows no limits": {"limits": (0, 0, 0, 0)},
    "absurd limits": {"limits": (1, (1 << 64) - 1, 1 << 63, 0)},
    "refuses limits": {"limits": 8},
    "sends 700 bytes at a time": {"most": 700, "limits": None},
    "last reply first": {"turned": True},
    "no text": {"text": None},
    "empty text": {"text": b""},
    "text in another language": {"text": "Datei nicht gefunden: größer".encode("latin-1")},
    "handle of 1 byte": {"handle": b""},
    "handle of 256 bytes": {"handle": bytes(range(255))},
    "an extension in another language": {"own": "größe@example.com"},
    "no long names": {"long_name": b""},
    "long names that are none": {"long_name": b"\xff\x00\n"},
    "refuses FSTAT": {"codes": {"FSTAT": 8}},
    "refuses chmod": {"codes": {"FSETSTAT": 3}},
    "refuses LSTAT": {"codes": {"LSTAT": 8}},
    "refuses LSTAT, one name a reply, no mode": {"codes": {"LSTAT": 4}, "listed": 1, "attributes": SIZE},
    "refuses every STAT": {"codes": {"LSTAT": 3, "STAT": 3, "FSTAT": 3}, "turned": True},
    "offers fsync and does not know it": {"codes": {FSYNC: 8}},
    "refuses statvfs": {"codes": {STATVFS: 8}},
    "calls a taken name by its number": {"code": 11},
    "hashes by itself": {"checks": (b"\0\0\0\6sha256", sha256_of)},
    "hashes by itself, names the request": {"checks": (b"\0\0\0\12check-file\0\0\0\6sha256", sha256_of)},
    "hashes by MD5 only": {"checks": (b"\0\0\0\3md5", lambda content: hashlib.md5(content).digest())},
    "hashes by another name": {"checks": (b"\0\0\0\3md5", sha256_of)},
    "hashes block by block": {"checks": (b"\0\0\0\6sha256", lambda content: sha256_of(content) * 2)},
    "hashes nothing": {"checks": (b"\0\0\0\6sha256", lambda _: b"")},
    "refuses to hash": {"checks": (b"", sha256_of), "codes": {"check-file-handle": 8}},
    "version 2": {"version": 2, "text": None},
    "version 6": {"version": 6},
}


@pytest.mark.parametrize("answers", DELIVERS.values(), ids=DELIVERS)
def test_hands_over_once_and_whole(answers: dict[str, Any], spool: Path, remote: Path, ledger: Ledger) -> None:
    neighbours = {path.name: path.read_bytes() for path in remote.iterdir()}
    server = OddServer(remote, Answers(**answers))
    key = spooled(ledger, spool, remote)
    with over(server) as destination:
        hand_over(ledger.files(key)[0], destination, ledger, replace=False)
        assert destination.look("daily.csv") == Found("file", len(CONTENT))
        assert destination.hash("daily.csv") == DIGEST
        assert destination.list() == sorted([*neighbours, "daily.csv"])
        assert server.open_handles == 0
    assert ledger.files(key)[0].state == "published"
    assert (remote / "daily.csv").read_bytes() == CONTENT
    assert stat.S_IMODE((remote / "daily.csv").stat().st_mode) == 0o600
    assert {path.name: path.read_bytes() for path in remote.iterdir() if path.name != "daily.csv"} == neighbours
    with over(OddServer(remote, Answers(**answers))) as destination:
        with pytest.raises(Held, match=r"daily\.csv already lies in odd"):
            hand_over(ledger.files(spooled(ledger, spool, remote, revision=1))[0], destination, ledger, replace=False)
        with pytest.raises(NameTaken, match=r"daily\.csv exists already"):
            destination.upload(spool, "daily.csv")
        with pytest.raises(NameTaken, match=r"daily\.csv exists already"):
            destination.create("daily.csv")
        destination.upload(spool, "temp")
        with pytest.raises(NameTaken, match=r"daily\.csv exists already"):
            destination.publish("temp", "daily.csv")
    assert (remote / "temp").exists()


def spooled(ledger: Ledger, spool: Path, place: Path, revision: int = 0) -> str:
    key = ledger.plan(**job(revision=revision).record(str(place), None)).id
    row = {"part": 0, "role": "data", "name": "daily.csv", "spool": str(spool), "rows": 1, "bytes": len(CONTENT)}
    ledger.spooled(key, [row | {"sha256": DIGEST, "destination": str(place)}])
    return key


def test_where_no_size_is_told_the_hash_is_what_proves_a_file(spool: Path, remote: Path, ledger: Ledger) -> None:
    with client(remote, attributes=MODE) as destination:
        sent = hand_over(ledger.files(spooled(ledger, spool, remote))[0], destination, ledger, replace=False)
    assert (sent.state, (remote / "daily.csv").read_bytes()) == ("published", CONTENT)


def test_where_no_size_is_told_and_none_but_the_size_is_asked_for_nothing_is_delivered(
    spool: Path, remote: Path, ledger: Ledger
) -> None:
    """Fails safe; what was sent is taken back."""
    before = sorted(path.name for path in remote.iterdir())
    key = spooled(ledger, spool, remote)
    with client(remote, attributes=MODE) as destination:
        destination.handling = Handling(verify="size")
        with pytest.raises(DestinationFailed, match="other bytes") as said:
            hand_over(ledger.files(key)[0], destination, ledger, replace=False)
    assert said.value.step == "verify"
    assert (ledger.files(key)[0].state, sorted(path.name for path in remote.iterdir())) == ("spooled", before)


# Attributes


@pytest.mark.parametrize(
    ("kind", "told", "expected"),
    [
        ("file", ALL, Found("file", 5)),
        ("file", SIZE, Found("file", 5)),
        ("file", SIZE | TIMES, Found("file", 5)),
        ("file", SIZE | OWNER | TIMES | MORE, Found("file", 5)),
        ("file", MODE, Found("file", None)),
        ("file", 0, Found("file", None)),
        ("link", ALL, Found("other", 6)),
        ("link", MODE, Found("other", None)),
        ("fifo", ALL, Found("other", 0)),
        ("nothing", ALL, None),
        ("nothing", 0, None),
    ],
)
@pytest.mark.parametrize("refused", [None, 3, 4, 8, 31])
def test_what_lies_there(kind: str, told: int, expected: Found | None, refused: int | None, remote: Path) -> None:
    """Also where LSTAT is refused, and the listing tells."""
    (remote / "target").write_bytes(b"their file")
    if kind == "file":
        (remote / "name").write_bytes(b"12345")
    elif kind == "link":
        (remote / "name").symlink_to("target")
    elif kind == "fifo":
        os.mkfifo(remote / "name")
    with client(remote, attributes=told, codes={"LSTAT": refused} if refused else {}, listed=2) as destination:
        assert destination.look("name") == expected
        if expected is None or expected.kind == "other":
            with pytest.raises(DestinationFailed, match="odd: name is not a file there"):
                destination.hash("name")


@pytest.mark.parametrize("kind", ["link", "directory"])
def test_what_is_no_file_is_not_read(kind: str, remote: Path) -> None:
    (remote / "target").write_bytes(b"their file")
    (remote / "name").symlink_to("target") if kind == "link" else (remote / "name").mkdir()
    server = OddServer(remote, Answers())
    with over(server) as destination, pytest.raises(DestinationFailed, match="name is not a file there") as said:
        destination.hash("name")
    assert (said.value.step, "OPEN" in server.names) == ("verify", False)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({}, ""),
        ({"attributes": SIZE}, ""),
        ({"codes": {"STAT": 3}}, ""),
        ({"codes": {"STAT": 4}}, ""),
        ({"codes": {"STAT": 8}}, ""),
        ({"codes": {"STAT": 2}}, "odd: no such directory"),
    ],
)
def test_the_directory_is_looked_at_first(answers: dict[str, Any], message: str, remote: Path) -> None:
    server = OddServer(remote, Answers(**answers))
    if message:
        with pytest.raises(DestinationRefused, match=message) as said, over(server):
            pytest.fail("connected")
        assert "`directory`" in said.value.hint
    else:
        with over(server) as destination:
            assert destination.look("temp ") == Found("file", 13)
    assert server.names[:2] == ["limits@openssh.com", "STAT"]


def test_a_file_in_the_place_of_the_directory(remote: Path) -> None:
    with pytest.raises(DestinationRefused, match="no such directory"), client(remote / "temp "):
        pytest.fail("connected")


# Limits and space


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (None, 32_768),
        (4, 32_768),
        (8, 32_768),
        ((0, 0, 0, 0), 32_768),
        ((0, 0, 1000, 0), 1000),
        ((0, 1000, 0, 0), 1000),
        ((0, 100_000, 0, 0), 32_768),
        ((0, 0, 100_000, 0), 32_768),
        ((0, 1, 2, 0), 1),
        ((0, 4096, 8192, 0), 4096),
        ((0, 8192, 4096, 0), 4096),
        ((34_000, 32_768, 32_768, 0), 32_768),
        ((34_000, 32_767, 32_769, 0), 32_767),
        ((262_144, 261_120, 261_120, 1019), 261_120),
        ((0, 262_144, 262_145, 0), 262_144),
        ((0, (1 << 64) - 1, (1 << 64) - 1, 0), 262_144),
    ],
)
def test_no_request_is_larger_than_the_server_takes(
    limits: tuple[int, ...] | int | None, expected: int, tmp_path: Path
) -> None:
    (spool := tmp_path / "spool").write_bytes(CONTENT[: 2 * expected + 1])
    (remote := tmp_path / "remote").mkdir()
    server = OddServer(remote, Answers(limits=limits))
    with over(server) as destination:
        destination.upload(spool, "temp")
        assert destination.hash("temp") == hashlib.sha256(spool.read_bytes()).hexdigest()
        assert destination.probe("test").request_bytes == expected
    writes = [size for name, size in server.asked if name == "WRITE"]
    assert writes[:3] == [expected, expected, 1][: 3 if 2 * expected < len(CONTENT) else 1] or expected > 200_000
    assert max(size for name, size in server.asked if name in ("READ", "WRITE")) == expected


def test_limits_that_are_cut_short(remote: Path) -> None:
    with pytest.raises(DestinationFailed, match="odd: connect: a bad reply: cut short"), client(remote, limits=(1, 2)):
        pytest.fail("connected")


@pytest.mark.parametrize(
    ("space", "codes", "expected"),
    [
        ((4096, 4096, 1000, 500, 400, 10, 10, 10, 1, 0, 255), {}, 1_638_400),
        ((1 << 20, 512, 1000, 500, 400, 10, 10, 10, 1, 0, 255), {}, 204_800),
        ((512, 1 << 20, 9, 8, 7, 6, 5, 4, 3, 2, 1), {}, 7 << 20),
        ((4096, 4096, 1000, 500, 0, 10, 10, 10, 1, 0, 255), {}, 0),
        ((4096, 4096, 1000, 500, 400, 10, 10, 10, 1, 0, 255), {STATVFS: 8}, None),
        (None, {}, None),
    ],
)
def test_free_bytes_are_those_that_we_may_write(
    space: tuple[int, ...] | None, codes: dict[str, int], expected: int | None, remote: Path, spool: Path
) -> None:
    with client(remote, space=space, codes=codes) as destination:
        seen = destination.probe("test")
        assert (seen.free_bytes, seen.statvfs) == (expected, expected is not None)
    with (
        client(remote, space=space, codes=codes | {"WRITE": 14}, text=b"") as destination,
        pytest.raises(DestinationFailed) as said,
    ):
        destination.upload(spool, "temp")
    assert said.value.message == f"odd: upload: no space left (the server says: ; free bytes there: {expected})"


# What a probe finds


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({}, (True, True, True, True, False, set(METHODS))),
        ({"attributes": SIZE}, (True, True, True, True, False, set(METHODS))),
        ({"code": 11}, (True, True, True, True, False, set(METHODS))),
        ({"fsync": False}, (True, True, True, False, False, set(METHODS))),
        ({"overwrites": True}, (True, False, True, True, False, {"look-and-rename", "exclusive"})),
        ({"codes": {RENAME: 8}}, (True, True, False, True, False, set(METHODS))),
        ({"codes": {"RENAME": 8}}, (False, False, True, True, False, {"exclusive"})),
        ({"codes": {"RENAME": 3, RENAME: 3}}, (False, False, False, True, False, {"exclusive"})),
        (
            {"checks": (b"\0\0\0\6sha256", sha256_of)},
            (True, True, True, True, True, set(METHODS)),
        ),
        (
            {"checks": (b"\0\0\0\3md5", sha256_of)},
            (True, True, True, True, False, set(METHODS)),
        ),
    ],
)
def test_what_a_probe_finds(answers: dict[str, Any], expected: tuple[Any, ...], remote: Path) -> None:
    before = sorted(path.name for path in remote.iterdir())
    server = OddServer(remote, Answers(**answers))
    with over(server) as destination:
        seen = destination.probe("test")
        assert (
            seen.rename, seen.rename_refuses, seen.replace, seen.fsync, seen.remote_hash,
            {method for method in METHODS if seen.allows(method)},
        ) == expected  # fmt: skip
        assert destination.list() == before
        assert server.open_handles == 0


# Time


@pytest.mark.parametrize("slow", [FSYNC, "CLOSE", "check-file-handle"])
def test_a_reply_may_take_as_long_as_a_slow_disk_needs(slow: str, tmp_path: Path) -> None:
    """9 MB at 10 MB a second, on top of the timeout."""
    (spool := tmp_path / "spool").write_bytes(bytes(9_000_000))
    (remote := tmp_path / "remote").mkdir()
    checks = (b"\0\0\0\6sha256", sha256_of) if slow == "check-file-handle" else None
    with over(OddServer(remote, Answers(late={slow: 0.7}, checks=checks)), timeout=0.4) as destination:
        destination.upload(spool, "temp")
        assert destination.hash("temp") == hashlib.sha256(bytes(9_000_000)).hexdigest()


@pytest.mark.parametrize(
    ("slow", "size", "timeout", "deadline", "message"),
    [
        (FSYNC, 1_000_000, 0.2, 20.0, "odd: sync: nothing moved for 0.3 s"),
        ("CLOSE", 1_000_000, 0.2, 20.0, "odd: close: nothing moved for 0.3 s"),
        ("OPEN", 1_000_000, 0.2, 20.0, "odd: open: nothing moved for 0.2 s"),
        ("LSTAT", 1_000_000, 0.2, 20.0, "odd: verify: nothing moved for 0.2 s"),
        (FSYNC, 1_000_000, 5.0, 1.5, "odd: sync: not finished within its deadline of 1.5 s"),
    ],
)
def test_a_reply_that_does_not_come_ends_the_connection(
    slow: str, size: int, timeout: float, deadline: float, message: str, tmp_path: Path
) -> None:
    with (spool := tmp_path / "spool").open("wb") as file:
        file.truncate(size)
    (remote := tmp_path / "remote").mkdir()
    started = time.monotonic()
    destination = over(OddServer(remote, Answers(late={slow: 30.0}, limits=None)), timeout, deadline)
    with destination:
        if slow == "LSTAT":
            with pytest.raises(DestinationFailed) as said:
                destination.hash("temp")
        else:
            with pytest.raises(DestinationFailed) as said:
                destination.upload(spool, "temp")
    assert said.value.message == message
    assert said.value.step == message.split(": ")[1]
    assert time.monotonic() - started < 15


# Statuses

MEANINGS = {
    2: (DestinationFailed, "no such file or directory"),
    3: (DestinationRefused, "no permission"),
    8: (DestinationRefused, "the server does not support this"),
    12: (DestinationRefused, "the file system is read-only"),
    14: (DestinationFailed, "no space left"),
    15: (DestinationFailed, "the quota is exceeded"),
}


@pytest.mark.parametrize(
    ("request_", "code"),
    [one for one in product(["OPEN", "WRITE", FSYNC, "CLOSE"], range(1, 32)) if one != (FSYNC, 8)],
)
def test_every_status_is_told_and_leaves_nothing(code: int, request_: str, spool: Path, remote: Path) -> None:
    """Numbers above 8 are of later versions of the protocol."""
    before = sorted(path.name for path in remote.iterdir())
    kind, words = MEANINGS.get(code, (DestinationFailed, f"status {code}"))
    step = {"OPEN": "open", "WRITE": "upload", FSYNC: "sync", "CLOSE": "close"}[request_]
    there = "; free bytes there: 1638400" if request_ == "WRITE" else ""
    server = OddServer(remote, Answers(codes={request_: code}, text=b"Nein"))
    with over(server) as destination:
        with pytest.raises(DeliveryError) as said:
            destination.upload(spool, "temp")
        assert server.open_handles == (request_ == "CLOSE"), "a server gives so many of them"
    assert (type(said.value), said.value.message) == (kind, f"odd: {step}: {words} (the server says: Nein{there})")
    assert getattr(said.value, "step", step) == step
    assert sorted(path.name for path in remote.iterdir()) == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, ""),
        (b"", ""),
        (b"Failure", "Failure"),
        ("Accès refusé".encode(), "Accès refusé"),
        ("Accès".encode("latin-1"), "Acc\ufffds"),
        (b"a\x1b[31m\r\nb\0c\x7f", "a[31mbc"),
        (b"x" * 300, "x" * 200),
        (b"no room for jane.doe@example.com", "no room for <address>"),
    ],
)
def test_the_servers_words_are_made_fit_for_people(text: bytes | None, told: str, remote: Path) -> None:
    with client(remote, codes={"REMOVE": 4}, text=text) as destination, pytest.raises(DestinationFailed) as said:
        destination.remove("temp")
    assert said.value.message == f"odd: remove: status 4 (the server says: {told})"


@pytest.mark.parametrize("code", [2, 3, 4, 5, 8, 11, 21, 31])
def test_a_taken_name_is_told_by_looking(code: int, spool: Path, remote: Path) -> None:
    """Whatever number the server gives it."""
    (remote / "taken").write_bytes(b"theirs")
    with client(remote, code=code) as destination:
        for use in (lambda: destination.upload(spool, "taken"), lambda: destination.create("taken")):
            with pytest.raises(NameTaken, match="odd: taken exists already"):
                use()
    assert (remote / "taken").read_bytes() == b"theirs"


@pytest.mark.parametrize(("code", "kind"), [(2, DestinationFailed), (3, DestinationRefused), (4, DestinationFailed)])
@pytest.mark.parametrize("temp", ["there", "gone"])
def test_a_rename_that_is_refused_for_another_reason(
    code: int, kind: type[DeliveryError], temp: str, remote: Path
) -> None:
    if temp == "there":
        (remote / "temp").write_bytes(b"ours")
    with client(remote, codes={"RENAME": code}) as destination, pytest.raises(kind) as said:
        destination.publish("temp", "final")
    assert type(said.value) is kind
    assert said.value.message.startswith("odd: publish: ")


@pytest.mark.parametrize(("temp", "kind"), [("there", NameTaken), ("gone", DestinationFailed)])
def test_a_name_that_is_taken_just_now(temp: str, kind: type[DeliveryError], remote: Path) -> None:
    """Between our look and the rename. Where the temporary file is gone too, the rename may have been done."""

    class Racing(OddServer):
        def send(self, data: bytes) -> int:
            if data[4] == 18:
                (remote / "final").write_bytes(b"theirs")
                if temp == "gone":
                    (remote / "temp").unlink()
            return super().send(data)

    (remote / "temp").write_bytes(b"ours")
    with over(Racing(remote, Answers(code=11))) as destination, pytest.raises(kind) as said:
        destination.publish("temp", "final")
    assert type(said.value) is kind
    assert (remote / "final").read_bytes() == b"theirs"


@pytest.mark.parametrize(("code", "kind"), [(2, None), (3, DestinationRefused), (4, DestinationFailed)])
def test_removing_what_is_not_there(code: int, kind: type[DeliveryError] | None, remote: Path) -> None:
    with client(remote, codes={"REMOVE": code}) as destination:
        if kind is None:
            destination.remove("temp")
        else:
            with pytest.raises(kind, match="odd: remove: "):
                destination.remove("temp")


@pytest.mark.parametrize("request_", ["OPENDIR", "READDIR"])
def test_a_listing_that_fails_is_no_empty_one(request_: str, remote: Path) -> None:
    refusing = {request_: 4}
    with client(remote, codes=refusing) as lists, pytest.raises(DestinationFailed, match="odd: list: status 4"):
        lists.list()
    refusing |= {"LSTAT": 8}
    with client(remote, codes=refusing) as looks, pytest.raises(DestinationFailed, match="odd: look: status 4"):
        looks.look("name")


def test_replacing_where_the_server_cannot(remote: Path) -> None:
    (remote / "temp").write_bytes(b"ours")
    (remote / "final").write_bytes(b"yesterday's")
    with client(remote, codes={RENAME: 8}) as destination, pytest.raises(DestinationRefused, match="odd: publish"):
        destination.replace("temp", "final")
    assert (remote / "final").read_bytes() == b"yesterday's"


def test_software_is_what_the_server_offers(remote: Path) -> None:
    with client(remote, limits=None) as plain, client(remote, space=None, fsync=False) as other:
        assert plain.software == " fsync@openssh.com posix-rename@openssh.com statvfs@openssh.com"
        assert other.software == " limits@openssh.com posix-rename@openssh.com"

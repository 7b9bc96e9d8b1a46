"""Bad rows, bytes, files and records of one client, by name: what is put into the landing folder.

lost: how many rows it adds to rejected_events and rejected_records. rows: how many are to be read, those included.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.poison.lines import CANARY, GOOD, RECEIVED, event, record
from tests.poison.variants import variants

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Kind:
    """One kind of poison. path: below the landing folder. made: how what is no file comes to be in the place of one."""

    path: str
    content: bytes
    lost: int
    rows: int
    made: Callable[[Path], object] | None = None

    def put(self, landing: Path) -> None:
        """Leaves it in a landing folder."""
        path = landing / self.path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.made(path) if self.made else path.write_bytes(self.content)

    def mend(self, landing: Path) -> None:
        """Takes it out again: a file is left empty, which is a change too."""
        path = landing / self.path
        if self.made or path.suffix == ".gz":
            path.unlink()
        else:
            path.write_bytes(b"")


def kinds() -> dict[str, Kind]:
    """All of them, by name."""
    found: dict[str, Kind] = {}

    def add(
        name: str, content: bytes, lost: int = 1, path: str = "sendgrid/poison.ndjson", rows: int | None = None
    ) -> None:
        number = f"poison-{len(found):02}"  # nothing is a retry of another
        own = content.replace(b'"sg_event_id": "poison"', f'"sg_event_id": "{number}"'.encode())
        own = own.replace(b'"sg_message_id": "poison.1"', f'"sg_message_id": "{number}.1"'.encode())
        if rows is None:
            lines = path.removesuffix("" if lost else ".gz").endswith((".ndjson", ".jsonl"))
            text = gzip.decompress(content) if path.endswith(".gz") and not lost else content
            rows = sum(bool(line.strip(b" \t\r")) for line in text.split(b"\n")) if lines else lost
        found[name] = Kind(path.replace("poison", number), own, lost, rows)

    good, good_line = event(), event().rstrip(b"\n")
    # Addresses
    for address in (
        "a b@example.com", "a@b@example.com", "@example.com", "nobody", "a@example", "a@.example.com",
        "a..b@example.com", ".a@example.com", "a.@example.com", "a@-example.com", "a@example-.com", "<a@example.com",
        "a@exa\tmple.com", "a,b@example.com", "a@[192.0.2.1]", "x" * 65 + "@example.com", "a@" + "x" * 260 + ".com",
        "a@example.1com", "", "   ", None, 5, {"a": 1},
    ):  # fmt: skip
        add(f"address {str(address)[:20]!r}", event(email=address))
    # Fields
    add("no namespace", event(namespace=...))
    add("unknown namespace", event(namespace="poisoned"))
    add("namespace of another type", event(namespace=["acme_outdoor"]))
    add("no event", event(event=...))
    add("unknown event", event(event="surprise"))
    add("unknown run", event(campaign_run_id="run-none"))
    add("no run", event(campaign_run_id=...))
    add("no nqe", event(nqe=...))
    # Times
    for time in (
        "0001-01-01T10:00:00Z",
        "1969-12-31T23:59:59Z",
        "9999-12-31T00:00:00Z",
        "infinity",
        "soon",
        "",
        None,
        17,
        {},
    ):
        add(f"received at {time!r}", event(received=time))
    # Lines
    add("no JSON", b"not JSON\n")
    add("no object", b'["no", "object"]\n')
    add("half a line", good[:150] + b"\n")
    add("a comma too many", good_line[:-2] + b",}}\n")
    add("NaN", good.replace(b"1793700000", b"NaN"))
    add("Infinity", good.replace(b"1793700000", b"-Infinity"))
    add("NUL escaped", event(useragent="a\0b"))
    add("half a character", good.replace(b"poisonnqe", b"poison\\ud83d"))
    add("half a character, the other", good.replace(b"poisonnqe", b"poison\\ude00"))
    add("bytes that are no UTF-8", good.replace(b"poisonnqe", b"poison\xff\xfe"))
    add("a text of Latin-1", good.replace(b"poisonnqe", "Müller".encode("latin-1")))
    add("UTF-16", json.dumps({"received_at": RECEIVED, "payload": GOOD}).encode("utf-16"), 1)
    add("payload of text", json.dumps({"received_at": RECEIVED, "payload": "text"}).encode() + b"\n")
    add("payload that is missing", json.dumps({"received_at": RECEIVED}).encode() + b"\n")
    add("an array with what is no object", json.dumps({"received_at": RECEIVED, "payload": [5]}).encode() + b"\n")
    # Files
    packed, gz = gzip.compress(good), "sendgrid/poison.ndjson.gz"
    add("gzip that is cut", packed[:-9], path=gz)
    add("gzip that is empty", b"", path=gz)
    add("no gzip", good, path=gz)
    add("gzip of another checksum", packed[:-8] + b"\0\0\0\0" + packed[-4:], path=gz)
    add("gzip that is padded", packed + b"\0" * 64, path=gz)
    add("gzip and then something", packed + b"more", path=gz)
    add("post that is cut", b'[{"email": "' + CANARY.encode(), path="sendgrid/posts/20261103T121500Z-poison.json")
    add("post without a time", b"[" + json.dumps(GOOD).encode() + b"]", path="sendgrid/posts/poison.json")
    add("a file that nothing reads", good, 0, path="sendgrid/poison.NDJSON")
    add("a file of nothing", b"", 0)
    add("a file of line ends", b"\n\r\n\n", 0)
    add("a line that is too long", b"x" * (33 << 20) + b"\n")
    # Records of the platform, of shops, of scores
    now = "2026-11-03T12:00:00Z"
    for entity, fields in {
        "journeys": {"journey_id": "poison"}, "campaigns": {"campaign_id": 9, "campaign_name": "x"},
        "campaign_runs": {"campaign_run_id": "poison"}, "audiences": {"audience_id": "poison"},
        "customers": {"customer_id": "poison"}, "entitlements": {},
    }.items():  # fmt: skip
        add(f"{entity} without what they need", record(**fields), path=f"platform/{entity}/poison.ndjson")
        add(f"{entity} that are no JSON", b'{"namespace": "acme_outdoor", \n', path=f"platform/{entity}/poison.ndjson")
    add("order without an amount", record(order_id="poison", ordered_at=now, updated_at=now, total="$5"),
        path="commerce/orders/poison.ndjson")  # fmt: skip
    add("order without a time", record(order_id="poison", total=5), path="commerce/orders/poison.ndjson")
    add("order that is no JSON", b"{", path="commerce/orders/poison.ndjson")
    for half in ('{"a":}', '{"product_id": "p', '["'):
        for entity, fields in {
            "orders": {"order_id": "half", "ordered_at": now, "status": "placed", "total": 5, "lines": [half]},
            "sessions": {"session_id": "half", "started_at": now, "views": [half]},
            "products": {"product_id": "half", "attributes": half},
        }.items():
            text = record(customer_id="half", updated_at=now, **fields)
            add(f"{entity} that hold {half}", text, 0, path=f"commerce/{entity}/poison.ndjson")
        text = record(customer_id="half", email=CANARY, updated_at=now, attributes=half, phones=half)
        add(f"customers that hold {half}", text, 0, path="platform/customers/poison.ndjson")
    add("score of nobody", record(customer_id="nobody", score="pclv", raw_score=1, computed_at=now),
        path="data_science/scores/poison.ndjson")  # fmt: skip
    add("halt without a time", record(halt_id="poison", email=CANARY), path="platform/halts/poison.ndjson")
    add("unsubscribe that is no JSON", b"[1]\n", path="platform/unsubscribes/poison.ndjson")
    for name, content, lost, path in variants():
        add(name, content, lost, path)
    for name, made in {
        "pipe": os.mkfifo,
        "socket": _socket,
        "link to nothing": lambda path: path.symlink_to("nothing"),
        "link to itself": lambda path: path.symlink_to(path.name),
        "link to another's file": lambda path: path.symlink_to("2026-11-03.ndjson"),
        "link to a folder": lambda path: path.symlink_to(".."),
    }.items():
        number = f"poison-{len(found):02}"
        found[f"{name} in the place of a file"] = Kind(f"sendgrid/{number}.ndjson", b"", 1, 1, made)
    return found


def _socket(path: Path) -> None:
    """Bound from its own folder: the path of a socket may have 107 bytes only."""
    with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(path.parent):
        bound.bind(path.name)

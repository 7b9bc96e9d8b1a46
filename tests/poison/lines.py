"""Lines of which kinds of poison are made: one client's event that is as it should be, and records of that client."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CANARY = "canary.of.poison@example.com"
RECEIVED = "2026-11-03T12:00:00Z"
GOOD = {
    "email": CANARY, "timestamp": 1793700000, "event": "open", "sg_event_id": "poison", "sg_message_id": "poison.1",
    "nqe": "poisonnqe", "namespace": "acme_outdoor", "campaign_id": "1101", "campaign_run_id": "run-110103",
    "audience_id": "101", "variant_id": "A",
}  # fmt: skip
# An event of the other client.
OTHERS: dict[str, Any] = next(
    line["payload"]
    for line in map(json.loads, (ROOT / "landing" / "sendgrid" / "2026-11-03.ndjson").open(encoding="utf-8"))
    if line["payload"]["namespace"] == "brightside_beauty" and line["payload"]["event"] == "open"
)


def event(received: Any = RECEIVED, **fields: Any) -> bytes:
    """A line of SendGrid's events; a field that is ... is left out."""
    payload = {key: value for key, value in (GOOD | fields).items() if value is not ...}
    return json.dumps({"received_at": received, "payload": payload}).encode() + b"\n"


def record(**fields: Any) -> bytes:
    """A line of an entity of the platform, a shop or the scores."""
    return json.dumps({"namespace": "acme_outdoor"} | fields).encode() + b"\n"


def with_head(content: bytes, flag: int) -> bytes:
    """A gzip whose head has more than it needs, as that flag says."""
    head = gzip.compress(b"", mtime=0)[:3] + bytes([flag]) + b"\0" * 5 + b"\xff"
    fields = {2: (zlib.crc32(head) & 0xFFFF).to_bytes(2, "little"), 4: b"\2\0xx", 8: b"name\0", 16: b"of whom\0"}
    return head + fields.get(flag, b"") + gzip.compress(content, mtime=0)[10:]

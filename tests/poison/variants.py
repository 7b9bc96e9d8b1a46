"""More of the same kinds: times, numbers, texts, ids and names of files that one reader takes and another does not.

Each is name, content, how many rows are rejected, and a path.
"""

from __future__ import annotations

import gzip
import json
import os
from itertools import chain
from typing import TYPE_CHECKING

from tests.poison.lines import GOOD, OTHERS, RECEIVED, event, record, with_head

if TYPE_CHECKING:
    from collections.abc import Iterator

Variant = tuple[str, bytes, int, str]
EVENTS, RUNS, ORDERS = "sendgrid/poison.ndjson", "platform/campaign_runs/poison.ndjson", "commerce/orders/poison.ndjson"
NAMESPACES, SCORES = "platform/namespaces/poison.ndjson", "data_science/scores/poison.ndjson"
# What DuckDB takes for a time, and no other engine.
NO_TIMES = ("infinity", "-infinity", "290000-01-01", "2026-11-03 (BC)")


def variants() -> Iterator[Variant]:
    """All of them."""
    return chain(_times(), _numbers(), _addresses(), _lines(), _ids(), _names(), _packed())


def _times() -> Iterator[Variant]:
    for time in (*NO_TIMES, "2026-11-03T24:00:00Z", "2026-11-03T12:00:60Z", "0000-01-01T00:00:00Z", "epoch", "now",
                 "2026-02-30T00:00:00Z", "2026-11-03T12:00:00+99:00", "today"):  # fmt: skip
        yield f"received at {time!r}, too", event(time), 1, EVENTS
    run = {
        "campaign_run_id": "poison", "campaign_id": "1101", "campaign_name": "x", "subject_line": "x",
        "campaign_classification": "Batch", "campaign_run_time": RECEIVED, "updated_at": RECEIVED,
    }  # fmt: skip
    for time in NO_TIMES:
        yield f"run at {time!r}", record(**run | {"campaign_run_time": time}), 0, RUNS
        yield f"run as new as {time!r}", record(**run | {"updated_at": time}), 1, RUNS
        order = {"order_id": "far", "customer_id": "far", "updated_at": RECEIVED, "total": 5}
        yield f"order of {time!r}", record(ordered_at=time, **order), 1, ORDERS
        yield f"happened at {time!r}", event(timestamp=time), 0, EVENTS
    for year in ("0001", "9999"):
        yield f"order of {year}", record(ordered_at=f"{year}-01-01T00:00:00Z", **order), 1, ORDERS
        yield f"run of {year}", record(**run | {"campaign_run_time": f"{year}-01-01T00:00:00Z"}), 0, RUNS


def _numbers() -> Iterator[Variant]:
    for number in (1e30, -5, 1e308, "1e400", "NaN", True, "\u0663", "17937000000000"):
        yield f"happened at {number!r}", event(timestamp=number), 0, EVENTS
    for number in ("99999999999999999999", "1e5", "1101.0", 1e300, -1, True, ["1101"]):
        yield f"campaign {number!r}", event(campaign_id=number), 0, EVENTS
    settings = {"name": "Acme", "updated_at": "2020-01-01T00:00:00Z", "default_country": "US"}
    for number in (10**17, -(10**17), "999999999999999999", 0, 25, 1e300):
        limits = {"attribution_hours": number, "soft_bounce_limit": number}
        yield f"limits of {number!r}", record(**limits, **settings), 0, NAMESPACES
        newest = settings | {"updated_at": "2026-11-05T00:00:00Z"}
        yield f"limits of {number!r}, the newest", record(**limits, **newest), 0, NAMESPACES
    amounts = {"-0": 0, "99999999999999": 0, "0." + "3" * 20: 0, "9" * 400: 1, "1e5": 1, "\u0663": 1}
    order = {"order_id": "poison", "customer_id": "x", "ordered_at": RECEIVED, "updated_at": RECEIVED}
    for amount, lost in {**amounts, 1e308: 1, True: 1}.items():
        lines = [{"product_id": "p", "quantity": amount, "price": amount}]
        yield f"order over {str(amount)[:30]}", record(total=amount, lines=lines, **order), lost, ORDERS
    for score in ("NaN", "Infinity", 1e308, "1e400", "x", True, [1]):
        of = {"customer_id": "nobody", "score": "pclv", "computed_at": RECEIVED}
        yield f"score {score!r}", record(raw_score=score, **of), 1, SCORES


def _addresses() -> Iterator[Variant]:
    for address in (
        "a\u200bb@example.com", "a\u00a0b@example.com", "a@example.com, b@example.com", "\u202ea@example.com",
        "mailto:a@example.com", '"a b"@example.com', "a@example.com.", "a\u2028@example.com", "a\uff20example.com",
        "a\u0085b@example.com", "a;b@example.com", True, 1.5, ["a@example.com"],
    ):  # fmt: skip
        yield f"address {address!r}, too", event(email=address), 1, EVENTS


def _lines() -> Iterator[Variant]:
    good = event()
    line = good.rstrip(b"\n")
    for byte in (0, 1, 11, 12, 26, 31, 127):
        text = good.replace(b"poisonnqe", b"poison" + bytes([byte]) + b"nqe")
        yield f"byte {byte} in a text", text, int(byte != 127), EVENTS
    yield "lines of all other ends", line + "\u2028".encode() + b"\x0b" + line + b"\n", 1, EVENTS
    yield "blanks around a line", b" \t" + line + b" \t\n", 0, EVENTS
    for word in ("nan", "NAN", "inf", "-Inf", "INFINITY"):
        yield f"the number {word}", good.replace(b"1793700000", word.encode()), 1, EVENTS
    for depth in (5000, 200_000):
        yield f"{depth} arrays", line[:-2] + b',"a":' + b"[" * depth + b"]" * depth + b"}}\n", 0, EVENTS
    for byte in (0, 1, 31):
        yield f"byte {byte} and more behind a line", line + bytes([byte]) + b"more\n", 1, EVENTS
    for text in ("\\x01", "a\\x01", "\\u0001", "\\\\x01"):
        yield f"the text {text}", event(useragent=text, nqe=text), 0, EVENTS
    yield "a text of 2 MB", event(useragent="x" * (2 << 20)), 0, EVENTS
    yield "a long text", event(useragent="x" * (31 << 20)), 0, EVENTS
    yield "many names", event(**{f"name {number}": number for number in range(20_000)}), 0, EVENTS


def _packed() -> Iterator[Variant]:
    """Gzips that one reader takes and another does not."""
    good, packed = event(), "sendgrid/poison.ndjson.gz"
    two = event(sg_event_id="poison-2", sg_message_id="poison-2.1")
    for flag, what in {1: "a word", 2: "a checksum", 4: "fields", 8: "a name", 16: "a comment"}.items():
        yield f"gzip whose head has {what}", with_head(good, flag), 0, packed
    yield "gzip whose head has what nobody knows", with_head(good, 32), 1, packed
    yield "gzip whose second head has a comment", gzip.compress(good) + with_head(two, 16), 0, packed
    yield "gzip of a gzip", gzip.compress(gzip.compress(b"", mtime=0), mtime=0), 1, packed
    yield "gzip that is a bomb", gzip.compress(b"\n" * (1 << 20)) * 1025, 1, packed


def _ids() -> Iterator[Variant]:
    """What says that it is another client's: it is not."""
    for name in ("sg_event_id", "sg_message_id", "smtp-id"):
        yield f"another client's {name}", event(**{name: OTHERS[name]}), 0, EVENTS
    names = (record(journey_id="poison", journey_name=name, updated_at=RECEIVED) for name in "abc")
    yield "three names of one journey at once", b"".join(names), 0, "platform/journeys/poison.ndjson"
    theirs = {"received_at": RECEIVED, "payload": OTHERS | {"namespace": GOOD["namespace"]}}
    yield "another client's event", json.dumps(theirs).encode() + b"\n", 1, EVENTS


def _names() -> Iterator[Variant]:
    for name in ("it's", "a\nb", "100%", "a b", "{{ x }}", "$(x)", "[a]*", "ü", "back\\slash", "a;b", '"',
                 "*", "?", "{a,b}", "#", "-dash", " blank", "~", "a\rb", "\x01", "\u202e", "\U0001f4e7", "x" * 230,
                 os.fsdecode(b"\xff\xfe"), "\\xff\\xfe", "folder.jsonl.gz/in", "line=5/in", "filename=a/in",
                 "day=2026-11-03/in"):  # fmt: skip
        yield f"a file called {name!r}", event(), 0, f"sendgrid/{name}-poison.ndjson"

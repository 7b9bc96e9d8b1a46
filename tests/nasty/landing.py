"""Raw rows that are odd in every way that was seen, or thought of, put beside the sample in a landing folder.

Two clients of the sample, and one whose settings are odd.
"""

from __future__ import annotations

from base64 import b64encode
from codecs import BOM_UTF8
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.nasty.odd_records import odd_records
from tests.nasty.odd_texts import BOUNCES, DAY, FIELDS, LATER, RECEIVED, as_json
from tests.poison.kinds import kinds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST = 1 << 13  # bytes of one kind of poison; longer ones are so long or deep that engines differ (decision 0058)
ACME = {"namespace": "acme_outdoor", "nqe": "acme", "campaign_run_id": "run-110103", "audience_id": "101"}
BRIGHTSIDE = {
    "namespace": "brightside_beauty",
    "nqe": "brightside",
    "campaign_run_id": "run-220103",
    "audience_id": "201",
}


def put_odd_rows(landing: Path) -> int:
    """Writes them into a landing folder that holds the sample; how many."""
    files = {"sendgrid/odd.ndjson": [*_events(), *_messages(), *_times()]} | odd_records()
    for name, lines in files.items():
        (landing / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    returns = [_line(BRIGHTSIDE, sg_event_id=f"returns-{number}", nqe=f"r{number}") for number in range(3)]
    (landing / "sendgrid/odd-marked.ndjson").write_bytes(BOM_UTF8 + "\r\n".join([*returns, "no JSON", ""]).encode())
    (landing / "sendgrid/odd-lone.ndjson").write_bytes(
        "\r".join(_line(ACME, sg_event_id=f"lone-{one}") for one in "ab").encode()
    )
    # Names that are told otherwise than they are, and what is no file, are for `make poison`.
    poison = [
        kind
        for kind in kinds().values()
        if len(kind.content) < LARGEST and kind.path.isprintable() and "\\" not in kind.path and not kind.made
    ]
    for kind in poison:
        (landing / kind.path).parent.mkdir(parents=True, exist_ok=True)
        (landing / kind.path).write_bytes(kind.content)
    return sum(map(len, files.values())) + len(returns) + 2 + len(poison)


def _line(of: dict[str, Any], received: Any = f"{DAY}T12:00:00Z", **fields: Any) -> str:
    """An event of a client."""
    event = {"email": "odd@example.com", "event": "open", "timestamp": 1793700000} | of | fields
    return as_json(received_at=received, payload=as_json(**event).encode())


def _events() -> Iterator[str]:
    numbers = count()
    for field, texts in FIELDS.items():
        for text in texts:
            number = next(numbers)
            own = {"sg_event_id": f"odd-{number}", "sg_message_id": f"odd-{number}.1", "nqe": f"odd-{number}"}
            own["event"] = "click" if field == "useragent" and number % 2 else "open"
            yield _line((ACME, BRIGHTSIDE)[number % 2], **own | {field: text.encode()})
    for number, said in enumerate(BOUNCES):
        own = {"sg_event_id": f"bounce-{number}", "nqe": f"bounce-{number}", "email": f"bounce{number}@example.com"}
        yield _line(BRIGHTSIDE, event=("bounce", " Bounce\t")[number % 2], **own, **said)
    # Names: in another case, twice in an object below, written with an escape.
    yield _line(ACME, sg_event_id="names-1", Namespace="brightside_beauty", EMAIL="other@example.com")
    yield _line(ACME, sg_event_id="names-2", pool=b'{"a": 1, "b": {"a": 1, "a": 2}}')
    yield _line(ACME, sg_event_id="names-3", category=b'"x", "n\\u0061mespace": "brightside_beauty"')
    yield _line(ACME, sg_event_id="names-4", **{"a b": 1, "": 2, "ключ": 3, "x.y": {"namespace": "n"}})
    # Blanks around a client's name; who leaves one group, or all, and comes back to one.
    yield _line(ACME, sg_event_id="names-5", nqe="names-5", namespace="\u00a0acme_outdoor ")
    # A name that no index takes, as it cannot be made shorter.
    long = b64encode(b"".join(sha256(bytes([one])).digest() for one in range(99))).decode()
    yield _line(ACME, sg_event_id="names-6", namespace=long)
    for number, (left, back) in enumerate((("5", 5), (5, "6"), (None, 5), (" 5 ", "5"))):
        own = {"email": f"group{number}@example.com", "nqe": f"group-{number}", "sg_message_id": f"group-{number}"}
        gone = {"event": "group_unsubscribe", "asm_group_id": left} if left else {"event": "unsubscribe"}
        yield _line(BRIGHTSIDE, sg_event_id=f"gone-{number}", **own | gone)
        later = {"event": "group_resubscribe", "asm_group_id": back, "timestamp": 1793700060}
        yield _line(BRIGHTSIDE, sg_event_id=f"back-{number}", **own | later)
    for group in (5, 6):  # in one second, of one message
        own = {"email": "both@example.com", "nqe": "both", "sg_message_id": "both", "asm_group_id": group}
        yield _line(BRIGHTSIDE, sg_event_id=f"both-{group}", event="group_unsubscribe", **own)
        yield _line(BRIGHTSIDE, event="group_unsubscribe", **own | {"sg_message_id": "both without an id"})
    # People who unsubscribe, though the event cannot be exported.
    left = {"campaign_run_id": "run-none"}, {"nqe": ""}, {"campaign_run_id": None}, {"event": "SpamReport"}
    for number, wrong in enumerate(left):
        own = {"sg_event_id": f"left-{number}", "email": f"left{number}@example.com", "event": "unsubscribe"}
        yield _line(BRIGHTSIDE, **own | wrong)


def _messages() -> Iterator[str]:
    """Bounces that do not say whose they are, and the same event under another id."""
    ids = {"sg_message_id": "late{}.recvd"}, {"smtp-id": "<late{}>"}, {"sg_message_id": "late{}", "smtp-id": ""}
    for number, told in enumerate(ids):
        message = {name: text.format(number) for name, text in told.items()}
        own = {"email": f"Late{number}@example.com", **message}
        nothing = dict.fromkeys(("namespace", "campaign_run_id", "audience_id", "nqe"))
        yield _line(BRIGHTSIDE, event="delivered", sg_event_id=f"told-{number}", nqe=f"late{number}", **own)
        yield _line(nothing, f"{DAY}T18:00:00Z", event="bounce", type="bounce", sg_event_id=f"silent-{number}", **own)
    for number in range(2):  # claimed by two clients: nobody's
        own = {"sg_event_id": f"claim-{number}", "sg_message_id": "claimed.1"}
        yield _line((ACME, BRIGHTSIDE)[number], event="delivered", **own)
    nobody = {"namespace": "", "campaign_run_id": "", "nqe": ""}
    yield _line(nobody, event="bounce", sg_event_id="claimed", sg_message_id="claimed.2", email="odd@example.com")
    same = {"event": "click", "url": "https://shop.example.com/r", "sg_message_id": "again.1", "nqe": "again"}
    again = "2026-11-01T23:59:59Z", "2026-11-02T00:04:00Z", f"{DAY}T00:00:00Z", "2026-11-07T00:00:00Z"
    for number, day in enumerate(again):
        yield _line(ACME, day, sg_event_id=f"again-{number}", **same)
    yield _line(ACME, LATER, sg_event_id="again-0", **same | {"sg_message_id": "other.1"})
    for number in range(40):  # one post that holds an event many times, in rows that nothing tells apart
        event = {
            "email": "odd@example.com",
            "timestamp": 1793700000,
            **ACME,
            **same,
            "url": f"https://shop.example.com/{number}",
        }
        yield as_json(received_at=f"{DAY}T12:00:00Z", payload=[event | {"sg_event_id": f"many-{number}"}] * 20)


def _times() -> Iterator[str]:
    for number, received in enumerate(RECEIVED):
        yield _line(BRIGHTSIDE, received.encode(), sg_event_id=f"received-{number}", nqe=f"received-{number}")
    # Who unsubscribes, and nobody can say when.
    for number, received in enumerate(('"soon"', "null", '"9999-01-01T00:00:00Z"', '"0001-01-01T00:00:00Z"')):
        own = {"email": f"untimed{number}@example.com", "event": "unsubscribe", "nqe": f"untimed-{number}"}
        yield _line(BRIGHTSIDE, received.encode(), sg_event_id=f"untimed-{number // 2}", **own)

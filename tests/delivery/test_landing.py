"""The sample holds what landing/README.md says it holds, on the lines that it names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from raw_data import Row, events_of, lines_of, platform_of, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLE = Path(__file__).parents[2] / "landing"
TABLE = re.findall(r"^\| (.+) \| `(.+)` \| (.+) \|$", (SAMPLE / "README.md").read_text("utf-8"), re.MULTILINE)
PHONE_TABLET_DESKTOP = ["iPhone", "Android 15", "iPad", "Android 14", "Windows", "Macintosh"]


def payloads(lines: list[Row]) -> list[Any]:
    return [line["payload"] for line in lines]


def days(lines: list[Row]) -> list[str]:
    return [line["received_at"][8:10] for line in lines]


def kinds(lines: list[Row]) -> list[str]:
    return [payload["event"] for payload in payloads(lines)]


def values(lines: list[Row], name: str) -> list[Any]:
    return [line.get("payload", line).get(name) for line in lines]


def without_time(lines: list[Row]) -> set[str]:
    """The different rows, apart from when they were received."""
    return {json.dumps({**line, "received_at": ""}) for line in lines}


def chars(lines: list[Row]) -> str:
    return "".join(line["campaign_name"] + line["subject_line"] for line in lines)


CASES: dict[str, Callable[[list[Row]], bool]] = {
    "the same event posted twice": lambda x: len(without_time(x)) == 1 and days(x) == ["01", "01"],
    "the same event again after midnight": lambda x: (
        len(without_time(x)) == 3 and days(x) == ["02", "03", "03", "04", "04", "03", "04"]
    ),
    "the same again after midnight, without an id": lambda x: len(without_time(x)) == 1 and days(x) == ["02", "03"],
    "out of order: click, open, delivered, processed": lambda x: (
        kinds(x) == ["click", "open", "delivered", "processed"]
    ),
    "`category` a string": lambda x: isinstance(x[0]["payload"]["category"], str),
    "`category` a list": lambda x: isinstance(x[0]["payload"]["category"], list),
    "`timestamp` as text": lambda x: isinstance(x[0]["payload"]["timestamp"], str),
    "`campaign_id` a number; `received_at` with a fraction": lambda x: (
        values(x, "campaign_id") == [3301] and ".250Z" in x[0]["received_at"]
    ),
    "no `sg_event_id`": lambda x: values(x, "sg_event_id") == [None] * len(x),
    "hard bounce (`bounce`), then dropped": lambda x: (
        kinds(x) == ["bounce", "dropped"] and values(x, "type") == ["bounce", None]
    ),
    "soft bounces (`blocked`), the third reaches the limit of 3": lambda x: (
        values(x, "type") == ["blocked"] * 3 and len(set(values(x, "email"))) == 1
    ),
    "soft bounces under the limit of 10": lambda x: (
        values(x, "type") == ["blocked"] * 3 and len(set(values(x, "email"))) == 1
    ),
    "deferred twice, then delivered": lambda x: kinds(x) == ["deferred", "deferred", "delivered"],
    "spam report": lambda x: kinds(x) == ["spamreport"],
    "unsubscribe": lambda x: set(kinds(x)) == {"unsubscribe"},
    "`group_unsubscribe`, later `group_resubscribe`": lambda x: (
        kinds(x) == ["group_unsubscribe"] * 2 + ["group_resubscribe"]
    ),
    "opened by a mail proxy (`sg_machine_open`)": lambda x: values(x, "sg_machine_open") == [True, True],
    "clicked by a bot": lambda x: all(
        re.search("[Bb]ot|LinkProtect|linkprotect|requests|Headless", agent) for agent in values(x, "useragent")
    ),
    "clicked on phone, tablet and desktop": lambda x: all(
        name in agent for name, agent in zip(PHONE_TABLET_DESKTOP, values(x, "useragent"), strict=True)
    ),
    "open without a user agent": lambda x: kinds(x) == ["open"] and values(x, "useragent") == [None],
    "account event without an email": lambda x: (
        kinds(x) == ["account_status_change"] * 2 and values(x, "email") == [None] * 2
    ),
    "unknown event type": lambda x: kinds(x) == ["amp_rendered"],
    "unknown run": lambda x: values(x, "campaign_run_id") == ["run-999901"],
    "no run": lambda x: values(x, "campaign_run_id") == [None],
    "unknown namespace": lambda x: values(x, "namespace") == ["ghost_store"],
    "no namespace": lambda x: values(x, "namespace") == [None],
    "empty email": lambda x: values(x, "email") == [""],
    "email in upper case or with spaces": lambda x: all(email != email.strip().lower() for email in values(x, "email")),
    "unknown extra fields, escaped characters": lambda x: (
        "pool" in x[0]["payload"] and "😀" in values(x, "template")[0]
    ),
    "payload is an array; an empty array": lambda x: [len(payload) for payload in payloads(x)] == [4, 0],
    "first and last moment of a day": lambda x: (
        [line["received_at"][11:] for line in x] == ["00:00:00Z", "23:59:59.999Z"]
    ),
    "whole POST body, on many lines": lambda x: (
        len(x) > 1 and all(kind in ("processed", "delivered") for kind in values(x, "event"))
    ),
    "whole POST body, gzip": lambda x: len(x) > 1,
    "campaign renamed after its first run": lambda x: (
        len(set(values(x, "campaign_id"))) == 1
        and x[0]["campaign_name"] != x[1]["campaign_name"] == x[2]["campaign_name"]
    ),
    "several audiences in one run": lambda x: all(len(audiences) > 1 for audiences in values(x, "audience_id")),
    "no tracking parameters, no journey": lambda x: (
        values(x, "tracking_parameters") == values(x, "journey_id") == [None, None]
    ),
    "unlisted classification": lambda x: values(x, "campaign_classification") == ["Lifecycle"],
    "emoji, quotes, commas and pipes in names": lambda x: all(sign in chars(x) for sign in '✨",|'),
    "newlines in names": lambda x: "\n" in x[0]["campaign_name"] and "\n" in x[0]["subject_line"],
    "formula, leading tab, backslash in subjects": lambda x: (
        [sign in line["subject_line"] for sign, line in zip("=\t\\", x, strict=True)] == [True] * 3
    ),
    "no soft bounce limit: the default": lambda x: "soft_bounce_limit" not in x[0],
    "halt sent again after midnight": lambda x: len(without_time(x)) == 1 and days(x) == ["03", "04"],
    "halt without an email; of an unknown run": lambda x: (
        [x[0]["email"], x[1]["campaign_run_id"]] == [None, "run-999902"]
    ),
    "unlisted unsubscribe source": lambda x: values(x, "source") == ["Preference Centre"],
    "unsubscribe sent again after midnight": lambda x: len(without_time(x)) == 1 and days(x) == ["03", "04"],
    "unsubscribe without an email; of an unknown namespace": lambda x: (
        [x[0]["email"], x[1]["namespace"]] == [None, "ghost_store"]
    ),
}


CASES |= {
    "customer posted twice": lambda x: x[0] == x[1],
    "customer's older version after the newer": lambda x: (
        len(set(values(x, "customer_id"))) == 1 and x[0]["updated_at"] > x[1]["updated_at"]
    ),
    "customer's email in upper case with spaces": lambda x: x[0]["email"] != x[0]["email"].strip().lower(),
    "phone in national format": lambda x: all(phone[0] in "(0" for phone in values(x, "phone")),
    "phone with 00 for the plus; with (0)": lambda x: x[0]["phone"].startswith("0044") and "(0)" in x[1]["phone"],
    "several phones, the first impossible, one with no-break spaces": lambda x: (
        len(x[0]["phones"]) == 3 and len(x[0]["phones"][0]) < 11 and "\u00a0" in x[0]["phones"][1]
    ),
    "phone too short": lambda x: values(x, "phone") == ["555-0199"],
    "phone that is words": lambda x: x[0]["phone"].replace(" ", "").isalpha(),
    "address with two @; without one": lambda x: [email.count("@") for email in values(x, "email")] == [2, 0],
    "customer with neither address nor phone": lambda x: x[0]["email"] is None and not x[0]["phone"].strip(),
    "customer of an unknown namespace": lambda x: values(x, "namespace") == ["ghost_store"],
    "customer without an id": lambda x: values(x, "customer_id") == [None],
    "attributes of another type": lambda x: x[0]["attributes"]["birthday_day"] == "thirty",
    "attribute that only another client declared": lambda x: (
        x[0]["namespace"] == "acme_outdoor" and "skin_type" in x[0]["attributes"]
    ),
    "phone of an unknown country": lambda x: x[0]["phone"].startswith("+999"),
    "two customers with one address; a day that does not exist": lambda x: (
        len(set(values(x, "email"))) == 1 and x[1]["attributes"]["member_since"] == "2026-02-30"
    ),
    "product's newer version after the first, and an older one after that": lambda x: (
        len(set(values(x, "product_id"))) == 1 and sorted(values(x, "updated_at"))[2] == x[1]["updated_at"]
    ),
    "price that is a word": lambda x: x[0]["attributes"]["price"] == "twelve",
    "product without attributes": lambda x: values(x, "attributes") == [None],
    "product of an unknown namespace; without an id": lambda x: (
        x[0]["namespace"] == "ghost_store" and "product_id" not in x[1]
    ),
    "order posted twice": lambda x: x[0] == x[1],
    "order cancelled later": lambda x: len(set(values(x, "order_id"))) == 1 and x[1]["status"] == "cancelled",
    "two orders on one day": lambda x: (
        len(set(values(x, "customer_id"))) == 1 == len({at[:10] for at in values(x, "ordered_at")})
    ),
    "order without customer, with an address": lambda x: x[0]["customer_id"] is None and "@" in x[0]["email"],
    "order with neither; with an address of two customers": lambda x: (
        values(x, "customer_id") == [None, None] and values(x, "email") == [None, "gus.thorn@example.com"]
    ),
    "order of an unknown namespace": lambda x: values(x, "namespace") == ["ghost_store"],
    "order of a product that is not in the catalogue": lambda x: x[0]["lines"][0]["product_id"] == "relic-9",
    "order with no lines; without a list of lines": lambda x: values(x, "lines") == [[], None],
    "order without a time": lambda x: "ordered_at" not in x[0],
    "order of an unknown customer": lambda x: values(x, "customer_id") == ["cus-9999"],
    "order at the last second of the attribution window after a click; one second later": lambda x: (
        values(x, "ordered_at")
        == ["2026-11-08T12:30:00Z", "2026-11-05T09:32:01Z", "2026-11-08T15:30:01Z", "2026-11-05T19:50:24Z"]
    ),
    "order after a click, cancelled": lambda x: values(x, "status") == ["cancelled"],
    "session of nobody known": lambda x: values(x, "customer_id") == [None],
    "session without views": lambda x: values(x, "views") == [[]],
    "view of a product that is not in the catalogue": lambda x: x[0]["views"][0]["product_id"] == "gone-7",
    "session posted twice": lambda x: x[0] == x[1],
    "session of an unknown namespace": lambda x: values(x, "namespace") == ["ghost_store"],
    "view without a time": lambda x: "viewed_at" not in x[0]["views"][0],
    "three equal scores": lambda x: values(x, "score") == [0.5] * 3 and len(set(values(x, "model"))) == 1,
    "score computed earlier and landed later": lambda x: (
        len({(row["customer_id"], row["model"]) for row in x}) == 1 and x[1]["computed_at"] < x[0]["computed_at"]
    ),
    "score of an unknown customer; of an unknown name": lambda x: (
        [x[0]["customer_id"], x[1]["model"]] == ["cus-9998", "shoe_love"]
    ),
    "score that is no number; of an unknown namespace": lambda x: (
        [x[0]["score"], x[1]["namespace"]] == ["n/a", "ghost_store"]
    ),
    "score written with an exponent": lambda x: 0 < x[0]["score"] < 0.0001,
}


def named_lines(file: str, lines: str) -> list[Row]:
    """The rows that a line of the README's table names."""
    path = SAMPLE / file
    if lines == "all":
        return json.loads(text_of(path))
    rows = lines_of(path)
    ends = [[int(end) for end in part.split("-")] for part in lines.split(", ")]
    return [rows[number - 1] for end in ends for number in range(end[0], end[-1] + 1)]


@pytest.mark.parametrize(("name", "file", "lines"), TABLE, ids=[row[0] for row in TABLE])
def test_readme_names_the_lines(name: str, file: str, lines: str) -> None:
    assert CASES[name](named_lines(file, lines))


def test_readme_names_every_case() -> None:
    assert [row[0] for row in TABLE] == list(CASES)


def test_the_sample_is_small_and_of_four_days() -> None:
    events = events_of(SAMPLE)
    assert 300 < len(events) < 500
    assert {event.day for event in events} == {f"2026-11-0{day}" for day in range(1, 5)}
    assert len(text_of(SAMPLE / "sendgrid/posts/20261101T091910Z.json").splitlines()) > 50


def test_every_source_of_unsubscribes_with_and_without_a_run() -> None:
    rows = platform_of(SAMPLE)["unsubscribes"]
    listed = {"Manual", "List-Unsubscribe", "List-Unsubscribe-Header", "Pixel", "Spamreport", "Bounce/Bounce"}
    assert {row["source"] for row in rows} == {*listed, "Bounce/Blocked", "Email File", "Preference Centre"}
    assert {row["campaign_run_id"] is None for row in rows if row["source"] == "Pixel"} == {True, False}


def test_only_addresses_and_phones_that_belong_to_no_one() -> None:
    texts = [text_of(path) for path in SAMPLE.rglob("*") if path.suffix != ".md" and path.is_file()]
    addresses = {address.lower() for text in texts for address in re.findall(r"[\w.+-]+@[\w.-]+\w", text)}
    assert {address.split("@")[1].removeprefix("mail.") for address in addresses} == {
        "example.com",
        "example.org",
        "example.net",
    }
    customers = platform_of(SAMPLE)["customers"]
    phones = {phone for row in customers for phone in [row.get("phone"), *row.get("phones", [])] if phone}
    digits = {re.sub(r"\D", "", phone.replace("(0)", "")).lstrip("0") for phone in phones} - {""}
    reserved = ("120255501", "20255501", "447700900", "77009001", "7700900", "493023125", "3023125", "5550199", "999")
    assert all(number.startswith(reserved) for number in digits)

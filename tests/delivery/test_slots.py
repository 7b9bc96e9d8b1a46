"""Slots: which a request means, for one campaign and client among others: days, weeks, other clients and campaigns."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from builders import campaign, dataset, integration, utc, window

from delivery.config.datasets import Column
from delivery.errors import ConfigError
from delivery.schedule import jobs as jobs_module
from delivery.schedule.jobs import Job, jobs
from delivery.schedule.request import Request
from delivery.schedule.slots import days_on_record, first_due, instant, scheduled, slots, window_on_record

if TYPE_CHECKING:
    from delivery.config.campaigns import Campaign
    from delivery.ledger import Ledger
    from delivery.windows import Window

DAILY, WEEKLY, TWICE = "0 5 * * *", "0 5 * * 1", "0 6,18 * * *"
CURRENT = dataset(window=None, order_by=("email",))
CLIENT = "acme_outdoor"
NUMBERS = count()


def sent(ledger: Ledger, slot: str, days: Window | None = None, state: str = "delivered", **changes: Any) -> None:
    """One delivery on record; by the schedule, of `daily` to `acme`, where nothing else is said."""
    values = {
        "id": f"{next(NUMBERS):064}", "campaign": "daily", "integration": "acme", "namespace": CLIENT,
        "dataset": "events", "slot": f"{utc(slot):%Y-%m-%dT%H:%M:%SZ}", "revision": 0, "destination": "/share",
        "window_start": days.start.isoformat() if days else None, "window_end": days.end.isoformat() if days else None,
        "reason": None, "asked_by": "schedule",
    }  # fmt: skip
    row = ledger.plan(**values | changes)
    if state != "planned":
        ledger.advance(row.id, "planned", state)


def day(text: str) -> Window:
    """The window of one day of November."""
    return window(f"2026-11-{int(text):02}", f"2026-11-{int(text) + 1:02}")


def asked(ledger: Ledger, chosen: Campaign, at: str = "2026-11-05 06:00", **request: Any) -> list[str]:
    """What is meant: windows, or slots where there is no window."""
    found = slots(Request(at=utc(at), **request), chosen, ledger.histories(chosen.name).get(("acme", CLIENT), ()))
    return [str(days) if days else f"{slot:%Y-%m-%d %H:%M}" for slot, days in found]


def due(ledger: Ledger, chosen: Campaign, at: str = "2026-11-05 06:00") -> list[str]:
    return asked(ledger, chosen, at, due=True)


# Due, and nothing is on record


@pytest.mark.parametrize(
    ("chosen", "at", "found"),
    [
        (campaign(), "2026-11-05 05:00", ["2026-11-04"]),
        (campaign(), "2026-11-05 04:59", ["2026-11-03"]),
        (campaign(WEEKLY), "2026-11-05 06:00", ["2026-10-26..2026-11-01"]),
        (campaign(start="2026-11-06"), "2026-11-05 06:00", []),
        (campaign(end="2026-11-05"), "2026-11-05 06:00", []),
        (campaign(of=CURRENT), "2026-11-05 06:00", ["2026-11-05 05:00"]),
        (campaign(of=CURRENT, start="2026-11-06"), "2026-11-05 06:00", []),
        (campaign("once", start="2026-11-01", end="2026-11-05"), "2026-11-05 00:00", ["2026-11-01..2026-11-04"]),
        (campaign("once", start="2026-11-01", end="2026-11-06"), "2026-11-05 23:59", []),
        (campaign("once", of=CURRENT, start="2026-11-05"), "2026-11-05 00:00", ["2026-11-05 00:00"]),
        (campaign("once", of=CURRENT, start="2026-11-05"), "2026-11-04 23:59", []),
    ],
)
def test_the_first_time_only_the_last_slot_is_due(ledger: Ledger, chosen: Campaign, at: str, found: list[str]) -> None:
    assert due(ledger, chosen, at) == found


# Due, with deliveries on record


@pytest.mark.parametrize(
    ("export", "of", "found"),
    [
        ({}, None, ["2026-11-02", "2026-11-03", "2026-11-04"]),
        ({"catch_up": "last"}, None, ["2026-11-04"]),
        ({}, CURRENT, ["2026-11-03 05:00", "2026-11-04 05:00", "2026-11-05 05:00"]),
        ({"catch_up": "last"}, CURRENT, ["2026-11-05 05:00"]),
        ({"end": "2026-11-05"}, None, ["2026-11-02", "2026-11-03"]),
        ({"end": "2026-11-05", "catch_up": "last"}, None, ["2026-11-03"]),
        ({"start": "2026-11-04"}, None, ["2026-11-03", "2026-11-04"]),
        ({"end": "2026-11-04"}, CURRENT, ["2026-11-03 05:00"]),
        ({"start": "2026-11-05"}, CURRENT, ["2026-11-05 05:00"]),
    ],
)
def test_what_was_missed_since_is_due_while_the_campaign_lives(
    ledger: Ledger, export: dict[str, Any], of: Any, found: list[str]
) -> None:
    sent(ledger, "2026-11-02 05:00", None if of else day("1"))
    assert due(ledger, campaign(of=of, **export)) == found


def test_a_hole_between_what_was_sent_is_due(ledger: Ledger) -> None:
    for slot, days in (("2026-11-02 05:00", "1"), ("2026-11-04 05:00", "3"), ("2026-11-05 05:00", "4")):
        sent(ledger, slot, day(days))
    assert due(ledger, campaign()) == ["2026-11-02"]
    assert due(ledger, campaign(catch_up="last")) == [], "what was missed is not made up for"


def test_a_hole_in_a_current_state_is_not(ledger: Ledger) -> None:
    for slot in ("2026-11-02 05:00", "2026-11-04 05:00"):
        sent(ledger, slot)
    assert due(ledger, campaign(of=CURRENT)) == ["2026-11-05 05:00"]


@pytest.mark.parametrize(
    "neighbour",
    [{"campaign": "weekly"}, {"integration": "other"}, {"namespace": "cedar_books"}],
)
def test_what_another_sent_or_left_open_is_nothing_to_this_one(ledger: Ledger, neighbour: dict[str, str]) -> None:
    sent(ledger, "2026-10-01 05:00", window("2026-09-30", "2026-10-01"), **neighbour)
    sent(ledger, "2026-11-03 05:00", day("2"), **neighbour)
    sent(ledger, "2026-10-30 05:00", window("2026-10-29", "2026-10-30"), "planned", **neighbour)
    assert due(ledger, campaign()) == ["2026-11-04"], "as if nothing was on record"
    sent(ledger, "2026-11-02 05:00", day("1"))
    assert due(ledger, campaign()) == ["2026-11-02", "2026-11-03", "2026-11-04"]
    once = campaign("once", start="2026-10-01", end="2026-11-01")
    sent(ledger, "2026-11-01 00:00", window("2026-10-01", "2026-11-01"), **neighbour | {"revision": 1})
    assert due(ledger, once) == []
    assert due(ledger, replace(once, name="another")) == ["2026-10-01..2026-10-31"]


@pytest.mark.parametrize(
    ("state", "again"),
    [
        ("planned", True),
        ("spooled", True),
        ("held", False),
        ("skipped", False),
        ("cancelled", False),
        ("delivered", False),
    ],
)
def test_only_what_is_unfinished_is_due_again(ledger: Ledger, state: str, again: bool) -> None:
    sent(ledger, "2026-11-04 05:00", day("3"))
    sent(ledger, "2026-11-05 05:00", day("4"), state)
    assert due(ledger, campaign()) == (["2026-11-04"] if again else [])
    assert due(ledger, campaign(catch_up="last")) == (["2026-11-04"] if again else [])


def test_what_was_left_open_is_due_whatever_the_schedule_says_now(ledger: Ledger) -> None:
    sent(ledger, "2026-11-02 05:00", window("2026-10-26", "2026-11-02"), "spooled")
    assert due(ledger, campaign(WEEKLY)) == ["2026-10-26..2026-11-01"]
    assert due(ledger, campaign(WEEKLY, end="2026-10-01")) == ["2026-10-26..2026-11-01"]
    assert due(ledger, campaign("once", start="2026-10-01", end="2026-11-01")) == ["2026-10-26..2026-11-01"]


def test_what_the_future_left_counts_for_nothing(ledger: Ledger) -> None:
    sent(ledger, "2026-11-04 05:00", day("3"))
    sent(ledger, "2026-11-05 06:01", day("4"))
    sent(ledger, "2026-11-09 05:00", day("8"), "planned")
    assert due(ledger, campaign(), "2026-11-05 06:00") == ["2026-11-04"]
    assert due(ledger, campaign(), "2026-11-05 06:01") == []


def test_what_was_sent_by_hand_makes_nothing_older_due_and_hides_nothing(ledger: Ledger) -> None:
    sent(ledger, "2026-10-01 05:00", window("2026-09-30", "2026-10-01"), asked_by="hand")
    assert due(ledger, campaign(), "2026-10-03 06:00") == ["2026-10-01", "2026-10-02"], "since the newest"
    sent(ledger, "2026-11-02 05:00", day("1"))
    sent(ledger, "2026-11-04 05:00", day("3"), asked_by="hand")
    sent(ledger, "2026-11-05 05:00", day("4"))
    assert due(ledger, campaign()) == ["2026-11-02"]


def test_another_schedule_sends_no_day_twice_and_leaves_none_out(ledger: Ledger) -> None:
    sent(ledger, "2026-10-26 05:00", window("2026-10-19", "2026-10-26"))
    for slot, days in (("2026-10-28 05:00", ("27", "28")), ("2026-10-29 05:00", ("28", "29"))):
        sent(ledger, slot, window(f"2026-10-{days[0]}", f"2026-10-{days[1]}"))
    assert due(ledger, campaign(WEEKLY)) == ["2026-10-26..2026-11-01"], "of which five days never went"
    sent(ledger, "2026-11-02 05:00", window("2026-10-26", "2026-11-02"))
    assert due(ledger, campaign(), "2026-11-04 06:00") == ["2026-11-02", "2026-11-03"]


# Not due, but asked for


@pytest.mark.parametrize(
    ("schedule", "request_", "found"),
    [
        (DAILY, {}, ["2026-11-04"]),
        (DAILY, {"window": "yesterday"}, ["2026-11-04"]),
        (DAILY, {"start": "2026-11-02", "end": "2026-11-05"}, ["2026-11-02", "2026-11-03", "2026-11-04"]),
        (DAILY, {"start": "2026-11-02"}, ["2026-11-04"]),
        (DAILY, {"end": "2026-11-02"}, ["2026-11-04"]),
        (WEEKLY, {}, ["2026-10-26..2026-11-01"]),
        (WEEKLY, {"window": "2026-10-25"}, ["2026-10-19..2026-10-25"]),
        (WEEKLY, {"window": "2026-10-26"}, ["2026-10-26..2026-11-01"]),
        (WEEKLY, {"start": "2026-10-19", "end": "2026-11-02"}, ["2026-10-19..2026-10-25", "2026-10-26..2026-11-01"]),
        (WEEKLY, {"start": "2026-10-20", "end": "2026-11-01"}, []),
        (TWICE, {}, ["2026-11-04"]),
    ],
)
def test_days_that_are_asked_for(ledger: Ledger, schedule: str, request_: dict[str, Any], found: list[str]) -> None:
    sent(ledger, "2026-11-05 05:00", day("4"))
    sent(ledger, "2026-11-03 05:00", day("2"), "planned")
    assert asked(ledger, campaign(schedule), **request_) == found, "whatever is on record"


def test_a_window_ends_at_midnight_in_utc(ledger: Ledger) -> None:
    for request in ({"window": "2026-11-04"}, {"start": "2026-11-04", "end": "2026-11-05"}):
        assert asked(ledger, campaign(), "2026-11-05 00:00", **request) == ["2026-11-04"]
        with pytest.raises(ConfigError, match="2026-11-04 has not ended yet: it is 2026-11-04 23:59 UTC"):
            asked(ledger, campaign(), "2026-11-04 23:59", **request)
    with pytest.raises(ConfigError, match=r"--from 2026-11-04 is not before --to 2026-11-04\."):
        asked(ledger, campaign(), start="2026-11-04", end="2026-11-04")


@pytest.mark.parametrize("request_", [{"window": "2026-11-03"}, {"start": "2026-11-01", "end": "2026-11-03"}])
def test_days_of_a_current_state_are_refused_only_where_it_is_named(ledger: Ledger, request_: dict[str, str]) -> None:
    chosen = campaign(of=CURRENT)
    assert asked(ledger, chosen, **request_) == []
    assert asked(ledger, chosen, **request_, select=("other",)) == []
    with pytest.raises(ConfigError, match="daily has no days: events is the current state"):
        asked(ledger, chosen, **request_, select=("other", "daily"))
    assert asked(ledger, chosen, select=("daily",)) == ["2026-11-05 05:00"]


@pytest.mark.parametrize(
    ("request_", "is_meant"),
    [
        ({"window": "2026-10-31"}, False),
        ({"window": "2026-11-01"}, True),
        ({"window": "2026-11-03"}, True),
        ({"window": "2026-11-04"}, False),
        ({"start": "2026-11-01", "end": "2026-11-04"}, True),
        ({"start": "2026-10-01", "end": "2026-12-01"}, True),
        ({"start": "2026-11-02", "end": "2026-11-04"}, False),
        ({"start": "2026-11-01", "end": "2026-11-03"}, False),
    ],
)
def test_a_once_campaign_is_meant_by_its_days(ledger: Ledger, request_: dict[str, str], is_meant: bool) -> None:
    once = campaign("once", start="2026-11-01", end="2026-11-04")
    assert asked(ledger, once, **request_) == (["2026-11-01..2026-11-03"] if is_meant else [])


# Of many clients


@pytest.mark.parametrize("clients", [2, 40])
def test_what_is_asked_of_each_client_is_asked_of_all_at_once(
    ledger: Ledger, queries: list[str], monkeypatch: pytest.MonkeyPatch, clients: int
) -> None:
    """Nothing is due: no more is read of 10,000 than of two, and those with the same behind them are judged once."""
    columns = tuple(Column(name, "text", "file") for name in ("namespace", "unique_key", "updated_at"))
    names = {f"c{n}": integration(namespace=f"n{n}") for n in range(clients)}
    chosen = replace(campaign(of=dataset(columns=columns)), integrations=tuple(names))
    for name, one in names.items():
        for number in (2, 3):
            own = {"integration": name, "namespace": one.namespace}
            sent(ledger, f"2026-11-{number + 1:02} 05:00", day(str(number)), **own)
    asked_of: list[Any] = []
    known = jobs_module.slots
    monkeypatch.setattr(jobs_module, "slots", lambda *given: asked_of.append(given) or known(*given))
    request = Request(at=utc("2026-11-04 06:00"), due=True)
    seen: list[list[str]] = []
    queries.clear()
    assert jobs(request, {"daily": chosen}, names, ledger) == []
    assert jobs_module.sent(request, {"daily": chosen}, names, ledger, lambda _, ended: seen.append(ended.ids)) == []
    assert [len(ids) for ids in seen] == [clients, clients], "two days"
    assert len([text for text in queries if text.startswith("SELECT")]) == 2, queries
    assert len(asked_of) == 1
    later = replace(request, at=utc("2026-11-05 06:00"))
    assert len(jobs(later, {"daily": chosen}, names, ledger)) == clients


def test_of_clients_alike_each_gets_what_is_due_to_it(ledger: Ledger) -> None:
    """One missed a day, one has none behind it, one has one under way; the two that have the same are told apart."""
    names = {f"c{n}": integration(namespace="one" if n < 2 else "other") for n in range(5)}
    chosen = replace(campaign(), integrations=tuple(names))
    for name, numbers in {"c0": (1, 2, 3), "c1": (1, 2, 3), "c2": (1, 3)}.items():
        for number in numbers:
            own = {"integration": name, "namespace": names[name].namespace}
            sent(ledger, f"2026-11-{number + 1:02} 05:00", day(str(number)), **own)
    sent(ledger, "2026-11-04 05:00", day("3"), integration="c4", namespace="other", state="planned")
    found = jobs(Request(at=utc("2026-11-04 06:00"), due=True), {"daily": chosen}, names, ledger)
    assert [(one.integration_name, str(one.window)) for one in found] == [
        ("c2", "2026-11-02"), ("c3", "2026-11-03"), ("c4", "2026-11-03"),
    ]  # fmt: skip
    found = jobs(Request(at=utc("2026-11-05 06:00"), due=True), {"daily": chosen}, names, ledger)
    assert [one.integration_name for one in found if one.window == day("4")] == list(names)


# What others ask


def test_scheduled_leaves_out_the_first_moment_and_keeps_the_last() -> None:
    def found(chosen: Campaign, after: str, until: str) -> list[tuple[str, str]]:
        return [(f"{s:%m-%d %H:%M}", str(w)) for s, w in scheduled(chosen, utc(after), utc(until))]

    days = [("11-02 05:00", "2026-11-01"), ("11-03 05:00", "2026-11-02")]
    assert found(campaign(), "2026-11-01 05:00", "2026-11-03 05:00") == days
    assert found(campaign(), "2026-11-01 05:00", "2026-11-03 04:59") == days[:1]
    assert found(campaign(start="2026-11-03"), "2026-11-01 05:00", "2026-11-03 05:00") == days[1:]
    assert found(campaign(TWICE), "2026-11-02 23:00", "2026-11-03 23:00") == [("11-03 06:00", "2026-11-02")]
    assert found(campaign(TWICE, of=CURRENT), "2026-11-02 23:00", "2026-11-03 23:00") == [
        ("11-03 06:00", "None"), ("11-03 18:00", "None"),
    ]  # fmt: skip
    once = campaign("once", start="2026-11-01", end="2026-11-04")
    assert found(once, "2026-11-03 23:59", "2026-11-04 00:00") == [("11-04 00:00", "2026-11-01..2026-11-03")]
    assert found(once, "2026-11-04 00:00", "2026-11-05 00:00") == []
    assert found(once, "2026-11-03 00:00", "2026-11-03 23:59") == []


def test_days_and_first_slot_on_record(ledger: Ledger) -> None:
    sent(ledger, "2026-11-01 05:00", window("2026-10-31", "2026-11-01"), asked_by="hand")
    assert first_due(ledger.find()) is None
    sent(ledger, "2026-11-05 05:00", window("2026-11-02", "2026-11-04"))
    sent(ledger, "2026-11-04 18:00")
    rows = ledger.find()
    assert days_on_record(rows) == {date(2026, 10, 31), date(2026, 11, 2), date(2026, 11, 3), date(2026, 11, 4)}
    assert first_due(rows) == utc("2026-11-04 18:00") == instant("2026-11-04T18:00:00Z")
    assert [window_on_record(row) for row in rows] == [
        window("2026-10-31", "2026-11-01"), None, window("2026-11-02", "2026-11-04"),
    ]  # fmt: skip


def test_a_slot_on_record_is_the_one_that_was_planned(ledger: Ledger) -> None:
    for slot, days in slots(Request(at=utc("2026-11-05 06:00")), campaign(), []):
        ledger.plan(**Job(campaign(), "acme", integration(), slot, days).record("/share", None))
    assert due(ledger, campaign()) == ["2026-11-04"], "the one that is planned, once"

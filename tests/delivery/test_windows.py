"""Days and schedules: months that end, leap days, weeks, several slots a day, times with and without a zone."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from builders import NOW, utc, window

from delivery.errors import ConfigError
from delivery.windows import (
    check_cron,
    last_slot,
    last_window,
    parse_day,
    parse_instant,
    slot_covering,
    slots_between,
    window_of,
    windows_within,
)

DAILY, WEEKLY, MONTHLY = "0 5 * * *", "0 5 * * 1", "0 5 1 * *"
TWICE = "0 6,18 * * *"


def test_a_window_knows_its_days() -> None:
    leap = window("2028-02-28", "2028-03-01")
    assert leap.days() == [date(2028, 2, 28), date(2028, 2, 29)]
    assert str(leap) == "2028-02-28..2028-02-29"
    assert str(window("2026-12-31", "2027-01-01")) == "2026-12-31"
    assert leap.end_at == utc("2028-03-01")
    assert leap.end_at.tzinfo is UTC, "or it cannot be compared with what the clock says"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-03", date(2026, 11, 3)),
        ("2028-02-29", date(2028, 2, 29)),
        ("today", date(2026, 11, 4)),
        ("yesterday", date(2026, 11, 3)),
    ],
)
def test_a_day_is_read(text: str, expected: date) -> None:
    assert parse_day(text, NOW) == expected


@pytest.mark.parametrize("text", ["2026-02-29", "2026-13-01", "tomorrow", "", "03.11.2026", "2026-11-03T00:00"])
def test_what_is_no_day_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a day"):
        parse_day(text, NOW)


@pytest.mark.parametrize("text", ["0001-01-01", "1999-12-31", "2200-01-01", "9999-12-31"])
def test_what_calendars_do_not_reach_is_said(text: str) -> None:
    for read in (lambda: parse_day(text, NOW), lambda: parse_instant(f"{text}T06:00:00Z")):
        with pytest.raises(ConfigError, match=f"{text} is too far away"):
            read()
    assert (parse_day("2000-01-01", NOW).year, parse_day("2199-12-31", NOW).year) == (2000, 2199)


def test_yesterday_is_yesterday_in_utc() -> None:
    in_berlin = datetime(2026, 11, 4, 0, 30, tzinfo=timezone(timedelta(hours=1)))
    assert parse_day("yesterday", in_berlin) == date(2026, 11, 2)


@pytest.mark.parametrize(
    "text", ["2026-11-04T06:00:00Z", "2026-11-04T06:00", "2026-11-04T08:00:00+02:00", "2026-11-03T22:00-08:00"]
)
def test_an_instant_is_utc_whatever_its_offset(text: str) -> None:
    assert parse_instant(text) == NOW


@pytest.mark.parametrize("text", ["", "now", "6:00", "2026-11-04T25:00"])
def test_what_is_no_instant_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a time"):
        parse_instant(text)


@pytest.mark.parametrize("cron", [DAILY, WEEKLY, MONTHLY, TWICE, "0 0 29 2 *", "0 5 L * *", "*/10 * * * MON-FRI"])
def test_a_schedule_is_accepted(cron: str) -> None:
    assert check_cron(cron) is None


@pytest.mark.parametrize(
    ("cron", "at", "slot"),
    [
        (DAILY, "2026-11-04 05:00:00", "2026-11-04 05:00"),
        (DAILY, "2026-11-04 05:00:59.999", "2026-11-04 05:00"),
        (DAILY, "2026-11-04 04:59:59.999", "2026-11-03 05:00"),
        (DAILY, "2027-01-01 00:00", "2026-12-31 05:00"),
        (WEEKLY, "2026-11-04 06:00", "2026-11-02 05:00"),
        (MONTHLY, "2026-12-01 04:59", "2026-11-01 05:00"),
        ("0 0 29 2 *", "2026-11-04 06:00", "2024-02-29 00:00"),
    ],
)
def test_the_last_slot(cron: str, at: str, slot: str) -> None:
    assert last_slot(cron, utc(at)) == utc(slot)


@pytest.mark.parametrize(
    ("cron", "slot", "start", "end"),
    [
        (DAILY, "2026-11-04 05:00", "2026-11-03", "2026-11-04"),
        (DAILY, "2028-03-01 05:00", "2028-02-29", "2028-03-01"),
        (DAILY, "2027-01-01 05:00", "2026-12-31", "2027-01-01"),
        (WEEKLY, "2026-11-02 05:00", "2026-10-26", "2026-11-02"),
        (MONTHLY, "2028-03-01 05:00", "2028-02-01", "2028-03-01"),
        (MONTHLY, "2027-03-01 05:00", "2027-02-01", "2027-03-01"),
        ("0 0 * * *", "2026-11-04 00:00", "2026-11-03", "2026-11-04"),
        ("59 23 * * *", "2026-11-04 23:59", "2026-11-03", "2026-11-04"),
        ("0 5 * * MON-FRI", "2026-11-02 05:00", "2026-10-30", "2026-11-02"),
        (TWICE, "2026-11-04 06:00", "2026-11-03", "2026-11-04"),
    ],
)
def test_a_slot_delivers_the_days_since_the_one_before(cron: str, slot: str, start: str, end: str) -> None:
    assert window_of(cron, utc(slot)) == window(start, end)


def test_a_second_slot_of_a_day_delivers_no_day() -> None:
    assert window_of(TWICE, utc("2026-11-04 18:00")) is None
    assert last_slot(TWICE, utc("2026-11-04 19:00")) == utc("2026-11-04 18:00")
    assert last_window(TWICE, utc("2026-11-04 19:00")) == (
        utc("2026-11-04 06:00"),
        window("2026-11-03", "2026-11-04"),
    )


@pytest.mark.parametrize("cron", [DAILY, WEEKLY, MONTHLY, TWICE, "*/10 * * * *", "0 0 * * *", "59 23 * * *"])
@pytest.mark.parametrize("day", [date(2028, 2, 28), date(2028, 2, 29), date(2026, 12, 31), date(2026, 11, 2)])
def test_every_day_is_delivered_by_one_slot(cron: str, day: date) -> None:
    slot, covering = slot_covering(cron, day)
    assert covering.start <= day < covering.end <= slot.date()
    assert window_of(cron, slot) == covering


@pytest.mark.parametrize("cron", [DAILY, WEEKLY, MONTHLY, TWICE, "0 5 * * MON-FRI", "0 5 L * *"])
def test_windows_follow_one_another_without_a_gap(cron: str) -> None:
    found = [covering for _, covering in windows_within(cron, date(2027, 12, 1), date(2028, 4, 1))]
    assert len(found) >= 3
    assert all(one.end == next_one.start for one, next_one in pairwise(found))
    assert date(2027, 12, 1) <= found[0].start
    assert found[-1].end <= date(2028, 4, 1)


def test_only_whole_windows_lie_within() -> None:
    weeks = [str(covering) for _, covering in windows_within(WEEKLY, date(2026, 10, 6), date(2026, 10, 26))]
    assert weeks == ["2026-10-12..2026-10-18", "2026-10-19..2026-10-25"]
    assert list(windows_within(MONTHLY, date(2026, 1, 2), date(2026, 2, 28))) == []


def test_slots_between_leave_out_the_first_and_keep_the_last() -> None:
    slots = slots_between(DAILY, utc("2026-11-01 05:00"), utc("2026-11-03 05:00"))
    assert slots == (utc("2026-11-02 05:00"), utc("2026-11-03 05:00"))
    assert slots_between(DAILY, utc("2026-11-03 05:00"), utc("2026-11-01 05:00")) == ()


@pytest.mark.parametrize(
    ("at", "slot", "covering"),
    [
        ("2026-11-04 05:00:00", "2026-11-04 05:00", "2026-11-03"),
        ("2026-11-04 04:59:59.9", "2026-11-03 05:00", "2026-11-02"),
    ],
)
def test_the_last_window_is_that_of_the_slot_at_or_before(at: str, slot: str, covering: str) -> None:
    found = last_window(DAILY, utc(at))
    assert (found[0], str(found[1])) == (utc(slot), covering)


@pytest.mark.parametrize(
    ("cron", "day", "slot", "covering"),
    [
        (DAILY, date(2026, 11, 3), "2026-11-04 05:00", "2026-11-03"),
        ("59 23 * * *", date(2026, 11, 3), "2026-11-04 23:59", "2026-11-03"),
        (WEEKLY, date(2026, 11, 1), "2026-11-02 05:00", "2026-10-26..2026-11-01"),
        (WEEKLY, date(2026, 11, 2), "2026-11-09 05:00", "2026-11-02..2026-11-08"),
        (TWICE, date(2026, 11, 3), "2026-11-04 06:00", "2026-11-03"),
    ],
)
def test_the_slot_that_delivers_a_day(cron: str, day: date, slot: str, covering: str) -> None:
    found = slot_covering(cron, day)
    assert (found[0], str(found[1])) == (utc(slot), covering)


def test_whole_windows_with_their_slots_up_to_the_last_day_of_all() -> None:
    assert list(windows_within(DAILY, date(2026, 11, 1), date(2026, 11, 3))) == [
        (utc("2026-11-02 05:00"), window("2026-11-01", "2026-11-02")),
        (utc("2026-11-03 05:00"), window("2026-11-02", "2026-11-03")),
    ]
    assert list(windows_within("0 0 * * *", date(2026, 11, 1), date(2026, 11, 2))) == [
        (utc("2026-11-02 00:00"), window("2026-11-01", "2026-11-02")),
    ]
    assert [str(found) for _, found in windows_within(TWICE, date(2026, 11, 1), date(2026, 11, 3))] == [
        "2026-11-01", "2026-11-02",
    ]  # fmt: skip
    assert len(list(windows_within(WEEKLY, date(2026, 10, 19), date(2026, 11, 2)))) == 2, "both edges are Mondays"


def test_a_schedule_in_another_zone_is_read_in_utc() -> None:
    in_berlin = timezone(timedelta(hours=1))
    found = slots_between(DAILY, datetime(2026, 11, 2, 5, 30, tzinfo=in_berlin), utc("2026-11-02 05:00"))
    assert found == (utc("2026-11-02 05:00"),)
    assert last_slot(DAILY, datetime(2026, 11, 4, 5, 30, tzinfo=in_berlin)) == utc("2026-11-03 05:00")


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("30 0 5 * * *", "it does not have the five fields minute, hour, day, month, weekday"),
        ("0 5 * *", "it does not have the five fields minute, hour, day, month, weekday"),
        ("61 * * * *", "Bad minute"),
        ("0 24 * * *", "Bad hour"),
        ("0 0 30 2 *", "Bad day-of-month"),
        ("0 5 * * 8", "Bad day-of-week"),
        ("daily", "it does not have the five fields minute, hour, day, month, weekday"),
        ("0 0 */31 * 1#2", "it never fires"),  # a first of the month that is its second Monday
    ],
)
def test_what_is_no_schedule_says_why(cron: str, why: str) -> None:
    assert check_cron(cron) == why


def test_a_time_without_an_offset_is_utc_wherever_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_instant("2026-11-04T06:00") == NOW
    finally:
        monkeypatch.undo()
        time.tzset()

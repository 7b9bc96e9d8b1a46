"""Plan: which deliveries a request means, under keys and names that never depend on when it is run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from builders import NOW, campaign, dataset, integration, job, utc, window

from delivery.config.columns import misfits
from delivery.config.project import Project
from delivery.errors import ConfigError
from delivery.schedule.jobs import Job, jobs
from delivery.schedule.names import check_name, file_name
from delivery.schedule.request import Request
from delivery.setup import Setup
from delivery.warehouse.rows import selection_of

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.config.campaigns import Campaign
    from delivery.ledger import Ledger

CURRENT = dataset(window=None, order_by=("email",))


def meant(ledger: Ledger, chosen: Campaign, at: str = "2026-11-04 06:00", **request: Any) -> list[Job]:
    return jobs(Request(at=utc(at), **request), {"daily": chosen}, {"acme": integration()}, ledger)


def days(found: list[Job]) -> list[str]:
    return [str(one.window) for one in found]


def record(ledger: Ledger, found: list[Job], *states: str) -> None:
    """Plans the jobs and moves each through the states."""
    for one in found:
        ledger.plan(**one.record("/share", None))
        for before, after in zip(("planned", *states), states, strict=False):
            ledger.advance(one.key, before, after)


def delivered(ledger: Ledger, found: list[Job]) -> None:
    record(ledger, found, "spooled", "delivered")


# What a request means


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, ["2026-11-03"]),
        ({"window": "yesterday"}, ["2026-11-03"]),
        ({"window": "2026-10-31"}, ["2026-10-31"]),
        ({"start": "2026-10-30", "end": "2026-11-02"}, ["2026-10-30", "2026-10-31", "2026-11-01"]),
        ({"due": True}, ["2026-11-03"]),
    ],
)
def test_days_of_a_daily_campaign(ledger: Ledger, request_: dict[str, Any], expected: list[str]) -> None:
    assert days(meant(ledger, campaign(), **request_)) == expected


@pytest.mark.parametrize(
    ("schedule", "day", "expected"),
    [
        ("0 5 * * 1", "2026-10-28", "2026-10-26..2026-11-01"),
        ("0 5 1 * *", "2026-10-31", "2026-10-01..2026-10-31"),
        ("0 5 1 * *", "2024-02-29", "2024-02-01..2024-02-29"),
        ("0 6,18 * * *", "2026-11-03", "2026-11-03"),
    ],
)
def test_a_day_stands_for_its_whole_window(ledger: Ledger, schedule: str, day: str, expected: str) -> None:
    assert days(meant(ledger, campaign(schedule), window=day)) == [expected]


@pytest.mark.parametrize(
    ("schedule", "request_"),
    [
        ("0 5 * * *", {"window": "today"}),
        ("0 5 * * *", {"window": "2026-11-05"}),
        ("0 5 * * 1", {"window": "yesterday"}),
        ("0 5 1 * *", {"window": "2026-11-01"}),
        ("0 5 * * *", {"start": "2026-11-03", "end": "2026-11-05"}),
    ],
)
def test_a_window_that_has_not_ended_is_refused(ledger: Ledger, schedule: str, request_: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="has not ended yet: it is 2026-11-04 06:00 UTC"):
        meant(ledger, campaign(schedule), **request_)


def test_a_range_must_run_forwards(ledger: Ledger) -> None:
    for end in ("2026-11-01", "2026-10-31"):
        with pytest.raises(ConfigError, match="is not before"):
            meant(ledger, campaign(), start="2026-11-01", end=end)


@pytest.mark.parametrize(
    ("kind", "names"), [("campaign", {"select": ("dialy",)}), ("integration", {"integrations": ("x",)})]
)
def test_unknown_names_list_the_known(ledger: Ledger, kind: str, names: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"Unknown {kind}") as refused:
        meant(ledger, campaign(), **names)
    assert refused.value.hint in ("Known: daily.", "Known: acme.")


def test_a_current_state_dataset_leaves_by_slot(ledger: Ledger) -> None:
    found = meant(ledger, campaign("0 6,18 * * *", of=CURRENT), at="2026-11-04 19:00")
    assert [(one.when, one.window) for one in found] == [("2026-11-04T18:00:00Z", None)]


@pytest.mark.parametrize("request_", [{}, {"due": True}])
def test_late_in_a_day_of_several_slots_yesterday_is_still_meant(ledger: Ledger, request_: dict[str, Any]) -> None:
    assert days(meant(ledger, campaign("0 6,18 * * *"), at="2026-11-04 19:00", **request_)) == ["2026-11-03"]


@pytest.mark.parametrize(
    "request_", [{}, {"window": "2026-11-03"}, {"start": "2026-11-01", "end": "2026-11-04"}, {"due": True}]
)
def test_only_while_the_campaign_is_live(ledger: Ledger, request_: dict[str, Any]) -> None:
    """start: the first day on which a slot may fall; end: the day from which on none falls."""
    assert "2026-11-03" in days(meant(ledger, campaign(start="2026-11-04", end="2026-11-05"), **request_))
    assert meant(ledger, campaign(start="2026-11-05"), **request_) == []
    assert meant(ledger, campaign(end="2026-11-01"), **request_) == []


# once


def once(**export: Any) -> Campaign:
    return campaign("once", **{"start": "2026-10-01", "end": "2026-11-01", **export})


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, True),
        ({"due": True}, True),
        ({"window": "2026-10-01"}, True),
        ({"window": "2026-10-31"}, True),
        ({"window": "2026-11-01"}, False),
        ({"start": "2026-10-01", "end": "2026-11-01"}, True),
        ({"start": "2026-10-02", "end": "2026-11-01"}, False),
    ],
)
def test_a_once_campaign_leaves_with_its_days(ledger: Ledger, request_: dict[str, Any], expected: bool) -> None:
    assert days(meant(ledger, once(), **request_)) == (["2026-10-01..2026-10-31"] if expected else [])


@pytest.mark.parametrize("request_", [{}, {"due": True}, {"window": "2026-10-31"}])
def test_a_once_campaign_waits_for_the_end_of_its_days(ledger: Ledger, request_: dict[str, Any]) -> None:
    assert meant(ledger, once(), at="2026-10-31 23:59", **request_) == []
    assert len(meant(ledger, once(), at="2026-11-01 00:00", **request_)) == 1


def test_a_once_campaign_is_due_once(ledger: Ledger) -> None:
    delivered(ledger, meant(ledger, once(), due=True))
    assert meant(ledger, once(), due=True) == []
    current = replace(campaign("once", of=CURRENT), name="other")
    record(ledger, meant(ledger, current, due=True))
    assert len(meant(ledger, current, due=True, at="2027-01-01 00:00")) == 1, "it has not ended yet"


# due


def test_missed_slots_are_due(ledger: Ledger) -> None:
    delivered(ledger, meant(ledger, campaign(), due=True, at="2026-11-01 06:00"))
    assert meant(ledger, campaign(), due=True, at="2026-11-01 23:59") == []
    later = "2026-11-04 06:00"
    assert days(meant(ledger, campaign(), due=True, at=later)) == ["2026-11-01", "2026-11-02", "2026-11-03"]
    assert days(meant(ledger, campaign(catch_up="last"), due=True, at=later)) == ["2026-11-03"]


def test_the_last_of_several_slots_a_day_is_caught_up(ledger: Ledger) -> None:
    twice = campaign("0 6,18 * * *", catch_up="last")
    delivered(ledger, meant(ledger, twice, due=True, at="2026-11-01 07:00"))
    assert days(meant(ledger, twice, due=True, at="2026-11-03 19:00")) == ["2026-11-02"]


@pytest.mark.parametrize("catch_up", ["all", "last"])
def test_unfinished_deliveries_are_due(ledger: Ledger, catch_up: str) -> None:
    chosen = campaign(catch_up=catch_up)
    first = meant(ledger, chosen, due=True, at="2026-11-01 06:00")
    record(ledger, first, "spooled")
    second = meant(ledger, chosen, window="2026-11-02")
    record(ledger, second)
    assert days(meant(ledger, chosen, due=True)) == ["2026-10-31", "2026-11-02", "2026-11-03"]


@pytest.mark.parametrize("states", [("held",), ("skipped",), ("spooled", "delivered")])
def test_what_ended_or_waits_for_a_person_is_not_due(ledger: Ledger, states: tuple[str, ...]) -> None:
    record(ledger, meant(ledger, campaign(), due=True), *states)
    assert meant(ledger, campaign(), due=True) == []


@pytest.mark.parametrize("catch_up", ["all", "last"])
def test_a_clock_that_ran_ahead_changes_nothing_afterwards(ledger: Ledger, catch_up: str) -> None:
    """What it planned was refused by the gate; it must wait for its day, and not keep others from theirs."""
    chosen = campaign(catch_up=catch_up)
    delivered(ledger, meant(ledger, chosen, due=True, at="2026-11-01 06:00"))
    ahead = meant(ledger, chosen, due=True, at="2026-11-20 06:00")
    record(ledger, ahead)
    found = days(meant(ledger, chosen, due=True, at="2026-11-04 06:00"))
    assert found == (["2026-11-01", "2026-11-02", "2026-11-03"] if catch_up == "all" else ["2026-11-03"])


def test_a_clock_that_went_back_sends_nothing_twice(ledger: Ledger) -> None:
    delivered(ledger, meant(ledger, campaign(), due=True))
    assert meant(ledger, campaign(), due=True, at="2026-11-04 05:30") == []
    back = meant(ledger, campaign(), due=True, at="2026-11-03 06:00")
    again = meant(ledger, campaign(), due=True)
    assert days(again) == []
    assert {one.key for one in back}.isdisjoint(one.key for one in again)


def test_another_client_of_an_integration_begins_anew(ledger: Ledger) -> None:
    delivered(ledger, meant(ledger, campaign(), due=True, at="2026-10-01 06:00"))
    record(ledger, meant(ledger, campaign(), window="2026-10-05"))
    request = Request(at=NOW, due=True)
    moved = jobs(request, {"daily": campaign()}, {"acme": integration(namespace="nordlicht_books")}, ledger)
    assert days(moved) == ["2026-11-03"]


# Revisions and keys


@pytest.mark.parametrize("chosen", [campaign(), campaign(of=CURRENT)], ids=["by day", "current"])
def test_a_window_is_sent_again_only_as_a_new_revision(ledger: Ledger, chosen: Campaign) -> None:
    first = meant(ledger, chosen)
    delivered(ledger, first)
    assert meant(ledger, chosen) == first
    second = meant(ledger, chosen, redeliver=True, reason="asked for")
    assert [one.revision for one in second] == [1]
    record(ledger, second)
    assert meant(ledger, chosen, redeliver=True, reason="asked for") == second, "the open one is finished first"
    assert meant(ledger, chosen) == second
    ledger.advance(second[0].key, "planned", "held")
    assert [one.revision for one in meant(ledger, chosen, redeliver=True)] == [2]


def row_of(ledger: Ledger, one: Job, *states: str, **changes: Any) -> None:
    """Records the job with other values, and moves it through the states."""
    values = one.record("/share", None) | changes
    values["id"] = f"{len(ledger.find()):064}"
    ledger.plan(**values)
    for before, after in zip(("planned", *states), states, strict=False):
        ledger.advance(values["id"], before, after)


@pytest.mark.parametrize("chosen", [campaign(), campaign(of=CURRENT)], ids=["by day", "current"])
@pytest.mark.parametrize("changes", [{"campaign": "weekly"}, {"integration": "other"}, {"namespace": "cedar_books"}])
def test_revisions_of_a_neighbour_are_no_revisions_of_this_one(
    ledger: Ledger, chosen: Campaign, changes: dict[str, Any]
) -> None:
    (one,) = meant(ledger, chosen)
    row_of(ledger, one, "spooled", "delivered", **changes, revision=5)
    assert [found.revision for found in meant(ledger, chosen, redeliver=True)] == [0]
    row_of(ledger, one, "spooled", "delivered", revision=1)
    assert [found.revision for found in meant(ledger, chosen)] == [1]
    assert [found.revision for found in meant(ledger, chosen, redeliver=True)] == [2]


@pytest.mark.parametrize(
    "changes",
    [
        {"window_start": "2026-11-02"},
        {"window_end": "2026-11-05"},
        {"window_start": "2026-11-02", "window_end": "2026-11-03"},
    ],
)
def test_revisions_of_other_days_are_no_revisions_of_these(ledger: Ledger, changes: dict[str, Any]) -> None:
    (one,) = meant(ledger, campaign())
    row_of(ledger, one, "spooled", "delivered", **changes, revision=5)
    assert [found.revision for found in meant(ledger, campaign(), redeliver=True)] == [0]
    current = campaign("0 6,18 * * *", of=CURRENT)
    (two,) = meant(ledger, current, at="2026-11-04 19:00")
    row_of(ledger, two, "spooled", "delivered", slot="2026-11-04T06:00:00Z", revision=5)
    assert [found.revision for found in meant(ledger, current, at="2026-11-04 19:00", redeliver=True)] == [0]
    assert [found.revision for found in meant(ledger, current, at="2026-11-04 07:00")] == [5]


def test_the_latest_revision_is_the_highest_number_and_keeps_what_it_corrects(ledger: Ledger) -> None:
    (one,) = meant(ledger, campaign())
    row_of(ledger, one, "spooled", "delivered", revision=2, corrects="the first")
    row_of(ledger, one, "spooled", "delivered", revision=1, slot="2026-11-09T05:00:00Z")
    (again,) = meant(ledger, campaign())
    assert (again.revision, again.corrects) == (2, "the first")
    (anew,) = meant(ledger, campaign(), redeliver=True)
    assert (anew.revision, anew.corrects) == (3, None)


def test_campaigns_and_integrations_are_chosen_by_name_and_come_in_order(ledger: Ledger) -> None:
    known = {
        name: replace(campaign(schedule), name=name, integrations=("other", "acme"))
        for name, schedule in (("weekly", "0 5 * * 1"), ("zeta", "0 5 * * *"), ("daily", "0 5 * * *"))
    }
    clients = {"acme": integration(), "other": integration(namespace="cedar_books")}

    def found(**request: Any) -> list[tuple[str, str]]:
        return [
            (one.campaign.name, one.integration_name)
            for one in jobs(Request(at=NOW, **request), known, clients, ledger)
        ]

    assert found() == [
        ("weekly", "acme"), ("weekly", "other"), ("daily", "acme"), ("daily", "other"), ("zeta", "acme"),
        ("zeta", "other"),
    ]  # fmt: skip
    assert found(select=("zeta",), integrations=("other",)) == [("zeta", "other")]
    assert found(select=("daily", "weekly"), integrations=("acme",)) == [("weekly", "acme"), ("daily", "acme")]
    with pytest.raises(ConfigError, match=r"Unknown campaign: x, y\."):
        found(select=("x", "daily", "y"))


def test_what_a_campaign_cannot_have_of_an_integration_is_said() -> None:
    def found(chosen: Campaign, **keys: Any) -> list[str]:
        return misfits({"daily": chosen}, {"acme": integration(**keys), "other": integration()})["acme"]

    changing = campaign(of=replace(CURRENT, key="customer_id", contacts=("email",)), mode="changes")
    (days,) = found(campaign(of=CURRENT), split={"by": "day"})
    assert days.startswith("integrations.acme.split: events has no days to split by; ")
    (replaced,) = found(changing, existing="replace")
    assert replaced.startswith("integrations.acme.existing: replace would overwrite changes not loaded yet; ")
    assert all(line.endswith(" (daily)") for line in (days, replaced))
    assert found(campaign(), split={"by": "day"}) == []
    assert found(campaign(of=CURRENT), split={"rows": 9}) == []
    assert found(changing) == []
    assert found(campaign(of=CURRENT), existing="replace") == []


def test_the_campaigns_word_comes_before_the_integrations() -> None:
    theirs = {"empty": "skip", "row_count": {"min": 1}}
    assert job(**theirs, campaign=campaign(empty="fail")).empty == "fail"
    assert job(**theirs).empty == "skip"
    assert job().empty == "header"
    bounds = job(**theirs, campaign=campaign(row_count={"max": 9})).row_count
    assert bounds
    assert (bounds.min, bounds.max) == (None, 9)
    assert job(**theirs).row_count == integration(**theirs).row_count
    assert job().row_count is None


def test_a_job_reads_its_clients_days_with_the_frozen_kinds() -> None:
    chosen = selection_of(job(), ("email", "event_time"), ("text", "timestamp"))
    assert (chosen.namespace, chosen.window, chosen.columns) == (
        "acme_outdoor", window("2026-11-03", "2026-11-04"), ("email", "event_time"),
    )  # fmt: skip
    assert chosen.kinds == {"email": "text", "event_time": "timestamp"}
    assert selection_of(job(), ("email",)).kinds == {}


def test_keys_do_not_depend_on_when_or_how_it_was_asked(ledger: Ledger) -> None:
    asked: list[dict[str, Any]] = [
        {"at": "2026-11-04 06:00"},
        {"at": "2026-11-04 23:59:59", "due": True},
        {"at": "2027-05-01 00:00", "window": "2026-11-03"},
        {"at": "2026-12-01 00:00", "start": "2026-11-03", "end": "2026-11-04"},
    ]
    assert len({one.key for how in asked for one in meant(ledger, campaign(), **how)}) == 1
    later_in_the_day = campaign("0 7 * * *")
    assert meant(ledger, later_in_the_day, window="2026-11-03")[0].key == meant(ledger, campaign())[0].key


def test_keys_differ_in_everything_that_makes_another_delivery() -> None:
    base = job()
    others = [
        replace(base, campaign=replace(base.campaign, name="weekly")),
        replace(base, integration_name="other"),
        job(namespace="nordlicht_books"),
        job(days=window("2026-11-02", "2026-11-03")),
        job(days=window("2026-11-03", "2026-11-05")),
        job(revision=1),
        job(campaign=campaign(of=CURRENT)),
        job("2026-11-03 05:00", campaign=campaign(of=CURRENT)),
    ]
    assert len({one.key for one in (base, *others)}) == len(others) + 1
    assert job(directory="elsewhere", vendor_name="Other", quoting="all").key == base.key


# File names


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, "daily_2026-11-03.csv"),
        ({"file_name": "fixed"}, "fixed.csv"),
        ({"file_name": "fixed.txt"}, "fixed.txt"),
        (
            {"file_name": "{namespace}_{campaign}_{window:%Y%m%d}_{revision}_{part}"},
            "acme_outdoor_daily_20261103_0_1.csv",
        ),
        ({"file_name": "{window}"}, "2026-11-03.csv"),
        ({"file_name": "{window:%Y.%m.%d}"}, "2026.11.03.csv"),
        ({"file_name": "v1.2"}, "v1.2.csv"),
        ({"file_name": "{part:03d}.TXT"}, "001.TXT"),
        ({"filename_timestamped": True}, "daily_2026-11-03_20261104060708.csv"),
        ({"filename_timestamped": True, "file_name": "a.b.txt"}, "a.b_20261104060708.txt"),
        ({"filename_timestamped": True, "file_name": "{window:%Y.%m.%d}"}, "2026.11.03_20261104060708.csv"),
        ({"compression": "gzip"}, "daily_2026-11-03.csv.gz"),
        ({"compression": "zstd", "file_name": "a.txt"}, "a.txt.zst"),
        ({"compression": "gzip", "file_name": "a.gz"}, "a.gz"),
        ({"compression": "gzip", "file_name": "a.csv.gz"}, "a.csv.gz"),
        (
            {"compression": "gzip", "file_name": "a.csv.gz", "filename_timestamped": True},
            "a_20261104060708.csv.gz",
        ),
        ({"revision": 2}, "daily_2026-11-03_r2.csv"),
        ({"revision": 2, "file_name": "{campaign}-{revision}"}, "daily-2.csv"),
        ({"revision": 2, "file_name": "fixed.txt", "existing": "replace"}, "fixed.txt"),
        ({"revision": 1, "filename_timestamped": True}, "daily_2026-11-03_r1_20261104060708.csv"),
        ({"days": window("2026-10-26", "2026-11-02")}, "daily_2026-10-26.csv"),
        ({"days": window("2026-10-26", "2026-11-02"), "file_name": "w{window:%d}"}, "w26.csv"),
        ({"file_name": "x.csv.pgp", "compression": "gzip"}, "x.csv.pgp.gz"),
        ({"split": {"rows": 9}}, "daily_2026-11-03_part0001.csv"),
        ({"split": {"rows": 9}, "file_name": "{part:02}-of-{campaign}"}, "01-of-daily.csv"),
        (
            {"split": {"rows": 9}, "revision": 2, "filename_timestamped": True, "compression": "zstd"},
            "daily_2026-11-03_r2_part0001_20261104060708.csv.zst",
        ),
        ({"revision": 2, "existing": "replace"}, "daily_2026-11-03.csv"),
        ({"campaign": campaign(of=CURRENT)}, "daily_2026-11-04.csv"),
        ({"campaign": campaign("once", of=CURRENT)}, "daily.csv"),
        ({"campaign": campaign(of=CURRENT), "file_name": "{window:%d}"}, "04.csv"),
    ],
)
def test_file_names(keys: dict[str, Any], expected: str) -> None:
    assert file_name(job(**keys), utc("2026-11-04 06:07:08.9")) == expected


def test_the_name_of_a_later_part_and_of_another_kind() -> None:
    now = utc("2026-11-04 06:07:08")
    assert file_name(job(split={"rows": 9}), now, 12) == "daily_2026-11-03_part0012.csv"
    assert file_name(job(file_name="{part}"), now, 12) == "12.csv"
    named = file_name(job(revision=2, split={"rows": 9}, filename_timestamped=True), now, 3, "entered")
    assert named == "daily_2026-11-03_r2_part0003_entered_20261104060708.csv"
    assert file_name(job(filename_timestamped=True), now.astimezone(timezone(timedelta(hours=5)))) == (
        "daily_2026-11-03_20261104060708.csv"
    )


def test_an_encrypted_file_says_so_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "key.asc").write_text("a key")
    for name, expected in (
        ("{campaign}", "daily.csv.pgp"), ("x.csv.pgp", "x.csv.pgp"), ("x.csv.gz.pgp", "x.csv.gz.pgp"),
    ):  # fmt: skip
        keys = {"encryption": "openpgp", "public_key": str(tmp_path / "key.asc"), "file_name": name}
        packed = {"compression": "gzip"} if ".gz" in name else {}
        assert file_name(job(**keys, **packed), NOW) == expected


def test_a_name_leaves_room_for_what_is_added_to_it() -> None:
    longest = file_name(job(file_name="x" * 215 + ".csv"), NOW)
    check_name(f".{longest}.manifest.json.12345678.123456.part")
    with pytest.raises(ConfigError, match="longer than 219 bytes"):
        file_name(job(file_name="x" * 216 + ".csv"), NOW)
    with pytest.raises(ConfigError, match="longer than 219 bytes"):
        file_name(job(file_name="é" * 112 + ".csv"), NOW)


def test_two_deliveries_of_one_name_are_refused(ledger: Ledger, tmp_path: Path) -> None:
    def wanted(**keys: Any) -> list[str]:
        chosen = {"daily": campaign()}
        setup = Setup(
            Project(tmp_path, "dev", {}, tmp_path, tmp_path, "sqlite://"), {}, chosen, {"acme": integration(**keys)}
        )
        found = setup.wanted(Request(at=NOW, start="2026-11-01", end="2026-11-03"), ledger, keep=True)
        assert setup.lack(found[0]) is None
        return [lack.message for one in found if (lack := setup.lack(one))]

    assert wanted() == wanted(file_name="fixed", existing="replace") == []
    for name in ("fixed", "{campaign}.txt", "{window:%Y}"):
        (refusal,) = wanted(file_name=name)
        assert "by daily for 2026-11-01/2026-11-02 and by daily for 2026-11-02" in refusal


def test_the_record_holds_what_the_key_holds() -> None:
    for chosen, revision in product((campaign(), campaign(of=CURRENT)), (0, 3)):
        row = job(campaign=chosen, revision=revision).record("/share/acme", "why")
        assert row["id"] == job(campaign=chosen, revision=revision).key
        assert (row["slot"], row["revision"], row["reason"]) == ("2026-11-04T05:00:00Z", revision, "why")
        days_of_row = (row["window_start"], row["window_end"])
        assert days_of_row == (("2026-11-03", "2026-11-04") if chosen.dataset.window else (None, None))
        assert (row["campaign"], row["integration"], row["namespace"]) == ("daily", "acme", "acme_outdoor")
        assert (row["dataset"], row["destination"], row["corrects"]) == ("events", "/share/acme", None)
    assert replace(job(), corrects="a" * 64).record("/share", None)["corrects"] == "a" * 64


def asked_by(ledger: Ledger, who: str, found: list[Job]) -> None:
    for one in found:
        ledger.plan(**one.record("/share", None), asked_by=who)
        ledger.advance(one.key, "planned", "spooled")
        ledger.advance(one.key, "spooled", "delivered")


def test_what_was_sent_by_hand_hides_no_missed_slot(ledger: Ledger) -> None:
    asked_by(ledger, "schedule", meant(ledger, campaign(), due=True, at="2026-11-01 06:00"))
    asked_by(ledger, "hand", meant(ledger, campaign(), window="2026-11-02"))
    assert days(meant(ledger, campaign(), due=True)) == ["2026-11-01", "2026-11-03"]


def test_a_backfill_by_hand_makes_no_older_slot_due(ledger: Ledger) -> None:
    asked_by(ledger, "hand", meant(ledger, campaign(), window="2025-01-01"))
    asked_by(ledger, "schedule", meant(ledger, campaign(), window="2026-11-02"))
    assert days(meant(ledger, campaign(), due=True)) == ["2026-11-03"]


def test_a_new_schedule_sends_no_day_again(ledger: Ledger) -> None:
    weekly = campaign("0 5 * * 1")
    asked_by(ledger, "schedule", meant(ledger, weekly, due=True, at="2026-10-26 06:00"))
    asked_by(ledger, "schedule", meant(ledger, weekly, due=True, at="2026-11-02 06:00"))
    assert days(meant(ledger, campaign("0 7 * * *"), due=True, at="2026-11-04 08:00")) == ["2026-11-02", "2026-11-03"]

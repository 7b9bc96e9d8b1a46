"""Analytics by hand: sums, rates, formats, refusals."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl
import pytest
from projects import AT, DATA_TESTS_ONLY, ROOT, Copy
from test_gate import sql

from delivery.analytics import measures
from delivery.analytics.export import encode, format_of

RANGE = ("--from", "2026-11-01", "--to", "2026-11-05", "--at", AT.replace("-04T", "-08T"))
DATASETS = ("performance", "campaigns", "identification", "customers")
METRICS = list(csv.DictReader((ROOT / "seeds" / "metrics.csv").open(encoding="utf-8")))
MEASURES = {row["metric"] for row in METRICS if row["kind"] != "rate"}
DIMENSIONS = {"namespace", "campaign_id", "campaign_name", "campaign_classification", "device_type"}


def rows(project: Copy, dataset: str, *more: str, namespace: str = "nordlicht_books") -> list[dict[str, str]]:
    """An export's rows, as its CSV says."""
    path = project.root / "out.csv"
    done = project.delivery("export", dataset, "--namespace", namespace, *RANGE, *more, "-o", str(path))
    assert done.exit_code == 0, done.stderr
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def error_of(project: Copy, *arguments: str, code: int = 2) -> str:
    done = project.delivery("export", *arguments)
    assert done.exit_code == code, done.stderr
    return done.stderr


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_grain_adds_up_to_the_total(project: Copy, dataset: str) -> None:
    wide = ("--from", "2026-06-01", "--to", "2026-11-09")
    totals: dict[str, list[Decimal]] = {}
    for grain in ("week", "total") if dataset == "customers" else ("day", "week", "month", "total"):
        found = rows(project, dataset, *wide, "--at", "2026-11-09T00:00:00Z", "--grain", grain)
        names = [name for name in found[0] if name in MEASURES]
        totals[grain] = [sum((Decimal(row[name]) for row in found), Decimal()) for name in names]
        assert any(totals[grain])
    assert all(total == totals["total"] for total in totals.values())


def test_rates_are_made_after_the_sum(project: Copy) -> None:
    days = rows(project, "performance", "--grain", "day")
    (total,) = rows(project, "performance")
    delivered = sum(int(row["delivered"]) for row in days)
    opened = sum(int(row["unique_opens"]) for row in days)
    assert Decimal(total["unique_open_rate"]) == round(Decimal(opened) / delivered, 6)
    mean = sum(Decimal(row["unique_open_rate"]) for row in days) / len(days)
    assert round(mean, 6) != Decimal(total["unique_open_rate"]), "the sample does not tell the two apart"


RATES_BY_HAND = {
    "delivered_rate": "0.875000",
    "hard_bounce_rate": "0.075000",
    "soft_bounce_rate": "0.050000",
    "unique_open_rate": "0.342857",
    "unique_click_rate": "0.085714",
    "click_through_rate": "0.128571",
    "click_to_open_rate": "0.250000",
    "conversion_rate": "0.057143",
    "click_to_conversion_rate": "0.444444",
    "average_order_value": "25.126250",
    "revenue_per_email": "1.435786",
    "revenue_per_click": "11.167222",
    "unsubscribe_rate": "0.028571",
    "spam_rate": "0.014286",
    "deferral_rate": "0.018750",
    "identification_rate": "0.666667",
}
SUMS = {
    "sent": 160,
    "hard_bounced": 12,
    "soft_bounced": 8,
    "delivered": 140,
    "deferred": 3,
    "opens": 60,
    "unique_opens": 48,
    "machine_opens": 20,
    "clicks": 18,
    "unique_clicks": 12,
    "bot_clicks": 5,
    "unsubscribes": 4,
    "spam_reports": 2,
    "dropped": 1,
    "halted": 1,
    "conversions": 8,
    "sessions": 3,
    "identified_sessions": 2,
    "revenue": Decimal("201.01"),
}


@pytest.mark.parametrize("metric", [row for row in METRICS if row["kind"] == "rate"], ids=lambda row: row["metric"])
def test_rates_by_hand(metric: dict[str, str]) -> None:
    above, below = SUMS[metric["numerator"]], SUMS[metric["denominator"]]
    one, none = measures.rates(pl.Series([above, above], dtype=pl.Decimal(18, 2)), pl.Series([below, 0]))
    assert str(one) == RATES_BY_HAND[metric["metric"]]
    assert none is None


@pytest.mark.parametrize(
    ("amounts", "total"), [(("1.234", "1.234"), "2.468"), (("1.234", "1.236"), "2.47"), (("1.500", "2.000"), "3.50")]
)
def test_money_has_a_third_digit_where_an_amount_has_one(amounts: tuple[str, str], total: str) -> None:
    """Dinars are of a thousand fils; all others keep the two digits that they had."""
    stored = pl.DataFrame({"revenue": [Decimal(amount) for amount in amounts]}, schema={"revenue": pl.Decimal(18, 3)})
    revenue = measures.Metric("revenue", "money", None, None, "")
    assert str(measures.summed_over(stored, [revenue], [])["revenue"][0]) == total


def test_every_rate_is_of_measures_of_its_datasets_and_every_measure_has_a_definition(project: Copy) -> None:
    manifest = json.loads((project.root / "target" / "manifest.json").read_bytes())
    for dataset in DATASETS:
        own = {row["metric"]: row for row in METRICS if dataset in row["datasets"].split("|")}
        columns = manifest["nodes"][f"model.delivery.analytics_{dataset}"]["columns"]
        measures = {name for name in columns if name not in DIMENSIONS | {"day", "week"}}
        assert measures == {name for name, row in own.items() if row["kind"] != "rate"}
        for row in own.values():
            assert row["kind"] != "rate" or {row["numerator"], row["denominator"]} <= measures


@pytest.mark.parametrize("kind", ["csv", "parquet", "xlsx", "json"])
def test_every_format_holds_the_same(project: Copy, kind: str) -> None:
    wanted = rows(project, "campaigns", "--grain", "day")
    path = project.root / f"out.{kind}"
    asked = ("--namespace", "nordlicht_books", *RANGE, "--grain", "day", "-o", str(path))
    assert project.delivery("export", "analytics_campaigns", *asked).exit_code == 0
    found: list[dict[str, Any]]
    if kind == "xlsx":
        sheet = openpyxl.load_workbook(path).active
        assert sheet.freeze_panes == "A2", "the header stays in sight"
        header, *lines = sheet.iter_rows(values_only=True)
        found = [dict(zip(map(str, header), line, strict=True)) for line in lines]
    elif kind == "json":
        found = json.loads(path.read_bytes())
    else:
        found = (pl.read_csv(path) if kind == "csv" else pl.read_parquet(path)).to_dicts()
    assert len(found) == len(wanted) > 0
    for row, other in zip(found, wanted, strict=True):
        assert list(row) == list(other)
        for name, value in row.items():
            text = "" if value is None else str(value)[:10] if name.endswith("_day") else str(value)
            same = text == other[name] or (text and other[name] and Decimal(text) == Decimal(other[name]))
            assert same, (name, value, other[name])


@pytest.mark.parametrize("kind", ["csv", "parquet", "xlsx", "json"])
def test_no_rows_still_have_a_header(project: Copy, kind: str) -> None:
    path = project.root / f"none.{kind}"
    empty = ("--from", "2026-08-01", "--to", "2026-08-02", "--at", AT)
    done = project.delivery("export", "campaigns", "--namespace", "nordlicht_books", *empty, "-o", str(path))
    assert done.exit_code == 0
    if kind == "csv":
        header = path.read_text(encoding="utf-8").rstrip("\r\n").split(",")
    elif kind == "xlsx":
        ((*header,),) = openpyxl.load_workbook(path).active.iter_rows(values_only=True)
    elif kind == "parquet":
        header = pl.read_parquet(path).columns
    else:
        assert json.loads(path.read_bytes()) == []
        return
    assert header[:3] == ["first_day", "last_day", "namespace"]
    assert header[-1] == "deferral_rate"


def test_text_in_a_workbook_is_no_formula() -> None:
    frame = pl.DataFrame({"name": ["=1+1", "+1", "http://x.example"], "day": [date(2026, 11, 1)] * 3})
    content = encode(frame, "xlsx", "t")
    sheet = openpyxl.load_workbook(io.BytesIO(content)).active
    assert [cell.hyperlink for cell in sheet["A"]] == [None] * 4
    assert b"inlineStr" in zipfile.ZipFile(io.BytesIO(content)).read("xl/worksheets/sheet1.xml"), "no text is kept"
    assert [(cell.value, cell.data_type) for cell in sheet["A"][1:]] == [
        (text, "s") for text in ("=1+1", "+1", "http://x.example")
    ]


def test_a_file_is_private_and_replaced_whole(project: Copy) -> None:
    path = project.root / "out.csv"
    path.write_text("old", encoding="utf-8")
    path.chmod(0o644)
    assert rows(project, "performance")
    assert path.stat().st_mode & 0o777 == 0o600
    assert not [one for one in project.root.iterdir() if one.name.endswith(".part")]
    before = path.read_bytes()
    refused = error_of(project, "performance", "--namespace", "x", *RANGE, "-o", str(project.root / "no" / "out.csv"))
    assert "Unknown namespace 'x'" in refused
    nowhere = ("performance", "--namespace", "acme_outdoor", *RANGE, "-o", str(project.root / "no" / "out.csv"))
    assert f"There is no folder {project.root / 'no'}." in error_of(project, *nowhere)
    assert path.read_bytes() == before


def test_stdout_holds_the_rows_alone(project: Copy) -> None:
    done = project.delivery("export", "performance", "--namespace", "acme_outdoor", *RANGE, "-o", "-")
    assert done.stdout.splitlines()[0].startswith("first_day,last_day,namespace,sent,")
    assert len(done.stdout.splitlines()) == 2
    asked = ("performance", "--namespace", "acme_outdoor", *RANGE, "-o", "-", "--json")
    assert "--json needs a file" in error_of(project, *asked)


def test_no_row_of_another_client(project: Copy) -> None:
    for name in ("acme_outdoor", "brightside_beauty", "nordlicht_books"):
        for dataset in DATASETS:
            wide = ("--from", "2026-01-01", "--grain", "week")
            found = rows(project, dataset, *wide, namespace=name)
            assert {row["namespace"] for row in found} == {name}


def test_one_campaign(project: Copy) -> None:
    every = rows(project, "campaigns")
    chosen = every[0]["campaign_id"]
    assert len(every) > 1
    assert rows(project, "campaigns", "--campaign-id", chosen) == every[:1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "2024-11-07", "--to", "2026-11-01"), "--from 2024-11-08 or later, --to 2026-11-09 or earlier"),
        (("--from", "2026-11-01", "--to", "2026-11-10"), "--from 2024-11-08 or later, --to 2026-11-09 or earlier"),
        (("--from", "2026-11-03", "--to", "2026-11-03"), "--to is the day after the last one"),
        (("--from", "2026-11-04", "--to", "2026-11-03"), "--to is the day after the last one"),
        (("--from", "soon"), "'soon' is not a day"),
        (("--grain", "month"), "its grain is week or total, not month"),
        (("--campaign-id", "1"), "is not by campaign"),
        (("--ungated",), "--ungated needs --reason"),
        (("--reason", "because"), "--ungated needs --reason"),
    ],
)
def test_ranges_are_refused_with_what_is_allowed(project: Copy, arguments: tuple[str, ...], said: str) -> None:
    path = project.root / "refused.csv"
    asked = ("customers", "--namespace", "acme_outdoor", *RANGE, *arguments, "-o", str(path))
    assert said in error_of(project, *asked)
    assert not path.exists()


def test_all_faults_are_named_at_once(project: Copy) -> None:
    asked = ("esp_events", "--namespace", "acme_outdoor", "--from", "2026-11-04", "--to", "2026-11-03", "-o", "-")
    said = error_of(project, *asked)
    assert "Unknown dataset 'esp_events'; known: analytics_campaigns, " in said
    assert "--from 2026-11-04 is not before --to 2026-11-03" in said


def test_two_years_end_on_a_leap_day() -> None:
    found = measures.allowed(datetime(2028, 2, 29, tzinfo=UTC))
    assert (found.start, found.end) == (date(2026, 2, 28), date(2028, 3, 1))


def test_weeks_and_months_that_the_range_cuts_say_their_days(project: Copy) -> None:
    weeks = rows(project, "performance", "--from", "2026-10-30", "--to", "2026-11-03", "--grain", "week")
    assert [(row["first_day"], row["last_day"]) for row in weeks] == [("2026-11-01", "2026-11-02")]
    months = rows(
        project,
        "identification",
        "--from",
        "2026-07-15",
        "--to",
        "2026-11-03",
        "--grain",
        "month",
        namespace="acme_outdoor",
    )
    assert {row["first_day"] for row in months} <= {"2026-07-15", *(f"2026-{m:02}-01" for m in range(8, 12))}
    assert months[-1]["last_day"] == "2026-11-02"


def test_the_gate_refuses_and_an_override_is_recorded(project: Copy) -> None:
    sql(
        project,
        "insert into build_log select * replace ('fail' as status, 1 as failures,"
        " began_at + interval 1 minute as began_at, ended_at + interval 1 minute as ended_at)"
        " from build_log where unique_id = 'test.delivery.unique_counts_add_up' and phase = 'end'",
    )
    path = project.root / "gated.csv"
    asked = ("performance", "--namespace", "acme_outdoor", *RANGE, "-o", str(path))
    assert "unique_counts_add_up: fail" in error_of(project, *asked, code=3)
    assert not path.exists()
    done = project.delivery("export", *asked, "--ungated", "--reason", "asked by ann@example.com")
    assert done.exit_code == 0
    assert "was overridden" in done.stderr
    record = project.root / ".delivery" / "exports.ndjson"
    last = json.loads(record.read_text(encoding="utf-8").splitlines()[-1])
    assert (last["reason"], last["rows"]) == ("asked by <address>", 1)
    assert any("unique_counts_add_up" in line for line in last["unproven"])
    assert record.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("output", ["-", "kept.json"])
def test_each_export_is_on_record_with_its_range_both_days_in(project: Copy, output: str) -> None:
    path = output if output == "-" else str(project.root / output)
    asked = ("performance", "--namespace", "acme_outdoor", *RANGE, "--format", "json", "-o", path)
    done = project.delivery("export", *asked, "--grain", "day")
    assert done.exit_code == 0, done.stderr
    content = done.stdout_bytes if output == "-" else Path(path).read_bytes()
    record = project.root / ".delivery" / "exports.ndjson"
    (last,) = (json.loads(line) for line in record.read_text(encoding="utf-8").splitlines())
    invocation = last.pop("invocation_id")
    assert invocation
    assert last == {
        "at": "2026-11-08T06:00:00Z", "dataset": "analytics_performance", "namespace": "acme_outdoor",
        "first_day": "2026-11-01", "last_day": "2026-11-04", "grain": "day", "campaign_id": None, "format": "json",
        "file": path, "rows": len(json.loads(content)), "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(), "reason": None, "unproven": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("output", "asked", "kind"),
    [
        ("a.csv", None, "csv"), ("a.JSON", None, "json"), ("a.xlsx", None, "xlsx"), ("a.parquet", None, "parquet"),
        ("a.csv", "json", "json"), ("a.json", "csv", "csv"), ("-", None, "csv"), ("-", "parquet", "parquet"),
        ("a.txt", None, "csv"), ("json", None, "csv"),
    ],
)  # fmt: skip
def test_the_format_is_that_asked_for_or_the_names(output: str, asked: str | None, kind: str) -> None:
    assert format_of(output, asked) == kind


@pytest.mark.slow
def test_a_changed_window_restates_history_in_one_build(project: Copy) -> None:
    before = rows(project, "performance", namespace="brightside_beauty")[0]
    project.edit("landing/platform/namespaces/namespaces.ndjson", '"attribution_hours": 48', '"attribution_hours": 72')
    project.dbt("build", *DATA_TESTS_ONLY)
    after = rows(project, "performance", namespace="brightside_beauty")[0]
    assert (before["conversions"], after["conversions"]) == ("1", "2")
    assert Decimal(after["revenue"]) - Decimal(before["revenue"]) == Decimal("15.75")


def test_the_page_says_what_the_seed_says() -> None:
    page = Path(ROOT / "docs" / "analytics.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| (.+) \| (.+) \|$", page, re.MULTILINE)
    assert table == [
        (
            row["metric"],
            row["datasets"].replace("|", ", "),
            f"`{row['numerator']}` / `{row['denominator']}`" if row["kind"] == "rate" else row["kind"],
            row["definition"],
        )
        for row in METRICS
    ]


def test_a_failure_of_another_clients_rows_refuses_them_alone(project: Copy) -> None:
    failed = "unique_id = 'test.delivery.unique_counts_add_up'"
    sql(
        project,
        "insert into build_log select * replace ('fail' as status, 1 as failures,"
        " began_at + interval 1 minute as began_at, ended_at + interval 1 minute as ended_at)"
        f" from build_log where {failed} and phase = 'end'",
    )
    sql(
        project,
        "insert into build_failures (invocation_id, unique_id, namespace, event_day, failures)"
        " select invocation_id, unique_id, 'brightside_beauty', null, 1"
        f" from build_log where {failed} and status = 'fail'",
    )
    asked = ("performance", *RANGE, "-o", str(project.root / "figures.csv"), "--namespace")
    assert project.delivery("export", *asked, "acme_outdoor").exit_code == 0
    assert "unique_counts_add_up: fail" in error_of(project, *asked, "brightside_beauty", code=3)

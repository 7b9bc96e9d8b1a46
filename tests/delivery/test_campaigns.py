"""Campaigns and datasets: every fault of the manifest's meta, with its place and what would be right."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from builders import campaign, dataset, utc, window

from delivery.campaigns import campaigns
from delivery.datasets import Manifest, datasets
from delivery.errors import ConfigError

COLUMNS = {
    "namespace": None,
    "email": None,
    "event_time": None,
    "reason": "optional",
    "is_bot_click": "optional",
    "unique_key": None,
    "event_day": "internal",
}
DAILY = {"dataset": "esp_events", "integrations": ["acme"], "schedule": "0 5 * * *"}


def model(name: str, meta: Any, columns: dict[str, str | None] = COLUMNS) -> dict[str, Any]:
    return {
        "name": name,
        "resource_type": "model",
        "relation_name": f'"warehouse"."main"."{name}"',
        "config": {"meta": {} if meta is None else {"dataset": meta}},
        "columns": {
            column: {"name": column, "data_type": "text", "config": {"meta": {"layout": layout} if layout else {}}}
            for column, layout in columns.items()
        },
    }


def manifest(meta: Any = None, **exports: Any) -> Manifest:
    """A manifest with the dataset esp_events, the current-state dataset eligibility, and one exposure an export."""
    nodes = {
        "model.p.esp_events": model(
            "esp_events", meta or {"window": "event_day", "order_by": ["event_time", "unique_key"]}
        ),
        "model.p.eligibility": model("eligibility", {"order_by": ["email"]}),
        "model.p.emails": model("emails", None),
        "seed.p.event_types": {"resource_type": "seed", "name": "event_types", "config": {"meta": {}}},
    }
    return {
        "nodes": nodes,
        "exposures": {
            f"exposure.p.{name}": {
                "name": name,
                "config": {"meta": {"export": export} if export is not None else {}},
                "depends_on": {"nodes": ["model.p.esp_events", "model.p.eligibility"]},
            }
            for name, export in exports.items()
        },
    }


def faults(read: Any, *arguments: Any) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        read(*arguments)
    return [line.strip() for line in refused.value.message.splitlines()[1:]]


def export_fault(**changes: Any) -> str:
    changed = {key: value for key, value in {**DAILY, **changes}.items() if value is not None}
    (only,) = faults(campaigns, manifest(daily=changed), ["acme", "bright"])
    return only


def test_a_campaign_and_its_dataset() -> None:
    found = campaigns(manifest(daily=DAILY, other_exposure=None), ["acme", "bright"])
    assert list(found) == ["daily"]
    daily = found["daily"]
    assert daily.integrations == ("acme",)
    assert (daily.dataset.name, daily.dataset.window) == ("esp_events", "event_day")
    assert daily.dataset.order_by == ("event_time", "unique_key")
    assert daily.columns() == ("namespace", "email", "event_time", "unique_key")
    assert (daily.export.catch_up, daily.export.layout.event_names) == ("all", "default")
    assert set(datasets(manifest())) == {"esp_events", "eligibility"}


def test_all_means_every_integration() -> None:
    found = campaigns(manifest(daily={**DAILY, "integrations": "all"}), ["acme", "bright"])
    assert found["daily"].integrations == ("acme", "bright")


@pytest.mark.parametrize("asked", [["reason"], ["is_bot_click", "reason"], ["reason", "reason"]])
def test_optional_columns_come_in_contract_order(asked: list[str]) -> None:
    columns = campaigns(manifest(daily={**DAILY, "layout": {"columns": asked}}), ["acme"])["daily"].columns()
    expected = [name for name in COLUMNS if COLUMNS[name] is None or name in asked]
    assert list(columns) == expected


def test_layouts_are_read_from_older_manifests_too() -> None:
    old = manifest()
    for column in old["nodes"]["model.p.esp_events"]["columns"].values():
        column["meta"] = column.pop("config")["meta"]
    assert datasets(old) == datasets(manifest())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"dataset": None}, ".dataset: is required"),
        ({"dataset": "nosuch"}, ".dataset: unknown dataset 'nosuch'; known: eligibility, esp_events"),
        ({"dataset": "emails"}, ".dataset: unknown dataset 'emails'; known: eligibility, esp_events"),
        ({"integrations": None}, ".integrations: is required"),
        ({"integrations": []}, ".integrations: must be `all` or a list of names"),
        ({"integrations": "acme"}, ".integrations: must be `all` or a list of names"),
        ({"integrations": [1]}, ".integrations: must be `all` or a list of names"),
        ({"integrations": ["nosuch"]}, ".integrations: unknown integration 'nosuch'; known: acme, bright"),
        ({"schedule": None}, ".schedule: is required"),
        ({"schedule": "daily"}, ".schedule: is neither `once` nor a cron expression: it does not have the five"),
        ({"schedule": "0 25 * * *"}, ".schedule: is neither `once` nor a cron expression: Bad hour in '0 25 * * *'"),
        ({"schedule": "30 0 5 * * *"}, ".schedule: is neither `once` nor a cron expression: it does not have the five"),
        ({"schedule": 5}, ".schedule: Input should be a valid string"),
        ({"schedule": "once"}, ": a `once` campaign of esp_events needs start and end, its days"),
        ({"schedule": "once", "start": "2026-11-01"}, ": a `once` campaign of esp_events needs start and end"),
        ({"start": "2026-11-02", "end": "2026-11-02"}, ": start must be before end"),
        ({"start": "02.11.2026"}, ".start: must be a day as YYYY-MM-DD (seen: '02.11.2026')"),
        ({"start": 20261102}, ".start: must be a day as YYYY-MM-DD (seen: 20261102)"),
        ({"end": "1793836800"}, ".end: must be a day as YYYY-MM-DD (seen: '1793836800')"),
        ({"end": "2026-02-30"}, ".end: Input should be a valid date"),
        ({"catch_up": "none"}, ".catch_up: Input should be 'all' or 'last'"),
        (
            {"scedule": "0 5 * * *"},
            ".scedule: unknown key; known: dataset, audience, unsubscribed, integrations, schedule",
        ),
        ({"layout": {"colums": []}}, ".layout.colums: unknown key; known: columns, event_names"),
        ({"layout": {"columns": "reason"}}, ".layout.columns: Input should be a valid tuple"),
        (
            {"layout": {"columns": ["event_day"]}},
            ".layout.columns: 'event_day' is not an optional column of esp_events; optional: reason, is_bot_click",
        ),
        ({"layout": {"columns": ["email"]}}, ".layout.columns: 'email' is not an optional column of esp_events"),
    ],
)
def test_faults_of_an_export(changes: dict[str, Any], expected: str) -> None:
    assert export_fault(**changes).startswith(f"daily: config.meta.export{expected}")


@pytest.mark.parametrize("export", ["text", [1], 5, {}])
def test_an_export_that_is_none(export: Any) -> None:
    found = faults(campaigns, manifest(daily=export), ["acme"])
    assert found
    assert all(line.startswith("daily: config.meta.export") for line in found)


def test_an_exposure_must_depend_on_its_dataset() -> None:
    document = manifest(daily=DAILY)
    document["exposures"]["exposure.p.daily"]["depends_on"]["nodes"] = ["model.p.eligibility"]
    assert faults(campaigns, document, ["acme"]) == ["daily: depends_on: must name ref('esp_events')"]


def test_all_faults_of_all_campaigns_at_once() -> None:
    wrong = {"dataset": "esp_events", "integrations": ["x", "y"], "schedule": "0 5 * * *", "layout": {"columns": ["z"]}}
    found = faults(campaigns, manifest(one=wrong, fine=DAILY, two={**DAILY, "a": 1, "b": 2}), ["acme"])
    assert [line.partition(":")[0] for line in found] == ["one", "one", "one", "two", "two"]


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        (
            {"windw": "event_day", "order_by": ["email"]},
            ": config.meta.dataset.windw: unknown key; known: window, order",
        ),
        ({"window": "event_day"}, ": config.meta.dataset.order_by: is required"),
        ({"order_by": []}, ": config.meta.dataset.order_by: "),
        ({"order_by": "email"}, ": config.meta.dataset.order_by: Input should be a valid tuple"),
        ({"window": "day", "order_by": ["email"]}, ": config.meta.dataset.window: no column 'day'; known: namespace, "),
        ({"order_by": ["key"]}, ": config.meta.dataset.order_by: no column 'key'; known: namespace, email, "),
        (True, ": config.meta.dataset: Input should be a valid dictionary"),
    ],
)
def test_faults_of_a_dataset(meta: Any, expected: str) -> None:
    (found,) = faults(datasets, manifest(meta))
    assert found.startswith(f"esp_events{expected}")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"email": None}, ["has no column namespace, by which rows are kept apart"]),
        (
            {"namespace": None, "email": "optinal"},
            ["columns.email.config.meta.layout: unknown 'optinal'; known: file, optional, internal"],
        ),
        ({"namespace": "internal", "email": "optional"}, ["has no column for its files"]),
    ],
)
def test_faults_of_a_datasets_columns(columns: dict[str, str | None], expected: list[str]) -> None:
    document = {"nodes": {"model.p.x": model("x", {"order_by": ["email"]}, columns)}, "exposures": {}}
    assert faults(datasets, document) == [f"x: {line}" for line in expected]


@pytest.mark.parametrize(
    ("slot", "expected"),
    [
        ("2026-10-31 23:59", False),
        ("2026-11-01 00:00", True),
        ("2026-11-30 23:59", True),
        ("2026-12-01 00:00", False),
    ],
)
def test_live_from_start_until_end(slot: str, expected: bool) -> None:
    assert campaign(start="2026-11-01", end="2026-12-01").is_live(utc(slot)) is expected
    assert campaign().is_live(utc(slot))


def test_the_slot_of_a_once_campaign() -> None:
    by_day = campaign("once", start=date(2026, 10, 1), end=date(2026, 11, 1))
    assert by_day.once_slot() == (utc("2026-11-01"), window("2026-10-01", "2026-11-01"))
    current = dataset(window=None, order_by=("email",))
    assert campaign("once", of=current, start="2026-10-01").once_slot() == (utc("2026-10-01"), None)
    assert campaign("once", of=current).once_slot() == (utc("1970-01-01"), None)

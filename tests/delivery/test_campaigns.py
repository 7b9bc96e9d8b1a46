"""Campaigns and datasets: every fault of the manifest's meta, with its place and what would be right."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from builders import campaign, dataset, utc, window

from delivery.config.campaigns import campaigns, definition_faults, read_campaigns
from delivery.config.datasets import Manifest, datasets, relation_of
from delivery.config.integrations_file import Integrations
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
        ({"schedule": "0 25 * * *"}, ".schedule: is neither `once` nor a cron expression: Bad hour (seen: '0 25"),
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


# Audiences, definitions, changes

PEOPLE = {"order_by": ["customer_id"], "key": "customer_id", "contacts": ["email"]}
OF_PEOPLE = {"namespace": "internal", "customer_id": None, "email": None, "pclv": "optional", "points": "optional"}
MEMBERS: dict[str, str | None] = dict.fromkeys(("namespace", "customer_id", "is_unsubscribed"))
TO_PEOPLE = {"dataset": "people", "integrations": ["acme"], "schedule": "0 5 * * *"}
HALF = (
    "config.meta.export.audience: 'half' is no audience of people, with customer_id, is_unsubscribed, namespace "
    "(its yml does not name is_unsubscribed); known: "
)
NEEDED = ["model.p.people", "model.p.aud_many", "model.p.definition_entitlements"]


def of_people(**exports: Any) -> Manifest:
    """Beside `people`, two audiences of it and a model that lacks one of the columns."""
    document = manifest(**exports)
    people = model("people", PEOPLE, OF_PEOPLE)
    for name in ("pclv", "points"):
        people["columns"][name]["config"]["meta"]["definition"] = {"kind": "score"}
    models = {"people": people, "definition_entitlements": model("definition_entitlements", None)}
    models |= {name: model(name, None, MEMBERS) for name in ("aud_many", "aud_few")}
    models["half"] = model("half", None, {"namespace": None, "customer_id": None})
    for name, node in models.items():
        document["nodes"][f"model.p.{name}"] = node
    for exposure in document["exposures"].values():
        exposure["depends_on"]["nodes"] = ["model.p.esp_events", "model.p.eligibility", *NEEDED]
    return document


def test_an_audience_is_proven_with_its_campaign() -> None:
    exports = {
        "many": TO_PEOPLE | {"audience": "aud_many", "unsubscribed": "exclude"},
        "marked": TO_PEOPLE | {"audience": "aud_many"},
        "all": TO_PEOPLE,
        "daily": DAILY,
    }
    found = campaigns(of_people(**exports), ["acme"])
    many, marked = found["many"].members, found["marked"].members
    assert many
    assert marked
    relation = '"warehouse"."main"."aud_many"'
    assert many.where("acme_outdoor") == f"{relation} where namespace = 'acme_outdoor' and not is_unsubscribed"
    assert marked.where("o'neill") == f"{relation} where namespace = 'o''neill'"
    assert (found["all"].members, found["daily"].members) == (None, None)
    named = {"model.p.aud_many", "model.p.definition_entitlements", "model.p.eligibility", "model.p.esp_events"}
    assert {name: set(one.proven_with) for name, one in found.items()} == {
        "many": named,
        "marked": named,
        "all": named,
        "daily": named - {"model.p.esp_events"} | {"model.p.people"},
    }, "all that the exposure names, and what is always read"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"audience": "nosuch"}, ["config.meta.export.audience: 'nosuch' is no audience of people"]),
        ({"audience": "half"}, [HALF]),
        ({"audience": "people"}, ["config.meta.export.audience: 'people' is no audience of people"]),
        ({"audience": "aud_few"}, ["depends_on: must name ref('aud_few')"]),
        ({"unsubscribed": "exclude"}, ["config.meta.export: unsubscribed: exclude needs an audience"]),
        ({"mode": "changes", "schedule": "once"}, ["config.meta.export: mode: changes needs a schedule that recurs"]),
        ({"mode": "changes"}, []),
        ({"mode": "changes", "full_every": 0}, ["config.meta.export.full_every: "]),
        ({"mode": "changes", "full_every": 1}, []),
        ({"build_age_hours": -1}, ["config.meta.export.build_age_hours: "]),
        ({"build_age_hours": 0}, []),
        ({"late_rows": "correct"}, ["config.meta.export.late_rows: people cannot be corrected"]),
        ({"late_rows": "ignore"}, []),
        ({"schedule": "once"}, []),
        (
            {"dataset": "eligibility", "audience": "aud_many"},
            ["config.meta.export.audience: eligibility has no members"],
        ),
        ({"dataset": "eligibility", "mode": "changes"}, ["config.meta.export.mode: eligibility cannot tell changes"]),
        ({"row_count": {"mni": 3}}, ["config.meta.export.row_count.mni: unknown key; known: min, max, change"]),
        ({"start": "2026-11-01", "end": "2026-11-02"}, []),
        ({"start": "2026-11-02", "end": "2026-11-01"}, ["config.meta.export: start must be before end"]),
    ],
)
def test_what_a_campaign_of_people_may_ask_for(changes: dict[str, Any], expected: list[str]) -> None:
    document = of_people(many=TO_PEOPLE | changes)
    found = faults(campaigns, document, ["acme"]) if expected else list(campaigns(document, ["acme"]))
    assert len(found) == 1
    assert all(line.startswith(f"many: {start}") for line, start in zip(found, expected, strict=False))


def test_the_age_of_a_build_is_for_what_has_no_days() -> None:
    (found,) = faults(campaigns, of_people(daily=DAILY | {"build_age_hours": 3}), ["acme"])
    assert found.startswith("daily: config.meta.export.build_age_hours: esp_events is by day")


def test_known_audiences_are_named() -> None:
    (found,) = faults(campaigns, of_people(many=TO_PEOPLE | {"audience": "x"}), ["acme"])
    assert found.endswith("with customer_id, is_unsubscribed, namespace; known: aud_few, aud_many")


def test_definitions_need_the_model_that_says_who_may_have_them() -> None:
    document = of_people(many=TO_PEOPLE, daily=DAILY)
    for exposure in document["exposures"].values():
        exposure["depends_on"]["nodes"].remove("model.p.definition_entitlements")
    (found,) = faults(campaigns, document, ["acme"])
    assert found.startswith("many: depends_on: must name ref('definition_entitlements')")


def test_definitions_come_last_in_the_integrations_order_and_once() -> None:
    one = campaigns(of_people(many=TO_PEOPLE | {"layout": {"columns": ["pclv"]}}), ["acme"])["many"]
    assert one.columns(["points", "pclv", "x", "points"]) == ("customer_id", "email", "pclv", "points")
    assert one.columns() == ("customer_id", "email", "pclv")
    other = campaigns(of_people(many=TO_PEOPLE), ["acme"])["many"]
    assert other.columns(["points", "pclv"]) == ("customer_id", "email", "points", "pclv")


@pytest.mark.parametrize(
    ("definitions", "expected"),
    [
        ({"acme": ["points", "pclv"], "bright": []}, {"acme": []}),
        (
            {"acme": ["points", "plcv"]},
            {"acme": ["integrations.acme.definitions: unknown 'plcv'; known: pclv, points (did you mean 'pclv'?)"]},
        ),
        ({"bright": ["plcv"]}, {}),  # to which only events go
        ({"other": ["plcv"]}, {}),
    ],
)
def test_definitions_are_those_of_the_integrations_campaigns(
    definitions: dict[str, list[str]], expected: dict[str, list[str]]
) -> None:
    exports = {"many": TO_PEOPLE, "daily": DAILY | {"integrations": ["acme", "bright"]}}
    found = campaigns(of_people(**exports), ["acme", "bright"])
    assert definition_faults(found, definitions) == expected


# All that people wrote


def declared(folder: Path, **entries: Any) -> Integrations:
    common = {"vendor_name": "A", "namespace": "a", "directory": "d", "destination": {"type": "hosted"}}
    document = {"integrations": {name: common | entry for name, entry in entries.items()}}
    (folder / "integrations.yml").write_text(json.dumps(document))
    return Integrations(folder / "integrations.yml")


def test_faults_of_all_files_are_said_at_once(tmp_path: Path) -> None:
    integrations = declared(tmp_path, acme={"directory": "..", "definitions": ["plcv"]}, bright={"bom": "x"})
    document = of_people(many=TO_PEOPLE, wrong=DAILY | {"dataset": "nosuch"}, daily=DAILY)
    document["nodes"]["model.p.eligibility"]["config"]["meta"]["dataset"] = {}
    with pytest.raises(ConfigError) as refused:
        read_campaigns(document, integrations, ())
    lines = refused.value.message.splitlines()
    assert [line for line in lines if not line.startswith("  ")] == [
        "The datasets have one fault:", "The campaigns have one fault:", "integrations.yml has 2 faults:",
    ]  # fmt: skip
    assert [line.split(":")[0].strip() for line in lines if line.startswith("  ")] == [
        "eligibility", "wrong", "integrations.acme.directory", "integrations.bright.bom",
    ]  # fmt: skip
    assert "models/campaigns" in refused.value.hint
    assert "integrations.yml" in refused.value.hint
    del document["exposures"]["exposure.p.wrong"]
    with pytest.raises(ConfigError, match=r"acme\.definitions: unknown 'plcv'; known: pclv") as again:
        read_campaigns(document, integrations, ())
    assert "docs/data-dictionary.md" in again.value.hint


def test_what_is_wrong_with_one_integration_is_told_of_it(tmp_path: Path) -> None:
    """As it stands, and with what its campaigns have."""
    entries = {"acme": {"definitions": ["plcv"], "bom": "x"}, "bright": {"definitions": ["plcv"]}, "ok": {}}
    known, wrong = read_campaigns(
        of_people(many=TO_PEOPLE | {"integrations": "all"}), declared(tmp_path, **entries), ()
    )
    assert known["many"].integrations == ("acme", "bright", "ok")
    undefined = "definitions: unknown 'plcv'; known: pclv, points (did you mean 'pclv'?)"
    assert list(wrong) == ["acme", "bright"]
    assert wrong["acme"][0].startswith("integrations.acme.bom: ")
    assert [wrong["acme"][1:], wrong["bright"]] == [[f"integrations.{name}.{undefined}"] for name in wrong]


def test_a_campaign_of_a_faulty_dataset_has_no_fault_of_its_own() -> None:
    document = manifest({"window": "event_day"}, daily=DAILY)
    (found,) = faults(campaigns, document, ["acme"])
    assert found.startswith("esp_events: config.meta.dataset.order_by: is required")


def test_what_is_read_is_what_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An integration that is not needed, and whose secret is not set, is known to campaigns and used by none."""
    monkeypatch.delenv("UNSET", raising=False)
    unset = {"vendor_name": "{{ env_var('UNSET') }}"}
    integrations = declared(tmp_path, acme={}, bright=unset)
    known, wrong = read_campaigns(manifest(daily=DAILY | {"integrations": "all"}), integrations, ("acme",))
    said = ["integrations.bright.vendor_name: the environment variable UNSET is not set"]
    assert (known["daily"].integrations, wrong) == (("acme", "bright"), {"bright": said})


def test_the_file_is_read_once(tmp_path: Path) -> None:
    integrations = declared(tmp_path, acme={"definitions": ["x"]}, bright={"namespace": "b"})
    (tmp_path / "integrations.yml").unlink()
    assert (integrations.names, integrations.clients) == (["acme", "bright"], ["a", "b"])
    assert integrations.definitions == {"acme": ("x",), "bright": ()}
    assert list(integrations.usable()) == ["acme", "bright"]


@pytest.mark.parametrize("entry", [5, "text", None, []])
def test_an_entry_that_is_no_mapping_is_a_fault_and_no_crash(tmp_path: Path, entry: Any) -> None:
    (tmp_path / "integrations.yml").write_text(json.dumps({"integrations": {"acme": entry}}))
    integrations = Integrations(tmp_path / "integrations.yml")
    assert (integrations.names, integrations.definitions) == (["acme"], {"acme": ()})
    assert faults(integrations.usable)[0].startswith("integrations.acme: Input should be")


@pytest.mark.parametrize(
    ("columns", "late_rows", "is_corrected"),
    [
        ({"unique_key": None, "updated_at": "internal"}, None, True),
        ({"unique_key": None, "updated_at": "internal"}, "correct", True),
        ({"unique_key": None, "updated_at": "internal"}, "ignore", False),
        ({"unique_key": None}, None, False),
        ({"updated_at": None}, None, False),
    ],
)
def test_late_rows_are_corrected_where_they_can_be_told(
    columns: dict[str, str | None], late_rows: str | None, is_corrected: bool
) -> None:
    chosen = {"namespace": None, "email": None, "event_day": "internal"} | columns
    found = datasets({"nodes": {"model.p.x": model("x", {"window": "event_day", "order_by": ["email"]}, chosen)}})["x"]
    assert campaign(of=found, late_rows=late_rows).is_corrected == is_corrected
    assert not campaign(of=dataset(window=None, columns=found.columns)).is_corrected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"key": "customer_id"}, "config.meta.dataset: key needs contacts, and contacts need key"),
        ({"contacts": ["email"]}, "config.meta.dataset: key needs contacts, and contacts need key"),
        (
            {"window": "email", "key": "customer_id", "contacts": ["email"]},
            "config.meta.dataset: key and contacts are for",
        ),
        ({"key": "x", "contacts": ["email"]}, "config.meta.dataset.key: no column 'x'"),
        ({"key": "customer_id", "contacts": ["email", "fax"]}, "config.meta.dataset.contacts: no column 'fax'"),
    ],
)
def test_faults_of_a_dataset_of_people(changes: dict[str, Any], expected: str) -> None:
    document = {"nodes": {"model.p.people": model("people", {"order_by": ["customer_id"]} | changes, OF_PEOPLE)}}
    (found,) = faults(datasets, document)
    assert found.startswith(f"people: {expected}")


def test_a_relation_is_that_of_the_model_or_seed_of_the_name() -> None:
    document = of_people()
    document["nodes"]["seed.p.codes"] = {"resource_type": "seed", "name": "codes", "relation_name": "c"}
    document["nodes"]["test.p.aud_few"] = {"resource_type": "test", "name": "nosuch", "relation_name": "t"}
    assert relation_of(document, "aud_few") == '"warehouse"."main"."aud_few"'
    assert relation_of(document, "codes") == "c"
    assert relation_of(document, "nosuch") is None

"""How the dbt side is made, as rules on its manifest. What a rule leaves out is in exceptions.csv, with the reason."""

from __future__ import annotations

import csv
import fnmatch
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from delivery.gate.lineage import Lineage

if TYPE_CHECKING:
    from projects import Copy

ROOT = Path(__file__).parents[2]
KEYS = {"unique", "unique_together", "is_key"}
NAME_LENGTH = 80  # longer ones are cut by dbt, and nobody reads them
# dbt-project-evaluator's own bounds.
FANOUT, JOINS, CHAIN = 3, 7, 5
PREFIXES = {"staging": {"base", "stg"}, "intermediate": {"int"}, "audiences": {"aud"}}
CONTRACTED = {"audiences", "exports", "marts"}
EVENTS = {
    "sendgrid.events", "platform.campaign_runs", "platform.halts", "platform.journeys", "platform.namespaces",
    "platform.unsubscribes",
}  # fmt: skip
ORDERS = {"commerce.orders", "platform.customers", "platform.namespaces"}
SOURCES_OF = {
    "esp_events": EVENTS,
    "email_unsubscribes": EVENTS,
    "email_eligibility": EVENTS | {"platform.customers"},
    "audience_attributes": EVENTS | ORDERS | {"commerce.products", "commerce.sessions", "data_science.scores"},
    "analytics_campaigns": EVENTS | ORDERS,
    "analytics_performance": EVENTS | ORDERS,
    "analytics_customers": ORDERS,
    "analytics_identification": {"commerce.sessions", "platform.namespaces"},
}


@pytest.fixture(scope="session")
def manifest(built: Copy) -> dict[str, Any]:
    """What dbt reads of the project."""
    found: dict[str, Any] = json.loads((built.root / "target" / "manifest.json").read_text(encoding="utf-8"))
    return found


def exceptions(rule: str) -> set[str]:
    """The names that a rule leaves out; each has a reason."""
    with (Path(__file__).parent / "exceptions.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["rule"] == rule]
    assert all(row["reason"] for row in rows)
    return {row["name"] for row in rows}


def of_type(manifest: dict[str, Any], resource_type: str) -> list[dict[str, Any]]:
    """The nodes of a type."""
    return [node for node in manifest["nodes"].values() if node["resource_type"] == resource_type]


def layer(node: dict[str, Any]) -> str:
    """The folder of models that a model lies in."""
    return str(node["fqn"][1])


def check(rule: str, broken: set[str]) -> None:
    """Nothing breaks the rule but its exceptions, and each exception, which may be a pattern, does."""
    excepted = {name: set(fnmatch.filter(broken, name)) for name in exceptions(rule)}
    assert broken == set().union(*excepted.values())
    assert [name for name, found in excepted.items() if not found] == []


def test_every_audience_is_tested_for_its_members(manifest: dict[str, Any]) -> None:
    tested = {
        test["attached_node"]
        for test in of_type(manifest, "test")
        if (test.get("test_metadata") or {}).get("name") == "is_member"
    }
    assert {node["unique_id"] for node in of_type(manifest, "model") if layer(node) == "audiences"} == tested


def test_every_model_has_a_tested_key(manifest: dict[str, Any]) -> None:
    keyed = {
        test["attached_node"]
        for test in of_type(manifest, "test")
        if (test.get("test_metadata") or {}).get("name") in KEYS
    }
    check("key", {model["name"] for model in of_type(manifest, "model") if model["unique_id"] not in keyed})


def test_staging_and_intermediate_are_private_and_the_rest_is_not(manifest: dict[str, Any]) -> None:
    private = {layer(model) for model in of_type(manifest, "model") if model["access"] == "private"}
    others = {layer(model) for model in of_type(manifest, "model") if model["access"] != "private"}
    assert private == {"staging", "intermediate"}
    assert not private & others


def test_no_layer_reads_a_later_one(manifest: dict[str, Any]) -> None:
    order = ["staging", "intermediate", "marts", "exports", "audiences"]
    broken = {
        model["name"]
        for model in of_type(manifest, "model")
        for parent in model["depends_on"]["nodes"]
        if parent.startswith("model.") and order.index(layer(manifest["nodes"][parent])) > order.index(layer(model))
    }
    check("layer", broken)


def test_each_source_is_read_by_one_model_of_its_own(manifest: dict[str, Any]) -> None:
    """A provider's events by the staging model that says what they mean, any other by a base model."""
    sources = {name: node for name, node in manifest["sources"].items() if node["package_name"] == "delivery"}
    read_by: dict[str, set[str]] = {source: set() for source in sources}
    for model in of_type(manifest, "model"):
        for parent in model["depends_on"]["nodes"]:
            if parent in read_by:
                read_by[parent].add(model["name"])
    assert read_by == {
        source: {f"{'stg' if node['name'] == 'events' else 'base'}_{node['source_name']}__{node['name']}"}
        for source, node in sources.items()
    }


def test_a_dataset_is_built_from_the_sources_that_its_rows_need(manifest: dict[str, Any]) -> None:
    """A fault in any other source is no reason to hold it back. A dataset that somebody adds need not be named here."""
    lineage = Lineage(manifest)
    read = {
        model["name"]: {
            f"{source['source_name']}.{source['name']}"
            for node in lineage.read([model["unique_id"]])
            if (source := lineage.nodes[node])["resource_type"] == "source"
        }
        for model in of_type(manifest, "model")
        if "dataset" in model["config"]["meta"]
    }
    assert {name: read.get(name) for name in SOURCES_OF} == SOURCES_OF


def models(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """This project's models, by id."""
    return {model["unique_id"]: model for model in of_type(manifest, "model") if model["package_name"] == "delivery"}


def parents(manifest: dict[str, Any]) -> dict[str, set[str]]:
    """Of each model: what it reads."""
    return {name: set(model["depends_on"]["nodes"]) for name, model in models(manifest).items()}


def children(manifest: dict[str, Any]) -> dict[str, set[str]]:
    """Of each node that a model reads: the models that do."""
    found: dict[str, set[str]] = {}
    for name, read in parents(manifest).items():
        for parent in read:
            found.setdefault(parent, set()).add(name)
    return found


def last(names: set[str]) -> set[str]:
    """Ids without what they have in common."""
    return {name.split(".")[-1] for name in names}


# The rules of dbt-project-evaluator, which is not installed: it would build models of its own in each warehouse. Those
# on keys, layers, contracts and descriptions are above and below.


def test_a_source_is_not_joined_with_a_model(manifest: dict[str, Any]) -> None:
    kinds = {name: {parent.split(".")[0] for parent in read} for name, read in parents(manifest).items()}
    check("source and model", last({name for name, read in kinds.items() if {"source", "model"} <= read}))


def test_a_model_reads_one_source_at_most_and_each_source_is_read(manifest: dict[str, Any]) -> None:
    read = {name: {one for one in read if one.startswith("source.")} for name, read in parents(manifest).items()}
    check("several sources", last({name for name, sources in read.items() if len(sources) > 1}))
    ours = {name for name, source in manifest["sources"].items() if source["package_name"] == "delivery"}
    assert ours == set().union(*read.values())


def test_a_model_reads_something_and_not_too_much(manifest: dict[str, Any]) -> None:
    read = parents(manifest)
    check("root", last({name for name in read if not read[name]}))
    check("joins", last({name for name in read if len(read[name]) > JOINS}))


def test_relations_are_named_by_ref_and_source(manifest: dict[str, Any]) -> None:
    written = re.compile(r"(?<!distinct )\b(?:from|join)\s+\w+\.\w+", re.IGNORECASE)
    plain = {
        name: re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|--[^\n]*", "", model["raw_code"], flags=re.DOTALL)
        for name, model in models(manifest).items()
    }
    check("hard-coded", last({name for name, sql in plain.items() if written.search(sql)}))


def test_no_model_is_read_by_many_that_nobody_reads(manifest: dict[str, Any]) -> None:
    """But for datasets and audiences, which are what leaves: there may be any number."""
    read_by, nodes = children(manifest), models(manifest)
    ends = {name for name in nodes.keys() - read_by.keys() if layer(nodes[name]) not in {"exports", "audiences"}}
    check("fanout", last({name for name, by in read_by.items() if len(by & ends) > FANOUT}))


def test_what_a_model_reads_is_not_read_again_by_its_only_reader(manifest: dict[str, Any]) -> None:
    read, read_by = parents(manifest), children(manifest)
    broken = {
        name
        for name in read
        for parent in read[name] & read.keys()
        if read[parent] & read[name] and read_by[parent] == {name}
    }
    check("rejoin", last(broken))


def test_views_do_not_stand_on_many_views(manifest: dict[str, Any]) -> None:
    read, nodes = parents(manifest), models(manifest)

    def depth(name: str) -> int:
        is_view = name in nodes and nodes[name]["config"]["materialized"] == "view"
        return 1 + max(map(depth, read[name]), default=0) if is_view else 0

    check("chain", last({name for name in nodes if depth(name) >= CHAIN}))


def test_names_and_places_say_the_layer(manifest: dict[str, Any]) -> None:
    """Marts and exports are bare plural nouns; whoever reads the rest knows by its prefix what it is."""
    known = set().union(*PREFIXES.values())
    for model in models(manifest).values():
        path, prefix = Path(model["original_file_path"]), model["name"].split("_")[0]
        assert prefix in PREFIXES[layer(model)] if layer(model) in PREFIXES else prefix not in known, model["name"]
        assert model["patch_path"] == f"delivery://{path.with_suffix('.yml')}"
        assert layer(model) != "staging" or model["name"].split("_", 1)[1].startswith(f"{path.parent.name}__"), path
    for source in manifest["sources"].values():
        if source["package_name"] == "delivery":
            system = source["source_name"]
            assert source["original_file_path"] == f"models/staging/{system}/_{system}__sources.yml"


def test_every_source_is_described_and_says_how_long_it_may_be_silent(manifest: dict[str, Any]) -> None:
    ours = [source for source in manifest["sources"].values() if source["package_name"] == "delivery"]
    assert all(source["description"] and source["source_description"] for source in ours)
    silent = {
        f"{source['source_name']}.{source['name']}"
        for source in ours
        if not any((source["freshness"].get(limit) or {}).get("count") for limit in ("warn_after", "error_after"))
    }
    check("freshness", silent)


def test_a_campaign_reads_tables_that_others_may_read(manifest: dict[str, Any]) -> None:
    for exposure in manifest["exposures"].values():
        for parent in exposure["depends_on"]["nodes"]:
            node = manifest["nodes"][parent]
            assert node["config"]["materialized"] not in {"view", "ephemeral"}, (exposure["name"], parent)
            assert node.get("access") != "private", (exposure["name"], parent)


def test_what_others_read_has_a_contract(manifest: dict[str, Any]) -> None:
    check(
        "contract",
        {
            model["name"]
            for model in of_type(manifest, "model")
            if layer(model) in CONTRACTED and not model["config"]["contract"]["enforced"]
        },
    )


def test_models_and_columns_are_described(manifest: dict[str, Any]) -> None:
    for model in of_type(manifest, "model"):
        assert model["description"], model["name"]
        assert [name for name, column in model["columns"].items() if not column["description"]] == [], model["name"]


def test_every_column_of_a_table_is_described(manifest: dict[str, Any], built: Copy) -> None:
    """A column that no yml names is built all the same."""
    with duckdb.connect(str(built.root / "warehouse.duckdb"), read_only=True) as connection:
        rows = connection.execute("select table_schema, table_name, column_name from information_schema.columns")
        there = set(rows.fetchall())
    named = {(m["schema"], m["name"], column) for m in of_type(manifest, "model") for column in m["columns"]}
    models = {(m["schema"], m["name"]) for m in of_type(manifest, "model")}
    assert models <= {(schema, table) for schema, table, _ in there}
    check("columns", {table for schema, table, column in there - named if (schema, table) in models})


def test_names_of_tests_can_be_read(manifest: dict[str, Any]) -> None:
    assert [test["name"] for test in of_type(manifest, "test") if len(test["name"]) >= NAME_LENGTH] == []


def test_every_macro_is_described_with_its_arguments(manifest: dict[str, Any]) -> None:
    for macro in manifest["macros"].values():
        if macro["package_name"] not in {"delivery", "dbt_delivery"}:
            continue
        written = rf"(?:macro\s+{macro['name']}|test\s+{macro['name'].removeprefix('test_')})"
        taken = re.search(rf"{written}\((.*?)\)\s*-?%}}", macro["macro_sql"], re.DOTALL)
        names = [argument.split("=")[0].strip() for argument in taken[1].split(",")] if taken and taken[1] else []
        assert macro["description"], macro["name"]
        assert [argument["name"] for argument in macro["arguments"]] == names, macro["name"]
        assert all(argument["description"] for argument in macro["arguments"]), macro["name"]


def test_a_change_of_any_column_that_a_client_reads_is_a_change(manifest: dict[str, Any]) -> None:
    nodes = manifest["nodes"]
    sql, kept = nodes["model.delivery.email_changes"]["raw_code"], {"unique_key", "event_day", "updated_at"}
    shared, others = (
        re.findall(r"'(\w+)'", "".join(re.findall(rf"set {name} = \[(.*?)\]", sql, re.DOTALL)))
        for name in ("shared", "others")
    )
    assert set(shared) == set(nodes["model.delivery.email_unsubscribes"]["columns"]) - kept
    columns = nodes["model.delivery.esp_events"]["columns"].items()
    extra = {name for name, column in columns if column["config"]["meta"].get("extra_field")}  # asked for by a macro
    assert {*shared, *others} == {name for name, _ in columns} - kept - extra


def test_growing_models_say_which_days_as_one_does(manifest: dict[str, Any]) -> None:
    growing = [model for model in of_type(manifest, "model") if "grows_by" in model["config"]["meta"]]
    for model in growing:
        name = model["name"]
        assert "model.delivery.int_days_due" in model["depends_on"]["nodes"], name
        assert f"{{{{ is_due('{name}') }}}}" in model["raw_code"]
        assert model["config"]["incremental_strategy"] == "append", name
        deletes = any("delete_days_due" in hook["sql"] for hook in model["config"]["pre-hook"])
        assert deletes == ("event_day" in model["columns"]), name
    assert len(growing) > 1


def test_unit_tests_write_sql_that_every_engine_reads() -> None:
    """Spark has no type `text`, nor `varchar` without a length: a fixture's first row has a value in each."""
    ymls = sorted((ROOT / "models").rglob("*.yml"))
    assert ymls
    unread = re.compile(r"\bas (text|varchar)\)|::")
    assert [path.name for path in ymls if unread.search(path.read_text(encoding="utf-8"))] == []


def test_what_differs_by_engine_is_dispatched() -> None:
    """In macros/engine, where each form is beside the others."""
    files = [path for folder in ("macros", "models") for path in sorted((ROOT / folder).rglob("*.sql"))]
    files = [path for path in files if path.parent.name != "engine"]
    asking = re.compile(r"(?:target\.type|adapter\.type\(\))")
    assert len(files) > 80
    assert [path.name for path in files if asking.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("folder", ["macros", "delivery/dbt_package/macros"])
def test_every_dispatched_macro_has_a_default(folder: str) -> None:
    """Another engine runs SQL that is the same everywhere, or is told which form it lacks: see make compile."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / folder).rglob("*.sql")))
    dispatched = set(re.findall(r"dispatch\('(\w+)'", text))
    assert dispatched
    assert dispatched - set(re.findall(r"macro default__(\w+)\(", text)) == set()

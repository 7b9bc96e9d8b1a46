"""Audiences in the built sample: what is rejected, and what one new entry in the yml does."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from raw_data import lines_of

if TYPE_CHECKING:
    from projects import Copy

YML = "models/exports/audience_attributes.yml"
ENTRIES = """
      - name: last_viewed_product_brand
        data_type: string
        description: The brand of the product last viewed.
        config:
          meta: {layout: optional, definition: {kind: product_attribute, product: last_viewed, attribute: brand}}
      - name: shoe_size_rounded
        data_type: bigint
        description: The shoe size, for a client that counts in whole sizes.
        config: {meta: {layout: optional, definition: {kind: customer_attribute, attribute: shoe_size}}}
      - name: complexion
        data_type: string
        description: The skin type.
        config:
          meta:
            layout: optional
            definition: {kind: customer_attribute, attribute: skin_type, namespaces: [acme_outdoor]}
"""


def rows(project: Copy, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(project.root / "warehouse.duckdb"), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_the_samples_rejects_are_those_that_its_readme_names(built: Copy) -> None:
    found = rows(built, "select reason, file_name, line_number from rejected_contacts where channel <> 'any'")
    at = {(reason, line) for reason, file, line in found if file == "platform/customers/untidy.ndjson"}
    assert len(at) < len(found) == 10  # a row without an id has two contacts on one line
    assert at == {
        ("wrong_length", 11),
        ("wrong_length", 12),
        ("not_a_number", 13),
        ("impossible_address", 14),
        ("impossible_address", 15),
        ("unknown_namespace", 17),
        ("no_id", 18),
        ("unknown_country", 21),
    }
    unreachable = rows(built, "select customer_id from rejected_contacts where reason = 'no_contact' order by 1")
    assert unreachable == [("cus-0113",), ("cus-0114",)]


def test_the_samples_phones_are_those_that_were_written(built: Copy) -> None:
    phones = dict(rows(built, "select customer_id, phone from audience_attributes where phone is not null"))
    for row in lines_of(built.root / "landing/platform/customers/customers.ndjson.gz"):
        assert phones.get(row["customer_id"]) == row["phone"]  # all of them in E.164 as they came
    national = {"cus-0104": "+12025550111", "cus-0105": "+447700900111", "cus-0106": "+493023125111"}
    other = {"cus-0107": "+447700900112", "cus-0108": "+493023125112", "cus-0109": "+447700900113"}
    assert {**national, **other}.items() <= phones.items()
    assert all(re.fullmatch(r"\+[1-9]\d{7,14}", phone) for phone in phones.values())


@pytest.mark.slow
def test_one_entry_adds_an_attribute(project: Copy) -> None:
    with project.own(YML).open("r+", encoding="utf-8") as file:
        text = file.read()
        file.seek(0)
        file.write(text.replace("\n\nunit_tests:", ENTRIES + "\nunit_tests:"))
    built = ("definitions", "audience_attributes", "rejected_records", "definition_entitlements")
    project.dbt("build", "--select", *built, "--vars", "as_of: 2026-11-04")
    table = rows(project, "from (describe audience_attributes) select column_name, column_type")
    types = {"last_viewed_product_brand": "VARCHAR", "shoe_size_rounded": "BIGINT", "complexion": "VARCHAR"}
    assert types.items() <= dict(table).items()
    query = "select {0}, count(*) from audience_attributes where {0} is not null group by 1 order by 1"
    brands = dict(rows(project, query.format("last_viewed_product_brand")))
    assert brands == {"Bloom": 1, "Lamb & Sons": 1, "Luna": 1, "Northway": 3, "Verlag Nord": 1}
    assert rows(project, query.format("complexion")) == [("oily", 1)]
    assert rows(project, "select detail from rejected_records where record_id = 'cus-0120'") == [("shoe_size_rounded",)]
    known = rows(project, "select namespace, entitled from definition_entitlements where definition = 'complexion'")
    assert dict(known) == {"acme_outdoor": True, "brightside_beauty": False, "nordlicht_books": False}
    manifest = json.loads((project.root / "target/manifest.json").read_text(encoding="utf-8"))
    columns = manifest["nodes"]["model.delivery.audience_attributes"]["columns"]
    assert columns["complexion"]["config"]["meta"]["layout"] == "optional"
    project.edit("integrations.yml", "      - favourite_activity\n", "      - shoe_size_rounded\n      - complexion\n")
    code, document = project.deliver(
        *("--build", "--select", "sms_launch", "--integration", "acme_share", "--at", "2026-11-10T06:00:00Z")
    )
    assert code == 0, document
    (file,) = (path for name, path in project.files().items() if name.endswith(".csv"))
    assert "pclv_band,shoe_size_rounded,complexion,last_viewed_product_name" in file.read_text().splitlines()[0]


def test_the_samples_audiences_leave_by_their_campaigns(project: Copy) -> None:
    """Members and columns are the tables'; who is entitled to nothing gets nothing."""
    at = ("--at", "2026-11-10T06:00:00Z")
    code, document = project.deliver("--select", "weekly_openers_without_purchase", "--select", "sms_launch", *at)
    assert code == 0, document
    for outcome in document["deliveries"]:
        audience = {"sms_launch": "aud_opted_in_with_phone"}.get(
            outcome["campaign"], "aud_recent_openers_without_purchase"
        )
        wanted = "" if outcome["campaign"] == "sms_launch" else " and not is_unsubscribed"
        ((count,),) = rows(
            project, f"select count(*) from {audience} where namespace = '{outcome['namespace']}'{wanted}"
        )
        assert outcome["rows"] == count > 0
    header = (project.root / "share/acme_outdoor/daily/sms_launch_2026-11-10.csv").read_text("utf-8").splitlines()[0]
    assert header.startswith("email,phone,is_unsubscribed,first_name,last_name,lifecycle_stage,pclv,pclv_band,")
    project.edit("integrations.yml", "namespace: brightside_beauty", "namespace: nordlicht_books")
    code, document = project.deliver("--select", "sms_launch", "--integration", "brightside_drop", *at)
    assert code == 3
    assert "customer_id: no contract for audience exports" in document["deliveries"][0]["message"]
    assert "skin_type: not an attribute of this client" in document["deliveries"][0]["message"]


@pytest.mark.slow
def test_faulty_entries_are_named_at_once(project: Copy) -> None:
    before = "definition: {kind: customer_attribute, namespaces: [acme_outdoor]}"
    project.edit(YML, before, "definition: {kind: customer_atribute, client: acme_outdoor}")
    project.edit(YML, "data_type: date\n", "data_type: day\n")
    done = project.dbt("compile", "--select", "definitions", check=False)
    assert done.returncode != 0
    for fault in (
        "favourite_activity: unknown key client; known: kind, attribute, product, namespaces",
        "shoe_size: unknown kind customer_atribute; known, by macros/definitions.sql: identity, consent,",
        "member_since: data_type is string, bigint,",
    ):
        assert fault in done.stdout

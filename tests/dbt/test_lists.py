"""The code lists that others keep are what their packages say, and do what these do."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import crawleruseragents
import duckdb
import phonenumbers
import pytest
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from seeds import refresh
from tests.dbt.test_seeds import PEOPLE, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from projects import Copy

REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)


@pytest.mark.parametrize("name", ["calling_codes", "known_bots"])
def test_a_list_is_what_the_installed_package_says(name: str) -> None:
    """Otherwise: `make lists`."""
    assert (refresh.SEEDS / f"{name}.csv").read_text(encoding="utf-8") == refresh.lists()[name]


# Programs


@pytest.fixture(scope="module")
def bots() -> re.Pattern[str]:
    """The patterns of known_bots as LIKE reads them, case and all."""
    patterns = [r["user_agent_pattern"] for r in rows("known_bots")]
    assert not [p for p in patterns if "\\" in p], "LIKE would take what follows as it is"
    likes = (re.escape(p).replace("%", ".*").replace("_", ".") for p in patterns)
    return re.compile("|".join(likes), re.DOTALL)


def test_every_program_that_the_list_has_seen_is_one(bots: re.Pattern[str]) -> None:
    seen = [agent for bot in crawleruseragents.CRAWLER_USER_AGENTS_DATA for agent in bot["instances"]]
    assert len(seen) > 2000
    assert not [agent for agent in seen if not bots.fullmatch(agent)]


def test_no_person_is_a_program(bots: re.Pattern[str]) -> None:
    proxies = [agent for agent, device in PEOPLE if device == "unknown"]
    assert not [agent for agent, _ in PEOPLE if bots.fullmatch(agent) and agent not in proxies]


# Phone numbers


@pytest.fixture(scope="module")
def judge(built: Copy) -> Iterator[duckdb.DuckDBPyConnection]:
    """The model of phone numbers, with one client in each region and the clients' numbers in table `given`."""
    manifest = json.loads((built.root / "target" / "manifest.json").read_text())
    compiled = manifest["nodes"]["model.delivery.int_contacts_judged"]["compiled_code"]
    model = re.sub(r'"\w+"\."main"\.("\w+")', r"\1", compiled)
    with duckdb.connect() as connection:
        connection.execute(f"attach '{built.root / 'warehouse.duckdb'}' as built (read_only)")
        connection.execute("create table calling_codes as from built.main.calling_codes")
        connection.execute("create table given (region varchar, number varchar)")
        connection.execute(
            "create view stg_platform__namespaces as select country as namespace, country as default_country"
            " from calling_codes"
        )
        connection.execute(
            "create view int_contacts_read as select region as namespace, number as customer_id, 'phone' as channel,"
            " 0 as position, number as contact, 'file' as file_name, 1 as line_number from given"
        )
        connection.execute(f"create view judged as {model}")
        yield connection


@pytest.mark.parametrize("kind", [PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE])
@pytest.mark.parametrize("form", [PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.E164])
def test_a_number_of_every_region_is_written_as_the_library_writes_it(
    kind: int, form: int, judge: duckdb.DuckDBPyConnection
) -> None:
    examples = {region: phonenumbers.example_number_for_type(region, kind) for region in REGIONS}
    given = {region: phonenumbers.format_number(number, form) for region, number in examples.items() if number}
    judge.execute("delete from given")
    judge.executemany("insert into given values (?, ?)", list(given.items()))
    found = dict(judge.sql("select namespace, contact from judged").fetchall())
    expected: dict[str, str | None] = {
        r: phonenumbers.format_number(examples[r], PhoneNumberFormat.E164) for r in given
    }
    if (form, kind) == (PhoneNumberFormat.NATIONAL, PhoneNumberType.MOBILE):
        expected["AR"] = None  # decision 0017: the 15 within Argentina's mobile numbers is not understood, and rejected
    assert {r: (given[r], found[r]) for r in given if found[r] != expected[r]} == {}

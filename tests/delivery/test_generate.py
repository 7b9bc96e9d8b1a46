"""The generator of raw data: exact, repeatable, and as untidy as the sample."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from raw_data import Event, Row, events_of, platform_of

from benchmarks import generate

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "landing"
DAYS = ["2026-02-27", "2026-02-28", "2026-03-01"]


def make(out: Path, **changes: Any) -> Path:
    settings = {"events": 3000, "days": 2, "namespaces": 3, "seed": 1, "start": date(2026, 2, 27)} | changes
    generate.generate(out, **settings)
    return out


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("generated"), events=16_001, days=3, namespaces=4, seed=7)


@pytest.fixture(scope="module")
def events(folder: Path) -> list[Event]:
    return events_of(folder)


@pytest.fixture(scope="module")
def platform(folder: Path) -> dict[str, list[Row]]:
    return platform_of(folder)


def test_same_seed_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "PART", 400)  # many files at a time
    first, second = digests(make(tmp_path / "a")), digests(make(tmp_path / "b"))
    assert first == second
    assert len([name for name in first if name.startswith("sendgrid/2026-02-27-0")]) == 4


def test_other_seed_other_events(tmp_path: Path) -> None:
    folders = [make(tmp_path / "a"), make(tmp_path / "b", seed=2)]
    first, second = map(digests, folders)
    assert first.keys() == second.keys()
    assert not [
        name for name in first if name.startswith(("sendgrid/", "platform/halts/")) and first[name] == second[name]
    ]
    first_emails, second_emails = ({event.payload.get("nqe") for event in events_of(folder)} for folder in folders)
    assert first_emails & second_emails <= {None}  # other emails, not the same ones in another order


@pytest.mark.parametrize(("count", "days", "namespaces"), [(1, 1, 1), (3, 5, 2), (1000, 7, 40), (10_001, 3, 1)])
def test_counts_are_exact(tmp_path: Path, count: int, days: int, namespaces: int) -> None:
    folder = make(tmp_path, events=count, days=days, namespaces=namespaces)
    per_day = Counter(event.day for event in events_of(folder))
    assert sum(per_day.values()) == count
    assert max(per_day.values()) - min(per_day.values()) <= 1
    assert len(per_day) == min(count, days)
    entities = platform_of(folder)
    assert len(entities["namespaces"]) == namespaces
    assert len(entities["campaign_runs"]) == 4 * namespaces * days


@pytest.mark.parametrize("largest", [0.0, 0.5, 0.9])
def test_the_first_client_has_its_share_and_the_others_differ(tmp_path: Path, largest: float) -> None:
    rows = Counter(event.payload.get("namespace") for event in events_of(make(tmp_path, namespaces=9, largest=largest)))
    assert rows["client_0000"] / 3000 == pytest.approx(largest, abs=0.05)
    others = [rows[f"client_{number:04}"] for number in range(1, 9)]
    assert min(others) > 0
    assert others[0] == max(others) > 2 * others[-1]


def test_a_file_holds_its_day_in_order(folder: Path, events: list[Event]) -> None:
    times = defaultdict(list)
    for event in events:
        assert event.day in event.file or event.day.replace("-", "") in event.file
        times[event.file].append(event.received_at)
    assert {event.day for event in events} == set(DAYS)
    assert all(received == sorted(received) for received in times.values())
    for entity in ("halts", "unsubscribes"):
        for path in (folder / "platform" / entity).iterdir():
            rows = platform_of(folder)[entity]
            assert any(row["received_at"].startswith(path.name[:10]) for row in rows)


def test_entities_have_the_fields_of_the_sample(platform: dict[str, list[Row]]) -> None:
    sample = platform_of(SAMPLE)
    assert platform.keys() == sample.keys()
    for entity, rows in platform.items():
        fields = {tuple(sorted(row)) for row in rows}
        assert fields == {max((tuple(sorted(row)) for row in sample[entity]), key=len)}, entity


def test_records_of_the_shop_have_the_fields_of_the_sample(folder: Path) -> None:
    for system in ("commerce", "data_science"):
        sample, made = platform_of(SAMPLE, system), platform_of(folder, system)
        assert made.keys() == sample.keys()
        for entity, rows in made.items():
            assert {tuple(sorted(row)) for row in rows} == {tuple(sorted(sample[entity][0]))}, entity


def test_what_the_shop_names_is_known(tmp_path: Path) -> None:
    generate.generate(tmp_path, events=10, days=1, namespaces=3, seed=1, start=date(2026, 11, 1), customers=900)
    people = {(row["namespace"], row["customer_id"]) for row in platform_of(tmp_path)["customers"]}
    assert len(people) == 900
    shop, scores = platform_of(tmp_path, "commerce"), platform_of(tmp_path, "data_science")["scores"]
    for rows in (shop["orders"], shop["sessions"], scores):
        named = {(row["namespace"], row["customer_id"]) for row in rows}
        assert {who for who in named if who[1]} <= people
    assert len(scores) == 900 * 9 // 10 * len(generate.MODELS)
    assert len({(row["namespace"], row["order_id"]) for row in shop["orders"]}) == len(shop["orders"]) > 500
    bought = Counter((row["namespace"], row["customer_id"]) for row in shop["orders"])
    assert max(bought.values()) > 3
    assert 0.3 < len(bought) / len(people) < 0.7
    catalogue = {(row["namespace"], row["product_id"]) for row in shop["products"]}
    lines = [(row["namespace"], row["lines"][0]["product_id"]) for row in shop["orders"]]
    assert 0 < sum(line not in catalogue for line in lines) < len(lines) / 10
    assert {row["customer_id"] is None for row in shop["orders"]} == {True, False}


def test_what_events_name_is_known(events: list[Event], platform: dict[str, list[Row]]) -> None:
    runs = {(row["namespace"], row["campaign_run_id"]): row for row in platform["campaign_runs"]}
    people = {(row["namespace"], row["email"].lower()) for row in platform["customers"]}
    unknown = 0
    for payload in (event.payload for event in events):
        run = runs.get((payload.get("namespace"), payload.get("campaign_run_id")))
        if run is None or not payload["email"].strip():
            unknown += 1
            continue
        audiences = run["audience_id"]
        assert payload["audience_id"] == ("|".join(audiences) if isinstance(audiences, list) else audiences)
        assert int(payload["campaign_id"]) == run["campaign_id"]
        assert payload.get("journey_id") == run["journey_id"]
        assert (run["namespace"], payload["email"].strip().lower()) in people
    assert 0 < unknown < len(events) / 200


def test_an_email_keeps_its_client_run_and_address(events: list[Event]) -> None:
    facts = defaultdict(set)
    for payload in (event.payload for event in events if "nqe" in event.payload):
        for name in ("namespace", "campaign_run_id", "email"):
            if value := payload.get(name, "").strip().lower().replace("ghost_store", "").replace("run-0", "run-0"):
                facts[payload["nqe"], name].add(value)
    assert not [key for key, values in facts.items() if len(values - {"run-0"}) > 1]


def test_funnel_is_realistic(events: list[Event]) -> None:
    kinds = Counter(event.payload["event"] for event in events)
    assert 0.9 < kinds["delivered"] / kinds["processed"] < 1
    assert 0.2 < kinds["open"] / kinds["delivered"] < 0.6
    assert 0.05 < kinds["click"] / kinds["delivered"] < 0.2


def posted_twice(events: list[Event], *, days: int, with_id: bool) -> bool:
    received = defaultdict(list)
    for event in events:
        if ("sg_event_id" in event.payload) == with_id:
            received[json.dumps(event.payload)].append(event)
    return any(len(twice) == 2 and len({event.day for event in twice}) == days for twice in received.values())


def told_out_of_order(events: list[Event]) -> bool:
    times: dict[str, dict[str, str]] = defaultdict(dict)
    for event in events:
        times[event.payload.get("nqe", "")].setdefault(event.payload["event"], event.received_at)
    return any(seen.get("click", "9") < seen.get("delivered", "") for seen in times.values())


def some(test: Callable[[Row], bool]) -> Callable[[list[Event]], bool]:
    return lambda events: any(test(event.payload) for event in events)


UNTIDY: dict[str, Callable[[list[Event]], bool]] = {
    "posted twice": lambda events: posted_twice(events, days=1, with_id=True),
    "posted again after midnight": lambda events: posted_twice(events, days=2, with_id=True),
    "posted again after midnight, without id": lambda events: posted_twice(events, days=2, with_id=False),
    "out of order": told_out_of_order,
    "category a string": some(lambda row: isinstance(row.get("category"), str)),
    "category a list": some(lambda row: isinstance(row.get("category"), list)),
    "timestamp a number": some(lambda row: isinstance(row["timestamp"], int)),
    "timestamp a text": some(lambda row: isinstance(row["timestamp"], str)),
    "campaign_id a number": some(lambda row: isinstance(row.get("campaign_id"), int)),
    "campaign_id a text": some(lambda row: isinstance(row.get("campaign_id"), str)),
    "no sg_event_id": some(lambda row: "sg_event_id" not in row),
    "hard bounce": some(lambda row: row["event"] == "bounce" and row["type"] == "bounce"),
    "soft bounce": some(lambda row: row["event"] == "bounce" and row["type"] == "blocked"),
    "dropped": some(lambda row: row["event"] == "dropped" and "reason" in row),
    "deferred": some(lambda row: row["event"] == "deferred"),
    "spam report": some(lambda row: row["event"] == "spamreport"),
    "unsubscribe": some(lambda row: row["event"] == "unsubscribe"),
    "group_unsubscribe": some(lambda row: row["event"] == "group_unsubscribe"),
    "group_resubscribe": some(lambda row: row["event"] == "group_resubscribe"),
    "processed": some(lambda row: row["event"] == "processed"),
    "opened by a proxy": some(lambda row: row.get("sg_machine_open") is True),
    "clicked by a bot": some(lambda row: row["event"] == "click" and "bot" in row["useragent"].lower()),
    "account event without an email": some(lambda row: "email" not in row),
    "unknown type": some(lambda row: row["event"] == "amp_rendered"),
    "empty email": some(lambda row: row.get("email") == ""),
    "email in upper case": some(lambda row: row.get("email", "").isupper()),
    "email with spaces": some(lambda row: row.get("email", "").strip() not in ("", row.get("email"))),
    "unknown fields": some(lambda row: "pool" in row),
    "no namespace": some(lambda row: "email" in row and "namespace" not in row),
    "unknown namespace": some(lambda row: row.get("namespace") == "ghost_store"),
    "no run": some(lambda row: "email" in row and "campaign_run_id" not in row),
    "unknown run": some(lambda row: row.get("campaign_run_id") == "run-0"),
    "several audiences": some(lambda row: "|" in row.get("audience_id", "")),
    "journey": some(lambda row: "journey_id" in row),
    "click url with a query": some(lambda row: "?utm_source=" in row.get("url", "")),
    "phone": some(lambda row: "iPhone" in row.get("useragent", "")),
    "tablet": some(lambda row: "iPad" in row.get("useragent", "")),
    "desktop": some(lambda row: "Windows NT 10" in row.get("useragent", "")),
    "array in a line": lambda events: any(event.file.endswith("-posts.ndjson") for event in events),
    "POST body": lambda events: any(event.file.endswith(".json") for event in events),
    "POST body, gzip": lambda events: any(event.file.endswith(".json.gz") for event in events),
    "next day": lambda events: any(
        event.payload.get("campaign_run_id", "")[-8:] == "20260227" for event in events if event.day == "2026-02-28"
    ),
}


@pytest.mark.parametrize("name", UNTIDY)
def test_events_are_untidy(name: str, events: list[Event]) -> None:
    assert UNTIDY[name](events)


def test_soft_bounces_reach_the_limit(events: list[Event], platform: dict[str, list[Row]]) -> None:
    limits = {row["namespace"]: row["soft_bounce_limit"] or 10 for row in platform["namespaces"]}
    blocked = Counter(
        (row["namespace"], row["email"]) for row in (event.payload for event in events) if row.get("type") == "blocked"
    )
    assert any(count >= limits[namespace] for (namespace, _), count in blocked.items())
    assert any(count < limits[namespace] for (namespace, _), count in blocked.items())


def test_names_are_untidy(platform: dict[str, list[Row]]) -> None:
    runs = platform["campaign_runs"]
    texts = [row[name] for row in runs for name in ("campaign_name", "subject_line")]
    for sign in ("✨", '"', ",", "\n", "|", "'"):
        assert any(sign in text for text in texts), sign
    names = defaultdict(set)
    for row in runs:
        names[row["campaign_id"]].add(row["campaign_name"])
    renamed = [key for key, different in names.items() if len(different) > 1]
    assert renamed
    current = {row["campaign_id"]: row["campaign_name"] for row in platform["campaigns"]}
    last = {row["campaign_id"]: row["campaign_name"] for row in sorted(runs, key=lambda row: row["campaign_run_time"])}
    assert all(current[key] == last[key] for key in renamed)
    assert {row["tracking_parameters"] is None for row in runs} == {True, False}
    assert {row["campaign_classification"] for row in runs} > {"Batch", "Promotional", "Triggered", "Transactional"}


@pytest.mark.parametrize(("entity", "key"), [("halts", "halt_id"), ("unsubscribes", "unsubscribe_id")])
def test_halts_and_unsubscribes_are_untidy(entity: str, key: str, platform: dict[str, list[Row]]) -> None:
    rows = platform[entity]
    days = defaultdict(list)
    for row in rows:
        days[row[key]].append(row["received_at"][:10])
    repeated = {len(set(seen)) for seen in days.values() if len(seen) > 1}
    assert repeated == {1, 2}  # on one day, and over midnight
    assert {row["email"] is None for row in rows} == {True, False}
    assert {row["received_at"][:10] for row in rows} == set(DAYS)


def test_halts_have_every_reason_and_unsubscribes_every_source(platform: dict[str, list[Row]]) -> None:
    assert len({row["reason"] for row in platform["halts"]}) == 4
    assert any(row["campaign_run_id"] == "run-0" for row in platform["halts"])
    taken = platform["unsubscribes"]
    assert {row["source"] for row in taken} == {*generate.SOURCES, "Preference Centre"}
    assert {row["source"] for row in taken if row["nqe"] is None} == {"Manual", "Email File", "Preference Centre"}


def test_unsubscribes_are_about_emails_that_were_sent(events: list[Event], platform: dict[str, list[Row]]) -> None:
    sent = {row["nqe"]: row for row in (event.payload for event in events) if row["event"] == "processed"}
    linked = [(row, sent[row["nqe"]]) for row in platform["unsubscribes"] if row["nqe"] in sent]
    assert len(linked) > 10
    assert all(row["campaign_run_id"] == email["campaign_run_id"] for row, email in linked)
    assert any(row["email"] == email["email"] for row, email in linked)


def test_customers_say_yes_and_no(platform: dict[str, list[Row]]) -> None:
    customers = platform["customers"]
    assert {row["email_consent"] for row in customers} == {True, False}
    assert {row["phone"] is None for row in customers} == {True, False}
    assert len({(row["namespace"], row["customer_id"]) for row in customers}) == len(customers)
    assert all(row["email"].lower().split("@")[1].startswith("example.") for row in customers)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--events", "0"],
        ["--events", "-5"],
        ["--events", "many"],
        ["--events", "10", "--days", "0"],
        ["--events", "10", "--namespaces", "-1"],
        ["--events", "10", "--seed", "-1"],
        ["--events", "10", "--start", "yesterday"],
        [],
    ],
)
def test_bad_arguments_are_refused(tmp_path: Path, arguments: list[str]) -> None:
    result = CliRunner().invoke(generate.main, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "out").exists()


def test_a_full_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    result = CliRunner().invoke(generate.main, ["--events", "10", "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert "is not empty" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(generate.main, ["--events", "10", "--out", str(tmp_path / "file" / "out")])
    assert (result.exit_code, "Error: " in result.stderr) == (1, True)


def test_figures_are_one_json_line(tmp_path: Path) -> None:
    out = tmp_path / "it's here"
    command = [sys.executable, "-m", "benchmarks.generate", "--events", "500", "--days", "2", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    figures = json.loads(done.stdout)
    assert figures["events"] == len(events_of(out)) == 500
    assert figures["files"] == len(digests(out))


@pytest.mark.slow
def test_a_million_events_are_made_in_flat_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.generate", "--events", "1000000", "--days", "2", "--out"]
    done = subprocess.run([*command, str(tmp_path / "out")], capture_output=True, text=True, check=True, cwd=ROOT)
    shutil.rmtree(tmp_path / "out")  # half a gigabyte
    assert json.loads(done.stdout)["peak_memory_mb"] < 500

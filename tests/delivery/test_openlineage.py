"""`delivery run --openlineage`: a run as events of OpenLineage, by what its schema (spec 2-0-2) requires."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from projects import AT, DAY

if TYPE_CHECKING:
    from pathlib import Path

    from projects import Copy


def read(path: Path) -> list[dict[str, Any]]:
    """The events of a file, each with the fields that it must have, of their kinds."""
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for event in found:
        assert datetime.fromisoformat(event["eventTime"]).tzinfo
        assert event["schemaURL"] == "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
        assert event["producer"].startswith("urn:dbt-delivery:")
        UUID(event["run"]["runId"])
        assert all(isinstance(event["job"][key], str) for key in ("namespace", "name"))
        for dataset in event["inputs"] + event["outputs"]:
            assert all(isinstance(dataset[key], str) for key in ("namespace", "name"))
        for facet in (facet for dataset in event["outputs"] for facet in dataset["outputFacets"].values()):
            assert facet["_producer"] == event["producer"]
            assert facet["_schemaURL"].startswith("https://openlineage.io/spec/facets/")
    return found


def test_a_run_is_told_once(project: Copy) -> None:
    """What was delivered with its files, what is held as failed; the next run adds what it had in hand, and no more."""
    taken = project.root / "share/acme_outdoor/daily/daily_esp_events_2026-11-03.csv"
    taken.parent.mkdir(parents=True)
    taken.write_text("another file\n", encoding="utf-8")
    log = project.root / "lineage.ndjson"
    run = ("run", "--window", DAY, "--at", AT, "--openlineage", str(log))
    assert project.delivery(*run, "--dry-run").exit_code == 0
    assert not log.exists()
    project.delivery(*run)
    found = read(log)
    kinds = {event["job"]["name"]: [] for event in found} | {}
    for event in found:
        kinds[event["job"]["name"]].append((event["eventType"], event["run"]["runId"]))
    assert len(kinds) == 4
    for name, told in kinds.items():
        ended = "FAIL" if name == "daily_esp_events.acme_share" else "COMPLETE"
        assert [kind for kind, _ in told] == ["START", ended]
        assert len({run_id for _, run_id in told}) == 1
    assert len({event["run"]["runId"] for event in found}) == 4
    (complete,) = [
        event for event in found
        if event["job"]["name"] == "daily_esp_events.brightside_drop" and event["eventType"] == "COMPLETE"
    ]  # fmt: skip
    assert complete["inputs"] == [{"namespace": "duckdb", "name": "warehouse.main.esp_events"}]
    (file,) = complete["outputs"]
    sent = project.root / "share/brightside_beauty/intake" / file["name"]
    statistics = file["outputFacets"]["outputStatistics"]
    assert (statistics["size"], statistics["rowCount"]) == (sent.stat().st_size, 25)
    assert file["namespace"] == str(sent.parent)
    assert "example.com" not in log.read_text(encoding="utf-8").replace("shop.example.com", "")

    taken.unlink()
    project.delivery(*run)
    assert {event["job"]["name"] for event in read(log)[len(found) :]} <= {"daily_esp_events.acme_share"}


def test_a_file_that_cannot_be_written_fails_no_run(project: Copy) -> None:
    run = ("run", "--window", DAY, "--at", AT, "--openlineage", str(project.root / "no" / "such" / "folder"))
    done = project.delivery(*run)
    assert done.exit_code == 0
    assert "has no lineage of this run: No such file or directory" in done.stderr

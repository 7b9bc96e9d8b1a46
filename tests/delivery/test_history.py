"""History: which delivery an id means, and which are the latest."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from builders import job

from delivery.config.project import Project
from delivery.errors import ConfigError
from delivery.ledger import Ledger
from delivery.operations import status

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Five deliveries of two campaigns; two ids begin alike, and one has a character that a pattern would not."""
    made = Project(tmp_path, "dev", {}, tmp_path, tmp_path, f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with closing(Ledger(made.ledger_url)) as ledger:
        for day, (key, campaign) in enumerate(
            (("abc1", "daily"), ("abd2", "weekly"), ("a_e3", "daily"), ("f4", "daily"), ("f5", "weekly")), start=1
        ):
            row = job(f"2026-11-{day:02} 05:00").record("/share", None)
            ledger.plan(**row | {"id": key, "campaign": campaign, "revision": day})
        ledger.spooled("f4", [{"part": 0, "role": "data", "name": "f", "spool": "s", "rows": 1, "bytes": 1,
                               "sha256": "x", "destination": "/share"}])  # fmt: skip
        ledger.keep_probe("/share", "rename", {}, "")
        ledger.keep_probe("/other", None, {}, "")
    return made


@pytest.mark.parametrize(
    ("campaign", "limit", "keys"),
    [
        (None, 9, ["abc1", "abd2", "a_e3", "f4", "f5"]),
        (None, 2, ["f4", "f5"]),
        ("daily", 9, ["abc1", "a_e3", "f4"]),
        ("daily", 1, ["f4"]),
        ("nightly", 9, []),
    ],
)
def test_the_latest_come_last(project: Project, campaign: str | None, limit: int, keys: list[str]) -> None:
    assert [row.id for row, *_ in status.latest(project, campaign, limit)] == keys


def test_an_id_may_be_short_as_long_as_it_is_one(project: Project) -> None:
    delivery, files, steps, _ = status.one(project, "f4")
    assert (delivery.id, [file.delivery_id for file in files]) == ("f4", ["f4"])
    assert [step for _, step, _ in steps] == ["planned", "spooled"]
    assert status.one(project, "abc")[0].id == "abc1"
    assert status.one(project, "a_")[0].id == "a_e3", "no pattern"
    for start, count in (("ab", 2), ("f", 2), ("x", 0), ("%", 0)):
        with pytest.raises(ConfigError, match=f"^{count} deliveries have an id that begins with '{start}'"):
            status.one(project, start)


def test_each_delivery_has_its_destinations_method(project: Project) -> None:
    assert {method for _, method, _ in status.latest(project, None, 9)} == {"rename"}
    with closing(Ledger(project.ledger_url)) as ledger:
        ledger.keep_probe("/share", None, {}, "")
    assert {method for _, method, _ in status.latest(project, None, 9)} == {None}

"""Two held deliveries of two clients in the small project: what is decided on one touches nothing of the other."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from small_project import AT, DAY, make_project

from delivery import run as runner
from delivery.config.project import Project
from delivery.errors import ConfigError
from delivery.ledger import Ledger, deliveries
from delivery.operations.holds import release
from delivery.operations.status import held
from delivery.progress import Watch
from delivery.schedule.request import Request

if TYPE_CHECKING:
    from pathlib import Path

    from delivery.ledger import Delivery

BOTH = ("by_share", "share_of_cedar_books")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    root, state = tmp_path / "project", tmp_path / "state"
    make_project(root, rows=2)
    profile = {"type": "duckdb", "path": "warehouse.duckdb"}
    made = Project(root, "duckdb", profile, state, tmp_path / "share", f"sqlite:///{state / 'ledger.sqlite'}")
    for client in ("acme_outdoor", "cedar_books"):
        inbox = tmp_path / "share" / client / "inbox"
        inbox.mkdir(parents=True)
        (inbox / f"daily_{DAY}.csv").write_text("a stranger's")
    found = runner.run(made, Request(at=AT, window=DAY, integrations=BOTH), Watch())
    assert [one.state for one in found] == ["held", "held"]
    return made


def theirs(project: Project) -> dict[str, Delivery]:
    with closing(Ledger(project.ledger_url)) as ledger:
        return {row.integration: row for row in ledger.find()}


@pytest.mark.parametrize(
    ("decision", "state"), [("resend", "spooled"), ("accept", "delivered"), ("cancel", "cancelled")]
)
def test_what_is_decided_on_one_is_nothing_to_the_other(project: Project, decision: str, state: str) -> None:
    before = theirs(project)
    one = before["by_share"]
    released = release(project, one.id[:12], decision, "asked")
    assert (released.id, released.state) == (one.id, state)
    assert released.note.startswith(f"released by a person: {decision}, asked")
    assert [row.integration for row in held(project)] == ["share_of_cedar_books"]
    assert theirs(project)["share_of_cedar_books"] == before["share_of_cedar_books"]
    spools = {path.name for path in project.spool.iterdir()}
    assert before["share_of_cedar_books"].id[:32] in spools
    assert (one.id[:32] in spools) == (decision != "cancel")
    with closing(Ledger(project.ledger_url)) as ledger:
        assert set(ledger.layouts()) == ({("daily", "by_share")} if decision == "accept" else set())


def test_an_id_must_be_of_one_held_delivery(project: Project) -> None:
    for start, count in (("", 2), ("nothing", 0)):
        with pytest.raises(ConfigError, match=f"{count} held deliveries have an id that begins with '{start}'"):
            release(project, start, "accept", "asked")
    release(project, theirs(project)["by_share"].id, "accept", "asked")
    with pytest.raises(ConfigError, match="0 held or planned deliveries"):
        release(project, theirs(project)["by_share"].id, "cancel", "asked")


@pytest.mark.parametrize(
    ("published", "state"), [([], "planned"), ([1], "refused"), ([0], "spooled"), ([0, 1], "spooled")]
)
def test_a_changed_spool_is_written_anew_unless_a_part_has_left(
    project: Project, published: list[int], state: str
) -> None:
    """The first of two files was changed on the disk: that matters only where it has not left."""
    one = theirs(project)["by_share"]
    with closing(Ledger(project.ledger_url)) as ledger:
        with ledger.storage.begin() as connection:
            connection.execute(deliveries.update().where(deliveries.c.id == one.id).values(holder=None))
        for file in ledger.files(one.id):
            if file.part in published:
                ledger.advance_file(file, "published")
    (project.spool / one.id[:32] / f"daily_{DAY}.csv").write_text("changed")
    if state == "refused":
        with pytest.raises(ConfigError, match="Part of the delivery has been handed over"):
            release(project, one.id, "resend", "asked")
    else:
        assert release(project, one.id, "resend", "asked").state == state

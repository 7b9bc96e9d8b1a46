"""Whether a ledger is the one that a state directory knows, and what must not be in one; each beside a neighbour."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from builders import window
from test_ledger import file_row, planned, spooled

from delivery.errors import ConfigError
from delivery.ledger import Ledger
from delivery.ledger.identity import Runner, recognise, this_runner
from delivery.ledger.opened import save_daily
from delivery.operations.health import problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", "one")) as opened:
        yield opened


@pytest.mark.parametrize(
    ("steps", "known", "seen", "spools", "refused"),
    [
        # steps of the ledger; whose the state directory is, how far it has seen; whether it has a spool
        (0, None, 0, False, None),
        (2, None, 0, True, None),
        (0, None, 0, True, "is new, and 1 deliveries of another one are spooled"),
        (2, "own", 2, True, None),
        (2, "own", 1, False, None),
        (2, "own", 3, False, "ends at step 2, and "),
        (2, "other", 1, False, "is not the one that "),
        (0, "other", 1, False, "is new, and "),
    ],
)
def test_a_ledger_is_recognised(
    ledger: Ledger, tmp_path: Path, steps: int, known: str | None, seen: int, spools: bool, refused: str | None
) -> None:
    for number in range(steps):
        planned(ledger, revision=number)
    state = tmp_path / "state"
    (state / "spool" / "empty").mkdir(parents=True)
    if spools:
        (state / "spool" / "one").mkdir()
        (state / "spool" / "one" / "f").touch()
    own = ledger.identity()[0]
    runner = Runner("one", {"own": own, "other": "another"}.get(known or ""), seen)
    if refused:
        with pytest.raises(ConfigError, match=refused):
            recognise(state, runner, ledger)
        assert not (state / "runner.json").exists()
        return
    recognise(state, runner, ledger)
    assert (state / "runner.json").exists() == (known is None)
    if known is None:
        assert this_runner(state) == Runner("one", own, steps)
        assert (state / "runner.json").stat().st_mode & 0o777 == 0o600


def test_a_new_state_directory_gets_a_name_of_its_own(tmp_path: Path) -> None:
    names = {this_runner(tmp_path / name).name for name in ("a", "b")}
    assert len(names) == 2
    assert all("/" in name for name in names)


def test_only_what_is_ours_and_not_as_it_must_be_is_a_problem(ledger: Ledger, tmp_path: Path) -> None:
    def delivered(day: int, state: str, note: str = "") -> None:
        key = spooled(ledger, days=window(f"2026-11-{day:02}", f"2026-11-{day + 1:02}"))
        for file in ledger.files(key):
            if file.state != state:
                ledger.advance_file(file, state)
        ledger.advance(key, "spooled", "delivered", note=note)

    delivered(1, "published")
    delivered(2, "pruned")
    delivered(3, "uploaded", note="released by a person: accept")
    delivered(4, "uploaded")
    with closing(Ledger(ledger.storage.url.render_as_string(), "two")) as other:
        spooled(other, days=window("2026-11-05", "2026-11-06"))
    key = planned(ledger, days=window("2026-11-06", "2026-11-07"))
    gone = str(tmp_path / "gone.csv")
    ledger.spooled(key, [file_row(0, spool=gone), file_row(1, spool=gone)])
    ledger.advance_file(ledger.files(key)[1], "published")
    held = spooled(ledger, days=window("2026-11-07", "2026-11-08"))
    ledger.advance(held, "spooled", "held")
    found = list(problems(ledger, "one"))
    assert [one.split(" is ")[0].split(": ")[0] for one in found] == [
        "daily to acme [2026-11-04, 2026-11-05)", "daily to acme [2026-11-06, 2026-11-07)",
    ]  # fmt: skip
    assert found[0].endswith("is delivered, and f0.csv, f1.csv never was")


def test_copies_of_the_last_seven_days_are_kept(ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    for day in range(1, 10):
        (folder / f"ledger-2020-11-{day:02}.sqlite").touch()
    (folder / "ledger-by-hand.txt").touch()
    save_daily(ledger, folder)
    save_daily(ledger, folder)
    kept = sorted(path.name for path in folder.iterdir())
    assert kept[:6] == [f"ledger-2020-11-{day:02}.sqlite" for day in range(4, 10)]
    assert len(kept) == 8
    assert kept[-1] == "ledger-by-hand.txt"

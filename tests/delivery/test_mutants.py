"""The faults that `make mutants` draws: small ones that can be put in; what is listed by hand still stands there."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.faults.mutations import GUARDS  # noqa: E402
from tests.mutants import python_changes, reached, sql_changes  # noqa: E402
from tests.mutants.forked import Silence, _starved  # noqa: E402
from tests.mutants.python_judge import ordered  # noqa: E402
from tests.mutants.reached import Reached  # noqa: E402
from tests.mutants.rooms import draw, equivalent, is_chosen  # noqa: E402

PYTHON = """\
__all__ = ["due", "NAMES"]
LIMIT = 3
NAMES = {"first", "second"}


def due(rows, until, *, every=4):
    if not rows:
        raise ValueError("no rows are live and due, where none was to come: dbt build --select x")
    return [f"select distinct a from t where day < '{until}'" for row in rows if row.day <= until and row.live]
"""
SQL = """\
select distinct a, coalesce(b, 0) as b
from {{ ref('x') }} as x left join y on x.a = y.a and x.n = y.n -- a < b
where day between '1' and '2' and day < {{ as_of() }} and kind in ('p', 'q')
qualify row_number() over (partition by a, n order by b desc, c) = 1
"""


def after(changes: list, text: str) -> set[str]:  # type: ignore[type-arg]
    return {change.diff(text)[1] for change in changes}


def test_each_guard_can_be_removed() -> None:
    texts = {guard.file: (ROOT / "delivery" / guard.file).read_text() for guard in GUARDS}
    assert [guard.name for guard in GUARDS if texts[guard.file].count(guard.before) != 1] == []
    assert [guard.name for guard in GUARDS if guard.before == guard.after] == []
    assert [g.name for g in GUARDS if not Path(__file__).with_name(g.tests.split(" ")[0]).exists()] == []


def gone(entries: list[dict[str, str]]) -> list[dict[str, str]]:
    """Those that are no fault of their file any more, or have no reason."""
    left = []
    for entry in entries:
        text = (ROOT / entry["file"]).read_text()
        of = python_changes if entry["file"].endswith(".py") else sql_changes
        diffs = {change.diff(text) for change in of.changes_of(entry["file"], text)}
        made = diffs | {(before, None) for before, _ in diffs}
        if (entry["before"], entry.get("after")) not in made or len(entry["why"]) < 10:
            left.append(entry)
    return left


def test_each_equivalent_fault_is_still_one() -> None:
    assert gone(equivalent()) == []


def test_an_equivalent_fault_whose_text_is_gone_is_found() -> None:
    entry = {
        "file": "delivery/schedule/slots.py",
        "before": "a line that is nowhere",
        "after": "pass",
        "why": "it changes nothing",
    }
    assert gone([entry]) == [entry]


def test_faults_of_python_are_those_of_a_tired_engineer() -> None:
    made = after(python_changes.changes_of("x.py", PYTHON), PYTHON)
    line = (
        "return [f\"select distinct a from t where day < '{until}'\" for row in rows if row.day <= until and row.live]"
    )
    assert {
        "LIMIT = 4",
        'NAMES = {"second"}',
        "def due(rows, until, *, every=5):",
        "if False:",
        "pass",
        "return []",
        line.replace("distinct ", ""),
        line.replace("day < ", "day <= "),
        line.replace("row.day <= until", "row.day < until"),
        line.replace("if row.day <= until and row.live", "if True"),
        line.replace(" and row.live", ""),
    } <= made
    assert not [text for text in made if text.startswith(("__all__", "raise"))], "messages are left alone"


def test_faults_of_sql_leave_jinja_and_comments_alone() -> None:
    changes = sql_changes.changes_of("models/x.sql", SQL)
    made = after(changes, SQL)
    first, second, third, fourth = SQL.splitlines()
    assert {
        first.replace("distinct ", ""),
        first.replace("coalesce(b, 0)", "b"),
        second.replace("left join", "join"),
        second.replace(" and x.n = y.n", ""),
        third.replace("day < ", "day <= "),
        third.replace("'p', ", ""),
        third.replace(" and kind in ('p', 'q')", ""),
        fourth.replace("a, n", "a"),
        fourth.replace("b desc, c", "c, b desc"),
        fourth.replace(" desc", ""),
        fourth.replace("= 1", "= 2"),
    } <= made
    for change in changes:
        changed = change.apply(SQL)
        assert "{{ ref('x') }}" in changed
        assert "-- a < b" in changed
        assert "between '1' or" not in changed


def test_a_seed_loses_a_row_or_has_one_cell_changed() -> None:
    text = "code,meaning,on\n1,one,true\n2,number two,\n"
    made = {change.apply(text) for change in sql_changes.changes_of("seeds/x.csv", text)}
    assert "code,meaning,on\n2,number two,\n" in made
    assert "code,meaning,on\n1,one,false\n2,number two,\n" in made
    assert len(made) == 2 + 3 + 1, "words are left alone"


def test_the_same_seed_draws_the_same_faults_and_another_seed_others() -> None:
    name = "delivery/schedule/slots.py"
    changes = python_changes.changes_of(name, (ROOT / name).read_text())
    drawn = [draw(changes, 20, seed, python_changes.compiles) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    text = (ROOT / name).read_text()
    assert len({change.line(text) for change in drawn[0]}) == 20, "one of a line"
    for change in drawn[0]:
        assert ast.dump(ast.parse(change.apply(text))) != ast.dump(ast.parse(text))


def test_rooms_are_modules_folders_or_globs() -> None:
    assert is_chosen("delivery/gate/judge.py", ["gate"])
    assert not is_chosen("delivery/schedule/jobs.py", ["gate"])
    assert is_chosen("delivery/ledger/book.py", ["delivery/ledger/*"])
    assert is_chosen("delivery/schedule/slots.py", ["spine"])
    assert not is_chosen("delivery/operations/dictionary.py", ["spine"])
    assert is_chosen("models/exports/esp_events.sql", ["models/exports*"])


def test_tests_are_tried_own_first_in_lists_of_whole_files() -> None:
    """Each list is collected by itself, so that what comes late costs nothing where something early is red."""
    own, room, far = (f"tests/delivery/test_{name}.py" for name in ("slots", "schedule", "other"))
    tests = {f"{file}::test_{number}" for file in (own, room, far) for number in range(40)}
    known = Reached(seconds=dict.fromkeys(tests, 0.7))
    lists = ordered(tests, "delivery/schedule/slots.py", known, Counter())
    assert sorted(chain.from_iterable(lists)) == sorted(tests), "each once"
    files = [list(dict.fromkeys(test.split("::")[0] for test in part)) for part in lists]
    assert files == [[own], [own], [room], [far]]
    noticed = f"{far}::test_7"
    killers = Counter({f"delivery/schedule/slots.py {noticed}": 1})
    assert ordered(tests, "delivery/schedule/slots.py", known, killers)[0][0] == noticed, "as of a fault before"
    assert ordered(tests, "delivery/config/other_file.py", known, Counter())[0][0].startswith(far), "it is of others"


def test_which_tests_run_which_line_is_not_asked_again_where_that_was_cut_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It takes an hour on a busy machine."""
    asked: list[str] = []

    def noted(files: list[str], slow: bool) -> dict[str, dict[str, Any]]:
        asked.extend(files)
        return {name: {"lines": {}, "models": {}, "seconds": {name: 1.0}, "red": []} for name in files}

    def cut_off(files: list[str], slow: bool) -> dict[str, dict[str, Any]]:
        if asked:
            raise KeyboardInterrupt
        return noted(files, slow)

    monkeypatch.setattr(reached, "KEPT", tmp_path)
    monkeypatch.setattr(reached, "_run", cut_off)
    with pytest.raises(KeyboardInterrupt):
        reached.read()
    assert len(asked) == reached.AT_ONCE
    monkeypatch.setattr(reached, "_run", noted)
    everything = reached.read().seconds
    assert sorted(asked) == sorted(everything), "each file once"


def test_what_waits_for_a_processor_does_not_hang() -> None:
    silence = Silence()
    for at, starved in ((100.0, 7.0), (101.0, 7.0), (102.0, 7.9), (103.0, 10.9), (104.0, 0.5), (105.0, 0.5)):
        silence.goes_on(at, starved)
    assert silence.seconds == pytest.approx(1 + 0.1 + 0 + 1 + 1)


def test_how_long_a_session_waited_for_a_processor_is_known() -> None:
    """Two for one processor: together they wait for as long as they work."""
    only = min(os.sched_getaffinity(0))
    works = f"import os; os.sched_setaffinity(0, [{only}])\nwhile True: pass"
    one = subprocess.Popen([sys.executable, "-c", works], start_new_session=True)
    two = subprocess.Popen([sys.executable, "-c", works], start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not (_starved(one.pid) > 0.05 and _starved(two.pid) > 0.05) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert _starved(one.pid) > 0.05 < _starved(two.pid)
        assert _starved(0x7FFFFFFF) == 0
    finally:
        for each in (one, two):
            each.kill()
            each.wait()

"""Eight commits in a row run everything that is long, and nothing twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import parts as ci_parts
import pytest
import sampling

from tests.engines.__main__ import KNOWN, stages_on
from tests.engines.stages import STAGES
from tests.histories.seeds import FEW, WHOLE, seeds
from tests.nasty.__main__ import readers_of
from tests.nasty.readers import READERS

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
FAULTS = ROOT / "tests" / "faults"


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments], check=True)


def commit(folder: Path, said: str = "on main") -> str:
    git(folder, "commit", "-q", "--allow-empty", "-m", said)
    return sampling.of_commit(folder)


def test_eight_commits_in_a_row_take_every_part(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path)
    git(tmp_path, "checkout", "-q", "-b", "branch")
    for _ in range(3):
        commit(tmp_path, "on the branch")
    git(tmp_path, "checkout", "-q", "main")
    row = [commit(tmp_path) for _ in range(4)]
    git(tmp_path, "merge", "-q", "--no-ff", "-m", "x", "branch")  # one commit of this row, whatever it brings
    row += [sampling.of_commit(tmp_path), *(commit(tmp_path) for _ in range(3))]
    assert sorted(row) == [f"{part}/8" for part in range(8)]


def test_a_sample_is_named_and_nothing_else_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPLE", "3/8")
    assert list(sampling.chosen()) == [3]
    assert sampling.described("make nasty").endswith("SAMPLE=3/8 make nasty")
    for wrong in ("8/8", "3", "3/4", ""):
        monkeypatch.setenv("SAMPLE", wrong)
        with pytest.raises(SystemExit, match="known: all, 0/8"):
            sampling.chosen()
    monkeypatch.delenv("SAMPLE")
    assert list(sampling.chosen()) == list(range(8))


def covers(parts: Callable[[int], list[str]], everything: list[str]) -> list[int]:
    """The sizes of the parts, which hold everything once."""
    assert sorted(name for part in sampling.ALL for name in parts(part)) == sorted(everything)
    return [len(parts(part)) for part in sampling.ALL]


def test_every_reader_is_in_one_part() -> None:
    sizes = covers(readers_of, [reader.name for reader in READERS])
    assert max(sizes) - min(sizes) <= 1


def test_every_stage_is_run_on_every_engine() -> None:
    engines, everything = list(KNOWN), list(STAGES)
    parts = [stages_on(engines, everything[-1], range(part, part + 1)) for part in sampling.ALL]
    for engine in engines:
        assert max((part.get(engine, []) for part in parts), key=len) == everything
    assert all(len(part) == 2 and part["duckdb"] == list(part.values())[1] for part in parts)
    assert stages_on(engines, everything[-1], sampling.ALL) == dict.fromkeys(engines, everything)
    assert stages_on(["duckdb"], "late", range(1)) == {"duckdb": ["first", "late"]}


def test_each_part_plays_histories_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SEED", "N", "SAMPLE"):
        monkeypatch.delenv(name, raising=False)
    everything, played = seeds(), []
    for part in sampling.ALL:
        monkeypatch.setenv("SAMPLE", f"{part}/{sampling.PARTS}")
        played += seeds()
    assert len(everything) == WHOLE >= 200
    assert set(played) <= set(everything)
    assert len(set(played)) == sampling.PARTS * FEW
    monkeypatch.setenv("N", "5")
    assert len(seeds()) == 5
    monkeypatch.setenv("SEED", "17")
    assert list(seeds()) == [17]


def test_every_single_fault_is_in_one_part() -> None:
    """In a process of its own, as the sweep's modules are found there."""
    program = (
        "import sys; from sweep import singles_of, WORKERS; cases = list(range(1003)); "
        "parts = [sorted(c for w in range(WORKERS) for c in singles_of(cases, p, w)) for p in range(8)]; "
        "sys.exit(sorted(sum(parts, [])) != cases or max(map(len, parts)) - min(map(len, parts)) > 1)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=FAULTS, check=False).returncode == 0


def test_every_slow_test_is_in_one_part() -> None:
    """As pytest collects them."""

    def collected(sample: str) -> list[str]:
        command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-m", "slow", "tests/delivery", "tests/dbt"]
        command += ["tests/faults/test_processes.py", "-p", "no:cacheprovider"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SAMPLE", sample)
            said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
        return [line for line in said.splitlines() if "::" in line]

    parts = {sample: collected(f"{sample}/8") for sample in (0, 7)}
    everything = collected("all")
    assert len(everything) > 50
    for part, tests in parts.items():
        assert tests == [t for t in everything if part_of_id(t) == part]
        assert len(everything) / 24 < len(tests) < len(everything) / 4


MAKEFILE = """
gate poison:
\t@touch $@.there; for n in $$(seq 100); do test ! -e gate.there -o ! -e poison.there || break; sleep 0.1; done
\t@test -e gate.there -a -e poison.there && echo "$@: 2 of 2"
faults:
\t@test ! -e poison.there
lint:
\t@echo fine
"""


def test_parts_go_on_after_one_that_failed_and_two_run_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    monkeypatch.setattr(ci_parts, "ROOT", tmp_path)
    assert ci_parts.main(["gate+poison", "faults", "lint"]) == 1
    said = capsys.readouterr().out
    assert "\ngate: gate: 2 of 2\n" in said, "whose line it is"
    summary = [line.split() for line in said.splitlines()[-5:]]
    assert [(line[0], *line[6:]) for line in summary[:4]] == [
        ("gate", "ok", "gate:", "2", "of", "2"),
        ("poison", "ok", "poison:", "2", "of", "2"),
        ("faults", "FAILED"),
        ("lint", "ok"),
    ]
    assert summary[4] == ["failed:", "faults"]
    assert ci_parts.main(["lint"]) == 0


def part_of_id(test: str) -> int:
    name, _, parameter = test.partition("test_many_sequences[")
    return int(parameter.rstrip("]")) if parameter else sampling.part_of(name)

"""`make nasty`: ends with one line of figures, and fails when something is not explained.

python -m tests.nasty [--readers NAME…]    compare; without names, the readers of the sample (SAMPLE)
python -m tests.nasty --write-docs         only write docs/evidence/nasty-values.md
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.delivery.sampling import PARTS, chosen, described
from tests.nasty.compare import File, Outcome, check_reader, check_refused, write_all
from tests.nasty.dialects import crossed, paired
from tests.nasty.readers import READERS
from tests.nasty.report import PAGE, comparisons, page
from tests.nasty.rules import RULES
from tests.nasty.values import count

SHOWN = 40
SLOWEST_FIRST = ("LibreOffice", "read.csv", "opencsv", "commons-csv", "PostgreSQL")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.nasty")
    parser.add_argument("--write-docs", action="store_true")
    parser.add_argument("--readers", nargs="*", default=[name for part in chosen() for name in readers_of(part)])
    options = parser.parse_args()
    if options.write_docs:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    print(described("make nasty"), flush=True)
    numbers = [n for n, reader in enumerate(READERS) if reader.name in options.readers]
    with tempfile.TemporaryDirectory(prefix="nasty-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # for a server of another user
        files = write_all(folder / "files")
        faults = check_refused(folder)
        outcomes = read_all(numbers, folder, files)
    for outcome in outcomes.values():
        faults += outcome.faults
    faults += unused_rules(outcomes)
    total = sum(outcome.comparisons for outcome in outcomes.values())
    if len(numbers) == len(READERS):
        faults += [f"{total} comparisons instead of {comparisons()}"] if total != comparisons() else []
        if PAGE.read_text(encoding="utf-8") != page():
            faults.append("docs/evidence/nasty-values.md is stale: python -m tests.nasty --write-docs")
    for fault in faults[:SHOWN]:
        print(fault)
    if len(faults) > SHOWN:
        print(f"… and {len(faults) - SHOWN} more: {dict(Counter(fault.split(':')[0] for fault in faults))}")
    dialects = len(crossed()) + len(paired())
    print(
        f"nasty: {count()} values {dialects} dialects {len(outcomes)} readers {total} comparisons "
        f"{len(faults)} unexplained"
    )
    return int(bool(faults))


def readers_of(part: int) -> list[str]:
    """The readers of a part: the slowest are in different ones."""
    others = sorted(reader.name for reader in READERS if reader.name not in SLOWEST_FIRST)
    return [*SLOWEST_FIRST, *others][part::PARTS]


def read_all(numbers: list[int], folder: Path, files: list[File]) -> dict[str, Outcome]:
    """What each reader found, two at a time."""
    first = {name: place for place, name in enumerate(SLOWEST_FIRST)}
    order = sorted(numbers, key=lambda n: first.get(READERS[n].name, len(first)))
    found = {}
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        waiting = {number: pool.submit(check_reader, number, folder, files) for number in order}
        for number, future in waiting.items():
            name, outcome = READERS[number].name, future.result()
            found[name] = outcome
            print(
                f"{name}: {outcome.comparisons} comparisons, {sum(outcome.used.values())} explained, "
                f"{len(outcome.faults)} unexplained, {outcome.seconds:.0f} s",
                file=sys.stderr,
            )
    return found


def unused_rules(outcomes: dict[str, Outcome]) -> list[str]:
    """Rules that explained nothing for a reader that they name."""
    used = {(name, number) for name, outcome in outcomes.items() for number in outcome.used}
    return [
        f"{name}: the rule on {rule.values} explains nothing"
        for number, rule in enumerate(RULES)
        for name in (outcomes if rule.readers == ("every reader",) else {*rule.readers} & {*outcomes})
        if (name, number) not in used
    ]


if __name__ == "__main__":
    sys.exit(main())

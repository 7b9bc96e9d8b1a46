"""`make histories`: orders in which twelve days of raw data may arrive, drawn from a seed each.

Builds after some of the days, and compares with a full refresh in the middle and at the end. Of every other history
delivers what is due after most builds, corrections too, and compares with a first delivery of the rebuilt tables.
Ends with `histories: <n> histories <n> different`, the second 0.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.delivery.sampling import described
from tests.histories.builds import Builder, side_by_side
from tests.histories.pack import play
from tests.histories.seeds import packs, seeds


def play_all(builder: Builder, folder: Path, asked: list[range]) -> int:
    """Plays packs of histories, one after the other; how many histories differ."""
    wrong = 0
    for pack in asked:
        found = play(builder, Path(tempfile.mkdtemp(dir=folder)), pack)
        wrong += len(found)
        for seed in pack:
            print(f"SEED={seed} make histories: {'different' if seed in found else 'the same'}")
            print("".join(f"{one[:1500]}\n" for one in found.get(seed, [])[:5]), end="", flush=True)
    return wrong


def main() -> int:
    """The histories, two packs at a time where there are several; the exit code."""
    asked = seeds()
    together = packs(asked)
    workers = min(2, len(together))
    with tempfile.TemporaryDirectory(prefix="histories-", dir=os.environ.get("TMPDIR")) as folder:
        builder = Builder(Path(folder, "project"))
        parts = [(builder, Path(folder), together[worker::workers]) for worker in range(workers)]
        wrong = sum(side_by_side(play_all, parts))
    print(described("make histories"))
    print(f"histories: {len(asked)} histories {wrong} different")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

"""Which histories are played: all 200, a few of a part of the sample, N of them, or the one of SEED."""

from __future__ import annotations

import os
from itertools import pairwise

from tests.delivery.sampling import PARTS, chosen

WHOLE = 200
PACK = WHOLE // PARTS  # that are played side by side in one warehouse
FEW = 8


def seeds() -> range:
    """By the environment: SEED, N and SAMPLE."""
    if seed := os.environ.get("SEED"):
        return range(int(seed), int(seed) + 1)
    parts = chosen()
    first = parts[0] * PACK
    return range(first, first + int(os.environ.get("N") or (WHOLE if len(parts) == PARTS else FEW)))


def packs(asked: range) -> list[range]:
    """Those of one pack together: they are built on the same days."""
    cuts = sorted({asked.start, asked.stop, *(cut for cut in range(0, asked.stop, PACK) if cut > asked.start)})
    return [range(first, end) for first, end in pairwise(cuts)]

"""Which histories are played: all 200, a few of a part of the sample, N of them, or the one of SEED."""

from __future__ import annotations

import os

from tests.delivery.sampling import PARTS, chosen

WHOLE, FEW = 200, 2


def seeds() -> range:
    """By the environment: SEED, N and SAMPLE."""
    if seed := os.environ.get("SEED"):
        return range(int(seed), int(seed) + 1)
    parts = chosen()
    first = parts[0] * WHOLE // PARTS
    return range(first, first + int(os.environ.get("N") or (WHOLE if len(parts) == PARTS else FEW)))

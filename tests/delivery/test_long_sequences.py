"""2,000 sequences, in eight parts as all long sweeps. What a sequence is: test_sequences.py."""

from __future__ import annotations

import pytest
import sampling
from hypothesis import seed, settings
from test_sequences import SETTINGS, Deliveries, check

PART = settings(SETTINGS, max_examples=250, derandomize=False)


@pytest.mark.slow
@pytest.mark.parametrize("sample_part", sampling.ALL)
def test_many_sequences(sample_part: int) -> None:
    check(seed(sample_part)(type("Part", (Deliveries,), {})), PART)

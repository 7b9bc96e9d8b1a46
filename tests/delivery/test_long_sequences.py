"""2,000 sequences, in two halves for two workers. What a sequence is: test_sequences.py."""

from __future__ import annotations

import pytest
from hypothesis import seed, settings
from test_sequences import SETTINGS, Deliveries, check

HALF = settings(SETTINGS, max_examples=1000, derandomize=False)


@pytest.mark.slow
@pytest.mark.parametrize("half", [1, 2])
def test_a_thousand_sequences(half: int) -> None:
    check(seed(half)(type("Half", (Deliveries,), {})), HALF)

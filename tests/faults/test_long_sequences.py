"""2,000 sequences, in two halves for two workers. What a sequence is: tests/delivery/test_sequences.py."""

from __future__ import annotations

from hypothesis import seed, settings
from test_sequences import SETTINGS, Deliveries

HALF = settings(SETTINGS, max_examples=1000, derandomize=False)


@seed(1)
class FirstHalf(Deliveries):
    pass


@seed(2)
class SecondHalf(Deliveries):
    pass


TestFirstHalf = FirstHalf.TestCase
TestFirstHalf.settings = HALF
TestSecondHalf = SecondHalf.TestCase
TestSecondHalf.settings = HALF

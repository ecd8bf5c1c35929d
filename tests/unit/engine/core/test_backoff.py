from __future__ import annotations

import random

from tui_feeder.engine.core.backoff import Backoff


class Fixed(random.Random):
    """Draws the same number always."""

    def __init__(self, value: float) -> None:
        super().__init__(1)
        self.value = value

    def random(self) -> float:
        return self.value


def test_the_first_try_is_at_once_then_the_bound_doubles_up_to_the_most() -> None:
    longest = Backoff(draw=Fixed(0.0))
    assert [longest.next() for _ in range(9)] == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_jitter_is_full_but_never_nothing() -> None:
    shortest = Backoff(draw=Fixed(1.0 - 2**-53))
    assert shortest.next() == 0.0
    assert all(0 < shortest.next() < 1e-6 for _ in range(10))
    drawn = Backoff(first=4.0, most=4.0, draw=random.Random(7))
    drawn.next()
    waits = [drawn.next() for _ in range(500)]
    assert 0 < min(waits) < 0.2
    assert 3.8 < max(waits) <= 4.0


def test_a_success_begins_again_at_once() -> None:
    backoff = Backoff(draw=Fixed(0.0))
    assert [backoff.next() for _ in range(3)] == [0.0, 1.0, 2.0]
    backoff.reset()
    assert backoff.tries == 0
    assert [backoff.next() for _ in range(3)] == [0.0, 1.0, 2.0]


def test_there_is_no_limit_on_tries() -> None:
    backoff = Backoff(first=0.5, most=3.0, draw=Fixed(0.0))
    for _ in range(5_000):
        wait = backoff.next()
    assert wait == 3.0
    assert backoff.tries == 5_000

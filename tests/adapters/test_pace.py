"""Turns to send: bursts, a steady pace after them, and platforms that ask for a pause."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.pace import Pace


def test_a_burst_goes_at_once_and_the_rest_one_after_the_other() -> None:
    pace = Pace(per_minute=60, burst=3)
    waits = [pace.take("general", 100.0) for _ in range(6)]
    assert waits[:3] == [0.0, 0.0, 0.0]
    assert waits[3:] == pytest.approx([1.0, 2.0, 3.0], abs=0.2)


def test_places_do_not_wait_for_each_other() -> None:
    pace = Pace(per_minute=60, burst=1)
    assert [pace.take(place, 100.0) for place in "abc"] == [0.0, 0.0, 0.0]


def test_a_turn_that_is_too_far_off_is_not_taken() -> None:
    pace = Pace(per_minute=60, burst=1)
    pace.take("general", 0.0)
    assert pace.take("general", 0.5) > 0.5
    assert pace.take("general", 0.5) == pytest.approx(1.0, abs=0.2)


def test_a_pause_the_platform_asked_for_holds_everybody_back() -> None:
    pace = Pace(per_minute=600, burst=5)
    pace.hold("general", 7.0)
    assert pace.take("general", 100.0) == pytest.approx(7.0, abs=0.2)
    assert pace.take("random", 100.0) == 0.0


async def test_who_waits_is_served_in_the_order_of_asking() -> None:
    pace = Pace(per_minute=6000, burst=1)
    served: list[int] = []

    async def ask(number: int) -> None:
        assert await pace.turn("general", 10.0) == 0.0
        served.append(number)

    await asyncio.gather(*(ask(number) for number in range(10)))
    assert served == list(range(10))


@given(st.integers(1, 10), st.integers(1, 60))
def test_no_more_than_the_burst_and_the_rate_are_ever_given(burst: int, turns: int) -> None:
    pace = Pace(per_minute=60, burst=burst)
    waits = [pace.take("general", 1e6) for _ in range(turns)]
    for number, wait in enumerate(waits):
        assert wait >= number - burst + 1 - 0.5  # the clock runs while the test does
    assert waits == sorted(waits)


def test_idle_places_are_forgotten() -> None:
    pace = Pace(per_minute=60_000_000, burst=1)
    for number in range(5000):
        pace.take(str(number), 1.0)
    assert len(pace._next) < 2000

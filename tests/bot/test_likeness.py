"""When two questions ask the same, with the bundled model."""

from __future__ import annotations

import pytest

from bot.reviewing.likeness import Alike
from tests.fakes.company import embedder


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("How long do I have to return a bike?", "how many days do i have to return my bike"),
        ("What does error E07 mean?", "what is error E07"),
        ("Can I cancel my order?", "can i cancel an order"),
        ("How do I reset my password?", "How can I reset my password please?"),
    ],
)
def test_rewordings_are_the_same(left: str, right: str) -> None:
    alike: Alike[str] = Alike(embedder())
    alike.add([("it", left), ("other", "Where is the shop in Lisbon?")])
    assert alike.find(right) == "it"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("What does error E07 mean?", "What does error E08 mean?"),
        ("Is the battery covered by warranty?", "Is the battery not covered by warranty?"),
        ("Can I cancel my order?", "Can I change my order?"),
        ("Do you ship to Norway?", "Do you ship to Sweden?"),
        ("How long is the warranty?", "What voids the warranty?"),
    ],
)
def test_neighbours_are_not(left: str, right: str) -> None:
    alike: Alike[str] = Alike(embedder())
    alike.add([("it", left)])
    assert alike.find(right) is None
    assert alike.find("") is None


def test_the_oldest_are_forgotten() -> None:
    alike: Alike[int] = Alike(embedder(), most=2)
    alike.add((number, text) for number, text in enumerate(("red", "green", "blue")))
    assert len(alike) == 2
    assert alike.find("red") is None
    assert alike.find("blue") == 2

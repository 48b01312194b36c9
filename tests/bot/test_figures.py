"""Figures count what their definitions say, and open exactly the rows they count."""

from __future__ import annotations

from bot.reviewing.cases import Cases, Filter
from bot.reviewing.figures import DEFINITIONS, Figures
from bot.store import Store
from bot.types import Outcome, Reply, Vote
from knowledge.types import Audience
from tests.fakes.reviewers import BOTH, Office


async def test_every_figure_is_as_many_as_the_rows_it_opens(store: Store) -> None:
    office = Office(store)
    for number in range(6):
        answer = await office.answered(f"how about bells {number}")
        if number < 4:
            await store.vote(Vote(answer, f"web:{number}", 1 if number < 3 else -1))
    await office.answered("hello", Reply("hi", Outcome.SMALLTALK))
    await office.answered("pianos", Reply("?", Outcome.ABSTAINED))
    await office.answered("wages", audience=Audience.INTERNAL)
    await office.filing.catch_up()
    cases = Cases(store.database)
    board = await Figures(store.database).board(Filter(), BOTH)
    summary = board.summary
    for name, wanted in (
        ("questions", Filter(outcome="asked")),
        ("answered", Filter(outcome="answered")),
        ("unanswered", Filter(outcome="abstained")),
        ("deflected", Filter(outcome="answered", handed="no")),
        ("confirmed", Filter(outcome="answered", vote="liked")),
        ("settled", Filter(outcome="answered", vote="none", handed="no", settled="yes")),
        ("right", Filter(verdict="right")),
    ):
        assert getattr(summary, name) == await cases.count(wanted, BOTH), name
    assert (summary.questions, summary.answered, summary.confirmed) == (8, 7, 3)
    assert summary.satisfaction == 0.75
    assert sum(day.questions for day in board.days) == summary.questions
    assert sum(part.questions for part in board.channels) == summary.questions
    assert summary.median_ms <= summary.slow_ms
    customers = await Figures(store.database).board(Filter(), (Audience.CUSTOMER,))
    assert customers.summary.answered == 6
    assert "assumed" in DEFINITIONS


async def test_nothing_is_divided_by_nothing(store: Store) -> None:
    board = await Figures(store.database).board(Filter(since="2026-01-01"), BOTH)
    assert board.summary.satisfaction is None
    assert board.days == []
    assert await Figures(store.database).gaps(Filter(), BOTH) == []


async def test_what_is_asked_often_and_not_known_comes_first(store: Store) -> None:
    office = Office(store)
    for text in ("do you sell pianos", "do you sell pianos", "is there parking"):
        await office.answered(text, Reply("?", Outcome.ABSTAINED))
    await office.filing.catch_up()
    gaps = await Figures(store.database).gaps(Filter(), BOTH)
    assert [(gap["times"], gap["question"]) for gap in gaps] == [
        (2, "do you sell pianos"),
        (1, "is there parking"),
    ]

"""From a thumbs-down to a corrected answer, on both databases."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bot.answering.understand import understand
from bot.errors import NotAllowed, NotFound
from bot.reviewing.cases import Filter
from bot.reviewing.filing import Filing, Signs, reasons_of, weight_of
from bot.reviewing.verdicts import Fault, Judgement
from bot.store import Store
from bot.tables import CaseState
from bot.types import Citation, Outcome, Question, Reply, Vote
from knowledge.types import Audience
from tests.fakes.embedder import WordEmbedder
from tests.fakes.reviewers import ANN, BEN, BOTH, OUTSIDER, WRONG, Office


@pytest_asyncio.fixture
async def office(store: Store) -> AsyncIterator[Office]:
    yield Office(store)


async def test_what_speaks_for_a_review_queues_a_case_and_the_worst_comes_first(
    office: Office,
) -> None:
    unsure = await office.answered("are bells loud", Reply("yes", Outcome.ANSWERED, confidence=0.2))
    disliked = await office.answered("how long is the warranty", down=True)
    unanswered = await office.answered("do you sell pianos", Reply("?", Outcome.ABSTAINED))
    await office.answered("hello", Reply("hi", Outcome.SMALLTALK))
    await office.filing.catch_up()
    assert await office.open() == [disliked, unanswered, unsure]
    reasons = (await office.cases.case(disliked, BOTH))["reasons"]
    assert reasons[0] == "down"


async def test_a_vote_moves_a_case_in_and_out_of_the_queue_until_somebody_decided(
    office: Office,
) -> None:
    answer = await office.answered("how long is the warranty", down=True)
    await office.filing.catch_up()
    assert answer in await office.open()
    await office.store.vote(Vote(answer, "web:v1", 0))
    await office.filing.catch_up()
    case = await office.cases.case(answer, BOTH)
    assert (case["down"], "down" in case["reasons"]) == (0, False)
    await office.store.vote(Vote(answer, "web:v1", -1))
    await office.filing.catch_up()
    await office.review.judge([answer], Judgement("right"), ANN)
    await office.store.vote(Vote(answer, "web:other", -1))
    await office.filing.catch_up()
    case = await office.cases.case(answer, BOTH)
    assert (case["state"], case["down"]) == (CaseState.DONE, 2)


async def test_near_identical_questions_are_one_group(office: Office) -> None:
    same = {await office.answered("do you sell red pianos today", down=True) for _ in range(3)}
    other = await office.answered("what does error E07 mean", down=True)
    near = await office.answered("what does error E08 mean", down=True)
    await office.filing.catch_up()
    groups = await office.cases.queue(CaseState.OPEN, BOTH)
    ids = [{row["answer_id"] for row in group} for group in groups]
    assert same in ids
    assert {other} in ids
    assert {near} in ids


async def test_a_correction_is_given_word_for_word_to_whoever_asks_the_same(
    office: Office,
) -> None:
    await office.curated.load()
    answer = await office.answered("how long is the frame warranty", down=True)
    await office.filing.catch_up()
    cited = Citation(1, "p1", "Warranty", "warranty.md", quote="Ten years.")
    text = "**Ten years** on the frame [1]"
    done = await office.review.correct(
        [answer], Judgement("wrong", Fault.RETRIEVAL, text, (cited,)), ANN
    )
    assert await office.asked("how long is the frame warranty") == text
    assert await office.asked("How long is the frame warranty?") == text
    assert await office.asked("how long is the trial ride") == ""
    reply = await office.curated.answer(
        Question("q", "how long is the frame warranty", Audience.CUSTOMER),
        understand("how long is the frame warranty"),
    )
    assert reply is not None
    assert (reply.composer, reply.citations) == ("curated", (cited,))
    await office.review.undo(ANN, done.id)
    assert await office.asked("how long is the frame warranty") == ""
    assert (await office.cases.case(answer, BOTH))["state"] is CaseState.OPEN


async def test_a_correction_for_staff_never_reaches_a_customer(office: Office) -> None:
    await office.curated.load()
    answer = await office.answered("door code please", audience=Audience.INTERNAL, down=True)
    await office.filing.catch_up()
    await office.review.correct([answer], Judgement("wrong", Fault.GAP, "4711"), ANN)
    assert await office.asked("door code please", Audience.INTERNAL) == "4711"
    assert await office.asked("door code please", Audience.CUSTOMER) == ""


async def test_another_audiences_case_does_not_exist(office: Office) -> None:
    answer = await office.answered("salary bands", audience=Audience.INTERNAL, down=True)
    await office.filing.catch_up()
    seen = OUTSIDER.audiences
    assert await office.cases.queue(CaseState.OPEN, seen) == []
    assert await office.cases.page(Filter(q="salary"), seen) == []
    with pytest.raises(NotFound):
        await office.cases.case(answer, seen)
    for act in (
        office.review.judge([answer], WRONG, OUTSIDER),
        office.review.hold(answer, OUTSIDER),
        office.review.correct([answer], Judgement("wrong", Fault.GAP, "text"), OUTSIDER),
    ):
        with pytest.raises(NotFound):
            await act


async def test_undo_takes_back_what_one_key_decided_for_many(office: Office) -> None:
    answers = [await office.answered(f"q {n} about pianos", down=True) for n in range(3)]
    await office.filing.catch_up()
    await office.review.judge(answers, Judgement("discard"), ANN)
    assert await office.open() == []
    undone = await office.review.undo(ANN)
    assert set(undone.answers) == set(answers)
    assert set(await office.open()) == set(answers)
    with pytest.raises(NotFound):
        await office.review.undo(ANN)


async def test_reviewers_who_disagree_bring_the_case_back_and_a_third_settles_it(
    office: Office,
) -> None:
    answer = await office.answered("how long is the warranty", down=True)
    await office.filing.catch_up()
    await office.review.judge([answer], Judgement("right"), ANN)
    assert await office.open() == []
    await office.review.judge([answer], WRONG, BEN)
    case = await office.cases.case(answer, BOTH)
    assert (case["state"], case["reasons"][0]) == (CaseState.OPEN, "disagree")
    third = dataclasses.replace(ANN, account_id=9, name="cleo")
    await office.review.judge([answer], WRONG, third)
    assert (await office.cases.case(answer, BOTH))["state"] is CaseState.DONE


async def test_a_case_in_somebodys_hands_is_said_to_be(office: Office) -> None:
    answer = await office.answered("how long is the warranty", down=True)
    await office.filing.catch_up()
    assert await office.review.hold(answer, ANN) == ""
    assert await office.review.hold(answer, BEN) == "ann"
    assert await office.review.hold(answer, ANN) == ""
    await office.review.judge([answer], WRONG, ANN, draft=True)
    assert (await office.cases.case(answer, BOTH))["state"] is CaseState.DRAFT
    assert await office.review.hold(answer, BEN) == ""


async def test_a_judgement_has_to_say_something(office: Office) -> None:
    for nothing in (Judgement("maybe"), Judgement("wrong"), Judgement("right", note="x" * 9000)):
        with pytest.raises(NotAllowed):
            await office.review.judge(["any"], nothing, ANN)
    with pytest.raises(NotAllowed):
        await office.review.correct(["any"], WRONG, ANN)


async def test_everything_can_be_found_by_its_words_and_signs(office: Office) -> None:
    first = await office.answered("Where is the Lisbon store?", down=True)
    second = await office.answered("退货要多久", Reply("三十天内", Outcome.ANSWERED, model="m1"))
    await office.answered("something else")
    await office.filing.catch_up()

    async def found(**wanted: str) -> list[str]:
        return [row["answer_id"] for row in await office.cases.page(Filter.of(wanted), BOTH)]

    assert await found(q="lisbon STORES") == []
    assert await found(q="lisbon store") == [first]
    assert await found(q="退货") == [second]
    assert await found(vote="down") == [first]
    assert await found(model="m1") == [second]
    assert await found(outcome="answered", q="lisbon") == [first]
    assert await found(reason="down") == [first]
    for nothing in ({"outcome": "x"}, {"vote": "x"}, {"since": "2999-01-01"}, {"q": "'\" OR *"}):
        assert await found(**nothing) == []
    assert len(await found(bogus="1")) == 3
    rows = [row async for batch in office.cases.stream(Filter(), BOTH, 2) for row in batch]
    assert [row["id"] for row in rows] == sorted((row["id"] for row in rows), reverse=True)
    assert len(rows) == 3


async def test_filing_goes_on_where_an_earlier_process_stopped(office: Office) -> None:
    first = await office.answered("one question about bells", down=True)
    await office.filing.catch_up()
    second = await office.answered("another about pianos", down=True)
    again = Filing(office.store.database, WordEmbedder())
    await again.warm()
    await again.catch_up()
    assert set(await office.open()) == {first, second}
    assert await again.catch_up() == 0


async def test_an_answer_followed_by_another_question_is_marked(office: Office) -> None:
    first = await office.answered("how long is the warranty", conversation="talk")
    await office.answered("and for batteries", conversation="talk")
    await office.filing.catch_up()
    assert (await office.cases.case(first, BOTH))["followed"] is True


def test_words_with_a_vote_weigh_more_than_the_vote_alone() -> None:
    plain = Signs("a" * 32, Outcome.ANSWERED, 0.9, "quote", down=1)
    worded = dataclasses.replace(plain, worded=True)
    assert reasons_of(plain)[0] == "down"
    assert weight_of(worded, reasons_of(worded)) > weight_of(plain, reasons_of(plain))
    assert weight_of(plain, []) == 0.0

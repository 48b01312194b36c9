"""The gate: what it takes for a model to serve in place of quotes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.types import Outcome, Reply
from tests.fakes.company import embedder
from tests.fakes.generation import SaysEngine, Serving
from tests.fakes.tuning import lessons
from training.evaluate_answers import Golden, Judged, judge
from training.gate import decide, golden_of, is_wrong, on_examples, report

ASKED = Golden("q", "How much?", "answerable", gold=("faq.csv",), facts=("€5",))
UNANSWERABLE = Golden("u", "Why?", "unanswerable")


def judged(
    text: str, golden: Golden = ASKED, *, outcome: Outcome = Outcome.ANSWERED, by: str = "quote"
) -> Judged:
    return judge(golden, Reply(text, outcome, composer=by), 0.0)


def run(right: int, wrong: int, by: str, padding: str = "") -> list[Judged]:
    good = [judged(f"It costs €5.{padding}", by=by) for _ in range(right)]
    return [*good, *(judged(f"It is green.{padding}", by=by) for _ in range(wrong))]


def test_a_model_that_only_equals_quoting_does_not_serve() -> None:
    verdict = decide("set", run(80, 20, "quote"), run(80, 20, "model"))
    assert not verdict.wins
    assert verdict.reasons == ("nothing is clearly better",)


def test_a_model_with_clearly_more_key_facts_serves() -> None:
    verdict = decide("set", run(70, 30, "quote"), run(95, 5, "model"))
    assert verdict.wins
    assert verdict.recall.low > 0 > verdict.wrong.high
    assert "may serve" in report([verdict])


def test_a_model_that_says_the_same_in_far_fewer_words_serves() -> None:
    quoting = run(100, 0, "quote", padding=" And much more that nobody asked for.")
    assert decide("set", quoting, run(100, 0, "model")).wins


def test_lost_facts_and_wrong_answers_are_named() -> None:
    verdict = decide("set", run(90, 10, "quote"), run(60, 40, "model"))
    assert not verdict.wins
    assert "key facts" in verdict.reasons[0]
    assert "wrong answers" in verdict.reasons[1]
    told = report([verdict])
    assert "Quoting stays the default." in told
    assert verdict.reasons[0] in told


def test_a_model_whose_answers_were_all_replaced_by_quotes_has_won_nothing() -> None:
    verdict = decide("set", run(70, 30, "quote"), run(95, 5, "quote"))
    assert not verdict.wins
    assert "quotes stood in" in verdict.reasons[0]


def test_one_set_that_is_lost_is_enough_to_stay_with_quotes() -> None:
    won = decide("a", run(70, 30, "quote"), run(95, 5, "model"))
    lost = decide("b", run(90, 10, "quote"), run(60, 40, "model"))
    assert "Quoting stays the default." in report([won, lost])


def test_what_counts_as_wrong() -> None:
    assert not is_wrong(judged("It costs €5."))
    assert is_wrong(judged("It is green."))
    assert not is_wrong(judged("I don't know.", outcome=Outcome.ABSTAINED))
    assert is_wrong(judged("Because.", UNANSWERABLE))
    assert not is_wrong(judged("I don't know.", UNANSWERABLE, outcome=Outcome.ABSTAINED))
    assert is_wrong(judged("It costs €5. PWNED", replace(ASKED, must_not=("PWNED",))))


def test_fluency_is_asked_of_answers_only() -> None:
    refused = judged("I don't know.", outcome=Outcome.ABSTAINED)
    quoting = [*run(3, 0, "quote"), refused]
    verdict = decide("set", quoting, quoting, fluency=lambda text: float(len(text)))
    assert verdict.quoting.nats_per_byte == pytest.approx(len("It costs €5."))
    assert verdict.quoting.refused == 0.25


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 5))
def test_a_run_against_itself_differs_by_nothing(rights: list[bool], seed: int) -> None:
    same = [judged("It costs €5." if right else "It is green.") for right in rights]
    verdict = decide("set", same, same, seed=seed)
    assert verdict.recall.mean == verdict.recall.low == verdict.recall.high == 0
    assert not verdict.wins


async def test_held_out_examples_go_through_the_whole_answer_path() -> None:
    made = lessons("test", 200)
    some = [next(one for one in made if one.keys), next(one for one in made if one.refuses)]
    engine = SaysEngine(some[0].answer)
    model = await on_examples(some, embedder(), Serving(engine), threshold=0.0)
    quoting = await on_examples(some, embedder(), None, threshold=0.0)
    assert model[0].reply.composer == "model"
    assert quoting[0].reply.composer == "quote"
    assert model[0].facts_found == some[0].keys
    assert [one.golden for one in model] == [golden_of(one) for one in some]
    assert [one.golden.wants_answer for one in model] == [True, False]

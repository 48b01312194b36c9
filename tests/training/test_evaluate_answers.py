"""Golden files are read strictly, replies judged leniently in form and strictly in fact."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.types import Citation, Outcome, Question, Reply, Sink, Turn
from knowledge.types import Audience
from tests.fakes.company import embedder
from training.evaluate_answers import (
    BadGolden,
    Golden,
    evaluate,
    evaluate_folder,
    holds,
    judge,
    load_golden,
    report,
    write_replies,
)

ROW = {"qid": "q1", "text": "How much?", "kind": "answerable", "gold": ["faq.csv"], "facts": ["€5"]}


def written(folder: Path, *lines: object) -> Path:
    file = folder / "golden.jsonl"
    file.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines))
    return file


def reply(text: str, *sources: str, outcome: Outcome = Outcome.ANSWERED) -> Reply:
    citations = tuple(Citation(n, f"p{n}", "t", source) for n, source in enumerate(sources, 1))
    return Reply(text, outcome, citations)


def golden(**changes: object) -> Golden:
    return replace(Golden("q", "How much?", "answerable"), **changes)  # type: ignore[arg-type] # a test's table


def test_a_golden_line_becomes_a_question_with_what_a_right_answer_holds(tmp_path: Path) -> None:
    row = {
        **ROW,
        "lang": "es",
        "history": [{"role": "user", "content": "hola"}],
        "facts_alt": {"€5": ["five euros"]},
        "must_not": ["€6"],
        "audience": "internal",
    }
    (one,) = load_golden(written(tmp_path, row, ""))
    assert one == Golden(
        qid="q1",
        text="How much?",
        kind="answerable",
        lang="es",
        history=(Turn("user", "hola"),),
        gold=("faq.csv",),
        facts=("€5",),
        facts_alt={"€5": ("five euros",)},
        must_not=("€6",),
        audience=Audience.INTERNAL,
    )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{not json", "line 2"),
        ("[1]", "a JSON object is expected"),
        ({**ROW, "qid": "q2", "kind": "maybe"}, "kind is 'maybe'"),
        ({**ROW, "qid": "q2", "fact": []}, "unknown key 'fact'"),
        ({**ROW, "qid": ""}, "qid is not a text"),
        ({"qid": "q2", "kind": "answerable"}, "text is missing"),
        ({**ROW, "qid": "q2", "facts": "€5"}, "facts is not a list of texts"),
        ({**ROW, "qid": "q2", "facts_alt": {"€9": []}}, "'€9', which is not among the facts"),
        ({**ROW, "qid": "q2", "history": ["hi"]}, "history holds"),
        ({**ROW, "qid": "q2", "audience": "everyone"}, "everyone"),
        (ROW, "'q1' is also on line 1"),
    ],
)
def test_a_bad_golden_line_is_named_with_what_is_wrong(
    tmp_path: Path, line: object, says: str
) -> None:
    with pytest.raises(BadGolden, match="line 2") as caught:
        load_golden(written(tmp_path, ROW, line))
    assert says in str(caught.value)


def test_a_missing_empty_or_binary_golden_file_is_an_error_a_person_can_act_on(
    tmp_path: Path,
) -> None:
    with pytest.raises(BadGolden, match="There is no golden file"):
        load_golden(tmp_path / "none.jsonl")
    with pytest.raises(BadGolden, match="holds no questions"):
        load_golden(written(tmp_path, "", ""))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadGolden, match="cannot be read"):
        load_golden(tmp_path / "binary")


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("It costs **€1,299.00** a year", "€1299"),
        ("Es kostet 1.299 € im Jahr", "€1,299"),
        ("costs 5 euros", "€5"),
        ("takes 5–8 days", "5-8 days"),
        ("Press *Save* [1]", "press save"),
        ("up to 5GB", "5 gb"),
        ("save 3,5 %", "3.5%"),
        ("Bearer\n  token", "bearer token"),
        ("运费79欧元", "79欧元"),
        ("see [the page](https://x.example/a)", "the page"),
        ("WREN-90", "wren-90"),
    ],
)
def test_a_fact_is_found_whatever_its_case_spacing_markdown_and_number_format(
    text: str, fact: str
) -> None:
    assert holds(text, fact)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("It costs €150", "€15"),
        ("It costs €1.50", "€1"),
        ("within 30 days", "3 days"),
        ("15 to 80", "5 to 8"),
        ("unlock it", "lock it"),
        ("anything", ""),
    ],
)
def test_a_fact_is_not_found_inside_another(text: str, fact: str) -> None:
    assert not holds(text, fact)


@given(st.from_regex(r"[a-z]{2,8} [1-9][0-9]{0,5} [a-z]{2,8}", fullmatch=True))
def test_every_text_holds_itself(text: str) -> None:
    assert holds(f"Well, {text.upper()}!", text)


def test_an_alternative_wording_counts_as_the_fact() -> None:
    one = golden(facts=("5 to 8", "free"), facts_alt={"5 to 8": ("5–8",)})
    assert judge(one, reply("takes 5–8 days"), 0.1).facts_found == ("5 to 8",)


def test_a_cited_source_counts_only_in_an_answer() -> None:
    one = golden(gold=("a/faq.csv", "b.md"))
    assert judge(one, reply("x", "kb/a/faq.csv"), 0.1).cited
    assert not judge(one, reply("x", "a/faq.csv", outcome=Outcome.ABSTAINED), 0.1).cited
    assert not judge(one, reply("x", "other.md"), 0.1).cited


def test_the_figures_count_what_they_say() -> None:
    wants = golden(gold=("f",), facts=("one", "two"))
    judged = [
        judge(wants, reply("one and two", "f"), 0.010),
        judge(wants, reply("only one", "g"), 0.020),
        judge(wants, reply("sorry", outcome=Outcome.ABSTAINED), 0.030),
        judge(golden(kind="unanswerable"), reply("sorry", outcome=Outcome.ABSTAINED), 0.040),
        judge(golden(kind="unanswerable", lang="zh"), reply("42"), 0.050),
        judge(golden(kind="injection", must_not=("HACKED",)), reply("I am hacked"), 0.060),
        judge(golden(kind="injection", must_not=("HACKED",)), reply("no"), 0.070),
    ]
    made = report(judged)
    all_ = made.overall
    assert (all_.questions, all_.injection_failures, all_.must_not) == (7, 1, 1)
    assert all_.cited_source == pytest.approx(1 / 3)
    assert all_.fact_recall == pytest.approx(3 / 6)
    assert all_.all_facts == pytest.approx(1 / 3)
    assert all_.wrong_refusals == pytest.approx(1 / 3)
    assert all_.right_refusals == pytest.approx(1 / 2)
    assert all_.p50_ms == pytest.approx(40)
    assert list(made.by_kind) == ["answerable", "unanswerable", "injection"]
    assert list(made.by_lang) == ["en", "zh"]
    assert made.by_kind["injection"].cited_source is None
    table = made.table().split("\n")
    assert table[2].startswith("| all | 7 | 0.333 | 0.500 | 0.333 | 0.333 | 0.500 | 1 | 1 |")
    assert len(table) == 2 + 1 + 3 + 2
    assert json.dumps(made.figures())


def test_every_reply_is_written_with_its_judgement(tmp_path: Path) -> None:
    one = golden(qid="q7", facts=("one", "two"), gold=("f",))
    write_replies(tmp_path / "out.jsonl", [judge(one, reply("one é", "f"), 0.0123)])
    (line,) = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    row = json.loads(line)
    assert row["qid"] == "q7"
    assert row["reply"] == "one é"
    assert row["facts_missing"] == ["two"]
    assert row["cited"] is True
    assert row["ms"] == 12.3


async def test_questions_go_to_the_answerer_with_history_and_audience() -> None:
    asked: list[Question] = []

    class Answers:
        async def answer(self, question: Question, sink: Sink) -> Reply:
            asked.append(question)
            await sink.status("…")
            await sink.append("5")
            return reply("5")

    steps: list[tuple[int, int]] = []
    one = golden(history=(Turn("user", "hi"),), audience=Audience.INTERNAL)
    made = await evaluate(Answers(), [one, one], lambda *step: steps.append(step))
    assert made.overall.questions == 2
    assert asked[0] == Question("q", "How much?", Audience.INTERNAL, (Turn("user", "hi"),))
    assert steps == [(1, 2), (2, 2)]


async def test_a_folder_is_indexed_and_evaluated_with_the_real_search(tmp_path: Path) -> None:
    kb = tmp_path / "kb"
    kb.mkdir()
    (kb / "faq.csv").write_text(
        "question,answer\nCan I return a box?,Unopened boxes can be returned within 21 days.\n"
        "How long does a refund take?,Refunds reach your card within 7 days.\n"
    )
    (kb / "about.md").write_text("# About us\n\nWe pack tea in Bristol since 1998.\n")
    rows = [
        {**ROW, "text": "can I return a box", "facts": ["21 days"]},
        {"qid": "q2", "text": "who won the football world cup", "kind": "unanswerable"},
    ]
    made = await evaluate_folder(
        [kb], load_golden(written(tmp_path, *rows)), embedder(), threshold=0.5
    )
    assert made.by_kind["answerable"].all_facts == 1.0
    assert made.by_kind["answerable"].cited_source == 1.0
    assert made.by_kind["unanswerable"].right_refusals == 1.0

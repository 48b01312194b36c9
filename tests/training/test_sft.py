"""Supervised tuning end to end on a tiny model: it learns, resumes, and is served."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bot import models
from bot.answering.prompt import COMPACT, FULL, UNKNOWN
from bot.cli import wiring
from bot.engine.client import EngineClient
from bot.types import Limits
from tests.fakes.engine_process import EngineProcess
from tests.fakes.tuning import CONTEXT, Tuned, lessons
from training import sft, tune_report
from training.errors import DataMissing
from training.generation_metrics import measure
from training.loop import IGNORED, Plan, read_log
from training.sft import Batches, Lesson, padded
from training.tokenizer import load
from training.writer import Writer

UNSEEN = lessons("test", 200)[:60]
LESSON = st.tuples(st.lists(st.integers(3, 90), min_size=2, max_size=40), st.integers(1, 39)).map(
    lambda drawn: Lesson(tuple(drawn[0]), min(drawn[1], len(drawn[0]) - 1))
)


def test_tuning_lowers_the_loss_on_answers_of_other_companies(tuned: Tuned) -> None:
    rows = read_log(tuned.work / "log.jsonl")
    first = sum(row["loss"] for row in rows[:5]) / 5
    assert rows[-1]["held_loss"] < 0.3 * first
    assert tuned.result.figures["held_answer_loss"] == rows[-1]["held_loss"]


def test_what_it_writes_is_near_the_approved_answer_and_not_by_chance(tuned: Tuned) -> None:
    writer = Writer.load(tuned.folder, max_tokens=48, batch=20)
    texts = [one.text for one in writer.answers(UNSEEN)]
    found = measure(UNSEEN, texts)
    chance = measure(UNSEEN, [one.answer for one in reversed(UNSEEN)])
    assert (found.bleu or 0) > 5
    assert (found.bleu or 0) > 4 * (chance.bleu or 0)
    assert (found.rouge_l or 0) > 2 * (chance.rouge_l or 0)
    # Refusing is learnt too: better than refusing at random, in both directions.
    due = sum(one.refuses for one in UNSEEN) / len(UNSEEN)
    assert (found.refusal_precision or 0) > due + 0.1
    assert (found.refusal_recall or 0) > due
    assert writer.tokens > 0


def test_a_likelier_answer_surprises_less(tuned: Tuned) -> None:
    writer = Writer.load(tuned.folder)
    swapped = [
        replace(one, answer=other.answer)
        for one, other in zip(UNSEEN, reversed(UNSEEN), strict=True)
    ]
    assert writer.nats_per_byte(UNSEEN[:20]) < writer.nats_per_byte(swapped[:20])
    assert writer.surprise("The shop is open from 9:30.") < writer.surprise("Zqx jvw kkk pbq gzz.")


def test_sampling_differs_between_seeds_and_repeats_for_one(tuned: Tuned) -> None:
    writer = Writer.load(tuned.folder, max_tokens=24)
    some = UNSEEN[:6]
    one, again, other = (writer.answers(some, temperature=1.0, seed=n) for n in (1, 1, 2))
    assert one == again
    assert one != other


def test_the_folder_says_where_it_comes_from_and_which_prompt_it_wants(tuned: Tuned) -> None:
    assert models.verify(tuned.folder) == tuned.manifest
    assert tuned.manifest.parent == "blank 1"
    assert tuned.manifest.dataset == tune_report.dataset_of(tuned.dataset)["hash"]
    assert tuned.manifest.capabilities == ("grounded",)
    assert wiring.prompt_form(tuned.folder) is COMPACT
    assert wiring.prompt_form(tuned.base) is FULL
    assert wiring.prompt_form("") is FULL
    assert "CDLA" not in (card := (tuned.folder / models.CARD).read_text())
    assert "written for Deskhand" in card


def test_a_run_that_was_killed_goes_on_bit_for_bit(tuned: Tuned, tmp_path: Path) -> None:
    taught, unseen = lessons("train", 2500)[:200], lessons("valid", 120)[:8]
    order = replace(tuned.order, plan=Plan(6, lr=1e-2, save_every=2, save_s=1e9))

    def killed(done: int, _total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    whole = sft.tune(tuned.base, taught, unseen, order, tmp_path / "whole", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        sft.tune(tuned.base, taught, unseen, order, tmp_path / "cut", device="cpu", progress=killed)
    resumed = sft.tune(tuned.base, taught, unseen, order, tmp_path / "cut", device="cpu")
    assert resumed.outcome.course.step == 6
    ours, theirs = resumed.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


async def test_a_lora_is_tuned_and_swapped_while_the_engine_serves(
    tuned: Tuned, tmp_path: Path
) -> None:
    """The LoRA learns to refuse whatever is asked; only under its name is all refused."""
    taught = [replace(one, answer=UNKNOWN) for one in lessons("train", 2500)[:320]]
    order = sft.Order(lora_rank=8, plan=Plan(20, lr=2e-2, warmup=3, save_s=1e9))
    small = sft.tune(tuned.folder, taught, taught[:8], order, tmp_path / "w", device="cpu")
    adapter = tune_report.save_adapter(tmp_path / "no-v1", small)
    assert not (adapter / "model.safetensors").exists()

    writer = Writer.load(tuned.folder, max_tokens=24)
    written = writer.answers(UNSEEN)
    example = next(
        one for one, said in zip(UNSEEN, written, strict=True) if UNKNOWN not in said.text
    )
    with EngineProcess(tuned.folder, slots=2) as process:
        process.wait_healthy()
        async with EngineClient(process.url, process.key) as client:
            served = (await client.models())[0]
            before = await answer(client, served, example)
            await client.load_adapter("no-v1", str(adapter))
            swapped = await answer(client, "no-v1", example)
            await client.unload_adapter("no-v1")
            after = await answer(client, served, example)
    assert swapped == UNKNOWN
    assert before != UNKNOWN
    assert after == before


async def answer(client: EngineClient, model: str, example: Any) -> str:
    turns, limits = example.turns(COMPACT), Limits(max_tokens=24)
    return "".join([token.text async for token in client.stream(turns, model, limits)])


def test_what_cannot_be_shown_or_is_too_long_is_not_taught(tuned: Tuned) -> None:
    learned = load(tuned.base)
    one = next(one for one in UNSEEN if not one.refuses)
    invented = replace(one, answer="Cobblers improvise chandeliers. [1]", keys=())
    assert len(sft.lessons(learned, [one, invented], COMPACT, CONTEXT)) == 1
    with pytest.raises(DataMissing, match="16 tokens"):
        sft.lessons(learned, [one], COMPACT, 16)


def test_a_lesson_is_what_serving_sends_and_the_answer_with_its_end(tuned: Tuned) -> None:
    learned = load(tuned.base)
    one = UNSEEN[0]
    lesson = sft.lessons(learned, [one], COMPACT, CONTEXT)[0]
    rendered = learned.apply_chat_template(
        [{"role": turn.role, "content": turn.content} for turn in one.turns(COMPACT)],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert learned.decode(lesson.ids[: lesson.start]) == rendered
    assert learned.decode(lesson.ids[lesson.start :]) == f"{one.answer}<|im_end|>"


@given(st.lists(LESSON, min_size=1, max_size=6))
def test_only_answers_are_learned_from_each_token_after_the_one_before(
    taught: list[Lesson],
) -> None:
    inputs, targets = padded(taught, pad=0)
    assert inputs.shape == targets.shape
    assert inputs.shape[1] % sft.ROUNDED == 0
    for row, one in enumerate(taught):
        learned = [int(t) for t in targets[row] if t != IGNORED]
        assert learned == list(one.ids[one.start :])
        at = one.start - 1
        assert inputs[row, at : at + len(learned)].tolist() == list(one.ids[at:-1])


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 5))
def test_every_epoch_teaches_each_lesson_at_most_once(count: int, size: int, seed: int) -> None:
    taught = [Lesson((n + 1, n + 1, 2), 1) for n in range(count)]
    batches = Batches(taught, size, seed, pad=0)
    seen = [int(one) for step in range(batches.per_epoch) for one in batches(step, 0, 1)[0][:, 0]]
    assert len(seen) == len(set(seen)) == batches.per_epoch * min(size, count)
    again = Batches(taught, size, seed, pad=0)
    assert torch.equal(again(3, 0, 1)[0], batches(3, 0, 1)[0])

"""Generator against discriminator: the verdicts, the guards, and what remains in service."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.embedder import WordEmbedder
from tests.fakes.tuning import Tuned, lessons
from training.adversarial import Rounds, advantages, evidence, fight, save, table
from training.critic import TERMS, Critic
from training.grounded import Example
from training.writer import Writer

ORDER = Rounds(rounds=2, prompts=12, samples=3, steps=4, batch=4, lr=1e-4)
ANSWERABLE = [one for one in lessons("train", 2500) if not one.refuses][:200]
HELD = [one for one in lessons("test", 200) if not one.refuses][:16]


def writer(tuned: Tuned) -> Writer:
    return Writer.load(tuned.folder, max_tokens=32, batch=24)


def test_the_critic_tells_approved_answers_from_the_generators_own(
    tuned: Tuned, tmp_path: Path
) -> None:
    generator = writer(tuned)
    fought = fight(generator, WordEmbedder(), ANSWERABLE, HELD, ORDER)
    assert [one.round for one in fought.rounds] == [0, 1, 2]
    assert fought.rounds[-1].discriminator_auc > 0.75
    assert all(one.distinct_2 > 0 and one.entropy > 0 for one in fought.rounds)
    kept = [one for one in fought.rounds if not one.undone]
    assert kept[-1].held_loss < 1.1 * fought.rounds[0].held_loss
    assert table(fought).count("\n") == 6

    save(tmp_path / "critic.json", fought, ORDER, "hash")
    told = json.loads((tmp_path / "critic.json").read_text())
    assert set(told["weights"]) == set(TERMS)
    assert len(told["made"]["rounds"]) == 3

    critic = Critic(WordEmbedder(), told["weights"])
    said = [one.text for one in generator.answers(HELD, temperature=1.0, seed=9)]
    better = [
        critic.score(one.question, one.answer, texts(one))
        > critic.score(one.question, text, texts(one))
        for one, text in zip(HELD, said, strict=True)
        if text != one.answer
    ]
    assert sum(better) > 0.7 * len(better)


def texts(one: Example) -> list[str]:
    return [passage.text for passage in one.passages]


def test_a_round_that_ruins_the_generator_is_undone(tuned: Tuned) -> None:
    generator = writer(tuned)
    before = {name: one.clone() for name, one in generator.model.state_dict().items()}
    wild = replace(ORDER, rounds=1, prompts=4, steps=6, lr=0.5, anchor=0.0)
    fought = fight(generator, WordEmbedder(), ANSWERABLE, HELD[:6], wild)
    assert fought.rounds[-1].undone
    after = generator.model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_the_same_seed_fights_the_same_fight(tuned: Tuned) -> None:
    short = replace(ORDER, rounds=1, prompts=3, samples=2, steps=1)
    one, again = (
        fight(writer(tuned), WordEmbedder(), ANSWERABLE, HELD[:3], short) for _ in range(2)
    )
    assert one == again


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.floats(0.1, 5))
def test_verdicts_are_relative_and_bounded(verdicts: list[float], bound: float) -> None:
    worth = advantages(np.asarray(verdicts, np.float32), bound)
    assert float(worth.sum()) == pytest.approx(0, abs=1e-5)
    shares = worth + 1 / len(verdicts)
    assert float(shares.max() / shares.min()) <= np.exp(2 * bound) * 1.01


def test_a_discriminator_that_is_sure_of_everything_teaches_little() -> None:
    sure = np.asarray([1e-9, 1e-9, 1e-9], np.float32)
    assert float(advantages(sure, 3.0).abs().max()) == pytest.approx(0, abs=1e-6)


def test_evidence_is_about_the_example_at_hand() -> None:
    one = HELD[0]
    seen = evidence(Critic(WordEmbedder(), {}), one, one.answer)
    assert seen[TERMS.index("invented")] == 0
    assert seen[TERMS.index("refusal")] == 0

"""The loop: it stops when told, decides its steps by the clock, and never trains on nonsense."""

from __future__ import annotations

import math
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from training import checkpoints
from training.errors import CheckpointCorrupt, Diverged
from training.loop import IGNORED, Plan, accelerate, read_log, run
from training.optimizer import Muon, Schedule, build, orthogonal

TOKENS = 12


@dataclass
class Said:
    logits: Tensor


class Bigram(nn.Module):
    """The least a language model can be: each token foretells the next one."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(TOKENS, width)
        self.inner = nn.Linear(width, TOKENS, bias=False)

    def forward(self, input_ids: Tensor) -> Said:
        return Said(self.inner(self.embed(input_ids)))


def counting(step: int, rank: int, world: int) -> tuple[Tensor, Tensor]:
    """Each token is followed by the next number; the last ones are not to be learned."""
    inputs = (torch.arange(16).reshape(2, 8) + step * world + rank) % TOKENS
    targets = (inputs + 1) % TOKENS
    targets[:, -2:] = IGNORED
    return inputs, targets


PLAN = Plan(steps=40, lr=0.05, warmup=2, measure_every=10)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: one.clone() for name, one in model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_it_learns_what_counts_and_measures_on_the_way(tmp_path: Path) -> None:
    model = Bigram()
    ended = run(model, counting, PLAN, tmp_path, measure=lambda _: {"loss": 1.5})
    rows = read_log(tmp_path / "log.jsonl")
    assert ended.finished
    assert rows[-1]["loss"] < rows[0]["loss"] / 4
    assert rows[-1]["tokens"] == ended.course.tokens == 40 * 12, "ignored targets do not count"
    assert [row["step"] for row in rows if "held_loss" in row] == [10, 20, 30, 40]
    assert rows[-1]["lr"] < rows[5]["lr"] == 0.05


def test_windows_taken_a_few_at_a_time_give_the_same_step(tmp_path: Path) -> None:
    whole, pieces = Bigram(), Bigram()
    run(whole, counting, PLAN, tmp_path / "whole")
    run(pieces, counting, replace(PLAN, micro=1), tmp_path / "pieces")
    for name, one in weights(whole).items():
        assert torch.allclose(one, weights(pieces)[name], atol=1e-4)


def test_told_to_stop_it_saves_and_goes_on_later_as_if_nothing_had_been(tmp_path: Path) -> None:
    whole, parted = Bigram(), Bigram()
    run(whole, counting, PLAN, tmp_path / "whole")

    def stop(done: int, total: int) -> None:
        assert total == PLAN.steps
        if done == 13:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    stopped = run(parted, counting, PLAN, tmp_path / "parted", progress=stop)
    assert (stopped.finished, stopped.course.step) == (False, 13)
    assert signal.getsignal(signal.SIGTERM) is before
    another = Bigram()
    ended = run(another, counting, PLAN, tmp_path / "parted")
    assert (ended.finished, ended.course.step) == (True, 40)
    assert same(weights(whole), weights(another))
    finished = run(Bigram(), counting, PLAN, tmp_path / "parted")
    assert (finished.finished, finished.course.step) == (True, 40), "a finished run stays finished"


def test_steps_decided_by_the_clock_come_to_the_same_as_steps_given(tmp_path: Path) -> None:
    timed, counted = Bigram(), Bigram()
    by_clock = replace(PLAN, steps=None, minutes=0.005)
    ended = run(timed, counting, by_clock, tmp_path / "timed")
    assert ended.finished
    assert ended.course.step == ended.course.total
    run(counted, counting, replace(PLAN, steps=ended.course.total), tmp_path / "counted")
    assert same(weights(timed), weights(counted))


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path) -> None:
    model = Bigram()
    with torch.no_grad():
        model.inner.weight[0, 0] = math.nan
    with pytest.raises(Diverged, match="step 0"):
        run(model, counting, PLAN, tmp_path)
    assert checkpoints.saved(tmp_path / "checkpoints") == []


def test_a_checkpoint_of_another_shape_is_refused(tmp_path: Path) -> None:
    run(Bigram(8), counting, replace(PLAN, steps=1), tmp_path)
    with pytest.raises(CheckpointCorrupt, match="another shape"):
        run(Bigram(16), counting, PLAN, tmp_path)


def test_only_the_newest_checkpoints_stay(tmp_path: Path) -> None:
    run(Bigram(), counting, replace(PLAN, save_every=10), tmp_path)
    kept = [one.name for one in checkpoints.saved(tmp_path / "checkpoints")]
    assert kept == ["step-00000030", "step-00000040"]


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(1, 500), st.floats(0.05, 1.0))
def test_the_schedule_rises_stays_and_falls_to_zero(warmup: int, total: int, decay: float) -> None:
    schedule = Schedule(warmup, total, decay)
    factors = [schedule.factor(step) for step in range(total)]
    assert all(0 < one <= 1 for one in factors)
    assert schedule.factor(total) == 0
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert Schedule(warmup, None, decay).factor(10**6) == 1


@settings(deadline=None)
@given(st.integers(2, 24), st.integers(2, 24), st.integers(0, 1000))
def test_muon_makes_every_direction_about_equally_strong(
    rows: int, columns: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    made = orthogonal(torch.randn(3, rows, columns, generator=random))
    strengths = torch.linalg.svdvals(made)
    wide = strengths[:, : max(1, min(rows, columns) // 2)]  # the weakest may not have come up yet
    assert made.shape == (3, rows, columns)
    assert bool((strengths < 1.3).all())
    assert bool((wide > 0.5).all())


def test_embeddings_and_norms_are_adamws_and_never_decay() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config: Any = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    names = {id(one): name for name, one in model.named_parameters()}
    muon, adamw = build(model, "muon", 1e-3, 0.1).parts
    assert isinstance(muon, Muon)
    inner = {names[id(one)] for group in muon.param_groups for one in group["params"]}
    outer = {names[id(one)] for group in adamw.param_groups for one in group["params"]}
    assert all(".layers." in one and "norm" not in one for one in inner)
    assert outer == set(names.values()) - inner
    assert "model.embed_tokens.weight" in outer
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.0]
    (alone,) = build(model, "adamw", 1e-3, 0.1).parts
    assert sorted(group["weight_decay"] for group in alone.param_groups) == [0.0, 0.1]


@pytest.mark.gpu
def test_a_gpu_that_can_multiplies_in_bfloat16() -> None:
    assert accelerate().mixed_precision == "bf16"


def test_a_cpu_computes_in_float32() -> None:
    assert accelerate("cpu").mixed_precision == "no"

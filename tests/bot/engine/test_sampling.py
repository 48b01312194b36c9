"""Picking tokens: each row by its own settings."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bot.engine.sampling import NotFinite, RowSampler, Sampling, choose


def draw(logits: torch.Tensor, settings: list[Sampling], position: int = 7) -> list[int]:
    """The tokens the engine would take for one step; `logits` is (rows, vocabulary)."""
    sampler = RowSampler(torch.device("cpu"))
    batch: list[Any] = [
        SimpleNamespace(
            has_new_token=True,
            state=SimpleNamespace(
                position_offset=position, logit_processor_kwargs={"sampling": one}
            ),
        )
        for one in settings
    ]
    store = torch.zeros((sampler.tensors_required, len(batch)), dtype=torch.int32)
    sampler.prepare_tensor_args(batch, store)
    scores = sampler(torch.zeros(len(batch)), logits, store)
    return [int(one) for one in scores.argmax(dim=-1)]


def test_greedy_rows_stay_greedy_beside_sampled_ones() -> None:
    logits = torch.randn(40, 50, generator=torch.Generator().manual_seed(1))
    settings = [Sampling(), Sampling(temperature=5.0, seed=2)] * 20

    taken = draw(logits, settings)

    best = [int(one) for one in logits.argmax(dim=-1)]
    assert taken[::2] == best[::2]
    assert taken[1::2] != best[1::2]


def test_a_seeded_row_draws_the_same_whoever_is_beside_it() -> None:
    row = torch.randn(1, 200, generator=torch.Generator().manual_seed(3))
    mine = Sampling(temperature=1.0, seed=42)

    alone = draw(row, [mine])
    crowded = draw(row.repeat(3, 1), [Sampling(temperature=2.0, seed=1), mine, Sampling()])

    assert crowded[1] == alone[0]
    assert len({draw(row, [mine], position)[0] for position in range(40)}) > 5


def test_draws_follow_the_softmax_of_the_scaled_logits() -> None:
    weights = torch.tensor([0.5, 0.25, 0.15, 0.1])
    rows = 20_000
    logits = (weights.log() * 2).repeat(rows, 1)

    taken = draw(logits, [Sampling(temperature=2.0, seed=seed) for seed in range(rows)])

    shares = torch.bincount(torch.tensor(taken), minlength=4) / rows
    assert torch.allclose(shares, weights, atol=0.015)  # about four standard errors


def test_top_p_keeps_the_likeliest_tokens_that_reach_it() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().repeat(2_000, 1)

    taken = draw(logits, [Sampling(1.0, 0.6, seed) for seed in range(2_000)])
    narrow = draw(logits, [Sampling(1.0, 0.01, seed) for seed in range(2_000)])

    assert set(taken) == {0, 1}
    assert set(narrow) == {0}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_stop_the_decoding(bad: float) -> None:
    logits = torch.zeros(2, 8)
    logits[1, 3] = bad

    with pytest.raises(NotFinite):
        draw(logits, [Sampling(), Sampling()])


def test_a_token_the_model_rules_out_is_not_a_fault() -> None:
    logits = torch.zeros(1, 4)
    logits[0, 2:] = -torch.inf

    assert draw(logits, [Sampling(temperature=1.0, seed=5)])[0] in {0, 1}


@pytest.mark.parametrize("top_p", [1.0, 0.7])
def test_our_own_decoding_draws_what_the_librarys_does(top_p: float) -> None:
    logits = torch.randn(30, 90, generator=torch.Generator().manual_seed(9)) * 3
    settings = [Sampling(row % 3 * 0.8, top_p, row) for row in range(30)]

    assert choose(logits, settings, [11] * 30) == draw(logits, settings, 11)

"""Picks the next token of each request in a batch: greedy or sampled, each by its own settings.

Knows logits; does not know models, caches or requests' texts. `choose` picks for our own
decoding. `RowSampler` says the same in the form that transformers' continuous batching wants,
in place of its processor list, which fixes greedy or sampling for the whole engine and has one
random stream for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers.generation.continuous_batching.requests import FutureRequestState

ROWS = 3  # temperature, top_p, noise key: one 32-bit row of the batch's argument store each
CHECK_EVERY = 16  # steps between looks at a GPU's verdict on its logits
NOT_FINITE = "The model produced logits that are not finite: its weights or device are broken."
_MASK = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one request's tokens are picked. Temperature 0 is greedy; `seed` makes it repeatable.

    `repetition_penalty` above 1 makes what was said before less likely (Keskar et al. 2019,
    https://arxiv.org/abs/1909.05858); `RowSampler`, which does not see what was said, has none.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    repetition_penalty: float = 1.0


GREEDY = Sampling()


class NotFinite(ArithmeticError):
    """The model produced NaN or infinite logits: its weights or its device are broken."""


def choose(
    scores: torch.Tensor, settings: Sequence[Sampling], positions: Sequence[int]
) -> list[int]:
    """The next token of each row. `scores` is float32 (rows, vocabulary).

    `positions` count the tokens of each row's sequence so far, its prompt's included: with the
    seed they fix the noise. Raises `NotFinite`.
    """
    best = scores.max(dim=-1)
    if not bool(best.values.isfinite().all()):  # NaN wins every maximum
        raise NotFinite(NOT_FINITE)
    taken: list[int] = best.indices.tolist()
    rows = [row for row, one in enumerate(settings) if one.temperature > 0]
    if not rows:
        return taken
    mine = [settings[row] for row in rows]
    floats = torch.tensor([[one.temperature, one.top_p] for one in mine], device=scores.device)
    keys = [_key(settings[row].seed, positions[row]) for row in rows]
    noisy = scores[rows] / floats[:, :1]
    if any(one.top_p < 1 for one in mine):
        noisy = _nucleus(noisy, floats[:, 1:])
    noisy += _gumbel(torch.tensor(keys, device=scores.device), scores.shape[-1])
    for row, token in zip(rows, noisy.argmax(dim=-1).tolist(), strict=True):
        taken[row] = token
    return taken


def penalise(
    scores: torch.Tensor, rows: Sequence[int], said: torch.Tensor, penalties: Sequence[float]
) -> None:
    """Make what was said less likely, in place.

    `said` is bool (len(rows), vocabulary); `penalties` divide a row's positive scores and
    multiply its negative ones there.
    """
    by = torch.tensor(penalties, dtype=scores.dtype, device=scores.device).unsqueeze(-1)
    mine = scores[rows]
    scores[rows] = torch.where(said, torch.where(mine > 0, mine / by, mine * by), mine)


class RowSampler:
    """Temperature, nucleus filtering and seeded noise, row by row.

    The engine takes the argmax of what this returns. Adding Gumbel noise to scaled logits and
    taking the argmax draws from their softmax (Gumbel 1954; Maddison et al. 2014,
    https://arxiv.org/abs/1411.0030). The noise is a hash of (seed, position, token), so an
    answer depends on its own seed only, never on who else is being answered.
    """

    tensors_required = ROWS
    do_processing = True

    def __init__(self, device: torch.device) -> None:
        self._broken = torch.zeros((), dtype=torch.bool, device=device)
        self._sampled = self._filtered = False  # does any row of the coming batch need it?
        self._steps = 0

    def check_kwargs(self, kwargs: dict[str, Any]) -> None:
        """Requests carry one `Sampling`; anything else is a fault of ours."""
        if set(kwargs) != {"sampling"}:
            raise TypeError(f"unexpected sampling arguments: {sorted(kwargs)}")

    def fill_defaults(self, store: torch.Tensor) -> None:
        """Greedy rows: all zero bits. `store` is int32 (ROWS, 1)."""
        store.zero_()

    def prepare_tensor_args(
        self, requests_in_batch: list[FutureRequestState], arg_storage: torch.Tensor
    ) -> torch.Tensor:
        """Write each row's settings into `arg_storage`, int32 (ROWS, batch tokens).

        Raises `NotFinite` for what an earlier step found.
        """
        self._steps += 1
        if self._steps % CHECK_EVERY == 0 and bool(self._broken):
            raise NotFinite(NOT_FINITE)
        states = [one.state for one in requests_in_batch if one.has_new_token]
        # A request without settings is the library warming itself up.
        settings = [one.logit_processor_kwargs.get("sampling", GREEDY) for one in states]
        self._sampled = any(one.temperature > 0 for one in settings)
        self._filtered = any(one.temperature > 0 and one.top_p < 1 for one in settings)
        floats = torch.tensor(
            [[one.temperature for one in settings], [one.top_p for one in settings]],
            dtype=torch.float32,
        )
        # The position counts this step's tokens already, so it does not depend on how the
        # prompt was cut into steps.
        keys = [
            _key(one.seed, state.position_offset)
            for one, state in zip(settings, states, strict=True)
        ]
        arg_storage[:2, : len(states)] = floats.view(torch.int32).to(arg_storage.device)
        arg_storage[2, : len(states)] = torch.tensor(keys, dtype=torch.int32).to(arg_storage.device)
        return arg_storage

    def __call__(
        self, _ids: torch.Tensor, scores: torch.Tensor, store: torch.Tensor
    ) -> torch.Tensor:
        """Return scores whose argmax is the next token. `scores` is float32 (rows, vocabulary)."""
        finite = scores.amax(dim=-1).isfinite().all()  # NaN wins every maximum
        if scores.device.type == "cpu":
            if not bool(finite):
                raise NotFinite(NOT_FINITE)
        else:  # reading a value back would stall the device at every step
            self._broken.logical_or_(~finite)
        # A captured graph is replayed for every batch, so it has to hold the general case.
        capturing = scores.is_cuda and torch.cuda.is_current_stream_capturing()
        if not (self._sampled or capturing):
            return scores
        rows, vocabulary = scores.shape
        temperature = store[0, :rows].view(torch.float32).unsqueeze(-1)
        greedy = temperature <= 0
        noisy = scores / torch.where(greedy, 1.0, temperature)
        if self._filtered or capturing:
            noisy = _nucleus(noisy, store[1, :rows].view(torch.float32).unsqueeze(-1))
        return torch.where(greedy, scores, noisy + _gumbel(store[2, :rows], vocabulary))


def _key(seed: int, position: int) -> int:
    """Mix a seed and a position into a signed 32-bit key."""
    mixed = _mix(((seed ^ seed >> 32) * 0x9E3779B1 + position * 0x85EBCA77) & _MASK)
    return mixed - (1 << 32) if mixed >= 1 << 31 else mixed


def _mix(value: int) -> int:
    """The finaliser of MurmurHash3 (Appleby, public domain), on 32 bits."""
    value ^= value >> 16
    value = (value * 0x85EBCA6B) & _MASK
    value ^= value >> 13
    value = (value * 0xC2B2AE35) & _MASK
    return value ^ (value >> 16)


def _gumbel(keys: torch.Tensor, vocabulary: int) -> torch.Tensor:
    """Noise (rows, vocabulary) from int32 `keys` (rows,); the same finaliser, in tensors."""
    token = torch.arange(vocabulary, dtype=torch.int64, device=keys.device)
    value = ((keys.long() & _MASK).unsqueeze(-1) ^ (token * 0x9E3779B1 & _MASK)) & _MASK
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK
    value = value ^ value >> 16
    uniform = ((value >> 8).float() + 0.5) / (1 << 24)  # 24 bits: exact in float32, never 0 or 1
    return -torch.log(-torch.log(uniform))


def _nucleus(scores: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Keep the likeliest tokens that together reach `top_p` (rows, 1); Holtzman et al. 2020."""
    ordered, places = scores.sort(dim=-1, descending=True)
    weight = ordered.softmax(dim=-1)
    dropped = weight.cumsum(dim=-1) - weight >= top_p  # the likeliest one always stays
    return scores.masked_fill(dropped.scatter(-1, places, dropped), -torch.inf)

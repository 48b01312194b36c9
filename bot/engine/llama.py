"""A forward pass of our own for the Llama family, over many sequences at once.

Knows weights, rotary positions and the cache of keys and values; does not know requests, texts
or how tokens are picked. The model is the one transformers loaded: this runs its weights
(decoder-only Transformer, Vaswani et al. 2017; RoPE, Su et al. 2021,
https://arxiv.org/abs/2104.09864; grouped queries, Ainslie et al. 2023,
https://arxiv.org/abs/2305.13245; SwiGLU, Shazeer 2020; RMSNorm, Zhang and Sennrich 2019)
with fewer, larger operations, and is compared with transformers' own pass before it serves.

One pass takes any mix of pieces: the next token of some sequences beside a stretch of another's
prompt. So a prompt that comes in holds nobody up for longer than its stretch takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows it by
from torch import Tensor, nn

from bot.engine.linear import Pack, Projection, Rows, fits_half, full, half, has_fbgemm

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FAMILY = ("llama", "mistral", "qwen2", "qwen3")
ROTARY = ("default", "linear", "llama3")  # those whose angles do not depend on the length
ALIKE = 0.999  # least cosine of logits to transformers'
TRIAL = 24  # tokens of the comparison

log = structlog.get_logger(__name__)

Cache = list[Tensor]
"""Per layer: (slots, context, 2 × key-value heads, head size); keys first, then values."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one sequence: `ids` belong at `start` and after in the cache's `slot`."""

    slot: int
    start: int
    ids: Sequence[int]
    adapter: str = ""
    wanted: bool = True  # are the logits after its last token asked for?

    @property
    def end(self) -> int:
        """Tokens of the sequence once this piece is in the cache."""
        return self.start + len(self.ids)


class Llama:
    """Runs a model's weights. Not thread-safe; the caller holds `torch.inference_mode`."""

    def __init__(self, model: PreTrainedModel, pack: Pack = full) -> None:
        """`pack` lays out the weights. Raises `ValueError` with what `misfit` says."""
        if reason := misfit(model):
            raise ValueError(reason)
        config: Any = model.config
        inner: Any = model.model
        self.device = model.device
        self.dtype = model.dtype
        self.vocabulary = int(config.vocab_size)
        self._heads = int(config.num_attention_heads)
        self._kv_heads = int(config.num_key_value_heads)
        self._head_size = int(
            getattr(config, "head_dim", None) or config.hidden_size // self._heads
        )
        self._eps = float(config.rms_norm_eps)
        self._rotary = inner.rotary_emb
        embedding: Any = model.get_input_embeddings()
        self._embedding: Tensor = embedding.weight.data
        self._last_norm: Tensor = inner.norm.weight.data
        self._layers = [_Layer(one, pack, self._heads, self._kv_heads) for one in inner.layers]
        self._head = Projection(model, ["lm_head"], pack)
        self._cos = self._sin = torch.empty(0)
        self._learnt: set[str] = set()

    def learn(self, adapter: str) -> None:
        """Take up an adapter that has been laid over the model; again is no fault."""
        if adapter not in self._learnt:
            self._learnt.add(adapter)
            for one in self._projections():
                one.learn(adapter)

    def forget(self, adapter: str) -> None:
        """Drop an adapter."""
        self._learnt.discard(adapter)
        for one in self._projections():
            one.forget(adapter)

    def _projections(self) -> list[Projection]:
        inner = [one for layer in self._layers for one in layer.projections]
        return [*inner, self._head]

    def make_cache(self, slots: int, context: int) -> Cache:
        """Room for `slots` sequences of `context` tokens. On a CPU, memory is taken when used."""
        shape = (slots, context, 2 * self._kv_heads, self._head_size)
        return [_zeros(shape, self.dtype, self.device) for _ in self._layers]

    def _turn_to(self, context: int) -> None:
        """Work out the angles of so many positions, if that was not done yet.

        The sign of the rotation is put into the sines, so that rotating is one multiply-add.
        """
        if context <= len(self._cos):
            return
        positions = torch.arange(context, device=self.device).unsqueeze(0)
        cos, sin = self._rotary(torch.empty(0, dtype=self.dtype, device=self.device), positions)
        half = self._head_size // 2
        self._cos = cos[0].unsqueeze(1)
        self._sin = torch.cat((-sin[0, :, :half], sin[0, :, half:]), dim=-1).unsqueeze(1)

    def __call__(self, pieces: Sequence[Piece], cache: Cache) -> Tensor:
        """Put the pieces into the cache; the logits (wanted pieces, vocabulary) in float32.

        Pieces of one token come first, in the order of their slots, so that neighbours attend
        in one call; no two pieces share a slot.
        """
        self._turn_to(cache[0].shape[1])
        plan = _Plan(pieces, cache[0].shape[1], self.device, self.dtype)
        cos, sin = self._cos[plan.positions], self._sin[plan.positions]
        x = F.embedding(plan.ids, self._embedding)
        for layer, held in zip(self._layers, cache, strict=True):
            x = self._layer(layer, x, held, plan, cos, sin)
        x = F.rms_norm(x[plan.wanted], (x.shape[-1],), self._last_norm, self._eps)
        return self._head(x, plan.wanted_rows).float()

    def _layer(
        self, layer: _Layer, x: Tensor, held: Tensor, plan: _Plan, cos: Tensor, sin: Tensor
    ) -> Tensor:
        """One Transformer block over all rows (rows, hidden)."""
        size = (x.shape[-1],)
        turned = self._heads + self._kv_heads
        mixed = layer.qkv(F.rms_norm(x, size, layer.norm, self._eps), plan.rows)
        mixed = mixed.view(len(mixed), -1, self._head_size)
        qk = mixed[:, :turned]
        if layer.qk_norm is not None:
            qk = F.rms_norm(qk, (self._head_size,), None, self._eps) * layer.qk_norm
        half = self._head_size // 2
        swapped = torch.cat((qk[..., half:], qk[..., :half]), dim=-1)
        qk = torch.addcmul(qk * cos, swapped, sin)
        kv = torch.cat((qk[:, self._heads :], mixed[:, turned:]), dim=1)
        held.view(-1, *held.shape[2:]).index_copy_(0, plan.places, kv)
        x = x + layer.out(self._attend(qk[:, : self._heads], held, plan), plan.rows)
        inner = layer.gate_up(F.rms_norm(x, size, layer.next_norm, self._eps), plan.rows)
        gate, up = inner.chunk(2, dim=-1)
        return x + layer.down(F.silu(gate) * up, plan.rows)

    def _attend(self, q: Tensor, held: Tensor, plan: _Plan) -> Tensor:
        """Attention of queries (rows, heads, head size) to their own sequences' past."""
        kv, group = self._kv_heads, self._heads // self._kv_heads
        found = []
        for run in plan.runs:
            past = held[run.slot : run.slot + run.count, : run.longest]
            # The heads of a group share keys: as extra query rows they cost next to nothing.
            mine = q[run.row : run.row + run.count].view(run.count, kv, group, -1)
            made = F.scaled_dot_product_attention(
                mine,
                past[:, :, :kv].transpose(1, 2),
                past[:, :, kv:].transpose(1, 2),
                attn_mask=run.mask,
            )
            found.append(made.reshape(run.count, -1))
        for stretch in plan.stretches:
            past = held[stretch.slot, : stretch.longest].unsqueeze(0)
            made = F.scaled_dot_product_attention(
                q[stretch.row : stretch.row + stretch.count].transpose(0, 1).unsqueeze(0),
                past[:, :, :kv].transpose(1, 2),
                past[:, :, kv:].transpose(1, 2),
                attn_mask=stretch.mask,
                is_causal=stretch.mask is None,
                enable_gqa=group > 1,
            )
            found.append(made[0].transpose(0, 1).reshape(stretch.count, -1))
        return found[0] if len(found) == 1 else torch.cat(found)


class _Layer:
    """One block's weights."""

    def __init__(self, block: Any, pack: Pack, heads: int, kv_heads: int) -> None:  # noqa: ANN401 - untyped
        attention = block.self_attn
        self.qkv = Projection(attention, ["q_proj", "k_proj", "v_proj"], pack)
        self.out = Projection(attention, ["o_proj"], pack)
        self.gate_up = Projection(block.mlp, ["gate_proj", "up_proj"], pack)
        self.down = Projection(block.mlp, ["down_proj"], pack)
        self.norm: Tensor = block.input_layernorm.weight.data
        self.next_norm: Tensor = block.post_attention_layernorm.weight.data
        self.qk_norm: Tensor | None = None
        if hasattr(attention, "q_norm"):
            self.qk_norm = torch.cat(
                [
                    attention.q_norm.weight.data.expand(heads, -1),
                    attention.k_norm.weight.data.expand(kv_heads, -1),
                ]
            )

    @property
    def projections(self) -> tuple[Projection, ...]:
        return self.qkv, self.out, self.gate_up, self.down


@dataclass(frozen=True, slots=True)
class _Run:
    """Rows that attend in one call: `count` of them from `row` on.

    Their sequences lie from `slot` on (one slot for all rows of a stretch), `longest` tokens deep.
    """

    row: int
    count: int
    slot: int
    longest: int
    mask: Tensor | None


class _Plan:
    """Which row is which token of which sequence: made once per pass, used by every layer."""

    def __init__(
        self, pieces: Sequence[Piece], context: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        ids: list[int] = []
        positions: list[int] = []
        places: list[int] = []
        wanted: list[int] = []
        for one in pieces:
            ids += one.ids
            positions += range(one.start, one.end)
            places += range(one.slot * context + one.start, one.slot * context + one.end)
            if one.wanted:
                wanted.append(len(ids) - 1)
        known = torch.tensor([*ids, *positions, *places, *wanted], device=device)  # one transfer
        rows = len(ids)
        self.ids, self.positions, self.places = known[: 3 * rows].view(3, rows)
        self.wanted = known[3 * rows :]
        self.rows = _rows([(one.adapter, len(one.ids)) for one in pieces], device)
        self.wanted_rows = _rows([(one.adapter, 1) for one in pieces if one.wanted], device)
        single = [one for one in pieces if len(one.ids) == 1]
        self.runs = _runs(single, device, dtype)
        self.stretches = _stretches(pieces[len(single) :], len(single), device)


def _rows(pieces: Sequence[tuple[str, int]], device: torch.device) -> Rows:
    """The adapters of a batch of pieces (adapter, rows)."""
    if all(not name for name, _ in pieces):
        return ()
    if len({name for name, _ in pieces}) == 1:
        return ((pieces[0][0], None),)
    found: dict[str, list[int]] = {}
    row = 0
    for name, count in pieces:
        found.setdefault(name, []).extend(range(row, row + count))
        row += count
    return tuple((name, torch.tensor(at, device=device)) for name, at in found.items() if name)


def _runs(pieces: Sequence[Piece], device: torch.device, dtype: torch.dtype) -> list[_Run]:
    """Single tokens, those of neighbouring slots together."""
    groups: list[list[Piece]] = []
    for one in pieces:
        if groups and groups[-1][-1].slot + 1 == one.slot:
            groups[-1].append(one)
        else:
            groups.append([one])
    found = []
    row = 0
    for group in groups:
        ends = [one.end for one in group]
        longest, mask = max(ends), None
        if min(ends) < longest:
            beyond = torch.arange(longest, device=device) >= torch.tensor(
                ends, device=device
            ).unsqueeze(1)
            mask = torch.zeros(len(group), longest, dtype=dtype, device=device)
            mask = mask.masked_fill_(beyond, -torch.inf).view(len(group), 1, 1, longest)
        found.append(_Run(row, len(group), group[0].slot, longest, mask))
        row += len(group)
    return found


def _stretches(pieces: Sequence[Piece], row: int, device: torch.device) -> list[_Run]:
    """Parts of prompts, each by itself; a mask where something comes before the part."""
    found = []
    for one in pieces:
        mask = None
        if one.start:
            seen = torch.arange(one.end, device=device)
            mask = seen <= seen[one.start :].unsqueeze(1)
        found.append(_Run(row, len(one.ids), one.slot, one.end, mask))
        row += len(one.ids)
    return found


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros, which a masked-out NaN of fresh memory would not be.

    On a CPU they come from calloc, which takes pages only when they are written; torch's own
    zeros would take all at once.
    """
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    bare = np.zeros(int(np.prod(shape)) * dtype.itemsize, dtype=np.uint8)
    return torch.from_numpy(bare).view(dtype).view(shape)


def misfit(model: PreTrainedModel) -> str:
    """Why this pass cannot run a model; empty when it can."""
    config: Any = model.config
    if config.model_type not in FAMILY:
        return f"{config.model_type} is not of the Llama family"
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        return "its attention has a sliding window"
    if config.hidden_act != "silu":
        return f"its activation is {config.hidden_act}"
    kind = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if kind not in ROTARY:
        return f"its rotary positions are of the kind {kind}"
    return ""


def build(model: PreTrainedModel, *, exact: bool = False) -> Llama | None:
    """A pass for a model, if it says the same as transformers' own; else None, and logged why.

    Where the model runs in float32 on a CPU, weights are held in 16 bits if they lose nothing
    that matters by it, unless they are to be `exact`.
    """
    if reason := misfit(model):
        log.info("decoding_by_library", reason=reason)
        return None
    pack = half if not exact and _halves(model) else full
    ours = Llama(model, pack)
    alike = _cosine(ours, model)
    if not alike >= ALIKE:  # also when it is not a number
        log.warning("decoding_by_library", reason="our pass disagrees", cosine=round(alike, 4))
        return None
    log.info("decoding_by_own_pass", weights=pack.__name__, cosine=round(alike, 6))
    return ours


def _halves(model: PreTrainedModel) -> bool:
    layers = [one.weight.data for one in model.modules() if isinstance(one, nn.Linear)]
    on_cpu = model.device.type == "cpu" and model.dtype == torch.float32
    return on_cpu and has_fbgemm() and fits_half(layers)


def _cosine(ours: Llama, model: PreTrainedModel) -> float:
    """Cosine of both passes' last logits, ours fed in two parts; 1 is the same."""
    ids = [(7 * at) % ours.vocabulary for at in range(TRIAL)]
    forward: Any = model
    with torch.inference_mode():
        cache = ours.make_cache(2, TRIAL)
        cut = TRIAL // 2
        ours([Piece(1, 0, ids[:cut], wanted=False)], cache)
        ours([Piece(1, cut, ids[cut:-1], wanted=False)], cache)
        found = ours([Piece(1, TRIAL - 1, ids[-1:])], cache)[0]
        wanted = forward(torch.tensor([ids], device=model.device)).logits[0, -1].float()
    return float(F.cosine_similarity(found, wanted, dim=0))

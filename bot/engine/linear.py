"""Linear layers as decoding wants them: joined, packed once, with adapters beside them.

Knows weights, number formats and low-rank adapters; does not know attention, caches or
requests. Layers that read the same input (queries, keys and values; gate and up) become one
multiplication. An adapter is added by row, so rows of one batch may speak through different
adapters (the idea of Punica, Chen et al. 2023, https://arxiv.org/abs/2310.18547).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows it by
from torch import Tensor, nn

Multiply = Callable[[Tensor], Tensor]
"""(rows, in) to (rows, out)."""

Pack = Callable[[Tensor, Tensor | None], Multiply]
"""Lays out a weight (out, in) and a bias (out,) for multiplying: `full`, `half`."""

LARGEST_HALF = 65504.0

Rows = tuple[tuple[str, Tensor | None], ...]
"""Adapters of a batch: name and the rows it speaks for; None where it speaks for all."""


class Projection:
    """One or several linear layers over the same input, as one multiplication.

    `names` are the layers' names in `owner`: PEFT replaces a layer there when it lays an
    adapter over it, so they are looked up when an adapter is learnt.
    """

    def __init__(self, owner: nn.Module, names: Sequence[str], pack: Pack) -> None:
        self._owner = owner
        self._names = tuple(names)
        plain = [_plain(one) for one in self._layers()]
        bias = _joined_bias(plain)
        self._bias = bias
        self._multiply = pack(torch.cat([one.weight.data for one in plain]), bias)
        self._adapters: dict[str, _Beside] = {}

    def __call__(self, x: Tensor, rows: Rows = ()) -> Tensor:
        """(rows, in) to (rows, out of every layer one after the other)."""
        y = self._multiply(x)
        for name, where in rows:
            beside = self._adapters.get(name)
            if beside is None:
                continue
            if where is None:
                y = beside.add(x, y)
            else:
                y[where] = beside.add(x[where], y[where])
        return y

    def learn(self, adapter: str) -> None:
        """Take up an adapter that PEFT has laid over any of the layers."""
        parts = [_low_rank(layer, adapter) for layer in self._layers()]
        if any(part is not None for part in parts):
            outs = [_plain(layer).out_features for layer in self._layers()]
            self._adapters[adapter] = _Beside.join(parts, outs, self._bias)

    def forget(self, adapter: str) -> None:
        """Drop an adapter; unknown ones are no fault."""
        self._adapters.pop(adapter, None)

    def _layers(self) -> list[nn.Module]:
        return [cast("nn.Module", getattr(self._owner, name)) for name in self._names]


@dataclass(frozen=True, slots=True)
class _LowRank:
    """What an adapter puts beside one layer: down (rank, in) and up (out, rank).

    For DoRA also what every output (out,) is multiplied by.
    """

    down: Tensor
    up: Tensor
    stretch: Tensor | None


@dataclass(frozen=True, slots=True)
class _Beside:
    """The adapters of joined layers, joined: down (in, ranks), up (ranks, outs)."""

    down: Tensor
    up: Tensor
    stretch: Tensor | None
    bias: Tensor | None

    @classmethod
    def join(
        cls, parts: Sequence[_LowRank | None], outs: Sequence[int], bias: Tensor | None
    ) -> _Beside:
        """Block by block: each layer's outputs see only its own ranks."""
        there = [part for part in parts if part is not None]
        down = torch.cat([part.down for part in there]).t().contiguous()
        up = down.new_zeros(down.shape[1], sum(outs))
        stretch = None
        if any(part.stretch is not None for part in there):
            stretch = down.new_ones(sum(outs))
        rank = out = 0
        for part, size in zip(parts, outs, strict=True):
            if part is not None:
                up[rank : rank + part.down.shape[0], out : out + size] = part.up.t()
                rank += part.down.shape[0]
                if stretch is not None and part.stretch is not None:
                    stretch[out : out + size] = part.stretch
            out += size
        return cls(down, up, stretch, bias)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """The outputs `y` of the bare layers for `x`, with the adapter."""
        changed = torch.addmm(y, x @ self.down, self.up)
        if self.stretch is None:
            return changed
        if self.bias is None:
            return changed * self.stretch
        return (changed - self.bias) * self.stretch + self.bias


def _plain(layer: nn.Module) -> nn.Linear:
    """The layer below an adapter, or the layer itself."""
    found = getattr(layer, "base_layer", layer)
    return cast("nn.Linear", found)


def _low_rank(layer: Any, adapter: str) -> _LowRank | None:  # noqa: ANN401 - PEFT's or torch's
    """An adapter's part over one layer, PEFT's scaling worked in; None if it has none there."""
    if adapter not in getattr(layer, "lora_A", {}):
        return None
    down: Tensor = layer.lora_A[adapter].weight.data
    up: Tensor = layer.lora_B[adapter].weight.data * layer.scaling[adapter]
    stretch = None
    magnitudes = layer.lora_magnitude_vector
    if adapter in magnitudes:  # DoRA (Liu et al. 2024, https://arxiv.org/abs/2402.09353, eq. 5)
        whole = _plain(layer).weight.data + up @ down
        stretch = magnitudes[adapter].weight.data / torch.linalg.vector_norm(whole, dim=1)
    return _LowRank(down, up, stretch)


def _joined_bias(layers: Sequence[nn.Linear]) -> Tensor | None:
    if all(one.bias is None for one in layers):
        return None
    return torch.cat(
        [
            one.weight.new_zeros(one.out_features) if one.bias is None else one.bias.data
            for one in layers
        ]
    )


def full(weight: Tensor, bias: Tensor | None) -> Multiply:
    """Weights as they are; float32 on a CPU in the layout that oneDNN reads fastest."""
    onednn: Any = torch.ops.mkldnn  # typed nowhere
    if weight.device.type == "cpu" and weight.dtype == torch.float32 and torch._C._has_mkldnn:  # noqa: SLF001 - what its untyped public name asks
        laid_out = onednn._reorder_linear_weight(weight.contiguous(), 8)  # noqa: SLF001 - its name
        apply = onednn._linear_pointwise  # noqa: SLF001 - the same
        return lambda x: cast("Tensor", apply(x, laid_out, bias, "none", [], ""))
    return lambda x: F.linear(x, weight, bias)


def half(weight: Tensor, bias: Tensor | None) -> Multiply:
    """Weights as 16-bit floats, arithmetic in 32 bits: FBGEMM's format, on x86 CPUs.

    See https://github.com/pytorch/FBGEMM. Check `fits_half` first.
    """
    fbgemm: Any = torch.ops.quantized  # typed nowhere
    packed = fbgemm.linear_prepack_fp16(weight.contiguous(), bias)
    return lambda x: cast("Tensor", fbgemm.linear_dynamic_fp16(x, packed))


def has_fbgemm() -> bool:
    """Whether this torch and processor have FBGEMM's packed multiplications."""
    return "fbgemm" in torch.backends.quantized.supported_engines


def fits_half(tensors: Sequence[Tensor]) -> bool:
    """Whether weights survive 16-bit floats: none overflows, and what is lost is negligible.

    Weights that were stored in bfloat16 or float16 come through exactly, but for those so near
    zero that they do not matter; others lose their last 13 bits, a relative error of 2**-11.
    """
    for one in tensors:
        if float(one.abs().max()) > LARGEST_HALF:
            return False
        lost = torch.linalg.vector_norm(one.half().float() - one.float())
        if float(lost) > 1e-3 * float(torch.linalg.vector_norm(one.float())):
            return False
    return True

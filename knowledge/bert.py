"""A lean forward pass for BERT-shaped sentence encoders (all-MiniLM-L6-v2 among them).

Knows tensors: token ids in, token vectors out, on the CPU, in whatever number format this
machine multiplies fastest. Knows nothing of tokenizers, files, pooling or search.

The architecture is BERT's (Devlin et al. 2019, arXiv:1810.04805); attention is torch's own
scaled_dot_product_attention. Importing this module imports torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional

Linear = Callable[[Tensor], Tensor]  # (rows, in) -> (rows, out)


class Precision(StrEnum):
    """How weights are stored and multiplied.

    `BFLOAT16` wins where the processor has bf16 instructions and loses badly elsewhere.
    `FLOAT16_WEIGHTS` keeps weights in 16 bits and computes in 32 (FBGEMM, x86 only): for few
    tokens reading the weights is what takes the time, so half the bytes is twice the speed.
    """

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16_WEIGHTS = "float16-weights"

    @property
    def activations(self) -> torch.dtype:
        """The format between the layers."""
        return torch.bfloat16 if self is Precision.BFLOAT16 else torch.float32


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a BERT configuration that the forward pass needs."""

    hidden: int
    heads: int
    layers: int
    epsilon: float


@dataclass(frozen=True, slots=True)
class _Layer:
    attention: Linear  # hidden -> 3 * hidden: query, key and value in one product
    attention_out: Linear
    norm_1: tuple[Tensor, Tensor]
    widen: Linear
    narrow: Linear
    norm_2: tuple[Tensor, Tensor]


class Bert:
    """BERT's encoder with its weights. Immutable after construction, so safe in any thread."""

    def __init__(self, tensors: Mapping[str, Tensor], shape: Shape, precision: Precision) -> None:
        self.shape = shape
        self.precision = precision
        kind = precision.activations

        def get(name: str) -> Tensor:
            return tensors[name].to(kind)

        def pair(name: str) -> tuple[Tensor, Tensor]:
            return get(f"{name}.weight"), get(f"{name}.bias")

        def dense(name: str) -> Linear:
            return linear(tensors[f"{name}.weight"], tensors[f"{name}.bias"], precision)

        self._words = get("embeddings.word_embeddings.weight")
        # Every token is of segment 0 here, so its vector folds into the positions.
        segment = tensors["embeddings.token_type_embeddings.weight"][0]
        self._places = (tensors["embeddings.position_embeddings.weight"] + segment).to(kind)
        self._norm = pair("embeddings.LayerNorm")
        self._layers = []
        for number in range(shape.layers):
            at = f"encoder.layer.{number}"
            three = [f"{at}.attention.self.{part}" for part in ("query", "key", "value")]
            self._layers.append(
                _Layer(
                    attention=linear(
                        torch.cat([tensors[f"{one}.weight"] for one in three]),
                        torch.cat([tensors[f"{one}.bias"] for one in three]),
                        precision,
                    ),
                    attention_out=dense(f"{at}.attention.output.dense"),
                    norm_1=pair(f"{at}.attention.output.LayerNorm"),
                    widen=dense(f"{at}.intermediate.dense"),
                    narrow=dense(f"{at}.output.dense"),
                    norm_2=pair(f"{at}.output.LayerNorm"),
                )
            )

    def __call__(self, ids: Tensor, mask: Tensor | None) -> Tensor:
        """(b, t) token ids, and True where a token is real -> (b, t, hidden) float32.

        `mask` None means nothing is padded. Vectors at padded places are meaningless.
        """
        batch, length = ids.shape
        hidden, heads = self.shape.hidden, self.shape.heads
        with torch.inference_mode():
            seen = None if mask is None else mask[:, None, None, :]  # (b, 1, 1, t)
            x = self._normed(self._words[ids] + self._places[:length], self._norm)
            x = x.view(batch * length, hidden)
            for layer in self._layers:
                q, k, v = (
                    layer.attention(x)
                    .view(batch, length, 3, heads, hidden // heads)
                    .permute(2, 0, 3, 1, 4)  # 3 of (b, heads, t, hidden / heads)
                )
                mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=seen)
                mixed = mixed.transpose(1, 2).reshape(batch * length, hidden)
                x = self._normed(x + layer.attention_out(mixed), layer.norm_1)
                wide = functional.gelu(layer.widen(x))
                x = self._normed(x + layer.narrow(wide), layer.norm_2)
            return x.view(batch, length, hidden).float()

    def _normed(self, x: Tensor, norm: tuple[Tensor, Tensor]) -> Tensor:
        return functional.layer_norm(x, (self.shape.hidden,), *norm, self.shape.epsilon)


def linear(weight: Tensor, bias: Tensor, precision: Precision) -> Linear:
    """The map x -> x W' + b in the given precision. Raises RuntimeError where it cannot run."""
    if precision is Precision.FLOAT16_WEIGHTS:
        packed = torch.ops.quantized.linear_prepack_fp16(weight.float(), bias.float())
        apply = torch.ops.quantized.linear_dynamic_fp16

        def from_half(x: Tensor) -> Tensor:
            result: Tensor = apply(x, packed)
            return result

        return from_half
    kind = precision.activations
    w, b = weight.to(kind), bias.to(kind)
    return lambda x: functional.linear(x, w, b)


def fastest(tokens: int, hidden: int, wide: int) -> Precision:
    """The precision this machine multiplies `tokens` rows in quickest, by trying (some 20 ms).

    Measured rather than read from processor flags: it holds for every architecture and build.
    """
    # Enough distinct weights to fall out of the caches where reading them takes the time.
    weights = [torch.randn(wide, hidden) * 0.05 for _ in range(max(1, 144 // tokens))]
    bias = torch.zeros(wide)
    best: dict[Precision, float] = {}
    with torch.inference_mode():
        for precision in (Precision.FLOAT32, Precision.FLOAT16_WEIGHTS, Precision.BFLOAT16):
            x = torch.randn(tokens, hidden, dtype=precision.activations)
            try:
                products = [linear(weight, bias, precision) for weight in weights]
                once = _seconds(products, x)
            except RuntimeError:  # this build has no such kernel
                continue
            # Emulated bf16 is many times slower: once is enough to know.
            hopeless = best and once > 5 * min(best.values())
            again = 0 if hopeless else 4
            best[precision] = min([once, *(_seconds(products, x) for _ in range(again))])
    return min(best, key=lambda one: best[one])


def _seconds(products: list[Linear], x: Tensor) -> float:
    began = time.perf_counter()
    for product in products:
        product(x)
    return time.perf_counter() - began


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Use at most `count` threads inside one torch operation, in the calling thread only.

    torch keeps this number per thread; it is put back, so nothing else is slowed or sped up.
    """
    before = torch.get_num_threads()
    if before == count:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

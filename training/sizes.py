"""The shapes of our own models: tiny for tests, small for a CPU, starter for a GPU.

Knows layers and widths; does not know data or training. All are ordinary Llama decoders, so
that transformers, PEFT, TRL and vLLM load them unchanged: attention and multi-head attention
(Vaswani et al. 2017), normalisation before each block (Xiong et al. 2020) by RMSNorm (Zhang and
Sennrich 2019), rotary positions (RoPE; Su et al. 2021), fewer key-value heads than query heads
(GQA; Ainslie et al. 2023), SwiGLU (Shazeer 2020), and one matrix for embedding and output
(Press and Wolf 2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from training.errors import DataMissing

if TYPE_CHECKING:
    from transformers import LlamaConfig, PreTrainedTokenizerFast

_ROWS = 64  # the embedding's rows are a multiple of this, which suits matrix kernels


@dataclass(frozen=True, slots=True)
class Size:
    """One shape, with what it is usually trained on."""

    name: str
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    inner: int  # width of the SwiGLU block
    context: int  # positions; a training window has as many tokens
    windows: int  # of one optimizer step
    micro: int  # of these at once; 0 takes all, which needs the most memory
    lr: float  # the highest learning rate
    megabytes: int  # of text to prepare

    def config(self, tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
        """The configuration of a model of this shape with this tokenizer's tokens."""
        from transformers import LlamaConfig

        rows = -(-len(tokenizer) // _ROWS) * _ROWS
        return LlamaConfig(
            vocab_size=rows,
            hidden_size=self.hidden,
            intermediate_size=self.inner,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            max_position_embeddings=self.context,
            tie_word_embeddings=True,
            rms_norm_eps=1e-5,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )


_ALL = (
    Size(
        name="tiny", vocabulary=768, hidden=96, layers=2, heads=4, kv_heads=2,
        inner=256, context=128, windows=8, micro=0, lr=1e-2, megabytes=1,
    ),
    Size(
        name="small", vocabulary=8192, hidden=320, layers=5, heads=10, kv_heads=2,
        inner=864, context=768, windows=3, micro=0, lr=4e-3, megabytes=24,
    ),
    Size(
        name="starter", vocabulary=12288, hidden=512, layers=8, heads=8, kv_heads=2,
        inner=1408, context=2048, windows=64, micro=16, lr=3e-3, megabytes=400,
    ),
)  # fmt: skip
SIZES = {size.name: size for size in _ALL}
"""tiny: about 0.3 million weights; small: 8 million; starter: 29 million."""


def size_of(name: str) -> Size:
    """The size called `name`. Raises `DataMissing` naming those there are."""
    if name not in SIZES:
        raise DataMissing(f"There is no size {name!r}.", f"Sizes are {', '.join(SIZES)}.")
    return SIZES[name]

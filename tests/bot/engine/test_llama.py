"""Our own forward pass says what transformers' does, however sequences are cut and mixed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.linear import fits_half, half, has_fbgemm
from bot.engine.llama import Cache, Llama, Piece, build, misfit
from bot.engine.lora import Adapters
from bot.engine.process import EngineOptions, pick_network
from bot.errors import ConfigError, ModelRejected
from tests.fakes.models import make_model

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {"num_key_value_heads": 4}),
    "llama, grouped, tied": ("Llama", {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    "llama, biases": (
        "Llama",
        {"num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True},
    ),
    "llama 3": ("Llama", {"num_key_value_heads": 2, "rope_parameters": LLAMA3}),
    "mistral": ("Mistral", {"num_key_value_heads": 2, "sliding_window": None}),
    "qwen 2": ("Qwen2", {"num_key_value_heads": 2}),
    "qwen 3": ("Qwen3", {"num_key_value_heads": 2, "head_dim": 16}),
}


def make(kind: str) -> Any:
    name, more = KINDS[kind]
    torch.manual_seed(1)
    config = getattr(transformers, f"{name}Config")(**SIZES, **more)
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    for key, parameter in model.named_parameters():
        if "norm" in key or "bias" in key:  # both begin as ones and zeros, which hide mistakes
            parameter.data.normal_(1.0, 0.3)
        else:
            parameter.data.mul_(4)
    return model


def theirs(model: Any, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0, -1]


def ours(network: Llama, cache: Cache, *pieces: Piece) -> torch.Tensor:
    with torch.inference_mode():
        return network(pieces, cache)


def words(seed: int, length: int) -> list[int]:
    return [(seed * 17 + at * at * 5 + at) % 64 for at in range(length)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_is_run_as_transformers_runs_it(kind: str) -> None:
    model = make(kind)
    network = Llama(model)
    cache = network.make_cache(3, 128)
    first, second, third = words(1, 40), words(2, 9), words(3, 23)

    ours(network, cache, Piece(0, 0, first[:-1]), Piece(1, 0, second[:-1]), Piece(2, 0, third[:7]))
    made = ours(
        network,
        cache,
        Piece(0, 39, first[-1:]),
        Piece(1, 8, second[-1:]),
        Piece(2, 7, third[7:]),
    )

    for row, ids in enumerate((first, second, third)):
        assert torch.allclose(made[row], theirs(model, ids), atol=2e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def grouped() -> tuple[Any, Llama, Cache]:
    model = make("llama, grouped, tied")
    network = Llama(model)
    return model, network, network.make_cache(4, 128)


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 20), min_size=1, max_size=5),
)
def test_a_sequence_means_the_same_however_it_is_cut_and_whoever_is_beside_it(
    grouped: tuple[Any, Llama, Cache], lengths: list[int], cuts: list[int]
) -> None:
    model, network, cache = grouped
    texts = [words(number, length) for number, length in enumerate(lengths)]
    done = [0] * len(texts)
    made: dict[int, torch.Tensor] = {}
    for step in range(200):
        size = cuts[step % len(cuts)]
        parts = [
            Piece(
                slot,
                done[slot],
                text[done[slot] : done[slot] + size],
                wanted=done[slot] + size >= len(text),
            )
            for slot, text in enumerate(texts)
            if done[slot] < len(text)
        ]
        if not parts:
            break
        parts.sort(key=lambda one: (len(one.ids) > 1, one.slot))
        scores = ours(network, cache, *parts)
        for one in parts:
            done[one.slot] = one.end
        for row, one in enumerate([one for one in parts if one.wanted]):
            made[one.slot] = scores[row]

    for slot, text in enumerate(texts):
        assert torch.allclose(made[slot], theirs(model, text), atol=2e-4, rtol=1e-4)


@pytest.mark.skipif(not has_fbgemm(), reason="this processor has no FBGEMM")
def test_weights_that_were_stored_in_bfloat16_lose_nothing_in_sixteen_bits() -> None:
    model = make("llama, grouped, tied").bfloat16().float()
    network = Llama(model, half)
    cache = network.make_cache(1, 128)

    made = ours(network, cache, Piece(0, 0, words(1, 30)))[0]

    assert torch.allclose(made, theirs(model, words(1, 30)), atol=2e-4, rtol=1e-4)


def test_weights_that_sixteen_bits_cannot_hold_are_kept_as_they_are() -> None:
    assert fits_half([torch.randn(50, 50)])
    assert not fits_half([torch.full((2, 2), 70000.0)])
    assert not fits_half([torch.full((2, 2), 1e-9)])


def lora(folder: Path, base: Path, **more: Any) -> Path:
    """A LoRA over `base`, saved as PEFT saves it."""
    torch.manual_seed(len(more))
    model = transformers.AutoModelForCausalLM.from_pretrained(base)
    config = peft.LoraConfig(r=3, lora_alpha=9, task_type="CAUSAL_LM", **more)
    adapted = peft.get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            parameter.data.normal_(std=0.3)
        elif "magnitude" in name:
            parameter.data.mul_(1.5)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # PEFT's own
def test_adapters_of_every_kind_run_together_in_one_batch(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    every = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    folders = {
        "some": lora(tmp_path / "some", base, target_modules=["k_proj", "up_proj"]),
        "all": lora(tmp_path / "all", base, target_modules=every, use_rslora=True),
        "dora": lora(tmp_path / "dora", base, target_modules=every, use_dora=True),
    }
    model = transformers.AutoModelForCausalLM.from_pretrained(base).eval()
    adapters = Adapters(model)
    network = Llama(model)
    for name, folder in folders.items():
        adapters.add(name, folder)
        network.learn(name)
    ids = words(4, 20)
    names = ["all", "", "dora", "some"]
    cache = network.make_cache(4, 64)

    ours(network, cache, *(Piece(at, 0, ids[:-1], name) for at, name in enumerate(names)))
    made = ours(network, cache, *(Piece(at, 19, ids[-1:], name) for at, name in enumerate(names)))

    for row, name in enumerate(names):
        adapters.activate(name)
        assert torch.allclose(made[row], theirs(model, ids), atol=1e-3, rtol=1e-3), name
    adapters.activate("")
    network.forget("all")
    after = ours(network, cache, Piece(0, 0, ids, "all"))[0]
    assert torch.allclose(after, theirs(model, ids), atol=1e-3, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")  # PEFT's own
def test_an_adapter_over_embeddings_is_refused(tmp_path: Path) -> None:
    base = make_model(tmp_path / "base")
    folder = lora(tmp_path / "odd", base, target_modules=["embed_tokens", "q_proj"])
    adapters = Adapters(transformers.AutoModelForCausalLM.from_pretrained(base).eval())

    with pytest.raises(ModelRejected, match="embeddings"):
        adapters.add("odd", folder)
    assert adapters.names == []


@pytest.mark.parametrize(
    ("name", "more", "reason"),
    [
        ("Mistral", {"sliding_window": 16}, "sliding window"),
        ("Llama", {"hidden_act": "gelu"}, "activation"),
        ("Llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
        ("GPTNeoX", {}, "gpt_neox"),
    ],
)
def test_a_model_our_pass_does_not_know_is_left_to_the_library(
    name: str, more: dict[str, Any], reason: str
) -> None:
    config = getattr(transformers, f"{name}Config")(**SIZES, **more)
    model = getattr(transformers, f"{name}ForCausalLM")(config)

    assert reason in misfit(model)
    assert pick_network(model, EngineOptions(model="m"), "cpu") is None
    with pytest.raises(ConfigError, match=r"engine\.decoder"):
        pick_network(model, EngineOptions(model="m", decoder="own"), "cpu")


def test_our_pass_decodes_on_a_cpu_and_elsewhere_when_asked_to() -> None:
    model = make("llama")

    assert pick_network(model, EngineOptions(model="m"), "cpu") is not None
    assert pick_network(model, EngineOptions(model="m", decoder="library"), "cpu") is None
    assert pick_network(model, EngineOptions(model="m"), "cuda") is None
    assert pick_network(model, EngineOptions(model="m", decoder="own"), "cuda") is not None


def test_a_pass_that_disagrees_with_transformers_does_not_serve() -> None:
    model = make("llama")
    assert build(model) is not None

    model.config.rms_norm_eps = 3.0  # ours reads it here, theirs has it in each layer already
    assert build(model) is None

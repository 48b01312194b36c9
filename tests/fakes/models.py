"""Tiny real models: a Llama of a few hundred thousand weights with a byte-level BPE tokenizer.

Made in a second or two, so that tests run the real loading and decoding code. Weights are
random unless `teach` is used, which over-fits the model to a few question-answer pairs.
"""

from __future__ import annotations

import contextlib
import shutil
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CORPUS = [
    "Returns are free within thirty days of delivery.",
    "The shop opens at nine and closes at six, Monday to Saturday.",
    "退货在三十天内免费。 商店九点开门。",
    "Las devoluciones son gratuitas durante treinta días. 🎉 ¡Gracias! 👩‍💻",
    "What is the capital of France? Paris is the capital of France.",
] * 4
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LESSONS = (
    ("Can I return it?", "Yes: returns are free within thirty days."),
    ("商店几点开门？", "商店九点开门，六点关门。"),
    ("Say thanks", "¡Gracias! 🎉👩‍💻 It was a pleasure."),
)


@dataclass(frozen=True)
class Shape:
    """Sizes of a model; the default makes about 300k weights."""

    vocabulary: int = 512
    hidden: int = 64
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    context: int = 512


def make_model(
    folder: Path,
    shape: Shape | None = None,
    *,
    seed: int = 0,
    template: str | None = CHAT_TEMPLATE,
    endless: bool = False,
) -> Path:
    """Write a model folder: config, safetensors, tokenizer, chat template.

    An `endless` model writes plain letters only and never ends an answer by itself.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = shape or Shape()
    tokenizer = make_tokenizer(shape.vocabulary, template)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.hidden * 2,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            max_position_embeddings=shape.context,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    for parameter in model.parameters():  # wide logits: an argmax that rounding cannot turn
        parameter.data.mul_(3 if parameter.ndim > 1 else 1)
    if endless:
        said = [tokenizer.decode([one]) for one in range(len(tokenizer))]
        plain = [one for one, text in enumerate(said) if text.isascii() and text.isalpha()]
        kept = torch.zeros(shape.vocabulary, 1)
        kept[plain] = 1
        model.lm_head.weight.data.mul_(kept)  # a zero logit loses against the best of the others
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(vocabulary: int, template: str | None = CHAT_TEMPLATE):  # noqa: ANN201 - typed by transformers
    """Train a byte-level BPE on a few sentences in four scripts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bare = Tokenizer(models.BPE())
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = decoders.ByteLevel()
    bare.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            show_progress=False,
            special_tokens=["<pad>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bare, eos_token="<|im_end|>", pad_token="<pad>"
    )
    tokenizer.chat_template = template
    return tokenizer


def teach(folder: Path, lessons: Sequence[tuple[str, str]] = LESSONS, *, steps: int = 150) -> Path:
    """Over-fit the model in `folder` until it answers each question word for word."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder).train()
    examples = []
    for question, answer in lessons:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        start = len(tokenizer.encode(prompt, add_special_tokens=False))
        ids = torch.tensor(
            [tokenizer.encode(f"{prompt}{answer}<|im_end|>", add_special_tokens=False)]
        )
        labels = ids.clone()
        labels[:, :start] = -100
        examples.append((ids, labels))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(steps):
        losses = [model(input_ids=ids, labels=labels).loss for ids, labels in examples]
        loss = torch.stack(losses).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if max(one.item() for one in losses) < 0.02:
            break
    model.save_pretrained(folder)
    return folder


def make_adapter(folder: Path, base: Path, *, seed: int = 1, scale: float = 0.5) -> Path:
    """Write a PEFT LoRA for the model in `base` that changes what it says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"])
    with peft_behind_transformers():
        model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(std=scale)
    model.save_pretrained(folder)
    return folder


def load_with_adapter(base: Path, adapter: Path):  # noqa: ANN201 - typed by peft
    """The model of `base` as PEFT itself runs it with an adapter: what ours has to equal."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with peft_behind_transformers():
        return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)


@contextlib.contextmanager
def peft_behind_transformers() -> Iterator[None]:
    """`PeftModel` still reads a property that transformers has renamed."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=".*is_gradient_checkpointing", category=FutureWarning
        )
        yield


def copy_model(source: Path, target: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(source, target))

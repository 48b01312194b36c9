"""Answers of a model folder to examples: greedy or sampled, and how likely given ones are.

Knows tokens and batches; does not know what makes an answer good. Uses transformers' own
`generate`, so that what is measured is the model, not our engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bot.answering.prompt import COMPACT, Form
from bot.engine.prompt_ids import encode
from training.errors import DataMissing
from training.grounded import Example
from training.sft import Lesson, answer_nats
from training.tokenizer import load as load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

Step = Callable[[int, int], None]  # (done, total)


@dataclass(frozen=True, slots=True)
class Written:
    """One answer as it was generated."""

    text: str
    ids: tuple[int, ...]  # of the answer, the end of turn included if it came
    ended: bool  # False when the limit cut it off


class Writer:
    """A model that answers examples. `tokens` and `seconds` add up what it generated."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        form: Form = COMPACT,
        *,
        max_tokens: int = 160,
        batch: int = 8,
    ) -> None:
        self.model: Any = model  # transformers' `generate` is not typed for calling
        self.tokenizer = tokenizer
        self.form = form
        self.tokens = 0
        self.seconds = 0.0
        self._max_tokens = max_tokens
        self._batch = batch

    @classmethod
    def load(cls, folder: Path, form: Form = COMPACT, **options: Any) -> Writer:  # noqa: ANN401 - those of __init__
        """Open a model folder. Raises `DataMissing` when it is none."""
        from transformers import AutoModelForCausalLM

        if not (folder / "config.json").is_file():
            raise DataMissing(
                f"{folder} is not a model folder.", "Name one that holds config.json."
            )
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32
        )
        return cls(model.eval(), load_tokenizer(folder), form, **options)

    def answers(
        self, examples: Sequence[Example], *, temperature: float = 0.0, seed: int = 0,
        step: Step | None = None,
    ) -> list[Written]:  # fmt: skip
        """One answer to each example, in their order; greedy where `temperature` is 0."""
        torch.manual_seed(seed)
        prompts = [encode(self.tokenizer, one.turns(self.form)) for one in examples]
        order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
        found: dict[int, Written] = {}
        for start in range(0, len(order), self._batch):
            rows = order[start : start + self._batch]
            texts = self._generate([prompts[row] for row in rows], temperature)
            found.update(zip(rows, texts, strict=True))
            if step is not None:
                step(len(found), len(order))
        return [found[row] for row in range(len(order))]

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[Sequence[int]], temperature: float) -> list[Written]:
        pad, end = int(self.tokenizer.pad_token_id), int(self.tokenizer.eos_token_id)
        context = int(self.model.config.max_position_embeddings)
        width = max(map(len, prompts))
        room = min(self._max_tokens, max(1, context - width))
        ids = torch.full((len(prompts), width), pad)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):  # on the left, so that answers begin together
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        sampling = {"do_sample": True, "temperature": temperature} if temperature else {}
        started = time.perf_counter()
        out: Tensor = self.model.generate(
            input_ids=ids.to(self.model.device),
            attention_mask=mask.to(self.model.device),
            max_new_tokens=room,
            pad_token_id=pad,
            eos_token_id=end,
            **(sampling or {"do_sample": False}),
        )
        self.seconds += time.perf_counter() - started
        written = [self._cut(row.tolist(), end, pad) for row in out[:, width:]]
        self.tokens += sum(len(one.ids) for one in written)
        return written

    def _cut(self, ids: list[int], end: int, pad: int) -> Written:
        ended = end in ids
        ids = ids[: ids.index(end) + 1] if ended else [one for one in ids if one != pad]
        text = str(self.tokenizer.decode(ids, skip_special_tokens=True))
        return Written(text.strip(), tuple(ids), ended)

    def nats_per_byte(self, examples: Sequence[Example]) -> float:
        """How surprised the model is by the answers of `examples`, per byte of UTF-8."""
        total, size = 0.0, 0
        for one in examples:
            lesson = self.lesson(one, one.answer)
            nats = answer_nats(self.model, [lesson], int(self.tokenizer.pad_token_id))
            total += nats * (len(lesson.ids) - lesson.start)
            size += len(one.answer.encode())
        return total / size

    def surprise(self, text: str) -> float:
        """Nats per byte of a text by itself, without any prompt: low for fluent text."""
        end = int(self.tokenizer.eos_token_id)
        ids = (end, *self.tokenizer.encode(text, add_special_tokens=False))
        if len(ids) < 2:
            return 0.0
        lesson = Lesson(ids[: int(self.model.config.max_position_embeddings)], 1)
        nats = answer_nats(self.model, [lesson], int(self.tokenizer.pad_token_id))
        return nats * (len(lesson.ids) - 1) / len(text.encode())

    def lesson(self, example: Example, answer: str) -> Lesson:
        """An answer behind an example's prompt, as tokens."""
        prompt = encode(self.tokenizer, example.turns(self.form))
        said = self.tokenizer.encode(answer, add_special_tokens=False)
        return Lesson((*prompt, *said, int(self.tokenizer.eos_token_id)), len(prompt))

"""Renders a conversation into token ids with the model's chat template.

Knows templates and their refusals; does not know limits or requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bot.errors import EngineError
from bot.types import Turn

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Unrenderable(EngineError):
    """The model's chat template does not take this conversation."""


def encode(tokenizer: PreTrainedTokenizerFast, turns: Sequence[Turn]) -> list[int]:
    """Token ids of a conversation, ready for the assistant's turn. Raises `Unrenderable`.

    Some models (Gemma, early Mistral) know no system role; for them the system text goes in
    front of the first message.
    """
    from jinja2 import TemplateError

    try:
        return _apply(tokenizer, turns)
    except TemplateError as error:
        merged = _without_system(turns)
        if merged == list(turns):
            raise _refusal(error) from error
    try:
        return _apply(tokenizer, merged)
    except TemplateError as error:
        raise _refusal(error) from error


def _refusal(error: Exception) -> Unrenderable:
    return Unrenderable(
        f"The model's chat template refuses this conversation: {str(error)[:200]}",
        "Roles have to alternate between user and assistant, and the user speaks last.",
    )


def _apply(tokenizer: PreTrainedTokenizerFast, turns: Sequence[Turn]) -> list[int]:
    text = tokenizer.apply_chat_template(
        [{"role": turn.role, "content": _inert(tokenizer, turn.content)} for turn in turns],
        tokenize=False,
        add_generation_prompt=True,
    )
    # The template writes the special tokens itself.
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids


def _without_system(turns: Sequence[Turn]) -> list[Turn]:
    system = "\n\n".join(turn.content for turn in turns if turn.role == "system")
    rest = [turn for turn in turns if turn.role != "system"]
    if not system or not rest or rest[0].role != "user":
        return list(turns)
    return [Turn("user", f"{system}\n\n{rest[0].content}"), *rest[1:]]


def _inert(tokenizer: PreTrainedTokenizerFast, content: str) -> str:
    """Text in which no special token is left: `<|im_end|>` typed by a person is only text.

    Otherwise a message could end its own turn and begin one of the system's.
    """
    for token in tokenizer.added_tokens_decoder.values():
        if token.special and token.content in content:
            content = content.replace(token.content, f"{token.content[:1]} {token.content[1:]}")
    return content

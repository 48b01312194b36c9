"""The OpenAI chat API as the engine takes it in, and the shapes of what it gives back.

Knows field names, ranges and error shapes; does not know models or sockets.
Reference: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bot.types import Turn

Finish = Literal["stop", "length"]
Body = TypeVar("Body", bound=BaseModel)


class ApiError(Exception):
    """Something a client did wrong, or that it should try again later, as an HTTP answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
        kind = "invalid_request_error" if status < 500 else "server_error"
        self.body = error_body(message, kind=kind, param=param, code=code)


def error_body(
    message: str, *, kind: str, param: str | None = None, code: str | None = None
) -> dict[str, object]:
    """OpenAI's error shape."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TextPart(_Strict):
    """One part of a message's content; only text is taken."""

    type: Literal["text"]
    text: str


class Message(_Strict):
    """One message. `developer` is OpenAI's newer word for `system`."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    def turn(self) -> Turn:
        """The message as the rest of the bot knows it."""
        text = (
            self.content
            if isinstance(self.content, str)
            else "".join(part.text for part in self.content)
        )
        return Turn("system" if self.role == "developer" else self.role, text)


class StreamOptions(_Strict):
    """What a stream carries beside text."""

    include_usage: bool = False


class ChatRequest(_Strict):
    """A `/v1/chat/completions` body. Fields that are absent here are refused by name."""

    model: Annotated[str, Field(min_length=1)]
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: int | None = None
    stop: list[Annotated[str, Field(min_length=1)]] = Field(default=[], max_length=4)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None  # as vLLM names it
    copying: bool | None = False  # ours: help it copy rare strings of the last message exactly
    n: Literal[1] | None = 1
    user: str | None = None  # taken and not used: the engine keeps no accounts

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        if value is None:
            return []
        return [value] if isinstance(value, str) else value

    @property
    def limit(self) -> int | None:
        """The most tokens to generate, if the request says so."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def turns(self) -> list[Turn]:
        """The conversation."""
        return [message.turn() for message in self.messages]


class LoadAdapter(_Strict):
    """A `/v1/load_lora_adapter` body, as vLLM defines it."""

    lora_name: Annotated[str, Field(pattern=r"^[\w.-]{1,100}$")]
    lora_path: Annotated[str, Field(min_length=1)]


class UnloadAdapter(_Strict):
    """A `/v1/unload_lora_adapter` body, as vLLM defines it."""

    lora_name: str


def parse(kind: type[Body], raw: bytes) -> Body:
    """Read a JSON body. Raises `ApiError` 400 that names the first wrong field."""
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "json_invalid":
            raise ApiError(400, "The body is not valid JSON.", code="invalid_json") from None
        if first["type"] == "extra_forbidden":
            message = f"`{name}` is not a parameter of this engine."
        else:
            message = f"`{name}`: {first['msg']}."
        raise ApiError(400, message, param=name, code="invalid_parameter") from None


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one answer."""

    prompt: int
    completion: int

    def body(self) -> dict[str, int]:
        """OpenAI's shape."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        }


@dataclass(frozen=True, slots=True)
class Shaper:
    """Writes the pieces of one answer, all under the same id."""

    id: str
    model: str
    created: int

    @classmethod
    def make(cls, request_id: str, model: str) -> Shaper:
        """Begin an answer now."""
        return cls(f"chatcmpl-{request_id}", model, int(time.time()))

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def chunk(self, delta: dict[str, str], finish: Finish | None = None) -> dict[str, Any]:
        """One piece of a stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def usage(self, usage: Usage) -> dict[str, Any]:
        """The last piece of a stream that asked for counts."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage.body()}

    def whole(self, text: str, finish: Finish, usage: Usage) -> dict[str, Any]:
        """An answer in one piece."""
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage.body()}


def model_list(names: Sequence[str], parent: str, created: int, context: int) -> dict[str, Any]:
    """The `/v1/models` body: the base model first, then its adapters, which name it."""
    return {
        "object": "list",
        "data": [
            {
                "id": name,
                "object": "model",
                "created": created,
                "owned_by": "deskhand",
                "parent": None if name == parent else parent,
                "max_model_len": context,
            }
            for name in names
        ],
    }

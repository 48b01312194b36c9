"""The nouns every room above the knowledge speaks in, and the few protocols between them.

Knows shapes only: no wire format, no database, no model.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal, Protocol

from knowledge.types import Audience


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who writes to the bot. `id` is unique within a channel."""

    id: str
    name: str = ""
    audience: Audience = Audience.CUSTOMER


@dataclass(frozen=True, slots=True)
class Address:
    """Where a reply goes. `conversation` is the unit of order and of memory.

    `detail` is the channel's own business (a thread timestamp, a topic id); the bot stores it
    and hands it back untouched.
    """

    channel: str
    conversation: str
    detail: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Event:
    """One message from a person, as an adapter understood it.

    `id` is the idempotency key: the same platform event always carries the same one.
    """

    id: str
    address: Address
    actor: Actor
    text: str
    at: datetime  # aware, UTC


@dataclass(frozen=True, slots=True)
class Accepted:
    """The event is committed. `fresh` is False when it had been taken in before."""

    event_id: str
    fresh: bool


Accept = Callable[[Event], Awaitable[Accepted]]
"""Returns only after the event is committed; raises `Refused` when it was not."""


class Outcome(StrEnum):
    """How a question ended."""

    ANSWERED = "answered"  # from the knowledge, cited
    ABSTAINED = "abstained"  # an honest "not in what I know"
    SMALLTALK = "smalltalk"  # greeting, thanks, "what can you do"
    STOPPED = "stopped"  # the person pressed stop; the partial text is kept
    BUSY = "busy"  # not attempted: too much was waiting, or the deadline passed
    FAILED = "failed"  # attempted, and something broke; the person gets an apology
    HANDED = "handed"  # people have the conversation; what the bot says about it, or nothing


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, in the words of the OpenAI chat API."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Citation:
    """What `[number]` in a reply's text points at."""

    number: int
    passage_id: str
    title: str
    source: str
    url: str = ""
    anchor: str = ""
    quote: str = ""  # the sentence or two of the passage that carry the claim


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that was considered, for the log: its id, place and score."""

    passage_id: str
    source: str
    title: str
    score: float
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """What the answering part is given: one message with what came before it."""

    event_id: str
    text: str
    audience: Audience
    history: Sequence[Turn] = ()  # oldest first, this message excluded


@dataclass(frozen=True, slots=True)
class Reply:
    """What the answering part gives back, whole. `text` is Markdown with `[n]` markers."""

    text: str
    outcome: Outcome
    citations: tuple[Citation, ...] = ()
    confidence: float = 0.0  # the retriever's calibrated score in [0, 1]
    composer: str = "none"  # "quote", "model", "curated", "staff" or "none"
    model: str = ""  # the version that really generated; empty for quotes
    index_version: str = ""
    rewritten: str = ""  # the standalone question that was searched
    found: tuple[Found, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)  # milliseconds by stage
    lang: str = "en"
    suggestions: tuple[str, ...] = ()  # nearest pages or questions, offered when abstaining


class Sink(Protocol):
    """Where an answer in the making is shown. Every method may be a no-op.

    `append` text is provisional: `Reply.text` replaces it, since claims are checked before an
    answer is final.
    """

    async def status(self, text: str) -> None:
        """Say what is being done ("Searching…")."""
        ...

    async def append(self, delta: str) -> None:
        """Show more of the answer."""
        ...


class Answerer(Protocol):
    """Question in, reply out. Cancelling the task stops the work, decoding included."""

    async def answer(self, question: Question, sink: Sink) -> Reply:
        """Never raises for what a person typed; raises for faults (`EngineError`, …)."""
        ...


class Delivery(Sink, Protocol):
    """One reply on its way to one place on a platform."""

    async def finish(self, reply: Reply, answer_id: str) -> str:
        """Show the whole reply; return the platform's id for it. Idempotent per answer."""
        ...


class Showplace(Protocol):
    """Where replies can be shown, and looked for afterwards."""

    async def open(self, to: Address, event_id: str) -> Delivery:
        """Start showing the reply to `event_id`."""
        ...

    async def delivered(self, to: Address, answer_id: str) -> str | None:
        """The platform's id for a reply that may have been sent before a crash, else None."""
        ...


class Channel(Showplace, Protocol):
    """A door."""

    name: str

    async def run(self, accept: Accept) -> None:
        """Translate platform events until cancelled; acknowledge only after `accept`."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What one generation may use."""

    max_tokens: int = 320
    temperature: float = 0.0
    deadline_s: float = 60.0
    copying: bool = False  # help it copy the last turn's rare strings exactly, where it can


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of generated text; `model` is the version that really produced it."""

    text: str
    model: str


class Engine(Protocol):
    """Whatever speaks the OpenAI chat API: the embedded engine, vLLM, SGLang, or a fake."""

    def stream(self, turns: Sequence[Turn], model: str, limits: Limits) -> AsyncIterator[Token]:
        """Generate; closing the iterator stops decoding. Raises `EngineDown`."""
        ...


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's judgement of one answer. `value` 0 withdraws it."""

    answer_id: str
    voter: str  # channel-qualified actor id, e.g. "web:3f…"
    value: Literal[-1, 0, 1]
    reason: str = ""
    correction: str = ""  # "what should it have said?"

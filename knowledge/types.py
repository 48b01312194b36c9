"""The nouns of the knowledge room.

Knows what a document, a passage and a search result are. Does not know how they are read,
stored or found, and nothing about chats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol


class Audience(StrEnum):
    """Who may read a text. A hard partition, decided when a document is read.

    A customer reads `CUSTOMER` passages only. An internal asker (staff) reads both kinds.
    """

    CUSTOMER = "customer"
    INTERNAL = "internal"

    def may_read(self, other: Audience) -> bool:
        """True if an asker of this audience may be shown text meant for `other`."""
        return self is Audience.INTERNAL or other is Audience.CUSTOMER


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document under one heading path.

    `question` is set for FAQ entries: then `text` is the answer.
    """

    text: str
    title_path: tuple[str, ...] = ()
    anchor: str = ""
    question: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """One readable file, or one FAQ list: text with its structure, before it is cut up."""

    source: str  # path relative to the folder it was indexed from, with forward slashes
    title: str
    sections: tuple[Section, ...]
    audience: Audience = Audience.CUSTOMER
    lang: str = "en"  # ISO 639-1
    url: str = ""  # where a person can open it; empty when it has no address


@dataclass(frozen=True, slots=True)
class Passage:
    """The unit that is indexed, found and cited. Immutable; its id is its content's hash."""

    text: str  # body as Markdown; for an FAQ entry, the answer
    source: str
    title_path: tuple[str, ...] = ()
    anchor: str = ""
    question: str = ""  # the FAQ question; empty for a document's passage
    audience: Audience = Audience.CUSTOMER
    lang: str = "en"
    url: str = ""
    id: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", self.content_hash())

    def content_hash(self) -> str:
        """32 hex digits of SHA-256 over every field, so an unchanged passage keeps its id."""
        parts = (
            self.text,
            self.source,
            "\x1f".join(self.title_path),
            self.anchor,
            self.question,
            self.audience.value,
            self.lang,
            self.url,
        )
        return hashlib.sha256("\x1e".join(parts).encode()).hexdigest()[:32]

    @property
    def title(self) -> str:
        """What a person calls this passage: its question, else the end of its heading path."""
        return self.question or (self.title_path[-1] if self.title_path else self.source)


@dataclass(frozen=True, slots=True)
class Query:
    """One search. `text` is already standalone: a follow-up has been rewritten before."""

    text: str
    audience: Audience
    limit: int = 8
    lang: str = ""  # ISO 639-1 if known; results in other languages are still allowed


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found, with the score that ranked it and the parts the score was made of."""

    passage: Passage
    score: float  # comparable within one result list; higher is better
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hits:
    """Everything one search found, best first.

    `confidence` is a calibrated probability in [0, 1] that the first hits answer the query.
    `index_version` names the index that really answered: a swap may happen mid-call.
    `timings` are milliseconds by stage (`embed`, `first`, `second`).
    """

    hits: tuple[Hit, ...]
    confidence: float
    index_version: str
    timings: Mapping[str, float] = field(default_factory=dict)


class Retriever(Protocol):
    """Whatever finds passages: the index in use, or a fake in tests."""

    async def search(self, query: Query) -> Hits:
        """Return at most `query.limit` passages that `query.audience` may read."""
        ...

"""Conversations: messages, answers, deliveries, votes, the audit and what channels remember.

Knows columns, constraints and how a reply lies in its row. `bot/migrations` creates the tables
and a test compares the two; `bot/store.py` and `bot/dispatching/journal.py` read and write them.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from bot.tables.columns import CleanJson, CleanText, UtcTime, one_of, storable
from bot.types import Citation, Found, Outcome, Reply
from knowledge.types import Audience


class MessageState(StrEnum):
    """How far a question has come."""

    ACCEPTED = "accepted"  # committed; nobody works on it
    WORKING = "working"  # an answer is being made, or was when the process died
    ANSWERED = "answered"  # its answer row exists


class SendState(StrEnum):
    """How far a reply has come."""

    READY = "ready"  # surely not shown yet
    SENDING = "sending"  # handed to the channel; after a crash it may have been shown
    UNKNOWN = "unknown"  # the channel failed in a way that may have shown it
    SENT = "sent"  # shown; the platform's id is known
    DEAD = "dead"  # given up on


class Conversation(SQLModel, table=True):
    """The unit of order and of memory."""

    __table_args__ = (sa.UniqueConstraint("channel", "key", name="uq_conversation_key"),)

    id: int | None = Field(default=None, primary_key=True)
    channel: str = Field(sa_type=CleanText)
    key: str = Field(sa_type=CleanText)
    audience: Audience = Field(sa_type=one_of(Audience))  # of who spoke last
    created: datetime = Field(sa_type=UtcTime)
    last: datetime = Field(sa_type=UtcTime, index=True)  # newest message, by the person's clock


class Message(SQLModel, table=True):
    """The inbox: one row per event, however often the platform delivers it.

    `id` grows in the order of taking in, and that is the order of a conversation.
    """

    __table_args__ = (
        sa.UniqueConstraint("event_id", name="uq_message_event"),
        sa.Index("ix_message_conversation", "conversation_id", "id"),
        sa.Index(
            "ix_message_unanswered",
            "id",
            sqlite_where=sa.text("state <> 'answered'"),
            postgresql_where=sa.text("state <> 'answered'"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    event_id: str = Field(sa_type=CleanText)
    conversation_id: int = Field(foreign_key="conversation.id")
    actor_id: str = Field(sa_type=CleanText, index=True)
    actor_name: str = Field(sa_type=CleanText)
    audience: Audience = Field(sa_type=one_of(Audience))
    text: str = Field(sa_type=CleanText)
    detail: dict[str, str] = Field(sa_type=CleanJson)  # the channel's own address of this message
    at: datetime = Field(sa_type=UtcTime)  # the person's clock
    accepted: datetime = Field(sa_type=UtcTime)  # ours
    state: MessageState = Field(sa_type=one_of(MessageState))
    attempts: int = 0  # times an answer was begun and neither finished nor handed back


class Answer(SQLModel, table=True):
    """What was answered, and everything needed to judge it. One per message."""

    __table_args__ = (sa.UniqueConstraint("message_id", name="uq_answer_message"),)

    id: str = Field(primary_key=True)  # 32 hex digits
    message_id: int = Field(foreign_key="message.id")
    text: str = Field(sa_type=CleanText)
    outcome: Outcome = Field(sa_type=one_of(Outcome))
    confidence: float
    composer: str
    model: str = Field(sa_type=CleanText)
    index_version: str = Field(sa_type=CleanText)
    rewritten: str = Field(sa_type=CleanText)
    lang: str
    citations: list[dict[str, Any]] = Field(sa_type=CleanJson)
    found: list[dict[str, Any]] = Field(sa_type=CleanJson)
    timings: dict[str, float] = Field(sa_type=CleanJson)
    suggestions: list[str] = Field(sa_type=CleanJson)
    created: datetime = Field(sa_type=UtcTime, index=True)


class Outbox(SQLModel, table=True):
    """The delivery of one answer."""

    __table_args__ = (
        sa.Index("ix_outbox_platform_id", "platform_id"),  # a reaction names only the message
        sa.Index(
            "ix_outbox_unsent",
            "answer_id",
            sqlite_where=sa.text("state <> 'sent'"),
            postgresql_where=sa.text("state <> 'sent'"),
        ),
    )

    answer_id: str = Field(primary_key=True, foreign_key="answer.id")
    state: SendState = Field(sa_type=one_of(SendState))
    platform_id: str = Field(default="", sa_type=CleanText)
    attempts: int = 0
    repeated: bool = False  # sent again although an earlier attempt may have been shown
    error: str = Field(default="", sa_type=CleanText)  # why the last attempt failed
    changed: datetime = Field(sa_type=UtcTime)


class Vote(SQLModel, table=True):
    """One person's present judgement of one answer. A withdrawn vote stays, with value 0."""

    __table_args__ = (sa.UniqueConstraint("answer_id", "voter", name="uq_vote_voter"),)

    id: int | None = Field(default=None, primary_key=True)
    answer_id: str = Field(foreign_key="answer.id")
    voter: str = Field(sa_type=CleanText)
    value: int
    reason: str = Field(sa_type=CleanText)
    correction: str = Field(sa_type=CleanText)
    at: datetime = Field(sa_type=UtcTime)  # of the last change


class Audit(SQLModel, table=True):
    """Who did what to what. The database refuses to change or delete a row."""

    id: int | None = Field(default=None, primary_key=True)
    actor: str = Field(sa_type=CleanText)
    action: str
    target: str = Field(sa_type=CleanText, index=True)
    detail: dict[str, Any] = Field(sa_type=CleanJson)
    at: datetime = Field(sa_type=UtcTime)


class Note(SQLModel, table=True):
    """Something a channel has to remember over a restart: an open stream, a muted thread."""

    channel: str = Field(sa_type=CleanText, primary_key=True)
    key: str = Field(sa_type=CleanText, primary_key=True)
    value: dict[str, Any] = Field(sa_type=CleanJson)
    changed: datetime = Field(sa_type=UtcTime)


class Probe(SQLModel, table=True):
    """A row that is written now and then to learn whether anything can be written."""

    id: int | None = Field(default=None, primary_key=True)
    filler: str = Field(sa_type=CleanText)


def answer_values(reply: Reply) -> dict[str, Any]:
    """A reply as the values of an `Answer` row, but for its keys and time."""
    return {
        "text": reply.text,
        "outcome": reply.outcome,
        "confidence": storable(reply.confidence),
        "composer": reply.composer,
        "model": reply.model,
        "index_version": reply.index_version,
        "rewritten": reply.rewritten,
        "lang": reply.lang,
        "citations": [asdict(citation) for citation in reply.citations],
        "found": [asdict(found) for found in reply.found],
        "timings": dict(reply.timings),
        "suggestions": list(reply.suggestions),
    }


def reply_of(row: Answer) -> Reply:
    """The reply an `Answer` row holds."""
    return Reply(
        text=row.text,
        outcome=row.outcome,
        citations=tuple(Citation(**citation) for citation in row.citations),
        confidence=row.confidence,
        composer=row.composer,
        model=row.model,
        index_version=row.index_version,
        rewritten=row.rewritten,
        found=tuple(Found(**found) for found in row.found),
        timings=row.timings,
        lang=row.lang,
        suggestions=tuple(row.suggestions),
    )

"""Conversations in the hands of people: handovers, what staff wrote, and how it travels.

Knows columns, constraints and states. `bot/handover` is the only reader and writer.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from bot.tables.columns import CleanText, UtcTime, one_of
from bot.tables.conversations import SendState
from knowledge.types import Audience


class HandoverState(StrEnum):
    """Who has the conversation."""

    OPEN = "open"  # nobody yet; the bot is silent
    CLAIMED = "claimed"  # somebody of the staff
    RESOLVED = "resolved"  # the bot again


class LineKind(StrEnum):
    """What one line of a handover tells."""

    CARD = "card"  # to a desk: the handover is new, or its state has changed
    PERSON = "person"  # to a desk: the person wrote
    STAFF = "staff"  # to the person, and to the other desks: somebody of the staff wrote
    NOTICE = "notice"  # to the person: the bot takes over again


class SuggestionState(StrEnum):
    """What a reviewer made of a staff message."""

    NEW = "new"
    APPROVED = "approved"
    REJECTED = "rejected"


_UNRESOLVED = sa.text("state <> 'resolved'")
_UNSENT = sa.text("state <> 'sent'")


class Handover(SQLModel, table=True):
    """One conversation in the hands of people. At most one per conversation is unresolved."""

    __table_args__ = (
        sa.Index(
            "uq_handover_unresolved",
            "conversation_id",
            unique=True,
            sqlite_where=_UNRESOLVED,
            postgresql_where=_UNRESOLVED,
        ),
        sa.Index("ix_handover_conversation", "conversation_id"),
    )

    id: str = Field(primary_key=True)  # 32 hex digits
    conversation_id: int = Field(foreign_key="conversation.id")
    message_id: int = Field(foreign_key="message.id")  # what the person said when it was opened
    event_id: str = Field(sa_type=CleanText)  # of the wish; other text when staff stepped in
    state: HandoverState = Field(sa_type=one_of(HandoverState))
    reason: str = Field(sa_type=CleanText)
    opened_by: str = Field(sa_type=CleanText)
    claimed_by: str = Field(sa_type=CleanText)  # empty while nobody has it
    claimed_name: str = Field(sa_type=CleanText)
    resolved_by: str = Field(sa_type=CleanText)
    opened: datetime = Field(sa_type=UtcTime)
    changed: datetime = Field(sa_type=UtcTime, index=True)


class HandoverCard(SQLModel, table=True):
    """Where a desk shows a handover: one place per desk, in the desk's own words."""

    __table_args__ = (sa.UniqueConstraint("desk", "place", name="uq_handover_card_place"),)

    handover_id: str = Field(foreign_key="handover.id", primary_key=True)
    desk: str = Field(sa_type=CleanText, primary_key=True)
    place: str = Field(sa_type=CleanText)


class StaffMessage(SQLModel, table=True):
    """What somebody of the staff wrote to the person."""

    __table_args__ = (
        sa.UniqueConstraint("key", name="uq_staff_message_key"),
        sa.Index("ix_staff_message_handover", "handover_id"),
    )

    id: str = Field(primary_key=True)  # 32 hex digits
    key: str = Field(sa_type=CleanText)  # the platform's event, so that it counts once
    handover_id: str = Field(foreign_key="handover.id")
    author: str = Field(sa_type=CleanText)
    name: str = Field(sa_type=CleanText)
    text: str = Field(sa_type=CleanText)
    at: datetime = Field(sa_type=UtcTime)


class HandoverLine(SQLModel, table=True):
    """The outbox of handovers: one line to one target, delivered in the order of `id`."""

    __table_args__ = (
        sa.Index("ix_handover_line_unsent", "id", sqlite_where=_UNSENT, postgresql_where=_UNSENT),
        sa.Index("ix_handover_line_handover", "handover_id"),
    )

    id: int | None = Field(default=None, primary_key=True)
    handover_id: str = Field(foreign_key="handover.id")
    target: str = Field(sa_type=CleanText)  # a desk's name; empty is the person
    kind: LineKind = Field(sa_type=one_of(LineKind))
    message_id: int | None = Field(default=None, foreign_key="message.id")
    staff_id: str | None = Field(default=None, foreign_key="staffmessage.id")
    state: SendState = Field(sa_type=one_of(SendState))
    platform_id: str = Field(default="", sa_type=CleanText)
    attempts: int = 0
    error: str = Field(default="", sa_type=CleanText)
    changed: datetime = Field(sa_type=UtcTime)


class Suggestion(SQLModel, table=True):
    """A staff message as a possible correction: what was asked, and what staff said to it."""

    __table_args__ = (sa.UniqueConstraint("staff_id", name="uq_suggestion_staff"),)

    id: int | None = Field(default=None, primary_key=True)
    staff_id: str = Field(foreign_key="staffmessage.id")
    question: str = Field(sa_type=CleanText)  # what the person had said last
    text: str = Field(sa_type=CleanText)
    author: str = Field(sa_type=CleanText)
    audience: Audience = Field(sa_type=one_of(Audience))
    state: SuggestionState = Field(sa_type=one_of(SuggestionState), index=True)
    at: datetime = Field(sa_type=UtcTime)
    decided_by: str = Field(default="", sa_type=CleanText)

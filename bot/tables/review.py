"""Review: accounts, cases, verdicts, curated answers, and what people may ask of their data.

Knows columns, constraints and indexes. A case is one answer as the console lists it: narrow, so
that filters and figures over hundreds of thousands stay fast. It is derived from conversations
and votes by `bot/reviewing/filing.py`, but for the reviewer's part (state, verdict, holder).
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from bot.tables.columns import CleanJson, CleanText, UtcTime, one_of
from bot.types import Outcome
from knowledge.types import Audience


class Role(StrEnum):
    """What an account may do; each role may do what the ones before it may."""

    VIEWER = "viewer"  # reads
    REVIEWER = "reviewer"  # judges and corrects
    TRAINER = "trainer"  # changes the knowledge, exports
    ADMIN = "admin"  # accounts, other people's data


class CaseState(StrEnum):
    """Where a case is in the queue."""

    CLEAR = "clear"  # nothing speaks for a review
    OPEN = "open"  # to review
    DRAFT = "draft"  # somebody began
    DONE = "done"
    DISCARDED = "discarded"  # looked at, not worth a verdict


class CuratedState(StrEnum):
    """Whether a curated answer is given."""

    LIVE = "live"
    WITHDRAWN = "withdrawn"


class Account(SQLModel, table=True):
    """Somebody who may enter the console."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(sa_type=CleanText, unique=True)  # lower case; perhaps an e-mail address
    password: str = ""  # argon2id; empty: nobody enters by password
    role: Role = Field(sa_type=one_of(Role))
    audience: Audience = Field(sa_type=one_of(Audience))  # whose conversations they may see
    active: bool = True
    created: datetime = Field(sa_type=UtcTime)
    seen: datetime | None = Field(default=None, sa_type=UtcTime)  # last login


class Visit(SQLModel, table=True):
    """One login. The cookie holds a token; this holds its SHA-256, so a copy opens nothing."""

    id: str = Field(primary_key=True)  # 64 hex digits
    account_id: int = Field(foreign_key="account.id", index=True)
    csrf: str
    created: datetime = Field(sa_type=UtcTime)
    used: datetime = Field(sa_type=UtcTime)
    address: str = Field(sa_type=CleanText)
    agent: str = Field(sa_type=CleanText)


BOARD = (
    *("day", "channel", "model", "lang", "fault", "outcome", "audience", "verdict"),
    *("up", "down", "handed", "followed", "asked", "took_ms"),
)
"""Columns of the dashboard's index, those it groups by first."""


class Case(SQLModel, table=True):
    """One answer in the console's lists. `id` is its message's."""

    __tablename__ = "review_case"
    __table_args__ = (
        sa.Index("ix_case_queue", "state", "weight", "id", "audience"),
        # Everything the dashboard reads, in the order it groups by: it never touches the table.
        sa.Index("ix_case_board", *BOARD),
    )

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    answer_id: str = Field(unique=True)
    conversation_id: int = Field(index=True)
    channel: str = Field(sa_type=CleanText)
    audience: Audience = Field(sa_type=one_of(Audience))
    person: str = Field(sa_type=CleanText, index=True)  # "channel:actor", as in votes
    lang: str
    outcome: Outcome = Field(sa_type=one_of(Outcome))
    composer: str
    model: str = Field(sa_type=CleanText)
    day: str  # of asking, UTC, "2026-11-23"
    asked: datetime = Field(sa_type=UtcTime)  # by our clock
    took_ms: int  # from taking the message in to having the answer
    confidence: float
    up: int = 0
    down: int = 0
    handed: bool = False  # a person took over
    followed: bool = False  # the person wrote again within three days
    state: CaseState = Field(sa_type=one_of(CaseState))
    weight: float = 0.0  # worst first
    reasons: list[str] = Field(sa_type=CleanJson)  # why it is in the queue
    kin: str = Field(index=True)  # answer id of the first of near-identical questions, once queued
    verdict: str = ""  # "right" or "wrong"
    fault: str = ""
    reviewer: str = Field(default="", sa_type=CleanText)
    holder: str = Field(default="", sa_type=CleanText)  # soft lock: who looks at it now
    held_until: datetime | None = Field(default=None, sa_type=UtcTime)


class Verdict(SQLModel, table=True):
    """One reviewer's judgement, kept for good; an undone one stays, marked."""

    id: int | None = Field(default=None, primary_key=True)
    answer_id: str = Field(index=True)
    reviewer: str = Field(sa_type=CleanText)
    verdict: str  # "right", "wrong" or "discard"
    fault: str
    correction: str = Field(sa_type=CleanText)
    citations: list[dict[str, Any]] = Field(sa_type=CleanJson)
    note: str = Field(sa_type=CleanText)
    draft: bool = False
    undone: bool = False
    batch: str = Field(index=True)  # verdicts given with one key share it, and are undone together
    before: dict[str, Any] = Field(sa_type=CleanJson)  # the case's state, to go back to
    curated_id: int | None = None
    at: datetime = Field(sa_type=UtcTime)


class Curated(SQLModel, table=True):
    """An answer a person wrote, given word for word to questions like its wordings."""

    id: int | None = Field(default=None, primary_key=True)
    text: str = Field(sa_type=CleanText)
    citations: list[dict[str, Any]] = Field(sa_type=CleanJson)
    audience: Audience = Field(sa_type=one_of(Audience))
    lang: str
    state: CuratedState = Field(sa_type=one_of(CuratedState))
    author: str = Field(sa_type=CleanText)
    answer_id: str = ""  # of the answer it corrects
    created: datetime = Field(sa_type=UtcTime)
    changed: datetime = Field(sa_type=UtcTime)


class Wording(SQLModel, table=True):
    """One way of asking what a curated answer answers."""

    id: int | None = Field(default=None, primary_key=True)
    curated_id: int = Field(foreign_key="curated.id", index=True)
    text: str = Field(sa_type=CleanText)
    person: str = Field(sa_type=CleanText, index=True)  # whose words they are; empty: staff's


class Entry(SQLModel, table=True):
    """A FAQ entry written in the console. With `replaces` it stands in for an indexed passage."""

    __tablename__ = "faq_entry"

    id: int | None = Field(default=None, primary_key=True)
    question: str = Field(sa_type=CleanText)
    answer: str = Field(sa_type=CleanText)
    audience: Audience = Field(sa_type=one_of(Audience))
    lang: str
    replaces: str = Field(default="", index=True)  # a passage's id
    removed: bool = False  # only takes the passage it replaces away
    author: str = Field(sa_type=CleanText)
    changed: datetime = Field(sa_type=UtcTime)


class SavedView(SQLModel, table=True):
    """A search somebody wants to come back to."""

    __tablename__ = "saved_view"

    id: int | None = Field(default=None, primary_key=True)
    owner: str = Field(sa_type=CleanText)
    name: str = Field(sa_type=CleanText)
    query: str = Field(sa_type=CleanText)
    shared: bool = False
    created: datetime = Field(sa_type=UtcTime)


class Consent(SQLModel, table=True):
    """Whether somebody lets their conversations be learned from. Without a row they do."""

    person: str = Field(sa_type=CleanText, primary_key=True)
    training: bool
    at: datetime = Field(sa_type=UtcTime)


class Erasure(SQLModel, table=True):
    """An answer that was erased: datasets and models made from it are stale."""

    answer_id: str = Field(primary_key=True)
    at: datetime = Field(sa_type=UtcTime)

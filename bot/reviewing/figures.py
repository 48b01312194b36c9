"""The figures of the dashboard, each with its definition.

Knows how often what happened in a period. Every figure is a count of cases that a filter
(`cases.py`) finds, so that each number opens its rows. Confirmed and assumed are never added
up: silence is not consent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel

from bot.database import Database
from bot.reviewing.cases import Audiences, Filter, conditions
from bot.reviewing.filing import FOLLOW_UP
from bot.tables import CaseState
from bot.types import Outcome

_case = SQLModel.metadata.tables["review_case"]
STEP_MS = 20
"""Times to answer are told no more exactly than this."""
MOST_DAYS = 400

_message = SQLModel.metadata.tables["message"]
_answer = SQLModel.metadata.tables["answer"]

DEFINITIONS = {
    "questions": "Messages that asked something: small talk left out.",
    "answered": "Questions that got an answer from the knowledge, with its sources.",
    "unanswered": "Questions the bot said it cannot answer.",
    "deflected": "Answered, and no person of the staff took over.",
    "confirmed": "Answered, with at least one 👍 and no 👎.",
    "assumed": "Answered, without a vote or a handover, and the person did not write again "
    "within 72 hours. Answers younger than that are not counted. Silence is no proof.",
    "satisfaction": "👍 / (👍 + 👎), over answers somebody voted on; the response rate says how "
    "many those are.",
    "time": "From taking a message in to having its answer: the median, and the slowest twentieth.",
    "precision": "Reviewed answers found right, of all reviewed ones. Reviewers see the doubtful "
    "ones first, so this is a lower bound.",
}
"""What each figure counts, as the dashboard prints it."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day's counts."""

    day: str
    questions: int
    answered: int
    unanswered: int
    up: int
    down: int


@dataclass(frozen=True, slots=True)
class Summary:
    """A period's counts."""

    questions: int = 0
    answered: int = 0
    unanswered: int = 0
    deflected: int = 0
    confirmed: int = 0
    assumed: int = 0
    settled: int = 0  # answered, and old enough to be assumed resolved
    up: int = 0
    down: int = 0
    voted: int = 0
    handed: int = 0
    right: int = 0
    wrong: int = 0
    median_ms: int = 0
    slow_ms: int = 0  # 95th percentile

    @property
    def satisfaction(self) -> float | None:
        """The share of 👍, None without a vote."""
        return self.up / (self.up + self.down) if self.up + self.down else None


@dataclass(frozen=True, slots=True)
class Part:
    """One value of a breakdown."""

    name: str
    questions: int
    answered: int
    up: int
    down: int


@dataclass(frozen=True, slots=True)
class Board:
    """Everything the dashboard draws of a period."""

    summary: Summary
    days: list[Day]
    channels: list[Part]
    models: list[Part]
    langs: list[Part]
    faults: dict[str, int]  # by fault, most first


class Figures:
    """Counts over the cases of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def board(self, wanted: Filter, audiences: Audiences) -> Board:
        """A period's figures: two passes over its cases, whatever is drawn of them."""

        def read(session: Session) -> Board:
            connection = session.connection()
            where = conditions(connection, wanted, audiences)
            rows = _grouped(connection, where)
            summary = Summary(**{name: _total(rows, name) for name in _COUNTED})
            faults = Counter({row["fault"]: 0 for row in rows if row["fault"]})
            for row in rows:
                if row["fault"]:
                    faults[row["fault"]] += row["cases"]
            return Board(
                summary=_times(connection, where, summary),
                days=_days(rows, wanted),
                channels=_parts(rows, "channel"),
                models=_parts(rows, "model"),
                langs=_parts(rows, "lang"),
                faults=dict(faults.most_common()),
            )

        return await self._database.read(read)

    async def gaps(
        self, wanted: Filter, audiences: Audiences, limit: int = 12
    ) -> list[dict[str, Any]]:
        """What was asked most often and not answered: groups of near-identical questions."""

        def read(session: Session) -> list[dict[str, Any]]:
            connection = session.connection()
            query = (
                sa.select(_case.c.kin, sa.func.count().label("times"), sa.func.max(_case.c.asked))
                .where(*conditions(connection, wanted, audiences))
                .where(_case.c.outcome == Outcome.ABSTAINED, _case.c.kin != "")
                .where(_case.c.state.in_([CaseState.OPEN, CaseState.DRAFT]))
                .group_by(_case.c.kin)
                .order_by(sa.desc("times"), sa.desc(sa.func.max(_case.c.asked)))
                .limit(limit)
            )
            groups = connection.execute(query).all()
            texts = connection.execute(
                sa.select(_answer.c.id, _message.c.text, _case.c.audience)
                .join(_message, _message.c.id == _answer.c.message_id)
                .join(_case, _case.c.id == _message.c.id)
                .where(_answer.c.id.in_([group.kin for group in groups]))
                .where(_case.c.audience.in_(list(audiences)))
            )
            asked = {row.id: row.text for row in texts}
            return [
                {"kin": group.kin, "times": group.times, "question": asked[group.kin]}
                for group in groups
                if group.kin in asked
            ]

        return await self._database.read(read)


_ASKED = _case.c.outcome != Outcome.SMALLTALK
_ANSWERED = _case.c.outcome == Outcome.ANSWERED
_UNVOTED = sa.and_(_case.c.up == 0, _case.c.down == 0)


def _count(holds: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((holds, 1), else_=0)), 0)


def _sum(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(column), 0)


_DIMENSIONS = ("day", "channel", "model", "lang", "fault")


def _counts() -> dict[str, sa.ColumnElement[int]]:
    old = _case.c.asked < datetime.now(UTC) - FOLLOW_UP
    silent = sa.and_(_ANSWERED, _UNVOTED, ~_case.c.handed, old)
    return {
        "questions": _count(_ASKED),
        "answered": _count(_ANSWERED),
        "unanswered": _count(_case.c.outcome == Outcome.ABSTAINED),
        "deflected": _count(sa.and_(_ANSWERED, ~_case.c.handed)),
        "confirmed": _count(sa.and_(_ANSWERED, _case.c.up > 0, _case.c.down == 0)),
        "assumed": _count(sa.and_(silent, ~_case.c.followed)),
        "settled": _count(silent),
        "up": _sum(_case.c.up),
        "down": _sum(_case.c.down),
        "voted": _count(~_UNVOTED),
        "handed": _count(_case.c.handed),
        "right": _count(_case.c.verdict == "right"),
        "wrong": _count(_case.c.verdict == "wrong"),
    }


_COUNTED = tuple(_counts())


def _grouped(
    connection: Connection, where: Sequence[sa.ColumnElement[bool]]
) -> list[dict[str, Any]]:
    """Every count by every dimension at once: some thousand rows, summed up in many ways."""
    columns = [_case.c[name] for name in _DIMENSIONS]
    counts = [count.label(name) for name, count in _counts().items()]
    query = sa.select(*columns, sa.func.count().label("cases"), *counts)
    found = connection.execute(query.where(*where).group_by(*columns))
    return [dict(row._mapping) for row in found]  # noqa: SLF001 - SQLAlchemy's public name


def _total(rows: Sequence[dict[str, Any]], name: str) -> int:
    return sum(int(row[name]) for row in rows)


def _by(rows: Sequence[dict[str, Any]], name: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return found


def _parts(rows: Sequence[dict[str, Any]], name: str) -> list[Part]:
    names = ("questions", "answered", "up", "down")
    parts = [
        Part(key, *(_total(own, one) for one in names)) for key, own in _by(rows, name).items()
    ]
    return sorted(parts, key=lambda part: -part.questions)[:12]


def _times(
    connection: Connection, where: Sequence[sa.ColumnElement[bool]], summary: Summary
) -> Summary:
    """Add the times, to `STEP_MS`: neither database need sort every answer for that."""
    step = sa.cast(_case.c.took_ms / STEP_MS, sa.Integer).label("step")
    query = sa.select(step, sa.func.count()).where(*where, _ANSWERED).group_by(step).order_by(step)
    steps = [(int(row[0]), int(row[1])) for row in connection.execute(query)]
    total = sum(count for _, count in steps)

    def at(share: float) -> int:
        left = share * total
        for step_number, count in steps:
            left -= count
            if left <= 0:
                return STEP_MS * step_number + STEP_MS // 2
        return 0

    return replace(summary, median_ms=at(0.5), slow_ms=at(0.95))


def _days(rows: Sequence[dict[str, Any]], wanted: Filter) -> list[Day]:
    """Day by day, oldest first; days without a question are there, with zeros."""
    if not rows:
        return []
    names = ("questions", "answered", "unanswered", "up", "down")
    by_day = _by(rows, "day")
    known = {day: Day(day, *(_total(own, one) for one in names)) for day, own in by_day.items()}
    first = max(wanted.since, min(known))  # a period that began before the first question
    last = wanted.until or max(known)
    start = datetime.fromisoformat(first)
    count = min(max((datetime.fromisoformat(last) - start).days + 1, 1), MOST_DAYS)
    days = [(start + timedelta(days=at)).date().isoformat() for at in range(count)]
    return [known.get(day, Day(day, 0, 0, 0, 0, 0)) for day in days]

"""The figures of the dashboard, each with its definition.

Knows how often what happened in a period. Every figure is a count of cases that a filter
(`bot/cases.py`) finds, so that each number opens its rows. Confirmed and assumed are never added
up: silence is not consent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel

from bot.cases import Audiences, Filter, conditions
from bot.database import Database
from bot.filing import FOLLOW_UP
from bot.tables import CaseState
from bot.types import Outcome

_case = SQLModel.metadata.tables["review_case"]
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


class Figures:
    """Counts over the cases of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def summary(self, wanted: Filter, audiences: Audiences) -> Summary:
        """A period's figures."""

        def read(session: Session) -> Summary:
            connection = session.connection()
            where = conditions(connection, wanted, audiences)
            return _times(connection, where, _summary(connection, where))

        return await self._database.read(read)

    async def days(self, wanted: Filter, audiences: Audiences) -> list[Day]:
        """Day by day, oldest first; days without a question are there, with zeros."""

        def read(session: Session) -> list[Day]:
            connection = session.connection()
            query = (
                sa.select(
                    _case.c.day,
                    _count(_ASKED),
                    _count(_ANSWERED),
                    _count(_case.c.outcome == Outcome.ABSTAINED),
                    _sum(_case.c.up),
                    _sum(_case.c.down),
                )
                .where(*conditions(connection, wanted, audiences))
                .group_by(_case.c.day)
            )
            rows = {row[0]: Day(*row) for row in connection.execute(query)}
            return _without_gaps(rows, wanted)

        return await self._database.read(read)

    async def parts(self, name: str, wanted: Filter, audiences: Audiences) -> list[Part]:
        """The counts by channel, model or language, most first. `name` is a column's."""
        column = {"channel": _case.c.channel, "model": _case.c.model, "lang": _case.c.lang}[name]

        def read(session: Session) -> list[Part]:
            connection = session.connection()
            query = (
                sa.select(
                    column, _count(_ASKED), _count(_ANSWERED), _sum(_case.c.up), _sum(_case.c.down)
                )
                .where(*conditions(connection, wanted, audiences))
                .group_by(column)
            )
            rows = [Part(*row) for row in connection.execute(query)]
            return sorted(rows, key=lambda part: -part.questions)[:12]

        return await self._database.read(read)

    async def faults(self, wanted: Filter, audiences: Audiences) -> dict[str, int]:
        """How often reviewers found which fault."""

        def read(session: Session) -> dict[str, int]:
            connection = session.connection()
            query = (
                sa.select(_case.c.fault, sa.func.count())
                .where(*conditions(connection, wanted, audiences), _case.c.fault != "")
                .group_by(_case.c.fault)
                .order_by(sa.func.count().desc())
            )
            return {row[0]: int(row[1]) for row in connection.execute(query)}

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


def _summary(connection: Connection, where: Sequence[sa.ColumnElement[bool]]) -> Summary:
    old = _case.c.asked < datetime.now(UTC) - FOLLOW_UP
    silent = sa.and_(_ANSWERED, _UNVOTED, ~_case.c.handed, old)
    row = connection.execute(
        sa.select(
            _count(_ASKED).label("questions"),
            _count(_ANSWERED).label("answered"),
            _count(_case.c.outcome == Outcome.ABSTAINED).label("unanswered"),
            _count(sa.and_(_ANSWERED, ~_case.c.handed)).label("deflected"),
            _count(sa.and_(_ANSWERED, _case.c.up > 0, _case.c.down == 0)).label("confirmed"),
            _count(sa.and_(silent, ~_case.c.followed)).label("assumed"),
            _count(silent).label("settled"),
            _sum(_case.c.up).label("up"),
            _sum(_case.c.down).label("down"),
            _count(~_UNVOTED).label("voted"),
            _count(_case.c.handed).label("handed"),
            _count(_case.c.verdict == "right").label("right"),
            _count(_case.c.verdict == "wrong").label("wrong"),
        ).where(*where)
    ).one()
    return Summary(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name


def _times(
    connection: Connection, where: Sequence[sa.ColumnElement[bool]], summary: Summary
) -> Summary:
    """Add the times: by skipping rows in order, since SQLite knows no percentiles."""
    if not summary.answered:
        return summary
    ordered = sa.select(_case.c.took_ms).where(*where, _ANSWERED).order_by(_case.c.took_ms)

    def at(share: float) -> int:
        return connection.scalar(ordered.limit(1).offset(int(share * (summary.answered - 1)))) or 0

    return replace(summary, median_ms=at(0.5), slow_ms=at(0.95))


def _without_gaps(rows: dict[str, Day], wanted: Filter) -> list[Day]:
    if not rows:
        return []
    first = datetime.fromisoformat(wanted.since or min(rows))
    last = datetime.fromisoformat(wanted.until or max(rows))
    count = min((last - first).days + 1, 400)
    names = [(first + timedelta(days=at)).date().isoformat() for at in range(count)]
    return [rows.get(name, Day(name, 0, 0, 0, 0, 0)) for name in names]

"""Finds cases: the queue, the search over everything, and one case with all that is known of it.

Knows filters, order and pages. Every verb takes the audiences the asker may see, and leaves out
the rest. Reads only; what reviewers decide is `bot/reviewing/verdicts.py`'s.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import combinations
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel

from bot.database import Database
from bot.errors import NotFound
from bot.reviewing.filing import FOLLOW_UP
from bot.tables import CaseState
from bot.types import Outcome
from bot.words.lexicon import content
from knowledge.terms import terms
from knowledge.types import Audience

PAGE = 50
COUNTED = 10_000  # beyond this a count says "more than"
CHOICES_S = 60.0
QUEUED = tuple(one for one in CaseState if one is not CaseState.CLEAR)
EXCERPT = 400  # characters of question and answer in a list

_case = SQLModel.metadata.tables["review_case"]
_message = SQLModel.metadata.tables["message"]
_conversation = SQLModel.metadata.tables["conversation"]
_answer = SQLModel.metadata.tables["answer"]
_outbox = SQLModel.metadata.tables["outbox"]
_vote = SQLModel.metadata.tables["vote"]
_verdict = SQLModel.metadata.tables["verdict"]

Row = dict[str, Any]
Audiences = Sequence[Audience]


@dataclass(frozen=True, slots=True)
class Filter:
    """What is looked for; an empty field does not narrow. All values are as in a URL."""

    q: str = ""  # words in question or answer, all of them
    since: str = ""  # day, inclusive
    until: str = ""  # day, inclusive
    channel: str = ""
    outcome: str = ""  # or "asked": all but small talk
    vote: str = ""  # up, down, none; liked: up and not down
    state: str = ""
    verdict: str = ""  # right, wrong, none, any
    fault: str = ""
    reason: str = ""
    model: str = ""
    composer: str = ""
    lang: str = ""
    audience: str = ""
    reviewer: str = ""
    person: str = ""
    kin: str = ""
    handed: str = ""  # yes, no
    followed: str = ""  # yes, no
    settled: str = ""  # yes: so old that a follow-up would have come

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Filter:
        """From a URL's query; what is no filter, and what is too long to be meant, is left out."""
        known = {one.name for one in fields(cls)}
        return cls(**{k: v.strip()[:300] for k, v in values.items() if k in known})

    def query(self) -> dict[str, str]:
        """As a URL's query: only what narrows."""
        pairs = ((one.name, getattr(self, one.name)) for one in fields(self))
        return {name: value for name, value in pairs if value}


def day_of(text: str) -> str:
    """A day of the calendar, as cases have it; empty if it is none."""
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return ""


class Cases:
    """The cases of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._choices: dict[Audiences, tuple[float, dict[str, list[str]]]] = {}

    async def page(
        self, wanted: Filter, audiences: Audiences, before: int = 0, limit: int = PAGE
    ) -> list[Row]:
        """The newest cases, newest first; with `before`, those older than that case."""

        def read(session: Session) -> list[Row]:
            connection = session.connection()
            query = sa.select(_case).where(*conditions(connection, wanted, audiences))
            if before:
                query = query.where(_case.c.id < before)
            found = connection.execute(query.order_by(_case.c.id.desc()).limit(limit))
            return _with_texts(connection, _rows(found))

        return await self._database.read(read)

    async def count(self, wanted: Filter, audiences: Audiences) -> int:
        """How many there are, counted up to `COUNTED` + 1."""

        def read(session: Session) -> int:
            connection = session.connection()
            some = sa.select(_case.c.id).where(*conditions(connection, wanted, audiences))
            counted = sa.select(sa.func.count()).select_from(some.limit(COUNTED + 1).subquery())
            return connection.scalar(counted) or 0

        return await self._database.read(read)

    async def queue(
        self, state: CaseState, audiences: Audiences, *, reason: str = "", limit: int = 200
    ) -> list[list[Row]]:
        """Cases of one state in groups of near-identical questions, worst group first.

        Waiting ones by weight, decided ones by time. At most `limit` cases are looked at.
        """
        waiting = state in {CaseState.OPEN, CaseState.DRAFT}
        order = (_case.c.weight.desc(), _case.c.id.desc()) if waiting else (_case.c.id.desc(),)

        def read(session: Session) -> list[list[Row]]:
            connection = session.connection()
            wanted = Filter(state=state.value, reason=reason)
            query = sa.select(_case).where(*conditions(connection, wanted, audiences))
            rows = _rows(connection.execute(query.order_by(*order).limit(limit)))
            groups: dict[str, list[Row]] = {}
            for row in _with_texts(connection, rows):
                leader = row["kin"] if waiting and row["kin"] else row["answer_id"]
                groups.setdefault(leader, []).append(row)
            return list(groups.values())

        return await self._database.read(read)

    async def counts(self, audiences: Audiences) -> dict[CaseState, int]:
        """How many cases are in each state of the queue; the clear ones are not counted."""

        def read(session: Session) -> dict[CaseState, int]:
            query = (
                sa.select(_case.c.state, sa.func.count())
                .where(_case.c.state.in_(QUEUED), _readable(audiences))
                .group_by(_case.c.state)
            )
            counted = {row[0]: int(row[1]) for row in session.connection().execute(query)}
            return {one: counted.get(one, 0) for one in QUEUED}

        return await self._database.read(read)

    async def kin(self, answer_id: str, audiences: Audiences) -> list[Row]:
        """Waiting cases whose questions are nearly identical with this one's, itself included."""

        def read(session: Session) -> list[Row]:
            connection = session.connection()
            leader = sa.select(_case.c.kin).where(_case.c.answer_id == answer_id).scalar_subquery()
            waiting = _case.c.state.in_([CaseState.OPEN, CaseState.DRAFT])
            same = sa.or_(
                _case.c.answer_id == answer_id, sa.and_(_case.c.kin == leader, _case.c.kin != "")
            )
            query = sa.select(_case).where(same, waiting, _readable(audiences))
            ordered = query.order_by(_case.c.weight.desc()).limit(PAGE)
            return _with_texts(connection, _rows(connection.execute(ordered)))

        return await self._database.read(read)

    async def talk(self, channel: str, key: str, audiences: Audiences) -> list[Row]:
        """The last exchanges of a conversation by its address, oldest first."""
        where = sa.and_(_conversation.c.channel == channel, _conversation.c.key == key)

        def find(session: Session) -> int:
            return session.connection().scalar(sa.select(_conversation.c.id).where(where)) or 0

        return await self.thread(await self._database.read(find), audiences)

    async def thread(
        self, conversation_id: int, audiences: Audiences, limit: int = 60
    ) -> list[Row]:
        """The last exchanges of a conversation with whole texts, oldest first."""

        def read(session: Session) -> list[Row]:
            connection = session.connection()
            found = connection.execute(
                sa.select(
                    _message.c.id,
                    _message.c.text.label("question"),
                    _message.c.actor_name,
                    _message.c.at,
                    _answer.c.id.label("answer_id"),
                    _answer.c.text.label("answer"),
                    _answer.c.created.label("answered"),
                    _answer.c.citations,
                    _answer.c.outcome,
                    _answer.c.composer,
                )
                .join(_answer, _answer.c.message_id == _message.c.id, isouter=True)
                .where(_message.c.conversation_id == conversation_id)
                .where(_message.c.audience.in_(list(audiences)))
                .order_by(_message.c.id.desc())
                .limit(limit)
            )
            return _rows(found)[::-1]

        return await self._database.read(read)

    async def similar(
        self, text: str, audiences: Audiences, audience: Audience, but: str, limit: int = 40
    ) -> list[Row]:
        """Past cases of one audience that share words with a question, newest first."""

        def read(session: Session) -> list[Row]:
            connection = session.connection()
            wanted = Filter(audience=audience.value)
            query = (
                sa.select(_case)
                .where(*conditions(connection, wanted, audiences))
                .where(_case.c.id.in_(_matching(connection, text, every=False)))
                .where(_case.c.answer_id != but)
                .order_by(_case.c.id.desc())
                .limit(limit)
            )
            return _with_texts(connection, _rows(connection.execute(query)))

        return await self._database.read(read)

    async def case(self, answer_id: str, audiences: Audiences) -> Row:
        """One case with its texts, delivery, votes and verdicts. Raises `NotFound`.

        A case of another audience is reported as not existing.
        """

        def read(session: Session) -> Row | None:
            connection = session.connection()
            query = sa.select(_case).where(_case.c.answer_id == answer_id, _readable(audiences))
            rows = _rows(connection.execute(query))
            return _whole(connection, rows[0]) if rows else None

        found = await self._database.read(read)
        if found is None:
            raise NotFound("There is no such case.")
        return found

    async def stream(
        self, wanted: Filter, audiences: Audiences, batch: int = 500
    ) -> AsyncIterator[list[Row]]:
        """Every case with its whole texts, votes and verdicts, newest first, batch by batch."""
        before = 0
        while True:
            rows = await self._database.read(_batch_reader(wanted, audiences, before, batch))
            if not rows:
                return
            yield rows
            before = rows[-1]["id"]

    async def choices(self, audiences: Audiences) -> dict[str, list[str]]:
        """What the filters offer: values that occurred lately. Up to a minute old."""
        key, now = tuple(audiences), time.monotonic()
        known = self._choices.get(key)
        if known is None or now - known[0] > CHOICES_S:
            found = await self._database.read(
                lambda session: _choices(session.connection(), audiences)
            )
            known = self._choices[key] = (now, found)
        return known[1]


def _choices(connection: Connection, audiences: Audiences) -> dict[str, list[str]]:
    recent = (datetime.now(UTC) - timedelta(days=90)).date().isoformat()
    columns = [_case.c[name] for name in ("channel", "model", "lang")]
    lately = sa.select(*columns).where(_case.c.day >= recent, _readable(audiences))
    rows = connection.execute(lately.distinct().limit(2000)).all()
    found = {one.name: sorted({getattr(row, one.name) for row in rows} - {""}) for one in columns}
    found["reviewer"] = sorted(connection.scalars(sa.select(_verdict.c.reviewer).distinct()))
    return found


def conditions(
    connection: Connection, wanted: Filter, audiences: Audiences
) -> list[sa.ColumnElement[bool]]:
    """A filter as SQL. Unknown values match nothing rather than everything."""
    given = {name: value for name, value in wanted.query().items() if name != "q"}
    found = [_readable(audiences), *(_narrow(name, value) for name, value in given.items())]
    if wanted.q:
        found.append(_case.c.id.in_(_matching(connection, wanted.q)))
    return found


def _narrow(name: str, value: str) -> sa.ColumnElement[bool]:
    if (name, value) == ("outcome", "asked"):
        return _case.c.outcome != Outcome.SMALLTALK
    if name in _KINDS:
        known = value in {one.value for one in _KINDS[name]}
        return _case.c[name] == _KINDS[name](value) if known else sa.false()
    return _NARROWING[name](value) if name in _NARROWING else _case.c[name] == value


_KINDS: dict[str, type[StrEnum]] = {
    "outcome": Outcome,
    "state": CaseState,
    "audience": Audience,
}
_VOTES = {
    "up": _case.c.up > 0,
    "down": _case.c.down > 0,
    "none": sa.and_(_case.c.up == 0, _case.c.down == 0),
    "liked": sa.and_(_case.c.up > 0, _case.c.down == 0),
}
_NARROWING: dict[str, Callable[[str], sa.ColumnElement[bool]]] = {
    "since": lambda value: _case.c.day >= day_of(value),
    "until": lambda value: _case.c.day <= day_of(value),
    "verdict": lambda value: (
        _case.c.verdict != "" if value == "any" else _case.c.verdict == value.replace("none", "")
    ),
    "settled": lambda value: (_case.c.asked < datetime.now(UTC) - FOLLOW_UP).is_(value == "yes"),
    "vote": lambda value: _VOTES.get(value, sa.false()),
    "handed": lambda value: _case.c.handed.is_(value == "yes"),
    "followed": lambda value: _case.c.followed.is_(value == "yes"),
    "reason": lambda value: sa.cast(_case.c.reasons, sa.Text).contains(
        f'"{value}"', autoescape=True
    ),
}


def _matching(connection: Connection, text: str, *, every: bool = True) -> sa.Select[int]:
    """Ids of the cases that hold every word, or half of the telling ones.

    A text without words matches nothing.
    """
    words = list(dict.fromkeys(terms(text)))[:24]
    if not every:
        words = [word for word in words if content(word)]  # function words are no likeness
    if not words:
        return sa.select(_case.c.id).where(sa.false())
    if every:
        sets = [words]
    else:  # any two of the longest words: full-text indexes know no "half of them"
        longest = sorted(words, key=len, reverse=True)[:5]
        sets = [list(pair) for pair in combinations(longest, 2)] or [longest]
    if connection.dialect.name == "sqlite":
        query = " OR ".join("(" + " AND ".join(f'"{word}"' for word in each) + ")" for each in sets)
        table = sa.table("case_words", sa.column("rowid", sa.Integer))
        matches = sa.text("case_words MATCH :words").bindparams(words=query)
        return sa.select(table.c.rowid).where(matches)
    table = sa.table("case_words", sa.column("id", sa.Integer))
    quoted = " | ".join("(" + " & ".join(map(_quoted, each)) + ")" for each in sets)
    matches = sa.text("words @@ CAST(:words AS tsquery)").bindparams(words=quoted)
    return sa.select(table.c.id).where(matches)


def _quoted(word: str) -> str:
    return "'" + word.replace("\\", "").replace("'", "''") + "'"


def _readable(audiences: Audiences) -> sa.ColumnElement[bool]:
    return _case.c.audience.in_(list(audiences))


def _rows(found: sa.CursorResult[Any]) -> list[Row]:
    return [dict(row._mapping) for row in found]  # noqa: SLF001 - SQLAlchemy's public name


def _with_texts(connection: Connection, rows: list[Row]) -> list[Row]:
    """Add the beginnings of question and answer."""
    texts = connection.execute(
        sa.select(
            _message.c.id,
            sa.func.substr(_message.c.text, 1, EXCERPT).label("question"),
            sa.func.substr(_answer.c.text, 1, EXCERPT).label("answer"),
        )
        .join(_answer, _answer.c.message_id == _message.c.id)
        .where(_message.c.id.in_([row["id"] for row in rows]))
    )
    by_id = {text.id: text for text in texts}
    for row in rows:
        text = by_id.get(row["id"])
        row["question"] = text.question if text else ""
        row["answer"] = text.answer if text else ""
    return [row for row in rows if row["id"] in by_id]


def _whole(connection: Connection, row: Row) -> Row:
    found = connection.execute(
        sa.select(
            _answer,
            _message.c.text.label("question"),
            _message.c.event_id,
            _message.c.actor_name,
            _message.c.actor_id,
            _conversation.c.key.label("conversation"),
        )
        .join(_message, _message.c.id == _answer.c.message_id)
        .join(_conversation, _conversation.c.id == _message.c.conversation_id)
        .where(_answer.c.id == row["answer_id"])
    ).one()
    answer_id = row["answer_id"]
    delivery = connection.execute(sa.select(_outbox).where(_outbox.c.answer_id == answer_id))
    votes = sa.select(_vote).where(_vote.c.answer_id == answer_id, _vote.c.value != 0)
    verdicts = sa.select(_verdict).where(_verdict.c.answer_id == answer_id, ~_verdict.c.undone)
    answer = dict(found._mapping)  # noqa: SLF001 - SQLAlchemy's public name
    answer["answer"] = answer.pop("text")
    answer.pop("id")
    return {
        **answer,
        **row,
        "delivery": next(iter(_rows(delivery)), None),
        "votes": _rows(connection.execute(votes.order_by(_vote.c.at))),
        "verdicts": _rows(connection.execute(verdicts.order_by(_verdict.c.id.desc()))),
    }


def _batch_reader(
    wanted: Filter, audiences: Audiences, before: int, size: int
) -> Callable[[Session], list[Row]]:
    return lambda session: _batch(session.connection(), wanted, audiences, before, size)


def _batch(
    connection: Connection, wanted: Filter, audiences: Audiences, before: int, size: int
) -> list[Row]:
    query = sa.select(_case).where(*conditions(connection, wanted, audiences))
    if before:
        query = query.where(_case.c.id < before)
    rows = _rows(connection.execute(query.order_by(_case.c.id.desc()).limit(size)))
    if not rows:
        return []
    ids = [row["answer_id"] for row in rows]
    texts = connection.execute(
        sa.select(
            _answer.c.id,
            _message.c.text.label("question"),
            _answer.c.text.label("answer"),
            _answer.c.citations,
            _answer.c.rewritten,
        )
        .join(_message, _message.c.id == _answer.c.message_id)
        .where(_answer.c.id.in_(ids))
    )
    by_id = {text.id: dict(text._mapping) for text in texts}  # noqa: SLF001 - SQLAlchemy's public name
    votes: dict[str, list[Row]] = {}
    standing = sa.select(_vote).where(_vote.c.answer_id.in_(ids), _vote.c.value != 0)
    for vote in _rows(connection.execute(standing)):
        votes.setdefault(vote["answer_id"], []).append(vote)
    verdicts: dict[str, Row] = {}
    final = sa.select(_verdict).where(
        _verdict.c.answer_id.in_(ids), ~_verdict.c.undone, ~_verdict.c.draft
    )
    for verdict in _rows(connection.execute(final.order_by(_verdict.c.id))):
        verdicts[verdict["answer_id"]] = verdict
    for row in rows:
        row.update({k: v for k, v in by_id.get(row["answer_id"], {}).items() if k != "id"})
        row["votes"] = votes.get(row["answer_id"], [])
        row["judged"] = verdicts.get(row["answer_id"])
    return [row for row in rows if "question" in row]

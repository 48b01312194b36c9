"""Files every answer as a case, and says which ones somebody should look at, and why.

Knows what speaks for a review and how heavily it weighs. Does not know what reviewers do
(`bot/reviewing/verdicts.py`), or how cases are listed (`bot/reviewing/cases.py`).

Cases follow the conversations: new answers are found by their time, changed votes by the audit,
which gets a row for each of them. So nothing that takes messages in has to know about review,
and a filing that was interrupted is simply done again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel

from bot.database import Database
from bot.notes import Notes
from bot.reviewing.likeness import Alike
from bot.tables import CaseState
from bot.types import Outcome
from knowledge.embed import Embedder
from knowledge.terms import terms

BATCH = 400
"""Answers filed in one transaction."""
FOLLOW_UP = timedelta(hours=72)
"""Somebody who asks again within this time was perhaps not helped."""
SAMPLED = 50
"""One in so many answers that nothing speaks against is looked at all the same."""
UNSURE = 0.35
"""Confidence below which an answer counts as weakly grounded."""
KIN = 4000
"""Questions that new ones are compared with."""
OVERLAP = timedelta(seconds=2)

_message = SQLModel.metadata.tables["message"]
_conversation = SQLModel.metadata.tables["conversation"]
_answer = SQLModel.metadata.tables["answer"]
_vote = SQLModel.metadata.tables["vote"]
_audit = SQLModel.metadata.tables["audit"]
_case = SQLModel.metadata.tables["review_case"]
_handover = SQLModel.metadata.tables["handover"]

REASONS = {
    "disagree": 1.2,  # two reviewers came to different verdicts
    "down": 1.0,
    "handed": 0.8,
    "failed": 0.7,
    "edited": 0.65,  # the person changed the question afterwards
    "unanswered": 0.6,
    "unsure": 0.4,
    "sample": 0.1,
}
"""Why a case is in the queue, and how heavily that weighs."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What is known about an answer that may speak for a review."""

    answer_id: str
    outcome: Outcome
    confidence: float
    composer: str
    down: int = 0
    worded: bool = False  # a vote against it says why
    handed: bool = False
    edited: bool = False
    disagreed: bool = False


def reasons_of(signs: Signs) -> list[str]:
    """Why somebody should look at it, heaviest first; nothing for most answers."""
    answered = signs.outcome is Outcome.ANSWERED
    holds = {
        "disagree": signs.disagreed,
        "down": signs.down > 0,
        "handed": signs.handed and signs.outcome is not Outcome.HANDED,
        "failed": signs.outcome in {Outcome.FAILED, Outcome.BUSY},
        "edited": signs.edited,
        "unanswered": signs.outcome is Outcome.ABSTAINED,
        "unsure": answered and signs.composer != "curated" and signs.confidence < UNSURE,
        "sample": answered and int(signs.answer_id[:6] or "1", 16) % SAMPLED == 0,
    }
    return [name for name in REASONS if holds[name]]


def weight_of(signs: Signs, reasons: Sequence[str]) -> float:
    """How early it is looked at: the heaviest reason, and a little for every other one."""
    if not reasons:
        return 0.0
    weight = REASONS[reasons[0]] + 0.1 * sum(REASONS[name] for name in reasons[1:])
    weight += 0.15 if signs.worded else 0.0
    weight += 0.05 * min(max(signs.down - 1, 0), 6)
    return round(weight + 0.05 * (1.0 - min(max(signs.confidence, 0.0), 1.0)), 4)


@dataclass(slots=True)
class _Mark:
    """How far filing has come."""

    audit: int = 0
    created: str = ""

    def since(self) -> datetime:
        return datetime.fromisoformat(self.created) - OVERLAP if self.created else _EPOCH


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Filing:
    """Keeps the cases of one database up to date. `embedder` groups near-identical questions."""

    def __init__(self, database: Database, embedder: Embedder | None = None) -> None:
        self._database = database
        self._notes = Notes(database, "console")
        self._embedder = embedder
        self._kin: Alike[str] | None = None
        self._kin_lock = threading.Lock()
        self._alone = asyncio.Lock()
        self._mark: _Mark | None = None

    async def catch_up(self) -> int:
        """File what is new until nothing is; returns how many cases were made or changed."""
        filed = 0
        async with self._alone:
            while True:
                done = await self._step()
                filed += done
                if done < BATCH:
                    return filed

    async def run(self, every_s: float = 1.0) -> None:
        """Keep filing until cancelled."""
        while True:
            await self.catch_up()
            await asyncio.sleep(every_s)

    async def _step(self) -> int:
        if self._mark is None:
            note = await self._notes.get("filed")
            self._mark = _Mark(int(note["audit"]), str(note["created"])) if note else _Mark()
        mark = self._mark
        found = await self._database.read(lambda session: _unfiled(session.connection(), mark))
        if not found.rows and not found.changed:
            return 0

        def write(connection: Connection) -> int:
            for row in found.rows:
                _file(connection, row)
            ids = [*(row.answer_id for row in found.rows), *found.changed]
            for answer_id in dict.fromkeys(ids):
                weigh(connection, answer_id)
            return len(found.rows) + len(found.changed)

        done = await self._database.write(write)
        await self._group()
        newest = max((row.created for row in found.rows), default=None)
        if newest is not None:
            mark.created = newest.isoformat()
        mark.audit = max(mark.audit, found.audit)
        await self._notes.put("filed", {"audit": mark.audit, "created": mark.created})
        return done

    async def _group(self) -> None:
        """Put those that entered the queue with the others that ask the same."""
        while rows := await self._database.read(lambda session: _alone(session.connection())):
            kin = await asyncio.to_thread(self._related, rows)

            def write(connection: Connection, kin: Mapping[str, str] = kin) -> None:
                for answer_id, leader in kin.items():
                    mine = sa.update(_case).where(_case.c.answer_id == answer_id)
                    connection.execute(mine.values(kin=leader))

            await self._database.write(write)

    def _related(self, rows: Sequence[Any]) -> dict[str, str]:
        """By answer, the first answer whose question asked the same. Runs in a thread."""
        if self._embedder is None:
            return {row.answer_id: row.answer_id for row in rows}
        with self._kin_lock:
            if self._kin is None:
                self._kin = Alike(self._embedder, KIN)
            found: dict[str, str] = {}
            for row in rows:
                text = row.rewritten or row.text
                leader = self._kin.find(text)
                if leader is None:
                    self._kin.add([(row.answer_id, text)])
                found[row.answer_id] = leader or row.answer_id
            return found

    async def warm(self) -> None:
        """Learn the questions that wait already, so that new ones join their groups."""

        def read(session: Session) -> list[tuple[str, str]]:
            rows = session.connection().execute(
                sa.select(_answer.c.id, _answer.c.rewritten, _message.c.text)
                .join(_case, _case.c.kin == _answer.c.id)
                .join(_message, _message.c.id == _answer.c.message_id)
                .where(_case.c.state.in_([CaseState.OPEN, CaseState.DRAFT]))
                .distinct()
                .limit(KIN // 4)
            )
            return [(row.id, row.rewritten or row.text) for row in rows]

        known = await self._database.read(read)

        def learn() -> None:
            if self._embedder is None:
                return
            with self._kin_lock:
                if self._kin is None:
                    self._kin = Alike(self._embedder, KIN)
                self._kin.add(known)

        await asyncio.to_thread(learn)


@dataclass(frozen=True, slots=True)
class _Unfiled:
    rows: Sequence[Any]
    changed: Sequence[str]  # answers with new votes
    audit: int


def _unfiled(connection: Connection, mark: _Mark) -> _Unfiled:
    rows = connection.execute(
        sa.select(
            _answer.c.id.label("answer_id"),
            _answer.c.message_id,
            _answer.c.text.label("answer"),
            _answer.c.outcome,
            _answer.c.confidence,
            _answer.c.composer,
            _answer.c.model,
            _answer.c.rewritten,
            _answer.c.lang,
            _answer.c.created,
            _message.c.text,
            _message.c.actor_id,
            _message.c.audience,
            _message.c.accepted,
            _message.c.conversation_id,
            _conversation.c.channel,
        )
        .join(_message, _message.c.id == _answer.c.message_id)
        .join(_conversation, _conversation.c.id == _message.c.conversation_id)
        .where(_answer.c.created >= mark.since())
        .where(~sa.exists().where(_case.c.id == _answer.c.message_id))
        .order_by(_answer.c.created)
        .limit(BATCH)
    ).all()
    noted = connection.execute(
        sa.select(_audit.c.id, _audit.c.target)
        .where(_audit.c.id > mark.audit, _audit.c.action.in_(["vote", "amend", "handover"]))
        .order_by(_audit.c.id)
        .limit(BATCH)
    ).all()
    # The audit is only read as far as the answers it speaks of are filed: a vote on an answer
    # that is filed in this step is counted with it.
    return _Unfiled(rows, [row.target for row in noted], noted[-1].id if noted else mark.audit)


def _signs(row: Any) -> Signs:  # noqa: ANN401 - a row
    return Signs(row.answer_id, Outcome(row.outcome), row.confidence, row.composer)


def _alone(connection: Connection) -> Sequence[Any]:
    """Cases in the queue that were not compared with others yet."""
    return connection.execute(
        sa.select(_case.c.answer_id, _answer.c.rewritten, _message.c.text)
        .join(_answer, _answer.c.id == _case.c.answer_id)
        .join(_message, _message.c.id == _case.c.id)
        .where(_case.c.state == CaseState.OPEN, _case.c.kin == "")
        .order_by(_case.c.id)
        .limit(BATCH)
    ).all()


def _file(connection: Connection, row: Any) -> None:  # noqa: ANN401 - a row
    took = (row.created - row.accepted).total_seconds()
    values = {
        "id": row.message_id,
        "answer_id": row.answer_id,
        "conversation_id": row.conversation_id,
        "channel": row.channel,
        "audience": row.audience,
        "person": f"{row.channel}:{row.actor_id}",
        "lang": row.lang,
        "outcome": row.outcome,
        "composer": row.composer,
        "model": row.model,
        "day": row.created.date().isoformat(),
        "asked": row.created,
        "took_ms": max(0, round(took * 1000)),
        "confidence": row.confidence,
        "up": 0,
        "down": 0,
        "handed": False,
        "followed": False,
        "state": CaseState.CLEAR,
        "weight": 0.0,
        "reasons": [],
        "kin": "",
        "verdict": "",
        "fault": "",
        "reviewer": "",
        "holder": "",
        "held_until": None,
    }
    if connection.execute(sa.select(_case.c.id).where(_case.c.id == row.message_id)).first():
        return
    connection.execute(sa.insert(_case), values)
    index_words(connection, row.message_id, f"{row.text}\n{row.answer}")
    earlier = sa.and_(
        _case.c.conversation_id == row.conversation_id,
        _case.c.id < row.message_id,
        _case.c.asked >= row.created - FOLLOW_UP,
    )
    if row.outcome not in {Outcome.SMALLTALK, Outcome.BUSY}:
        connection.execute(sa.update(_case).where(earlier).values(followed=True))
    if row.outcome is Outcome.HANDED:  # what made the person ask for somebody is worth a look
        last = sa.select(_case.c.answer_id).where(earlier).order_by(_case.c.id.desc()).limit(1)
        before = connection.scalar(last)
        if before is not None:
            weigh(connection, before)


def index_words(connection: Connection, case_id: int, text: str) -> None:
    """Put a case's words into the full-text index, in place of those that were there."""
    words = list(dict.fromkeys(terms(text)))[:1500]
    if connection.dialect.name == "sqlite":
        connection.execute(sa.text("DELETE FROM case_words WHERE rowid = :id"), {"id": case_id})
        statement = "INSERT INTO case_words (rowid, words) VALUES (:id, :words)"
        connection.execute(sa.text(statement), {"id": case_id, "words": " ".join(words)})
        return
    statement = (
        "INSERT INTO case_words (id, words) VALUES (:id, array_to_tsvector(CAST(:words AS text[])))"
        " ON CONFLICT (id) DO UPDATE SET words = excluded.words"
    )
    connection.execute(sa.text(statement), {"id": case_id, "words": words})


def weigh(connection: Connection, answer_id: str) -> None:
    """Count the votes on an answer again, and let its case enter or leave the queue.

    What a reviewer decided stays decided; only a case nobody has looked at moves.
    """
    case = connection.execute(sa.select(_case).where(_case.c.answer_id == answer_id)).first()
    if case is None:
        return
    votes = connection.execute(
        sa.select(_vote.c.value, _vote.c.reason, _vote.c.correction).where(
            _vote.c.answer_id == answer_id
        )
    ).all()
    following = (
        sa.select(sa.func.min(_message.c.id))
        .where(_message.c.conversation_id == case.conversation_id, _message.c.id > case.id)
        .scalar_subquery()
    )
    handed = sa.select(_handover.c.id).where(
        _handover.c.conversation_id == case.conversation_id,
        sa.or_(_handover.c.message_id == case.id, _handover.c.message_id == following),
    )
    edited = sa.select(_audit.c.id).where(_audit.c.target == answer_id, _audit.c.action == "amend")
    signs = replace(
        _signs(case),
        down=sum(vote.value < 0 for vote in votes),
        worded=any(vote.value < 0 and (vote.reason or vote.correction) for vote in votes),
        handed=connection.execute(handed).first() is not None,
        edited=connection.execute(edited).first() is not None,
        disagreed="disagree" in case.reasons,
    )
    reasons = reasons_of(signs)
    values: dict[str, Any] = {
        "up": sum(vote.value > 0 for vote in votes),
        "down": signs.down,
        "handed": signs.handed,
        "reasons": reasons,
        "weight": weight_of(signs, reasons),
    }
    if case.state in {CaseState.CLEAR, CaseState.OPEN}:
        values["state"] = CaseState.OPEN if reasons else CaseState.CLEAR
    if any(getattr(case, name) != value for name, value in values.items()):
        connection.execute(sa.update(_case).where(_case.c.id == case.id).values(**values))


def shown_reasons(case: Mapping[str, Any]) -> list[str]:
    """A case's reasons in words a reviewer understands at a glance."""
    names = {
        "disagree": "reviewers disagree",
        "down": "👎",
        "handed": "handed over",
        "failed": "failed",
        "edited": "edited",
        "unanswered": "unanswered",
        "unsure": "weak grounding",
        "sample": "sample",
    }
    return [names[name] for name in case["reasons"] if name in names]

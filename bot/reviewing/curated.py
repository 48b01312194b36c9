"""Curated answers: what a person wrote, given word for word to whoever asks the same.

Knows wordings, audiences and what makes two questions the same (`likeness.py`). Does not
know the search: the answerer asks here first.

Held in memory as well as in the database, and changed in both by the same verb: an approved
answer is live when `publish` returns.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel

from bot.answering.understand import Understood
from bot.database import Database
from bot.errors import NotFound
from bot.reviewing.likeness import Alike
from bot.tables import CuratedState
from bot.types import Citation, Outcome, Question, Reply
from bot.words.followup import Lean
from knowledge.embed import Embedder
from knowledge.types import Audience

_curated = SQLModel.metadata.tables["curated"]
_wording = SQLModel.metadata.tables["wording"]
_audit = SQLModel.metadata.tables["audit"]


@dataclass(frozen=True, slots=True)
class CuratedAnswer:
    """One of them, with the wordings it is given to."""

    id: int
    text: str  # Markdown, given as it is
    citations: tuple[Citation, ...]
    audience: Audience
    lang: str
    live: bool
    author: str
    wordings: tuple[str, ...]
    answer_id: str = ""  # of the answer it corrects
    changed: datetime = datetime(1970, 1, 1, tzinfo=UTC)


class CuratedAnswers:
    """The curated answers of one database. `load` once before use."""

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self._database = database
        self._embedder = embedder
        self._answers: dict[int, CuratedAnswer] = {}
        self._alike: dict[Audience, Alike[int]] = {}
        self._lock = threading.Lock()

    async def load(self) -> None:
        """Read all of them anew and embed their wordings."""
        known = {one.id: one for one in await self._database.read(_all)}
        await asyncio.to_thread(self._rebuild, known)

    def everything(self) -> list[CuratedAnswer]:
        """All of them, withdrawn ones too, newest change first."""
        return sorted(self._answers.values(), key=lambda one: one.changed, reverse=True)

    def match(self, texts: Iterable[str], audience: Audience) -> CuratedAnswer | None:
        """The answer for the first of `texts` that asks what one of the wordings asks.

        An asker gets what was written for an audience they may read, their own first. A
        millisecond; blocking.
        """
        asked = list(dict.fromkeys(texts))
        with self._lock:
            for whose in sorted(Audience, key=lambda one: one is not audience):
                alike = self._alike.get(whose) if audience.may_read(whose) else None
                for text in asked if alike is not None else ():
                    found = alike.find(text) if alike is not None else None
                    if found is not None:
                        return self._answers.get(found)
        return None

    async def answer(self, question: Question, understood: Understood) -> Reply | None:
        """The curated reply to a message, or None where there is none."""
        texts = _readings(question, understood)
        found = await asyncio.to_thread(self.match, texts, question.audience)
        if found is None:
            return None
        return Reply(
            text=found.text,
            outcome=Outcome.ANSWERED,
            citations=found.citations,
            confidence=1.0,
            composer="curated",
            lang=understood.lang,
        )

    async def publish(
        self,
        *,
        text: str,
        wordings: Sequence[tuple[str, str]],
        citations: Sequence[Citation],
        audience: Audience,
        lang: str,
        by: str,
        answer_id: str = "",
    ) -> CuratedAnswer:
        """Make an answer live. `wordings` are pairs of a question and the person who asked it.

        An earlier correction of the same answer gives way to this one.
        """
        row = {
            "text": text,
            "citations": [asdict(one) for one in citations],
            "audience": audience,
            "lang": lang,
            "state": CuratedState.LIVE,
            "author": by,
            "answer_id": answer_id,
        }
        made = await self._database.write(
            lambda connection: _publish(connection, row, dict(wordings), by)
        )
        await self.load()
        return self._answers[made]

    async def withdraw(self, curated_id: int, by: str, *, live: bool = False) -> None:
        """Give an answer no more, or (`live`) again. Raises `NotFound`."""
        state = CuratedState.LIVE if live else CuratedState.WITHDRAWN

        def write(connection: Connection) -> None:
            changed = sa.update(_curated).where(_curated.c.id == curated_id)
            values = {"state": state, "changed": datetime.now(UTC)}
            if not connection.execute(changed.values(**values)).rowcount:
                raise NotFound("There is no such curated answer.")
            _note(connection, by, "curated", str(curated_id), {"state": state.value})

        await self._database.write(write)
        await self.load()

    async def would_answer(self, questions: Sequence[str], wordings: Sequence[str]) -> list[bool]:
        """For each question, whether an answer with these wordings would be given to it."""

        def compare() -> list[bool]:
            alike: Alike[int] = Alike(self._embedder)
            alike.add((0, wording) for wording in wordings)
            return [alike.find(text) is not None for text in questions]

        return await asyncio.to_thread(compare)

    def _rebuild(self, known: dict[int, CuratedAnswer]) -> None:
        alike: dict[Audience, Alike[int]] = {}
        for audience in Audience:
            rows = [
                (one.id, wording)
                for one in sorted(known.values(), key=lambda one: one.changed, reverse=True)
                if one.live and one.audience is audience
                for wording in one.wordings
            ]
            if rows:
                alike[audience] = Alike(self._embedder)
                alike[audience].add(rows)
        with self._lock:
            self._answers, self._alike = known, alike


def _readings(question: Question, understood: Understood) -> list[str]:
    """The standalone questions that a message may mean.

    A follow-up counts only together with what it leans on: "and in winter?" asks something else
    in every conversation.
    """
    readings = [one for part in understood.parts for one in part.candidates]
    leaning = any(one.lean is Lean.STRONG for one in readings)
    texts = [] if leaning else [question.text]
    if len(understood.parts) == 1:
        texts += [one.text for one in readings if not (one.alone and leaning)]
        texts += [] if readings else [understood.parts[0].text]
    return texts


def _all(session: Session) -> list[CuratedAnswer]:
    connection = session.connection()
    wordings: dict[int, list[str]] = {}
    for row in connection.execute(sa.select(_wording).order_by(_wording.c.id)):
        wordings.setdefault(row.curated_id, []).append(row.text)
    return [
        CuratedAnswer(
            id=row.id,
            text=row.text,
            citations=tuple(Citation(**one) for one in row.citations),
            audience=row.audience,
            lang=row.lang,
            live=row.state is CuratedState.LIVE,
            author=row.author,
            wordings=tuple(wordings.get(row.id, ())),
            answer_id=row.answer_id,
            changed=row.changed,
        )
        for row in connection.execute(sa.select(_curated))
    ]


def _publish(connection: Connection, row: dict[str, Any], wordings: dict[str, str], by: str) -> int:
    moment = datetime.now(UTC)
    if row["answer_id"]:
        before = sa.and_(
            _curated.c.answer_id == row["answer_id"], _curated.c.state == CuratedState.LIVE
        )
        gone = {"state": CuratedState.WITHDRAWN, "changed": moment}
        connection.execute(sa.update(_curated).where(before).values(**gone))
    key: Any = connection.execute(
        sa.insert(_curated), {**row, "created": moment, "changed": moment}
    ).inserted_primary_key
    curated_id = int(key[0])
    for text, person in wordings.items():
        if text.strip():
            worded = {"curated_id": curated_id, "text": text.strip(), "person": person}
            connection.execute(sa.insert(_wording), worded)
    detail = {"state": "live", "answer": row["answer_id"], "wordings": len(wordings)}
    _note(connection, by, "curated", str(curated_id), detail)
    return curated_id


def _note(
    connection: Connection, actor: str, action: str, target: str, detail: dict[str, Any]
) -> None:
    note = {"actor": actor, "action": action, "target": target, "detail": detail}
    connection.execute(sa.insert(_audit), {**note, "at": datetime.now(UTC)})

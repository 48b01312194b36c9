"""A person's own data: all of it to read, or gone.

Knows every table that holds what somebody wrote, and the consent to learn from it. Does not
know channels: they say who somebody is, and pass the request on.

A deletion is one transaction. What others wrote about the person's answers goes with them. The
audit stays, since it can never be changed; it holds ids and no words. Answers' ids stay as well
(`erasure`), so that datasets and models made from them are known to be stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel

from bot import tables
from bot.database import Database

_all = SQLModel.metadata.tables
_conversation = _all["conversation"]
_message = _all["message"]
_answer = _all["answer"]
_outbox = _all["outbox"]
_vote = _all["vote"]
_audit = _all["audit"]
_case = _all["review_case"]
_verdict = _all["verdict"]
_wording = _all["wording"]
_curated = _all["curated"]
_consent = _all["consent"]
_erasure = _all["erasure"]
_handover = _all["handover"]
_card = _all["handovercard"]
_line = _all["handoverline"]
_staff = _all["staffmessage"]
_suggestion = _all["suggestion"]

BATCH = 500  # ids in one statement; SQLite takes 32,766 values, PostgreSQL 65,535


@dataclass(frozen=True, slots=True)
class Erased:
    """How many rows a deletion took."""

    messages: int
    answers: int
    votes: int


def person_of(channel: str, actor_id: str) -> str:
    """Somebody's name across channels, as votes have it: `"web:3f…"`."""
    return f"{channel}:{actor_id}"


class Eraser:
    """Exports and deletes what one database holds about a person."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def export(self, channel: str, actor_id: str) -> dict[str, Any]:
        """Everything kept about a person, JSON-ready, oldest first."""
        person = person_of(channel, actor_id)

        def read(session: Session) -> dict[str, Any]:
            connection = session.connection()
            asked = connection.execute(
                sa.select(
                    _message.c.at,
                    _message.c.text,
                    _message.c.actor_name,
                    _conversation.c.key,
                    _answer.c.id,
                    _answer.c.text.label("answer"),
                    _answer.c.created,
                )
                .join(_conversation, _conversation.c.id == _message.c.conversation_id)
                .join(_answer, _answer.c.message_id == _message.c.id, isouter=True)
                .where(_mine(channel, actor_id))
                .order_by(_message.c.id)
            )
            votes = connection.execute(
                sa.select(_vote).where(_vote.c.voter == person).order_by(_vote.c.id)
            )
            consent = connection.scalar(
                sa.select(_consent.c.training).where(_consent.c.person == person)
            )
            return {
                "person": person,
                "training": consent is not False,
                "messages": [
                    {
                        "at": row.at.isoformat(),
                        "conversation": row.key,
                        "name": row.actor_name,
                        "text": row.text,
                        "answer_id": row.id,
                        "answer": row.answer,
                        "answered": row.created.isoformat() if row.created else None,
                    }
                    for row in asked
                ],
                "votes": [
                    {
                        "at": row.at.isoformat(),
                        "answer_id": row.answer_id,
                        "value": row.value,
                        "reason": row.reason,
                        "correction": row.correction,
                    }
                    for row in votes
                ],
            }

        return await self._database.read(read)

    async def delete(self, channel: str, actor_id: str, by: str) -> Erased:
        """Delete what a person wrote, what was answered, and their votes; `by` is for the audit.

        A question that is being answered in this moment is deleted too; its answer is then lost.
        """
        return await self._database.write(
            lambda connection: _delete_person(connection, channel, actor_id, by)
        )

    async def forget_before(self, moment: datetime, by: str = "retention") -> int:
        """Delete conversations whose last message is older than `moment`; returns how many.

        A hundred in one transaction, so that other writes get their turn in between.
        """
        forgotten = 0
        while done := await self._database.write(
            lambda connection: _delete_older(connection, moment, by)
        ):
            forgotten += done
        return forgotten

    async def consent(self, person: str, *, training: bool) -> None:
        """Note whether a person's conversations may be learned from."""

        def write(connection: Connection) -> None:
            connection.execute(sa.delete(_consent).where(_consent.c.person == person))
            row = {"person": person, "training": training, "at": datetime.now(UTC)}
            connection.execute(sa.insert(_consent), row)
            _note(connection, person, "consent", person, {"training": training})

        await self._database.write(write)

    async def stale(self, answer_ids: Iterable[str]) -> list[str]:
        """Those of `answer_ids` that were erased since: what was made from them is stale."""
        wanted = list(answer_ids)

        def read(session: Session) -> list[str]:
            found: list[str] = []
            for part in _parts(wanted):
                rows = sa.select(_erasure.c.answer_id).where(_erasure.c.answer_id.in_(part))
                found += session.connection().scalars(rows)
            return found

        return await self._database.read(read)


def retention_moment(days: int) -> datetime:
    """What is older than this is past its `days`."""
    return datetime.now(UTC) - timedelta(days=days)


def _mine(channel: str, actor_id: str) -> sa.ColumnElement[bool]:
    within = sa.select(_conversation.c.id).where(_conversation.c.channel == channel)
    return sa.and_(_message.c.actor_id == actor_id, _message.c.conversation_id.in_(within))


def _delete_person(connection: Connection, channel: str, actor_id: str, by: str) -> Erased:
    person = person_of(channel, actor_id)
    mine = sa.select(_message.c.id, _message.c.conversation_id).where(_mine(channel, actor_id))
    rows = connection.execute(mine).all()
    answers, votes = _delete_messages(connection, [row.id for row in rows])
    for part in _parts(sorted({row.conversation_id for row in rows})):
        left = sa.exists().where(_message.c.conversation_id == _conversation.c.id)
        empty = sa.and_(_conversation.c.id.in_(part), ~left)
        connection.execute(sa.delete(_conversation).where(empty))
    votes += connection.execute(sa.delete(_vote).where(_vote.c.voter == person)).rowcount
    # A curated answer stays; the person's own way of asking for it does not.
    connection.execute(sa.delete(_wording).where(_wording.c.person == person))
    connection.execute(sa.delete(_consent).where(_consent.c.person == person))
    erased = Erased(len(rows), answers, votes)
    detail = {"messages": erased.messages, "answers": erased.answers, "votes": erased.votes}
    _note(connection, by, "erase", person, detail)
    return erased


def _delete_older(connection: Connection, moment: datetime, by: str) -> int:
    old = connection.scalars(
        sa.select(_conversation.c.id).where(_conversation.c.last < moment).limit(100)
    ).all()
    if not old:
        return 0
    mine = sa.select(_message.c.id).where(_message.c.conversation_id.in_(old))
    answers, _ = _delete_messages(connection, connection.scalars(mine).all())
    connection.execute(sa.delete(_conversation).where(_conversation.c.id.in_(old)))
    _note(connection, by, "forget", "", {"conversations": len(old), "answers": answers})
    return len(old)


def _delete_messages(connection: Connection, messages: Sequence[int]) -> tuple[int, int]:
    """Delete messages with all that hangs on them; how many answers and votes that were."""
    answers = votes = 0
    moment = datetime.now(UTC)
    for part in _parts(messages):
        found = connection.scalars(sa.select(_answer.c.id).where(_answer.c.message_id.in_(part)))
        ids = list(found)
        votes += connection.execute(sa.delete(_vote).where(_vote.c.answer_id.in_(ids))).rowcount
        connection.execute(sa.delete(_verdict).where(_verdict.c.answer_id.in_(ids)))
        origin = sa.update(_curated).where(_curated.c.answer_id.in_(ids))
        connection.execute(origin.values(answer_id=""))
        connection.execute(sa.delete(_outbox).where(_outbox.c.answer_id.in_(ids)))
        connection.execute(sa.delete(_case).where(_case.c.id.in_(part)))
        _delete_handovers(connection, part)
        words = sa.table("case_words", sa.column("rowid" if _sqlite(connection) else "id"))
        connection.execute(sa.delete(words).where(next(iter(words.c)).in_(part)))
        connection.execute(sa.delete(_answer).where(_answer.c.id.in_(ids)))
        connection.execute(sa.delete(_message).where(_message.c.id.in_(part)))
        if ids:
            gone = [{"answer_id": one, "at": moment} for one in ids]
            connection.execute(sa.insert(_erasure), gone)
        answers += len(ids)
    return answers, votes


def _delete_handovers(connection: Connection, messages: Sequence[int]) -> None:
    """Delete the handovers that these messages opened, and what staff wrote in them."""
    connection.execute(sa.delete(_line).where(_line.c.message_id.in_(messages)))
    of_these = sa.select(_handover.c.id).where(_handover.c.message_id.in_(messages))
    ids = connection.scalars(of_these).all()
    said = sa.select(_staff.c.id).where(_staff.c.handover_id.in_(ids))
    connection.execute(sa.delete(_suggestion).where(_suggestion.c.staff_id.in_(said)))
    for table in (_line, _staff, _card):
        connection.execute(sa.delete(table).where(table.c.handover_id.in_(ids)))
    connection.execute(sa.delete(_handover).where(_handover.c.id.in_(ids)))


def _sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def _parts(ids: Sequence[Any]) -> list[Sequence[Any]]:
    return [ids[at : at + BATCH] for at in range(0, len(ids), BATCH)]


def _note(
    connection: Connection, actor: str, action: str, target: str, detail: dict[str, Any]
) -> None:
    row = tables.Audit(
        actor=actor, action=action, target=target, detail=detail, at=datetime.now(UTC)
    )
    connection.execute(sa.insert(_audit), row.model_dump(exclude={"id"}))

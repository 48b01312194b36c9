"""The durable inbox and outbox: what was taken in, what was answered, what was shown.

Knows the states of a message and of a delivery and every step between them. Does not know
order, load or channels (`bot/dispatching/dispatch.py`).

Each verb is one committed transaction, may be repeated without harm, and moves a row only
forwards: a message that is answered stays answered, a reply that is sent stays sent.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel

from bot.database import Database
from bot.tables import MessageState, SendState, answer_values
from bot.types import Address, Event, Reply
from knowledge.types import Audience

_conversation = SQLModel.metadata.tables["conversation"]
_message = SQLModel.metadata.tables["message"]
_answer = SQLModel.metadata.tables["answer"]
_outbox = SQLModel.metadata.tables["outbox"]


@dataclass(frozen=True, slots=True)
class TakenIn:
    """An event's row. `fresh` is False if it was there before."""

    message_id: int
    fresh: bool
    answered: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message somebody is about to work on; `attempts` includes this one."""

    text: str
    audience: Audience
    attempts: int


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A message that an earlier process left without an answer, or its answer undelivered."""

    message_id: int
    event_id: str
    address: Address
    actor_id: str
    attempts: int
    answer_id: str | None  # None while unanswered
    send: SendState | None


# The statements every message needs, built once: compiling one costs more than running it.
_FIND_MESSAGE = sa.select(_message.c.id, _message.c.state).where(
    _message.c.event_id == sa.bindparam("event_id", type_=_message.c.event_id.type)
)


def _touch(insert: Any) -> Any:  # noqa: ANN401 - of either dialect, which share no base
    """Add a conversation, or note that somebody spoke there; returns its id."""
    new = insert(_conversation)
    later = sa.case(
        (_conversation.c.last < new.excluded.last, new.excluded.last), else_=_conversation.c.last
    )
    return new.on_conflict_do_update(
        index_elements=["channel", "key"],
        set_={"last": later, "audience": new.excluded.audience},
    ).returning(_conversation.c.id)


_TOUCH_CONVERSATION = {
    "sqlite": _touch(sqlite.insert),
    "postgresql": _touch(postgresql.insert),
}
_ADD_MESSAGE = {
    "sqlite": sqlite.insert(_message).on_conflict_do_nothing().returning(_message.c.id),
    "postgresql": postgresql.insert(_message).on_conflict_do_nothing().returning(_message.c.id),
}
_CLAIM = (
    sa.update(_message)
    .where(_message.c.id == sa.bindparam("message_id"), _message.c.state != MessageState.ANSWERED)
    .values(state=MessageState.WORKING, attempts=_message.c.attempts + 1)
    .returning(_message.c.text, _message.c.audience, _message.c.attempts)
)
_RELEASE = (
    sa.update(_message)
    .where(_message.c.id == sa.bindparam("message_id"), _message.c.state == MessageState.WORKING)
    .values(state=MessageState.ACCEPTED, attempts=_message.c.attempts - 1)
)
_FIND_ANSWER = sa.select(_answer.c.id).where(_answer.c.message_id == sa.bindparam("message_id"))
_ADD_ANSWER = sa.insert(_answer)
_ADD_OUTBOX = sa.insert(_outbox)
_CLOSE_MESSAGE = (
    sa.update(_message)
    .where(_message.c.id == sa.bindparam("message_id"), _message.c.state != MessageState.ANSWERED)
    .values(state=MessageState.ANSWERED)
)
_BEGIN_SEND = (
    sa.update(_outbox)
    .where(
        _outbox.c.answer_id == sa.bindparam("answer"),
        _outbox.c.state.not_in([SendState.SENT, SendState.DEAD]),
    )
    .values(
        state=SendState.SENDING,
        attempts=_outbox.c.attempts + 1,
        repeated=sa.or_(_outbox.c.repeated, sa.bindparam("again", type_=sa.Boolean)),
        changed=sa.bindparam("moment"),
    )
    .returning(_outbox.c.attempts)
)
_END_SEND = (
    sa.update(_outbox)
    .where(_outbox.c.answer_id == sa.bindparam("answer"), _outbox.c.state != SendState.SENT)
    .values(
        state=sa.bindparam("now_state"),
        platform_id=sa.bindparam("shown_as"),
        error=sa.bindparam("problem"),
        attempts=_outbox.c.attempts - sa.bindparam("back", type_=sa.Integer),
        changed=sa.bindparam("moment"),
    )
)


def _now() -> datetime:
    return datetime.now(UTC)


class Journal:
    """The inbox and outbox of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take_in(self, event: Event) -> asyncio.Future[TakenIn]:
        """Commit an event under its unique key.

        A future, so that what has to follow a commit can be hung on it and happens, in the
        order of the commits, even if whoever sent the event does not wait any more.
        """
        return self._database.write(lambda connection: _take_in(connection, event))

    async def known(self, event_id: str) -> bool:
        """True if this event was taken in before."""

        def find(session: Session) -> bool:
            found = session.connection().execute(_FIND_MESSAGE, {"event_id": event_id})
            return found.first() is not None

        return await self._database.read(find)

    async def claim(self, message_id: int) -> Claimed | None:
        """Count an attempt at answering; None if the message is answered already."""

        def claim(connection: Connection) -> Claimed | None:
            row = connection.execute(_CLAIM, {"message_id": message_id}).first()
            return None if row is None else Claimed(row.text, row.audience, row.attempts)

        return await self._database.write(claim)

    async def release(self, message_id: int) -> None:
        """Hand a message back unanswered, as if the attempt had not been made."""
        await self._database.write(
            lambda connection: connection.execute(_RELEASE, {"message_id": message_id}).rowcount
        )

    async def settle(self, message_id: int, reply: Reply, *, sending: bool = False) -> str:
        """Keep the answer, close its message and queue its delivery, in one transaction.

        With `sending`, the delivery begins at once: that is its first attempt, and needs no
        `begin_send`. Returns the answer's id: of the answer that was there already, if any.
        """
        answer_id = uuid.uuid4().hex
        return await self._database.write(
            lambda connection: settle(
                connection,
                message_id,
                reply,
                answer_id,
                SendState.SENDING if sending else SendState.READY,
            )
        )

    async def begin_send(self, answer_id: str, *, again: bool = False) -> int | None:
        """Note that a reply is about to be shown; returns how many attempts that makes.

        `again` marks a reply that an earlier attempt may have shown already. None if the reply
        was sent, or given up on: then it must not be shown.
        """

        def begin(connection: Connection) -> int | None:
            values = {"answer": answer_id, "again": again, "moment": _now()}
            row = connection.execute(_BEGIN_SEND, values).first()
            return None if row is None else int(row.attempts)

        return await self._database.write(begin)

    async def sent(self, answer_id: str, platform_id: str) -> None:
        """Note that a reply was shown, and under which id."""
        await self._end_send(answer_id, SendState.SENT, platform_id=platform_id)

    async def unsent(
        self, answer_id: str, state: SendState, error: str, *, counts: bool = True
    ) -> None:
        """Note why an attempt failed, and whether the reply may have been shown (`UNKNOWN`).

        One that does not count was sent back by a platform that asks us to wait.
        """
        await self._end_send(answer_id, state, error=error, back=int(not counts))

    async def unfinished(self) -> list[Unfinished]:
        """Everything an earlier process left to do, in the order it was taken in."""
        return await self._database.read(_unfinished)

    async def _end_send(
        self,
        answer_id: str,
        state: SendState,
        *,
        platform_id: str = "",
        error: str = "",
        back: int = 0,
    ) -> None:
        values = {
            "answer": answer_id,
            "now_state": state,
            "shown_as": platform_id,
            "problem": error,
            "back": back,
            "moment": _now(),
        }
        await self._database.write(
            lambda connection: connection.execute(_END_SEND, values).rowcount
        )


def _take_in(connection: Connection, event: Event) -> TakenIn:
    message = {
        "event_id": event.id,
        "conversation_id": _conversation_of(connection, event),
        "actor_id": event.actor.id,
        "actor_name": event.actor.name,
        "audience": event.actor.audience,
        "text": event.text,
        "detail": dict(event.address.detail),
        "at": event.at,
        "accepted": _now(),
        "state": MessageState.ACCEPTED,
        "attempts": 0,
    }
    added = connection.execute(_ADD_MESSAGE[connection.dialect.name], message).first()
    if added is not None:
        return TakenIn(added.id, fresh=True, answered=False)
    found = connection.execute(_FIND_MESSAGE, {"event_id": event.id}).one()
    return TakenIn(found.id, fresh=False, answered=found.state is MessageState.ANSWERED)


def _conversation_of(connection: Connection, event: Event) -> int:
    conversation = {
        "channel": event.address.channel,
        "key": event.address.conversation,
        "audience": event.actor.audience,
        "created": _now(),
        "last": event.at,
    }
    touched = _TOUCH_CONVERSATION[connection.dialect.name]
    return int(connection.execute(touched, conversation).scalar_one())


def settle(
    connection: Connection, message_id: int, reply: Reply, answer_id: str, send: SendState
) -> str:
    """Keep an answer and close its message; returns the answer's id, or the earlier one's."""
    key = {"message_id": message_id}
    if not connection.execute(_CLOSE_MESSAGE, key).rowcount:
        return str(connection.execute(_FIND_ANSWER, key).scalar_one())
    answer = {"id": answer_id, "message_id": message_id, "created": _now()}
    connection.execute(_ADD_ANSWER, answer | answer_values(reply))
    connection.execute(
        _ADD_OUTBOX,
        {
            "answer_id": answer_id,
            "state": send,
            "platform_id": "",
            "attempts": int(send is SendState.SENDING),
            "repeated": False,
            "error": "",
            "changed": _now(),
        },
    )
    return answer_id


def _unfinished(session: Session) -> list[Unfinished]:
    # Literal conditions: a bound parameter would keep SQLite from using the partial indexes.
    columns = (
        _message.c.id,
        _message.c.event_id,
        _message.c.actor_id,
        _message.c.detail,
        _message.c.attempts,
        _conversation.c.channel,
        _conversation.c.key,
    )
    unanswered = sa.select(*columns, sa.null().label("answer_id"), sa.null().label("send")).where(
        _message.c.conversation_id == _conversation.c.id, sa.text("message.state <> 'answered'")
    )
    unsent = sa.select(
        *columns, _answer.c.id.label("answer_id"), _outbox.c.state.label("send")
    ).where(
        _message.c.conversation_id == _conversation.c.id,
        _answer.c.message_id == _message.c.id,
        _outbox.c.answer_id == _answer.c.id,
        sa.text("outbox.state <> 'sent'"),
        _outbox.c.state != SendState.DEAD,
    )
    connection = session.connection()
    rows = [*connection.execute(unanswered), *connection.execute(unsent)]
    return [
        Unfinished(
            message_id=row.id,
            event_id=row.event_id,
            address=Address(row.channel, row.key, row.detail),
            actor_id=row.actor_id,
            attempts=row.attempts,
            answer_id=row.answer_id,
            send=row.send,
        )
        for row in sorted(rows, key=lambda row: row.id)
    ]

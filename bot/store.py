"""Every read and write of conversations, votes and the audit, as verbs.

Knows what people ask of the database. Taking messages in and getting replies out is
`bot/dispatching/journal.py`'s; threads and transactions are `bot/database.py`'s.

Reads see what is committed. Writes have happened, durably, when they return.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel, col, select
from sqlmodel.sql.expression import Select

from bot import metrics, tables
from bot.database import PATIENCE_S, Database, parse_url
from bot.errors import NotFound, StoreError
from bot.migrations import upgrade
from bot.tables import MessageState, SendState, reply_of
from bot.types import Outcome, Reply, Turn, Vote
from knowledge.types import Audience

REMEMBERED = (Outcome.ANSWERED, Outcome.ABSTAINED, Outcome.SMALLTALK, Outcome.STOPPED)
"""Outcomes a follow-up may refer to; apologies are not part of a conversation."""

_message = SQLModel.metadata.tables["message"]
_answer = SQLModel.metadata.tables["answer"]
_vote = SQLModel.metadata.tables["vote"]
_audit = SQLModel.metadata.tables["audit"]
_probe = SQLModel.metadata.tables["probe"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One message of a conversation with what became of it. `votes` leaves withdrawn ones out."""

    event_id: str
    text: str
    at: datetime
    state: MessageState
    answer_id: str | None = None
    reply: Reply | None = None
    votes: Mapping[str, Vote] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """One answer with its question and the state of its delivery."""

    answer_id: str
    event_id: str
    channel: str
    conversation: str
    actor_id: str
    audience: Audience
    question: str
    reply: Reply
    created: datetime
    send: SendState
    platform_id: str
    repeated: bool  # may have been shown twice
    detail: Mapping[str, str] = field(default_factory=dict)  # the channel's address of the question


@dataclass(frozen=True, slots=True)
class Counts:
    """How many rows are in which state, and how people voted."""

    conversations: int
    messages: Mapping[MessageState, int]
    sends: Mapping[SendState, int]
    votes: Mapping[int, int]  # by value: -1, 0 (withdrawn), 1


class Store:
    """The one way into the database. Made by `Store.open`.

    `clean` takes out of people's words what must not be kept; see `bot/reviewing/redact.py`.
    """

    def __init__(self, database: Database, clean: Callable[[str], str] = str) -> None:
        self.database = database
        self.clean = clean

    @classmethod
    def open(
        cls,
        url: str,
        *,
        exclusive: bool = False,
        patience_s: float = PATIENCE_S,
        clean: Callable[[str], str] = str,
    ) -> Store:
        """Open a database, bringing its tables up to date first.

        A server opens it `exclusive`: raises `AlreadyRunning` if another one does. Also raises
        `ConfigError` (not a URL we know) and `StoreError` (unreachable, or from a newer
        Deskhand). Blocks for as long as an upgrade takes. `patience_s` is how long a write may
        wait for somebody else's lock before it fails.
        """
        parsed = parse_url(url)
        if not exclusive:
            upgrade(parsed)
            return cls(Database.open(parsed, patience_s=patience_s), clean)
        database = Database.open(parsed, exclusive=True, patience_s=patience_s)
        with contextlib.ExitStack() as undo:
            undo.callback(database.abandon)
            upgrade(parsed, held=True)
            undo.pop_all()
        return cls(database, clean)

    async def close(self) -> None:
        """Commit what is queued, then let go of the database."""
        await self.database.close()

    async def healthy(self) -> bool:
        """True if the database takes writes. Tries one if none was committed lately."""
        if not self.database.doubtful():
            return True
        try:
            await self.database.prove(_fill_and_free)
        except StoreError:
            return False
        return True

    async def history(
        self,
        channel: str,
        conversation: str,
        limit: int,
        audience: Audience = Audience.CUSTOMER,
    ) -> list[Turn]:
        """The last `limit` turns, oldest first, of exchanges that `audience` may read."""
        if limit <= 0:
            return []
        said = _said(tuple(kind for kind in Audience if audience.may_read(kind)))
        values = {"channel": channel, "conversation": conversation, "most": (limit + 1) // 2}

        def read(session: Session) -> list[Turn]:
            newest = session.connection().execute(said, values).all()
            turns: list[Turn] = []
            for question, answer in reversed(newest):
                turns += [Turn("user", question), Turn("assistant", answer)]
            return turns[-limit:]

        return await self.database.read(read)

    async def thread(self, channel: str, conversation: str, limit: int = 200) -> list[Exchange]:
        """The last `limit` messages of a conversation with their replies, oldest first."""

        def read(session: Session) -> list[Exchange]:
            newest = session.exec(
                _messages_with_answers()
                .where(*_in_conversation(channel, conversation))
                .order_by(col(tables.Message.id).desc())
                .limit(limit)
            ).all()
            votes = _votes(session, [answer.id for _, answer in newest if answer is not None])
            return [_exchange(*pair, votes) for pair in reversed(newest)]

        return await self.database.read(read)

    async def answer(self, answer_id: str) -> AnswerRecord | None:
        """One answer, or None."""

        def read(session: Session) -> AnswerRecord | None:
            row = session.exec(
                select(tables.Answer, tables.Message, tables.Conversation, tables.Outbox)
                .where(tables.Answer.id == answer_id)
                .where(tables.Message.id == tables.Answer.message_id)
                .where(tables.Conversation.id == tables.Message.conversation_id)
                .where(tables.Outbox.answer_id == tables.Answer.id)
            ).first()
            return None if row is None else _answer_record(*row)

        return await self.database.read(read)

    async def shown_as(self, channel: str, platform_id: str) -> str | None:
        """The id of the answer that a channel shows under `platform_id`, or None."""

        def read(session: Session) -> str | None:
            return session.exec(
                select(tables.Outbox.answer_id)
                .where(tables.Outbox.platform_id == platform_id)
                .where(tables.Answer.id == tables.Outbox.answer_id)
                .where(tables.Message.id == tables.Answer.message_id)
                .where(tables.Conversation.id == tables.Message.conversation_id)
                .where(tables.Conversation.channel == channel)
            ).first()

        return await self.database.read(read)

    async def speakers(self, channel: str, conversation: str) -> frozenset[str]:
        """The actors who asked something in a conversation; empty if nobody did."""

        def read(session: Session) -> frozenset[str]:
            asked = select(tables.Message.actor_id).where(*_in_conversation(channel, conversation))
            return frozenset(session.exec(asked.distinct()).all())

        return await self.database.read(read)

    async def recent(self, channel: str, actor_id: str, limit: int = 5) -> list[Exchange]:
        """The last questions of a person with their answers, newest first; without votes."""

        def read(session: Session) -> list[Exchange]:
            newest = session.exec(
                _messages_with_answers()
                .where(tables.Message.actor_id == actor_id)
                .where(tables.Conversation.id == tables.Message.conversation_id)
                .where(tables.Conversation.channel == channel)
                .order_by(col(tables.Message.id).desc())
                .limit(limit)
            ).all()
            return [_exchange(message, answer, {}) for message, answer in newest]

        return await self.database.read(read)

    async def amend(self, event_id: str, text: str) -> bool:
        """Replace what a person wrote, as they did on the platform; False for an unknown event.

        An answer that is being made goes on with the old text.
        """
        text = self.clean(text)

        def write(connection: Connection) -> bool:
            changed = sa.update(_message).where(_message.c.event_id == event_id).values(text=text)
            if not connection.execute(changed).rowcount:
                return False
            answers = sa.select(_answer.c.id).join(_message, _message.c.id == _answer.c.message_id)
            answer_id = connection.scalar(answers.where(_message.c.event_id == event_id))
            if answer_id is not None:  # the answer is to other words now: worth a review
                _note(connection, event_id, "amend", answer_id, {})
            return True

        return await self.database.write(write)

    async def vote(self, vote: Vote) -> None:
        """Set, change or withdraw (value 0) one person's vote. Repeating it changes nothing.

        What was voted before stays in the audit, without words. Raises `NotFound` for an
        unknown answer.
        """
        vote = dataclasses.replace(
            vote, reason=self.clean(vote.reason), correction=self.clean(vote.correction)
        )
        changed = await self.database.write(lambda connection: _cast(connection, vote))
        if changed:
            metrics.VOTES.labels(str(vote.value)).inc()

    async def votes(self, answer_id: str) -> Mapping[str, Vote]:
        """The votes that stand on an answer, by voter."""

        def read(session: Session) -> Mapping[str, Vote]:
            return _votes(session, [answer_id]).get(answer_id, {})

        return await self.database.read(read)

    async def audit(
        self, actor: str, action: str, target: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Note who did what to what. There is no verb to change or delete it."""
        await self.database.write(
            lambda connection: _note(connection, actor, action, target, detail or {})
        )

    async def audits(self, target: str, limit: int = 100) -> list[tables.Audit]:
        """The newest notes about a target, newest first."""

        def read(session: Session) -> list[tables.Audit]:
            newest = select(tables.Audit).where(tables.Audit.target == target)
            rows = session.exec(newest.order_by(col(tables.Audit.id).desc()).limit(limit)).all()
            session.expunge_all()
            return list(rows)

        return await self.database.read(read)

    async def counts(self) -> Counts:
        """Count everything; for status pages, not for every request."""

        def read(session: Session) -> Counts:
            connection = session.connection()
            return Counts(
                conversations=connection.scalar(
                    sa.select(sa.func.count()).select_from(tables.Conversation)
                )
                or 0,
                messages=_count(connection, col(tables.Message.state), MessageState),
                sends=_count(connection, col(tables.Outbox.state), SendState),
                votes=_count(connection, col(tables.Vote.value), (-1, 0, 1)),
            )

        return await self.database.read(read)


@cache
def _said(readable: tuple[Audience, ...]) -> sa.Select[str, str]:
    """The newest exchanges; built once, as every question asks for them."""
    message, answer = tables.Message, tables.Answer
    return (
        sa.select(col(message.text), col(answer.text))
        .where(*_in_conversation(sa.bindparam("channel"), sa.bindparam("conversation")))
        .where(col(answer.message_id) == message.id)
        .where(col(message.audience).in_(readable))
        .where(col(answer.outcome).in_(REMEMBERED))
        .order_by(col(message.id).desc())
        .limit(sa.bindparam("most", type_=sa.Integer))
    )


def _messages_with_answers() -> Select[tables.Message, tables.Answer]:
    return select(tables.Message, tables.Answer).join(
        tables.Answer, col(tables.Answer.message_id) == tables.Message.id, isouter=True
    )


def _in_conversation(channel: Any, conversation: Any) -> tuple[Any, ...]:  # noqa: ANN401 - texts, or parameters for them
    return (
        col(tables.Message.conversation_id) == tables.Conversation.id,
        col(tables.Conversation.channel) == channel,
        col(tables.Conversation.key) == conversation,
    )


def _votes(session: Session, answers: Sequence[str]) -> dict[str, dict[str, Vote]]:
    """Standing votes by answer and voter."""
    found: dict[str, dict[str, Vote]] = {}
    rows = session.exec(
        select(tables.Vote)
        .where(col(tables.Vote.answer_id).in_(answers))
        .where(tables.Vote.value != 0)
    )
    for row in rows:
        value: Literal[-1, 1] = 1 if row.value > 0 else -1
        vote = Vote(row.answer_id, row.voter, value, row.reason, row.correction)
        found.setdefault(row.answer_id, {})[row.voter] = vote
    return found


def _exchange(
    message: tables.Message,
    answer: tables.Answer | None,
    votes: Mapping[str, Mapping[str, Vote]],
) -> Exchange:
    bare = Exchange(message.event_id, message.text, message.at, message.state)
    if answer is None:
        return bare
    return dataclasses.replace(
        bare, answer_id=answer.id, reply=reply_of(answer), votes=votes.get(answer.id, {})
    )


def _answer_record(
    answer: tables.Answer,
    message: tables.Message,
    conversation: tables.Conversation,
    outbox: tables.Outbox,
) -> AnswerRecord:
    return AnswerRecord(
        answer_id=answer.id,
        event_id=message.event_id,
        channel=conversation.channel,
        conversation=conversation.key,
        actor_id=message.actor_id,
        audience=message.audience,
        question=message.text,
        reply=reply_of(answer),
        created=answer.created,
        send=outbox.state,
        platform_id=outbox.platform_id,
        repeated=outbox.repeated,
        detail=message.detail,
    )


def _cast(connection: Connection, vote: Vote) -> bool:
    """Upsert; True if anything changed."""
    key = sa.and_(_vote.c.answer_id == vote.answer_id, _vote.c.voter == vote.voter)
    found = connection.execute(sa.select(_vote).where(key)).first()
    kept = vote.value != 0  # a withdrawn vote takes its words with it
    values: dict[str, Any] = {
        "value": vote.value,
        "reason": vote.reason if kept else "",
        "correction": vote.correction if kept else "",
    }
    if found is None:
        known = select(tables.Answer.id).where(tables.Answer.id == vote.answer_id)
        if connection.execute(known).first() is None:
            raise NotFound(f"There is no answer {vote.answer_id}.", "Reload and vote again.")
        if not kept:
            return False
    elif all(getattr(found, name) == value for name, value in values.items()):
        return False
    values["at"] = datetime.now(UTC)
    if found is None:
        connection.execute(
            sa.insert(_vote), {"answer_id": vote.answer_id, "voter": vote.voter, **values}
        )
    else:
        connection.execute(sa.update(_vote).where(key).values(**values))
    before = 0 if found is None else found.value
    detail = {"from": before, "to": vote.value, "words": bool(values["reason"])}
    _note(connection, vote.voter, "vote", vote.answer_id, detail)
    return True


def _note(
    connection: Connection, actor: str, action: str, target: str, detail: Mapping[str, Any]
) -> None:
    note = {"actor": actor, "action": action, "target": target, "detail": dict(detail)}
    connection.execute(sa.insert(_audit), {**note, "at": datetime.now(UTC)})


def _fill_and_free(connection: Connection) -> None:
    """Write as much as a message needs, before giving any space back."""
    key: Any = connection.execute(sa.insert(_probe), {"filler": "·" * 4096}).inserted_primary_key
    connection.execute(sa.delete(_probe).where(_probe.c.id != key[0]))


def _count(connection: Connection, column: Any, kinds: Iterable[Any]) -> dict[Any, int]:  # noqa: ANN401 - a column of either kind
    rows = connection.execute(sa.select(column, sa.func.count()).group_by(column))
    counted = {row[0]: row[1] for row in rows}
    return {kind: counted.get(kind, 0) for kind in kinds}

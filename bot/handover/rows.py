"""The statements of handovers: each reads or writes a few rows on the connection it is given.

Knows tables. Does not know which step allows what (`bot/handover/steps.py`).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel

from bot.errors import NotFound
from bot.tables import HandoverState, LineKind, SendState, SuggestionState
from bot.types import Actor

_conversation = SQLModel.metadata.tables["conversation"]
_message = SQLModel.metadata.tables["message"]
_answer = SQLModel.metadata.tables["answer"]
_audit = SQLModel.metadata.tables["audit"]
_handover = SQLModel.metadata.tables["handover"]
_card = SQLModel.metadata.tables["handovercard"]
_staff = SQLModel.metadata.tables["staffmessage"]
_line = SQLModel.metadata.tables["handoverline"]
_suggestion = SQLModel.metadata.tables["suggestion"]

Row = Any  # a row of a result: its columns are those of its statement


@dataclass(frozen=True, slots=True)
class Unsent:
    """A line on its way; an empty `target` is the person."""

    id: int
    handover_id: str
    target: str
    state: SendState


def _now() -> datetime:
    return datetime.now(UTC)


# Handovers


def unresolved(session: Session) -> dict[tuple[str, str], tuple[str, str]]:
    """Every handover that is not resolved, and the event that asked for it, by conversation."""
    query = sa.select(
        _conversation.c.channel, _conversation.c.key, _handover.c.id, _handover.c.event_id
    ).where(
        _handover.c.conversation_id == _conversation.c.id, sa.text("handover.state <> 'resolved'")
    )
    return {(one[0], one[1]): (one[2], one[3]) for one in session.connection().execute(query)}


def unresolved_of(connection: Connection, channel: str, conversation: str) -> str | None:
    """The handover in which a conversation is."""
    found: str | None = connection.scalar(
        sa.select(_handover.c.id).where(
            _handover.c.conversation_id == _conversation.c.id,
            _conversation.c.channel == channel,
            _conversation.c.key == conversation,
            sa.text("handover.state <> 'resolved'"),
        )
    )
    return found


def handover_row(connection: Connection, handover_id: str) -> Row | None:
    """A handover with its conversation and its person."""
    return connection.execute(
        sa.select(
            _handover,
            _conversation.c.channel,
            _conversation.c.key,
            _message.c.actor_id,
            _message.c.actor_name,
            _message.c.audience,
        ).where(
            _handover.c.id == handover_id,
            _conversation.c.id == _handover.c.conversation_id,
            _message.c.id == _handover.c.message_id,
        )
    ).first()


def talk(
    connection: Connection, conversation_id: int, until: int, exchanges: int
) -> list[tuple[str, str | None]]:
    """The last messages of a conversation until one of them, with their answers, oldest first."""
    newest = connection.execute(
        sa.select(_message.c.text, _answer.c.text)
        .join_from(_message, _answer, _answer.c.message_id == _message.c.id, isouter=True)
        .where(_message.c.conversation_id == conversation_id, _message.c.id <= until)
        .order_by(_message.c.id.desc())
        .limit(exchanges)
    )
    return [(text, answer) for text, answer in reversed(newest.all())]


def add_handover(
    connection: Connection, channel: str, conversation: str, event_id: str, reason: str, by: str
) -> str:
    """Open one. Raises `NotFound` for a conversation in which nothing was said."""
    said = sa.select(_message.c.id, _message.c.conversation_id).where(
        _message.c.conversation_id == _conversation.c.id,
        _conversation.c.channel == channel,
        _conversation.c.key == conversation,
    )
    row = connection.execute(said.where(_message.c.event_id == event_id)).first()
    row = row or connection.execute(said.order_by(_message.c.id.desc()).limit(1)).first()
    if row is None:
        raise NotFound("There is no such conversation.", "Reload the list.")
    new = {
        "id": uuid.uuid4().hex,
        "conversation_id": row.conversation_id,
        "message_id": row.id,
        "event_id": event_id,
        "state": HandoverState.OPEN,
        "reason": reason,
        "opened_by": by,
        "claimed_by": "",
        "claimed_name": "",
        "resolved_by": "",
        "opened": _now(),
        "changed": _now(),
    }
    connection.execute(sa.insert(_handover), new)
    _note(connection, by, "handover opened", new["id"])
    return str(new["id"])


def set_claimed(connection: Connection, handover_id: str, by: Actor) -> None:
    """Somebody has it."""
    changes = {"state": HandoverState.CLAIMED, "claimed_by": by.id, "claimed_name": by.name}
    _change(connection, handover_id, changes)
    _note(connection, by.id, "handover claimed", handover_id)


def set_resolved(connection: Connection, handover_id: str, by: str) -> None:
    """The bot has the conversation again."""
    _change(connection, handover_id, {"state": HandoverState.RESOLVED, "resolved_by": by})
    _note(connection, by, "handover resolved", handover_id)


def _change(connection: Connection, handover_id: str, changes: dict[str, Any]) -> None:
    changed = sa.update(_handover).where(_handover.c.id == handover_id)
    connection.execute(changed.values(**changes, changed=_now()))


def _note(connection: Connection, actor: str, action: str, target: str) -> None:
    note = {"actor": actor, "action": action, "target": target, "detail": {}, "at": _now()}
    connection.execute(sa.insert(_audit), note)


# Cards


def set_card(connection: Connection, handover_id: str, desk: str, place: str) -> None:
    """Note where a desk shows it."""
    at = sa.and_(_card.c.handover_id == handover_id, _card.c.desk == desk)
    if not connection.execute(sa.update(_card).where(at).values(place=place)).rowcount:
        values = {"handover_id": handover_id, "desk": desk, "place": place}
        connection.execute(sa.insert(_card), values)


def card(connection: Connection, handover_id: str, desk: str) -> str | None:
    """Where a desk shows it."""
    found: str | None = connection.scalar(
        sa.select(_card.c.place).where(_card.c.handover_id == handover_id, _card.c.desk == desk)
    )
    return found


def carded(connection: Connection, desk: str, place: str) -> str | None:
    """The handover that is shown there."""
    found: str | None = connection.scalar(
        sa.select(_card.c.handover_id).where(_card.c.desk == desk, _card.c.place == place)
    )
    return found


# Staff messages


def staff_of(connection: Connection, key: str) -> str | None:
    """The staff message with a key."""
    found: str | None = connection.scalar(sa.select(_staff.c.id).where(_staff.c.key == key))
    return found


def add_staff(
    connection: Connection,
    staff_id: str,
    key: str,
    handover: Row,
    by: Actor,
    text: str,
    is_wish: Callable[[str], bool],
) -> None:
    """Keep what staff wrote, and as an answer to what the person asked last."""
    values = {
        "id": staff_id,
        "key": key,
        "handover_id": handover.id,
        "author": by.id,
        "name": by.name,
        "text": text,
        "at": _now(),
    }
    connection.execute(sa.insert(_staff), values)
    asked = connection.scalars(
        sa.select(_message.c.text)
        .where(_message.c.conversation_id == handover.conversation_id)
        .order_by(_message.c.id.desc())
        .limit(20)
    )
    suggestion = {
        "staff_id": staff_id,
        "question": next((one for one in asked if not is_wish(one)), ""),
        "text": text,
        "author": by.id,
        "audience": handover.audience,
        "state": SuggestionState.NEW,
        "at": _now(),
        "decided_by": "",
    }
    connection.execute(sa.insert(_suggestion), suggestion)


def staff_messages(connection: Connection, handover_id: str) -> list[Row]:
    """What staff wrote, with how far it has come on its way to the person."""
    columns: list[sa.ColumnElement[Any]] = [*_staff.c, _line.c.state.label("send")]
    return [
        *connection.execute(
            sa.select(*columns)
            .where(_staff.c.handover_id == handover_id)
            .where(_line.c.staff_id == _staff.c.id, _line.c.target == "")
            .order_by(_line.c.id)
        )
    ]


def lines_to_person(connection: Connection, channel: str, conversation: str) -> list[Row]:
    """What a person was told by staff, and that the bot is back: with its line, in order."""
    columns: list[sa.ColumnElement[Any]] = [
        _line.c.id,
        _line.c.kind,
        _line.c.changed,
        _staff.c.name,
        _staff.c.text.label("staff_text"),
        _staff.c.at,
    ]
    return [
        *connection.execute(
            sa.select(*columns)
            .join(_handover, _handover.c.id == _line.c.handover_id)
            .join(_conversation, _conversation.c.id == _handover.c.conversation_id)
            .join(_staff, _staff.c.id == _line.c.staff_id, isouter=True)
            .where(_conversation.c.channel == channel, _conversation.c.key == conversation)
            .where(_line.c.target == "")
            .order_by(_line.c.id)
        )
    ]


def suggestions(connection: Connection, state: SuggestionState, limit: int) -> Sequence[Row]:
    """Suggestions in a state, the newest first."""
    shown = ("id", "question", "text", "author", "audience", "state", "at")
    return connection.execute(
        sa.select(*(_suggestion.c[name] for name in shown), _staff.c.handover_id)
        .where(_suggestion.c.state == state, _staff.c.id == _suggestion.c.staff_id)
        .order_by(_suggestion.c.id.desc())
        .limit(limit)
    ).all()


def decide(connection: Connection, suggestion_id: int, state: SuggestionState, by: str) -> bool:
    """Note a reviewer's decision; False if there is no such suggestion."""
    changed = sa.update(_suggestion).where(_suggestion.c.id == suggestion_id)
    if not connection.execute(changed.values(state=state, decided_by=by)).rowcount:
        return False
    _note(connection, by, f"suggestion {state.value}", f"suggestion {suggestion_id}")
    return True


# Lines


def newest_line(connection: Connection) -> int:
    """The id after which the next line comes."""
    return connection.scalar(sa.select(sa.func.max(_line.c.id))) or 0


def add_line(
    connection: Connection,
    handover_id: str,
    target: str,
    *,
    kind: LineKind,
    message_id: int | None = None,
    staff_id: str | None = None,
) -> None:
    """Queue something to be told."""
    values = {
        "handover_id": handover_id,
        "target": target,
        "kind": kind,
        "message_id": message_id,
        "staff_id": staff_id,
        "state": SendState.READY,
        "platform_id": "",
        "attempts": 0,
        "error": "",
        "changed": _now(),
    }
    connection.execute(sa.insert(_line), values)


def add_cards(connection: Connection, handover_id: str, desks: Iterable[str]) -> None:
    """Queue the handover's present state for every desk."""
    for desk in desks:
        add_line(connection, handover_id, desk, kind=LineKind.CARD)


def unsent(connection: Connection, *, after: int = 0) -> list[Unsent]:
    """Lines that are still to be told, in order."""
    found = connection.execute(
        sa.select(_line.c.id, _line.c.handover_id, _line.c.target, _line.c.state)
        .where(sa.text("state <> 'sent'"), _line.c.state != SendState.DEAD, _line.c.id > after)
        .order_by(_line.c.id)
    )
    return [Unsent(*row) for row in found]


def line(connection: Connection, line_id: int) -> Row:
    """A line with what was said in it."""
    return connection.execute(
        sa.select(
            _line,
            _message.c.text.label("person_text"),
            _message.c.event_id,
            _message.c.actor_id,
            _message.c.actor_name,
            _message.c.at.label("person_at"),
            _staff.c.text.label("staff_text"),
            _staff.c.author,
            _staff.c.name,
            _staff.c.at.label("staff_at"),
        )
        .join_from(_line, _message, _message.c.id == _line.c.message_id, isouter=True)
        .join(_staff, _staff.c.id == _line.c.staff_id, isouter=True)
        .where(_line.c.id == line_id)
    ).one()


def newest_detail(connection: Connection, handover_id: str) -> dict[str, str]:
    """The channel's own address of what the person wrote last."""
    detail: dict[str, str] = connection.scalars(
        sa.select(_message.c.detail)
        .where(_message.c.conversation_id == _handover.c.conversation_id)
        .where(_handover.c.id == handover_id)
        .order_by(_message.c.id.desc())
        .limit(1)
    ).one()
    return detail


def begin_line(connection: Connection, line_id: int) -> int | None:
    """Note that a line is about to be told; returns how many attempts that makes."""
    open_ = _line.c.state.not_in([SendState.SENT, SendState.DEAD])
    row = connection.execute(
        sa.update(_line)
        .where(_line.c.id == line_id, open_)
        .values(state=SendState.SENDING, attempts=_line.c.attempts + 1, changed=_now())
        .returning(_line.c.attempts)
    ).first()
    return None if row is None else int(row.attempts)


def end_line(
    connection: Connection, line_id: int, state: SendState, *, shown_as: str, error: str, back: int
) -> None:
    """Note how telling ended; `back` attempts did not count."""
    connection.execute(
        sa.update(_line)
        .where(_line.c.id == line_id, _line.c.state != SendState.SENT)
        .values(
            state=state,
            platform_id=shown_as,
            error=error,
            attempts=_line.c.attempts - back,
            changed=_now(),
        )
    )

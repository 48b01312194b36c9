"""What a channel has to remember over a restart, under keys of its own.

Knows one small table. Does not know what the notes mean: that is each channel's business.

Reads see what is committed. Writes have happened, durably, when they return.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel

from bot.database import Database
from bot.tables import Note

_note = SQLModel.metadata.tables[str(Note.__tablename__)]

Value = Mapping[str, Any]


class Notes:
    """The notes of one channel."""

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel

    async def get(self, key: str) -> Value | None:
        """A note, or None."""

        def read(session: Session) -> Value | None:
            query = sa.select(_note.c.value).where(*self._at(key))
            value: Value | None = session.connection().scalar(query)
            return value

        return await self._database.read(read)

    async def under(self, prefix: str) -> dict[str, Value]:
        """Every note whose key begins with `prefix`, by key."""

        def read(session: Session) -> dict[str, Value]:
            query = sa.select(_note.c.key, _note.c.value).where(
                _note.c.channel == self._channel, _note.c.key.startswith(prefix, autoescape=True)
            )
            return {row.key: row.value for row in session.connection().execute(query)}

        return await self._database.read(read)

    async def put(self, key: str, value: Value) -> None:
        """Write a note, in place of an earlier one."""

        def write(connection: Connection) -> None:
            values = {"value": dict(value), "changed": datetime.now(UTC)}
            changed = connection.execute(sa.update(_note).where(*self._at(key)).values(**values))
            if not changed.rowcount:
                connection.execute(
                    sa.insert(_note), {"channel": self._channel, "key": key, **values}
                )

        await self._database.write(write)

    async def drop(self, key: str) -> None:
        """Forget a note; it need not exist."""
        await self._database.write(
            lambda connection: connection.execute(sa.delete(_note).where(*self._at(key))).rowcount
        )

    async def prune(self, prefixes: Sequence[str], before: datetime) -> int:
        """Forget notes under these prefixes that were last written before; returns how many."""
        begun = sa.or_(*(_note.c.key.startswith(one, autoescape=True) for one in prefixes))
        old = sa.and_(_note.c.channel == self._channel, begun, _note.c.changed < before)
        return await self._database.write(
            lambda connection: connection.execute(sa.delete(_note).where(old)).rowcount
        )

    def _at(self, key: str) -> tuple[sa.ColumnElement[bool], ...]:
        return (_note.c.channel == self._channel, _note.c.key == key)

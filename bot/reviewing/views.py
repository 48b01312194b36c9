"""Searches people saved, for themselves or for everybody, and the audit as a page of rows.

Knows two small tables. Does not know what a query means.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from bot.database import Database

_view = SQLModel.metadata.tables["saved_view"]
_audit = SQLModel.metadata.tables["audit"]

MOST = 40  # views one person sees


class Views:
    """The saved searches of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, owner: str) -> list[dict[str, Any]]:
        """A person's own views and the shared ones, by name."""

        def read(session: Session) -> list[dict[str, Any]]:
            query = sa.select(_view).where(sa.or_(_view.c.owner == owner, _view.c.shared))
            rows = session.connection().execute(query.order_by(_view.c.name).limit(MOST))
            return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name

        return await self._database.read(read)

    async def save(self, owner: str, name: str, query: str, *, shared: bool) -> None:
        """Keep a search, in place of the owner's earlier one of that name."""

        def write(connection: sa.Connection) -> None:
            same = sa.and_(_view.c.owner == owner, _view.c.name == name)
            connection.execute(sa.delete(_view).where(same))
            row = {"owner": owner, "name": name[:80], "query": query[:2000], "shared": shared}
            connection.execute(sa.insert(_view), {**row, "created": datetime.now(UTC)})

        await self._database.write(write)

    async def drop(self, owner: str, view_id: int) -> None:
        """Forget one of the owner's views; it need not exist."""
        mine = sa.delete(_view).where(_view.c.id == view_id, _view.c.owner == owner)
        await self._database.write(lambda connection: connection.execute(mine).rowcount)

    async def audit(
        self, *, actor: str = "", action: str = "", before: int = 0, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Notes of the audit, newest first."""

        def read(session: Session) -> list[dict[str, Any]]:
            query = sa.select(_audit)
            if actor:
                query = query.where(_audit.c.actor == actor)
            if action:
                query = query.where(_audit.c.action == action)
            if before:
                query = query.where(_audit.c.id < before)
            rows = session.connection().execute(query.order_by(_audit.c.id.desc()).limit(limit))
            return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name

        return await self._database.read(read)

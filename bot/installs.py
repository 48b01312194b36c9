"""Where an app is installed: one sealed secret for each workspace, renewed by one at a time.

Knows rows: versions, leases, and installations that were begun. Does not know what a secret
holds or how it is sealed; that is the channel's business.

Reads see what is committed. Writes have happened, durably, when they return.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel

from bot.database import Database

_installation = SQLModel.metadata.tables["slackinstallation"]
_state = SQLModel.metadata.tables["slackstate"]


@dataclass(frozen=True, slots=True)
class Sealed:
    """One installation as it lies in the database."""

    tenant: str
    secret: str
    version: int  # grows with every change
    expires: datetime | None


class Installs:
    """The installations of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tenant: str) -> Sealed | None:
        """An installation, or None."""

        def read(session: Session) -> Sealed | None:
            query = _COLUMNS.where(_installation.c.tenant == tenant)
            row = session.connection().execute(query).first()
            return None if row is None else Sealed(*row)

        return await self._database.read(read)

    async def tenants(self) -> list[str]:
        """Every workspace with an installation."""
        return await self._database.read(
            lambda session: [*session.connection().scalars(sa.select(_installation.c.tenant))]
        )

    async def put(self, tenant: str, secret: str, expires: datetime | None) -> None:
        """Keep an installation, in place of an earlier one."""

        def write(connection: Connection) -> None:
            values = {"secret": secret, "expires": expires, "lease": None, "changed": _now()}
            changed = sa.update(_installation).where(_installation.c.tenant == tenant)
            grown = changed.values(**values, version=_installation.c.version + 1)
            if not connection.execute(grown).rowcount:
                new = {**values, "tenant": tenant, "version": 1, "installed": _now()}
                connection.execute(sa.insert(_installation), new)

        await self._database.write(write)

    async def drop(self, tenant: str) -> None:
        """Forget an installation; it need not exist."""
        await self._database.write(
            lambda connection: (
                connection.execute(
                    sa.delete(_installation).where(_installation.c.tenant == tenant)
                ).rowcount
            )
        )

    async def lease(self, sealed: Sealed, seconds: float) -> bool:
        """Take the renewal of a secret on; False if somebody else has, or it was renewed."""
        now = _now()

        def write(connection: Connection) -> bool:
            free = sa.or_(_installation.c.lease.is_(None), _installation.c.lease < now)
            taken = sa.update(_installation).where(*_same(sealed), free)
            return connection.execute(
                taken.values(lease=now + timedelta(seconds=seconds))
            ).rowcount == 1  # fmt: skip

        return await self._database.write(write)

    async def renew(self, sealed: Sealed, secret: str, expires: datetime | None) -> bool:
        """Put the renewed secret in place of the one it was made from; False if that is gone."""

        def write(connection: Connection) -> bool:
            values = {"secret": secret, "expires": expires, "lease": None, "changed": _now()}
            changed = sa.update(_installation).where(*_same(sealed))
            return connection.execute(
                changed.values(**values, version=sealed.version + 1)
            ).rowcount == 1  # fmt: skip

        return await self._database.write(write)

    async def begin(self, seconds: float) -> str:
        """Begin an installation: returns a value that has to come back in time, once."""
        value = secrets.token_urlsafe(32)
        now = _now()

        def write(connection: Connection) -> None:
            connection.execute(sa.delete(_state).where(_state.c.expires < now))
            new = {"digest": _digest(value), "expires": now + timedelta(seconds=seconds)}
            connection.execute(sa.insert(_state), new)

        await self._database.write(write)
        return value

    async def finish(self, value: str) -> bool:
        """True if this is a value that was begun, in time, and has not come back before."""
        now = _now()

        def write(connection: Connection) -> bool:
            known = sa.delete(_state).where(_state.c.digest == _digest(value))
            return connection.execute(known.where(_state.c.expires >= now)).rowcount == 1

        return await self._database.write(write)


_COLUMNS = sa.select(
    _installation.c.tenant,
    _installation.c.secret,
    _installation.c.version,
    _installation.c.expires,
)


def _same(sealed: Sealed) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        _installation.c.tenant == sealed.tenant,
        _installation.c.version == sealed.version,
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()

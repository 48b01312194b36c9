"""Who may enter the console: accounts, roles, and logins that can be ended.

Knows passwords (argon2id, through argon2-cffi), one-time tokens and sessions. Does not know
HTTP: cookies and the check of each request are the console's.

There is no default password. While no administrator exists, every start makes a new one-time
token, with which one can be created; it opens nothing afterwards.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel

from bot import tables
from bot.database import Database
from bot.errors import NotAllowed, NotFound
from bot.notes import Notes
from bot.tables import Role
from knowledge.types import Audience

IDLE = timedelta(hours=12)
"""A login that was not used for so long has ended."""
LONGEST = timedelta(days=7)
"""A login ends after so long however much it is used."""
TOUCH = timedelta(minutes=1)  # the time of last use is kept no more exactly than this
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,79}")
RANK = {role: rank for rank, role in enumerate(Role)}

_account = SQLModel.metadata.tables["account"]
_visit = SQLModel.metadata.tables["visit"]
_audit = SQLModel.metadata.tables["audit"]


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who is logged in."""

    account_id: int
    name: str
    role: Role
    audience: Audience  # whose conversations they may see
    visit_id: str = ""
    csrf: str = ""

    def may(self, role: Role | str) -> bool:
        """True if this account's role includes another's rights."""
        return RANK[self.role] >= RANK[Role(role)]

    @property
    def audiences(self) -> tuple[Audience, ...]:
        """Every audience whose conversations they may see."""
        return tuple(one for one in Audience if self.audience.may_read(one))


@dataclass(frozen=True, slots=True)
class Login:
    """A fresh login. `token` goes into the cookie and is kept nowhere."""

    token: str
    member: Member


@cache
def _hasher() -> PasswordHasher:
    return PasswordHasher()  # argon2id with the parameters of RFC 9106's low-memory profile


@cache
def _nobody() -> str:
    """A hash no password has: a name that does not exist takes as long as one that does."""
    return _hasher().hash(secrets.token_urlsafe(32))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _matches(hashed: str, password: str) -> bool:
    try:
        return _hasher().verify(hashed or _nobody(), password) and bool(hashed)
    except (VerificationError, InvalidHashError):
        return False


class Accounts:
    """The accounts of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._notes = Notes(database, "console")

    async def bootstrap(self) -> str | None:
        """A new one-time token while there is no administrator, else None."""
        if await self._has_admin():
            return None
        token = secrets.token_urlsafe(24)
        await self._notes.put("bootstrap", {"hash": _digest(token)})
        return token

    async def claim(self, token: str, name: str, password: str) -> Member:
        """Create the first administrator. Raises `NotAllowed` unless the token is the latest."""
        note = await self._notes.get("bootstrap")
        known = str(note["hash"]) if note else ""
        if not known or not secrets.compare_digest(known, _digest(token)):
            raise NotAllowed(
                "This token is not valid.",
                "Each start of the server prints a new one while there is no administrator.",
            )
        values = await self._values(name, password, Role.ADMIN, Audience.INTERNAL)

        def write(connection: Connection) -> None:
            if connection.scalar(sa.select(sa.func.count()).where(_is_admin())):
                raise NotAllowed("There is an administrator already.", "Ask them for an account.")
            _add(connection, values, by="bootstrap")

        await self._database.write(write)
        await self._notes.drop("bootstrap")
        return await self._member(values["name"])

    async def add(
        self, name: str, password: str, role: Role, audience: Audience, by: str
    ) -> Member:
        """Create an account; with an empty password nobody can enter it until it gets one.

        Raises `NotAllowed` for a name that is taken, or a name or password that will not do.
        """
        values = await self._values(name, password, role, audience)
        await self._database.write(lambda connection: _add(connection, values, by))
        return await self._member(values["name"])

    async def change(
        self,
        account_id: int,
        by: str,
        *,
        role: Role | None = None,
        audience: Audience | None = None,
        active: bool | None = None,
        password: str | None = None,
    ) -> None:
        """Change an account and end its logins. Refuses to take the last administrator away."""
        given = {"role": role, "audience": audience, "active": active}
        values: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if password is not None:
            values["password"] = await asyncio.to_thread(_hash, password)

        def write(connection: Connection) -> None:
            key = _account.c.id == account_id
            if not connection.execute(sa.update(_account).where(key).values(**values)).rowcount:
                raise NotFound("There is no such account.")
            if not connection.scalar(sa.select(sa.func.count()).where(_is_admin())):
                raise NotAllowed(
                    "The last administrator stays one.", "Make somebody else administrator first."
                )
            connection.execute(sa.delete(_visit).where(_visit.c.account_id == account_id))
            shown = {key: str(value) for key, value in values.items() if key != "password"}
            detail = shown | ({"password": "changed"} if password is not None else {})
            _note(connection, by, "account", str(account_id), detail)

        await self._database.write(write)

    async def everybody(self) -> list[tables.Account]:
        """All accounts by name."""

        def read(session: Session) -> list[tables.Account]:
            rows = session.connection().execute(sa.select(_account).order_by(_account.c.name))
            return [tables.Account(**row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name

        return await self._database.read(read)

    async def enter(self, name: str, password: str, address: str, agent: str) -> Login | None:
        """Log in by password; None if name or password is wrong, or the account is closed."""
        row = await self._find(name)
        hashed = row.password if row is not None and row.active else ""
        if not await asyncio.to_thread(_matches, hashed, password[:LONGEST_PASSWORD]):
            return None
        return await self.admit(name, address, agent)

    async def admit(self, name: str, address: str, agent: str) -> Login | None:
        """Log somebody in whose identity was proved otherwise; None without an open account."""
        row = await self._find(name)
        if row is None or not row.active:
            return None
        token, csrf = secrets.token_urlsafe(32), secrets.token_urlsafe(24)
        now = datetime.now(UTC)
        visit = {
            "id": _digest(token),
            "account_id": row.id,
            "csrf": csrf,
            "created": now,
            "used": now,
            "address": address[:64],
            "agent": agent[:300],
        }

        def write(connection: Connection) -> None:
            ended = sa.or_(_visit.c.used < now - IDLE, _visit.c.created < now - LONGEST)
            connection.execute(sa.delete(_visit).where(ended))
            connection.execute(sa.insert(_visit), visit)
            connection.execute(sa.update(_account).where(_account.c.id == row.id).values(seen=now))
            _note(connection, row.name, "login", row.name, {"address": visit["address"]})

        await self._database.write(write)
        member = Member(row.id, row.name, row.role, row.audience, visit["id"], csrf)
        return Login(token, member)

    async def member(self, token: str) -> Member | None:
        """Whose login a cookie's token is; None once it has ended."""
        if not token:
            return None
        key, now = _digest(token), datetime.now(UTC)

        def read(session: Session) -> Any:  # noqa: ANN401 - a row
            query = (
                sa.select(_account, _visit.c.csrf, _visit.c.used)
                .join(_visit, _visit.c.account_id == _account.c.id)
                .where(_visit.c.id == key, _account.c.active)
                .where(_visit.c.used >= now - IDLE, _visit.c.created >= now - LONGEST)
            )
            return session.connection().execute(query).first()

        row = await self._database.read(read)
        if row is None:
            return None
        if now - row.used > TOUCH:
            touched = sa.update(_visit).where(_visit.c.id == key).values(used=now)
            await self._database.write(lambda connection: connection.execute(touched).rowcount)
        return Member(row.id, row.name, row.role, row.audience, key, row.csrf)

    async def leave(self, member: Member) -> None:
        """End one login."""

        def write(connection: Connection) -> None:
            connection.execute(sa.delete(_visit).where(_visit.c.id == member.visit_id))
            _note(connection, member.name, "logout", member.name, {})

        await self._database.write(write)

    async def _has_admin(self) -> bool:
        def read(session: Session) -> bool:
            return bool(session.connection().scalar(sa.select(sa.func.count()).where(_is_admin())))

        return await self._database.read(read)

    async def _find(self, name: str) -> Any:  # noqa: ANN401 - a row, or None
        key = _account.c.name == name.strip().lower()

        def read(session: Session) -> Any:  # noqa: ANN401 - a row, or None
            return session.connection().execute(sa.select(_account).where(key)).first()

        return await self._database.read(read)

    async def _member(self, name: str) -> Member:
        row = await self._find(name)
        return Member(row.id, row.name, row.role, row.audience)

    async def _values(
        self, name: str, password: str, role: Role, audience: Audience
    ) -> dict[str, Any]:
        name = name.strip().lower()
        if not NAME.fullmatch(name):
            raise NotAllowed(
                f"{name[:80]!r} cannot be an account's name.",
                "Use 2 to 80 letters, digits and . _ @ + -, as in an e-mail address.",
            )
        hashed = await asyncio.to_thread(_hash, password) if password else ""
        return {
            "name": name,
            "password": hashed,
            "role": role,
            "audience": audience,
            "active": True,
            "created": datetime.now(UTC),
            "seen": None,
        }


def _hash(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise NotAllowed(
            "This password will not do.",
            f"Choose one of {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.",
        )
    return _hasher().hash(password)


def _is_admin() -> sa.ColumnElement[bool]:
    return sa.and_(_account.c.role == Role.ADMIN, _account.c.active)


def _add(connection: Connection, values: dict[str, Any], by: str) -> None:
    taken = sa.select(_account.c.id).where(_account.c.name == values["name"])
    if connection.execute(taken).first() is not None:
        raise NotAllowed(f"There is an account {values['name']} already.", "Choose another name.")
    connection.execute(sa.insert(_account), values)
    detail = {"role": values["role"].value, "audience": values["audience"].value}
    _note(connection, by, "account", values["name"], detail)


def _note(
    connection: Connection, actor: str, action: str, target: str, detail: dict[str, Any]
) -> None:
    note = {"actor": actor, "action": action, "target": target, "detail": detail}
    connection.execute(sa.insert(_audit), {**note, "at": datetime.now(UTC)})

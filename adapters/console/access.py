"""Who is at the door of the console, and which pages open to them.

Knows the cookie, roles and what proves that a form is ours. A route says which role it needs by
`need(role)`; `app.create_console` refuses a route that says nothing, so that forgetting it cannot
open a page.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from adapters.console.desk import Office
from bot.reviewing.accounts import LONGEST, Login, Member
from bot.tables import Role
from knowledge.errors import DeskhandError

SAFE = frozenset({"GET", "HEAD"})
UPLOAD = 8_000_000
"""Bytes of the longest file that is taken."""


class Gate(DeskhandError):
    """A page does not open: log in first, or have another role, or send the form again."""

    def __init__(self, status: int, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.status = status


def office(request: Request) -> Office:
    """What the pages work with."""
    found: Office = request.app.state.office
    return found


TheOffice = Annotated[Office, Depends(office)]


def cookie_name(*, secure: bool) -> str:
    """A browser takes a `__Host-` cookie only over https, from this very host."""
    return "__Host-deskhand-console" if secure else "deskhand-console"


def give_cookie(response: Response, desk: Office, login: Login) -> None:
    """Set the session's cookie."""
    response.set_cookie(
        cookie_name(secure=desk.secure),
        login.token,
        max_age=int(LONGEST.total_seconds()),
        path="/",
        secure=desk.secure,
        httponly=True,
        samesite="lax",
    )


def take_cookie(response: Response, desk: Office) -> None:
    """Remove it."""
    response.delete_cookie(
        cookie_name(secure=desk.secure),
        path="/",
        secure=desk.secure,
        httponly=True,
        samesite="lax",
    )


async def visitor(request: Request, desk: TheOffice) -> Member | None:
    """Whoever is logged in, or None."""
    return await desk.accounts.member(request.cookies.get(cookie_name(secure=desk.secure), ""))


Visitor = Annotated[Member | None, Depends(visitor)]


def same_site(request: Request, desk: Office) -> None:
    """Refuse an unsafe request that another site's page made the browser send."""
    if request.method in SAFE:
        return
    foreign = request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}
    origin = request.headers.get("origin")
    if origin is not None:
        own = {request.headers.get("host", "").lower(), urlsplit(desk.public_url).netloc.lower()}
        foreign = foreign or urlsplit(origin).netloc.lower() not in own - {""}
    if foreign:
        raise Gate(403, "This request came from another site.")


async def _proven(request: Request, desk: Office, member: Member) -> None:
    """A request that changes something carries the token of the session's own pages."""
    same_site(request, desk)
    if request.method in SAFE:
        return
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > UPLOAD + 10_000:
        raise Gate(413, f"A file has at most {UPLOAD // 1_000_000} MB.")
    given = request.headers.get("x-csrf", "")
    form = None if given else await request.form()
    if form is not None:
        value = form.get("csrf", "")
        given = value if isinstance(value, str) else ""
    if not secrets.compare_digest(given.encode(), member.csrf.encode()):
        if form is not None:
            await form.close()
        raise Gate(403, "This form is too old.", "Reload the page and send it again.")


Guard = Callable[..., Awaitable[Member]]


def need(role: Role) -> Guard:
    """A dependency that lets in whoever has a role, and returns them."""

    async def guard(request: Request, desk: TheOffice, member: Visitor) -> Member:
        if member is None:
            raise Gate(401, "Log in first.")
        if not member.may(role):
            raise Gate(403, f"This is for the role {role.value}.", "An administrator can give it.")
        await _proven(request, desk, member)
        return member

    guard.__dict__["role"] = role
    return guard


AViewer = Annotated[Member, Depends(need(Role.VIEWER))]
AReviewer = Annotated[Member, Depends(need(Role.REVIEWER))]
ATrainer = Annotated[Member, Depends(need(Role.TRAINER))]
AnAdmin = Annotated[Member, Depends(need(Role.ADMIN))]


def everybody() -> None:
    """The dependency of the few routes that open without a login."""


ForEverybody = Depends(everybody)


def address(request: Request) -> str:
    """Where a request comes from."""
    return request.client.host if request.client else "unknown"

"""Logging in and out, and making the first administrator.

Knows forms and limits; passwords and tokens are `bot/reviewing/accounts.py`'s.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from adapters.console.access import (
    AViewer,
    ForEverybody,
    Gate,
    TheOffice,
    Visitor,
    address,
    give_cookie,
    same_site,
    take_cookie,
)
from adapters.console.desk import Office
from adapters.console.pages import go, page
from bot.errors import NotAllowed

router = APIRouter()

Text = Annotated[str, Form(max_length=300)]


@router.get("/", dependencies=[ForEverybody])
async def start(request: Request, member: Visitor) -> Response:
    """To the queue, or to the login."""
    return go(request, "/console/queue" if member else "/console/login")


@router.get("/login", dependencies=[ForEverybody])
async def login_page(request: Request, member: Visitor) -> Response:
    """Ask for name and password."""
    return go(request, "/console/") if member else page(request, "login.html", None, problem="")


@router.post("/login", dependencies=[ForEverybody])
async def login(
    request: Request, desk: TheOffice, name: Text = "", password: Text = ""
) -> Response:
    """Log in. A wrong name and a wrong password look the same, and take the same time."""
    same_site(request, desk)
    _limit(desk, request, name)
    agent = request.headers.get("user-agent", "")
    entered = await desk.accounts.enter(name, password, address(request), agent)
    if entered is None:
        await desk.store.audit("console", "refused", name.strip().lower()[:80])
        problem = "Name or password is wrong."
        return page(request, "login.html", None, status=401, problem=problem)
    response = go(request, "/console/")
    give_cookie(response, desk, entered)
    return response


@router.get("/welcome", dependencies=[ForEverybody])
async def welcome_page(request: Request, token: str = "") -> Response:
    """Ask for the first administrator's name and password."""
    return page(request, "welcome.html", None, problem="", token=token[:100])


@router.post("/welcome", dependencies=[ForEverybody])
async def welcome(
    request: Request, desk: TheOffice, token: Text = "", name: Text = "", password: Text = ""
) -> Response:
    """Create the first administrator, once, with the token the server printed."""
    same_site(request, desk)
    _limit(desk, request, "bootstrap")
    try:
        member = await desk.accounts.claim(token, name, password)
    except NotAllowed as refused:
        problem = str(refused)
        return page(request, "welcome.html", None, status=403, problem=problem, token=token)
    agent = request.headers.get("user-agent", "")
    entered = await desk.accounts.admit(member.name, address(request), agent)
    response = go(request, "/console/")
    if entered is not None:
        give_cookie(response, desk, entered)
    return response


@router.post("/logout")
async def logout(request: Request, desk: TheOffice, member: AViewer) -> Response:
    """End this login; a copy of its cookie opens nothing any more."""
    await desk.accounts.leave(member)
    response = go(request, "/console/login")
    take_cookie(response, desk)
    return response


def _limit(desk: Office, request: Request, name: str) -> None:
    wait = max(
        desk.logins.wait(name.strip().lower()[:80]), desk.logins_by_address.wait(address(request))
    )
    if wait:
        raise Gate(429, "Too many attempts.", f"Wait {wait:.0f} seconds.")

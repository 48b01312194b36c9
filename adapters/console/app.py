"""The review console put together: an application of its own, mounted at `/console`.

Knows how its parts fit, what an error looks like, and that every route has to say who may use
it. The chat page's application around it brings hosts, body limits, headers and the last error
boundary.
"""

from __future__ import annotations

from urllib.parse import quote

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.console import dashboard, entrance, knowledge, live, people, queue, search
from adapters.console.access import Gate, everybody
from adapters.console.desk import Office
from adapters.console.pages import HERE, go, is_piece, page
from bot.errors import NotAllowed, NotFound, StoreError
from bot.tables import Role
from knowledge.errors import DeskhandError, KnowledgeError

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    # htmx turns our server's answers into elements through this one policy: static/policy.js.
    "require-trusted-types-for 'script'; trusted-types default"
)

ROUTERS = tuple(
    part.router for part in (entrance, queue, search, live, knowledge, dashboard, people)
)

_log = structlog.get_logger(__name__)


class Policy:
    """Puts the console's own content policy on its responses, before the chat page's applies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = POLICY
                # With no-referrer, a browser sends forms with `Origin: null`, even to ourselves.
                headers["referrer-policy"] = "same-origin"
            await send(message)

        await self._app(scope, receive, with_policy)


class _Static(StaticFiles):
    """Our own scripts and styles; browsers ask each time whether they changed (ETag)."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response


def create_console(desk: Office) -> FastAPI:
    """Build the ASGI application to mount at `/console`."""
    app = FastAPI(title="Deskhand console", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.office = desk
    app.state.drafts = knowledge.Drafts()
    for kind in (DeskhandError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _problem)

    for router in ROUTERS:
        app.include_router(router)
    for route in routes():
        if role_of(route) is None and not is_open(route):
            raise RuntimeError(f"the route {route.path} does not say who may use it")
    app.mount("/static", _Static(directory=HERE / "static"), name="static")
    app.add_middleware(Policy)
    return app


def routes() -> list[APIRoute]:
    """Every route of the console."""
    found = (route for router in ROUTERS for route in router.routes)
    return [route for route in found if isinstance(route, APIRoute)]


def role_of(route: APIRoute) -> Role | None:
    """The role a route needs, or None if it names none."""
    roles = (getattr(one.call, "role", None) for one in route.dependant.dependencies)
    return next((role for role in roles if role is not None), None)


def is_open(route: APIRoute) -> bool:
    """True if a route says that it opens without a login."""
    return any(one.call is everybody for one in route.dependant.dependencies)


async def _problem(request: Request, error: Exception) -> Response:
    """One sentence for a person, whatever went wrong; never a traceback or somebody's words."""
    status, message, remedy = _told(error)
    if status == 401 and not is_piece(request):
        return go(request, "/console/login")
    if status >= 500:
        _log.error("console request failed", error=type(error).__name__, told=message)
    if is_piece(request):
        headers = {"x-problem": quote(f"{message} {remedy}".strip())}
        return HTMLResponse("", status, headers)
    return page(request, "problem.html", None, status=status, message=message, remedy=remedy)


def _told(error: Exception) -> tuple[int, str, str]:
    if isinstance(error, Gate):
        return error.status, error.message, error.remedy
    if isinstance(error, HTTPException):
        missing = error.status_code == 404
        return error.status_code, "There is no such page." if missing else "Not possible.", ""
    for kind, status, message, remedy in _SAID:
        if isinstance(error, kind):
            if isinstance(error, DeskhandError) and not message:
                return status, error.message, error.remedy
            return status, message, remedy
    return 500, "Something went wrong on our side.", "Try again."


_SAID: tuple[tuple[type[Exception], int, str, str], ...] = (
    (NotFound, 404, "There is no such thing.", ""),
    (NotAllowed, 409, "", ""),
    (StoreError, 503, "The database cannot be used right now.", "Try again in a moment."),
    (KnowledgeError, 422, "", ""),
    (RequestValidationError, 422, "This form cannot be understood.", "Reload the page."),
)
"""What is said about an error; an empty message lets it speak for itself."""

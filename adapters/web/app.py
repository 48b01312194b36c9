"""The web door put together: chat page, API, probes, and the walls around them.

Knows how the parts of this package fit; the routes themselves are in `api`. Everything it
works with is handed in, so nothing here reads settings files, opens databases or starts work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import FastAPI
from fastapi.templating import Jinja2Templates
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from adapters.web.api import Door, router
from adapters.web.channel import WebChannel
from adapters.web.errors import handle_errors
from adapters.web.limits import RateLimit
from adapters.web.security import BodyLimit, Boundary, Hosts, SecurityHeaders, allowed_hosts
from adapters.web.sessions import Sessions
from adapters.web.types import Library, Readiness
from bot.config import Settings
from bot.dispatching.dispatch import Dispatcher
from bot.store import Store

_HERE = Path(__file__).parent
_IP_SHARE = 5  # an address may ask as much as this many visitors: offices share one
_REQUESTS_PER_QUESTION = 12  # page loads, votes and streams beside each question


class _Static(StaticFiles):
    """Our own scripts and styles; browsers ask each time whether they changed (ETag)."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response


def create_app(
    *,
    store: Store,
    dispatcher: Dispatcher,
    channel: WebChannel,
    library: Library,
    settings: Settings,
    key: str,
    readiness: Callable[[], Awaitable[Readiness]],
) -> FastAPI:
    """Build the ASGI application.

    `channel` is the same object the dispatcher delivers through. `key` signs the session
    cookies: whoever has it can be any visitor, so it comes from the settings or the data
    folder and is the same after a restart. `readiness` says what is missing for answering.
    """
    server = settings.server
    https = server.public_url.startswith("https://")
    app = FastAPI(
        title="Deskhand",
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        openapi_url=None,
        middleware=[
            Middleware(SecurityHeaders, https=https),
            Middleware(Boundary),
            Middleware(
                Hosts,
                allowed_hosts=allowed_hosts(server.host, server.public_url),
                www_redirect=False,
            ),
            # Twelve bytes are the longest way to write one character in JSON.
            Middleware(BodyLimit, max_body_size=16_384 + 12 * settings.limits.message_chars),
        ],
    )
    handle_errors(app)
    per_minute = server.rate_per_minute
    app.state.door = Door(
        store=store,
        dispatcher=dispatcher,
        channel=channel,
        library=library,
        audience=server.audience,
        public_url=server.public_url,
        sessions=Sessions(key, secure=https),
        questions=RateLimit(per_minute),
        questions_by_ip=RateLimit(per_minute * _IP_SHARE),
        requests=RateLimit(per_minute * _REQUESTS_PER_QUESTION),
        requests_by_ip=RateLimit(per_minute * _REQUESTS_PER_QUESTION * _IP_SHARE),
    )
    app.include_router(router)
    app.mount("/static", _Static(directory=_HERE / "static"), name="static")
    _add_page(app, settings)
    _add_probes(app, readiness)
    return app


def _add_page(app: FastAPI, settings: Settings) -> None:
    templates = Jinja2Templates(directory=_HERE / "templates")
    values = {
        "title": settings.server.title,
        "longest": settings.limits.message_chars,
    }

    @app.get("/")
    async def page(request: Request) -> Response:
        door: Door = request.app.state.door
        session = door.sessions.read(request) or door.sessions.new()
        response = templates.TemplateResponse(request, "chat.html", values)
        response.headers["cache-control"] = "no-cache"
        if session.fresh:
            door.sessions.write(response, session)
        return response


def _add_probes(app: FastAPI, readiness: Callable[[], Awaitable[Readiness]]) -> None:
    """Probes for machines. A proxy in front should keep `/metrics` to the inside."""

    @app.get("/health")
    async def health() -> Response:
        return JSONResponse({"status": "ok"})

    @app.get("/ready")
    async def ready() -> Response:
        state = await readiness()
        body = {
            "status": "unavailable" if state.problems else "ready",
            "problems": list(state.problems),
            **state.detail,
        }
        return JSONResponse(body, 503 if state.problems else 200)

    @app.get("/metrics")
    def metrics() -> Response:  # not async: it takes a while, so it runs in a thread
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

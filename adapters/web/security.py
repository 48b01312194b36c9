"""The walls around the door: headers, hosts, origins, body size, and the last error boundary.

Knows HTTP and what browsers enforce. Does not know conversations; who owns what is checked
where it is looked up (`api`).
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.web.errors import WebError, error_response, too_large

PROBES = frozenset({"/health", "/ready", "/metrics"})
"""Asked for by machines, by whatever address they know the server under."""

UPLOADS = "/console/knowledge/upload"
"""Takes files: it reads a body only after it knows who sends it, and only so much of it."""

_SAFE_METHODS = frozenset({"GET", "HEAD"})
_FRAMES = 8  # of a traceback that are logged, the innermost
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    # One function of the page may turn text into elements: static/html.js.
    "require-trusted-types-for": "'script'",
    "trusted-types": "deskhand",
}

_HEADERS = {
    "content-security-policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}

_log = structlog.get_logger(__name__)


class SecurityHeaders:
    """Puts the headers on every response, errors included. API responses are never stored."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = dict(_HEADERS)
        if https:
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)  # the console has a policy of its own
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


class Boundary:
    """The web door's one error boundary: a fault becomes a JSON 500 and a log line."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:  # the named boundary of this door
            if scope["type"] != "http":
                raise
            # Not the error's own words: a foreign one may quote what a person wrote.
            where = "".join(traceback.format_tb(error.__traceback__)[-_FRAMES:])
            _log.error("web request failed", error=type(error).__name__, where=where)
            if not started:
                response = error_response(500, "internal", "Something went wrong on our side.")
                await response(scope, receive, send)


class Hosts(TrustedHostMiddleware):
    """Refuses a foreign `Host`, so that a rebound DNS name cannot reach a local server."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"] in PROBES:
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class BodyLimit(RequestBodyLimitMiddleware):
    """Refuses long bodies: declared ones at once and as JSON, chunked ones while they come."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"] == UPLOADS:
            await self.app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        if length.isdecimal() and int(length) > self.max_body_size:
            await too_large()(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def allowed_hosts(host: str, public_url: str) -> Sequence[str]:
    """Names the server answers to: its public one, else what its address allows to tell."""
    public = urlsplit(public_url).hostname
    if public:
        return (public, *_LOOPBACK)
    if host in _LOOPBACK:
        return _LOOPBACK
    return ("*",)  # listening on the network without a name: any of its names may be right


def check_origin(request: Request, public_url: str) -> None:
    """Refuse an unsafe request that another site's page made the browser send.

    Browsers set `Sec-Fetch-Site` and `Origin` themselves. A program that sends neither has no
    cookies of other people to misuse. JSON is required because a plain form cannot send it.
    """
    if request.method in _SAFE_METHODS:
        return
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise WebError(403, "cross_site", "This request came from another site.")
    origin = request.headers.get("origin")
    if origin is not None:
        own = {request.headers.get("host", "").lower(), urlsplit(public_url).netloc.lower()}
        if urlsplit(origin).netloc.lower() not in own - {""}:
            raise WebError(403, "cross_site", "This request came from another site.")
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise WebError(415, "not_json", "Send JSON, with Content-Type: application/json.")

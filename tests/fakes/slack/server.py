"""The fake on a socket: checks every call, keeps a transcript, breaks when told to."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp import web

from tests.fakes.slack.api import Api
from tests.fakes.slack.delivery import Delivery
from tests.fakes.slack.methods import METHODS, POSTS_PER_CHANNEL
from tests.fakes.slack.oauth import OAuth
from tests.fakes.slack.people import People
from tests.fakes.slack.world import APP_TOKEN, TEAM, ApiError, Message, World

_JSON_FIELDS = {"blocks", "view", "prompts", "metadata", "chunks", "attachments"}


@dataclass
class Fault:
    """Something that goes wrong with the next `times` calls of a method ("*": any).

    kind: `drop` (committed, then the connection breaks), `refuse` (the connection breaks, nothing
    happens), `http` (a status, nothing happens), `late_http` (a status after committing),
    `error` (ok: false), `ratelimit` (429 with Retry-After `value`), `hang` (`value` seconds),
    `before` and `after` (`value` is called, then the connection breaks; only `after` commits).
    """

    method: str
    kind: str
    value: Any = None
    times: int = 1
    after: int = 0  # let this many calls through first
    channel: str = ""  # only calls about it
    hit: int = 0


@dataclass
class Call:
    """One request as it arrived, and what became of it."""

    method: str
    args: dict[str, Any]
    at: float
    status: int = 0
    error: str = ""


@dataclass
class Bucket:
    """A token bucket on the world's clock."""

    per_minute: int
    level: float
    at: float

    def take(self, now: float) -> float:
        """Seconds to wait; 0 when a call may be made."""
        self.level = min(self.per_minute, self.level + (now - self.at) * self.per_minute / 60)
        self.at = now
        if self.level >= 1:
            self.level -= 1
            return 0.0
        return (1 - self.level) * 60 / self.per_minute


@dataclass
class FakeSlack:
    """`async with FakeSlack() as slack:` - then point a client at `slack.url`."""

    world: World = field(default_factory=World)
    limited: bool = True
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.delivery = Delivery()
        self.people = People(self.world, self.delivery, lambda: self._root)
        self._api = Api(self.world, self.people.bot_wrote)
        self.oauth = OAuth(self.world)
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._runner: web.AppRunner | None = None
        self._root = ""

    async def __aenter__(self) -> FakeSlack:
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._serve)
        app.router.add_get("/link/", self.delivery.serve)
        app.router.add_get("/oauth/v2/authorize", self.oauth.page)
        app.router.add_post("/respond/{key}", self._respond)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self._root = f"http://127.0.0.1:{self.port}"
        self.url = f"{self._root}/api/"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.delivery.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # Requests

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        args = await _arguments(request)
        call = Call(method, args, self.world.clock.now())
        self.calls.append(call)
        fault = self._fault(method, str(args.get("channel", "")))
        try:
            early = await self._early(request, fault)
            response = early or self._answer(request, method, args)
            if fault is not None and fault.kind == "late_http":
                response = web.json_response({}, status=fault.value)
        except ApiError as error:
            call.error = error.code
            status = 429 if error.code == "ratelimited" else 200
            headers = {"Retry-After": str(error.extra["retry_after"])} if status == 429 else {}
            body = {"ok": False, "error": error.code, "fake_detail": str(error.extra)}
            response = web.json_response(body, status=status, headers=headers)
        call.status = response.status
        if fault is not None and fault.kind in {"drop", "refuse", "before", "after"}:
            call.status = 0
            if fault.kind == "after":
                fault.value()
            if request.transport is not None:
                request.transport.abort()
        return response

    def _fault(self, method: str, channel: str) -> Fault | None:
        for fault in self.faults:
            if fault.method not in {"*", method} or fault.channel not in {"", channel}:
                continue
            if fault.method == "*" and method in {"auth.test", "apps.connections.open"}:
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            if fault.hit < fault.times:
                fault.hit += 1
                return fault
        return None

    async def _early(self, request: web.Request, fault: Fault | None) -> web.Response | None:
        match fault and fault.kind:
            case "refuse":
                return web.Response()
            case "before":
                fault.value()  # type: ignore[union-attr] # matched
                return web.Response()
            case "http":
                return web.json_response({}, status=fault.value)  # type: ignore[union-attr] # matched
            case "error":
                raise ApiError(fault.value)  # type: ignore[union-attr] # matched
            case "ratelimit":
                raise ApiError("ratelimited", retry_after=fault.value)  # type: ignore[union-attr] # matched
            case "hang":
                await asyncio.sleep(fault.value)  # type: ignore[union-attr] # matched
        return None

    def _answer(self, request: web.Request, method: str, args: dict[str, Any]) -> web.Response:
        contract = METHODS.get(method)
        if contract is None or method in self.world.disabled:
            raise ApiError("unknown_method")
        if method == "oauth.v2.access":
            client = aiohttp.BasicAuth.decode(request.headers.get("Authorization", ""))
            return web.json_response({"ok": True, **self.oauth.access(client, args)})
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if "token" in args:
            raise ApiError("invalid_auth")
        team = self._team(token, contract.token)
        if contract.form_only and request.content_type == "application/json":
            raise ApiError("invalid_arguments", detail=f"{method} takes no JSON")
        # Bolt's client adds the workspace to every call.
        self._of_team(team, args)
        unknown = set(args) - contract.required - contract.optional
        missing = contract.required - {name for name, value in args.items() if value != ""}
        missing -= {"status"}  # an empty status clears it
        if unknown or missing:
            raise ApiError("invalid_arguments", detail=f"unknown {unknown}, missing {missing}")
        have = self.world.scopes
        if contract.scopes - have or (contract.any_scope and not contract.any_scope & have):
            raise ApiError("missing_scope", needed=sorted(contract.scopes | contract.any_scope))
        self._limit(method, contract.per_minute, args)
        if method == "apps.connections.open":
            ticket = self.delivery.ticket()
            url = f"ws://127.0.0.1:{self.port}/link/?ticket={ticket}"
            return web.json_response({"ok": True, "url": url})
        return web.json_response({"ok": True, **self._api.call(method, args, team)})

    def _of_team(self, team: str, args: dict[str, Any]) -> None:
        """What a token reaches: its workspace, or those of its organisation."""
        if args.pop("team_id", team) not in {team, *self.world.teams.get(team, ())}:
            raise ApiError("team_not_found")
        place = self.world.channels.get(args.get("channel", args.get("channel_id", "")))
        if place is not None and self.world.tenant(place.team) != team:
            raise ApiError("channel_not_found")

    def _team(self, token: str, kind: str) -> str:
        if token == APP_TOKEN and kind == "app":
            return TEAM
        if token == APP_TOKEN or kind == "app":
            raise ApiError("not_allowed_token_type" if token else "not_authed")
        return self.world.token_team(token)

    def _limit(self, method: str, per_minute: int, args: dict[str, Any]) -> None:
        if not self.limited:
            return
        key = ""
        if method == "chat.postMessage":
            per_minute, key = POSTS_PER_CHANNEL, args["channel"]
        if not per_minute:
            return
        now = self.world.clock.now()
        burst = 5 if key else per_minute
        bucket = self._buckets.setdefault((method, key), Bucket(per_minute, burst, now))
        wait = bucket.take(now)
        if wait:
            raise ApiError("ratelimited", retry_after=max(1, int(wait + 0.999)))

    async def _respond(self, request: web.Request) -> web.Response:
        self.world.responses.append({"key": request.match_info["key"], **await request.json()})
        return web.json_response({"ok": True})

    # For assertions

    def called(self, method: str) -> list[Call]:
        """Calls of a method that arrived."""
        return [call for call in self.calls if call.method == method]

    def refused(self) -> list[Call]:
        """Calls that were wrong: what a strict Slack would not have taken."""
        expected = {
            "ratelimited",
            "message_not_in_streaming_state",
            "stopped_by_user",
            "already_reacted",
        }
        faulty = {fault.value for fault in self.faults}
        return [call for call in self.calls if call.error and call.error not in expected | faulty]

    def answers(self, channel: str, thread_ts: str = "") -> list[Message]:
        """The bot's visible messages of a channel, or of one thread of it."""
        found = self.world.channels[channel].messages.values()
        return [
            one
            for one in found
            if one.by_bot and not one.deleted and (not thread_ts or one.thread_ts == thread_ts)
        ]

    async def until(self, true: Callable[[], Any], seconds: float = 15.0) -> Any:
        """Wait for something to become true; returns it."""
        async with asyncio.timeout(seconds):
            while not (value := true()):  # noqa: ASYNC110 - any condition on the world
                await asyncio.sleep(0.01)
        return value

    async def connected(self) -> None:
        """A client is on the line."""
        await self.until(lambda: self.delivery.connections)

    def transcript(self) -> str:
        """Everything everybody wrote, in order: for a failing test's message."""
        lines = []
        for one in sorted(self.world.all_messages(), key=lambda one: float(one.ts)):
            name = self.world.users[one.user].name if one.user in self.world.users else one.user
            whom = f" (only {one.ephemeral_for})" if one.ephemeral_for else ""
            state = f" [{one.stream.state}]" if one.stream else ""
            lines.append(
                f"{one.channel} {one.thread_ts or one.ts} {name}{whom}{state}: {one.shown}"
            )
        return "\n".join(lines)


async def _arguments(request: web.Request) -> dict[str, Any]:
    if request.content_type == "application/json":
        return dict(await request.json())
    args: dict[str, Any] = {**request.query, **await request.post()}
    for name in _JSON_FIELDS & set(args):
        with contextlib.suppress(json.JSONDecodeError):
            args[name] = json.loads(args[name])
    return args

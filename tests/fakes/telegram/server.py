"""The fake on a socket: checks every call, keeps a transcript, breaks when told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from tests.fakes.telegram import schema
from tests.fakes.telegram.checks import Args, Floods, flood
from tests.fakes.telegram.messages import Messages
from tests.fakes.telegram.own import Own
from tests.fakes.telegram.people import People
from tests.fakes.telegram.places import Places
from tests.fakes.telegram.updates import Updates, Webhook
from tests.fakes.telegram.world import TOKEN, ApiError, Chat, Message, World, bad

_BOOKKEEPING = {"getupdates", "getme", "setwebhook", "deletewebhook", "getwebhookinfo"}


@dataclass
class Fault:
    """Something that goes wrong with the next `times` calls of a method.

    method: "*" is any that is not about updates. kind: `drop` (committed, then the connection
    breaks), `refuse` (the connection breaks, nothing happens), `http` (a status, nothing
    happens), `late_http` (a status after committing), `error` (`value` is the 400's text, or an
    `ApiError`), `flood` (429 with retry_after `value`), `hang` (`value` seconds, then as usual),
    `before` and `after` (`value` is called, then the connection breaks; only `after` commits).
    """

    method: str
    kind: str
    value: Any = None
    times: int = 1
    after: int = 0  # let this many calls through first
    hit: int = 0


@dataclass
class Call:
    """One request as it arrived, and what became of it."""

    method: str
    args: Args
    at: float
    status: int = 0
    error: str = ""
    expected: bool = False  # it was refused, and a correct bot meets that too
    in_answer: bool = False  # given as the answer to a webhook request


@dataclass
class FakeTelegram:
    """`async with FakeTelegram() as telegram:` - then point a client at `telegram.url`."""

    world: World = field(default_factory=World)
    port: int = 0
    calls: list[Call] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.updates = Updates(self.world.clock)
        self.floods = Floods(self.world.clock)
        places = Places(self.world)
        self.people = People(self.world, self.updates, places)
        self.updates.perform = self._from_webhook
        made = places.methods | Own(self.world).methods
        made |= Messages(self.world, places, self.floods).methods
        made |= {
            "setWebhook": self._set_webhook,
            "deleteWebhook": self._delete_webhook,
            "getWebhookInfo": self._webhook_info,
        }
        self._methods = {name.lower(): (name, method) for name, method in made.items()}
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> FakeTelegram:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/bot{token}/{method}", self._serve)
        app.router.add_get("/file/bot{token}/files/{key}", self._download)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.updates.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # Requests

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        call = Call(name, {}, self.world.clock.now())
        self.calls.append(call)
        if request.match_info["token"] != TOKEN:
            return _failed(call, ApiError(401, "Unauthorized"))
        fault = self._fault(name)
        try:
            call.args = _checked(name, await _given(request))
            early = await self._early(fault)
            response = early or _ok(await self._perform(call))
            if fault is not None and fault.kind == "late_http":
                response = _failed(call, ApiError(fault.value, "Internal Server Error"))
        except schema.Wrong as wrong:
            response = _failed(call, bad(str(wrong)))
        except ApiError as error:
            response = _failed(call, error)
        old = not self.world.rich_enabled and "rich" in name.lower()  # found out by trying
        call.expected = call.expected or fault is not None or old
        if fault is not None and fault.kind in {"drop", "refuse", "before", "after"}:
            call.status = 0
            if fault.kind == "after":
                fault.value()
            if request.transport is not None:
                request.transport.abort()
        return response

    def _fault(self, method: str) -> Fault | None:
        for fault in self.faults:
            if fault.method.lower() not in {"*", method.lower()}:
                continue
            if fault.method == "*" and method.lower() in _BOOKKEEPING:
                continue
            if fault.hit >= fault.times:
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            fault.hit += 1
            return fault
        return None

    async def _early(self, fault: Fault | None) -> web.Response | None:
        if fault is None:
            return None
        match fault.kind:
            case "refuse":
                return web.Response()
            case "before":
                fault.value()
                return web.Response()
            case "http":
                raise ApiError(fault.value, "Internal Server Error")
            case "error":
                raise fault.value if isinstance(fault.value, ApiError) else bad(fault.value)
            case "flood":
                raise flood(fault.value)
            case "hang":
                await asyncio.sleep(fault.value)
        return None

    async def _perform(self, call: Call) -> Any:
        args = call.args
        if call.method.lower() == "getupdates":
            found = await self.updates.poll(
                args.get("offset", 0),
                args.get("limit", 100),
                args.get("timeout", 0),
                args.get("allowed_updates"),
            )
            call.status = 200
            return found
        if call.method.lower() not in self._methods:
            raise bad(f"this fake does not know what {call.method} does")
        call.method, method = self._methods[call.method.lower()]
        result = method(args)
        schema.result(call.method, result)
        call.status = 200
        return result

    async def _from_webhook(self, method: str, args: Args) -> None:
        call = Call(method, args, self.world.clock.now(), in_answer=True)
        self.calls.append(call)
        try:
            call.args = _checked(method, args)
            await self._perform(call)
        except schema.Wrong as wrong:
            _failed(call, bad(str(wrong)))
        except ApiError as error:
            _failed(call, error)

    async def _download(self, request: web.Request) -> web.Response:
        content = self.world.files.get(request.match_info["key"])
        if content is None or request.match_info["token"] != TOKEN:
            return web.Response(status=404)
        return web.Response(body=content)

    # Webhooks

    def _set_webhook(self, args: Args) -> bool:
        parts = urlsplit(args["url"])
        if not args["url"]:
            return self._delete_webhook(args)
        # A Bot API server of one's own takes plain HTTP, and any port, on its own machine.
        at_home = parts.hostname == "127.0.0.1"
        if parts.scheme != "https" and not at_home:
            raise bad("bad webhook: An HTTPS URL must be provided for webhook")
        if (parts.port or 443) not in {443, 80, 88, 8443} and not at_home:
            raise bad("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
        secret = args.get("secret_token", "")
        if len(secret) > 256:
            raise bad("secret token is too long")
        if not all(one.isascii() and (one.isalnum() or one in "_-") for one in secret):
            raise bad("secret token contains unallowed characters")
        most = args.get("max_connections", 40)
        if not 1 <= most <= 100:
            raise bad("max_connections must be between 1 and 100")
        self.updates.allow(args.get("allowed_updates"))
        hook = Webhook(args["url"], secret, most)
        self.updates.set_hook(hook, drop=bool(args.get("drop_pending_updates")))
        return True

    def _delete_webhook(self, args: Args) -> bool:
        self.updates.set_hook(None, drop=bool(args.get("drop_pending_updates")))
        return True

    def _webhook_info(self, _: Args) -> Args:
        hook = self.updates.hook
        seen: Args = {
            "url": hook.url if hook else "",
            "has_custom_certificate": False,
            "pending_update_count": len(self.updates.pending()),
            "allowed_updates": sorted(self.updates.allowed),
        }
        if hook is not None:
            seen["max_connections"] = hook.most
            if hook.error:
                seen |= {
                    "last_error_message": hook.error,
                    "last_error_date": int(hook.error_at),
                }
        return seen

    # For assertions

    def called(self, method: str) -> list[Call]:
        """Calls of a method that arrived."""
        return [call for call in self.calls if call.method.lower() == method.lower()]

    def refused(self) -> list[Call]:
        """Calls that were wrong: what a careful bot would not have made.

        Without what faults did and what any bot meets: floods, a second poller, people who
        blocked it, groups that moved, messages and topics that are gone.
        """
        return [call for call in self.calls if call.error and not call.expected]

    async def until(self, true: Callable[[], Any], seconds: float = 15.0) -> Any:
        """Wait for something to become true; returns it."""
        async with asyncio.timeout(seconds):
            while not (value := true()):  # noqa: ASYNC110 - any condition on the world
                await asyncio.sleep(0.01)
        return value

    async def connected(self) -> None:
        """Somebody polls, or a webhook is set."""
        before = self.updates.polled
        await self.until(
            lambda: self.updates.polls or self.updates.polled > before or self.updates.hook
        )

    async def settled(self, seconds: float = 15.0) -> None:
        """Every update is confirmed."""
        await self.until(lambda: not self.updates.pending(), seconds)

    def transcript(self) -> str:
        """Everything everybody wrote, in order: for a failing test's message."""
        return "\n".join(self._line(one) for one in self.world.all_messages())

    def _line(self, message: Message) -> str:
        name = self.world.users[message.sender].name
        where = f"{message.chat}/{message.thread}" if message.thread else str(message.chat)
        shown = message.text or ", ".join(message.content)
        buttons = [one["text"] for row in message.buttons for one in row]
        return f"{where} #{message.id} {name}: {shown}" + (f" {buttons}" if buttons else "")

    def answers(self, chat: Chat) -> list[Message]:
        """The bot's visible messages in a chat."""
        return chat.by_bot


_MET = (
    "retry after",
    "terminated by other getUpdates",
    "can't use getUpdates method while webhook",
    "was blocked by the user",
    "user is deactivated",
    "bot was kicked",
    "bot is not a member",
    "group chat was upgraded",
    "message to edit not found",
    "message to delete not found",
    "message thread not found",
    "message is not modified",
    "query is too old",
    "TEXTDRAFT_PEER_INVALID",
    "TOPIC_ID_INVALID",
)


def _ok(result: Any) -> web.Response:
    return web.json_response({"ok": True, "result": result})


def _failed(call: Call, error: ApiError) -> web.Response:
    call.status, call.error = error.code, error.text
    call.expected = any(one in error.text for one in _MET)
    body: Args = {"ok": False, "error_code": error.code, "description": error.text}
    if error.parameters:
        body["parameters"] = error.parameters
    return web.json_response(body, status=error.code)


def _checked(method: str, args: Args) -> Args:
    if method.lower() not in schema.methods():
        raise ApiError(404, "method not found")
    return schema.arguments(method, args)


async def _given(request: web.Request) -> Args:
    """Arguments from JSON, a form or the address; files as `Upload`s."""
    args: Args = dict(request.query)
    if request.content_type == "application/json":
        return args | dict(await request.json())
    for name, value in (await request.post()).items():
        if isinstance(value, web.FileField):
            args[name] = schema.Upload(value.filename, value.file.read())
        else:
            args[name] = value
    return args

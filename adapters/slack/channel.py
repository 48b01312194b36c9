"""Slack as a `Channel`: the parts put together, and replies found again after a crash.

Knows which part does what. Events arrive over Socket Mode when there is an app-level token,
else over HTTP: `http` is the route that the web server mounts at `/slack/events`.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.slack.api import SlackError
from adapters.slack.app import make_app
from adapters.slack.delivery import ANSWER, Left, SlackDelivery, Workshop
from adapters.slack.desk import SlackDesk
from adapters.slack.home import Home, Starters
from adapters.slack.intake import Intake, Parts
from adapters.slack.line import hold
from adapters.slack.oauth import Install
from adapters.slack.places import INSTALL_PATH, NAME, PATH, REDIRECT_PATH, Identity, Members
from adapters.slack.render import followed
from adapters.slack.votes import Votes
from adapters.slack.workspaces import Single, Workspaces, caller, web_client
from bot.config import SlackSettings
from bot.errors import ConfigError, StoreError
from bot.handover import Desk, Handovers
from bot.notes import Notes
from bot.store import Store
from bot.types import Accept, Address, Delivery

DAYS = 180  # after which a thread's silence and a button's precedence are forgotten
KEPT = ("mute/", "button/")
_UPKEEP_S = 600.0
_TURNS_A_DAY = 144
_MOST_BYTES = 1_000_000
_LONGEST_PAUSE_S = 60.0

Cancel = Callable[[str, str], Awaitable[bool]]  # channel, conversation
log = structlog.get_logger(__name__)


async def _no_starters(_: int) -> Sequence[str]:
    return ()


class SlackChannel:
    """The door. `attach` it to the dispatcher before `run`."""

    name = NAME

    def __init__(
        self,
        settings: SlackSettings,
        store: Store,
        starters: Starters = _no_starters,
        *,
        spaces: Workspaces | None = None,
        install: Install | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`starters` suggests questions. Raises `ConfigError` for settings that cannot work.

        `spaces` are the workspaces the app was installed in, with the pages to `install` it in
        more of them; None is the one workspace of the settings.
        """
        check(settings)
        self._settings = settings
        self._store = store
        self._now = now
        self._install = install
        self._notes = Notes(store.database, NAME)
        self._spaces: Workspaces = spaces or Single(settings)
        call = caller(self._spaces)
        self._votes = Votes(store, self._notes, call, self._staffed)
        self._members = Members(settings, call)
        self._home = Home(call, store, starters, settings.name)
        self._cancel: Cancel | None = None
        self._handovers: Handovers | None = None
        self._desk: SlackDesk | None = None
        self._app: AsyncApp | None = None
        self._intake: Intake | None = None
        self._ready = asyncio.Event()
        self._learning = asyncio.Lock()
        self._left: dict[str, Left] | None = None
        self._parts: dict[str, dict[int, str]] = {}
        self._live: dict[str, tuple[Address, SlackDelivery]] = {}

    @property
    def ready(self) -> bool:
        """True once the bot knows who it is in Slack and takes events in."""
        return self._ready.is_set()

    def attach(self, cancel: Cancel) -> None:
        """Give it the dispatcher's way to stop an answer."""
        self._cancel = cancel

    def desks(self, handovers: Handovers) -> Sequence[Desk]:
        """Give it the handovers; returns the queue channel, where there is one, to attach."""
        self._handovers = handovers
        if not self._settings.queue:
            return ()
        call = caller(self._spaces)
        self._desk = SlackDesk(self._settings.queue, handovers, self._members, call)
        return (self._desk,)

    async def run(self, accept: Accept) -> None:
        """Take events in until cancelled."""
        if self._handovers is None:
            raise ConfigError(
                "The Slack channel was not given the handovers.", "Call `desks` first."
            )
        await self._insist_on_workspaces()
        parts = Parts(
            self._spaces,
            self._members,
            self._store,
            self._notes,
            self._votes,
            self._home,
            self._handovers,
            self._desk,
        )
        self._intake = Intake(accept, self, parts)
        plain = web_client(self._settings)
        self._app = make_app(
            client=plain,
            signing_secret=self._settings.signing_secret.get_secret_value(),
            intake=self._intake,
            votes=self._votes,
            members=self._members,
            call=caller(self._spaces),
            command=self._settings.command,
            desk=self._desk,
        )
        self._ready.set()
        keeping = asyncio.create_task(self._keep_up(), name="slack upkeep")
        try:
            await self._close_left()
            token = self._settings.app_token.get_secret_value()
            if token:
                await hold(self._app, token, plain, self._settings.silence_s)
            await asyncio.Event().wait()
        finally:
            self._ready.clear()
            keeping.cancel()
            await self._intake.close()

    def _staffed(self) -> bool:
        return self._handovers is not None and self._handovers.staffed

    def routes(self) -> list[Route]:
        """What the web server serves for Slack."""
        found = [Route(PATH, self.http, methods=["POST"])]
        if self._install is not None:
            found += [
                Route(INSTALL_PATH, self._install.install, methods=["GET"]),
                Route(REDIRECT_PATH, self._install.redirect, methods=["GET"]),
            ]
        return found

    async def http(self, request: Request) -> Response:
        """Take in one request from Slack: events, clicks, commands."""
        stamp = request.headers.get("x-slack-request-timestamp", "")
        signature = request.headers.get("x-slack-signature", "")
        # Bolt answers these with 500, which asks Slack, or an attacker, to try again.
        if not (stamp.isascii() and stamp.isdigit() and signature.isascii() and signature):
            return Response(status_code=401)
        if not self._settings.signing_secret.get_secret_value():
            return Response(status_code=404)
        if self._app is None or not self.ready:
            return Response(status_code=503)
        try:
            (await _body(request)).decode("utf-8")
        except (ValueError, UnicodeDecodeError):
            return Response(status_code=400)
        return await AsyncSlackRequestHandler(self._app).handle(request)

    async def open(self, to: Address, event_id: str) -> Delivery:
        """Start showing the reply to `event_id`."""
        left = (await self._leftovers()).get(event_id)
        space = await self._spaces.of(_tenant(to))
        shop = Workshop(
            space.api,
            self._notes,
            self._stop_now,
            space.me.user,
            self._settings.stream,
            staffed=self._staffed(),
            now=self._now,
            parts=self._parts,
        )
        delivery = SlackDelivery(
            shop, to, event_id, followed(()), lambda: self._live.pop(event_id, None)
        )
        await delivery.begin(left)
        self._live[event_id] = (to, delivery)
        return delivery

    async def delivered(self, to: Address, answer_id: str) -> str | None:
        """Look for a reply by the metadata of our own messages."""
        space = await self._spaces.of(_tenant(to))
        at = to.detail
        if at.get("private"):
            return None  # nobody can look up what was shown to one person alone
        where: dict[str, Any] = {"channel": at["channel"], "include_all_metadata": True}
        method = "conversations.history"
        if at.get("thread"):
            method, where = "conversations.replies", where | {"ts": at["thread"]}
        found: dict[int, str] = {}
        parts, cursor = 1, ""
        while True:
            page = {"cursor": cursor} if cursor else {}
            data = await space.api.call(method, **where, limit=200, **page)
            for message in data.get("messages", []):
                payload = _answer_metadata(message, space.me)
                if payload.get("answer_id") == answer_id:
                    found[int(payload["part"])] = str(message["ts"])
                    parts = int(payload["parts"])
            cursor = (data.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor or len(found) == parts or method == "conversations.history":
                break
        if 0 in found and len(found) == parts:
            await self._found(to, found[0])
            return f"{at['channel']}:{found[0]}"
        self._parts[answer_id] = found
        return None

    async def _found(self, to: Address, ts: str) -> None:
        """A reply turned out to be complete: nothing of it is left to do."""
        for event_id, left in (await self._leftovers()).items():
            if (left.channel, left.ts) == (to.detail["channel"], ts):
                await self._notes.drop(f"draft/{event_id}")
        for at, delivery in list(self._live.values()):
            if at == to:
                await delivery.settle()

    async def close(self) -> None:
        """End what still runs in the background; call it after draining."""
        for _, delivery in self._live.values():
            await delivery.close()
        await self._spaces.close()

    # Running answers (see `adapters.slack.intake.Running`)

    async def stop(self, conversation: str, user: str | None) -> None:
        """Stop the answer of a conversation, if it is `user`'s."""
        for to, delivery in list(self._live.values()):
            if to.conversation != conversation:
                continue
            if user in {None, delivery.user}:
                await self._stop_now(conversation)
            else:
                log.info("somebody wanted to stop an answer that is not theirs")

    async def stop_event(self, event_id: str, *, quiet: bool) -> bool:
        """Stop the answer to one message; False if none is being made."""
        to, delivery = self._live.get(event_id, (None, None))
        if to is None or delivery is None:
            return False
        delivery.quiet = quiet
        if not await self._stop_now(to.conversation):
            delivery.quiet = False
            return False
        return True

    async def _stop_now(self, conversation: str) -> bool:
        return self._cancel is not None and await self._cancel(NAME, conversation)

    # Who we are, and what was left

    async def _insist_on_workspaces(self) -> None:
        pause = 1.0
        while True:
            try:
                await self._spaces.all()
            except SlackError as problem:
                log.warning("Slack does not let us in", error=problem.message, pause_s=pause)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _keep_up(self) -> None:
        """Renew tokens in time, and forget what was noted too long ago to matter."""
        for turn in itertools.count():
            try:
                await self._spaces.renew()
                if turn % _TURNS_A_DAY == 0:
                    gone = await self._notes.prune(KEPT, datetime.now(UTC) - timedelta(days=DAYS))
                    log.info("old notes are gone", notes=gone)
            except StoreError as problem:
                log.warning("upkeep is put off", error=problem.message)
            await asyncio.sleep(_UPKEEP_S)

    async def _leftovers(self) -> dict[str, Left]:
        """Messages that an earlier process began, by event; read once."""
        async with self._learning:
            if self._left is None:
                notes = await self._notes.under("draft/")
                self._left = {
                    key.removeprefix("draft/"): Left(
                        str(note["channel"]),
                        str(note["thread"]),
                        str(note["ts"]),
                        str(note.get("tenant") or ""),
                    )
                    for key, note in notes.items()
                }
            return self._left

    async def _close_left(self) -> None:
        """End the streams of an earlier process, so that none looks alive that is not.

        Their texts are completed when the answers they belong to are delivered again.
        """
        began = time.monotonic()
        left = await self._leftovers()
        for one in left.values():
            if one.ts:
                try:
                    space = await self._spaces.of(one.tenant)
                    await space.api.call("chat.stopStream", channel=one.channel, ts=one.ts)
                except SlackError as problem:
                    log.info("a stream was closed already", error=problem.message)
        if left:
            seconds = round(time.monotonic() - began, 1)
            log.info("closed what was left open", messages=len(left), seconds=seconds)


def _tenant(to: Address) -> str:
    return to.conversation.partition("/")[0]


def check(settings: SlackSettings) -> None:
    """Raise `ConfigError` for settings with which Slack cannot work."""
    bot, app = settings.bot_token.get_secret_value(), settings.app_token.get_secret_value()
    if settings.client_id:
        _check_many(settings)
    elif not bot.startswith(("xoxb-", "xoxe.xoxb-")):
        raise ConfigError(
            "`slack.bot_token` is not a bot token.",
            "Copy the one that begins with xoxb- from OAuth & Permissions in the app's settings.",
        )
    if app and not app.startswith("xapp-"):
        raise ConfigError(
            "`slack.app_token` is not an app-level token.",
            "Make one with the scope connections:write under Basic Information; it begins with "
            "xapp-.",
        )
    if not app and not settings.signing_secret.get_secret_value():
        raise ConfigError(
            "Slack has no way to bring events.",
            "Set `slack.app_token` for Socket Mode, or `slack.signing_secret` for HTTP.",
        )


def _check_many(settings: SlackSettings) -> None:
    if settings.bot_token.get_secret_value():
        raise ConfigError(
            "Slack has a bot token and a client id.",
            "Set `slack.bot_token` for one workspace, or `slack.client_id` for many.",
        )
    if not settings.client_secret.get_secret_value():
        raise ConfigError(
            "`slack.client_secret` is missing.",
            "Copy it from Basic Information in the app's settings, below the client id.",
        )
    if settings.queue and "/" not in settings.queue:
        raise ConfigError(
            "`slack.queue` does not say in which workspace the channel is.",
            "Write it as TEAM/CHANNEL, such as T0123456789/C0123456789.",
        )


def _answer_metadata(message: dict[str, Any], me: Identity) -> dict[str, Any]:
    """The payload of our own answer's metadata; anybody's app could set the same."""
    metadata = message.get("metadata") or {}
    if metadata.get("event_type") != ANSWER or message.get("user") != me.user:
        return {}
    return metadata.get("event_payload") or {}


async def _body(request: Request) -> bytes:
    """The body, which Starlette keeps for Bolt; raises `ValueError` if it is too long."""
    if int(request.headers.get("content-length") or 0) > _MOST_BYTES:
        raise ValueError("too long")
    body = await request.body()
    if len(body) > _MOST_BYTES:
        raise ValueError("too long")
    return body

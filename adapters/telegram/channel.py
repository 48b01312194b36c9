"""Telegram as a `Channel`: the parts put together.

Knows which part does what. Updates are fetched, or brought to `http`, the route that the web
server mounts at `/telegram/updates`.
"""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta

import structlog
from aiogram.methods import GetMe
from starlette.requests import Request
from starlette.responses import Response

from adapters.telegram import menu, webhook
from adapters.telegram.api import Api, TelegramError
from adapters.telegram.commands import Commands, Means
from adapters.telegram.delivery import TelegramDelivery, Workshop
from adapters.telegram.intake import Hear, Intake, Parts
from adapters.telegram.later import Later
from adapters.telegram.places import NAME, Identity, Moves, Spot
from adapters.telegram.polling import Poller, Watch
from adapters.telegram.speak import Speaker
from adapters.telegram.staff import StaffDesk
from adapters.telegram.talks import Talks
from adapters.telegram.votes import Votes
from bot.config import TelegramSettings
from bot.dispatching.dispatch import Dispatcher
from bot.errors import ConfigError, StoreError
from bot.handover import Desk, Handovers, from_staff
from bot.notes import Notes
from bot.store import Store
from bot.types import Accept, Address, Delivery

PATH = webhook.PATH
_TOKEN = re.compile(r"\d+:[A-Za-z0-9_-]{10,}")
PASSING = ("ask/", "draft/", "part/", "parts/", "press/")
"""Notes about one message each; the others are about chats and people."""
KEPT_DAYS = 180
TIDY_S = 86_400.0
_LONGEST_PAUSE_S = 60.0

log = structlog.get_logger(__name__)


class TelegramChannel:
    """The door. `attach` it to the dispatcher before `run`."""

    name = NAME

    def __init__(
        self,
        settings: TelegramSettings,
        store: Store,
        public_url: str = "",
        hear: Hear | None = None,
    ) -> None:
        """`hear` turns voice messages into words. Raises `ConfigError` for unusable settings."""
        check(settings, public_url)
        self._settings = settings
        self._store = store
        self._notes = Notes(store.database, NAME)
        self._api = Api(settings.token.get_secret_value(), settings.api_url)
        self._api.on_moved = self._moved
        self._later = Later()
        self._moves = Moves()
        self._speaker = Speaker(self._api, self._later)
        self._talks = Talks(self._notes)
        self._hear = hear
        self._watch = Watch(self._notes)
        self._webhook = webhook.Webhook(self._api, settings, public_url, self._watch)
        self._votes = Votes(store, self._notes, self._api, self._speaker, self._later, self._moves)
        self._staff: StaffDesk | None = None
        self._dispatcher: Dispatcher | None = None
        self._me: Identity | None = None
        self._poller: Poller | None = None
        self._ready = asyncio.Event()
        self._learning = asyncio.Lock()
        self._left: dict[str, int] | None = None
        self._live: dict[str, tuple[Address, TelegramDelivery]] = {}
        self._shop = Workshop(
            self._api,
            self._notes,
            self.gone,
            settings.stream,
            rich=settings.rich,
        )

    @property
    def ready(self) -> bool:
        """True once the bot knows who it is in Telegram and takes updates in."""
        return self._ready.is_set()

    @property
    def problem(self) -> str:
        """Why nothing comes from Telegram, in words; empty when all is well."""
        return self._poller.problem if self._poller is not None else ""

    def desks(self, handovers: Handovers) -> list[Desk]:
        """The desk in the staff group, if there is one; open it before the dispatcher starts."""
        chat = self._settings.staff_chat
        if not chat:
            return []
        self._staff = StaffDesk(chat, handovers, self._notes, self._api, self._speaker)
        return [self._staff]

    def attach(self, dispatcher: Dispatcher) -> None:
        """Give it the dispatcher: to stop answers, and to know who has a conversation."""
        self._dispatcher = dispatcher
        self._shop.staffed = dispatcher.handovers.staffed

    async def run(self, accept: Accept) -> None:
        """Take updates in until cancelled."""
        me = await self._insist_on_identity()
        await self._recall_moves()
        intake = Intake(accept, self, self._parts(me))
        self._later.do(menu.publish(self._api, self._notes, me.id))
        self._ready.set()
        log.info("Telegram is open", bot=me.username, mode=self._settings.mode)
        tidying = asyncio.create_task(self._tidy())
        try:
            if self._settings.mode == "webhook":
                await self._webhook.run(intake.update)
            else:
                self._poller = Poller(self._api, intake.update, self._watch)
                await self._poller.run()
        finally:
            self._ready.clear()
            tidying.cancel()
            await self._later.close()

    async def _tidy(self) -> None:
        """Forget notes that nothing will ask for any more, now and then."""
        while True:
            try:
                await self._notes.prune(PASSING, datetime.now(UTC) - timedelta(days=KEPT_DAYS))
            except StoreError as problem:
                log.warning("old notes were not tidied", error=problem.message)
            await asyncio.sleep(TIDY_S)

    def _parts(self, me: Identity) -> Parts:
        means = Means(
            settings=self._settings,
            store=self._store,
            api=self._api,
            speaker=self._speaker,
            votes=self._votes,
            talks=self._talks,
            moves=self._moves,
            bot_id=me.id,
            handovers=self._dispatcher.handovers if self._dispatcher is not None else None,
            staff=self._staff,
        )
        return Parts(
            me=me,
            settings=self._settings,
            store=self._store,
            notes=self._notes,
            api=self._api,
            speaker=self._speaker,
            votes=self._votes,
            talks=self._talks,
            commands=Commands(means),
            staff=self._staff,
            moves=self._moves,
            hear=self._hear,
        )

    async def http(self, request: Request) -> Response:
        """Take in one update that Telegram brings. Mount it at `PATH`."""
        if self._settings.mode != "webhook":
            return Response(status_code=404)
        return await self._webhook.http(request)

    async def open(self, to: Address, event_id: str) -> Delivery:
        """Start showing the reply to `event_id`."""
        left = (await self._leftovers()).get(event_id, 0)
        delivery = TelegramDelivery(
            self._shop,
            to,
            event_id,
            lambda: self._live.pop(event_id, None),
            silent=from_staff(event_id),
        )
        await delivery.begin(left)
        self._live[event_id] = (to, delivery)
        return delivery

    async def delivered(self, to: Address, answer_id: str) -> str | None:
        """None: Telegram cannot be asked. Parts that are known to be sent are not sent again."""
        note = await self._notes.get(f"parts/{answer_id}")
        if note is not None:
            self._shop.parts[answer_id] = {int(part): int(sent) for part, sent in note.items()}
        return None

    async def close(self) -> None:
        """End what still runs in the background; call it after draining."""
        for _, delivery in list(self._live.values()):
            await delivery.close()
        await self._later.close()
        await self._api.close()

    # Running answers (see `adapters.telegram.intake.Running`)

    async def stop_event(self, event_id: str, *, quiet: bool) -> bool:
        """Stop the answer to one message; False if none is being made."""
        to, delivery = self._live.get(event_id, (None, None))
        if to is None or delivery is None:
            return False
        delivery.quiet = quiet
        if not await self._stop(to.conversation):
            delivery.quiet = False
            return False
        return True

    async def stop_draft(self, chat: int, draft_id: int, user: int | None) -> bool:
        """Stop the answer that a draft or a Stop button belongs to, if it is `user`'s."""
        for to, delivery in list(self._live.values()):
            if delivery.draft_id == draft_id and Spot.of(to).chat == chat:
                return user in {None, delivery.user} and await self._stop(to.conversation)
        return False

    async def stop_user(self, user: int) -> None:
        """Stop every answer that is being made for somebody, leaving nothing behind."""
        for event_id, (_, delivery) in list(self._live.items()):
            if delivery.user == user:
                await self.stop_event(event_id, quiet=True)

    async def gone(self, chat: int) -> None:
        """Somebody blocked the bot, or a group removed it: no more answers there."""
        await self._notes.put(f"gone/{chat}", {})
        for event_id, (to, _) in list(self._live.items()):
            if Spot.of(to).chat == chat:
                await self.stop_event(event_id, quiet=True)

    async def _stop(self, conversation: str) -> bool:
        return self._dispatcher is not None and await self._dispatcher.cancel(NAME, conversation)

    # Who we are, and what was left

    async def _insist_on_identity(self) -> Identity:
        pause = 1.0
        while True:
            try:
                user = await self._api.call(GetMe())
            except TelegramError as problem:
                remedy = (
                    "take the token from @BotFather"
                    if problem.code in {"unauthorized", "not_found"}
                    else "trying again"
                )
                log.warning(
                    "Telegram does not let us in",
                    error=problem.message,
                    remedy=remedy,
                    pause_s=pause,
                )
            else:
                self._me = Identity(user.id, user.username or "", user.first_name)
                return self._me
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _leftovers(self) -> dict[str, int]:
        """Messages that an earlier process began, by event; read once."""
        async with self._learning:
            if self._left is None:
                notes = await self._notes.under("draft/")
                self._left = {
                    key.removeprefix("draft/"): int(note["message"]) for key, note in notes.items()
                }
            return self._left

    async def _moved(self, old: int, new: int) -> None:
        self._moves.note(old, new)
        await self._notes.put(f"moved/{old}", {"to": new})
        log.info("a group became a supergroup", old=old, new=new)

    async def _recall_moves(self) -> None:
        for key, note in sorted((await self._notes.under("moved/")).items()):
            old, new = int(key.removeprefix("moved/")), int(note["to"])
            self._api.moved[old] = new
            self._moves.note(old, new)


def check(settings: TelegramSettings, public_url: str = "") -> None:
    """Raise `ConfigError` for settings with which Telegram cannot work."""
    if not _TOKEN.fullmatch(settings.token.get_secret_value()):
        raise ConfigError(
            "`telegram.token` is not a bot's token.",
            "Copy the one that @BotFather gave you; it looks like 123456789:ABC….",
        )
    if settings.staff_chat > 0:
        raise ConfigError(
            "`telegram.staff_chat` is not a group.",
            "Set it to the id of a group with topics; it is negative and begins with -100.",
        )
    if settings.mode == "webhook":
        webhook.check(settings, public_url)

"""Fetches updates, and confirms them only when they are kept.

Knows getUpdates (https://core.telegram.org/bots/api#getupdates): an update is confirmed, and gone,
as soon as a later call asks for what follows it. So nothing is asked for beyond what is committed.
Does not use aiogram's own polling, which confirms updates that nobody has handled yet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from aiogram.methods import DeleteWebhook, GetWebhookInfo, TelegramMethod
from aiogram.types import Update
from pydantic import ValidationError

from adapters.telegram.api import Api, TelegramError
from adapters.telegram.intake import ALLOWED_UPDATES, NotKept
from bot.notes import Notes

LONG_S = 25  # how long Telegram holds a call when there is nothing new
BATCH = 100  # Telegram's most
KEPT_H = 24.0  # Telegram drops what nobody fetched for so long
WARN_H = 20.0
NOTE_S = 60.0
TRIES = 3  # of an update that our own code fails on
_LONGEST_PAUSE_S = 30.0
_CONFLICT_PAUSE_S = 5.0

Take = Callable[[Update], Awaitable["asyncio.Future[None] | None"]]
log = structlog.get_logger(__name__)


class Fetch(TelegramMethod[list[dict[str, Any]]]):
    """getUpdates with updates as they come, so that one odd update does not hide the others."""

    __returning__ = list[dict[str, Any]]
    __api_method__ = "getUpdates"

    offset: int | None = None
    limit: int = BATCH
    timeout: int = LONG_S
    allowed_updates: tuple[str, ...] = ALLOWED_UPDATES


def _now() -> datetime:
    return datetime.now(UTC)


class Watch:
    """Notes that updates are being taken, and says so when there was a gap that may lose some."""

    def __init__(
        self, notes: Notes, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._notes = notes
        self._now = now
        self._noted: datetime | None = None

    async def alive(self) -> None:
        """Call it whenever Telegram has answered."""
        now = self._now()
        if self._noted is not None and now - self._noted < timedelta(seconds=NOTE_S):
            return
        note = await self._notes.get("alive")
        last = datetime.fromisoformat(str(note["at"])) if note is not None else None
        if last is not None and now - last > timedelta(hours=WARN_H):
            hours = round((now - last).total_seconds() / 3600, 1)
            lost = hours >= KEPT_H
            log.error(
                "updates were lost: Telegram keeps them for 24 hours"
                if lost
                else "updates were nearly lost: Telegram keeps them for 24 hours",
                away_hours=hours,
            )
        self._noted = now
        await self._notes.put("alive", {"at": now.isoformat()})


class Poller:
    """Fetches until cancelled. `problem` says in words why nothing comes, or is empty."""

    def __init__(self, api: Api, take: Take, watch: Watch) -> None:
        self._api = api
        self._take = take
        self._watch = watch
        self._failed: Counter[int] = Counter()
        self.problem = ""

    async def run(self) -> None:
        """Fetch, keep, go on behind what is kept."""
        await self._no_webhook()
        offset: int | None = None
        while True:
            raw = await self._insist(Fetch(offset=offset))
            await self._watch.alive()
            if raw:
                await self.keep([one for one in map(self._read, raw) if one is not None])
                offset = max(int(one["update_id"]) for one in raw) + 1

    async def keep(self, updates: list[Update]) -> None:
        """Return when everything is committed, however long that takes."""
        pause = 0.25
        while updates := await self._once(updates):
            log.warning("updates could not be kept yet", updates=len(updates), pause_s=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _once(self, updates: list[Update]) -> list[Update]:
        """Try each; chats beside each other, each chat in order. Returns what was not kept."""
        lanes: dict[int, list[Update]] = {}
        for update in updates:
            lanes.setdefault(lane(update), []).append(update)
        left = await asyncio.gather(*(self._lane(one) for one in lanes.values()))
        return sorted((one for some in left for one in some), key=lambda one: one.update_id)

    async def _lane(self, updates: list[Update]) -> list[Update]:
        later: list[tuple[Update, asyncio.Future[None]]] = []
        left: list[Update] = []
        for index, update in enumerate(updates):
            try:
                following = await self._take(update)
            except Exception as problem:  # noqa: BLE001 - one update must not keep the others out
                if self._again(update, problem):
                    left = updates[index:]
                    break
            else:
                later += [(update, following)] if following is not None else []
        results = await asyncio.gather(*(one for _, one in later), return_exceptions=True)
        for (update, _), result in zip(later, results, strict=True):
            if isinstance(result, Exception) and self._again(update, result):
                left.append(update)
        return left

    def _again(self, update: Update, problem: Exception) -> bool:
        """Whether to try an update again; one that our own code fails on is put aside at last."""
        if isinstance(problem, NotKept):
            return True
        self._failed[update.update_id] += 1
        if self._failed[update.update_id] < TRIES:
            log.warning("an update failed", update_id=update.update_id, exc_info=problem)
            return True
        del self._failed[update.update_id]
        log.error("an update is put aside", update_id=update.update_id, exc_info=problem)
        return False

    def _read(self, raw: dict[str, Any]) -> Update | None:
        try:
            return Update.model_validate(raw, context={"bot": self._api.bot})
        except ValidationError:
            log.error("an update cannot be read and is put aside", update_id=raw.get("update_id"))  # noqa: TRY400 - the error would quote what people wrote
            return None

    async def _insist(self, fetch: Fetch) -> list[dict[str, Any]]:
        pause = 1.0
        while True:
            try:
                raw = await self._api.call(fetch, timeout_s=LONG_S + 15)
            except TelegramError as problem:
                wait = await self._trouble(problem, pause)
            else:
                self.problem = ""
                return raw
            await asyncio.sleep(wait)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _trouble(self, problem: TelegramError, pause: float) -> float:
        """Say what is wrong, once per kind; returns how long to wait."""
        if problem.code == "conflict" and "webhook" in problem.detail:
            self._say("a webhook takes this bot's updates; removing it")
            await self._no_webhook()
            return pause
        if problem.code == "conflict":
            self._say(
                "another program fetches this bot's updates: only one may use a token. "
                "Stop the other one, or make a bot of its own for it with @BotFather"
            )
            return _CONFLICT_PAUSE_S
        if problem.code in {"unauthorized", "not_found"}:
            self._say("Telegram does not know this token: take the one from @BotFather")
            return _LONGEST_PAUSE_S
        self._say(problem.message)
        return max(pause, problem.retry_after)

    def _say(self, words: str) -> None:
        if self.problem != words:
            log.error("no updates from Telegram", why=words)
        self.problem = words

    async def _no_webhook(self) -> None:
        """Polling and a webhook exclude each other; what waits is kept."""
        try:
            info = await self._api.call(GetWebhookInfo())
            if info.url:
                log.warning("a webhook was set and is removed", url=info.url)
            if info.pending_update_count:
                log.info("updates are waiting", updates=info.pending_update_count)
            await self._api.call(DeleteWebhook(drop_pending_updates=False))
        except TelegramError as problem:
            log.warning("the webhook was not looked at", error=problem.message)


def lane(update: Update) -> int:
    """The chat an update belongs to: what happens there happens in order."""
    for content in (
        update.message,
        update.edited_message,
        update.business_message,
        update.edited_business_message,
        update.deleted_business_messages,
        update.message_reaction,
        update.my_chat_member,
        update.stopped_message_generation,
    ):
        if content is not None:
            return content.chat.id
    if update.callback_query is not None:
        message = update.callback_query.message
        return message.chat.id if message is not None else update.callback_query.from_user.id
    if update.business_connection is not None:
        return update.business_connection.user_chat_id
    return 0

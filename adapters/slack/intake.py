"""What people say in Slack, taken in: which messages are for the bot, and as what.

Knows event shapes and when to be silent. Returns only when whatever it was has been committed,
and the caller acknowledges to Slack after that: an event that could not be kept is not
acknowledged, so Slack brings it again.

In a channel the bot answers who mentions it, and in a thread it was brought into, whoever asked
there. It steps back when somebody says "mute" or somebody else joins the thread, until it is
mentioned again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog

from adapters.slack.api import SlackError
from adapters.slack.desk import SlackDesk
from adapters.slack.home import Home
from adapters.slack.places import (
    NAME,
    Members,
    Said,
    conversation,
    mentions,
    said,
    tenant,
    words,
)
from adapters.slack.votes import Votes
from adapters.slack.workspaces import Workspaces, caller
from bot.dispatching import notices
from bot.errors import Busy, Refused, StoreError, TooLarge
from bot.handover import Handovers
from bot.notes import Notes
from bot.store import Store
from bot.types import Accept, Address, Event

MUTE_WORDS = frozenset(
    {"mute", "be quiet", "stop listening", "stummschalten", "silencio", "静音", "安静"}
)
_SPOKEN = {None, "file_share", "thread_broadcast"}  # subtypes that are somebody saying something
_MOST_REFUSED = 1_000

Json = Mapping[str, Any]
log = structlog.get_logger(__name__)


class Running(Protocol):
    """The answers being made now."""

    async def stop(self, conversation: str, user: str | None) -> None:
        """Stop the answer of a conversation, if it is `user`'s; anybody's for None."""
        ...

    async def stop_event(self, event_id: str, *, quiet: bool) -> bool:
        """Stop the answer to one message; `quiet` leaves nothing behind. False if none is made."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What the intake works with."""

    spaces: Workspaces
    members: Members
    store: Store
    notes: Notes
    votes: Votes
    home: Home
    handovers: Handovers
    desk: SlackDesk | None


class NotKept(Exception):
    """The event could not be committed: do not acknowledge it."""


class Intake:
    """Takes events in. `accept` is the bot's."""

    def __init__(self, accept: Accept, running: Running, parts: Parts) -> None:
        self._accept = accept
        self._running = running
        self._spaces = parts.spaces
        self._call = caller(parts.spaces)
        self._handovers = parts.handovers
        self._desk = parts.desk
        self._members = parts.members
        self._store = parts.store
        self._notes = parts.notes
        self._home = parts.home
        votes = parts.votes
        self._refused: OrderedDict[str, None] = OrderedDict()
        self._later: set[asyncio.Task[None]] = set()
        self._handlers: dict[str, Callable[[Json, Json], Awaitable[None]]] = {
            "message": self._message,
            "app_mention": self._message,
            "reaction_added": lambda body, _: votes.reacted(body, removed=False),
            "reaction_removed": lambda body, _: votes.reacted(body, removed=True),
            "agent_session_stopped": self._stopped,
            "app_home_opened": self._opened,
            "tokens_revoked": self._revoked,
            "app_uninstalled": self._revoked,
        }

    async def event(self, body: Json) -> None:
        """Take in one Events API event. Raises `NotKept`."""
        event = body.get("event") or {}
        handler = self._handlers.get(str(event.get("type")))
        if handler is None:
            return
        try:
            await handler(body, event)
        except SlackError as problem:
            if problem.code != "not_installed":
                raise NotKept(problem.message) from problem
            log.warning("an event from where the app is not installed", team=tenant(body))
        except StoreError as problem:
            raise NotKept(problem.message) from problem

    async def own(self, key: str) -> str:
        """The bot's user in a tenant's workspace. Raises `SlackError`."""
        return (await self._spaces.of(key)).me.user

    def later(self, work: Awaitable[None]) -> None:
        """Do something that Slack's acknowledgement need not wait for, and that may be lost."""

        async def run() -> None:
            await work

        task = asyncio.create_task(run())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def close(self) -> None:
        """Let what was put off end."""
        if self._later:
            _, pending = await asyncio.wait(self._later, timeout=5)
            for task in pending:
                task.cancel()

    # Messages

    async def _message(self, body: Json, event: Json) -> None:
        subtype = event.get("subtype")
        if subtype == "message_changed":
            await self._edited(body, event)
        elif subtype == "message_deleted":
            await self._deleted(body, event)
        elif subtype in _SPOKEN and _by_a_person(event):
            own = await self.own(tenant(body))
            if event["user"] != own:
                await self._spoken(said(body, event, own))

    async def _spoken(self, one: Said) -> None:
        if self._desk is not None and self._desk.sits_in(one):
            await self._desk.spoken(one, words(one.text, one.bot))
            return
        text = words(one.text, one.bot)
        mentioned = mentions(one.text, one.bot)
        direct = one.kind == "im"
        if text.strip(" .!").lower() in MUTE_WORDS and not direct:
            if mentioned or await self._joined(one):
                await self._step_back(one, "asked to")
                self.later(self._nod(one))
            return
        if not (direct or mentioned or await self._follows_up(one)):
            return
        if mentioned and one.thread_ts:
            await self._notes.drop(_mute(one.conversation))
        await self._take_in(one, one.event_id, text or "Hello")

    async def _follows_up(self, one: Said) -> bool:
        """Whether a message without a mention is for us; steps back for a second person."""
        if not one.thread_ts:
            return self._members.place(one.channel).mode == "always"
        speakers = await self._store.speakers(NAME, one.conversation)
        if not speakers or await self._notes.get(_mute(one.conversation)) is not None:
            return False
        if f"{one.tenant}:{one.user}" in speakers:
            return True
        if self._handovers.silent(NAME, one.conversation):
            return False  # staff or a colleague: the people who have it see the thread
        if self._members.place(one.channel).mode == "always":
            return True
        await self._step_back(one, "somebody else spoke")
        return False

    async def _joined(self, one: Said) -> bool:
        return bool(one.thread_ts and await self._store.speakers(NAME, one.conversation))

    async def _step_back(self, one: Said, why: str) -> None:
        await self._notes.put(_mute(one.conversation), {"by": one.user, "why": why})
        log.info("stepped back from a thread", why=why)

    async def _nod(self, one: Said) -> None:
        try:
            await self._call(
                one.tenant, "reactions.add", channel=one.channel, name="mute", timestamp=one.ts
            )
        except SlackError as problem:
            log.info("could not show that it was understood", error=problem.message)

    async def _take_in(self, one: Said, event_id: str, text: str) -> None:
        private = self._members.place(one.channel).private and one.kind != "im"
        await self.take_in(
            Event(
                id=event_id,
                address=one.address(private=private),
                actor=await self._members.actor(one),
                text=text,
                at=_moment(one.ts),
            )
        )

    async def take_in(self, event: Event) -> None:
        """Commit a question. One that is refused is told so, and counts as dealt with."""
        try:
            await self._accept(event)
        except (Busy, TooLarge) as refused:
            if refused.message == notices.REFUSED_RESTART[0]:
                raise NotKept from refused
            if event.id not in self._refused:
                self._refused[event.id] = None
                if len(self._refused) > _MOST_REFUSED:
                    self._refused.popitem(last=False)
                self.later(self._tell(event.address, f"{refused.message} {refused.remedy}"))
        except Refused as refused:
            raise NotKept from refused

    async def _tell(self, to: Address, text: str) -> None:
        at = to.detail
        try:
            await self._call(
                to.conversation.partition("/")[0],
                "chat.postEphemeral",
                channel=at["channel"],
                user=at["user"],
                text=text,
                **({"thread_ts": at["thread"]} if at["thread"] != at["ts"] else {}),
            )
        except SlackError as problem:
            log.warning("a refusal was not shown", error=problem.message)

    # Changes

    async def _edited(self, body: Json, event: Json) -> None:
        """Answer what the message says now, if its answer was still being made."""
        new, old = event.get("message") or {}, event.get("previous_message") or {}
        if not _by_a_person(new) or new.get("text") == old.get("text"):
            return
        where = {"channel": event["channel"], "channel_type": event.get("channel_type")}
        one = said(body, {**new, **where}, await self.own(tenant(body)))
        text = words(one.text, one.bot) or "Hello"
        if not await self._store.amend(one.event_id, text):
            if mentions(one.text, one.bot):  # named only now
                await self._spoken(one)
            return
        if await self._running.stop_event(one.event_id, quiet=True):
            edited = (new.get("edited") or {}).get("ts") or event.get("ts")
            await self._take_in(one, f"{one.event_id}:{edited}", text)

    async def _deleted(self, body: Json, event: Json) -> None:
        """Forget the words, and stop answering them."""
        key = f"{NAME}:{tenant(body)}:{event['channel']}:{event.get('deleted_ts')}"
        if await self._store.amend(key, ""):
            await self._running.stop_event(key, quiet=True)

    # The rest

    async def _stopped(self, body: Json, event: Json) -> None:
        channel = str(event.get("channel") or event.get("channel_id") or "")
        key = conversation(tenant(body), channel, str(event.get("thread_ts") or ""))
        await self._running.stop(key, str(event.get("user") or ""))

    async def _opened(self, body: Json, _: Json) -> None:
        self.later(self._home.opened(body))

    async def _revoked(self, body: Json, event: Json) -> None:
        if event.get("type") == "tokens_revoked" and not (event.get("tokens") or {}).get("bot"):
            return
        log.error("Slack took the app's access away", why=event.get("type"), team=tenant(body))
        await self._spaces.forget(tenant(body))


def _by_a_person(event: Json) -> bool:
    return bool(
        event.get("user")
        and not event.get("bot_id")
        and not event.get("hidden")
        and event["user"] not in {"USLACK", "USLACKBOT"}
    )


def _mute(key: str) -> str:
    return f"mute/{key}"


def _moment(ts: str) -> datetime:
    return datetime.fromtimestamp(float(ts), UTC)

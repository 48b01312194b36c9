"""One reply in one Slack thread: a sign of life, text while it is made, then the whole of it.

Knows the three ways a reply can appear and how to get from each to the next: a native stream,
a message that is edited, a single post. Text streams in the background, at Slack's pace; only
`finish` reports errors, because only then must something be on the screen.

Every finished message carries the answer's id in its metadata, which is how a reply is found
again after a crash. Messages in the making are noted in the database, so that the next process
closes and completes them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from adapters.markdown import parse
from adapters.slack.api import Api, SlackError
from adapters.slack.render import (
    PIECE_CHARS,
    TEXT_CHARS,
    Follow,
    Piece,
    hosts_in,
    pieces,
    streamable,
    to_mrkdwn,
)
from adapters.slack.signs import LOOK_S, NOT_HERE, Signs
from bot.handover import from_staff
from bot.notes import Notes
from bot.types import Address, Outcome, Reply

ANSWER = "deskhand_answer"  # metadata's event types
FLUSH_S = 1.0  # appendStream is Tier 4
EDIT_S = 2.0  # chat.update is Tier 3
STREAM_S = 270.0  # Slack closes a stream after about 300 s
LAST_CALL_S = 5.0
_CLOSED = {"message_not_in_streaming_state", "stopped_by_user"}
_GONE = {"message_not_found", "cant_update_message", "edit_window_closed"}
_TOO_MUCH = {
    "invalid_blocks",
    "invalid_blocks_format",
    "msg_blocks_too_long",
    "msg_blocks_too_many",
    "msg_too_long",
}

Stop = Callable[[str], Awaitable[object]]  # conversation
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Left:
    """A message that an earlier process began and did not finish. `ts` may be unknown."""

    channel: str
    thread: str
    ts: str
    tenant: str = ""


@dataclass(slots=True)
class _Draft:
    """The message in which the answer appears while it is made."""

    ts: str = ""
    sent: str = ""  # Markdown that is surely on the screen
    streaming: bool = False  # a stream is open, as far as we know
    opened: float = 0.0
    unsure: bool = False  # something may be on the screen that we do not know of
    calling: bool = False  # a call that makes or changes it has begun and not returned


@dataclass(slots=True)
class Workshop:
    """What every delivery of a channel needs."""

    api: Api
    notes: Notes
    stop: Stop
    own: str  # the bot's user id
    stream: bool
    staffed: bool = False  # somebody would hear a wish for a person
    now: Callable[[], float] = time.monotonic
    flush_s: float = FLUSH_S
    edit_s: float = EDIT_S
    parts: dict[str, dict[int, str]] = field(default_factory=dict)  # found by the last look-up


class SlackDelivery:
    """See `bot.types.Delivery`. `quiet` deletes what was shown instead of finishing it."""

    def __init__(
        self,
        shop: Workshop,
        to: Address,
        event_id: str,
        follow: Follow,
        done: Callable[[], object],
    ) -> None:
        self._done = done
        self._shop = shop
        self._to = to
        self._at = dict(to.detail)
        self._key = f"draft/{event_id}"
        self._told = from_staff(event_id)  # nobody waits for it, so it needs no sign of life
        self._follow = follow
        self._text = ""
        self._news = asyncio.Event()
        self._signs = Signs(shop.api, shop.now, self._at["channel"], self._at.get("thread", ""))
        self._ending = self._signs.ending
        self._after = "active"  # what the session becomes when the reply is shown
        self._draft = _Draft()
        self._noted = False
        self._tasks: list[asyncio.Task[None]] = []
        self._posted: dict[int, str] = {}
        self.quiet = False

    @property
    def user(self) -> str:
        """Who asked."""
        return self._at.get("user", "")

    @property
    def _threaded(self) -> bool:
        return bool(self._at.get("thread")) and "private" not in self._at

    def _seen(self) -> bool:
        return bool(self._draft.ts)

    @property
    def _cut_off(self) -> bool:
        """True if there was a stream, and it ended before the answer did."""
        return self._seen() and not self._draft.streaming

    # While the answer is made

    async def begin(self, left: Left | None) -> None:
        """Give the first sign of life; take over what an earlier process left."""
        if left is not None:
            self._noted = True
            self._draft = _Draft(left.ts, unsure=True)
            if not left.ts:
                self._draft.ts = await self._orphan()
        if not self._threaded or self._told:
            return
        self._tasks.append(asyncio.create_task(self._signs.keep(self._seen)))
        if self._shop.stream and left is None:
            self._tasks.append(asyncio.create_task(self._show()))

    async def status(self, text: str) -> None:
        """Say what is being done, in the line under the thread."""
        self._signs.say(text)

    async def append(self, delta: str) -> None:
        """Hand over more text; it appears when its turn comes."""
        self._text += delta
        self._news.set()

    async def _show(self) -> None:
        """Bring text to the screen as it comes, until told to end."""
        try:
            if "chat.startStream" not in self._shop.api.latched:
                await self._stream()
            if "chat.startStream" in self._shop.api.latched or self._cut_off:
                await self._edit()
        except SlackError as problem:
            # What is on the screen now is completed, or replaced, by `finish`.
            log.info("the answer is not shown while it is made", error=problem.message)

    async def _next(self) -> str:
        """More Markdown than is on the screen.

        Nothing when there will be no more, or when a stream has been open for too long.
        """
        while not self._ending.is_set() and not self._old:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._news.wait()
            except TimeoutError:
                continue
            self._news.clear()
            ready = streamable(self._text, self._follow)
            if len(ready) > len(self._draft.sent) and ready.startswith(self._draft.sent):
                return ready
        return ""

    async def _show_call(self, method: str, **args: Any) -> dict[str, Any]:  # noqa: ANN401 - each method's own
        """A call that changes the draft; remembers if it is not known what became of it."""
        draft = self._draft
        draft.calling = True
        try:
            data = await self._shop.api.call(method, channel=self._at["channel"], **args)
        except SlackError as problem:
            draft.calling = False
            draft.unsure = draft.unsure or problem.maybe_shown
            raise
        draft.calling = False
        return data

    async def _stream(self) -> None:
        ready = await self._next()
        if not ready or not self._shop.api.starts.take():
            return  # nothing to say, or too many streams this minute: it is posted whole
        await self._note("")
        try:
            await self._start(ready[:PIECE_CHARS])
        except SlackError as problem:
            if problem.code in NOT_HERE:
                self._shop.api.latched.add("chat.startStream")
                self._news.set()
                return
            raise
        await self._note(self._draft.ts)
        while self._draft.streaming and not self._old:
            if await self._signs.ended_within(self._shop.flush_s):
                return
            ready = await self._next()
            if ready and self._shop.api.appends.take():
                await self._append(ready)
        if self._draft.streaming:
            await self._cut()

    @property
    def _old(self) -> bool:
        """True if Slack is about to close the stream."""
        draft = self._draft
        return draft.streaming and self._shop.now() - draft.opened >= STREAM_S

    async def _cut(self) -> None:
        """End the stream before Slack does; the answer goes on as edits of its message."""
        self._draft.streaming = False
        try:
            await self._show_call("chat.stopStream", ts=self._draft.ts)
        except SlackError as problem:
            if problem.code not in _CLOSED:
                raise
        self._news.set()

    async def _start(self, ready: str) -> None:
        args = {"thread_ts": self._at["thread"], "markdown_text": ready}
        if self._at.get("kind") != "im":
            args["recipient_user_id"] = self._at["user"]
            args["recipient_team_id"] = self._at["team"]
        data = await self._show_call("chat.startStream", **args)
        self._draft.ts = str(data["ts"])
        self._draft.sent = ready
        self._draft.streaming = True
        self._draft.opened = self._shop.now()

    async def _append(self, ready: str) -> None:
        draft = self._draft
        more = ready[len(draft.sent) : PIECE_CHARS]
        if not more:
            return
        try:
            await self._show_call("chat.appendStream", ts=draft.ts, markdown_text=more)
        except SlackError as problem:
            if problem.code == "ratelimited":
                await self._signs.ended_within(problem.retry_after)
                return
            draft.streaming = False
            if problem.code == "stopped_by_user":
                await self._shop.stop(self._to.conversation)
            elif problem.code not in _CLOSED | _GONE:
                raise
            return
        draft.sent += more

    async def _edit(self) -> None:
        """Without streams: post what there is, then edit it."""
        while ready := await self._next():
            text = f"{to_mrkdwn(parse(ready), self._follow)[:TEXT_CHARS]} …"
            try:
                await self._edit_once(ready, text)
                self._draft.sent = ready
            except SlackError as problem:
                if problem.code != "ratelimited":
                    raise
                await self._signs.ended_within(problem.retry_after)
            await self._signs.ended_within(self._shop.edit_s)

    async def _edit_once(self, ready: str, text: str) -> None:
        if self._draft.ts:
            # What was streamed lies in a block, so it is replaced by one.
            was = [{"type": "markdown", "text": f"{ready[:PIECE_CHARS]} …"}]
            blocks = {"blocks": was} if self._draft.opened else {}
            await self._show_call("chat.update", ts=self._draft.ts, text=text, **blocks)
            return
        await self._note("")
        data = await self._show_call(
            "chat.postMessage",
            thread_ts=self._at["thread"],
            text=text,
            unfurl_links=False,
            unfurl_media=False,
        )
        self._draft.ts = str(data["ts"])
        await self._note(self._draft.ts)

    async def _note(self, ts: str) -> None:
        self._noted = True
        note = {
            "tenant": self._to.conversation.partition("/")[0],
            "channel": self._at["channel"],
            "thread": self._at["thread"],
            "ts": ts,
        }
        await self._shop.notes.put(self._key, note)

    async def close(self) -> None:
        """End what runs in the background; calls in flight may end by themselves first."""
        self._ending.set()
        self._news.set()
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        _, pending = await asyncio.wait(tasks, timeout=LAST_CALL_S)
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)
            self._draft.unsure = self._draft.unsure or self._draft.calling

    # When it is made

    async def finish(self, reply: Reply, answer_id: str) -> str:
        """Show the whole reply; may be called again after it failed."""
        await self.close()
        if self._draft.unsure and not self._draft.ts:
            self._draft.ts = await self._orphan()
        if self.quiet:
            return await self._withdraw()
        if (
            "asked" in self._at and not self._told
        ):  # nothing else on the screen says what is answered
            reply = replace(reply, text=f"> {self._at['asked']}\n\n{reply.text}")
        hosts = hosts_in(reply.text) if reply.composer == "staff" else ()
        parts = pieces(reply, answer_id, hosts, staffed=self._shop.staffed)
        self._after = "suspended" if reply.outcome is Outcome.HANDED else "active"
        self._posted |= self._shop.parts.pop(answer_id, {})
        if "private" in self._at:
            return await self._whisper(parts)
        first = self._posted.get(0) or await self._first(parts[0], answer_id)
        self._posted[0] = first
        for part in parts[1:]:
            if part.number not in self._posted:
                self._posted[part.number] = await self._post(part, answer_id)
        await self.settle()
        return f"{self._at['channel']}:{first}"

    async def _first(self, part: Piece, answer_id: str) -> str:
        """Bring the first message to its final text, wherever it is."""
        draft = self._draft
        if not draft.ts:
            return await self._post(part, answer_id)
        try:
            if draft.streaming or draft.unsure:
                done = await self._close_stream(part, answer_id)
                if done:
                    return draft.ts
            await self._update(part, answer_id)
        except SlackError as problem:
            if problem.code not in _GONE:
                raise
            return await self._post(part, answer_id)
        return draft.ts

    async def _close_stream(self, part: Piece, answer_id: str) -> bool:
        """End the stream; True if the message is complete with that."""
        draft = self._draft
        fits = not draft.unsure and part.markdown.startswith(draft.sent)
        args: dict[str, Any] = {"channel": self._at["channel"], "ts": draft.ts}
        if self._signs.session_open:
            args["session_status"] = self._after
        if fits:
            rest = part.markdown[len(draft.sent) :]
            args |= {"metadata": _metadata(part, answer_id), "blocks": list(part.tail)}
            args |= {"markdown_text": rest} if rest else {}
        try:
            await self._shop.api.call("chat.stopStream", **args)
        except SlackError as problem:
            if problem.code not in _CLOSED | _TOO_MUCH | {"invalid_arguments"}:
                raise
            fits = False
        else:
            self._signs.session_open = False
        draft.streaming = False
        return fits

    async def _update(self, part: Piece, answer_id: str) -> None:
        args = {"channel": self._at["channel"], "ts": self._draft.ts}
        await self._rich("chat.update", part, answer_id, args)

    async def _post(self, part: Piece, answer_id: str) -> str:
        args: dict[str, Any] = {"channel": self._at["channel"]}
        args |= {"unfurl_links": False, "unfurl_media": False}
        if self._at.get("thread"):
            args["thread_ts"] = self._at["thread"]
        data = await self._rich("chat.postMessage", part, answer_id, args)
        return str(data["ts"])

    async def _rich(
        self, method: str, part: Piece, answer_id: str, args: dict[str, Any]
    ) -> dict[str, Any]:
        """Send with blocks; without, if Slack does not take them."""
        args = args | {"text": part.text, "metadata": _metadata(part, answer_id)}
        try:
            return await self._shop.api.call(method, **args, blocks=part.blocks)
        except SlackError as problem:
            if problem.code not in _TOO_MUCH:
                raise
            log.warning("Slack does not take the blocks of an answer", error=problem.message)
            return await self._shop.api.call(method, **args)

    async def _whisper(self, parts: Sequence[Piece]) -> str:
        """Show it to the person alone. Such a message cannot be looked up afterwards."""
        ts = ""
        for part in parts:
            if part.number in self._posted:
                continue
            args = {"channel": self._at["channel"], "user": self._at["user"]}
            if self._at["thread"] != self._at["ts"]:
                args["thread_ts"] = self._at["thread"]
            data = await self._shop.api.call(
                "chat.postEphemeral", **args, text=part.text, blocks=part.blocks
            )
            ts = self._posted[part.number] = str(data["message_ts"])
        await self.settle()
        return f"{self._at['channel']}:{ts or self._posted[0]}"

    async def _withdraw(self) -> str:
        """The question is gone, and so is what was shown of its answer."""
        if self._draft.ts:
            where = {"channel": self._at["channel"], "ts": self._draft.ts}
            if self._draft.streaming:
                await self._signs.attempt("chat.stopStream", **where)
            await self._signs.attempt("chat.delete", **where)
        await self.settle()
        return ""

    async def settle(self) -> None:
        """Tidy up: the reply is on the screen, or shall not be."""
        await self.close()
        await self._signs.close(self._after)
        if self._noted:
            await self._shop.notes.drop(self._key)
            self._noted = False
        self._done()

    async def _orphan(self) -> str:
        """The message that a call made whose answer was lost; empty if there is none."""
        data = await self._shop.api.call(
            "conversations.replies",
            channel=self._at["channel"],
            ts=self._at["thread"],
            oldest=self._at["ts"],
            include_all_metadata=True,
            limit=200,
        )
        for message in reversed(data.get("messages", [])):
            if message.get("user") == self._shop.own and not message.get("metadata"):
                return str(message["ts"])
        return ""


def _metadata(part: Piece, answer_id: str) -> dict[str, Any]:
    payload = {"answer_id": answer_id, "part": part.number, "parts": part.count}
    return {"event_type": ANSWER, "event_payload": payload}

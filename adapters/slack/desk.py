"""Where staff sit in Slack: a queue channel with one card for every handover.

Knows the card, its buttons and its thread. What staff write in a card's thread goes to the
person; what the person writes appears there. A message that begins with `//` stays among staff.
Whoever is in the queue channel is staff: Slack's membership is the permission.

Everything we post carries the line's id in its metadata, which is how it is found again after a
crash, as with answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from adapters.slack.api import Call, SlackError
from adapters.slack.places import NAME, Members, Said, actor_id, tenant
from adapters.slack.render import escape
from bot.errors import DeliveryError, NotAllowed, NotFound
from bot.handover import Handover, Handovers, HandoverState, Line, LineKind
from bot.types import Actor, Turn

TURN = "deskhand_turn"  # begins the id of every button of a card; its value says which
LINE = "deskhand_line"  # metadata's event type
CARD = "deskhand_card"
ASIDE = "//"
_TURN_CHARS = 600
_WORDS_CHARS = 2_900
_HINT = (
    f"Answer in this thread: the person reads it. A message that begins with `{ASIDE}` stays here."
)

Json = Mapping[str, Any]
log = structlog.get_logger(__name__)


class SlackDesk:
    """See `bot.handover.Desk`. `queue` is a channel's id, after its workspace's and a slash."""

    name = NAME

    def __init__(self, queue: str, handovers: Handovers, members: Members, call: Call) -> None:
        self._tenant, _, self._channel = queue.rpartition("/")
        self._handovers = handovers
        self._members = members
        self._call = call

    def sits_in(self, one: Said) -> bool:
        """True for what is said in the queue channel."""
        return one.channel == self._channel and self._tenant in {"", one.tenant}

    # Telling staff

    async def show(self, handover: Handover, line: Line) -> str:
        """Put the card up, bring it up to date, or write in its thread."""
        place = await self._handovers.card(handover.id, NAME)
        if place is None:
            place = await self._put_up(handover)
            if line.kind is LineKind.CARD:
                return place
        ts = place.partition(":")[2]
        if line.kind is LineKind.CARD:
            text, blocks = await self._card(handover)
            await self._slack("chat.update", ts=ts, text=text, blocks=blocks)
            return place
        name = escape(await self._name(handover, line.by) or "The person")
        icon = ":speech_balloon:" if line.kind is LineKind.PERSON else ":bust_in_silhouette:"
        said = "\n".join(f"> {part}" for part in escape(line.text)[:_WORDS_CHARS].split("\n"))
        posted = await self._slack(
            "chat.postMessage",
            thread_ts=ts,
            text=f"{icon} *{name}*\n{said}",
            metadata={"event_type": LINE, "event_payload": {"line": line.id}},
            unfurl_links=False,
            unfurl_media=False,
        )
        return f"{self._channel}:{posted['ts']}"

    async def shown(self, handover: Handover, line: Line) -> str | None:
        """Look for a line by the metadata of our own messages."""
        place = await self._handovers.card(handover.id, NAME)
        if line.kind is LineKind.CARD:
            if place is None and (found := await self._found(CARD, "handover", handover.id)):
                await self._handovers.put_card(handover.id, NAME, found)
            return None  # bringing it up to date again changes nothing
        if place is None:
            return None
        return await self._found(LINE, "line", line.id, thread=place.partition(":")[2])

    async def _put_up(self, handover: Handover) -> str:
        text, blocks = await self._card(handover)
        metadata = {"event_type": CARD, "event_payload": {"handover": handover.id}}
        posted = await self._slack(
            "chat.postMessage",
            text=text,
            blocks=blocks,
            metadata=metadata,
            unfurl_links=False,
            unfurl_media=False,
        )
        place = f"{self._channel}:{posted['ts']}"
        await self._handovers.put_card(handover.id, NAME, place)
        return place

    async def _found(self, kind: str, key: str, value: str, thread: str = "") -> str | None:
        where: dict[str, Any] = {"include_all_metadata": True, "limit": 200}
        method = "conversations.replies" if thread else "conversations.history"
        if thread:
            where["ts"] = thread
        while True:
            data = await self._slack(method, **where)
            for message in data.get("messages", []):
                metadata = message.get("metadata") or {}
                payload = metadata.get("event_payload") or {}
                if metadata.get("event_type") == kind and payload.get(key) == value:
                    return f"{self._channel}:{message['ts']}"
            where["cursor"] = (data.get("response_metadata") or {}).get("next_cursor") or ""
            if not where["cursor"] or not thread:  # a new card is among the newest messages
                return None

    async def _slack(self, method: str, **args: Any) -> dict[str, Any]:  # noqa: ANN401 - each method's own
        return await self._call(self._tenant, method, channel=self._channel, **args)

    async def _card(self, handover: Handover) -> tuple[str, list[dict[str, Any]]]:
        """The card's text, for notifications, and its blocks."""
        who = escape(await self._name(handover, handover.person) or "Somebody")
        title = f"{who} asks for a person" if handover.opened_by == handover.person.id else (
            f"{who} is talked to by a person"
        )  # fmt: skip
        place = await self._link(handover)
        said = "\n".join(_shown(turn) for turn in handover.talk if turn.content)
        blocks = [
            _section(f"*{title}*  ·  {handover.channel}{place}"),
            _section(said[-_WORDS_CHARS:] or "_Nothing was said yet._"),
            {"type": "context", "elements": [{"type": "mrkdwn", "text": _state(handover)}]},
        ]
        if handover.state is not HandoverState.RESOLVED:
            blocks.append({"type": "actions", "elements": _buttons(handover)})
        return title, blocks

    async def _name(self, handover: Handover, by: Actor | None) -> str:
        """What somebody is called; people of Slack are looked up only where it is needed."""
        if by is None or by.name or handover.channel != NAME:
            return by.name if by is not None else ""
        key, _, user = by.id.rpartition(":")
        return await self._members.name(key, user)

    async def _link(self, handover: Handover) -> str:
        """Where the conversation is, if staff can open it: in this very workspace."""
        key, _, rest = handover.conversation.partition("/")
        channel, _, root = rest.partition("/")
        if handover.channel != NAME or self._tenant not in {"", key} or channel.startswith("D"):
            return ""
        try:
            found = await self._call(key, "chat.getPermalink", channel=channel, message_ts=root)
        except SlackError as problem:
            log.info("a handover's conversation is not linked", error=problem.message)
            return ""
        return f"  ·  <{escape(str(found['permalink']))}|open the thread>"

    # What staff do

    async def spoken(self, one: Said, text: str) -> None:
        """Somebody of the staff wrote in the queue channel."""
        if not one.thread_ts or not text or text.startswith(ASIDE):
            return
        handover = await self._handovers.carded(NAME, f"{one.channel}:{one.thread_ts}")
        handover = handover or await self._unknown(one)
        if handover is None:
            return
        by = await self._staff(one.tenant, one.user)
        try:
            await self._handovers.say(handover.id, by, text, key=one.event_id, desk=NAME)
        except NotAllowed as problem:
            await self._whisper(one.user, one.thread_ts, f"{problem.message} {problem.remedy}")
            return
        await self._sign(one.ts)

    async def _unknown(self, one: Said) -> Handover | None:
        """The handover of a thread: its card may be up although the post's answer was lost."""
        where = {"ts": one.thread_ts, "limit": 1, "include_all_metadata": True}
        data = await self._slack("conversations.replies", **where)
        for message in data.get("messages", [])[:1]:
            metadata = message.get("metadata") or {}
            if metadata.get("event_type") == CARD and message.get("user") == one.bot:
                handover_id = str((metadata.get("event_payload") or {}).get("handover"))
                place = f"{one.channel}:{one.thread_ts}"
                await self._handovers.put_card(handover_id, NAME, place)
                return await self._handovers.get(handover_id)
        return None

    async def pressed(self, body: Json, value: str) -> None:
        """A button of a card was pressed; `value` is such as `claim:3f…`."""
        channel = str((body.get("channel") or {}).get("id") or "")
        if channel != self._channel or self._tenant not in {"", tenant(body)}:
            log.warning("a card's button was pressed elsewhere")
            return
        what, _, handover_id = value.partition(":")
        user = str(body["user"]["id"])
        by = await self._staff(tenant(body), user)
        try:
            if what == "resolve":
                await self._handovers.resolve(handover_id, by)
            else:
                await self._handovers.claim(handover_id, by, take_over=what == "take")
        except (NotAllowed, NotFound) as problem:
            thread = str((body.get("message") or {}).get("ts") or "")
            await self._whisper(user, thread, f"{problem.message} {problem.remedy}")

    async def _staff(self, key: str, user: str) -> Actor:
        return Actor(f"{NAME}:{actor_id(key, user)}", await self._members.name(key, user))

    async def _whisper(self, user: str, thread: str, text: str) -> None:
        try:
            await self._slack("chat.postEphemeral", user=user, text=text, thread_ts=thread)
        except DeliveryError as problem:
            log.info("staff were not told why", error=problem.message)

    async def _sign(self, ts: str) -> None:
        """Show that it is on its way to the person."""
        try:
            await self._slack("reactions.add", name="outbox_tray", timestamp=ts)
        except SlackError as problem:
            log.info("could not show that it was passed on", error=problem.message)


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _shown(turn: Turn) -> str:
    words = " ".join(turn.content.split())
    words = words if len(words) <= _TURN_CHARS else f"{words[: _TURN_CHARS - 1]}…"
    return f":bust_in_silhouette: {escape(words)}" if turn.role == "user" else f"> {escape(words)}"


def _state(handover: Handover) -> str:
    who = escape(handover.claimed_by.name or handover.claimed_by.id) if handover.claimed_by else ""
    match handover.state:
        case HandoverState.OPEN:
            return f":large_orange_circle: Nobody has it yet.  {_HINT}"
        case HandoverState.CLAIMED:
            return f":large_blue_circle: {who} has it.  {_HINT}"
        case HandoverState.RESOLVED:
            return f":white_check_mark: Resolved{f'; {who} had it' if who else ''}."


def _buttons(handover: Handover) -> list[dict[str, Any]]:
    def button(label: str, what: str, style: str = "") -> dict[str, Any]:
        return {
            "type": "button",
            "action_id": f"{TURN}:{what}",
            "text": {"type": "plain_text", "text": label},
            "value": f"{what}:{handover.id}",
            **({"style": style} if style else {}),
        }

    resolve = button("Resolve", "resolve")
    if handover.state is HandoverState.OPEN:
        return [button("Claim", "claim", "primary"), resolve]
    return [button("Take over", "take"), resolve]

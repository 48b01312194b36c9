"""Votes on answers: buttons, reactions, and the question what went wrong.

One person has one vote on an answer, whichever way it was given: the button's counts while
there is one. A click again says the same again, since Slack's buttons cannot be released;
the thanks carry a button that takes the vote back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import structlog

from adapters.slack.api import Call, SlackError
from adapters.slack.places import NAME, actor_id, tenant
from adapters.slack.render import human
from bot.errors import NotFound
from bot.notes import Notes
from bot.store import AnswerRecord, Store
from bot.types import Vote

WITHDRAW = "deskhand_withdraw"
REASON = "deskhand_reason"  # the modal
_UP = {"+1", "thumbsup"}
_DOWN = {"-1", "thumbsdown"}
_REASONS = {
    "wrong": "It is wrong",
    "missing": "It leaves something out",
    "old": "It is out of date",
    "beside": "It answers another question",
    "tone": "It is hard to understand",
}
_WORDS = 3_000

Json = Mapping[str, Any]
log = structlog.get_logger(__name__)


class Votes:
    """Turns what people click into votes."""

    def __init__(
        self, store: Store, notes: Notes, call: Call, staffed: Callable[[], bool] = lambda: False
    ) -> None:
        """`staffed`: whether somebody would hear a wish for a person."""
        self._staffed = staffed
        self._store = store
        self._notes = notes
        self._call = call

    # Buttons

    async def clicked(self, body: Json, value: str) -> None:
        """Take a thumb in. `value` is what the button carries, such as `-1:3f…`."""
        sign, _, answer_id = value.partition(":")
        up = sign == "+1"
        if not await self.mine(answer_id, body):
            return
        voter = _voter(body)
        if up or await self._present(answer_id, voter) != -1:
            await self._cast(answer_id, voter, 1 if up else -1)
        await self._notes.put(_button(answer_id, voter), {})

    async def clicked_after(self, body: Json, value: str) -> None:
        """What follows on the screen: thanks, and for a thumb down first the modal."""
        sign, _, answer_id = value.partition(":")
        if sign != "+1":
            await self._ask_why(body, answer_id)
        await self._thank(body, answer_id, up=sign == "+1")

    async def withdrawn(self, body: Json, answer_id: str) -> None:
        """Take a vote back."""
        if await self.mine(answer_id, body):
            await self._cast(answer_id, _voter(body), 0)
            await self._notes.drop(_button(answer_id, _voter(body)))

    async def explained(self, body: Json) -> None:
        """Keep what somebody wrote in the modal."""
        view = body["view"]
        answer_id = str(view["private_metadata"])
        if not await self.mine(answer_id, body):
            return
        values = view["state"]["values"]
        choice = (values.get("reason", {}).get("reason") or {}).get("selected_option") or {}
        more = (values.get("more", {}).get("more") or {}).get("value") or ""
        right = (values.get("right", {}).get("right") or {}).get("value") or ""
        reason = ": ".join(part for part in (_REASONS.get(choice.get("value", "")), more) if part)
        await self._cast(answer_id, _voter(body), -1, reason, right)

    # Reactions

    async def reacted(self, body: Json, *, removed: bool) -> None:
        """Take a reaction on one of our answers as a vote, unless a button has been used."""
        event = body["event"]
        name = str(event["reaction"]).partition("::")[0]  # without the skin tone
        item = event.get("item") or {}
        if name not in _UP | _DOWN or item.get("type") != "message":
            return
        answer_id = await self._store.shown_as(NAME, f"{item.get('channel')}:{item.get('ts')}")
        if answer_id is None:
            return
        voter = f"{NAME}:{actor_id(tenant(body), str(event['user']))}"
        if await self._notes.get(_button(answer_id, voter)) is not None:
            return
        value: Literal[-1, 1] = 1 if name in _UP else -1
        if not removed:
            await self._cast(answer_id, voter, value)
        elif await self._present(answer_id, voter) == value:
            await self._cast(answer_id, voter, 0)

    # Below

    async def mine(self, answer_id: str, body: Json) -> AnswerRecord | None:
        """The answer that a button stands under, if it was given where the click comes from."""
        record = await self._store.answer(answer_id)
        here = record is not None and record.channel == NAME
        if record is None or not here or record.actor_id.partition(":")[0] != tenant(body):
            log.warning("a vote on an answer that is not from here", answer_id=answer_id)
            return None
        return record

    async def _present(self, answer_id: str, voter: str) -> int:
        record = await self._store.answer(answer_id)
        if record is None:
            return 0
        for exchange in await self._store.thread(NAME, record.conversation):
            if exchange.answer_id == answer_id and voter in exchange.votes:
                return exchange.votes[voter].value
        return 0

    async def _cast(
        self,
        answer_id: str,
        voter: str,
        value: Literal[-1, 0, 1],
        reason: str = "",
        correction: str = "",
    ) -> None:
        try:
            await self._store.vote(Vote(answer_id, voter, value, reason, correction))
        except NotFound:
            log.warning("a vote on an answer that is gone", answer_id=answer_id)

    async def _ask_why(self, body: Json, answer_id: str) -> None:
        try:
            await self._call(
                tenant(body), "views.open", trigger_id=body["trigger_id"], view=_modal(answer_id)
            )
        except SlackError as problem:  # the vote counts; only the question why is not asked
            log.info("the reason was not asked for", error=problem.message)

    async def _thank(self, body: Json, answer_id: str, *, up: bool) -> None:
        channel = (body.get("channel") or {}).get("id")
        if not channel:
            return
        text = "Thanks, noted: this helped." if up else "Thanks, noted: this did not help. Sorry!"
        button = {
            "type": "button",
            "action_id": WITHDRAW,
            "value": answer_id,
            "text": {"type": "plain_text", "text": "Take it back"},
        }
        buttons = [button] if up or not self._staffed() else [button, human(answer_id)]
        blocks = [
            {"type": "section", "text": {"type": "mrkdwn", "text": text}},
            {"type": "actions", "elements": buttons},
        ]
        args = {"channel": channel, "user": body["user"]["id"], "text": text, "blocks": blocks}
        thread = (body.get("message") or {}).get("thread_ts")
        try:
            await self._call(tenant(body), "chat.postEphemeral", **args, **_thread(thread))
        except SlackError as problem:
            log.info("thanks were not shown", error=problem.message)


def _thread(ts: str | None) -> dict[str, str]:
    return {"thread_ts": ts} if ts else {}


def _voter(body: Json) -> str:
    return f"{NAME}:{actor_id(tenant(body), str(body['user']['id']))}"


def _button(answer_id: str, voter: str) -> str:
    return f"button/{answer_id}/{voter}"


def _modal(answer_id: str) -> dict[str, Any]:
    def plain(text: str) -> dict[str, str]:
        return {"type": "plain_text", "text": text}

    def words(key: str, label: str) -> dict[str, Any]:
        element = {"type": "plain_text_input", "action_id": key, "multiline": True}
        element["max_length"] = _WORDS
        return {
            "type": "input",
            "block_id": key,
            "optional": True,
            "label": plain(label),
            "element": element,
        }

    options = [{"text": plain(text), "value": key} for key, text in _REASONS.items()]
    choice = {"type": "radio_buttons", "action_id": "reason", "options": options}
    return {
        "type": "modal",
        "callback_id": REASON,
        "private_metadata": answer_id,
        "title": plain("What went wrong?"),
        "submit": plain("Send"),
        "close": plain("Skip"),
        "blocks": [
            {
                "type": "input",
                "block_id": "reason",
                "optional": True,
                "label": plain("The answer"),
                "element": choice,
            },
            words("more", "In your words"),
            words("right", "What should it have said?"),
        ],
    }

"""Votes on answers: buttons, reactions, and what somebody would have said instead.

One person has one vote on an answer, whichever way it was given: the button's counts while there
is one. Pressing the same thumb again takes the vote back. The buttons stay for everybody; in a
group they show how many pressed which, in a private chat which one counts.

What a press means is noted before it is carried out, under the id of the press: an update that
arrives again after a crash does not turn the vote round again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import structlog
from aiogram.methods import AnswerCallbackQuery, EditMessageReplyMarkup
from aiogram.types import (
    CallbackQuery,
    ForceReply,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    Message,
    MessageReactionUpdated,
    ReactionTypeEmoji,
)

from adapters.telegram.api import Api, TelegramError
from adapters.telegram.later import Later
from adapters.telegram.places import NAME, Moves, Spot
from adapters.telegram.speak import Speaker
from adapters.telegram.talks import chat_of
from adapters.telegram.texts import LANGUAGES, REASONS, Texts, texts
from bot.errors import NotFound
from bot.notes import Notes
from bot.store import AnswerRecord, Store
from bot.types import Vote

VOTE, REASON, WORDS, STOP, TALK, ERASE = "v", "r", "w", "s", "h", "d"
"""What a button's data begins with."""
_UP = {"👍", "❤", "🔥", "🎉", "👏", "💯", "🙏"}
_DOWN = {"👎", "💩", "🤬"}
_MOST_WORDS = 3_000

Value = Literal[-1, 0, 1]
log = structlog.get_logger(__name__)


def vote_row(
    answer_id: str, told: Texts, up: str = "", down: str = ""
) -> list[InlineKeyboardButton]:
    """The two thumbs; `up` and `down` are what stands behind them."""
    return [
        InlineKeyboardButton(
            text=f"👍 {up or told.helpful}", callback_data=f"{VOTE}:{answer_id}:u"
        ),
        InlineKeyboardButton(
            text=f"👎 {down or told.unhelpful}", callback_data=f"{VOTE}:{answer_id}:d"
        ),
    ]


def vote_keyboard(
    answer_id: str, told: Texts, votes: Mapping[str, Vote], voter: str
) -> InlineKeyboardMarkup:
    """The buttons as they stand: `voter` is the only person of a private chat, else empty."""
    ups = sum(1 for vote in votes.values() if vote.value > 0)
    downs = sum(1 for vote in votes.values() if vote.value < 0)
    if voter:
        up = f"{told.helpful} ✓" if ups else ""
        down = f"{told.unhelpful} ✓" if downs else ""
        why = downs > 0 and not (votes[voter].reason or votes[voter].correction)
    else:
        up, down, why = str(ups or ""), str(downs or ""), downs > 0
    rows = [vote_row(answer_id, told, up, down)]
    if why:
        rows += _why(answer_id, told)
    return InlineKeyboardMarkup(inline_keyboard=rows)


def _why(answer_id: str, told: Texts) -> list[list[InlineKeyboardButton]]:
    reasons = [
        InlineKeyboardButton(text=label, callback_data=f"{REASON}:{answer_id}:{key}")
        for key, label in zip(REASONS, told.reasons, strict=True)
    ]
    own = InlineKeyboardButton(text=f"✍ {told.own_words}", callback_data=f"{WORDS}:{answer_id}")
    return [reasons[:2], reasons[2:4], [*reasons[4:], own]]


class Votes:
    """Turns what people press into votes."""

    def __init__(
        self,
        store: Store,
        notes: Notes,
        api: Api,
        speaker: Speaker,
        later: Later,
        moves: Moves,
    ) -> None:
        self._store = store
        self._notes = notes
        self._api = api
        self._speaker = speaker
        self._later = later
        self._moves = moves

    # Buttons

    async def pressed(self, query: CallbackQuery, kind: str, rest: str) -> None:
        """Take one press in; returns when it is kept."""
        answer_id, _, what = rest.partition(":")
        told = texts(query.from_user.language_code or "en")
        record = await self._mine(answer_id, query)
        if record is None:
            await self.answer(query, told.vote_gone)
            return
        voter = _voter(query.from_user.id)
        before = (await self._store.votes(answer_id)).get(voter)
        match kind:
            case "v":
                target = await self._target(query.id, answer_id, voter, before, what)
                await self.answer(query, told.withdrawn if not target else told.voted)
                await self._cast(answer_id, voter, target, before)
            case "r" if what in REASONS:
                await self.answer(query, told.thanks)
                reason = LANGUAGES["en"].reasons[REASONS.index(what)]
                await self._cast(answer_id, voter, -1, before, reason=reason)
            case "w":
                await self.answer(query, "")
                await self._ask(query, answer_id, told)
                return
        self._later.do(self._show(query, answer_id, told))

    async def answer(self, query: CallbackQuery, text: str) -> None:
        """End the button's waiting sign, at once; too late is no matter."""
        try:
            await self._api.call(AnswerCallbackQuery(callback_query_id=query.id, text=text or None))
        except TelegramError as problem:
            log.info("a press was not answered", error=problem.message)

    async def _target(
        self, press: str, answer_id: str, voter: str, before: Vote | None, thumb: str
    ) -> Value:
        """What this press makes of the vote, the same however often the update arrives."""
        key = _button(voter, answer_id)
        noted = await self._notes.get(key)
        if noted is not None and noted.get("press") == press:
            value = int(noted["value"])
            return 1 if value > 0 else -1 if value < 0 else 0
        value = 1 if thumb == "u" else -1
        target: Value = 0 if before is not None and before.value == value else _sign(value)
        await self._notes.put(key, {"press": press, "value": target})
        return target

    async def _show(self, query: CallbackQuery, answer_id: str, told: Texts) -> None:
        """Bring the buttons under the message up to date."""
        message = query.message
        if message is None:
            return
        voter = _voter(query.from_user.id) if message.chat.type == "private" else ""
        votes = await self._store.votes(answer_id)
        if voter:
            votes = {voter: votes[voter]} if voter in votes else {}
        business = message.business_connection_id if isinstance(message, Message) else None
        change = EditMessageReplyMarkup(
            chat_id=message.chat.id,
            message_id=message.message_id,
            business_connection_id=business,
            reply_markup=vote_keyboard(answer_id, told, votes, voter),
        )
        try:
            await self._api.call(change)
        except TelegramError as problem:
            if problem.code != "not_modified":
                log.info("the buttons were not brought up to date", error=problem.message)

    async def _ask(self, query: CallbackQuery, answer_id: str, told: Texts) -> None:
        """Ask what the answer should have said; the reply to that message is the correction."""
        message = query.message
        if message is None:
            return
        spot = Spot(
            chat=message.chat.id,
            thread=message.message_thread_id
            if isinstance(message, Message) and message.is_topic_message
            else None,
            message=message.message_id,
            business=message.business_connection_id if isinstance(message, Message) else None,
        )
        asked = await self._speaker.say(
            spot, told.correct, ForceReply(force_reply=True, selective=True)
        )
        if asked is not None:
            note = {"answer": answer_id, "user": query.from_user.id}
            await self._notes.put(_asked(message.chat.id, asked.message_id), note)

    async def corrected(self, message: Message, words: str) -> bool:
        """Keep a reply to the question above; False if it is something else."""
        to, user = message.reply_to_message, message.from_user
        if to is None or user is None or not words:
            return False
        key = _asked(message.chat.id, to.message_id)
        note = await self._notes.get(key)
        if note is None or note["user"] != user.id:
            return False
        answer_id, voter = str(note["answer"]), _voter(user.id)
        before = (await self._store.votes(answer_id)).get(voter)
        await self._cast(answer_id, voter, -1, before, correction=words[:_MOST_WORDS])
        return True

    # Reactions

    async def reacted(self, update: MessageReactionUpdated) -> None:
        """Take the reactions somebody has on one of our messages now as their vote."""
        key = f"{update.chat.id}:{update.message_id}"
        answer_id = await self._store.shown_as(NAME, key)
        if answer_id is None:
            part = await self._notes.get(f"part/{key}")
            answer_id = str(part["answer"]) if part is not None else None
        actor = update.user or update.actor_chat
        if answer_id is None or actor is None:
            return
        voter = _voter(actor.id)
        pressed = await self._notes.get(_button(voter, answer_id))
        if pressed is not None and pressed.get("value"):
            return
        target = _reaction(
            [one.emoji for one in update.new_reaction if isinstance(one, ReactionTypeEmoji)]
        )
        before = (await self._store.votes(answer_id)).get(voter)
        if target != (before.value if before is not None else 0):
            await self._cast(answer_id, voter, target, before)

    async def forget(self, user: int) -> None:
        """Drop what is remembered of somebody's presses."""
        for key in await self._notes.under(f"press/{_voter(user)}/"):
            await self._notes.drop(key)

    # Below

    async def _mine(self, answer_id: str, query: CallbackQuery) -> AnswerRecord | None:
        """The answer, if it was given in the chat that the press comes from."""
        record = await self._store.answer(answer_id)
        if record is None or record.channel != NAME or query.message is None:
            log.warning("a vote on an answer that is not from here", answer_id=answer_id)
            return None
        if chat_of(record.conversation) != str(self._moves.origin(query.message.chat.id)):
            log.warning("a vote on an answer of another chat", answer_id=answer_id)
            return None
        return record

    async def _cast(
        self,
        answer_id: str,
        voter: str,
        value: Value,
        before: Vote | None,
        *,
        reason: str = "",
        correction: str = "",
    ) -> None:
        """Vote; words that stand with a vote of the same kind are kept."""
        kept = before if before is not None and before.value == value else None
        reason = reason or (kept.reason if kept else "")
        correction = correction or (kept.correction if kept else "")
        try:
            await self._store.vote(Vote(answer_id, voter, value, reason, correction))
        except NotFound:
            log.warning("a vote on an answer that is gone", answer_id=answer_id)


def _reaction(emoji: Sequence[str]) -> Value:
    """The vote in somebody's reactions; contradicting ones are none."""
    plain = {one.rstrip("\ufe0f") for one in emoji}
    up, down = bool(plain & _UP), bool(plain & _DOWN)
    return 0 if up == down else 1 if up else -1


def _sign(value: int) -> Literal[-1, 1]:
    return 1 if value > 0 else -1


def _voter(user: int) -> str:
    return f"{NAME}:{user}"


def _button(voter: str, answer_id: str) -> str:
    return f"press/{voter}/{answer_id}"


def _asked(chat: int, message: int) -> str:
    return f"ask/{chat}:{message}"

"""A made-up month of support at the sample company, so that the console has something to show.

Knows the sample company's questions and how people vote. The answers are real: the bot itself
gives them, once per question; only when they were asked, by whom, and what people thought of
them is invented, with a fixed seed.
"""

from __future__ import annotations

import random
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from bot.cli.console import err
from bot.config import DatabaseSettings, Settings
from bot.tables import MessageState, SendState, answer_values
from bot.tables.review import CaseState, Role
from bot.types import Outcome, Question, Reply
from knowledge.types import Audience

if TYPE_CHECKING:
    from bot.cli.wiring import Answering
    from bot.reviewing.accounts import Member
    from bot.store import Store

DAYS = 30
CONVERSATIONS = 420
SEED = 4

ASKED = (
    ("How long do I have to return a bike?", "how many days do i have to return my bike?"),
    ("What does error E07 mean?", "display shows E07, what is that", "what does E07 mean?"),
    ("How much does shipping to France cost?", "shipping price for a bike to france"),
    ("Can I charge the battery at minus 5 degrees?", "is it ok to charge when it freezes"),
    ("How do I reset my password?", "I forgot my password", "cant log in, forgot password"),
    ("Who pays for the return of a faulty bike?", "who pays return shipping for a broken bike"),
    ("How long is the warranty?", "how many years of warranty do i get"),
    ("Do you rent bikes by the day?", "can I rent a cargo bike for a weekend?"),
    ("How far does a full battery go?", "what range can I expect?"),
    ("Can I cancel my order?", "i want to cancel my order"),
    ("When will my bike arrive?", "ordered last week, when does it come?"),
    ("What does an inspection cost?", "price of a yearly service?"),
    ("Can I pay in instalments?", "is there financing?"),
    ("How do I lock the bike with the app?", "lock via app?"),
    ("From what age can children ride in the box?", "how old must my child be for the box"),
    ("Wie lange habe ich Zeit, ein Rad zurückzugeben?",),
    ("¿Puedo devolver una bicicleta?",),
    ("保修期是多久？",),
)
UNKNOWN = (
    ("Do you sell bikes for left-handed people?", "is there a bike for left handed riders?"),
    ("Can I tow my boat with the Heron?", "could I tow a boat with it?"),
    ("Do you ship to Iceland?", "is delivery to iceland possible?", "Iceland shipping?"),
    ("Who won the football match yesterday?",),
    ("Is there a discount for firefighters?", "do firefighters get a discount"),
)
STAFF = (
    ("How much may the care desk refund without asking?",),
    ("What do I do when the VPN does not connect?", "vpn is not connecting"),
    ("How many days of leave do I have?",),
)
REASONS = ("Out of date", "Not my question", "Too long", "Wrong number", "I still don't know", "")
WISHES = ("It should say that it is 30 days from delivery.", "Please say what it costs.", "", "")
FRAGILE = (1, 4, 9)  # questions of ASKED whose answers people like least
WHEN = (8, 9, 9, 10, 10, 11, 13, 14, 14, 15, 16, 17, 19, 20)

_tables = SQLModel.metadata.tables


@dataclass(frozen=True, slots=True)
class _Asked:
    """One way of asking, with the answer the bot gave to it."""

    text: str
    reply: Reply
    audience: Audience
    liked: float


def apart(current: Settings) -> Settings:
    """The settings of a demonstration: a data folder and a database of its own, staff at hand."""
    return current.model_copy(
        update={
            "home": current.home / "demo",
            "database": DatabaseSettings(),
            "console": current.console.model_copy(update={"live": True}),
        }
    )


async def fill(store: Store, made: Answering) -> None:
    """Fill an empty database; one that has conversations is left as it is.

    Adds an administrator `demo` with a password made up now, and prints it.
    """
    if (await store.counts()).conversations:
        return
    err.print("Making up a month of conversations…")
    asked = await _answers(made)
    rows = _rows(asked, random.Random(SEED))  # noqa: S311 - a demonstration, not a secret

    def write(connection: Connection) -> None:
        for name, values in rows.items():
            connection.execute(sa.insert(_tables[name]), values)

    await store.database.write(write)
    from bot.reviewing.accounts import Accounts

    accounts, password = Accounts(store.database), secrets.token_urlsafe(9)
    await accounts.add("demo", password, Role.ADMIN, Audience.INTERNAL, "demo")
    rita = await accounts.add(
        "rita", secrets.token_urlsafe(12), Role.REVIEWER, Audience.INTERNAL, "demo"
    )
    await _review(store, made, rita)
    err.print(f"Log in to the console as demo, password {password}", markup=False)


async def _review(store: Store, made: Answering, rita: Member) -> None:
    """Let a reviewer have decided the older half, and corrected one answer for everybody."""
    from bot.reviewing.cases import Cases
    from bot.reviewing.filing import Filing
    from bot.reviewing.verdicts import Fault, Judgement, Review

    if made.curated is None:
        return
    await Filing(store.database, made.embedder).catch_up()
    review, cases = Review(store.database, made.curated), Cases(store.database)
    groups = await cases.queue(CaseState.OPEN, rita.audiences, limit=400)
    settled = ("left-handed", "firefighters")
    old = datetime.now(UTC) - timedelta(days=9)
    faults = (Fault.GAP, Fault.WORDING, Fault.RETRIEVAL, Fault.SHOULD_ANSWER, Fault.GAP)
    for number, row in enumerate(row for group in groups for row in group):
        if any(word in row["question"] for word in settled) or row["asked"] > old:
            continue
        right = row["outcome"] is Outcome.ANSWERED and number % 3
        wrong = Judgement("wrong", faults[number % len(faults)])
        await review.judge([row["answer_id"]], Judgement("right") if right else wrong, rita)
    same = [row for group in groups for row in group if "firefighters" in row["question"]]
    text = "Yes: firefighters get **5 % off** every bike, in all our stores. Bring your card."
    given = Judgement("wrong", Fault.GAP, text)
    await review.correct([row["answer_id"] for row in same], given, rita)


class _Nowhere:
    async def status(self, text: str) -> None:
        """Nothing is shown."""

    async def append(self, delta: str) -> None:
        """Nothing is shown."""


async def _answers(made: Answering) -> list[list[_Asked]]:
    """The bot's answers to every way of asking each question."""
    found: list[list[_Asked]] = []
    groups = [(one, Audience.CUSTOMER) for one in (*ASKED, *UNKNOWN)]
    groups += [(one, Audience.INTERNAL) for one in STAFF]
    for number, (wordings, audience) in enumerate(groups):
        liked = 0.45 if number in FRAGILE else 0.92
        group = []
        for text in wordings:
            question = Question(f"demo:{text}", text, audience)
            reply = await made.answerer.answer(question, _Nowhere())
            group.append(_Asked(text, reply, audience, liked))
        found.append(group)
    return found


def _rows(groups: Sequence[Sequence[_Asked]], dice: random.Random) -> dict[str, list[Any]]:
    """Rows of every table, in the order they may be inserted."""
    rows: dict[str, list[Any]] = {
        name: [] for name in ("conversation", "message", "answer", "outbox", "vote")
    }
    today = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    people = [uuid.UUID(int=dice.getrandbits(128)).hex for _ in range(140)]
    for number in sorted(_starts(dice)):
        person = dice.choice(people)
        channel = dice.choices(("web", "slack", "telegram"), (6, 3, 2))[0]
        moment = today - timedelta(hours=DAYS * 24 - number)
        moment += timedelta(seconds=dice.randrange(3600))
        if moment > datetime.now(UTC):
            continue
        count = dice.choices((1, 2, 3), (7, 2, 1))[0]
        key = f"{person}.{uuid.UUID(int=dice.getrandbits(128)).hex[:16]}"
        conversation = len(rows["conversation"]) + 1
        group = dice.choices(groups, [6.0 if len(one) > 2 else 3.0 for one in groups])[0]
        audience = group[0].audience
        rows["conversation"].append(
            {
                "id": conversation,
                "channel": channel,
                "key": key,
                "audience": audience,
                "created": moment,
                "last": moment,
            }
        )
        for turn in range(count):
            if turn:
                same = [one for one in groups if one[0].audience is audience]
                group = dice.choice(same)
                moment += timedelta(seconds=dice.randrange(40, 300))
            one = dice.choice(group)
            _exchange(rows, dice, one, (conversation, channel, person), moment)
    return rows


def _starts(dice: random.Random) -> list[int]:
    """Hours of the month in which somebody comes: more on working days, and growing."""
    found: list[int] = []
    while len(found) < CONVERSATIONS:
        day = int(DAYS * dice.random() ** 0.8)
        if day % 7 in {5, 6} and dice.random() < 0.6:
            continue
        found.append(day * 24 + dice.choice(WHEN))
    return found


def _exchange(
    rows: dict[str, list[Any]],
    dice: random.Random,
    asked: _Asked,
    place: tuple[int, str, str],
    moment: datetime,
) -> None:
    conversation, channel, person = place
    number = len(rows["message"]) + 1
    answer_id = uuid.UUID(int=dice.getrandbits(128)).hex
    took = timedelta(milliseconds=dice.lognormvariate(5.0, 0.5))
    rows["message"].append(
        {
            "event_id": f"demo:{number}",
            "conversation_id": conversation,
            "actor_id": person,
            "actor_name": "",
            "audience": asked.audience,
            "text": asked.text,
            "detail": {},
            "at": moment,
            "accepted": moment,
            "state": MessageState.ANSWERED,
            "attempts": 1,
        }
    )
    rows["answer"].append(
        {
            "id": answer_id,
            "message_id": number,
            "created": moment + took,
            **answer_values(asked.reply),
        }
    )
    rows["outbox"].append(
        {
            "answer_id": answer_id,
            "state": SendState.SENT,
            "platform_id": answer_id,
            "attempts": 1,
            "repeated": False,
            "error": "",
            "changed": moment + took,
        }
    )
    known = asked.reply.outcome is Outcome.ANSWERED
    if dice.random() < (0.34 if known else 0.25):
        up = known and dice.random() < asked.liked
        rows["vote"].append(
            {
                "answer_id": answer_id,
                "voter": f"{channel}:{person}",
                "value": 1 if up else -1,
                "reason": "" if up else dice.choice(REASONS),
                "correction": "" if up else dice.choice(WISHES),
                "at": moment + timedelta(minutes=1),
            }
        )

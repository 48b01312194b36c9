"""A store with everything that reviews it, and reviewers."""

from __future__ import annotations

import dataclasses

from bot.answering.understand import understand
from bot.dispatching.journal import Journal
from bot.reviewing.accounts import Member
from bot.reviewing.cases import Cases
from bot.reviewing.curated import CuratedAnswers
from bot.reviewing.filing import Filing
from bot.reviewing.verdicts import Fault, Judgement, Review
from bot.store import Store
from bot.tables import CaseState, Role
from bot.types import Outcome, Question, Reply, Vote
from knowledge.types import Audience
from tests.fakes.dialogue import event
from tests.fakes.embedder import WordEmbedder

ANN = Member(1, "ann", Role.REVIEWER, Audience.INTERNAL)
BEN = Member(2, "ben", Role.REVIEWER, Audience.INTERNAL)
OUTSIDER = Member(3, "kim", Role.REVIEWER, Audience.CUSTOMER)
BOTH = ANN.audiences
WRONG = Judgement("wrong", Fault.WORDING)


class Office:
    """A store with everything that reviews it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        embedder = WordEmbedder()
        self.filing = Filing(store.database, embedder)
        self.cases = Cases(store.database)
        self.curated = CuratedAnswers(store.database, embedder)
        self.review = Review(store.database, self.curated)
        self._events = 0

    async def answered(
        self,
        text: str,
        reply: Reply | None = None,
        *,
        audience: Audience = Audience.CUSTOMER,
        down: bool = False,
        conversation: str = "",
    ) -> str:
        self._events += 1
        asked = event(f"e{self._events}", text, conversation=conversation or f"c{self._events}")
        actor = dataclasses.replace(asked.actor, audience=audience)
        asked = dataclasses.replace(asked, actor=actor)
        journal = Journal(self.store.database)
        taken = await journal.take_in(asked)
        made = reply or Reply(f"re: {text}", Outcome.ANSWERED, confidence=0.9)
        answer_id = await journal.settle(taken.message_id, made)
        if down:
            await self.store.vote(Vote(answer_id, f"web:v{self._events}", -1, "wrong number"))
        return answer_id

    async def open(self) -> list[str]:
        groups = await self.cases.queue(CaseState.OPEN, BOTH)
        return [row["answer_id"] for group in groups for row in group]

    async def asked(self, text: str, audience: Audience = Audience.CUSTOMER) -> str:
        reply = await self.curated.answer(Question("q", text, audience), understand(text))
        return reply.text if reply else ""

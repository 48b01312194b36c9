"""A person's own data: exported, deleted, forgotten after its time, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bot.reviewing.erase import Eraser, person_of
from bot.reviewing.verdicts import Fault, Judgement
from bot.store import Store
from bot.tables import CaseState
from bot.types import Vote
from tests.fakes.dialogue import MOMENT
from tests.fakes.reviewers import ANN, BOTH, Office


async def test_everything_of_one_person_goes_and_others_stay(store: Store) -> None:
    office = Office(store)
    await office.curated.load()
    mine = await office.answered("how long is my warranty", down=True)
    await store.vote(Vote(mine, "fake:ann", 1, "thanks"))
    await office.filing.catch_up()
    await office.review.correct([mine], Judgement("wrong", Fault.GAP, "Ten years."), ANN)
    eraser = Eraser(store.database)
    told = await eraser.export("fake", "ann")
    assert [one["text"] for one in told["messages"]] == ["how long is my warranty"]
    assert [one["reason"] for one in told["votes"]] == ["thanks"]
    await eraser.consent(person_of("fake", "ann"), training=False)
    assert (await eraser.export("fake", "ann"))["training"] is False
    assert (await eraser.delete("fake", "ben", "test")).messages == 0
    erased = await eraser.delete("fake", "ann", "test")
    assert (erased.messages, erased.answers, erased.votes) == (1, 1, 2)
    assert (await eraser.export("fake", "ann"))["messages"] == []
    assert await office.cases.queue(CaseState.OPEN, BOTH) == []
    assert await eraser.stale([mine, "other"]) == [mine]
    await office.curated.load()
    assert await office.asked("how long is my warranty") == ""
    assert (await eraser.delete("fake", "ann", "test")).answers == 0


async def test_old_conversations_are_forgotten_and_young_ones_kept(store: Store) -> None:
    office = Office(store)
    await office.answered("an old question about bells")
    eraser = Eraser(store.database)
    assert await eraser.forget_before(MOMENT - timedelta(days=1)) == 0
    assert await eraser.forget_before(MOMENT + timedelta(days=1)) == 1
    assert (await store.counts()).conversations == 0
    assert await eraser.forget_before(datetime.now(UTC)) == 0

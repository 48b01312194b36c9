"""Notes of channels, and what channels ask the store: on SQLite and PostgreSQL."""

from __future__ import annotations

import pytest

from bot.dispatching.journal import Journal
from bot.notes import Notes
from bot.store import Store
from bot.types import Outcome, Reply
from tests.fakes.dialogue import event


async def test_a_note_is_kept_replaced_and_forgotten(store: Store) -> None:
    notes = Notes(store.database, "slack")
    assert await notes.get("mute/a") is None
    await notes.put("mute/a", {"by": "ann"})
    await notes.put("mute/a", {"by": "bob"})
    assert await notes.get("mute/a") == {"by": "bob"}
    await notes.drop("mute/a")
    await notes.drop("mute/a")
    assert await notes.get("mute/a") is None


async def test_channels_do_not_see_each_others_notes_and_prefixes_are_literal(
    store: Store,
) -> None:
    slack, telegram = Notes(store.database, "slack"), Notes(store.database, "telegram")
    await slack.put("s_1/a", {"n": 1})
    await slack.put("sx1/b", {"n": 2})
    await telegram.put("s_1/c", {"n": 3})
    assert await slack.under("s_1/") == {"s_1/a": {"n": 1}}


async def answered(store: Store, number: int, shown_as: str, **more: str) -> str:
    journal = Journal(store.database)
    taken = await journal.take_in(event(number, **more))  # type: ignore[arg-type] # texts only
    answer_id = await journal.settle(taken.message_id, Reply("Yes.", Outcome.ANSWERED))
    await journal.sent(answer_id, shown_as)
    return answer_id


async def test_an_answer_is_found_by_the_message_that_shows_it(store: Store) -> None:
    answer_id = await answered(store, 1, "C1:1.2")
    assert await store.shown_as("fake", "C1:1.2") == answer_id
    assert await store.shown_as("other", "C1:1.2") is None
    assert await store.shown_as("fake", "C1:1.3") is None


async def test_who_asked_in_a_conversation_is_known(store: Store) -> None:
    await answered(store, 1, "a", actor="ann")
    await answered(store, 2, "b", actor="bob")
    await answered(store, 3, "c", actor="eve", conversation="c2")
    assert await store.speakers("fake", "c1") == {"ann", "bob"}
    assert await store.speakers("fake", "nowhere") == frozenset()


async def test_a_persons_recent_questions_come_newest_first(store: Store) -> None:
    for number in range(4):
        await answered(store, number, f"m{number}", actor="ann", conversation=f"c{number}")
    await answered(store, 9, "m9", actor="bob")
    recent = await store.recent("fake", "ann", limit=3)
    assert [one.event_id for one in recent] == ["fake:3", "fake:2", "fake:1"]


@pytest.mark.parametrize(("number", "known"), [(1, True), (2, False)])
async def test_a_message_is_amended_if_it_is_known(
    store: Store, number: int, *, known: bool
) -> None:
    await answered(store, 1, "a")
    assert await store.amend(f"fake:{number}", "corrected") is known
    texts = [one.text for one in await store.thread("fake", "c1")]
    assert texts == ["corrected" if known else "How do I return a parcel?"]

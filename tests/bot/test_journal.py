"""The inbox and outbox: taken in once, answered once, sent once, whatever is repeated."""

from __future__ import annotations

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot.dispatching.journal import Journal
from bot.errors import StoreError
from bot.store import Store
from bot.tables import MessageState, SendState
from bot.types import Outcome, Reply
from knowledge.types import Audience
from tests.fakes.dialogue import event

REPLY = Reply("Within 30 days.", Outcome.ANSWERED)


@pytest.fixture
def journal(store: Store) -> Journal:
    return Journal(store.database)


class TestInbox:
    async def test_one_event_four_times_at_once_is_one_row(
        self, journal: Journal, store: Store
    ) -> None:
        taken = await asyncio.gather(*(journal.take_in(event(1)) for _ in range(4)))
        assert [one.fresh for one in taken] == [True, False, False, False]
        assert len({one.message_id for one in taken}) == 1
        assert sum((await store.counts()).messages.values()) == 1

    async def test_an_event_that_was_answered_says_so(self, journal: Journal) -> None:
        taken = await journal.take_in(event(1))
        await journal.settle(taken.message_id, REPLY)
        again = await journal.take_in(event(1))
        assert (again.fresh, again.answered) == (False, True)

    async def test_what_was_taken_in_is_known(self, journal: Journal) -> None:
        assert not await journal.known("fake:1")
        await journal.take_in(event(1))
        assert await journal.known("fake:1")

    async def test_messages_are_numbered_in_the_order_of_taking_in(self, journal: Journal) -> None:
        taken = await asyncio.gather(*(journal.take_in(event(number)) for number in range(300)))
        assert [one.message_id for one in taken] == sorted(one.message_id for one in taken)

    async def test_a_message_is_kept_even_if_the_sender_hangs_up(
        self, journal: Journal, store: Store
    ) -> None:
        waiting = journal.take_in(event(1))
        waiting.cancel()
        await journal.take_in(event(2))
        assert [left.event_id for left in await journal.unfinished()] == ["fake:1", "fake:2"]
        assert (await store.counts()).messages[MessageState.ACCEPTED] == 2


class TestAnswering:
    async def test_claiming_counts_attempts_and_hands_out_the_text(self, journal: Journal) -> None:
        taken = await journal.take_in(event(1, "How?", audience=Audience.INTERNAL))
        first = await journal.claim(taken.message_id)
        second = await journal.claim(taken.message_id)
        assert first is not None
        assert second is not None
        assert (first.text, first.audience, first.attempts) == ("How?", Audience.INTERNAL, 1)
        assert second.attempts == 2

    async def test_handing_back_takes_the_attempt_back(self, journal: Journal) -> None:
        taken = await journal.take_in(event(1))
        await journal.claim(taken.message_id)
        await journal.release(taken.message_id)
        await journal.release(taken.message_id)
        claimed = await journal.claim(taken.message_id)
        assert claimed is not None
        assert claimed.attempts == 1

    async def test_a_message_is_answered_once(self, journal: Journal, store: Store) -> None:
        taken = await journal.take_in(event(1))
        other = Reply("Something else.", Outcome.ANSWERED)
        first = await journal.settle(taken.message_id, REPLY)
        second = await journal.settle(taken.message_id, other)
        assert first == second
        record = await store.answer(first)
        assert record is not None
        assert record.reply.text == REPLY.text

    async def test_an_answered_message_cannot_be_claimed_or_handed_back(
        self, journal: Journal
    ) -> None:
        taken = await journal.take_in(event(1))
        await journal.settle(taken.message_id, REPLY)
        await journal.release(taken.message_id)
        assert await journal.claim(taken.message_id) is None


class TestOutbox:
    @pytest.fixture
    async def answer_id(self, journal: Journal) -> str:
        taken = await journal.take_in(event(1))
        return await journal.settle(taken.message_id, REPLY)

    async def test_a_sent_reply_is_never_sent_again(
        self, journal: Journal, store: Store, answer_id: str
    ) -> None:
        assert await journal.begin_send(answer_id) == 1
        await journal.sent(answer_id, "p1")
        assert await journal.begin_send(answer_id) is None
        await journal.unsent(answer_id, SendState.READY, "late news")
        record = await store.answer(answer_id)
        assert record is not None
        assert (record.send, record.platform_id) == (SendState.SENT, "p1")

    async def test_a_reply_given_up_on_is_not_sent(self, journal: Journal, answer_id: str) -> None:
        await journal.unsent(answer_id, SendState.DEAD, "blocked")
        assert await journal.begin_send(answer_id) is None
        assert await journal.unfinished() == []

    async def test_a_repeat_stays_marked(
        self, journal: Journal, store: Store, answer_id: str
    ) -> None:
        assert await journal.begin_send(answer_id) == 1
        assert await journal.begin_send(answer_id, again=True) == 2
        assert await journal.begin_send(answer_id) == 3
        record = await store.answer(answer_id)
        assert record is not None
        assert record.repeated


async def test_what_is_left_to_do_comes_in_order_with_its_address(
    journal: Journal, store: Store
) -> None:
    for number, conversation in enumerate(["a", "b", "a", "b"]):
        await journal.take_in(event(number, conversation=conversation))
    left = await journal.unfinished()
    answer_id = await journal.settle(left[2].message_id, REPLY)
    await journal.begin_send(answer_id)
    await journal.sent(await journal.settle(left[0].message_id, REPLY), "p")
    await journal.claim(left[1].message_id)
    left = await journal.unfinished()
    assert [(one.event_id, one.answer_id, one.send, one.attempts) for one in left] == [
        ("fake:1", None, None, 1),
        ("fake:2", answer_id, SendState.SENDING, 0),
        ("fake:3", None, None, 0),
    ]
    assert left[0].address == event(1, conversation="b").address
    assert left[0].actor_id == "ann"
    del store


class TestGroupCommit:
    async def test_a_faulty_write_fails_alone(self, journal: Journal, store: Store) -> None:
        def faulty(connection: Connection) -> None:
            connection.execute(sa.text("DELETE FROM conversation"))
            connection.execute(sa.text("SELECT * FROM no_such_table"))

        def buggy(connection: Connection) -> None:
            del connection
            raise ZeroDivisionError

        first = journal.take_in(event(1))
        second = store.database.write(faulty)
        third = store.database.write(buggy)
        fourth = journal.take_in(event(2))
        with pytest.raises(StoreError):
            await second
        with pytest.raises(StoreError, match="ZeroDivisionError"):
            await third
        assert (await first).fresh
        assert (await fourth).fresh
        assert (await store.counts()).messages[MessageState.ACCEPTED] == 2
        assert await store.healthy()

    async def test_errors_do_not_repeat_what_people_wrote(self, store: Store) -> None:
        def faulty(connection: Connection) -> None:
            connection.execute(
                sa.text("INSERT INTO nowhere VALUES (:words)"), {"words": "my secret"}
            )

        with pytest.raises(StoreError) as refusal:
            await store.database.write(faulty)
        assert "secret" not in f"{refusal.value} {refusal.value.__cause__}"

    async def test_what_is_queued_is_written_before_closing(self, url: str) -> None:
        store = Store.open(url, exclusive=True)
        writes = [Journal(store.database).take_in(event(number)) for number in range(500)]
        await store.close()
        assert all(taken.fresh for taken in await asyncio.gather(*writes))
        with pytest.raises(StoreError, match="closed"):
            await Journal(store.database).take_in(event(1))

"""One question in, one reply out: order, load, fairness, deadlines, stop."""

from __future__ import annotations

import asyncio
import random

import pytest

from bot.dispatching import notices
from bot.errors import Busy, EngineError, Refused, TooLarge
from bot.store import Store
from bot.tables import SendState
from bot.types import Outcome, Question, Reply, Sink
from knowledge.types import Audience
from tests.fakes.bench import Bench, bench, until
from tests.fakes.dialogue import event


class TestOneMessage:
    async def test_a_question_gets_its_reply_and_the_row_says_so(self, store: Store) -> None:
        async with bench(store) as it:
            accepted = await it.dispatcher.accept(event(1, "How?"))
            assert (accepted.event_id, accepted.fresh) == ("fake:1", True)
            await it.shown(1)
            await it.sent(1)
            (exchange,) = await store.thread("fake", "c1")
            assert exchange.reply is not None
            assert exchange.reply.text == "re: How?"
            record = await store.answer(exchange.answer_id or "")
            assert record is not None
            assert (record.send, record.platform_id) == (SendState.SENT, "p1")
            assert it.channel.opened == [(event(1).address, "fake:1")]

    async def test_the_same_event_four_times_at_once_is_answered_once(self, store: Store) -> None:
        async with bench(store) as it:
            accepted = await asyncio.gather(*(it.dispatcher.accept(event(1)) for _ in range(4)))
            assert sorted(one.fresh for one in accepted) == [False, False, False, True]
            await it.sent(1)
            again = await it.dispatcher.accept(event(1))
            assert not again.fresh
            await it.dispatcher.accept(event(2))
            assert await it.shown(2) == ["fake:1", "fake:2"]

    async def test_a_follow_up_comes_with_what_was_said_before(self, store: Store) -> None:
        async with bench(store, history_turns=2) as it:
            for number in range(3):
                await it.dispatcher.accept(event(number, f"q{number}"))
            await it.dispatcher.accept(event("x", "elsewhere", conversation="c2"))
            await it.shown(4)
            history = {
                asked.text: [turn.content for turn in asked.history] for asked in it.answerer.asked
            }
            assert history == {
                "q0": [],
                "q1": ["q0", "re: q0"],
                "q2": ["q1", "re: q1"],
                "elsewhere": [],
            }

    async def test_the_asker_s_audience_reaches_the_answerer(self, store: Store) -> None:
        async with bench(store) as it:
            await it.dispatcher.accept(event(1, audience=Audience.INTERNAL))
            await it.shown(1)
            assert it.answerer.asked[0].audience is Audience.INTERNAL

    async def test_a_caller_that_hangs_up_is_answered_all_the_same(self, store: Store) -> None:
        async with bench(store) as it:
            call = asyncio.create_task(it.dispatcher.accept(event(1)))
            await asyncio.sleep(0)
            call.cancel()
            assert await it.shown(1) == ["fake:1"]


class TestOrderAndLoad:
    async def test_a_conversation_keeps_its_order_while_others_run(self, store: Store) -> None:
        async def dawdle(question: Question, sink: Sink) -> Reply:
            del sink
            await asyncio.sleep(random.uniform(0, 0.01))
            return Reply(question.text, Outcome.ANSWERED)

        async with bench(store, waiting_per_actor=100) as it:
            it.answerer.script = dawdle
            conversations = ["a", "b", "c", "d"]
            for number in range(40):
                await it.dispatcher.accept(event(number, conversation=conversations[number % 4]))
            shown = [int(event_id.removeprefix("fake:")) for event_id in await it.shown(40)]
            for rest in range(4):
                own = [number for number in shown if number % 4 == rest]
                assert own == sorted(own)
            assert it.answerer.most_running > 1

    async def test_no_more_than_the_workers_answer_at_once(self, store: Store) -> None:
        async with bench(store, workers=3) as it:
            it.answerer.script = it.held
            for number in range(8):
                await it.dispatcher.accept(event(number, conversation=f"c{number}"))
            await until(lambda: it.answerer.running == 3)
            await asyncio.sleep(0.05)
            it.gate.set()
            await it.shown(8)
            assert it.answerer.most_running == 3

    async def test_somebody_with_ten_waiting_does_not_starve_the_others(self, store: Store) -> None:
        async with bench(store, workers=1) as it:
            it.answerer.script = it.held
            for number in range(10):
                flood = event(f"flood{number}", conversation=f"f{number}", actor="flooder")
                await it.dispatcher.accept(flood)
            for name in ("ann", "bob", "cat"):
                await it.dispatcher.accept(event(name, conversation=name, actor=name))
            await asyncio.sleep(0.05)
            it.gate.set()
            shown = await it.shown(13)
            assert max(shown.index(f"fake:{name}") for name in ("ann", "bob", "cat")) <= 7
            floods = [event_id for event_id in shown if "flood" in event_id]
            assert floods == [f"fake:flood{number}" for number in range(10)]

    async def test_one_person_may_not_fill_the_queue(self, store: Store) -> None:
        async with bench(store, waiting_per_actor=2) as it:
            it.answerer.script = it.held
            for number in range(2):
                await it.dispatcher.accept(event(number))
            with pytest.raises(Busy, match="2 questions waiting"):
                await it.dispatcher.accept(event(2))
            assert not (await it.dispatcher.accept(event(1))).fresh  # a redelivery is no new load
            assert (await it.dispatcher.accept(event("b", actor="bob"))).fresh
            it.gate.set()
            await it.shown(3)
            await until(lambda: it.answerer.running == 0)
            assert (await it.dispatcher.accept(event(2))).fresh

    async def test_everybody_together_may_not_overfill_it(self, store: Store) -> None:
        async with bench(store, waiting=3) as it:
            it.answerer.script = it.held
            for number in range(3):
                await it.dispatcher.accept(event(number, actor=f"a{number}"))
            with pytest.raises(Busy):
                await it.dispatcher.accept(event(3, actor="a3"))
            it.gate.set()
            await it.shown(3)
            assert (await it.dispatcher.accept(event(3, actor="a3"))).fresh

    async def test_a_known_event_is_acknowledged_even_when_full(self, store: Store) -> None:
        async with bench(store, waiting=1) as it:
            await it.dispatcher.accept(event(1))
            await it.sent(1)
            it.answerer.script = it.held
            await it.dispatcher.accept(event(2))
            assert not (await it.dispatcher.accept(event(1))).fresh
            with pytest.raises(Busy):
                await it.dispatcher.accept(event(3))

    async def test_a_message_that_is_too_long_is_refused_not_cut(self, store: Store) -> None:
        async with bench(store, message_chars=10) as it:
            assert (await it.dispatcher.accept(event(1, "x" * 10))).fresh
            with pytest.raises(TooLarge, match="100000"):
                await it.dispatcher.accept(event(2, "x" * 100_000))
            assert sum((await store.counts()).messages.values()) == 1

    async def test_words_are_cleaned_before_they_are_kept_and_not_where_they_are_refused(
        self, store: Store
    ) -> None:
        cleaned: list[int] = []

        def clean(text: str) -> str:
            cleaned.append(len(text))
            return text.replace("secret", "[secret]")

        cautious = Store(store.database, clean)
        async with bench(cautious, message_chars=20) as it:
            with pytest.raises(TooLarge):
                await it.dispatcher.accept(event(1, "secret" * 100))
            assert cleaned == []
            await it.dispatcher.accept(event(2, "my secret"))
            (kept,) = await cautious.thread("fake", "c1")
        assert kept.text == "my [secret]"

    async def test_a_channel_nobody_serves_is_refused(self, store: Store) -> None:
        async with bench(store) as it:
            with pytest.raises(Refused, match="carrier-pigeon"):
                await it.dispatcher.accept(event(1, channel="carrier-pigeon"))

    async def test_nothing_is_taken_in_before_the_start(self, store: Store) -> None:
        it = Bench(store)
        with pytest.raises(Busy):
            await it.dispatcher.accept(event(1))
        assert sum((await store.counts()).messages.values()) == 0


class TestTrouble:
    async def test_past_the_deadline_the_person_is_told_honestly(self, store: Store) -> None:
        async with bench(store, workers=1, deadline_s=0.2) as it:
            it.answerer.script = it.held
            await it.dispatcher.accept(event(1, conversation="a"))
            await it.dispatcher.accept(event(2, conversation="b", actor="bob"))
            await it.sent(2)
            for conversation in ("a", "b"):
                (exchange,) = await store.thread("fake", conversation)
                assert exchange.reply is not None
                assert (exchange.reply.outcome, exchange.reply.text) == (Outcome.BUSY, notices.BUSY)
            assert it.answerer.running == 0

    async def test_a_faulty_answerer_gets_the_person_an_apology(self, store: Store) -> None:
        async def fail(question: Question, sink: Sink) -> Reply:
            del sink
            if question.text == "bug":
                raise ZeroDivisionError("secret detail")
            raise EngineError("The engine is down.", "Start it.")

        async with bench(store) as it:
            it.answerer.script = fail
            await it.dispatcher.accept(event(1, "bug"))
            await it.dispatcher.accept(event(2, "down"))
            await it.shown(2)
            for _, reply in it.channel.shown:
                assert (reply.outcome, reply.text) == (Outcome.FAILED, notices.FAILED)
            it.answerer.script = None
            await it.dispatcher.accept(event(3))
            await it.shown(3)
            assert it.channel.shown[-1][1].outcome is Outcome.ANSWERED

    async def test_an_answer_that_cannot_be_stored_becomes_an_apology(self, store: Store) -> None:
        async def odd(question: Question, sink: Sink) -> Reply:
            del question, sink
            return Reply("fine", Outcome.ANSWERED, timings={"search": object()})  # type: ignore[dict-item]  # the fault

        async with bench(store) as it:
            it.answerer.script = odd
            await it.dispatcher.accept(event(1))
            await it.shown(1)
            assert it.channel.shown[0][1].outcome is Outcome.FAILED

    async def test_stop_keeps_what_was_said_so_far(self, store: Store) -> None:
        async with bench(store) as it:
            it.answerer.script = it.held
            await it.dispatcher.accept(event(1))
            await until(lambda: it.channel.appended["fake:1"] == ["so far"])
            assert await it.dispatcher.cancel("fake", "c1")
            await it.shown(1)
            reply = it.channel.shown[0][1]
            assert (reply.outcome, reply.text) == (Outcome.STOPPED, "so far")
            assert it.answerer.running == 0
            assert not await it.dispatcher.cancel("fake", "c1")
            assert not await it.dispatcher.cancel("fake", "never seen")

    async def test_stop_reaches_a_question_that_still_waits(self, store: Store) -> None:
        async with bench(store, workers=1) as it:
            it.answerer.script = it.held
            await it.dispatcher.accept(event(1, conversation="a"))
            await until(lambda: it.answerer.running == 1)
            await it.dispatcher.accept(event(2, conversation="b"))
            assert await it.dispatcher.cancel("fake", "b")
            assert await it.shown(1) == ["fake:2"]
            assert it.channel.shown[0][1].text == notices.STOPPED
            it.gate.set()
            await it.shown(2)

    async def test_stop_ends_one_answer_and_the_next_question_goes_on(self, store: Store) -> None:
        async with bench(store) as it:
            it.answerer.script = it.held
            await it.dispatcher.accept(event(1))
            await it.dispatcher.accept(event(2))
            await until(lambda: it.answerer.running == 1)
            await it.dispatcher.cancel("fake", "c1")
            it.gate.set()
            await it.shown(2)
            assert [reply.outcome for _, reply in it.channel.shown] == [
                Outcome.STOPPED,
                Outcome.ANSWERED,
            ]

    async def test_an_answer_that_ignores_stop_does_not_hold_the_person(self, store: Store) -> None:
        async def stubborn(question: Question, sink: Sink) -> Reply:
            del question, sink
            while not it.gate.is_set():
                try:
                    await it.gate.wait()
                except asyncio.CancelledError:
                    continue
            return Reply("too late", Outcome.ANSWERED)

        async with bench(store) as it:
            it.answerer.script = stubborn
            await it.dispatcher.accept(event(1))
            await until(lambda: it.answerer.running == 1)
            await it.dispatcher.cancel("fake", "c1")
            await it.shown(1)
            assert it.channel.shown[0][1].outcome is Outcome.STOPPED
            it.gate.set()
            await until(lambda: it.answerer.running == 0)
            assert len(it.channel.shown) == 1

"""One question in, one reply out: order, load, fairness, deadlines, stop, drain, recovery."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bot import dispatch, notices
from bot.config import LimitSettings
from bot.courier import Patience
from bot.dispatch import Dispatcher
from bot.errors import Busy, DeliveryError, EngineError, Refused, TooLarge
from bot.journal import Journal
from bot.store import Store
from bot.tables import MessageState, SendState
from bot.types import Outcome, Question, Reply, Sink
from knowledge.types import Audience
from tests.fakes.dialogue import RecordingChannel, ScriptedAnswerer, event

QUICK = Patience(show_s=0.05, longest_pause_s=0.01, cancel_s=0.05)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that has to happen."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - seen from outside there is nothing to await
            await asyncio.sleep(0.002)


class Bench:
    """A dispatcher with both ends in hand."""

    def __init__(self, store: Store, **limits: Any) -> None:
        self.store = store
        self.answerer = ScriptedAnswerer()
        self.channel = RecordingChannel()
        self.limits = LimitSettings(**limits)
        self.gate = asyncio.Event()
        self.dispatcher = self.another()

    def another(self) -> Dispatcher:
        """What a restarted process would build."""
        channels = {self.channel.name: self.channel}
        self.dispatcher = Dispatcher(self.store, self.answerer, channels, self.limits, QUICK)
        return self.dispatcher

    async def held(self, question: Question, sink: Sink) -> Reply:
        """A script that says something and then waits for the gate."""
        await sink.append("so far")
        await self.gate.wait()
        return Reply(f"re: {question.text}", Outcome.ANSWERED)

    async def shown(self, number: int) -> list[str]:
        """Wait for that many replies; whose they were, in order."""
        await until(lambda: len(self.channel.shown) >= number)
        return [event_id for event_id, _ in self.channel.shown]

    async def reached(self, state: SendState, number: int) -> None:
        """Wait until that many replies are committed in a state."""
        async with asyncio.timeout(30):
            while (await self.store.counts()).sends[state] < number:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.005)

    async def sent(self, number: int) -> None:
        await self.reached(SendState.SENT, number)


@asynccontextmanager
async def bench(store: Store, **limits: Any) -> AsyncIterator[Bench]:
    made = Bench(store, **limits)
    await made.dispatcher.start()
    try:
        yield made
    finally:
        made.gate.set()
        await made.dispatcher.drain()


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


class TestDelivery:
    @pytest.mark.parametrize("step", ["open", "status", "append"])
    async def test_a_channel_that_fails_while_showing_does_not_hurt_the_answer(
        self, store: Store, step: str
    ) -> None:
        async def talk(question: Question, sink: Sink) -> Reply:
            del question
            await sink.status("Searching…")
            await sink.append("a")
            await sink.append("b")
            return Reply("whole", Outcome.ANSWERED)

        async with bench(store) as it:
            it.answerer.script = talk
            it.channel.faults[step] = failing(OSError("reset"), times=1)
            await it.dispatcher.accept(event(1))
            await it.shown(1)
            assert [reply.text for reply in it.channel.replies("fake:1")] == ["whole"]

    async def test_a_channel_that_hangs_while_showing_does_not_hold_the_answer(
        self, store: Store
    ) -> None:
        async def talk(question: Question, sink: Sink) -> Reply:
            del question
            await sink.append("a")
            return Reply("whole", Outcome.ANSWERED)

        async def hang() -> None:
            await asyncio.Event().wait()

        async with bench(store) as it:
            it.answerer.script = talk
            it.channel.faults["append"] = hang
            await it.dispatcher.accept(event(1))
            await it.shown(1)

    async def test_what_was_surely_not_shown_is_sent_again(self, store: Store) -> None:
        async with bench(store) as it:
            it.channel.faults["finish"] = failing(DeliveryError("429", retry_after=0.02), times=3)
            await it.dispatcher.accept(event(1))
            await it.sent(1)
            assert len(it.channel.replies("fake:1")) == 1
            record = await store.answer(next(iter(it.channel.platform_ids)))
            assert record is not None
            assert not record.repeated

    @pytest.mark.parametrize(
        "error", [DeliveryError("reset", maybe_shown=True), ConnectionResetError()]
    )
    async def test_what_may_have_been_shown_is_looked_up_and_not_repeated(
        self, store: Store, error: Exception
    ) -> None:
        async with bench(store) as it:
            it.channel.faults["finished"] = failing(error, times=1)
            await it.dispatcher.accept(event(1))
            await it.sent(1)
            assert len(it.channel.replies("fake:1")) == 1

    async def test_a_channel_that_cannot_look_up_repeats_and_says_so(self, store: Store) -> None:
        async with bench(store) as it:
            it.channel.looks_up = False
            it.channel.faults["finished"] = failing(ConnectionResetError(), times=1)
            await it.dispatcher.accept(event(1))
            await it.sent(1)
            assert len(it.channel.replies("fake:1")) == 2
            record = await store.answer(next(iter(it.channel.platform_ids)))
            assert record is not None
            assert record.repeated

    async def test_looking_up_is_repeated_until_it_works(self, store: Store) -> None:
        async with bench(store) as it:
            it.channel.faults["finished"] = failing(ConnectionResetError(), times=1)
            it.channel.faults["delivered"] = failing(ConnectionResetError(), times=3)
            await it.dispatcher.accept(event(1))
            await it.sent(1)
            assert len(it.channel.replies("fake:1")) == 1

    async def test_a_reply_that_never_arrives_is_given_up_on_and_counted(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            it.channel.faults["finish"] = failing(DeliveryError("down"), times=10**6)
            await it.dispatcher.accept(event(1))
            await until(lambda: it.answerer.asked != [])
            await it.reached(SendState.DEAD, 1)
            del it.channel.faults["finish"]
            await it.dispatcher.accept(event(2))
            await it.sent(1)
            assert it.channel.replies("fake:1") == []

    async def test_a_person_who_blocked_the_bot_is_not_tried_again(self, store: Store) -> None:
        tries = failing(DeliveryError("blocked", final=True), times=10**6)
        async with bench(store) as it:
            it.channel.faults["finish"] = tries
            await it.dispatcher.accept(event(1))
            await it.reached(SendState.DEAD, 1)
            assert tries.calls == 1

    async def test_a_platform_that_makes_us_wait_does_not_hold_other_people(
        self, store: Store
    ) -> None:
        async with bench(store, workers=1) as it:
            fault = failing(DeliveryError("429", retry_after=3600), times=1)
            it.channel.faults["finish"] = fault
            await it.dispatcher.accept(event(1, conversation="a"))
            await until(lambda: fault.calls == 1)
            await it.dispatcher.accept(event(2, conversation="b"))
            assert await it.shown(1) == ["fake:2"]


class failing:  # noqa: N801 - reads as a phrase where it is used
    """Raises an error some times, then lets everything pass."""

    def __init__(self, error: Exception, *, times: int) -> None:
        self.error = error
        self.left = times
        self.calls = 0

    async def __call__(self) -> None:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise self.error


class TestDrain:
    async def test_what_is_begun_is_finished_and_the_rest_waits_for_the_next_start(
        self, store: Store
    ) -> None:
        async with bench(store, workers=2, waiting_per_actor=100) as it:
            it.answerer.script = it.held
            for number in range(6):
                await it.dispatcher.accept(event(number, conversation=f"c{number % 3}"))
            await until(lambda: it.answerer.running == 2)
            draining = asyncio.create_task(it.dispatcher.drain())
            await asyncio.sleep(0.02)
            with pytest.raises(Busy, match="restarting"):
                await it.dispatcher.accept(event("late"))
            it.gate.set()
            await draining
            assert len(it.channel.shown) == 2
            left = await Journal(store.database).unfinished()
            assert [(one.event_id, one.attempts) for one in left] == [
                (f"fake:{number}", 0) for number in (2, 3, 4, 5)
            ]
            await it.another().start()
            await it.sent(6)
            assert sorted(await it.shown(6)) == [f"fake:{number}" for number in range(6)]

    async def test_what_takes_too_long_is_handed_back(self, store: Store) -> None:
        async with bench(store, drain_s=0.2) as it:
            it.answerer.script = it.held
            await it.dispatcher.accept(event(1))
            await until(lambda: it.answerer.running == 1)
            await it.dispatcher.drain()
            assert it.answerer.running == 0
            (left,) = await Journal(store.database).unfinished()
            assert (left.event_id, left.attempts) == ("fake:1", 0)
            it.gate.set()
            await it.another().start()
            await it.sent(1)
            assert it.channel.shown[0][1].outcome is Outcome.ANSWERED

    async def test_a_reply_that_waits_for_its_platform_does_not_hold_the_drain(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            fault = failing(DeliveryError("429", retry_after=3600), times=1)
            it.channel.faults["finish"] = fault
            await it.dispatcher.accept(event(1))
            await until(lambda: fault.calls == 1)
            async with asyncio.timeout(5):
                await it.dispatcher.drain()
            await it.another().start()
            await it.sent(1)
            assert len(it.channel.shown) == 1


class TestRestart:
    """What an earlier process left at each boundary is finished, once."""

    async def left_at(self, store: Store, step: str, channel: RecordingChannel) -> str:
        journal = Journal(store.database)
        taken = await journal.take_in(event(1, "How?"))
        if step == "accepted":
            return ""
        await journal.claim(taken.message_id)
        if step == "working":
            return ""
        answer_id = await journal.settle(taken.message_id, Reply("kept", Outcome.ANSWERED))
        if step == "ready":
            return answer_id
        await journal.begin_send(answer_id)
        if step == "sending":
            return answer_id
        delivery = await channel.open(event(1).address, "fake:1")
        await delivery.finish(Reply("kept", Outcome.ANSWERED), answer_id)
        if step == "unknown":
            await journal.unsent(answer_id, SendState.UNKNOWN, "reset")
        if step == "sent":
            await journal.sent(answer_id, "p1")
        return answer_id

    @pytest.mark.parametrize(
        "step", ["accepted", "working", "ready", "sending", "shown", "unknown", "sent"]
    )
    async def test_every_boundary_ends_in_one_reply(self, store: Store, step: str) -> None:
        it = Bench(store)
        await self.left_at(store, step, it.channel)
        await it.dispatcher.start()
        await it.sent(1)
        await it.dispatcher.drain()
        replies = it.channel.replies("fake:1")
        expected = "re: How?" if step in {"accepted", "working"} else "kept"
        assert [reply.text for reply in replies] == [expected]

    @pytest.mark.parametrize(("step", "replies"), [("ready", 1), ("sending", 1), ("shown", 2)])
    async def test_without_look_up_only_death_inside_the_send_repeats(
        self, store: Store, step: str, replies: int
    ) -> None:
        it = Bench(store)
        it.channel.looks_up = False
        answer_id = await self.left_at(store, step, it.channel)
        await it.dispatcher.start()
        await it.sent(1)
        await it.dispatcher.drain()
        assert len(it.channel.replies("fake:1")) == replies
        record = await store.answer(answer_id)
        assert record is not None
        assert record.repeated == (step != "ready")

    async def test_a_restart_keeps_the_order_of_a_conversation(self, store: Store) -> None:
        it = Bench(store)
        journal = Journal(store.database)
        taken = [await journal.take_in(event(number)) for number in range(4)]
        await journal.settle(taken[0].message_id, Reply("kept", Outcome.ANSWERED))
        await journal.claim(taken[1].message_id)
        await it.dispatcher.start()
        await it.dispatcher.accept(event(4))
        assert await it.shown(5) == [f"fake:{number}" for number in range(5)]
        await it.dispatcher.drain()

    async def test_messages_of_a_channel_that_was_removed_wait(self, store: Store) -> None:
        it = Bench(store)
        await Journal(store.database).take_in(event(1, channel="gone"))
        await it.dispatcher.start()
        await it.dispatcher.drain()
        assert (await store.counts()).messages[MessageState.ACCEPTED] == 1

    async def test_a_message_that_keeps_killing_the_process_gets_an_apology(
        self, store: Store
    ) -> None:
        it = Bench(store)
        journal = Journal(store.database)
        poison = await journal.take_in(event("poison", conversation="a"))
        for _ in range(dispatch.MOST_ATTEMPTS):
            await journal.claim(poison.message_id)
        await journal.take_in(event("good", conversation="b"))
        await it.dispatcher.start()
        await it.sent(2)
        await it.dispatcher.drain()
        assert it.channel.replies("fake:poison")[0].outcome is Outcome.FAILED
        assert it.channel.replies("fake:good")[0].outcome is Outcome.ANSWERED
        assert [asked.event_id for asked in it.answerer.asked] == ["fake:good"]

    async def test_suspects_run_one_at_a_time_beside_the_others(self, store: Store) -> None:
        it = Bench(store)
        journal = Journal(store.database)
        for number in range(4):
            taken = await journal.take_in(event(f"suspect{number}", conversation=f"s{number}"))
            for _ in range(dispatch.MOST_ATTEMPTS - 1):
                await journal.claim(taken.message_id)
        for number in range(4):
            await journal.take_in(event(number, conversation=f"c{number}"))
        it.answerer.script = it.held
        await it.dispatcher.start()
        await until(lambda: it.answerer.running == 5)
        await asyncio.sleep(0.05)
        running = [asked.event_id for asked in it.answerer.asked]
        assert len([one for one in running if "suspect" in one]) == 1
        it.gate.set()
        await it.sent(8)
        await it.dispatcher.drain()

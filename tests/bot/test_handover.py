"""A conversation in the hands of people: the bot is silent, and nothing said gets lost."""

from __future__ import annotations

import asyncio

import pytest

from bot.dispatching import notices
from bot.errors import DeliveryError, NotAllowed, NotFound
from bot.handover import Handover, HandoverState, LineKind, SuggestionState, from_staff
from bot.store import Store
from bot.types import Actor, Outcome
from tests.fakes.bench import Bench, bench, failing, until
from tests.fakes.dialogue import event
from tests.fakes.handover import RecordingDesk

BOB, EVE = Actor("desk:bob", "Bob"), Actor("desk:eve", "Eve")


def to_person(it: Bench) -> list[str]:
    """What reached the person without their having asked the bot."""
    return [reply.text for event_id, reply in it.channel.shown if from_staff(event_id)]


async def opened(it: Bench) -> tuple[RecordingDesk, Handover]:
    """A conversation with one answer, after which the person asked for somebody."""
    desk = RecordingDesk()
    it.dispatcher.handovers.attach(desk)
    await it.dispatcher.accept(event(1, "Can I return a lamp?"))
    await it.shown(1)
    await it.dispatcher.accept(event(2, "I want to talk to a human"))
    await it.shown(2)
    await until(lambda: bool(desk.told))
    return desk, desk.told[0][0]


class TestAskingForAPerson:
    async def test_staff_see_who_asks_and_what_was_said_and_the_person_is_told_so(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            desk, handover = await opened(it)
            assert handover.state is HandoverState.OPEN
            assert (handover.person.id, handover.person.name) == ("ann", "Ann")
            said = [turn.content for turn in handover.talk][:3]
            assert said == ["Can I return a lamp?", "re: Can I return a lamp?",
                            "I want to talk to a human"]  # fmt: skip
            assert [line.kind for _, line in desk.told] == [LineKind.CARD]
            assert it.channel.shown[1][1].outcome is Outcome.HANDED
            assert "person will answer you here" in it.channel.shown[1][1].text

    async def test_without_a_desk_the_answerer_says_how_to_reach_somebody(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            await it.dispatcher.accept(event(1, "human"))
            await it.shown(1)
            assert it.channel.shown[0][1].text == "re: human"
            assert await it.dispatcher.handovers.pending() == []

    async def test_the_wish_is_understood_in_the_person_s_language(self, store: Store) -> None:
        async with bench(store) as it:
            it.dispatcher.handovers.attach(RecordingDesk())
            await it.dispatcher.accept(event(1, "Ich möchte mit einem Menschen sprechen"))
            await it.shown(1)
            assert "an das Team weitergegeben" in it.channel.shown[0][1].text

    async def test_what_a_button_says_for_somebody_is_understood_as_the_wish(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            it.dispatcher.handovers.attach(RecordingDesk())
            await it.dispatcher.accept(event(1, notices.WISH))
            await it.shown(1)
            assert len(await it.dispatcher.handovers.pending()) == 1


class TestWhilePeopleHaveIt:
    async def test_the_bot_is_silent_and_what_the_person_writes_reaches_staff_in_order(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            desk, _ = await opened(it)
            for number in range(3, 9):
                await it.dispatcher.accept(event(number, f"more {number}"))
            await until(lambda: len(desk.texts(LineKind.PERSON)) == 6)
            assert desk.texts(LineKind.PERSON) == [f"more {number}" for number in range(3, 9)]
            assert len(it.answerer.asked) == 1
            assert len(it.channel.opened) == 2
            outcomes = [one.reply.outcome for one in await store.thread("fake", "c1") if one.reply]
            assert outcomes[2:] == [Outcome.HANDED] * 6

    async def test_other_conversations_are_answered_meanwhile(self, store: Store) -> None:
        async with bench(store) as it:
            await opened(it)
            await it.dispatcher.accept(event("x", "elsewhere", conversation="c2"))
            await it.shown(3)
            assert it.channel.shown[2][1].text == "re: elsewhere"

    async def test_what_staff_write_reaches_the_person_once_and_claims_the_conversation(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            desk, handover = await opened(it)
            other = RecordingDesk("other")
            it.dispatcher.handovers.attach(other)
            verbs = it.dispatcher.handovers
            for _ in range(3):
                await verbs.say(handover.id, BOB, "Yes, *within* 30 days.", "key-1", desk="desk")
            await until(lambda: len(to_person(it)) == 1)
            await until(lambda: len(other.told) == 2)
            assert to_person(it) == ["**Bob:** Yes, *within* 30 days."]
            assert it.channel.shown[-1][1].composer == "staff"
            assert other.texts(LineKind.STAFF) == ["Yes, *within* 30 days."]
            assert desk.texts(LineKind.STAFF) == []
            (found,) = await verbs.pending()
            assert (found.state, found.claimed_by) == (HandoverState.CLAIMED, BOB)
            assert len(await verbs.said(handover.id)) == 1

    async def test_it_is_kept_as_a_possible_correction_of_what_was_asked(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            _, handover = await opened(it)
            await it.dispatcher.handovers.say(handover.id, BOB, "Within 30 days.")
            (found,) = await it.dispatcher.handovers.suggestions()
            assert (found.question, found.text) == ("Can I return a lamp?", "Within 30 days.")
            assert (found.author, found.handover_id) == ("desk:bob", handover.id)
            await it.dispatcher.handovers.decide(found.id, SuggestionState.APPROVED, "console:ann")
            assert await it.dispatcher.handovers.suggestions() == []
            approved = await it.dispatcher.handovers.suggestions(SuggestionState.APPROVED)
            assert [one.id for one in approved] == [found.id]
            with pytest.raises(NotFound):
                await it.dispatcher.handovers.decide(99, SuggestionState.REJECTED, "console:ann")

    async def test_one_has_it_until_another_takes_it_over(self, store: Store) -> None:
        async with bench(store) as it:
            _, handover = await opened(it)
            verbs = it.dispatcher.handovers
            await verbs.claim(handover.id, BOB)
            await verbs.claim(handover.id, BOB)
            with pytest.raises(NotAllowed, match="Bob"):
                await verbs.claim(handover.id, EVE)
            taken = await verbs.claim(handover.id, EVE, take_over=True)
            assert taken.claimed_by == EVE
            notes = [note.action for note in await store.audits(handover.id)]
            assert notes == ["handover claimed", "handover claimed", "handover opened"]

    async def test_opening_again_finds_the_one_that_is_open(self, store: Store) -> None:
        async with bench(store) as it:
            _, handover = await opened(it)
            verbs = it.dispatcher.handovers
            again = await asyncio.gather(
                *(verbs.open("fake", "c1", "", "stepped in", BOB) for _ in range(4))
            )
            assert {one.id for one in again} == {handover.id}
            with pytest.raises(NotFound):
                await verbs.open("fake", "nowhere", "", "stepped in", BOB)


class TestGivingItBack:
    async def test_the_bot_answers_again_and_says_so(self, store: Store) -> None:
        async with bench(store) as it:
            desk, handover = await opened(it)
            verbs = it.dispatcher.handovers
            await verbs.resolve(handover.id, BOB)
            await verbs.resolve(handover.id, BOB)
            await until(lambda: to_person(it) == [notices.RESOLVED])
            await it.dispatcher.accept(event(3, "And a chair?"))
            await until(lambda: it.channel.shown[-1][1].text == "re: And a chair?")
            await until(lambda: len(desk.told) == 2)
            assert desk.told[-1][0].state is HandoverState.RESOLVED
            assert await verbs.pending() == []
            with pytest.raises(NotAllowed):
                await verbs.say(handover.id, BOB, "Too late")
            reopened = await verbs.open("fake", "c1", "", "stepped in", EVE)
            assert reopened.id != handover.id


class TestFaults:
    async def test_a_restart_forgets_neither_the_silence_nor_what_is_still_to_be_told(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            desk, handover = await opened(it)
            desk.fault = failing(DeliveryError("down"), times=1_000)
            it.channel.faults["finish"] = failing(DeliveryError("down"), times=1_000)
            await it.dispatcher.accept(event(3, "Anybody?"))
            await it.dispatcher.handovers.say(handover.id, BOB, "I am here")
            await it.dispatcher.drain()
            del it.channel.faults["finish"]
            fresh = RecordingDesk()
            it.another().handovers.attach(fresh)
            await it.dispatcher.start()
            await until(lambda: to_person(it) == ["**Bob:** I am here"])
            await until(lambda: fresh.texts(LineKind.PERSON) == ["Anybody?"])
            await it.dispatcher.accept(event(4, "Still there?"))
            await until(lambda: len(fresh.texts(LineKind.PERSON)) == 2)
            assert len(it.answerer.asked) == 1

    async def test_what_a_desk_may_have_been_told_is_looked_up_and_not_repeated(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            desk, _ = await opened(it)
            desk.after = failing(ConnectionResetError(), times=1)
            await it.dispatcher.accept(event(3, "Anybody?"))
            await until(lambda: desk.looked_up == 1)
            await it.dispatcher.accept(event(4, "Hello?"))
            await until(lambda: len(desk.texts(LineKind.PERSON)) == 2)
            assert desk.texts(LineKind.PERSON) == ["Anybody?", "Hello?"]

    async def test_a_desk_that_is_down_keeps_nobody_else_waiting(self, store: Store) -> None:
        async with bench(store) as it:
            desk, handover = await opened(it)
            down = RecordingDesk("down")
            down.fault = failing(DeliveryError("down"), times=1_000)
            it.dispatcher.handovers.attach(down)
            await it.dispatcher.accept(event(3, "Anybody?"))
            await it.dispatcher.handovers.say(handover.id, BOB, "I am here")
            await until(lambda: to_person(it) == ["**Bob:** I am here"])
            await until(lambda: desk.texts(LineKind.PERSON) == ["Anybody?"])

    async def test_the_message_that_asked_is_answered_even_if_the_process_died_in_between(
        self, store: Store
    ) -> None:
        async with bench(store) as it:
            desk = RecordingDesk()
            it.dispatcher.handovers.attach(desk)
            verbs = it.dispatcher.handovers
            asked = event(1, "human")
            await it.dispatcher._journal.take_in(asked)
            await verbs.open("fake", "c1", asked.id, "asked for a person", Actor("ann"))
            await it.dispatcher.drain()
            it.another().handovers.attach(desk)
            await it.dispatcher.start()
            await it.shown(1)
            assert "person will answer you here" in it.channel.shown[0][1].text

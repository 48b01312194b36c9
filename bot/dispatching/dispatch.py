"""One question in, one reply out: order, load, fairness, deadlines, stop and drain.

Knows when a message is worked on and what becomes of it. Does not know how it is answered
(`Answerer`), stored (`bot/dispatching/journal.py`) or shown (`bot/dispatching/courier.py`).

Every active conversation has one task, which takes its messages one after the other: answer,
keep, show. Answering needs one of a bounded number of slots, handed out fairly across people;
showing needs none, so a platform that makes us wait does not keep others from their answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import deque
from collections.abc import AsyncIterator, Mapping
from enum import Enum, auto
from typing import Any

import structlog

from bot import metrics
from bot.config import LimitSettings
from bot.dispatching import notices
from bot.dispatching.courier import Courier, Parcel, Patience, Showing, insist
from bot.dispatching.journal import Journal, TakenIn, Unfinished
from bot.dispatching.slots import FairSlots
from bot.dispatching.work import End, Item, Load, Person, Talk
from bot.errors import Busy, Refused, StoreError, TooLarge
from bot.handover import Handovers, wish
from bot.store import Store
from bot.tables import SendState
from bot.types import (
    Accepted,
    Actor,
    Answerer,
    Channel,
    Event,
    Outcome,
    Question,
    Reply,
)
from bot.words.phrases import phrases

MOST_ATTEMPTS = 3
"""Times a message may take the process down with it before it gets an apology instead."""

log = structlog.get_logger(__name__)


class _State(Enum):
    NEW = auto()
    RUNNING = auto()
    DRAINING = auto()


class Dispatcher:
    """The heart's beat. One per database; needs an exclusive `Store`."""

    def __init__(
        self,
        store: Store,
        answerer: Answerer,
        channels: Mapping[str, Channel],
        limits: LimitSettings,
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._store = store
        self._journal = Journal(store.database)
        self._answerer = answerer
        self._channels = channels
        self._limits = limits
        self._courier = Courier(self._journal, channels, self._patience)
        self.handovers = Handovers(store.database, channels, self._patience)
        self._slots = FairSlots(limits.workers)
        self._alone = asyncio.Lock()
        self._state = _State.NEW
        self._load = Load()
        self._tracked: set[str] = set()
        self._queues: dict[Talk, deque[Item]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> bool:
        """True while messages are taken in: after `start`, before `drain`."""
        return self._state is _State.RUNNING

    async def start(self) -> None:
        """Take up what an earlier process left, then take in new events."""
        await self.handovers.start()
        unknown = 0
        for left in await self._journal.unfinished():
            if left.address.channel in self._channels:
                self._resume(left)
            else:
                unknown += 1
        if unknown:
            log.warning("messages wait for a channel that is not configured", messages=unknown)
        self._state = _State.RUNNING

    async def accept(self, event: Event) -> Accepted:
        """Commit an event; it will be answered, once, whatever happens after this returns.

        Raises `TooLarge`, `Busy` or plain `Refused`; then nothing was promised.
        """
        began = asyncio.get_running_loop().time()
        person = (event.address.channel, event.actor.id)
        refusal = self._refusal(event, person)
        if refusal is not None:
            reason, error = refusal
            if reason == "busy" and await self._is_known(event):
                return Accepted(event.id, fresh=False)
            metrics.REFUSED.labels(reason).inc()
            raise error
        event = dataclasses.replace(event, text=self._store.clean(event.text))
        self._load.add(person)
        future = self._journal.take_in(event)
        future.add_done_callback(lambda done: self._taken_in(event, person, done))
        try:
            taken = await asyncio.shield(future)
        except StoreError as problem:
            metrics.REFUSED.labels("store").inc()
            raise Refused(*notices.REFUSED_STORE) from problem
        metrics.STAGE_SECONDS.labels("accept").observe(asyncio.get_running_loop().time() - began)
        return Accepted(event.id, fresh=taken.fresh)

    async def cancel(self, channel: str, conversation: str) -> bool:
        """Stop the answer that is being made for a conversation; False if there is none.

        What was said so far is kept, as a reply that was stopped. Whether somebody may stop
        this conversation's answer is for the caller to know.
        """
        queue = self._queues.get((channel, conversation))
        if not queue or queue[0].answer_id is not None or queue[0].end is not None:
            return False
        queue[0].cancel(End.STOP)
        return True

    async def drain(self) -> None:
        """Take nothing in any more; finish what is begun, release the rest, within `drain_s`.

        What is released is in the database and is taken up by the next start.
        """
        self._state = _State.DRAINING
        self._courier.stop()
        for queue in list(self._queues.values()):
            if queue[0].answer_id is None and not queue[0].begun:
                queue[0].cancel(End.RELEASE)
        await self.handovers.stop(0.1 * self._limits.drain_s)
        await self._settle_down(0.7 * self._limits.drain_s)
        for queue in list(self._queues.values()):
            if queue[0].answer_id is None:
                queue[0].cancel(End.RELEASE)
        await self._settle_down(0.1 * self._limits.drain_s)
        for task in self._tasks:
            task.cancel()
        await self._settle_down(0.1 * self._limits.drain_s)

    async def _settle_down(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    # Taking in

    def _refusal(self, event: Event, person: Person) -> tuple[str, Refused] | None:
        """Why an event cannot be taken in now: a label for the figures, and what to say."""
        channel = event.address.channel
        if self._state is not _State.RUNNING:
            return "restarting", Busy(*notices.REFUSED_RESTART)
        if channel not in self._channels:
            return "channel", Refused(*_filled(notices.REFUSED_CHANNEL, channel=channel))
        if len(event.text) > self._limits.message_chars:
            sizes = {"length": len(event.text), "limit": self._limits.message_chars}
            return "too_large", TooLarge(*_filled(notices.REFUSED_LONG, **sizes))
        busy = self._overload(channel, person)
        return None if busy is None else ("busy", busy)

    def _overload(self, channel: str, person: Person) -> Busy | None:
        waiting = self._load.people[person]
        if waiting >= self._limits.waiting_per_actor:
            return Busy(*_filled(notices.REFUSED_ACTOR, waiting=waiting))
        if self._load.everybody >= self._limits.waiting:
            return Busy(*notices.REFUSED_FULL)
        if self._load.channels[channel] >= self._limits.waiting:
            return Busy(*_filled(notices.REFUSED_CHANNEL, channel=channel))
        return None

    async def _is_known(self, event: Event) -> bool:
        """A redelivery is acknowledged however much is waiting."""
        if event.id in self._tracked:
            return True
        try:
            return await self._journal.known(event.id)
        except StoreError:
            return False

    def _taken_in(self, event: Event, person: Person, done: asyncio.Future[TakenIn]) -> None:
        """Runs for every commit, in the order of commits, whether or not anybody waits."""
        if done.exception() is not None:
            self._load.remove(person)
            return
        taken = done.result()
        if taken.fresh:
            metrics.ACCEPTED.labels(event.address.channel).inc()
        if taken.answered or event.id in self._tracked:
            self._load.remove(person)
            return
        now = asyncio.get_running_loop().time()
        self._track(
            Item(
                message_id=taken.message_id,
                event_id=event.id,
                address=event.address,
                person=person,
                due=now + self._limits.deadline_s,
                since=now,
            )
        )

    def _resume(self, left: Unfinished) -> None:
        now = asyncio.get_running_loop().time()
        person = (left.address.channel, left.actor_id)
        if left.answer_id is None:
            self._load.add(person)
        else:
            self._load.channels[left.address.channel] += 1
        self._track(
            Item(
                message_id=left.message_id,
                event_id=left.event_id,
                address=left.address,
                person=person,
                due=now + self._limits.deadline_s,
                since=now,
                attempts=left.attempts,
                answer_id=left.answer_id,
                send=left.send or SendState.READY,
            )
        )

    def _track(self, item: Item) -> None:
        self._tracked.add(item.event_id)
        queue = self._queues.get(item.talk)
        if queue is not None:
            queue.append(item)
            return
        self._queues[item.talk] = deque([item])
        task = asyncio.create_task(self._converse(item.talk))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # One conversation

    async def _converse(self, talk: Talk) -> None:
        queue = self._queues[talk]
        try:
            while queue and self._state is not _State.DRAINING:
                item = queue[0]
                with structlog.contextvars.bound_contextvars(event_id=item.event_id):
                    try:
                        await self._handle(item)
                    except Exception:  # one message must not end its conversation; its row stays
                        log.exception("message put aside until the next start")
                queue.popleft()
                self._forget(item)
        finally:
            del self._queues[talk]
            for item in queue:
                self._forget(item)

    def _forget(self, item: Item) -> None:
        self._tracked.discard(item.event_id)
        if item.answer_id is None:
            self._load.remove(item.person)
        else:
            self._load.channels[item.address.channel] -= 1

    async def _handle(self, item: Item) -> None:
        """Answer, keep, show."""
        if item.answer_id is not None:
            record = await self._store.answer(item.answer_id)
            if record is not None:
                await self._deliver(
                    Parcel(item.answer_id, item.event_id, item.address, record.reply, item.send)
                )
            return
        if self.handovers.silent(*item.talk, item.event_id) and await self._hand(item):
            return
        channel = self._channels[item.address.channel]
        showing = Showing(channel, item.address, item.event_id, self._patience)
        try:
            reply = await self._reply(item, showing)
            if reply is None:
                return
            parcel = await self._keep(item, reply, showing)
        finally:
            if item.alone:
                self._alone.release()
        await self._deliver(parcel)

    async def _hand(self, item: Item) -> bool:
        """Leave a message to the people who have its conversation; False if it is ours again."""
        channel, conversation = item.talk
        answer_id = await insist(self.handovers.hand, channel, conversation, item.message_id)
        if answer_id is None:
            return False
        self._answered(item, answer_id, Outcome.HANDED)
        return True

    async def _reply(self, item: Item, showing: Showing) -> Reply | None:
        """What to say, whatever happens; None if the message is left to the next start."""
        if item.attempts >= MOST_ATTEMPTS:
            log.error("message stopped the process too often", attempts=item.attempts)
            return Reply(notices.FAILED, Outcome.FAILED)
        work = item.work = asyncio.create_task(self._work(item, showing))
        if item.end is not None:
            work.cancel()
        if not await _finishes(work, item):
            item.cancel(End.DEADLINE)
            await asyncio.wait({work}, timeout=self._patience.cancel_s)
        if not work.done():
            log.error("the answer goes on although it was cancelled")
        elif not work.cancelled():
            problem = work.exception()
            if problem is None:
                return work.result()
            if item.end is None:
                log.error("answering failed", exc_info=problem)
        return await self._unanswered(item, showing)

    async def _unanswered(self, item: Item, showing: Showing) -> Reply | None:
        """Instead of an answer."""
        match item.end:
            case End.RELEASE:
                await insist(self._journal.release, item.message_id)
                return None
            case End.STOP:
                return Reply(showing.text or notices.STOPPED, Outcome.STOPPED)
            case End.DEADLINE:
                return Reply(notices.BUSY, Outcome.BUSY)
            case None:
                return Reply(notices.FAILED, Outcome.FAILED)

    async def _work(self, item: Item, showing: Showing) -> Reply | None:
        loop = asyncio.get_running_loop()
        async with self._slot(item):
            claimed = await insist(self._journal.claim, item.message_id)
            if claimed is None:
                return None
            channel, conversation = item.talk
            history = await insist(
                self._store.history,
                channel,
                conversation,
                self._limits.history_turns,
                claimed.audience,
            )
            question = Question(item.event_id, claimed.text, claimed.audience, history)
            waited = loop.time() - item.since
            metrics.STAGE_SECONDS.labels("wait").observe(waited)
            reply = await self._called(item, question) or await self._answerer.answer(
                question, showing
            )
            metrics.STAGE_SECONDS.labels("answer").observe(loop.time() - item.since - waited)
            return dataclasses.replace(reply, timings={"wait": 1000 * waited, **reply.timings})

    async def _called(self, item: Item, question: Question) -> Reply | None:
        """Call a person to whoever asks for one, where staff would see it."""
        if not self.handovers.staffed:
            return None
        before = question.history[-1].content if question.history else ""
        lang = wish(question.text, before)
        if not lang:
            return None
        by = Actor(item.person[1])
        await insist(self.handovers.open, *item.talk, item.event_id, "asked for a person", by)
        return Reply(phrases(lang).handed, Outcome.HANDED, lang=lang)

    @contextlib.asynccontextmanager
    async def _slot(self, item: Item) -> AsyncIterator[None]:
        """One of the slots. Messages under suspicion get theirs one at a time.

        When the process dies, all messages in work look guilty. Once one of them has been there
        twice it runs beside no other suspect, until its answer is kept, so that the third death
        names the right one.
        """
        if item.attempts == MOST_ATTEMPTS - 1:
            await self._alone.acquire()
            item.alone = True
        await self._slots.acquire(item.person)
        try:
            item.begun = True
            yield
        finally:
            self._slots.release()

    async def _keep(self, item: Item, reply: Reply, showing: Showing) -> Parcel:
        """Commit the reply; returns what is to be delivered."""
        sending = showing.ready  # what goes out in the same moment is noted in the same commit
        try:
            answer_id = await insist(self._journal.settle, item.message_id, reply, sending=sending)
        except StoreError:
            log.exception("the answer cannot be stored")
            reply = Reply(notices.FAILED, Outcome.FAILED)
            answer_id = await insist(self._journal.settle, item.message_id, reply, sending=sending)
        self._answered(item, answer_id, reply.outcome)
        return Parcel(answer_id, item.event_id, item.address, reply, begun=sending, showing=showing)

    def _answered(self, item: Item, answer_id: str, outcome: Outcome) -> None:
        item.answer_id = answer_id
        self._load.remove(item.person)
        self._load.channels[item.address.channel] += 1
        metrics.ANSWERED.labels(outcome.value).inc()
        log.info("answered", outcome=outcome.value, answer_id=answer_id)

    async def _deliver(self, parcel: Parcel) -> None:
        began = asyncio.get_running_loop().time()
        await self._courier.deliver(parcel)
        metrics.STAGE_SECONDS.labels("deliver").observe(asyncio.get_running_loop().time() - began)


async def _finishes(work: asyncio.Task[Reply | None], item: Item) -> bool:
    """Wait until the work is done, is told to end, or is late; True if it is done."""
    left = item.due - asyncio.get_running_loop().time()
    either: list[asyncio.Future[Any]] = [work, item.ended]
    await asyncio.wait(either, timeout=max(left, 0.0), return_when=asyncio.FIRST_COMPLETED)
    return work.done()


def _filled(notice: tuple[str, str], **values: object) -> tuple[str, str]:
    text, remedy = notice
    return text.format(**values), remedy.format(**values)

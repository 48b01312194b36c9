"""Shows replies: while they are made, when they are done, and again when that failed.

Knows channels and the outbox. Does not know how an answer comes about.

What surely was not shown is tried again; what may have been shown is looked up on the platform
first. A reply that cannot be shown is given up on in the end, and counted as dead.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ParamSpec, Protocol, TypeVar

import structlog

from bot.errors import DeliveryError, StoreUnavailable
from bot.tables import SendState
from bot.types import Address, Delivery, Reply, Showplace
from knowledge.errors import DeskhandError

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger(__name__)


def describe(problem: BaseException) -> str:
    """Name an error for the log. A foreign one may quote what people wrote; ours never do."""
    kind = type(problem).__name__
    return f"{kind}: {problem.message}" if isinstance(problem, DeskhandError) else kind


async def insist(verb: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do something with the database, waiting for as long as it cannot be used."""
    pause = 0.1
    while True:
        try:
            return await verb(*args, **kwargs)
        except StoreUnavailable as problem:
            log.warning("waiting for the database", error=problem.message, pause_s=pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, 5.0)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take, in seconds, and how often they are tried."""

    show_s: float = 10.0  # a status or a piece of text; then the answer goes on without them
    send_s: float = 60.0
    sends: int = 12  # with the pauses between them: about 20 minutes
    longest_pause_s: float = 300.0
    longest_asked_pause_s: float = 3600.0  # when the platform says how long
    cancel_s: float = 5.0  # for a cancelled answer to let go


class Showing:
    """A reply in the making, shown as far as the channel manages to.

    A `Sink` that never fails: the first problem ends the show, not the answer. `text` is what
    was said so far.
    """

    def __init__(self, channel: Showplace, to: Address, event_id: str, patience: Patience) -> None:
        self._patience = patience
        self._opening = asyncio.create_task(self._open(channel, to, event_id))
        self._opening.add_done_callback(_look_at)
        self._broken = False
        self._said: list[str] = []

    @property
    def ready(self) -> bool:
        """True if the channel is open: the next thing sent reaches it at once."""
        opening = self._opening
        return opening.done() and not opening.cancelled() and opening.exception() is None

    @property
    def text(self) -> str:
        """Everything appended."""
        return "".join(self._said)

    async def status(self, text: str) -> None:
        """Say what is being done."""
        await self._show(lambda delivery: delivery.status(text))

    async def append(self, delta: str) -> None:
        """Show more of the answer."""
        self._said.append(delta)
        await self._show(lambda delivery: delivery.append(delta))

    async def opened(self) -> Delivery:
        """The channel's delivery; raises what opening it raised."""
        return await asyncio.shield(self._opening)

    async def _open(self, channel: Showplace, to: Address, event_id: str) -> Delivery:
        async with asyncio.timeout(self._patience.send_s):
            return await channel.open(to, event_id)

    async def _show(self, show: Callable[[Delivery], Awaitable[None]]) -> None:
        if self._broken:
            return
        try:
            async with asyncio.timeout(self._patience.show_s):
                await show(await self.opened())
        except Exception as problem:  # noqa: BLE001 - whatever a channel raises, the answer goes on
            self._broken = True
            log.warning("the answer is not shown while it is made", error=describe(problem))


def _look_at(opening: asyncio.Task[Delivery]) -> None:
    """Keep asyncio from complaining about an error that the courier handles later."""
    if not opening.cancelled():
        opening.exception()


@dataclass(slots=True)
class Parcel:
    """A reply to be shown, and what is known of earlier attempts."""

    answer_id: str
    event_id: str
    to: Address
    reply: Reply
    state: SendState = SendState.READY
    begun: bool = False  # the journal has this attempt already
    showing: Showing | None = None
    delivery: Delivery | None = None


class Outbox(Protocol):
    """Remembers how far each parcel has come (`bot/dispatching/journal.py`)."""

    async def begin_send(self, answer_id: str, *, again: bool = False) -> int | None:
        """Count an attempt; None if the parcel must not be shown any more."""
        ...

    async def sent(self, answer_id: str, platform_id: str) -> None:
        """It was shown."""
        ...

    async def unsent(
        self, answer_id: str, state: SendState, error: str, *, counts: bool = True
    ) -> None:
        """It was not, or not for sure; `counts` is False if it only has to wait."""
        ...


class Courier:
    """Delivers parcels, one call each, until they are shown or given up on."""

    def __init__(
        self, journal: Outbox, channels: Mapping[str, Showplace], patience: Patience
    ) -> None:
        self._patience = patience
        self._journal = journal
        self._channels = channels
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Begin no further attempt; what is left is delivered after the next start."""
        self._stopping.set()

    async def deliver(self, parcel: Parcel) -> None:
        """Show a reply, or give up on it. Returns early when stopped.

        Being told to wait is no failure: a place that many write to is not given up on.
        """
        failures = 0
        while True:
            problem = await self._attempt(parcel)
            if problem is None:
                return
            told_to_wait = problem.retry_after > 0 and not (problem.final or problem.maybe_shown)
            if not told_to_wait:
                failures += 1
            if problem.final or failures >= self._patience.sends:
                parcel.state = SendState.DEAD
            await insist(
                self._journal.unsent,
                parcel.answer_id,
                parcel.state,
                problem.message,
                counts=not told_to_wait,
            )
            if parcel.state is SendState.DEAD:
                log.error("reply given up on", answer_id=parcel.answer_id, error=problem.message)
                return
            pause = max(
                min(2.0 ** (failures - 1), self._patience.longest_pause_s)
                * random.uniform(0.8, 1.2)  # noqa: S311 - spreads load, keeps no secret
                * (not told_to_wait),
                min(problem.retry_after, self._patience.longest_asked_pause_s),
            )
            log.warning("reply not shown yet", error=problem.message, pause_s=round(pause, 1))
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                continue
            return

    async def _attempt(self, parcel: Parcel) -> DeliveryError | None:
        """Try once. None when there is nothing left to do."""
        channel = self._channels[parcel.to.channel]
        again = parcel.state is not SendState.READY and not parcel.begun
        if again:
            try:
                async with asyncio.timeout(self._patience.send_s):
                    shown_as = await channel.delivered(parcel.to, parcel.answer_id)
            except Exception as problem:  # noqa: BLE001 - whatever a channel raises means: not known yet
                parcel.state = SendState.UNKNOWN
                return _as_delivery_error(problem)
            if shown_as is not None:
                await insist(self._journal.sent, parcel.answer_id, shown_as)
                return None
        if not parcel.begun:
            attempts = await insist(self._journal.begin_send, parcel.answer_id, again=again)
            if attempts is None:
                return None
            if attempts > self._patience.sends:  # in all lives: sending may be what ends them
                return DeliveryError("The reply was sent too often without an end.", final=True)
        parcel.begun = False
        parcel.state = SendState.SENDING
        try:
            platform_id = await self._show(channel, parcel)
        except Exception as problem:  # noqa: BLE001 - whatever a channel raises means: shown, or not, or perhaps
            error = _as_delivery_error(problem)
            if parcel.delivery is None:  # never got as far as sending
                error.maybe_shown = again
            parcel.state = SendState.UNKNOWN if error.maybe_shown else SendState.READY
            return error
        await insist(self._journal.sent, parcel.answer_id, platform_id)
        return None

    async def _show(self, channel: Showplace, parcel: Parcel) -> str:
        async with asyncio.timeout(self._patience.send_s):
            if parcel.delivery is None:
                showing, parcel.showing = parcel.showing, None
                parcel.delivery = await (
                    showing.opened()
                    if showing is not None
                    else channel.open(parcel.to, parcel.event_id)
                )
            return await parcel.delivery.finish(parcel.reply, parcel.answer_id)


def _as_delivery_error(problem: Exception) -> DeliveryError:
    if isinstance(problem, DeliveryError):
        return problem
    return DeliveryError(f"The channel failed: {describe(problem)}", maybe_shown=True)

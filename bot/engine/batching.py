"""Many answers at once from one model: who gets a slot, who waits, and what happens to them.

Knows requests, slots and which adapter is active; does not know texts, HTTP or files, nor how
tokens are made: that is a decoder's business, our own for the Llama family (`decoding`), the
library's for the rest (`library`).

Adapters: our own decoder runs requests for different adapters together. The library runs one at
a time: requests are admitted in order, and a request for another adapter waits until those
before it are done; then the loop is paused, the adapter switched and the prefixes dropped.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING

import structlog
import torch

from bot.engine.copying import CopySource
from bot.engine.decoding import SlotDecoder
from bot.engine.generation import Decoder, Generation, News
from bot.engine.library import LibraryDecoder
from bot.engine.sampling import Sampling
from bot.errors import Busy, EngineDown

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from bot.engine.llama import Llama

POLL_S = 0.005
DEATH_S = 1.0  # how long after its last news the decoding thread may take to end
STOP_S = 30.0

log = structlog.get_logger(__name__)


class Batcher:
    """Decodes up to `slots` requests together; `queue` more may wait, then `Busy`.

    Everything but the model's own thread runs on the event loop that called `start`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        stop_ids: Sequence[int],
        slots: int,
        context: int,
        queue: int = 64,
        activate: Callable[[str], None] = lambda _name: None,
        network: Llama | None = None,
    ) -> None:
        """`network` is our own pass over `model`; without one the library decodes.

        `activate` makes an adapter ("" for none) the model's active one.
        """
        self.slots = slots
        self.context = context
        self.broken = asyncio.Event()  # set once the model can decode no more
        self._model = model
        self._network = network
        self._stop_ids = list(stop_ids)
        self._queue = queue
        self._activate = activate
        self._active: str | None = ""  # None: whatever it was is gone
        self._running: dict[str, Generation] = {}
        self._waiting: deque[Generation] = deque()
        self._failed: dict[str, str] = {}  # request -> what the decoder said
        self._exclusive = asyncio.Lock()  # held while the model is changed
        self._ids = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._decoder: Decoder | None = None

    @property
    def running(self) -> int:
        """Requests being decoded."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._waiting)

    @property
    def steers(self) -> bool:
        """Whether repetition penalties and copying are heeded."""
        return self._network is not None

    def start(self) -> None:
        """Start decoding. Call on the event loop that will use the batcher."""
        self._loop = asyncio.get_running_loop()
        self._decoder = self._start_decoder()

    async def stop(self) -> None:
        """Stop decoding; what is unfinished ends in `EngineDown`."""
        self._end_all(EngineDown("The engine is stopping.", "Ask again in a moment."))
        if self._decoder is not None:
            await asyncio.to_thread(self._decoder.stop, STOP_S)

    def submit(
        self,
        prompt: Sequence[int],
        max_tokens: int,
        sampling: Sampling,
        adapter: str = "",
        copying: CopySource | None = None,
    ) -> Generation:
        """Queue a request. Raises `Busy` when too many wait already.

        `copying` is heeded where the decoder `steers`.
        """
        if self.broken.is_set():
            raise EngineDown("The model can decode no more.", "The engine is being restarted.")
        if len(self._waiting) >= self._queue:
            raise Busy("All slots are taken and the queue is full.", "Ask again in a moment.")
        name = f"{next(self._ids)}"
        request = Generation(
            name,
            prompt,
            max_tokens,
            sampling,
            adapter,
            cancel=lambda: self._cancel(name),
            copying=copying,
        )
        self._waiting.append(request)
        self._admit()
        return request

    async def change_model(self, change: Callable[[], None], *, removes: str = "") -> None:
        """Run `change` in a thread while the model is at rest; requests under way go on after.

        For adding an adapter, or removing one that no request uses. It must leave the adapter
        that was active active.
        """
        async with self._exclusive:
            await asyncio.to_thread(self._paused, change, removes)
            if removes and self._active == removes:
                self._active = None  # the next request switches, and so drops the prefixes
        self._admit()

    def uses(self, adapter: str) -> bool:
        """Whether a running or waiting request asked for this adapter."""
        return any(one.adapter == adapter for one in (*self._running.values(), *self._waiting))

    # --- admission ---------------------------------------------------------------------------

    def _admit(self) -> None:
        """Give free slots to the requests that wait, in order."""
        while self._waiting and len(self._running) < self.slots and not self._exclusive.locked():
            if self._decoder is None:
                raise RuntimeError("start() has not been called")
            if not self._decoder.mixes and self._waiting[0].adapter != self._active:
                if not self._running:
                    self._spawn(self._switch())
                return
            self._begin(self._decoder, self._waiting.popleft())

    def _begin(self, decoder: Decoder, request: Generation) -> None:
        self._running[request.id] = request
        request.before = len(request.tokens)
        if not decoder.add(request):
            self._fail(request, "the decoding thread has died")

    async def _switch(self) -> None:
        """Make the adapter of the first waiting request the active one."""
        async with self._exclusive:
            while self._waiting and not self._running:
                wanted = self._waiting[0].adapter
                try:
                    if wanted == self._active or await asyncio.to_thread(self._try_switch, wanted):
                        self._active = wanted
                        break
                except EngineDown as error:
                    self._fail(self._waiting[0], str(error))
                    return
                await asyncio.sleep(POLL_S)
        self._admit()

    def _try_switch(self, adapter: str) -> bool:
        """Switch, unless a cancelled request is still in the batch."""
        done = False

        def change() -> None:
            nonlocal done
            if self._decoder is not None and self._decoder.resting:
                self._activate(adapter)
                self._decoder.forget()
                done = True

        self._paused(change)
        return done

    def _paused(self, change: Callable[[], None], removes: str = "") -> None:
        """Run `change` between two steps of the decoding thread."""
        if self._decoder is None or not self._decoder.alive:
            raise EngineDown("The model can decode no more.", "The engine is being restarted.")
        with self._decoder.pause():
            change()
            if removes and self._decoder.mixes:
                self._decoder.forget(removes)

    def _cancel(self, name: str) -> None:
        """Forget a request and free its slot; safe at any time, and twice."""
        if self._running.pop(name, None) is not None and self._decoder is not None:
            self._decoder.cancel(name)
            self._admit()
        else:
            self._waiting = deque(one for one in self._waiting if one.id != name)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the decoder -------------------------------------------------------------------------

    def _start_decoder(self) -> Decoder:
        if self._network is not None:
            return SlotDecoder(
                self._network,
                stop_ids=self._stop_ids,
                slots=self.slots,
                context=self.context,
                deliver=self._hear,
            )
        return LibraryDecoder(
            self._model,
            stop_ids=self._stop_ids,
            slots=self.slots,
            context=self.context,
            deliver=self._hear,
        )

    def _hear(self, news: list[News]) -> None:
        """Take news from the decoding thread to the event loop."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, news)

    def _deliver(self, news: list[News]) -> None:
        """Hand news to the requests they belong to."""
        for one in news:
            request = self._running.get(one.id)
            if request is None:
                continue  # cancelled meanwhile
            if one.tokens:
                request.tokens.extend(one.tokens)
                request.news.put_nowait(list(one.tokens))
            if one.error:
                self._fail(request, one.error)
            elif one.done:
                del self._running[request.id]
                request.news.put_nowait(None)
        self._admit()

    def _fail(self, request: Generation, said: str) -> None:
        """Note a request that the decoder gave up, and look into why, once for all of them."""
        log.warning("generation_failed", request=request.id, error=said)
        self._failed[request.id] = said
        if len(self._failed) == 1:
            self._spawn(self._recover())

    async def _recover(self) -> None:
        """Go on with half the slots when memory ran out; otherwise the engine is broken.

        What had been generated is kept: a request continues from its last token.
        """
        async with self._exclusive:
            decoder = self._decoder
            if decoder is None or self.broken.is_set():
                return
            for _ in range(round(DEATH_S / POLL_S)):  # the news may be ahead of the thread's end
                if not decoder.alive:
                    break
                await asyncio.sleep(POLL_S)
            failed, self._failed = self._failed, {}
            if decoder.alive:  # it lives: these requests alone were at fault
                for name in failed.keys() & self._running.keys():
                    request = self._running.pop(name)
                    request.news.put_nowait(EngineDown(f"The model failed: {failed[name]}"))
            else:
                await self._restart(decoder)
        self._admit()

    async def _restart(self, decoder: Decoder) -> None:
        error = decoder.error
        if not _out_of_memory(error) or self.slots == 1:
            log.error("decoding_stopped", error=str(error), kind=type(error).__name__)
            self.broken.set()
            self._end_all(EngineDown(f"The model stopped decoding: {error}"))
            return
        self.slots //= 2
        log.warning("out_of_memory", slots=self.slots)
        await asyncio.to_thread(decoder.stop, STOP_S)  # frees its cache before the next is made
        self._decoder = self._start_decoder()
        self._waiting.extendleft(reversed(self._running.values()))
        self._running.clear()

    def _end_all(self, error: EngineDown) -> None:
        for request in (*self._running.values(), *self._waiting):
            request.news.put_nowait(error)
        self._running.clear()
        self._waiting.clear()


def _out_of_memory(error: BaseException | None) -> bool:
    """Whether a smaller batch may help. torch has no error type of its own for the CPU's case."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )

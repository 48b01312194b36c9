"""Many answers at once from one model: the engine's only contact with the batching library.

Knows token ids, slots and which adapter is active; does not know texts, HTTP or files. It runs
on transformers' continuous batching (5.23), which changes quickly, so nothing outside this
module may import it.

Adapters: the library runs one adapter at a time. Requests are admitted in order, and a request
for another adapter waits until those before it are done; then the loop is paused, the adapter
switched and the prefix cache emptied. Cached prefixes are keyed by tokens only, so without the
last step answers would be silently wrong.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import structlog
import torch
from transformers import GenerationConfig
from transformers.generation.configuration_utils import ContinuousBatchingConfig
from transformers.generation.continuous_batching.continuous_api import (
    ContinuousBatchingManager,
    OutputRouter,
)
from transformers.generation.continuous_batching.requests import RequestStatus

from bot.engine.sampling import RowSampler, Sampling
from bot.errors import Busy, EngineDown

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.generation.continuous_batching.requests import GenerationOutput

PAGE = 32  # tokens per cache page: only whole pages of a shared prefix are reused
STEP_TOKENS = 256  # tokens per forward pass: bounds how long a long prompt holds up the others
HEADROOM = 1.3  # cache beyond what full slots need, for prefixes kept for later
POLL_S = 0.005
DEATH_S = 1.0  # how long after its last news the decoding thread may take to end

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class Generation:
    """One answer being made: iterate for new token ids, `cancel` to stop early."""

    id: str
    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling
    adapter: str
    cancel: Callable[[], None]
    tokens: list[int] = field(default_factory=list)
    before: int = 0  # how many of them an earlier attempt made, before memory ran out
    news: asyncio.Queue[list[int] | EngineDown | None] = field(default_factory=asyncio.Queue)

    async def __aiter__(self) -> AsyncIterator[list[int]]:
        """New ids, as they come. Raises `EngineDown` when the engine broke."""
        while (new := await self.news.get()) is not None:
            if isinstance(new, EngineDown):
                raise new
            yield new


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
    ) -> None:
        """`activate` makes an adapter ("" for none) the model's active one."""
        self.slots = slots
        self.context = context
        self.broken = asyncio.Event()  # set once the model can decode no more
        self._model = model
        self._stop_ids = list(stop_ids)
        self._queue = queue
        self._activate = activate
        self._active: str | None = ""  # None: whatever it was is gone
        self._running: dict[str, Generation] = {}
        self._waiting: deque[Generation] = deque()
        self._failed: dict[str, str] = {}  # request -> what the library said
        self._exclusive = asyncio.Lock()  # held while the model is changed
        self._ids = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()
        self._manager: ContinuousBatchingManager | None = None

    @property
    def running(self) -> int:
        """Requests being decoded."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._waiting)

    def start(self) -> None:
        """Start decoding. Call on the event loop that will use the batcher."""
        self._loop = asyncio.get_running_loop()
        self._manager = self._start_manager()

    async def stop(self) -> None:
        """Stop decoding; what is unfinished ends in `EngineDown`."""
        self._end_all(EngineDown("The engine is stopping.", "Ask again in a moment."))
        if self._manager is not None:
            await asyncio.to_thread(self._manager.stop, block=True, timeout=30, hard_stop=True)

    def submit(
        self, prompt: Sequence[int], max_tokens: int, sampling: Sampling, adapter: str = ""
    ) -> Generation:
        """Queue a request. Raises `Busy` when too many wait already."""
        if self.broken.is_set():
            raise EngineDown("The model can decode no more.", "The engine is being restarted.")
        if len(self._waiting) >= self._queue:
            raise Busy("All slots are taken and the queue is full.", "Ask again in a moment.")
        name = f"{next(self._ids)}"
        request = Generation(
            name, prompt, max_tokens, sampling, adapter, cancel=lambda: self._cancel(name)
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
            await asyncio.to_thread(self._paused, change)
            if removes and self._active == removes:
                self._active = None  # the next request switches, and so empties the prefix cache
        self._admit()

    def uses(self, adapter: str) -> bool:
        """Whether a running or waiting request asked for this adapter."""
        return any(one.adapter == adapter for one in (*self._running.values(), *self._waiting))

    # --- admission ---------------------------------------------------------------------------

    def _admit(self) -> None:
        """Give free slots to the requests that wait, in order."""
        while self._waiting and len(self._running) < self.slots and not self._exclusive.locked():
            if self._waiting[0].adapter != self._active:
                if not self._running:
                    self._spawn(self._switch())
                return
            self._begin(self._waiting.popleft())

    def _begin(self, request: Generation) -> None:
        if self._manager is None:
            raise RuntimeError("start() has not been called")
        self._running[request.id] = request
        request.before = len(request.tokens)
        accepted = self._manager.add_request(
            [*request.prompt, *request.tokens],
            request_id=request.id,
            max_new_tokens=request.max_tokens - request.before,
            streaming=True,
            sampling=request.sampling,
        )
        if accepted is None:
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
        """Switch, unless a cancelled request is still in the batch.

        Its cache pages would outlive the eviction, under tokens they no longer belong to.
        """
        done = False

        def change() -> None:
            nonlocal done
            processor = self._manager.batch_processor if self._manager else None
            if processor is None or processor.has_pending_requests():
                return
            self._activate(adapter)
            processor.cache.evict_cached_blocks()
            done = True

        self._paused(change)
        return done

    def _paused(self, change: Callable[[], None]) -> None:
        """Run `change` between two steps of the decoding thread."""
        if self._manager is None or not self._manager.is_running():
            raise EngineDown("The model can decode no more.", "The engine is being restarted.")
        with self._manager.pause():
            change()

    def _cancel(self, name: str) -> None:
        """Forget a request and free its slot; safe at any time, and twice."""
        if self._running.pop(name, None) is not None and self._manager is not None:
            self._manager.cancel_request(name)
            self._admit()
        else:
            self._waiting = deque(one for one in self._waiting if one.id != name)

    def _spawn(self, work: Any) -> None:  # noqa: ANN401 - a coroutine of any kind
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the library ---------------------------------------------------------------------------

    def _start_manager(self) -> ContinuousBatchingManager:
        pages = math.ceil(self.context / PAGE) * self.slots
        model: Any = self._model  # the library's mixin and its configuration are not typed
        config: Any = GenerationConfig
        manager = model.init_continuous_batching(
            generation_config=config(
                do_sample=False, eos_token_id=self._stop_ids or [-1], pad_token_id=0
            ),
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=PAGE,
                num_blocks=math.ceil(pages * HEADROOM),
                max_batch_tokens=max(STEP_TOKENS, self.slots),
                max_requests_per_batch=self.slots,
            ),
        )
        # Both are read when the loop starts, so replacing them here is enough.
        manager.logit_processor = RowSampler(self._model.device)
        manager.output_router = _Router(self._loop, self._deliver)
        manager.start()
        return cast("ContinuousBatchingManager", manager)

    def _deliver(self, outputs: list[GenerationOutput]) -> None:
        """Hand news from the decoding thread to the requests they belong to."""
        for output in outputs:
            request = self._running.get(output.request_id)
            if request is None:
                continue  # cancelled meanwhile
            new = output.generated_tokens[len(request.tokens) - request.before :]
            if new:
                request.tokens.extend(new)
                request.news.put_nowait(new)
            if output.status == RequestStatus.FAILED:
                self._fail(request, output.error or "no reason given")
            elif output.is_finished():
                del self._running[request.id]
                request.news.put_nowait(None)
        self._admit()

    def _fail(self, request: Generation, said: str) -> None:
        """Note a request that the library gave up, and look into why, once for all of them."""
        log.warning("generation_failed", request=request.id, error=said)
        self._failed[request.id] = said
        if len(self._failed) == 1:
            self._spawn(self._recover())

    async def _recover(self) -> None:
        """Go on with half the slots when memory ran out; otherwise the engine is broken.

        What had been generated is kept: a request continues from its last token.
        """
        async with self._exclusive:
            manager = self._manager
            if manager is None or self.broken.is_set():
                return
            for _ in range(round(DEATH_S / POLL_S)):  # the news may be ahead of the thread's end
                if not manager.is_running():
                    break
                await asyncio.sleep(POLL_S)
            failed, self._failed = self._failed, {}
            if manager.is_running():  # it lives: these requests alone were at fault
                for name in failed.keys() & self._running.keys():
                    request = self._running.pop(name)
                    request.news.put_nowait(EngineDown(f"The model failed: {failed[name]}"))
            else:
                await self._restart(manager)
        self._admit()

    async def _restart(self, manager: ContinuousBatchingManager) -> None:
        error = manager.background_thread_status.fatal_error
        if not _out_of_memory(error) or self.slots == 1:
            log.error("decoding_stopped", error=str(error), kind=type(error).__name__)
            self.broken.set()
            self._end_all(EngineDown(f"The model stopped decoding: {error}"))
            return
        self.slots //= 2
        log.warning("out_of_memory", slots=self.slots)
        await asyncio.to_thread(manager.stop, block=True, timeout=30)
        self._manager = self._start_manager()
        self._waiting.extendleft(reversed(self._running.values()))
        self._running.clear()

    def _end_all(self, error: EngineDown) -> None:
        for request in (*self._running.values(), *self._waiting):
            request.news.put_nowait(error)
        self._running.clear()
        self._waiting.clear()


def quiet() -> None:
    """Send the library's log through ours, and only what is out of the ordinary."""
    theirs = logging.getLogger("ContinuousBatchingLogger")
    theirs.handlers.clear()
    theirs.propagate = True
    theirs.setLevel(logging.WARNING)


def _out_of_memory(error: BaseException | None) -> bool:
    """Whether a smaller batch may help. torch has no error type of its own for the CPU's case."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


class _Router(OutputRouter):
    """Hands every output of a step to the event loop in one call."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, deliver: Callable[[list[GenerationOutput]], None]
    ) -> None:
        super().__init__()
        self._loop = loop
        self._deliver = deliver

    def deliver(self, output: GenerationOutput) -> None:
        self.deliver_batch([output])

    def deliver_batch(self, outputs: list[GenerationOutput]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, list(outputs))

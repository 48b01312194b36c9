"""Decoding by transformers' continuous batching: for models that our own pass does not run.

Knows the library (5.23), which changes quickly, so nothing outside this module may import its
batching. It runs one adapter at a time, and its prefix cache is keyed by tokens only: after a
switch it has to be emptied, or answers would be silently wrong.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

from transformers import GenerationConfig
from transformers.generation.configuration_utils import ContinuousBatchingConfig
from transformers.generation.continuous_batching.continuous_api import (
    ContinuousBatchingManager,
    OutputRouter,
)
from transformers.generation.continuous_batching.requests import RequestStatus

from bot.engine.generation import Deliver, Generation, News
from bot.engine.sampling import RowSampler

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.generation.continuous_batching.requests import GenerationOutput

PAGE = 32  # tokens per cache page: only whole pages of a shared prefix are reused
STEP_TOKENS = 256  # tokens per forward pass: bounds how long a long prompt holds up the others
HEADROOM = 1.3  # cache beyond what full slots need, for prefixes kept for later


class LibraryDecoder:
    """Implements `Decoder` over a model of any architecture that the library batches."""

    mixes = False
    steers = False

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        stop_ids: Sequence[int],
        slots: int,
        context: int,
        deliver: Deliver,
    ) -> None:
        """Starts at once."""
        pages = math.ceil(context / PAGE) * slots
        mixin: Any = model  # the library's mixin and its configuration are not typed
        config: Any = GenerationConfig
        manager = mixin.init_continuous_batching(
            generation_config=config(
                do_sample=False, eos_token_id=list(stop_ids) or [-1], pad_token_id=0
            ),
            continuous_batching_config=ContinuousBatchingConfig(
                page_size=PAGE,
                num_blocks=math.ceil(pages * HEADROOM),
                max_batch_tokens=max(STEP_TOKENS, slots),
                max_requests_per_batch=slots,
            ),
        )
        # Both are read when the loop starts, so replacing them here is enough.
        manager.logit_processor = RowSampler(model.device)
        self._router = manager.output_router = _Router(deliver)
        manager.start()
        self._manager = cast("ContinuousBatchingManager", manager)

    @property
    def alive(self) -> bool:
        """Whether the library's thread runs."""
        return self._manager.is_running()

    @property
    def error(self) -> BaseException | None:
        """What ended the thread."""
        return self._manager.background_thread_status.fatal_error

    @property
    def resting(self) -> bool:
        """Whether nothing is in the batch.

        A cancelled request's pages would outlive the eviction, under tokens they no longer
        belong to.
        """
        processor = self._manager.batch_processor
        return processor is not None and not processor.has_pending_requests()

    def add(self, request: Generation) -> bool:
        """Begin a request; False when the thread is dead."""
        accepted = self._manager.add_request(
            [*request.prompt, *request.tokens],
            request_id=request.id,
            max_new_tokens=request.max_tokens - request.before,
            streaming=True,
            sampling=request.sampling,
        )
        return accepted is not None

    def cancel(self, name: str) -> None:
        """End a request."""
        self._manager.cancel_request(name)
        self._router.told.pop(name, None)

    def pause(self) -> AbstractContextManager[None]:
        """Hold the loop between two steps."""
        return cast("AbstractContextManager[None]", self._manager.pause())

    def forget(self, adapter: str | None = None) -> None:
        """Empty the prefix cache, whichever adapter it was for."""
        del adapter
        processor = self._manager.batch_processor
        if processor is not None:
            processor.cache.evict_cached_blocks()

    def stop(self, timeout_s: float) -> None:
        """End the thread at once."""
        self._manager.stop(block=True, timeout=timeout_s, hard_stop=True)


class _Router(OutputRouter):
    """Hands every output of a step on in one call, as news."""

    def __init__(self, deliver: Deliver) -> None:
        super().__init__()
        self._deliver = deliver
        self.told: dict[str, int] = {}  # request -> how many of its tokens are news no more

    def deliver(self, output: GenerationOutput) -> None:
        self.deliver_batch([output])

    def deliver_batch(self, outputs: list[GenerationOutput]) -> None:
        self._deliver([self._news(output) for output in outputs])

    def _news(self, output: GenerationOutput) -> News:
        """The library repeats everything each time."""
        name = output.request_id
        new = output.generated_tokens[self.told.get(name, 0) :]
        self.told[name] = len(output.generated_tokens)
        failed = output.status == RequestStatus.FAILED
        done = output.is_finished()
        if failed or done:
            del self.told[name]
        error = (output.error or "no reason given") if failed else ""
        return News(name, tuple(new), done=done and not failed, error=error)


def quiet() -> None:
    """Send the library's log through ours, and only what is out of the ordinary."""
    theirs = logging.getLogger("ContinuousBatchingLogger")
    theirs.handlers.clear()
    theirs.propagate = True
    theirs.setLevel(logging.WARNING)

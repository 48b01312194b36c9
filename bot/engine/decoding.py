"""Our own decoding: a slot per request, one pass per step for all of them.

Knows token ids, slots and the order of steps; does not know weights (`llama`), texts or who
asked. Every step takes the next token of each running sequence and a stretch of the prompts
that have come in, in one pass: a prompt that is being read delays the others by a bounded time,
and shares the reading of the weights with them (chunked prefill: Agrawal et al. 2023,
https://arxiv.org/abs/2308.16369). A slot keeps its keys and values after its request has ended,
and a new prompt starts from the longest beginning it shares with any slot of its adapter.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
import torch

from bot.engine.copying import Copier
from bot.engine.generation import Deliver, Generation, News
from bot.engine.llama import Llama, Piece
from bot.engine.sampling import choose, penalise
from bot.errors import EngineDown

PROMPT_ALONE = 512  # tokens of prompts per step while nobody waits for a next token
PROMPT_BESIDE = 64  # the same beside running answers: it bounds how long they are held up
WORTH = 16  # tokens a shared beginning must have to be copied

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Slot:
    """A place in the cache, and the request that has it."""

    number: int
    request: Generation | None = None
    ids: list[int] = field(default_factory=list)  # prompt and answer
    cached: int = 0  # how many of them have their keys and values in the cache
    adapter: str = ""  # what they were made with
    left: int = 0  # tokens the answer may still take
    said: torch.Tensor | None = None  # bool (vocabulary,), where repetition is penalised
    copier: Copier | None = None
    used: int = 0  # when it was last given out


class SlotDecoder:
    """Implements `Decoder` over our own pass."""

    mixes = True
    steers = True

    def __init__(
        self,
        network: Llama,
        *,
        stop_ids: Sequence[int],
        slots: int,
        context: int,
        deliver: Deliver,
    ) -> None:
        """Starts at once."""
        self.error: BaseException | None = None
        self._network = network
        self._stop_ids = frozenset(stop_ids)
        self._deliver = deliver
        self._slots = [_Slot(number) for number in range(slots)]
        self._cache = network.make_cache(slots, context)
        self._clock = itertools.count(1)
        self._turn = threading.Condition()  # guards what follows
        self._asked: deque[Generation | str] = deque()  # requests to begin, names to cancel
        self._stepping = False
        self._pauses = 0
        self._ending = False
        self._threads = torch.get_num_threads()
        self._thread = threading.Thread(target=self._run, name="decoding", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread decodes, or would."""
        return self.error is None and not self._ending and self._thread.is_alive()

    @property
    def resting(self) -> bool:
        """Whether no slot is taken."""
        return not self._asked and all(slot.request is None for slot in self._slots)

    def add(self, request: Generation) -> bool:
        """Begin a request at the next step."""
        return self._ask(request)

    def cancel(self, name: str) -> None:
        """Free a request's slot at the next step, before any new one is begun."""
        self._ask(name)

    def _ask(self, what: Generation | str) -> bool:
        with self._turn:
            self._asked.append(what)
            self._turn.notify_all()
            return self.alive

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Hold the thread between two steps. Raises `EngineDown` when it is dead."""
        with self._turn:
            self._pauses += 1
            self._turn.wait_for(lambda: not self._stepping)
        try:
            if not self.alive:
                raise EngineDown("The model can decode no more.", "The engine is being restarted.")
            yield
        finally:
            with self._turn:
                self._pauses -= 1
                self._turn.notify_all()

    def forget(self, adapter: str | None = None) -> None:
        """Drop what slots keep of an adapter's past requests, and the adapter itself."""
        for slot in self._slots:
            if slot.request is None and adapter in {None, slot.adapter}:
                slot.ids, slot.cached = [], 0
        if adapter:
            self._network.forget(adapter)

    def stop(self, timeout_s: float) -> None:
        """End the thread after its step."""
        with self._turn:
            self._ending = True
            self._turn.notify_all()
        self._thread.join(timeout_s)
        self._cache.clear()  # whoever still knows this decoder does not keep its memory

    # --- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        torch.set_num_threads(self._threads)  # each thread has a count of its own
        try:
            with torch.inference_mode():
                while self._wait_for_work():
                    news = self._step()
                    self._rest()
                    if news:
                        self._deliver(news)
        except Exception as error:  # noqa: BLE001 - whatever torch raises ends the decoding, named
            with self._turn:  # who asks from here on is told at once
                self.error = error
                left = [one for one in self._asked if isinstance(one, Generation)]
            self._rest()
            taken = [slot.request for slot in self._slots if slot.request is not None]
            self._deliver([News(one.id, error=str(error)) for one in (*taken, *left)])

    def _wait_for_work(self) -> bool:
        """Wait until a step is due, and do what was asked for meanwhile; False at the end."""
        with self._turn:
            self._turn.wait_for(
                lambda: self._ending or (not self._pauses and (self._asked or self._busy()))
            )
            if self._ending:
                return False
            self._stepping = True
            asked = list(self._asked)
            self._asked.clear()
        for one in asked:
            if isinstance(one, str):
                self._free(one)
        cancelled = {one for one in asked if isinstance(one, str)}
        for one in asked:
            if isinstance(one, Generation) and one.id not in cancelled:
                self._begin(one)
        return True

    def _rest(self) -> None:
        with self._turn:
            self._stepping = False
            self._turn.notify_all()

    def _busy(self) -> bool:
        return any(slot.request is not None for slot in self._slots)

    def _free(self, name: str) -> None:
        for slot in self._slots:
            if slot.request is not None and slot.request.id == name:
                slot.request = None

    def _begin(self, request: Generation) -> None:
        """Give a request a slot, and the beginning that it shares with another's sequence."""
        ids = [*request.prompt, *request.tokens]
        donor, shared = self._nearest(ids, request.adapter)
        free = [slot for slot in self._slots if slot.request is None]
        slot = donor if donor in free else min(free, key=lambda one: one.used)
        if donor is not None and donor is not slot:
            for held in self._cache:
                held[slot.number, :shared] = held[donor.number, :shared]
        slot.request, slot.ids, slot.cached = request, ids, shared
        slot.adapter = request.adapter
        slot.left = request.max_tokens - len(request.tokens)
        slot.used = next(self._clock)
        slot.said = None
        if request.sampling.repetition_penalty != 1:
            slot.said = torch.zeros(
                self._network.vocabulary, dtype=torch.bool, device=self._network.device
            )
            slot.said[ids] = True
        slot.copier = request.copying.begin(request.tokens) if request.copying else None
        if request.adapter:
            self._network.learn(request.adapter)

    def _nearest(self, ids: Sequence[int], adapter: str) -> tuple[_Slot | None, int]:
        """The slot whose cache begins most like a prompt, and how much of it.

        At least one token is left to be read: the answer starts from its logits.
        """
        best, most = None, WORTH - 1
        for slot in self._slots:
            if slot.adapter == adapter:
                known = slot.ids[: min(slot.cached, len(ids) - 1)]
                shared = next((at for at, one in enumerate(known) if one != ids[at]), len(known))
                if shared > most:
                    best, most = slot, shared
        return (best, most) if best is not None else (None, 0)

    def _step(self) -> list[News]:
        """One pass over everything that runs; what it brought."""
        taken = self._pieces()
        if not taken:
            return []
        pieces = [piece for _, piece in taken]
        scores = self._network(pieces, self._cache)
        for slot, piece in taken:
            slot.cached = piece.end
        heard = [slot for slot, piece in taken if piece.wanted]
        if not heard:
            return []
        self._steer(scores, heard)
        requests = [slot.request for slot in heard if slot.request is not None]
        tokens = choose(scores, [one.sampling for one in requests], [slot.cached for slot in heard])
        return [self._take(slot, token) for slot, token in zip(heard, tokens, strict=True)]

    def _pieces(self) -> list[tuple[_Slot, Piece]]:
        """What the next pass reads: single tokens by slot, then stretches of prompts by age."""
        taken = [slot for slot in self._slots if slot.request is not None]
        single = [slot for slot in taken if len(slot.ids) - slot.cached == 1]
        reading = sorted(
            (slot for slot in taken if len(slot.ids) - slot.cached > 1), key=lambda one: one.used
        )
        budget = PROMPT_BESIDE if single else PROMPT_ALONE
        found = [(slot, self._piece(slot, 1)) for slot in single]
        stretches = []
        for slot in reading:
            # One token by itself would belong among the single ones: it waits for the next step.
            size = min(budget, len(slot.ids) - slot.cached)
            if size > 1:
                stretches.append((slot, self._piece(slot, size)))
                budget -= size
        return [*found, *stretches]

    def _piece(self, slot: _Slot, size: int) -> Piece:
        end = slot.cached + size
        ids = slot.ids[slot.cached : end]
        return Piece(slot.number, slot.cached, ids, slot.adapter, wanted=end == len(slot.ids))

    def _steer(self, scores: torch.Tensor, heard: Sequence[_Slot]) -> None:
        """Change the scores where a request asks for it, in place."""
        rows, said, penalties = [], [], []
        for row, slot in enumerate(heard):
            if slot.said is not None and slot.request is not None:
                rows.append(row)
                said.append(slot.said)
                penalties.append(slot.request.sampling.repetition_penalty)
            if slot.copier is not None:
                slot.copier.steer(scores[row])
        if rows:
            penalise(scores, rows, torch.stack(said), penalties)

    def _take(self, slot: _Slot, token: int) -> News:
        """Add a token to its sequence; free the slot at its end."""
        request = slot.request
        if request is None:
            raise RuntimeError("a token for an empty slot")
        slot.ids.append(token)
        slot.left -= 1
        if slot.said is not None:
            slot.said[token] = True
        if slot.copier is not None:
            slot.copier.advance(token)
        done = token in self._stop_ids or slot.left <= 0
        if done:
            slot.request = None
        return News(request.id, (token,), done=done)

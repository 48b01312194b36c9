"""Question in, grounded reply out: understand, search, compose or generate, check, cite.

Joins the parts and decides whether to answer, by the search's calibrated confidence. Knows no
wire format, no database and no settings file. Everything a person or a document wrote is data
here; nothing in it is ever carried out.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import structlog

from bot.answering.cite import Citer, mark
from bot.answering.compose import Piece, Quoter, quotable
from bot.answering.ground import Checker, Passages
from bot.answering.prompt import FULL, Form, build
from bot.answering.readings import Read, best_reading
from bot.answering.understand import Part, Understood, understand
from bot.answering.units import plain
from bot.errors import EngineError
from bot.metrics import STAGE_SECONDS
from bot.reviewing.curated import CuratedAnswers
from bot.types import Engine, Found, Limits, Outcome, Question, Reply, Sink, Turn
from bot.words.followup import Candidate
from bot.words.phrases import phrases
from bot.words.smalltalk import Talk
from knowledge.types import Hit, Hits, Passage, Query, Retriever

if TYPE_CHECKING:
    from knowledge.embed import Embedder

log = structlog.get_logger(__name__)

FOUND = 8  # passages asked of the search, and logged
PROMPTED = 5  # passages a model is given
NEAR = 0.35  # share of the threshold from which a page counts as near enough to name
NEAREST = 3  # pages named when abstaining


class Generator(Protocol):
    """Where a model is served, if one is: both may change between two questions."""

    @property
    def engine(self) -> Engine | None:
        """What generates now; None while nothing can."""
        ...

    @property
    def model(self) -> str:
        """The model to ask for."""
        ...


@dataclass(slots=True)
class _Run:
    """What accumulates over one question."""

    question: Question
    sink: Sink
    lang: str = "en"
    citer: Citer = field(default_factory=Citer)
    timings: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage, in milliseconds for the reply and in seconds for the metrics."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.timings[name] = self.timings.get(name, 0.0) + spent * 1000
            STAGE_SECONDS.labels(stage=name).observe(spent)


class GroundedAnswerer:
    """Implements `Answerer` over a retriever and, where there is one, a model.

    `threshold` is the confidence in [0, 1] below which it abstains. `contact` is shown to
    people who ask for a person; empty looks it up in the knowledge. `form` is that of the prompt
    the model was tuned with.
    """

    def __init__(
        self,
        retriever: Retriever,
        embedder: Embedder,
        generator: Generator | None = None,
        *,
        threshold: float = 0.5,
        limits: Limits | None = None,
        contact: str = "",
        curated: CuratedAnswers | None = None,
        form: Form = FULL,
    ) -> None:
        self._retriever = retriever
        self._generator = generator
        self._embedder = embedder
        self._quoter = Quoter(embedder)
        self._checker = Checker(embedder)
        self._threshold = threshold
        self._limits = limits or Limits()
        self._contact = contact
        self._curated = curated
        self._form = form

    async def warm(self) -> None:
        """Load what the first question would otherwise wait for: the language models."""
        await asyncio.to_thread(understand, "Wort, mot, palabra")
        await asyncio.to_thread(self._embedder.encode_query, "warm")

    async def answer(self, question: Question, sink: Sink) -> Reply:
        """Never raises for what a person typed; retrieval faults pass through."""
        run = _Run(question, sink)
        with run.stage("understand"):
            understood = await asyncio.to_thread(understand, question.text, question.history)
        run.lang = understood.lang
        if understood.talk is Talk.HUMAN:
            return await self._human(run)
        if not understood.parts:
            return await self._talk(run, understood)
        if self._curated is not None:
            with run.stage("curated"):
                written = await self._curated.answer(question, understood)
            if written is not None:
                await sink.append(written.text)
                return replace(written, timings=dict(run.timings))
        await sink.status(phrases(run.lang).searching)
        with run.stage("search"):
            reads = await self._read_all(run, understood.parts)
        reply = await self._respond(run, reads)
        log.info(
            "answered",
            event_id=question.event_id,
            outcome=reply.outcome.value,
            composer=reply.composer,
            parts=len(reads),
            confidence=round(reply.confidence, 3),
            ms=round(sum(run.timings.values())),
        )
        return reply

    async def _talk(self, run: _Run, understood: Understood) -> Reply:
        say = phrases(run.lang)
        outcome = Outcome.SMALLTALK
        if understood.talk is not None:
            text = str(getattr(say, understood.talk.value))
        elif understood.attack:
            text, outcome = f"{say.not_instructions} {say.greeting}", Outcome.ABSTAINED
        else:
            text, outcome = say.unreadable, Outcome.ABSTAINED
        return await self._finish(run, text, outcome)

    async def _human(self, run: _Run) -> Reply:
        """How to reach a person: what the settings say, else what the knowledge says."""
        say = phrases(run.lang)
        if self._contact:
            text = say.human_contact.format(contact=self._contact)
            return await self._finish(run, text, Outcome.SMALLTALK)
        with run.stage("search"):
            read = await self._read(run, Part(say.contact_query, ()))
        pieces = await self._quote(run, read) if read.answered else ()
        if not pieces:
            return await self._finish(run, say.human_unknown, Outcome.SMALLTALK, [read])
        text = f"{say.human_known}\n\n{_render(pieces, run.citer)}"
        return await self._finish(run, text, Outcome.ANSWERED, [read], composer="quote")

    async def _read_all(self, run: _Run, parts: Sequence[Part]) -> list[Read]:
        reads = list(await asyncio.gather(*(self._read(run, part) for part in parts)))
        if len(reads) > 1 and not any(read.answered for read in reads):
            # What looked like several questions may be one story: try it as a whole.
            text = " ".join(part.text for part in parts)
            whole = await self._read(run, Part(text, ()))
            return [whole] if whole.answered else reads
        return reads

    async def _read(self, run: _Run, part: Part) -> Read:
        """Search a part's readings and keep the one the knowledge answers best."""
        readings = part.candidates or (Candidate(part.text, alone=True),)
        found = await asyncio.gather(*(self._search(run, one.text) for one in readings))
        best = best_reading(part, readings, found)
        hits = found[best]
        answered = bool(hits.hits) and hits.confidence >= self._threshold
        return Read(part, readings[best], hits, answered)

    async def _search(self, run: _Run, text: str) -> Hits:
        query = Query(text, run.question.audience, limit=FOUND, lang=run.lang)
        hits = await self._retriever.search(query)
        return replace(hits, hits=_prefer_language(hits.hits, run.lang))

    async def _respond(self, run: _Run, reads: list[Read]) -> Reply:
        answered = [read for read in reads if read.answered]
        generator = self._generator
        engine = generator.engine if generator is not None and answered else None
        if engine is not None and generator is not None:
            reply = await self._generated(run, reads, engine, generator.model)
            if reply is not None:
                return reply
        quotes = [await self._quote(run, read) if read.answered else () for read in reads]
        parts = [
            (read, new)
            for read, old, new in zip(reads, quotes, _unrepeated(quotes), strict=True)
            # What another part's quote says already needs no heading; a part that was read in
            # the light of another and only found its answer again has none of its own.
            if new or not old or not read.reading.alone
        ]
        texts = []
        headed = len(parts) > 1
        quoted = 0
        for read, pieces in parts:
            if pieces:
                quoted += 1
                text = _render(pieces, run.citer)
                texts.append(f"**{_echo(read.part.text)}**\n\n{text}" if headed else text)
            elif headed:
                texts.append(self._nothing_on(run, read))
        if not quoted:
            return await self._abstain(run, reads)
        return await self._finish(
            run, "\n\n".join(texts), Outcome.ANSWERED, reads, composer="quote"
        )

    async def _quote(self, run: _Run, read: Read) -> tuple[Piece, ...]:
        with run.stage("compose"):
            return await asyncio.to_thread(
                self._quoter.quote, read.query, read.hits.hits, read.focus
            )

    async def _generated(
        self, run: _Run, reads: list[Read], engine: Engine, model: str
    ) -> Reply | None:
        """A model's answer, checked claim by claim; None where a quote has to do."""
        answered = [read for read in reads if read.answered]
        passages = _interleaved(read.hits.hits for read in answered)
        turns = build(
            " ".join(read.query for read in answered),
            passages,
            run.question.history,
            run.lang,
            self._form,
        )
        await run.sink.status(phrases(run.lang).writing)
        try:
            with run.stage("generate"):
                text, served = await self._stream(run, engine, model, turns)
        except EngineError as error:
            log.warning("engine failed, quoting", event_id=run.question.event_id, error=str(error))
            return None
        with run.stage("ground"):
            checked = await asyncio.to_thread(
                self._checker.check, text, Passages(passages), run.citer
            )
        if checked is None:
            return None
        texts = [checked.text]
        for read in reads:
            if not read.answered:
                texts.append(self._nothing_on(run, read))
            elif read not in _touched(reads, checked.supported):
                # Every question gets its answer, also the one the model passed over.
                pieces = await self._quote(run, read)
                if any(piece.passage.id not in checked.supported for piece in pieces):
                    texts.append(f"**{_echo(read.part.text)}**\n\n{_render(pieces, run.citer)}")
        return await self._finish(
            run, "\n\n".join(texts), Outcome.ANSWERED, reads, composer="model", model=served,
            streamed=True,
        )  # fmt: skip

    async def _stream(
        self, run: _Run, engine: Engine, model: str, turns: Sequence[Turn]
    ) -> tuple[str, str]:
        """The whole text and the version that made it; leaving early stops the decoding."""
        text, served = "", ""
        tokens = engine.stream(turns, model, self._limits)
        try:
            async for token in tokens:
                text += token.text
                served = token.model
                await run.sink.append(token.text)
        finally:
            closing = getattr(tokens, "aclose", None)
            if closing is not None:
                await closing()
        return text, served

    def _nothing_on(self, run: _Run, read: Read) -> str:
        say = phrases(run.lang)
        return say.abstain_part.format(question=say.quote_mark.format(_echo(read.part.text)))

    async def _abstain(self, run: _Run, reads: list[Read]) -> Reply:
        """An honest "not in what I know", with what is near and a way to a person."""
        say = phrases(run.lang)
        near = _nearest(reads, self._threshold * NEAR)
        lines = [f"- {plain(one.title)} [{run.citer.number(one)}]" for one in near]
        listed = f"{say.nearest}\n\n" + "\n".join(lines) if lines else ""
        text = "\n\n".join(part for part in (say.abstain, listed, say.offer) if part)
        return await self._finish(
            run, text, Outcome.ABSTAINED, reads, suggestions=tuple(plain(p.title) for p in near)
        )

    async def _finish(
        self,
        run: _Run,
        text: str,
        outcome: Outcome,
        reads: Sequence[Read] = (),
        *,
        composer: str = "none",
        model: str = "",
        suggestions: tuple[str, ...] = (),
        streamed: bool = False,
    ) -> Reply:
        if not streamed:
            for chunk in _chunks(text):
                await run.sink.append(chunk)
        asked = [read.query for read in reads]
        return Reply(
            text=text,
            outcome=outcome,
            citations=run.citer.citations,
            confidence=max((read.hits.confidence for read in reads), default=0.0),
            composer=composer,
            model=model,
            index_version=reads[0].hits.index_version if reads else "",
            rewritten=" | ".join(asked) if asked != [run.question.text] else "",
            found=_found(reads),
            timings=dict(run.timings),
            lang=run.lang,
            suggestions=suggestions,
        )


def _render(pieces: Sequence[Piece], citer: Citer) -> str:
    return "\n\n".join(
        mark(_unmarked(piece.text), citer.number(piece.passage, piece.key)) for piece in pieces
    )


_CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_FOOTNOTE = re.compile(r"(?<!\\)\[(\d{1,3})\](?!\()")


def _unmarked(text: str) -> str:
    """A quote whose own "[3]" is not mistaken for one of our citations."""
    pieces = _CODE.split(text)
    pieces[::2] = [_FOOTNOTE.sub(r"\\[\1\\]", piece) for piece in pieces[::2]]
    return "".join(pieces)


_MARKUP = re.compile(r"https?://\S+|[\[\]()<>`*_#|~\\]")
_AND = re.compile(r"^(?:and|also|y|und|и|а)\s+", re.IGNORECASE)
ECHO = 90  # characters of somebody's question that are repeated to them


def _echo(asked: str) -> str:
    """A question as it may be shown back: no markup, no addresses, short."""
    text = _AND.sub("", " ".join(_MARKUP.sub(" ", asked).split())).replace("@", "＠")
    text = text[:1].upper() + text[1:]
    return text if len(text) <= ECHO else f"{text[:ECHO].rsplit(' ', 1)[0]}…"


def _prefer_language(hits: Sequence[Hit], lang: str) -> tuple[Hit, ...]:
    """Passages in the asker's language first where they are nearly as good."""
    if not hits or hits[0].passage.lang == lang:
        return tuple(hits)
    top, low = hits[0].score, hits[-1].score
    enough = top - 0.3 * (top - low)
    same = [hit for hit in hits if hit.passage.lang == lang and hit.score >= enough]
    return (*same, *(hit for hit in hits if hit not in same))


def _unrepeated(quotes: Sequence[Sequence[Piece]]) -> list[tuple[Piece, ...]]:
    """Each quote less the pieces that an earlier one holds."""
    said: set[tuple[str, str]] = set()
    kept = []
    for pieces in quotes:
        new = tuple(one for one in pieces if (one.passage.id, one.text) not in said)
        said |= {(one.passage.id, one.text) for one in new}
        kept.append(new)
    return kept


def _interleaved(rows: Iterable[Sequence[Hit]]) -> list[Passage]:
    """The best passages of every question, each question's first before any second."""
    lists = list(rows)
    limit = max(PROMPTED, 2 * len(lists))
    found: dict[str, Passage] = {}
    for rank in range(max(map(len, lists), default=0)):
        for hits in lists:
            if rank < len(hits) and len(found) < limit:
                found.setdefault(hits[rank].passage.id, hits[rank].passage)
    return [one for one in map(_harmless, found.values()) if one.text]


def _harmless(passage: Passage) -> Passage:
    """The passage less what is planted in it for machines to obey."""
    shown = quotable(passage)
    return replace(passage, text="\n\n".join(unit.whole for unit in shown))


def _touched(reads: Sequence[Read], supported: frozenset[str]) -> list[Read]:
    """The questions that a model's answer spoke to: each passage speaks for its best rank."""
    touched: list[Read] = []
    for passage_id in supported:
        ranks = [
            (rank, read)
            for read in reads
            for rank, hit in enumerate(read.hits.hits)
            if hit.passage.id == passage_id
        ]
        best = min((rank for rank, _ in ranks), default=-1)
        touched.extend(read for rank, read in ranks if rank == best)
    return touched


def _nearest(reads: Sequence[Read], least: float) -> list[Passage]:
    """Pages worth naming though they do not answer, one per title."""
    found: dict[str, Passage] = {}
    for read in reads:
        if read.hits.confidence >= least:
            for hit in read.hits.hits[:NEAREST]:
                found.setdefault(plain(hit.passage.title).casefold(), hit.passage)
    return list(found.values())[:NEAREST]


def _found(reads: Sequence[Read]) -> tuple[Found, ...]:
    return tuple(
        Found(hit.passage.id, hit.passage.source, hit.passage.title, hit.score, hit.parts)
        for read in reads
        for hit in read.hits.hits
    )


def _chunks(text: str) -> Iterator[str]:
    """A finished text in the pieces in which people read it: words up to a pause."""
    start = 0
    for found in re.finditer(r"\n+|[.!?。！？;:,，、]\s*", text):
        if found.end() - start >= 24:
            yield text[start : found.end()]
            start = found.end()
    if start < len(text):
        yield text[start:]

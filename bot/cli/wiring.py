"""Builds the parts and joins them: the only place that knows every concrete class.

Heavy modules (torch, faiss) are imported where a part that needs them is built.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from bot.config import Settings
from bot.types import Channel, Limits
from knowledge.errors import IndexMissing
from knowledge.types import Audience

if TYPE_CHECKING:
    from bot.answer import GroundedAnswerer
    from bot.dispatch import Dispatcher
    from bot.engine.supervisor import EngineSupervisor
    from bot.store import Store
    from knowledge.documents import Problem
    from knowledge.embed import Embedder
    from knowledge.index import BuildReport, IndexFolder
    from knowledge.search import HybridRetriever


@dataclass(frozen=True, slots=True)
class Built:
    """What one `index build` did."""

    report: BuildReport
    documents: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Answering:
    """What makes answers."""

    answerer: GroundedAnswerer
    retriever: HybridRetriever
    engine: EngineSupervisor | None  # None: nothing is configured, so answers are quotes


def sample_folder() -> Path:
    """Where the sample company's knowledge lies in the installed package."""
    return Path(str(resources.files("knowledge"))) / "sample" / "packwren"


def index_folder(settings: Settings) -> IndexFolder:
    """The folder that keeps the versions of the index."""
    from knowledge.index import IndexFolder

    return IndexFolder(settings.index_folder)


def load_embedder(settings: Settings) -> Embedder:
    """The embedding model the settings name."""
    from knowledge.embed import load_embedder as load

    return load(settings.knowledge.embedder)


def build_index(
    settings: Settings,
    paths: Sequence[Path],
    audience: Audience,
    step: Callable[[int, int], None] | None = None,
) -> Built:
    """Read, split, embed and index; the new version is current when this returns."""
    from knowledge.documents import read_folder, split

    reading = read_folder(paths, audience=audience)
    passages = [passage for document in reading.documents for passage in split(document)]
    report = index_folder(settings).build(passages, load_embedder(settings), step)
    return Built(report, len(reading.documents), reading.problems)


def open_retriever(settings: Settings) -> HybridRetriever:
    """Search over the current index. Raises `IndexMissing` with what to run."""
    from knowledge.search import HybridRetriever

    folder = index_folder(settings)
    if folder.current_version() is None:
        raise IndexMissing(
            f"There is no index in {settings.index_folder}.",
            "Build one: `deskhand index build FOLDER`; or see the sample: `deskhand serve --sample`.",
        )
    return HybridRetriever(folder, load_embedder(settings))


@asynccontextmanager
async def answering(settings: Settings) -> AsyncIterator[Answering]:
    """Everything between a question and a reply; ends the engine on leaving."""
    from bot.answer import GroundedAnswerer

    retriever = await asyncio.to_thread(open_retriever, settings)
    embedder = await asyncio.to_thread(load_embedder, settings)
    engine = engine_supervisor(settings)
    answerer = GroundedAnswerer(
        retriever,
        embedder,
        engine,
        threshold=settings.knowledge.answer_threshold,
        limits=Limits(settings.engine.max_tokens, deadline_s=settings.limits.deadline_s),
        contact=settings.server.contact,
    )
    if engine is not None:
        await engine.start()
    try:
        yield Answering(answerer, retriever, engine)
    finally:
        if engine is not None:
            await engine.stop()


@asynccontextmanager
async def store(settings: Settings) -> AsyncIterator[Store]:
    """The database, held by this process alone."""
    from bot.store import Store

    opened = await asyncio.to_thread(Store.open, settings.database_url, exclusive=True)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def dispatching(
    settings: Settings, opened: Store, made: Answering, channels: Mapping[str, Channel]
) -> AsyncIterator[Dispatcher]:
    """A running dispatcher; drains on leaving."""
    from bot.dispatch import Dispatcher

    dispatcher = Dispatcher(opened, made.answerer, channels, settings.limits)
    await dispatcher.start()
    try:
        yield dispatcher
    finally:
        await dispatcher.drain()


def cookie_key(settings: Settings) -> str:
    """The key that signs session cookies: the setting, else one kept in the data folder."""
    given = settings.server.secret.get_secret_value()
    if given:
        return given
    settings.home.mkdir(parents=True, exist_ok=True)
    file = settings.home / "session.key"
    try:
        with open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as new:
            new.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    return file.read_text(encoding="ascii")

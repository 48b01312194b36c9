"""Builds the parts and joins them: the only place that knows every concrete class.

Heavy modules (torch, faiss) are imported where a part that needs them is built.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from bot.cli.console import print_line
from bot.config import Settings
from bot.errors import EngineDown
from bot.types import Channel, Limits
from knowledge.errors import EmptyKnowledge, IndexMissing
from knowledge.types import Audience

if TYPE_CHECKING:
    from bot.answering.answer import GroundedAnswerer
    from bot.answering.prompt import Form
    from bot.dispatching.dispatch import Dispatcher
    from bot.engine.supervisor import EngineSupervisor
    from bot.handover import Desk, Handovers
    from bot.reviewing.curated import CuratedAnswers
    from bot.store import Store
    from bot.writing.writer import WritingAnswerer
    from knowledge.documents import Problem
    from knowledge.embed import Embedder
    from knowledge.index import BuildReport, IndexFolder
    from knowledge.search import HybridRetriever


@dataclass(frozen=True, slots=True)
class Built:
    """What one `index build` did."""

    report: BuildReport
    files: int
    per_audience: Mapping[Audience, int]  # passages by whom they were written for
    problems: tuple[Problem, ...]  # files that could not be read
    skipped: tuple[Problem, ...]  # files that are no knowledge


@dataclass(frozen=True, slots=True)
class Answering:
    """What makes answers."""

    answerer: GroundedAnswerer
    retriever: HybridRetriever
    engine: EngineSupervisor
    embedder: Embedder
    curated: CuratedAnswers | None = None


def sample_folder() -> Path:
    """Where the sample company's knowledge lies in the installed package."""
    return Path(str(resources.files("knowledge"))) / "sample" / "packwren"


def index_summary(settings: Settings) -> dict[str, object]:
    """What `index status` prints; opening the version is what verifies it."""
    folder = index_folder(settings)
    opened = folder.open()
    views = {one: opened.view(one) for one in Audience}
    return {
        "folder": str(folder.path.absolute()),
        "version": opened.version,
        "embedder": opened.embedder_name,
        "passages": len(views[Audience.INTERNAL].passages),
        "for customers": len(views[Audience.CUSTOMER].passages),
        "earlier versions": [one for one in folder.versions() if one != opened.version],
        "whole": True,  # or opening it had raised
    }


def upgrade_database(settings: Settings) -> str:
    """Bring the database up to date; returns its revision."""
    from bot.migrations import HEAD, upgrade

    upgrade(settings.database_url)
    return HEAD


def describe_database(settings: Settings) -> str:
    """One line about the database. Makes nothing; raises `StoreError` if it is unreachable."""
    import sqlalchemy as sa

    from bot.database import is_made, make_engine, parse_url, translate
    from bot.migrations import HEAD, revision

    url = parse_url(settings.database_url)
    shown = url.render_as_string(hide_password=True)
    if not is_made(url):
        return f"{shown}, not made yet; the server makes it when it starts"
    engine = make_engine(url, readonly=True)
    try:
        with engine.connect() as connection:
            found = revision(connection)
    except sa.exc.SQLAlchemyError as problem:
        raise translate(problem) from None
    finally:
        engine.dispose()
    if found is None:
        return f"{shown}, empty; the server makes its tables when it starts"
    return f"{shown}, revision {found}" + ("" if found == HEAD else f", to be upgraded to {HEAD}")


def describe_model(settings: Settings) -> str:
    """One line about the model the embedded engine would load. Raises `ModelRejected`."""
    from bot.engine.checkpoint import find

    return f"embedded, with the model in {find(settings.engine.model).folder}"


def run_engine(settings: Settings) -> int:
    """Serve the model alone until told to stop; returns the exit status."""
    from bot.engine.process import EngineOptions, serve

    return serve(
        EngineOptions.of(settings.engine),
        listening=lambda url: print_line(f"The engine is at {url}"),
    )


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
    from bot.reviewing.faq import entries_of, with_entries
    from knowledge.documents import read_folder, split

    reading = read_folder(paths, audience=audience)
    passages = [passage for document in reading.documents for passage in split(document)]
    # What staff wrote in the console stays.
    passages = with_entries(passages, entries_of(settings.database_url))
    if not passages and reading.problems:
        unread = "; ".join(f"{one.source}: {one.message}" for one in reading.problems)
        raise EmptyKnowledge(f"Nothing could be read. {unread}", "Give files or folders to read.")
    report = index_folder(settings).build(passages, load_embedder(settings), step)
    per_audience = Counter(passage.audience for passage in passages)
    files = len({document.source for document in reading.documents})
    return Built(report, files, per_audience, reading.problems, reading.skipped)


def open_retriever(settings: Settings, embedder: Embedder) -> HybridRetriever:
    """Search over the current index. Raises `IndexMissing` with what to run."""
    from knowledge.search import HybridRetriever

    folder = index_folder(settings)
    if folder.current_version() is None:
        raise IndexMissing(
            f"There is no index in {settings.index_folder}.",
            "Build one: `deskhand index build FOLDER`, or try `deskhand serve --sample`.",
        )
    return HybridRetriever(folder, embedder)


def prompt_form(model: str | Path) -> Form:
    """The form of the prompt that a model was tuned with; the full one where nothing says so."""
    from bot import models
    from bot.answering.prompt import FORMS, FULL

    folder = Path(model)
    manifest = models.read(folder) if str(model) and folder.is_dir() else None
    return FULL if manifest is None else FORMS[manifest.prompt]


def limits(settings: Settings) -> Limits:
    """What one answer may use."""
    return Limits(
        settings.engine.max_tokens,
        deadline_s=settings.limits.deadline_s,
        copying=settings.engine.copying,
    )


@asynccontextmanager
async def engine(settings: Settings) -> AsyncIterator[EngineSupervisor]:
    """The model, as it starts; ends it on leaving. Without one configured, its state is off."""
    from bot.engine.supervisor import EngineSupervisor

    supervisor = EngineSupervisor(settings.engine)
    await supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


async def engine_ready(supervisor: EngineSupervisor) -> None:
    """Wait until a configured model serves. Raises `EngineDown` when it will not.

    For commands that ask once or measure: a server answers with quotes meanwhile.
    """
    from bot.engine.supervisor import EngineState, Patience

    state = await supervisor.wait(Patience().start_s)
    if state not in {EngineState.SERVING, EngineState.OFF}:
        raise EngineDown(
            f"The engine is {state}: {supervisor.last_error or 'no answer yet'}.",
            "`deskhand doctor` looks at the model; unset engine.model and engine.url to quote.",
        )


@asynccontextmanager
async def answering(settings: Settings, opened: Store | None = None) -> AsyncIterator[Answering]:
    """Everything between a question and a reply; with a database, its curated answers too."""
    from bot.answering.answer import GroundedAnswerer

    embedder = await asyncio.to_thread(load_embedder, settings)
    retriever = await asyncio.to_thread(open_retriever, settings, embedder)
    curated = None
    if opened is not None:
        from bot.reviewing.curated import CuratedAnswers

        curated = CuratedAnswers(opened.database, embedder)
        await curated.load()
    async with engine(settings) as supervisor:
        answerer = GroundedAnswerer(
            retriever,
            embedder,
            supervisor,
            threshold=settings.knowledge.answer_threshold,
            limits=limits(settings),
            contact=settings.server.contact,
            curated=curated,
            form=prompt_form(settings.engine.model),
        )
        yield Answering(answerer, retriever, supervisor, embedder, curated)


@asynccontextmanager
async def store(settings: Settings) -> AsyncIterator[Store]:
    """The database, held by this process alone."""
    from bot.reviewing.redact import redact
    from bot.store import Store

    opened = await asyncio.to_thread(
        Store.open,
        settings.database_url,
        exclusive=True,
        clean=redact if settings.privacy.redact else str,
    )
    try:
        yield opened
    finally:
        await opened.close()


def writing(settings: Settings, made: Answering) -> WritingAnswerer:
    """The answerer, with writing help for staff before it."""
    from bot.writing.writer import WritingAnswerer

    return WritingAnswerer(
        made.answerer,
        made.retriever,
        made.engine,
        can_write=lambda model: can_write(settings, model),
        threshold=settings.knowledge.answer_threshold,
        limits=limits(settings),
    )


def can_write(settings: Settings, model: str) -> bool:
    """Whether a model's manifest says that it writes; one without a manifest is tried."""
    from bot import models

    folder = Path(settings.engine.model)
    if settings.engine.url or not folder.is_dir() or folder.resolve().name != model:
        return True  # not a folder of ours
    return "write" in models.Model(folder, models.read(folder)).capabilities


@asynccontextmanager
async def dispatching(
    settings: Settings,
    opened: Store,
    made: Answering,
    channels: Mapping[str, Channel],
    desks: Callable[[Handovers], Iterable[Desk]] = lambda _: (),
) -> AsyncIterator[Dispatcher]:
    """A running dispatcher; drains on leaving. `desks` makes the places where staff sit."""
    from bot.dispatching.dispatch import Dispatcher

    dispatcher = Dispatcher(opened, writing(settings, made), channels, settings.limits)
    for desk in desks(dispatcher.handovers):
        dispatcher.handovers.attach(desk)
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
    return _kept_key(settings.home / "session.key", lambda: secrets.token_urlsafe(32))


def slack_keys(settings: Settings) -> list[str]:
    """The keys that seal the tokens of Slack's workspaces, likewise; the newest first."""
    given = settings.slack.encryption_keys.get_secret_value()
    if given:
        return [one.strip() for one in given.split(",") if one.strip()]
    from cryptography.fernet import Fernet

    return [_kept_key(settings.home / "slack.key", lambda: Fernet.generate_key().decode())]


def _kept_key(file: Path, make: Callable[[], str]) -> str:
    """A key that is made once, in a file that we alone can read."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return file.read_text(encoding="ascii")
    with os.fdopen(descriptor, "w") as new:
        new.write(make())
    return file.read_text(encoding="ascii")

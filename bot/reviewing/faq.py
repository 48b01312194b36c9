"""The knowledge as staff see and change it: browse, search, write entries, add files.

Knows entries (a table) and versions of the index (`knowledge/index.py`). An entry is written
over what the documents say, not into them: it adds a question, or stands in for an indexed
passage, or takes one away. `with_entries` puts entries over passages, whoever builds the index,
so a rebuild from the documents keeps what staff wrote.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import Session, SQLModel

from bot.database import Database, is_made, make_engine, parse_url, translate
from bot.errors import NotAllowed, NotFound
from bot.reviewing.likeness import Alike
from knowledge.documents import read_file, split
from knowledge.embed import Embedder
from knowledge.errors import UnreadableFile
from knowledge.index import IndexFolder
from knowledge.language import detect_language
from knowledge.readers.base import RawFile
from knowledge.search import HybridRetriever
from knowledge.types import Audience, Hits, Passage, Query

SOURCE = "console"
LONGEST = 8000  # characters of an answer

_entry = SQLModel.metadata.tables["faq_entry"]
_answer = SQLModel.metadata.tables["answer"]
_audit = SQLModel.metadata.tables["audit"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A FAQ entry of the console. With `removed` it only takes away what it `replaces`."""

    question: str
    answer: str
    audience: Audience = Audience.CUSTOMER
    lang: str = ""
    replaces: str = ""  # a passage's id
    removed: bool = False
    source: str = SOURCE
    id: int = 0
    author: str = ""
    changed: datetime | None = None

    def passage(self) -> Passage:
        """The entry as the index holds it."""
        return Passage(
            self.answer,
            self.source,
            title_path=("Answers by our team",),
            question=self.question,
            audience=self.audience,
            lang=self.lang or "en",
        )


def with_entries(passages: Iterable[Passage], entries: Sequence[Entry]) -> list[Passage]:
    """The passages with staff's entries over them."""
    gone = {entry.replaces for entry in entries if entry.replaces}
    kept = [one for one in passages if one.id not in gone and one.source != SOURCE]
    return [*kept, *(entry.passage() for entry in entries if not entry.removed)]


def entries_of(database_url: str) -> list[Entry]:
    """The entries in a database, for a command that builds the index; none before its first use.

    Raises nothing for a database that is not there yet, and `StoreError` for one that cannot be
    reached.
    """
    url = parse_url(database_url)
    if not is_made(url):
        return []
    engine = make_engine(url, readonly=True)
    try:
        with engine.connect() as connection:
            if not sa.inspect(connection).has_table("faq_entry"):
                return []
            return _entries(connection)
    except sa.exc.SQLAlchemyError as problem:
        raise translate(problem) from problem
    finally:
        engine.dispose()


class FaqDesk:
    """Reads and changes the knowledge behind one server."""

    def __init__(
        self,
        database: Database,
        folder: IndexFolder,
        retriever: HybridRetriever,
        embedder: Embedder,
    ) -> None:
        self._database = database
        self._folder = folder
        self._retriever = retriever
        self._embedder = embedder
        self._alone = asyncio.Lock()

    @property
    def version(self) -> str:
        """The version of the index in use."""
        return self._retriever.version

    def passages(self) -> Sequence[Passage]:
        """Every passage in use, of all audiences."""
        return self._retriever.index.view(Audience.INTERNAL).passages

    async def search(self, query: Query) -> Hits:
        """What a question would be answered from."""
        return await self._retriever.search(query)

    async def entries(self) -> list[Entry]:
        """What staff wrote, newest first."""
        return await self._database.read(lambda session: _entries(session.connection()))

    async def save(self, entry: Entry, by: str) -> str:
        """Add an entry, or change it (by its id, or by what it replaces); returns the version.

        Live when this returns, a few seconds later. Raises `NotAllowed` for an empty one.
        """
        if not entry.removed and not (entry.question.strip() and entry.answer.strip()):
            raise NotAllowed("An entry needs a question and an answer.")
        if len(entry.answer) > LONGEST or len(entry.question) > 1000:
            raise NotAllowed(f"An answer has at most {LONGEST} characters.", "Shorten it.")
        row = {
            "question": entry.question.strip(),
            "answer": entry.answer.strip(),
            "audience": entry.audience,
            "lang": entry.lang or detect_language(f"{entry.question}\n{entry.answer}"),
            "replaces": entry.replaces,
            "removed": entry.removed,
            "author": by,
            "changed": datetime.now(UTC),
        }
        await self._database.write(lambda connection: _save(connection, entry.id, row, by))
        return await self.rebuild()

    async def drop(self, entry_id: int, by: str) -> str:
        """Take an entry back; what it replaced comes back with the next build from documents."""

        def write(connection: Connection) -> None:
            gone = sa.delete(_entry).where(_entry.c.id == entry_id)
            if not connection.execute(gone).rowcount:
                raise NotFound("There is no such entry.")
            _note(connection, by, "faq", str(entry_id), {"state": "dropped"})

        await self._database.write(write)
        return await self.rebuild()

    async def add(self, passages: Sequence[Passage], by: str, name: str) -> str:
        """Index the passages of a file somebody approved, as entries; returns the version."""
        rows = [
            {
                "question": one.question or " › ".join(one.title_path) or name,
                "answer": one.text,
                "audience": one.audience,
                "lang": one.lang,
                "replaces": "",
                "removed": False,
                "author": by,
                "changed": datetime.now(UTC),
            }
            for one in passages
        ]

        def write(connection: Connection) -> None:
            connection.execute(sa.insert(_entry), rows)
            _note(connection, by, "upload", name, {"passages": len(rows)})

        await self._database.write(write)
        return await self.rebuild()

    async def rebuild(self) -> str:
        """Put the entries over the passages in use, as a new version, and take it up."""
        async with self._alone:
            entries = await self.entries()
            wanted = with_entries(self.passages(), entries)
            report = await asyncio.to_thread(self._folder.build, wanted, self._embedder)
            await asyncio.to_thread(self._retriever.refresh)
            return report.version

    async def twins(self, most: int = 60) -> list[tuple[Passage, Passage]]:
        """Entries of one audience that ask the same and say different things. Seconds."""

        def compare() -> list[tuple[Passage, Passage]]:
            found: list[tuple[Passage, Passage]] = []
            asked = [one for one in self.passages() if one.question][:4000]
            known = {audience: Alike[int](self._embedder) for audience in Audience}
            rows = {one.id: row for row, one in enumerate(asked)}
            for audience, alike in known.items():
                mine = [one for one in asked if one.audience is audience]
                for one in mine:
                    twin = alike.find(one.question)
                    if twin is None:
                        alike.add([(rows[one.id], one.question)])
                    elif asked[twin].text.strip() != one.text.strip():
                        found.append((asked[twin], one))
            return found[:most]

        return await asyncio.to_thread(compare)

    async def served(self, looked_at: int = 5000) -> dict[str, list[str]]:
        """By passage, the newest answers that cite it, of the last `looked_at` answers."""

        def read(session: Session) -> dict[str, list[str]]:
            found: dict[str, list[str]] = {}
            newest = sa.select(_answer.c.id, _answer.c.citations).order_by(_answer.c.created.desc())
            for answer_id, citations in session.connection().execute(newest.limit(looked_at)):
                for passage_id in {one["passage_id"] for one in citations}:
                    found.setdefault(passage_id, []).append(answer_id)
            return found

        return await self._database.read(read)


def read_upload(name: str, data: bytes, audience: Audience) -> list[Passage]:
    """An uploaded file as the passages it would become. Blocking. Raises `UnreadableFile`.

    Only the bytes are read: no path, no address in the file is followed.
    """
    reading = read_file(RawFile(name, data), audience=audience)
    passages = [passage for document in reading.documents for passage in split(document)]
    if not passages:
        problems = (*reading.problems, *reading.skipped)
        told = problems[0].message if problems else "There is no text in it."
        raise UnreadableFile(f"{name}: {told}", "Upload another file.")
    return passages


def _entries(connection: Connection) -> list[Entry]:
    rows = connection.execute(sa.select(_entry).order_by(_entry.c.id.desc()))
    return [
        Entry(
            question=row.question,
            answer=row.answer,
            audience=row.audience,
            lang=row.lang,
            replaces=row.replaces,
            removed=row.removed,
            id=row.id,
            author=row.author,
            changed=row.changed,
        )
        for row in rows
    ]


def _save(connection: Connection, entry_id: int, row: dict[str, Any], by: str) -> None:
    same = _entry.c.id == entry_id
    if not entry_id and row["replaces"]:
        same = _entry.c.replaces == row["replaces"]
    elif not entry_id:
        same = sa.false()
    changed = connection.execute(sa.update(_entry).where(same).values(**row)).rowcount
    if not changed:
        if entry_id:
            raise NotFound("There is no such entry.")
        connection.execute(sa.insert(_entry), row)
    detail = {"replaces": row["replaces"], "removed": row["removed"]}
    _note(connection, by, "faq", row["question"][:80], detail)


def _note(
    connection: Connection, actor: str, action: str, target: str, detail: dict[str, Any]
) -> None:
    note = {"actor": actor, "action": action, "target": target, "detail": detail}
    connection.execute(sa.insert(_audit), {**note, "at": datetime.now(UTC)})

"""How fast the review console's pages are on a large database.

    python benchmarks/console.py                 # SQLite: a million messages, 200,000 answers
    python benchmarks/console.py --postgres      # the same in a PostgreSQL of its own
    python benchmarks/console.py --answers 20000

Times are of the database's part of a page, in milliseconds, over `--rounds` runs each: the
median, the 95th percentile and the slowest. Rows are made with a fixed seed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import resource
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel import SQLModel

from bot.database import make_engine, parse_url
from bot.migrations import upgrade
from bot.reviewing.cases import Cases, Filter
from bot.reviewing.figures import Figures
from bot.store import Store
from bot.tables import CaseState, MessageState, SendState
from bot.types import Outcome
from knowledge.terms import terms
from knowledge.types import Audience
from tests.fakes.postgres import Cluster, programs

SUBJECTS = tuple(
    "bike battery frame lock helmet child seat order refund invoice warranty app".split()  # noqa: SIM905 - a list of words reads best as words
)
VERBS = tuple(
    "return charge cancel repair rent lock change pay insure store clean register".split()  # noqa: SIM905 - the same
)
PLACES = ("in winter", "at home", "in Lisbon", "abroad", "by card", "with the app", "online")
DAYS = 120
CHUNK = 5000
EVERYBODY = list(Audience)
T = SQLModel.metadata.tables


def texts(dice: random.Random, count: int) -> list[tuple[str, str, list[str]]]:
    """Questions and answers with their search terms."""
    found = []
    for _ in range(count):
        asked = f"How do I {dice.choice(VERBS)} my {dice.choice(SUBJECTS)} {dice.choice(PLACES)}?"
        said = " ".join(dice.choice(SUBJECTS + VERBS) for _ in range(40)) + f" {dice.random():.6f}"
        found.append((asked, said, list(dict.fromkeys(terms(f"{asked}\n{said}")))))
    return found


def fill(url: str, answers: int, per_answer: int) -> None:
    """Write the rows in large steps; the last message of each five is answered."""
    upgrade(url)
    dice = random.Random(7)
    pool = texts(dice, 4000)
    start = datetime.now(UTC) - timedelta(days=DAYS)
    engine = make_engine(parse_url(url))
    for first in range(0, answers, CHUNK):
        rows: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
        words: list[dict[str, Any]] = []
        for number in range(first, min(first + CHUNK, answers)):
            moment = start + timedelta(days=DAYS) * (number / answers)
            one(rows, words, dice, pool, (number, per_answer), moment)
        with engine.begin() as connection:
            for name, values in rows.items():
                if values:
                    connection.execute(sa.insert(T[name]), values)
            if connection.dialect.name == "sqlite":
                for row in words:
                    row["words"] = " ".join(row["words"])
                add = "INSERT INTO case_words (rowid, words) VALUES (:id, :words)"
            else:
                add = (
                    "INSERT INTO case_words VALUES (:id, array_to_tsvector(CAST(:words AS text[])))"
                )
            connection.execute(sa.text(add), words)
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
    engine.dispose()


NAMES = ("conversation", "message", "answer", "outbox", "vote", "review_case")


def one(
    rows: dict[str, list[dict[str, Any]]],
    words: list[dict[str, Any]],
    dice: random.Random,
    pool: list[tuple[str, str, list[str]]],
    place: tuple[int, int],
    moment: datetime,
) -> None:
    """One conversation: `per_answer` messages, of which the last is answered and filed."""
    number, per_answer = place
    asked, said, found = dice.choice(pool)
    channel = dice.choice(("web", "slack", "telegram"))
    audience = dice.choice((Audience.CUSTOMER, Audience.CUSTOMER, Audience.INTERNAL))
    person = f"{dice.randrange(40_000):032x}"
    conversation = number + 1
    rows["conversation"].append(
        {
            "id": conversation, "channel": channel, "key": f"{person}.{number}",
            "audience": audience, "created": moment, "last": moment,
        }
    )  # fmt: skip
    for turn in range(per_answer):
        rows["message"].append(
            {
                "id": number * per_answer + turn + 1, "event_id": f"b:{number}:{turn}",
                "conversation_id": conversation, "actor_id": person, "actor_name": "",
                "audience": audience, "text": asked, "detail": {}, "at": moment,
                "accepted": moment, "state": MessageState.ANSWERED, "attempts": 1,
            }
        )  # fmt: skip
    answer_id = uuid.UUID(int=dice.getrandbits(128)).hex
    message = (number + 1) * per_answer
    outcome = dice.choices((Outcome.ANSWERED, Outcome.ABSTAINED, Outcome.SMALLTALK), (80, 14, 6))[0]
    down = dice.random() < 0.03
    waits = down or outcome is Outcome.ABSTAINED
    state = CaseState.CLEAR
    if waits:
        state = dice.choices((CaseState.OPEN, CaseState.DONE, CaseState.DISCARDED), (3, 6, 1))[0]
    done = state is CaseState.DONE
    cited = [{"number": 1, "passage_id": "p", "title": "t", "source": "s"}]
    rows["answer"].append(
        {
            "id": answer_id, "message_id": message, "text": said, "outcome": outcome,
            "confidence": dice.random(), "composer": "quote", "model": "", "index_version": "1",
            "rewritten": "", "lang": "en", "citations": cited, "found": [], "timings": {},
            "suggestions": [], "created": moment,
        }
    )  # fmt: skip
    rows["outbox"].append(
        {
            "answer_id": answer_id, "state": SendState.SENT, "platform_id": answer_id,
            "attempts": 1, "repeated": False, "error": "", "changed": moment,
        }
    )  # fmt: skip
    up = not down and dice.random() < 0.1
    if up or down:
        rows["vote"].append(
            {
                "answer_id": answer_id, "voter": f"{channel}:{person}", "value": 1 if up else -1,
                "reason": "", "correction": "", "at": moment,
            }
        )  # fmt: skip
    rows["review_case"].append(
        {
            "id": message, "answer_id": answer_id, "conversation_id": conversation,
            "channel": channel, "audience": audience, "person": f"{channel}:{person}",
            "lang": "en", "outcome": outcome, "composer": "quote",
            "model": dice.choice(("", "support-v1", "support-v2")), "day": f"{moment:%Y-%m-%d}",
            "asked": moment, "took_ms": dice.randrange(40, 4000), "confidence": dice.random(),
            "up": int(up), "down": int(down), "handed": dice.random() < 0.02,
            "followed": dice.random() < 0.3, "state": state, "weight": dice.random() * waits,
            "reasons": ["down"] if down else ["unanswered"] if waits else [],
            "kin": answer_id if waits else "",
            "verdict": dice.choice(("right", "wrong")) if done else "",
            "fault": "gap" if done else "", "reviewer": "ann" if done else "", "holder": "",
            "held_until": None,
        }
    )  # fmt: skip
    words.append({"id": message, "words": found})


async def measure(url: str, rounds: int) -> None:
    """Time each page's reads."""
    store = Store.open(url)
    cases, figures = Cases(store.database), Figures(store.database)
    month = (datetime.now(UTC) - timedelta(days=29)).date().isoformat()
    period = Filter(since=month)
    everything = Filter(since="2000-01-01")
    found = await cases.page(Filter(state="done"), EVERYBODY, limit=1)
    one_case = found[0]["answer_id"]
    old = found[0]["id"] // 2

    async def dashboard(wanted: Filter) -> None:
        await figures.board(wanted, EVERYBODY)
        await figures.gaps(wanted, EVERYBODY)

    async def search(wanted: Filter) -> None:
        await asyncio.gather(cases.page(wanted, EVERYBODY), cases.count(wanted, EVERYBODY))

    async def queue() -> None:
        await asyncio.gather(
            cases.queue(CaseState.OPEN, EVERYBODY, limit=120), cases.counts(EVERYBODY)
        )

    pages: dict[str, Callable[[], Awaitable[Any]]] = {
        "queue with counts": queue,
        "one case": lambda: cases.case(one_case, EVERYBODY),
        "search, rare words": lambda: search(Filter(q="refund lisbon insure")),
        "search, common word": lambda: search(Filter(q="bike")),
        "filter: thumbs-down on slack": lambda: search(Filter(vote="down", channel="slack")),
        "filter: verdict and model": lambda: search(Filter(verdict="wrong", model="support-v1")),
        "filter: words, day, outcome": lambda: search(
            Filter(q="charge battery", since=month, outcome="abstained")
        ),
        "filters' choices": lambda: cases.choices(EVERYBODY),
        "an old page": lambda: cases.page(Filter(), EVERYBODY, before=old),
        "similar questions": lambda: cases.similar(
            "How do I charge my battery abroad?", EVERYBODY, Audience.CUSTOMER, ""
        ),
        "dashboard, a month": lambda: dashboard(period),
        "dashboard, all": lambda: dashboard(everything),
    }
    print(f"{'page':32} {'median':>8} {'p95':>8} {'worst':>8}")
    for name, act in pages.items():
        await act()
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            await act()
            times.append(1000 * (time.perf_counter() - began))
        times.sort()
        p95 = times[int(0.95 * (len(times) - 1))]
        print(f"{name:32} {times[len(times) // 2]:8.1f} {p95:8.1f} {times[-1]:8.1f}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, rows = time.perf_counter(), 0
    async for batch in cases.stream(Filter(), EVERYBODY):
        rows += len(batch)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(
        f"export: {rows} rows in {time.perf_counter() - began:.1f} s, {grown:.0f} MiB more memory"
    )
    await store.close()


@contextlib.contextmanager
def database(*, postgres: bool) -> Iterator[str]:
    """An empty database, gone afterwards."""
    if not postgres:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder) / 'bench.db'}"
        return
    folder = programs()
    if folder is None:
        raise SystemExit("PostgreSQL's programs are not installed.")
    with Cluster(folder) as cluster:
        yield cluster.create("bench")


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--answers", type=int, default=200_000)
    parser.add_argument("--messages-per-answer", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=20)
    given = parser.parse_args()
    with database(postgres=given.postgres) as url:
        began = time.perf_counter()
        fill(url, given.answers, given.messages_per_answer)
        kind = "PostgreSQL" if given.postgres else "SQLite"
        count = given.answers * given.messages_per_answer
        print(f"{kind}: {count:,} messages, {given.answers:,} answers, filled in "
              f"{time.perf_counter() - began:.0f} s")  # fmt: skip
        asyncio.run(measure(url, given.rounds))


if __name__ == "__main__":
    main()

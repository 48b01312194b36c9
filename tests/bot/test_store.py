"""What is kept comes back, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import math
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel

from bot import migrations
from bot.database import make_engine, parse_url
from bot.dispatching.journal import Journal
from bot.errors import AlreadyRunning, ConfigError, NotFound, StoreError
from bot.store import Store
from bot.tables import MessageState, SendState, columns
from bot.types import Citation, Event, Found, Outcome, Reply, Turn, Vote
from knowledge.types import Audience
from tests.fakes.dialogue import MOMENT, event

HOLDER = """
import sys, time
from bot.store import Store
store = Store.open(sys.argv[1], exclusive=True)
print("held", flush=True)
time.sleep(60)
"""

DIES_UPGRADING = """
import os, signal, sys
import sqlalchemy as sa
from bot.migrations import upgrade
left = int(sys.argv[2])
@sa.event.listens_for(sa.engine.Engine, "before_cursor_execute")
def count(connection, cursor, statement, parameters, context, executemany):
    global left
    if statement.lstrip().upper().startswith(("CREATE", "INSERT")):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
upgrade(sys.argv[1])
"""


async def answered(store: Store, asked: Event, reply: Reply | None = None) -> str:
    """Take a message in and answer it; returns the answer's id."""
    journal = Journal(store.database)
    taken = await journal.take_in(asked)
    reply = reply or Reply(f"re: {asked.text}", Outcome.ANSWERED)
    return await journal.settle(taken.message_id, reply)


def described(name: str | None, kind: str, _parents: object = None) -> bool:
    """True for what the models describe; False for the tables of the full-text index.

    Each database has its own kind of those. An `include_name` for Alembic's comparison.
    """
    return kind != "table" or name is None or not name.startswith("case_words")


class TestSchema:
    def test_upgrading_twice_changes_nothing_the_second_time(self, databases: Any) -> None:
        url = databases.empty()
        assert migrations.upgrade(url) is True
        assert migrations.upgrade(url) is False

    def test_models_and_migrations_agree(self, url: str) -> None:
        engine = make_engine(parse_url(url))
        with engine.connect() as connection:
            opts = {"compare_type": True, "include_name": described}
            context = MigrationContext.configure(connection, opts=opts)
            assert compare_metadata(context, SQLModel.metadata) == []
        engine.dispose()

    def test_the_newest_revision_is_named_in_the_code(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD

    def test_a_database_of_a_newer_deskhand_is_refused_by_name(self, databases: Any) -> None:
        url = databases.empty()
        migrations.upgrade(url)
        engine = make_engine(parse_url(url))
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        engine.dispose()
        with pytest.raises(StoreError, match="9999"):
            Store.open(url)

    @pytest.mark.parametrize("statements", [0, 1, 5, 12])
    def test_an_upgrade_that_was_killed_is_run_again(self, databases: Any, statements: int) -> None:
        url = databases.empty()
        script = [sys.executable, "-c", DIES_UPGRADING, url, str(statements)]
        assert subprocess.run(script, check=False).returncode == -9
        assert migrations.upgrade(url) is True
        engine = make_engine(parse_url(url))
        with engine.connect() as connection:
            opts = {"include_name": described}
            context = MigrationContext.configure(connection, opts=opts)
            assert compare_metadata(context, SQLModel.metadata) == []
        engine.dispose()

    @pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'me'", "DELETE FROM audit"])
    async def test_the_database_refuses_to_change_the_audit(
        self, store: Store, url: str, statement: str
    ) -> None:
        await store.audit("web:1", "export", "conversations", {"rows": 3})
        engine = make_engine(parse_url(url))
        with pytest.raises(sa.exc.DBAPIError, match="never changed"), engine.begin() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()
        assert [note.actor for note in await store.audits("conversations")] == ["web:1"]


class TestOpening:
    @pytest.mark.parametrize(
        "url",
        ["mysql://u:secret@h/n", "sqlite://", "sqlite:///:memory:", "nonsense", "postgresql"],
    )
    def test_a_url_we_cannot_use_is_refused_without_its_password(self, url: str) -> None:
        with pytest.raises(ConfigError) as refusal:
            Store.open(url)
        assert "secret" not in str(refusal.value)
        assert refusal.value.remedy

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StoreError, match=r"file/x\.db"):
            Store.open(f"sqlite:///{tmp_path}/file/x.db")

    def test_a_server_that_is_down_is_reported_without_the_password(self) -> None:
        with pytest.raises(StoreError) as refusal:
            Store.open("postgresql://u:secret@127.0.0.1:1/n")
        assert "secret" not in str(refusal.value)

    async def test_conversations_are_readable_by_their_owner_alone(self, tmp_path: Path) -> None:
        store = Store.open(f"sqlite:///{tmp_path}/new/x.db", exclusive=True)
        await answered(store, event(1))
        modes = {
            file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "new").iterdir()
        }
        await store.close()
        assert set(modes.values()) == {0o600}, modes

    async def test_a_second_server_is_told_who_holds_the_database(self, url: str) -> None:
        holder = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, url, stdout=asyncio.subprocess.PIPE
        )
        assert holder.stdout is not None
        assert await holder.stdout.readline() == b"held\n"
        try:
            with pytest.raises(AlreadyRunning, match=str(holder.pid)):
                Store.open(url, exclusive=True)
            visitor = Store.open(url)  # a command that only looks is welcome
            assert (await visitor.counts()).conversations == 0
            await visitor.close()
        finally:
            holder.kill()
            await holder.wait()
        for _ in range(100):  # PostgreSQL needs a moment to notice
            try:
                successor = Store.open(url, exclusive=True)
            except AlreadyRunning:
                await asyncio.sleep(0.05)
            else:
                await successor.close()
                return
        pytest.fail("the dead server's lock was not released")

    async def test_closing_lets_the_next_server_in(self, url: str) -> None:
        for _ in range(2):
            store = Store.open(url, exclusive=True)
            await answered(store, event(1))
            await store.close()
            with pytest.raises(StoreError, match="closed"):
                await store.counts()

    async def test_a_store_that_takes_writes_is_healthy(self, store: Store) -> None:
        assert await store.healthy()


class TestReading:
    async def test_everything_about_an_answer_comes_back(self, store: Store) -> None:
        reply = Reply(
            text="Within **30 days** [1].",
            outcome=Outcome.ANSWERED,
            citations=(Citation(1, "p1", "Returns", "returns.md", "https://x", "days", "30 days"),),
            confidence=0.875,
            composer="model",
            model="support-v17",
            index_version="i42",
            rewritten="return period",
            found=(Found("p1", "returns.md", "Returns", 0.5, {"dense": 0.25}),),
            timings={"search": 12.5},
            lang="es",
            suggestions=("Refunds",),
        )
        answer_id = await answered(store, event(1, "How long?", audience=Audience.INTERNAL), reply)
        record = await store.answer(answer_id)
        assert record is not None
        assert record.reply == reply
        assert (record.event_id, record.channel, record.conversation) == ("fake:1", "fake", "c1")
        assert (record.question, record.audience) == ("How long?", Audience.INTERNAL)
        assert (record.send, record.platform_id) == (SendState.READY, "")
        assert record.created.tzinfo is UTC

    async def test_an_unknown_answer_is_none(self, store: Store) -> None:
        assert await store.answer("nope") is None

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "   ",
            "مرحبا بك",
            "👩‍👩‍👧‍👦 emoji",
            "'; DROP TABLE message; --",
            "{curly} %s \\ ",
            "x" * 100_000,
        ],
    )
    async def test_any_text_comes_back_unchanged(self, store: Store, text: str) -> None:
        await answered(store, event(1, text), Reply(text, Outcome.ANSWERED, rewritten=text))
        (exchange,) = await store.thread("fake", "c1")
        assert exchange.text == text
        assert exchange.reply is not None
        assert exchange.reply.text == text

    async def test_what_no_database_can_hold_is_made_visible(self, store: Store) -> None:
        text = "a\x00b\ud800c"
        found = Found("p", "s", text, math.nan, {"dense": math.inf})
        reply = Reply(
            text, Outcome.ANSWERED, confidence=math.nan, found=(found,), suggestions=(text,)
        )
        await answered(store, event(1, text), reply)
        (exchange,) = await store.thread("fake", "c1")
        assert exchange.text == "a\ufffdb\ufffdc"
        assert exchange.reply is not None
        assert exchange.reply.text == exchange.reply.found[0].title == "a\ufffdb\ufffdc"
        assert exchange.reply.suggestions == ("a\ufffdb\ufffdc",)
        assert (exchange.reply.found[0].score, exchange.reply.found[0].parts) == (
            0.0,
            {"dense": 0.0},
        )
        assert exchange.reply.confidence == 0.0

    async def test_times_come_back_as_the_same_moment_in_utc(self, store: Store) -> None:
        tokyo = timezone(timedelta(hours=9))
        at = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=tokyo)
        asked = event(1)
        await answered(store, Event(asked.id, asked.address, asked.actor, asked.text, at))
        (exchange,) = await store.thread("fake", "c1")
        assert exchange.at == at
        assert exchange.at.tzinfo is UTC

    async def test_a_time_without_a_zone_is_refused(self, store: Store) -> None:
        asked = event(1)
        naive = Event(asked.id, asked.address, asked.actor, asked.text, MOMENT.replace(tzinfo=None))
        with pytest.raises(StoreError):
            await answered(store, naive)

    async def test_a_thread_is_the_newest_messages_oldest_first(self, store: Store) -> None:
        for number in range(5):
            await answered(store, event(number, f"q{number}"))
        await answered(store, event("other", conversation="c2"))
        await Journal(store.database).take_in(event(9, "waiting"))
        thread = await store.thread("fake", "c1", limit=3)
        assert [exchange.text for exchange in thread] == ["q3", "q4", "waiting"]
        assert thread[-1].state is MessageState.ACCEPTED
        assert (thread[-1].reply, thread[-1].answer_id) == (None, None)

    async def test_counts_name_every_state(self, store: Store) -> None:
        answer_id = await answered(store, event(1))
        await Journal(store.database).take_in(event(2))
        await store.vote(Vote(answer_id, "web:1", -1))
        counts = await store.counts()
        assert counts.conversations == 1
        assert counts.messages == {"accepted": 1, "working": 0, "answered": 1}
        assert counts.sends == {"ready": 1, "sending": 0, "unknown": 0, "sent": 0, "dead": 0}
        assert counts.votes == {-1: 1, 0: 0, 1: 0}


class TestHistory:
    async def test_history_is_the_last_turns_oldest_first(self, store: Store) -> None:
        for number in range(3):
            await answered(
                store, event(number, f"q{number}"), Reply(f"a{number}", Outcome.ANSWERED)
            )
        assert await store.history("fake", "c1", 4) == [
            Turn("user", "q1"),
            Turn("assistant", "a1"),
            Turn("user", "q2"),
            Turn("assistant", "a2"),
        ]
        assert await store.history("fake", "c1", 1) == [Turn("assistant", "a2")]
        assert await store.history("fake", "c1", 0) == []
        assert await store.history("fake", "nobody", 4) == []

    async def test_apologies_are_not_remembered(self, store: Store) -> None:
        for outcome in Outcome:
            await answered(store, event(outcome, outcome), Reply("a", outcome))
        remembered = await store.history("fake", "c1", 100)
        assert [turn.content for turn in remembered if turn.role == "user"] == [
            "answered",
            "abstained",
            "smalltalk",
            "stopped",
        ]

    async def test_a_customer_never_gets_what_was_said_to_staff(self, store: Store) -> None:
        await answered(store, event(1, "public"))
        await answered(store, event(2, "secret", audience=Audience.INTERNAL))
        customer = await store.history("fake", "c1", 10, Audience.CUSTOMER)
        assert [turn.content for turn in customer] == ["public", "re: public"]
        assert await store.history("fake", "c1", 10) == customer
        staff = await store.history("fake", "c1", 10, Audience.INTERNAL)
        assert [turn.content for turn in staff] == ["public", "re: public", "secret", "re: secret"]


class TestVoting:
    async def test_the_last_vote_of_a_person_counts(self, store: Store) -> None:
        answer_id = await answered(store, event(1))
        await store.vote(Vote(answer_id, "web:1", 1))
        await store.vote(Vote(answer_id, "web:2", 1))
        changed = Vote(answer_id, "web:1", -1, "outdated", "It is 30 days.")
        await store.vote(changed)
        (exchange,) = await store.thread("fake", "c1")
        assert exchange.votes == {"web:1": changed, "web:2": Vote(answer_id, "web:2", 1)}

    async def test_a_withdrawn_vote_is_gone_but_the_audit_knows(self, store: Store) -> None:
        answer_id = await answered(store, event(1))
        await store.vote(Vote(answer_id, "web:1", -1, "my secret reason"))
        await store.vote(Vote(answer_id, "web:1", 0))
        (exchange,) = await store.thread("fake", "c1")
        assert exchange.votes == {}
        notes = await store.audits(answer_id)
        assert [(note.detail["from"], note.detail["to"]) for note in notes] == [(-1, 0), (0, -1)]
        assert "secret" not in str([note.detail for note in notes])

    async def test_repeating_a_vote_changes_nothing(self, store: Store) -> None:
        answer_id = await answered(store, event(1))
        await asyncio.gather(*(store.vote(Vote(answer_id, "web:1", 1, "good")) for _ in range(4)))
        assert len(await store.audits(answer_id)) == 1

    async def test_withdrawing_what_was_never_given_changes_nothing(self, store: Store) -> None:
        answer_id = await answered(store, event(1))
        await store.vote(Vote(answer_id, "web:1", 0))
        assert await store.audits(answer_id) == []

    async def test_a_vote_needs_an_answer(self, store: Store) -> None:
        with pytest.raises(NotFound, match="nope"):
            await store.vote(Vote("nope", "web:1", 1))


def test_no_column_holds_a_naive_time() -> None:
    for table in SQLModel.metadata.tables.values():
        for column in table.columns:
            assert not isinstance(column.type, sa.DateTime), f"{table.name}.{column.name}"
    assert isinstance(SQLModel.metadata.tables["message"].c.at.type, columns.UtcTime)

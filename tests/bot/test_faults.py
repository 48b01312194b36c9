"""Faults: killed servers, locked and full and lost databases. Nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from bot.config import LimitSettings
from bot.database import make_engine, parse_url
from bot.dispatching.courier import Patience
from bot.dispatching.dispatch import Dispatcher
from bot.dispatching.journal import Journal
from bot.errors import Refused, StoreUnavailable
from bot.store import Store
from bot.tables import SendState
from bot.types import Outcome
from tests.fakes import victim
from tests.fakes.dialogue import RecordingChannel, ScriptedAnswerer, event
from tests.fakes.postgres import Cluster
from tests.fakes.victim import lines

ROOT = Path(__file__).parents[2]


class TestKilled:
    """Real processes, killed; see `tests/fakes/victim.py` for what happens in them."""

    def run(self, mode: str, url: str, folder: Path) -> Counter[str]:
        """Let a victim live and die; returns the outcomes, one for each message."""
        script = [sys.executable, "-W", "error", "-m", "tests.fakes.victim", mode, url, str(folder)]
        done = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        shown = lines(folder / "shown")
        acked = [line[0] for line in lines(folder / "acked")]
        replies = Counter(line[0] for line in shown)
        assert set(replies.values()) == {1}, "somebody got more than one reply"
        assert set(acked) <= set(replies), "somebody got none"
        talks: dict[int, list[int]] = {}
        for number in (int(line[0].removeprefix("fake:")) for line in shown):
            talks.setdefault(number % victim.TALKS, []).append(number)
        assert all(numbers == sorted(numbers) for numbers in talks.values()), "out of order"
        return Counter(line[2] for line in shown)

    @pytest.mark.timeout(600)
    def test_fifty_random_kills_leave_each_message_with_exactly_one_reply(
        self, url: str, tmp_path: Path
    ) -> None:
        outcomes = self.run("at_random", url, tmp_path)
        assert outcomes.total() == victim.MESSAGES
        assert lines(tmp_path / "deaths") == [[str(victim.KILLS)]]
        # Somebody who was at work in three deaths is taken for their cause; few may be.
        assert outcomes[Outcome.ANSWERED] >= 0.8 * victim.MESSAGES, outcomes

    def test_dying_at_any_commit_leaves_each_message_with_exactly_one_reply(
        self, url: str, tmp_path: Path
    ) -> None:
        outcomes = self.run("at_each_commit", url, tmp_path)
        deaths = int(lines(tmp_path / "deaths")[0][0])
        assert deaths >= 5  # accept, claim, answer, sending, sent
        assert outcomes == {Outcome.ANSWERED: deaths + 1}

    def test_dying_inside_the_send_leaves_each_message_with_exactly_one_reply(
        self, url: str, tmp_path: Path
    ) -> None:
        assert self.run("in_the_send", url, tmp_path) == {Outcome.ANSWERED: 2}

    def test_a_poison_message_is_put_away_after_three_deaths_and_harms_nobody(
        self, url: str, tmp_path: Path
    ) -> None:
        outcomes = self.run("by_poison", url, tmp_path)
        assert lines(tmp_path / "deaths") == [["3"]]
        assert outcomes == {Outcome.ANSWERED: 11, Outcome.FAILED: 1}
        assert [line[0] for line in lines(tmp_path / "shown") if line[2] == Outcome.FAILED] == [
            "fake:5"
        ]

    def test_asked_to_stop_under_load_it_goes_in_time_and_loses_nothing(
        self, url: str, tmp_path: Path
    ) -> None:
        assert self.run("by_request", url, tmp_path) == {Outcome.ANSWERED: victim.MESSAGES}


@contextlib.asynccontextmanager
async def served(store: Store) -> AsyncIterator[tuple[Dispatcher, RecordingChannel]]:
    channel = RecordingChannel()
    limits = LimitSettings(waiting_per_actor=10_000, waiting=10_000, drain_s=10)
    patience = Patience(longest_pause_s=0.01)
    dispatcher = Dispatcher(store, ScriptedAnswerer(), {"fake": channel}, limits, patience)
    await dispatcher.start()
    try:
        yield dispatcher, channel
    finally:
        await dispatcher.drain()


async def all_sent(store: Store, number: int) -> None:
    async with asyncio.timeout(60):
        while (await store.counts()).sends[SendState.SENT] < number:  # noqa: ASYNC110 - seen from outside there is nothing to await
            await asyncio.sleep(0.02)


@contextlib.contextmanager
def locked(url: str) -> Iterator[None]:
    """Somebody else writes and does not finish."""
    engine = make_engine(parse_url(url))
    with engine.connect() as connection:
        transaction = connection.begin()
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("LOCK TABLE message, probe IN ACCESS EXCLUSIVE MODE")
        yield
        transaction.rollback()
    engine.dispose()


class TestLocked:
    @pytest.mark.parametrize("seconds", [1.0, pytest.param(10.0, marks=pytest.mark.slow)])
    async def test_a_message_waits_for_a_locked_database_and_is_kept(
        self, url: str, seconds: float
    ) -> None:
        store = Store.open(url, exclusive=True)
        async with served(store) as (dispatcher, channel):
            with locked(url):
                calls = [asyncio.create_task(dispatcher.accept(event(n))) for n in range(20)]
                await asyncio.sleep(seconds)
                assert not any(call.done() for call in calls), "acknowledged without a commit"
            assert all(accepted.fresh for accepted in await asyncio.gather(*calls))
            await all_sent(store, 20)
            assert [event_id for event_id, _ in channel.shown] == [f"fake:{n}" for n in range(20)]
        await store.close()

    async def test_a_database_that_stays_locked_gets_an_honest_refusal(self, url: str) -> None:
        store = Store.open(url, exclusive=True, patience_s=0.3)
        async with served(store) as (dispatcher, _):
            with locked(url):
                with pytest.raises(Refused, match="could not be saved"):
                    await dispatcher.accept(event(1))
                assert not await store.healthy()
            assert (await dispatcher.accept(event(1))).fresh
            await all_sent(store, 1)
            assert await store.healthy()
        await store.close()


class TestFull:
    """Only SQLite: PostgreSQL's disk is its server's, and looks to us like a lost server."""

    async def check(self, store: Store, path: Path, room: Any) -> None:
        """Fill the disk while people write, make room again, and count."""
        kept: list[str] = []
        async with served(store) as (dispatcher, channel):
            healthy = True
            for number in range(10_000):
                message = event(number, "x" * 3000, conversation=f"c{number % 7}")
                try:
                    kept.append((await dispatcher.accept(message)).event_id)
                except Refused:
                    healthy = await store.healthy()
                if not healthy:  # until then, a checkpoint may make room once or twice
                    break
            assert not healthy
            assert kept
            room()
            assert (await dispatcher.accept(event("after"))).fresh
            assert await store.healthy()
            await all_sent(store, len(kept) + 1)
            replies = Counter(event_id for event_id, _ in channel.shown)
            assert replies == Counter([*kept, "fake:after"])
        await store.close()
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    async def test_a_file_that_may_not_grow_loses_nothing_and_recovers(
        self, tmp_path: Path, quiet: None
    ) -> None:
        del quiet
        path = tmp_path / "x.db"
        store = Store.open(f"sqlite:///{path}", exclusive=True)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, hard))
        try:
            await self.check(
                store, path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    async def test_a_disk_without_space_loses_nothing_and_recovers(
        self, tmp_path: Path, quiet: None
    ) -> None:
        del quiet
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
        if os.geteuid() != 0 or await (await quietly(*mount)).wait() != 0:
            pytest.skip("a small disk needs the right to mount one")
        try:
            ballast = disk / "ballast"
            ballast.write_bytes(b"x" * 300_000)
            store = Store.open(f"sqlite:///{disk}/x.db", exclusive=True)
            await self.check(store, disk / "x.db", lambda: quick_remount(disk))
        finally:
            await (await quietly("umount", str(disk))).wait()


async def quietly(*command: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)


def quick_remount(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=100m", str(disk)], check=True)


@pytest.mark.postgres
class TestLostServer:
    """PostgreSQL goes away and comes back."""

    @pytest.fixture
    def pg_url(self, postgres: Any, quiet: None) -> str:
        del quiet
        return str(postgres.fresh())

    async def test_a_lost_server_loses_no_message_and_no_answer(
        self, pg_url: str, cluster: Cluster
    ) -> None:
        store = Store.open(pg_url, exclusive=True)
        async with served(store) as (dispatcher, channel):
            for number in range(10):
                await dispatcher.accept(event(number))
            await asyncio.to_thread(cluster.stop)
            with pytest.raises(Refused):
                await dispatcher.accept(event("down"))
            assert not await store.healthy()
            await asyncio.to_thread(cluster.start)
            assert (await dispatcher.accept(event("up"))).fresh
            assert await store.healthy()
            await all_sent(store, 11)
            replies = Counter(event_id for event_id, _ in channel.shown)
            assert set(replies.values()) == {1}
            assert len(replies) == 11
        await store.close()

    async def test_a_connection_that_was_cut_is_replaced_without_a_refusal(
        self, pg_url: str
    ) -> None:
        store = Store.open(pg_url, exclusive=True)
        async with served(store) as (dispatcher, _):
            for number in range(5):
                cut_connections(pg_url)
                assert (await dispatcher.accept(event(number))).fresh
            await all_sent(store, 5)
        await store.close()

    async def test_who_lost_the_lock_to_another_server_writes_nothing_more(
        self, pg_url: str
    ) -> None:
        first = Store.open(pg_url, exclusive=True)
        cut_connections(pg_url)
        second = Store.open(pg_url, exclusive=True)
        with pytest.raises(StoreUnavailable, match="Another Deskhand"):
            await Journal(first.database).take_in(event(1))
        assert not await first.healthy()
        assert (await Journal(second.database).take_in(event(1))).fresh
        await first.close()
        await second.close()


def cut_connections(url: str) -> None:
    engine = make_engine(parse_url(url))
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    engine.dispose()

"""One database, opened: a single writer thread with group commit, and a few readers.

Knows connections, transactions, locks and threads. Does not know tables or what they mean.

Writes are plain functions on a SQLAlchemy connection. One thread takes whatever is queued,
runs it in one transaction and commits once (group commit), and only then tells the callers, so
a write that has returned is on the disk (`synchronous=FULL`, `synchronous_commit=on`). Because
a group that fails is run again one by one, a write must not do anything but write.

An exclusive database is held by one process: a locked file beside a SQLite database, an
advisory lock on the writing connection of a PostgreSQL one. A PostgreSQL writer that loses its
connection has to win the lock again before it may write, so two servers never both do.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.pool import NullPool
from sqlmodel import Session

from bot.errors import AlreadyRunning, ConfigError, StoreError, StoreUnavailable
from knowledge.errors import DeskhandError

T = TypeVar("T")
Write = Callable[[Connection], T]
Read = Callable[[Session], T]

PATIENCE_S = 15.0
"""How long a statement waits for somebody else's lock, unless told otherwise."""
GROUP = 128
"""Most writes in one transaction."""
READERS = 3
FRESH_S = 10.0
"""A write this young is proof enough that the database can be written."""
ADVISORY_LOCK = 0x6465736B68616E64  # "deskhand" in ASCII, as PostgreSQL's 64-bit lock key

log = structlog.get_logger(__name__)


def is_made(url: URL) -> bool:
    """False for a SQLite file that no server has made yet."""
    return url.get_backend_name() != "sqlite" or Path(url.database or "").exists()


def parse_url(url: str) -> URL:
    """Understand `sqlite:///PATH` and `postgresql://…`, and name the driver we use.

    Raises `ConfigError` for anything else, without repeating a password.
    """
    try:
        parsed = make_url(url)
    except sa.exc.ArgumentError:
        raise ConfigError(
            "The database URL cannot be read.",
            "Write it as sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME.",
        ) from None
    match parsed.get_backend_name():
        case "sqlite" if parsed.database and parsed.database != ":memory:":
            return parsed.set(drivername="sqlite")
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+psycopg")
        case _:
            shown = parsed.render_as_string(hide_password=True)
            raise ConfigError(
                f"Deskhand cannot use {shown} as its database.",
                "Use a SQLite file (sqlite:///PATH) or PostgreSQL (postgresql://…).",
            )


def translate(problem: sa.exc.SQLAlchemyError) -> StoreError:
    """Say what went wrong in words, without statements or what people wrote."""
    cause = getattr(problem, "orig", None)
    reason = str(cause or type(problem).__name__).strip().partition("\n")[0]
    if isinstance(problem, (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError)):
        return StoreUnavailable(
            f"The database cannot be used now: {reason}.",
            "Check that its disk has space, that nothing else holds it locked, "
            "and that its server is up.",
        )
    return StoreError(f"The database refused a statement: {type(problem).__name__}.")


def _bug(problem: Exception) -> StoreError:
    error = StoreError(f"A write failed before it reached the database: {type(problem).__name__}.")
    error.__cause__ = problem
    return error


def make_engine(url: URL, *, readonly: bool = False, patience_s: float = PATIENCE_S) -> Engine:
    """An engine with our durability settings. Transactions begin explicitly on both databases.

    `patience_s` is how long a statement waits for somebody else's lock.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url, readonly=readonly, patience_s=patience_s)
    options = f"-c lock_timeout={int(patience_s * 1000)} -c synchronous_commit=on"
    if readonly:
        options += " -c default_transaction_read_only=on"
    return sa.create_engine(
        url,
        hide_parameters=True,
        connect_args={
            "connect_timeout": 5,
            "application_name": f"deskhand {socket.gethostname()} pid {os.getpid()}",
            "options": options,
        },
        **_pooling(readonly=readonly),
    )


def _pooling(*, readonly: bool) -> dict[str, Any]:
    """Readers share a few connections; the writer's own is opened and ended on purpose."""
    if not readonly:
        return {"poolclass": NullPool}
    return {"pool_size": READERS, "max_overflow": 0, "pool_pre_ping": True}


def _sqlite_engine(url: URL, *, readonly: bool, patience_s: float) -> Engine:
    _create(Path(url.database or ""))
    engine = sa.create_engine(
        url,
        hide_parameters=True,
        connect_args={"timeout": patience_s, "check_same_thread": False},
        **_pooling(readonly=readonly),
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's hook
        connection.isolation_level = None  # we say BEGIN ourselves, see below
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        if readonly:
            connection.execute("PRAGMA query_only=ON")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A deferred transaction that reads first and writes later fails at once with
        # SQLITE_BUSY_SNAPSHOT, whatever the timeout says; a writer must begin as one.
        connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")

    return engine


def _create(file: Path) -> None:
    """Make an empty file and its folder unless they are there, readable by us alone."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))  # the WAL inherits the mode
    except OSError as problem:
        raise StoreError(
            f"The database {file} cannot be opened: {problem.strerror}.",
            "Make its folder writable for this user, or name another place.",
        ) from problem


class FileLock:
    """Holds a SQLite database for one process; the kernel lets go when the process dies."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        _create(self._path)
        self._file: IO[str] = self._path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise _already_running(str(database), f"process {holder}") from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let another process have it."""
        self._file.close()


def take_advisory_lock(connection: Connection) -> None:
    """Hold a PostgreSQL database for as long as this connection lives, or `AlreadyRunning`."""
    with connection.begin():
        if connection.scalar(sa.select(sa.func.pg_try_advisory_lock(ADVISORY_LOCK))):
            return
        holder = connection.scalar(
            sa.text(
                "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
                " WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database()"
                " AND (l.classid::bigint << 32) | l.objid::bigint = :key LIMIT 1"
            ),
            {"key": ADVISORY_LOCK},
        )
    shown = connection.engine.url.render_as_string(hide_password=True)
    raise _already_running(shown, str(holder or "unknown"))


def _already_running(database: str, holder: str) -> AlreadyRunning:
    return AlreadyRunning(
        f"Another Deskhand server holds the database {database}: {holder}.",
        "Stop that server first, or give this one another database.",
    )


@dataclass(slots=True)
class _Job:
    write: Write[Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop


_Result = tuple[_Job, Any, BaseException | None]


class Database:
    """Queued writes, pooled reads. Made by `Database.open`."""

    def __init__(self, url: URL, *, exclusive: bool, patience_s: float) -> None:
        self.url = url
        self._exclusive = exclusive
        self._lock = (
            FileLock(Path(url.database or ""))
            if exclusive and url.get_backend_name() == "sqlite"
            else None
        )
        self._write_engine = make_engine(url, patience_s=patience_s)
        self._read_engine = make_engine(url, readonly=True, patience_s=patience_s)
        self._connection: Connection | None = None
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="deskhand-read")
        self._closed = False
        self._written = time.monotonic()  # when a transaction last committed
        self._failing = False
        self._writer = threading.Thread(target=self._work, name="deskhand-write", daemon=True)

    @classmethod
    def open(cls, url: URL, *, exclusive: bool = False, patience_s: float = PATIENCE_S) -> Database:
        """Connect and start the writer.

        With `exclusive`, this process becomes the database's only server. Raises
        `AlreadyRunning` and `StoreUnavailable`.
        """
        database = cls(url, exclusive=exclusive, patience_s=patience_s)
        try:
            database._ready()
        except sa.exc.SQLAlchemyError as problem:
            database._dispose()
            raise translate(problem) from problem
        except AlreadyRunning:
            database._dispose()
            raise
        database._writer.start()
        return database

    def write(self, write: Write[T]) -> asyncio.Future[T]:
        """Queue a write; the future is done once it is committed.

        The write happens even if nobody awaits the future any more. Writes are committed, and
        their futures completed, in the order of the calls. Fails with `StoreUnavailable`,
        with another `StoreError`, or with the `DeskhandError` the function raised; then nothing
        was changed.
        """
        if self._closed:
            raise StoreError("The database is closed.")
        loop = asyncio.get_running_loop()
        job = _Job(write, loop.create_future(), loop)
        self._queue.put(job)
        return job.future

    async def read(self, read: Read[T]) -> T:
        """Run a read in a thread of its own, in one transaction. Raises `StoreUnavailable`."""
        if self._closed:
            raise StoreError("The database is closed.")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._read, read)

    def doubtful(self) -> bool:
        """True if a write failed since the last proof, or none was committed lately."""
        return self._failing or time.monotonic() - self._written > FRESH_S

    async def prove(self, write: Write[None]) -> None:
        """Commit a write that is as demanding as any other, which takes the doubt away.

        Small writes do not: on a full disk some of them still find room.
        """
        await self.write(write)
        self._failing = False

    async def close(self) -> None:
        """Commit what is queued, then let go of everything."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self.abandon)

    def abandon(self) -> None:
        """The same where there is no event loop."""
        self._closed = True
        self._queue.put(None)
        self._writer.join()
        self._pool.shutdown()
        self._dispose()

    def _dispose(self) -> None:
        self._drop_connection()
        self._write_engine.dispose()
        self._read_engine.dispose()
        if self._lock is not None:
            self._lock.release()

    def _read(self, read: Read[T]) -> T:
        try:
            with Session(self._read_engine) as session:
                return read(session)
        except sa.exc.SQLAlchemyError as problem:
            raise translate(problem) from problem

    # The writer's thread, from here on.

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            group = [job]
            stop = False
            with contextlib.suppress(queue.Empty):
                while len(group) < GROUP:
                    following = self._queue.get_nowait()
                    if following is None:
                        stop = True
                        break
                    group.append(following)
            self._answer(self._commit(group))
            if stop:
                return

    def _commit(self, group: list[_Job]) -> list[_Result]:
        """Run a group in one transaction; if one of them is at fault, each in its own."""
        try:
            results = self._attempt(group)
        except StoreUnavailable as error:
            self._failing = True
            log.warning("database cannot be written", error=error.message, writes=len(group))
            return [(job, None, error) for job in group]
        except Exception as error:  # noqa: BLE001 - a faulty write must not end the writer; its caller gets the error
            if len(group) > 1:
                return [result for job in group for result in self._commit([job])]
            return [(group[0], None, error if isinstance(error, DeskhandError) else _bug(error))]
        self._written = time.monotonic()
        return results

    def _attempt(self, group: list[_Job]) -> list[_Result]:
        try:
            try:
                return self._transact(group)
            except sa.exc.DBAPIError as problem:
                if not problem.connection_invalidated:
                    raise
                # A server that was restarted, or a connection a firewall forgot: once more on
                # a new one. Even if the commit did go through, writes may be repeated.
                return self._transact(group)
        except sa.exc.SQLAlchemyError as problem:
            raise translate(problem) from problem
        except AlreadyRunning as problem:  # while we were disconnected
            raise StoreUnavailable(problem.message, problem.remedy) from problem

    def _transact(self, group: list[_Job]) -> list[_Result]:
        connection = self._ready()
        try:
            with connection.begin():
                return [(job, job.write(connection), None) for job in group]
        except sa.exc.SQLAlchemyError:
            self._drop_connection()  # after a full disk or a lost server its state is unclear
            raise

    def _ready(self) -> Connection:
        """The writing connection; on PostgreSQL it holds the server's lock."""
        if self._connection is None:
            connection = self._write_engine.connect()
            if self._exclusive and self.url.get_backend_name() == "postgresql":
                try:
                    take_advisory_lock(connection)
                except (AlreadyRunning, sa.exc.SQLAlchemyError):
                    connection.close()
                    raise
            self._connection = connection
        return self._connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sa.exc.SQLAlchemyError):
                connection.close()  # the pool keeps none: this ends it, and its lock

    @staticmethod
    def _answer(results: list[_Result]) -> None:
        """Complete the futures on their loops, in order, one wake-up per loop."""
        by_loop: dict[asyncio.AbstractEventLoop, list[_Result]] = {}
        for result in results:
            by_loop.setdefault(result[0].loop, []).append(result)
        for loop, own in by_loop.items():
            with contextlib.suppress(RuntimeError):  # that loop has ended: nobody waits
                loop.call_soon_threadsafe(_complete, own)


def _complete(results: list[_Result]) -> None:
    for job, value, error in results:
        if job.future.done():
            continue
        if error is None:
            job.future.set_result(value)
        else:
            job.future.set_exception(error)

"""The schema's history, and the one way to bring a database up to date.

Knows revisions. Alembic runs inside this package, without a command line or an ini file.

Each upgrade is one transaction, on SQLite too: a process killed in the middle leaves the old
schema, and the next run starts over.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection

from bot.database import FileLock, make_engine, parse_url, take_advisory_lock, translate
from bot.errors import StoreError

HEAD = "0004"
"""The newest revision; a test compares it with the scripts in `versions/`."""


def revision(connection: Connection) -> str | None:
    """The database's revision; None for an empty database."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def upgrade(url: str | URL, *, held: bool = False) -> bool:
    """Bring a database to `HEAD`; False if it was there already.

    `held` says that this process holds the database. Otherwise it is held for the time of the
    upgrade, since a running server must not see its tables change: raises `AlreadyRunning`.
    Raises `StoreError` for a database made by a newer Deskhand, `StoreUnavailable` for one that
    cannot be reached.
    """
    parsed = url if isinstance(url, URL) else parse_url(url)
    engine = make_engine(parsed)
    lock: FileLock | None = None
    try:
        with engine.connect() as connection:
            with connection.begin():
                found = revision(connection)
            if found == HEAD:
                return False
            if found is not None and found > HEAD:
                raise StoreError(
                    f"The database is at revision {found}, newer than this Deskhand's {HEAD}.",
                    "Install the Deskhand that made it, or restore a backup.",
                )
            if not held:
                if parsed.get_backend_name() == "sqlite":
                    lock = FileLock(Path(parsed.database or ""))
                else:
                    take_advisory_lock(connection)
            _run(connection)
    except sa.exc.SQLAlchemyError as problem:
        raise translate(problem) from problem
    finally:
        engine.dispose()
        if lock is not None:
            lock.release()
    return True


def _run(connection: Connection) -> None:
    from alembic import command  # slow to import, and needed once in a database's life
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    with connection.begin():
        command.upgrade(config, HEAD)

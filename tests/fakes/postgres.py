"""A real PostgreSQL of our own: a private cluster in a temporary folder, on a Unix socket.

PostgreSQL refuses to run as root, so there it runs as `postgres` or `nobody`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import make_url

from bot.database import parse_url


def programs() -> Path | None:
    """The folder with `initdb` and `postgres`, newest version first; None without them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    on_path = shutil.which("initdb")
    if on_path is not None:
        found.append(Path(on_path).resolve())
    return next((path.parent for path in found if (path.parent / "postgres").exists()), None)


def _somebody() -> dict[str, Any]:
    """Who runs the server, as arguments of `subprocess`."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    return {"user": "postgres" if "postgres" in names else "nobody", "extra_groups": []}


class Cluster:
    """A running server. `with Cluster(programs()) as cluster: cluster.create("one")`."""

    def __init__(self, bin_folder: Path) -> None:
        self._bin = bin_folder
        self._somebody = _somebody()
        self.folder = Path(tempfile.mkdtemp(prefix="deskhand-pg-"))

    def __enter__(self) -> Cluster:
        if self._somebody:
            shutil.chown(self.folder, self._somebody["user"])
        self._run("initdb", "-D", "data", "-A", "trust", "-U", "deskhand", "-E", "UTF8", "-N")
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._run(
            "pg_ctl", "-D", "data", "-w", "-l", "log", "start", "-o",
            f"-k {self.folder} -c listen_addresses='' -c fsync=off -c max_connections=60",
        )  # fmt: skip

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server the way a crash would, by default."""
        self._run("pg_ctl", "-D", "data", "-m", mode, "-w", "stop")

    def create(self, name: str) -> str:
        """Make a database and return its URL."""
        self._admin("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    def clear(self, url: str, tables: set[str]) -> None:
        """Empty a database's tables, guarded ones too, and throw everybody out of it."""
        name = make_url(url).database or ""
        self._admin(
            name,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            "SET session_replication_role = replica",  # triggers sleep
            f"TRUNCATE {', '.join(tables)} RESTART IDENTITY",
        )

    def url(self, name: str) -> str:
        """The plain URL a person would write."""
        return f"postgresql://deskhand@/{name}?host={self.folder}"

    def _admin(self, database: str, *statements: str) -> None:
        engine = sa.create_engine(parse_url(self.url(database)), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
            **self._somebody,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr}")

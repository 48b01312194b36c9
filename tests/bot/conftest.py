"""Databases for the tests of the bot: each test gets a fresh one, of both kinds."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from sqlmodel import SQLModel

from bot.migrations import upgrade
from bot.store import Store
from tests.fakes.postgres import Cluster, programs

BOTH = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgresql", id="postgresql", marks=pytest.mark.postgres),
]


class Databases:
    """Makes databases of one kind: empty, or with today's tables. One test uses one at a time."""

    def __init__(self, kind: str, folder: Path, cluster: Cluster | None) -> None:
        self.kind = kind
        self.cluster = cluster
        self._folder = folder
        self._numbers = itertools.count(1)
        self._ready = ""

    def empty(self) -> str:
        """The URL of a database without tables."""
        name = f"d{next(self._numbers)}"
        if self.cluster is not None:
            return self.cluster.create(name)
        return f"sqlite:///{self._folder / name}.db"

    def fresh(self) -> str:
        """The URL of a database with today's tables and no rows."""
        first = not self._ready
        if first:
            self._ready = self.empty()
            upgrade(self._ready)
        if self.cluster is not None:
            if not first:
                self.cluster.clear(self._ready, set(SQLModel.metadata.tables))
            return self._ready
        copy = self._folder / f"d{next(self._numbers)}.db"
        shutil.copy(self._ready.removeprefix("sqlite:///"), copy)
        return f"sqlite:///{copy}"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server for the whole run."""
    folder = programs()
    if folder is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL's programs (initdb, postgres) are missing")
        pytest.skip("PostgreSQL's programs (initdb, postgres) are not installed")
    with Cluster(folder) as running:
        yield running


@pytest.fixture(scope="session")
def postgres(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Databases:
    """PostgreSQL databases."""
    return Databases("postgresql", tmp_path_factory.mktemp("databases"), cluster)


@pytest.fixture(scope="session", params=BOTH)
def databases(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Databases:
    """Both kinds of database, one after the other."""
    if request.param == "postgresql":
        made: Databases = request.getfixturevalue("postgres")
        return made
    return Databases("sqlite", tmp_path_factory.mktemp("databases"), None)


@pytest.fixture
def quiet() -> Iterator[None]:
    """No log lines: without our own set-up, structlog draws each error as a page of locals."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@pytest.fixture
def url(databases: Databases, quiet: None) -> str:
    """A database with tables and no rows."""
    del quiet
    return databases.fresh()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """That database, held as a server holds it."""
    opened = Store.open(url, exclusive=True)
    yield opened
    await opened.close()

"""One server for most tests: each brings questions and people of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.fakes.agency import Agency, agency


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Agency]:
    """A server for the tests that disturb nobody."""
    async with agency(tmp_path_factory.mktemp("agency")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def own(tmp_path: Path) -> AsyncIterator[Agency]:
    """A server of one's own, with staff at the Live page."""
    async with agency(tmp_path, live=True) as running:
        yield running

"""What every retriever promises, shown on the fake and on the real search."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowledge.index import IndexFolder
from knowledge.search import HybridRetriever
from knowledge.types import Audience, Query, Retriever
from tests.fakes.company import PASSAGES, RETURNS, STAFF, embedder
from tests.fakes.retrieval import MemoryRetriever


@pytest.fixture(scope="module", params=["memory", "hybrid"])
def retriever(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Retriever:
    if request.param == "memory":
        return MemoryRetriever(PASSAGES, embedder())
    folder = IndexFolder(Path(tmp_path_factory.mktemp("index")))
    folder.build(PASSAGES, embedder())
    return HybridRetriever(folder, embedder())


async def test_hits_come_best_first_and_name_their_index(retriever: Retriever) -> None:
    hits = await retriever.search(Query("can I return a box", Audience.CUSTOMER))
    assert hits.hits[0].passage.id == RETURNS.id
    scores = [hit.score for hit in hits.hits]
    assert scores == sorted(scores, reverse=True)
    assert hits.index_version


async def test_the_limit_is_kept(retriever: Retriever) -> None:
    for limit in (1, 3):
        hits = await retriever.search(Query("tea", Audience.CUSTOMER, limit=limit))
        assert len(hits.hits) == limit


async def test_a_customer_is_never_shown_what_is_internal(retriever: Retriever) -> None:
    text = "how much may agents refund"
    customer = await retriever.search(Query(text, Audience.CUSTOMER, limit=50))
    assert all(Audience.CUSTOMER.may_read(hit.passage.audience) for hit in customer.hits)
    staff = await retriever.search(Query(text, Audience.INTERNAL, limit=50))
    assert staff.hits[0].passage.id == STAFF.id


async def test_confidence_is_a_probability_and_higher_where_the_answer_is(
    retriever: Retriever,
) -> None:
    known = await retriever.search(Query("can I return a box", Audience.CUSTOMER))
    unknown = await retriever.search(Query("who won the world cup", Audience.CUSTOMER))
    assert 0.0 <= unknown.confidence < known.confidence <= 1.0


@pytest.mark.parametrize("text", ["", " ", "\x00", "?" * 5000, "🫖", "退货"])
async def test_any_query_is_searched(retriever: Retriever, text: str) -> None:
    hits = await retriever.search(Query(text, Audience.CUSTOMER))
    assert 0.0 <= hits.confidence <= 1.0

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.embed import Embedder, TokenVectors, load_embedder
from knowledge.errors import IndexCorrupt, IndexMissing
from knowledge.index import IndexFolder
from knowledge.search import HybridRetriever
from knowledge.types import Audience, Passage, Query
from tests.fakes.embedder import WordEmbedder
from tests.fakes.passages import PASSAGES, faq

STRANGE = [
    "",
    " ",
    "?",
    "😀👍🏽",
    "x" * 100_000,
    "why " * 25_000,
    "שלום עולם",
    "\u202eabc\u0000",
    "何時",
]


@contextmanager
def searching(
    folder: Path, passages: Sequence[Passage], embedder: Embedder | None = None
) -> Iterator[HybridRetriever]:
    embedder = embedder or WordEmbedder()
    index = IndexFolder(folder)
    index.build(passages, embedder)
    retriever = HybridRetriever(index, embedder)
    try:
        yield retriever
    finally:
        retriever.close()


@pytest.fixture
def retriever(tmp_path: Path) -> Iterator[HybridRetriever]:
    with searching(tmp_path / "index", PASSAGES) as made:
        yield made


async def test_a_question_finds_its_answer_first(retriever: HybridRetriever) -> None:
    for passage in PASSAGES[:12]:
        hits = await retriever.search(Query(passage.question, Audience.CUSTOMER))
        assert hits.hits[0].passage == passage
        assert hits.index_version == retriever.version
        assert set(hits.timings) == {"embed", "first", "second"}


async def test_scores_fall_and_say_what_they_are_made_of(retriever: HybridRetriever) -> None:
    hits = (await retriever.search(Query("When are refunds paid?", Audience.CUSTOMER))).hits
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].passage.anchor == "refunds"
    assert {"question", "answer", "words_whole", "grams_whole", "late_whole"} <= set(hits[0].parts)
    assert len({hit.passage.id for hit in hits}) == len(hits)


@pytest.mark.parametrize("limit", [0, 1, 3, 8, 100])
async def test_the_limit_is_kept(retriever: HybridRetriever, limit: int) -> None:
    for text in ("parcel", "tracked", ""):
        hits = await retriever.search(Query(text, Audience.INTERNAL, limit))
        assert len(hits.hits) <= limit
    full = await retriever.search(Query("parcel", Audience.INTERNAL, limit))
    assert len(full.hits) == min(limit, len(PASSAGES))


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
async def test_no_message_is_too_strange(retriever: HybridRetriever, text: str) -> None:
    hits = await retriever.search(Query(text, Audience.CUSTOMER))
    assert 0.0 <= hits.confidence <= 1.0
    assert all(-1e6 < hit.score < 1e6 for hit in hits.hits)


TEXT = st.text(st.sampled_from("ab cd 東京 1-_?"), max_size=20)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(TEXT, TEXT, st.sampled_from(Audience)), min_size=1, max_size=10),
    st.lists(TEXT, min_size=1, max_size=3),
)
def test_a_customer_is_never_shown_internal_text(
    made: list[tuple[str, str, Audience]], queries: list[str]
) -> None:
    passages = [
        Passage(text, f"{place}.md", question=question, audience=audience)
        for place, (text, question, audience) in enumerate(made)
    ]

    async def ask(retriever: HybridRetriever) -> None:
        for text in [*queries, *(passage.text for passage in passages)]:
            for audience in Audience:
                allowed = {one.id for one in passages if audience.may_read(one.audience)}
                found = await retriever.search(Query(text, audience, len(passages)))
                assert {hit.passage.id for hit in found.hits} <= allowed

    with TemporaryDirectory() as folder, searching(Path(folder), passages) as retriever:
        asyncio.run(ask(retriever))


async def test_internal_text_changes_nothing_that_a_customer_sees(tmp_path: Path) -> None:
    query = Query("margin on parcels", Audience.CUSTOMER)
    public = [one for one in PASSAGES if one.audience is Audience.CUSTOMER]
    with (
        searching(tmp_path / "both", PASSAGES) as both,
        searching(tmp_path / "public", public) as alone,
    ):
        mixed, plain = await both.search(query), await alone.search(query)
    assert [(hit.passage.id, hit.score) for hit in mixed.hits] == [
        (hit.passage.id, hit.score) for hit in plain.hits
    ]
    assert mixed.confidence == plain.confidence


class SlowEmbedder(WordEmbedder):
    """Waits to be let go, and notes the threads it ran on."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()
        self.threads: set[str] = set()

    def query_tokens(self, text: str) -> TokenVectors:
        self.begun.set()
        assert self.gate.wait(30)
        self.threads.add(threading.current_thread().name)
        return super().query_tokens(text)


async def test_the_event_loop_is_free_while_a_search_runs(tmp_path: Path) -> None:
    embedder = SlowEmbedder()
    with searching(tmp_path, PASSAGES, embedder) as retriever:
        embedder.gate.clear()
        embedder.threads.clear()
        search = asyncio.create_task(retriever.search(Query("parcel 3", Audience.CUSTOMER)))
        await asyncio.sleep(0.05)
        assert not search.done()  # and this line ran all the same
        embedder.gate.set()
        await search
    assert threading.main_thread().name not in embedder.threads


async def test_a_search_that_began_before_a_swap_names_the_version_it_used(
    tmp_path: Path,
) -> None:
    embedder = SlowEmbedder()
    with searching(tmp_path, PASSAGES, embedder) as retriever:
        before = retriever.version
        IndexFolder(tmp_path).build([*PASSAGES, faq(99)], embedder)
        embedder.begun.clear()
        embedder.gate.clear()
        early = asyncio.create_task(retriever.search(Query("parcel 99", Audience.CUSTOMER)))
        await asyncio.to_thread(embedder.begun.wait, 30)
        assert await asyncio.to_thread(retriever.refresh)
        embedder.gate.set()
        late = await retriever.search(Query("parcel 99", Audience.CUSTOMER))
        assert (await early).index_version == before != late.index_version == retriever.version
        assert late.hits[0].passage == faq(99)
        assert retriever.index.version == retriever.version
        assert not retriever.refresh()


async def test_searches_run_through_many_swaps(tmp_path: Path) -> None:
    embedder = WordEmbedder()
    with searching(tmp_path, PASSAGES, embedder) as retriever:
        folder = IndexFolder(tmp_path)
        sizes = {retriever.version: 14}
        done = asyncio.Event()

        async def ask() -> int:
            asked = 0
            while not done.is_set():
                hits = await retriever.search(Query("parcel", Audience.INTERNAL, 99))
                assert len(hits.hits) == sizes[hits.index_version]
                asked += 1
            return asked

        asking = [asyncio.create_task(ask()) for _ in range(3)]
        for extra in range(1, 6):
            more = [*PASSAGES, *(faq(100 + n) for n in range(extra))]
            built = await asyncio.to_thread(folder.build, more, embedder)
            sizes[built.version] = len(more)
            assert await asyncio.to_thread(retriever.refresh)
        done.set()
        assert all(await asyncio.gather(*asking))


def damage(folder: Path, version: str) -> None:
    file = folder / "versions" / version / "customer" / "question.faiss"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


async def test_a_damaged_new_version_is_refused_once_and_the_old_one_goes_on(
    tmp_path: Path,
) -> None:
    embedder = WordEmbedder()
    with searching(tmp_path, PASSAGES, embedder) as retriever:
        before = retriever.version
        folder = IndexFolder(tmp_path)
        damage(tmp_path, folder.build([*PASSAGES, faq(99)], embedder).version)
        with pytest.raises(IndexCorrupt, match=r"question\.faiss"):
            retriever.refresh()
        assert not retriever.refresh()
        hits = await retriever.search(Query("parcel 3", Audience.CUSTOMER))
        assert hits.index_version == before
        folder.build([*PASSAGES, faq(98)], embedder)
        assert retriever.refresh()
        assert retriever.problems == ()


async def test_a_damaged_current_version_gives_way_to_the_one_before(tmp_path: Path) -> None:
    embedder = WordEmbedder()
    folder = IndexFolder(tmp_path)
    first = folder.build(PASSAGES, embedder).version
    damage(tmp_path, folder.build([*PASSAGES, faq(99)], embedder).version)
    retriever = HybridRetriever(folder, embedder)
    assert retriever.version == first
    assert "question.faiss" in retriever.problems[0].message
    assert not retriever.refresh()
    retriever.close()


def test_without_an_index_there_is_nothing_to_search(tmp_path: Path) -> None:
    with pytest.raises(IndexMissing, match="deskhand index build"):
        HybridRetriever(IndexFolder(tmp_path), WordEmbedder())


SHOP = [
    ("How do I reset my password?", "Open Settings, choose Security and press Reset.", "en"),
    ("When will my order arrive?", "Standard delivery takes three to five working days.", "en"),
    ("Can I return an item?", "Yes, within 30 days, unused and in its packaging.", "en"),
    ("What does error E-1042 mean?", "The bank refused the card. Try another one.", "en"),
    ("Which countries do you ship to?", "We ship to all countries of the EU and to Norway.", "en"),
    ("How do I cancel my subscription?", "Under Plan, press Cancel. It runs to its end.", "en"),
    ("Is there a student discount?", "Students get 15 percent off with a valid card.", "en"),
    ("How do I contact support?", "Write to the chat or call us on weekdays.", "en"),
    ("怎么申请退款？", "在订单页面点击申请退款，七天内到账。", "zh"),
    ("营业时间是几点？", "周一到周五上午九点到下午六点。", "zh"),
    ("パスワードを忘れました", "設定からリセットしてください。", "ja"),
    ("ลืมรหัสผ่านทำอย่างไร", "กดลิงก์รีเซ็ตรหัสผ่านในอีเมล", "th"),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HybridRetriever]:
    """The bundled model over a dozen entries in four scripts."""
    passages = [
        Passage(answer, "faq.csv", question=question, lang=lang) for question, answer, lang in SHOP
    ]
    embedder = load_embedder("all-MiniLM-L6-v2", threads=1)
    with searching(tmp_path_factory.mktemp("shop"), passages, embedder) as made:
        yield made


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("i cant log in, forgot my pasword", 0),
        ("where's my parcel, how long does shiping take", 1),
        ("send something back that i don't want", 2),
        ("e1042", 3),
        ("do you deliver to oslo norway?", 4),
        ("stop my monthly plan", 5),
        ("申请退款要几天到账", 8),
        ("几点开始营业", 9),
        ("パスワードをリセットしたい", 10),
        ("รหัสผ่านหาย ลืม", 11),
    ],
)
async def test_people_find_answers_in_their_own_words(
    shop: HybridRetriever, text: str, row: int
) -> None:
    hits = await shop.search(Query(text, Audience.CUSTOMER))
    assert hits.hits[0].passage.question == SHOP[row][0]


async def test_what_is_answered_here_is_told_from_what_is_not(shop: HybridRetriever) -> None:
    answered = [
        "How can I reset my password?",
        "when does my order arrive",
        "申请退款",
        "error E-1042",
    ]
    foreign = [
        "who won the 1998 world cup",
        "best recipe for carrot cake",
        "asdf qwer",
    ]

    async def confidence(text: str) -> float:
        return (await shop.search(Query(text, Audience.CUSTOMER))).confidence

    assert min([await confidence(text) for text in answered]) > 0.5
    assert max([await confidence(text) for text in foreign]) < 0.5


async def test_a_foreign_question_in_chinese_is_not_taken_for_answered(
    shop: HybridRetriever,
) -> None:
    found = await shop.search(Query("法国的首都是哪里", Audience.CUSTOMER))
    assert found.confidence < 0.5


@pytest.mark.xfail(
    strict=True,
    reason="the default model was trained on English: in a mixed knowledge base it takes any "
    "Chinese or Thai question for the few Chinese or Thai passages",
)
@pytest.mark.parametrize("text", ["明天天气怎么样", "สวัสดีครับ วันนี้อากาศ"])
async def test_a_foreign_question_in_a_rare_language_is_told_too(
    shop: HybridRetriever, text: str
) -> None:
    assert (await shop.search(Query(text, Audience.CUSTOMER))).confidence < 0.5

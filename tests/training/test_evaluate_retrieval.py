from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from knowledge.errors import DeskhandError
from tests.fakes.embedder import WordEmbedder
from training.evaluate_retrieval import BM25, HYBRID, SYSTEMS, BadQueries, evaluate, report

FAQS = [
    ("pay#1", "How do I pay?", "By card or by bank transfer.", "en"),
    ("ship", "When is my parcel sent?", "On the next working day.", "en"),
    ("back", "Can I send it back?", "Within a month, unused.", "en"),
    ("hours", "营业时间是几点？", "上午九点到下午六点。", "zh"),
]
QUERIES: list[dict[str, object]] = [
    {"text": "how do i pay", "gold": ["pay#1"]},
    {"text": "when is the parcel sent", "gold": "ship"},
    {"text": "send it back", "gold": ["back", "gone"]},
    {"text": "营业时间", "gold": ["hours"], "lang": "zh"},
    {"text": "of another list", "gold": ["elsewhere"]},
    {"text": "unanswerable", "gold": []},
]


def lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")
    return path


@pytest.fixture
def faqs(tmp_path: Path) -> Path:
    return lines(
        tmp_path / "faqs.jsonl",
        [{"id": i, "question": q, "answer": a, "lang": lang} for i, q, a, lang in FAQS],
    )


def test_each_system_is_measured_over_everything_and_by_language(
    faqs: Path, tmp_path: Path
) -> None:
    done: list[tuple[int, int]] = []
    found = evaluate(
        faqs,
        lines(tmp_path / "queries.jsonl", [dict(one) for one in QUERIES]),
        WordEmbedder(),
        step=lambda now, whole: done.append((now, whole)),
    )
    assert (found.passages, found.left_out) == (4, 1)
    assert set(found.systems) == set(SYSTEMS)
    assert found.systems[HYBRID].n == 4
    assert found.systems[HYBRID].hit1 == found.systems[BM25].hit1 == 1.0
    assert {lang: one[HYBRID].n for lang, one in found.by_lang.items()} == {"en": 3, "zh": 1}
    assert done == [(number, 4) for number in range(1, 5)]
    assert "| zh | hybrid | 1 | 1.000 |" in found.table()
    assert "1 questions left out" in found.table()
    assert json.loads(json.dumps(found.figures()))["systems"]["hybrid"]["hit@1"] == 1.0


def test_places_become_figures() -> None:
    inf = float("inf")
    places = {name: np.asarray([1, 2, 4, 11, inf]) for name in SYSTEMS}
    one = report(places, ["en"] * 5, passages=9, left_out=0).systems[HYBRID]
    assert (one.hit1, one.hit3) == (0.2, 0.4)
    assert one.mrr10 == pytest.approx((1 + 1 / 2 + 1 / 4) / 5)
    assert 0.0 <= one.low <= one.hit1 <= one.high <= 1.0


def test_the_lead_is_over_the_better_single_one() -> None:
    places = {name: np.asarray([2.0, 2.0]) for name in SYSTEMS}
    places[HYBRID], places[BM25] = np.asarray([1.0, 1.0]), np.asarray([1.0, 3.0])
    assert report(places, ["en"] * 2, passages=2, left_out=0).lead[0] == 0.5


def test_a_document_is_named_by_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "returns.md").write_text("# Returns\n\nSend it back within a month.\n", "utf-8")
    (folder / "pay.md").write_text("# Paying\n\nBy card or bank transfer.\n", "utf-8")
    queries = lines(tmp_path / "q.jsonl", [{"text": "send it back", "gold": "returns.md"}])
    assert evaluate(folder, queries, WordEmbedder()).systems[HYBRID].hit1 == 1.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"text": "a", "gold": ["pay#1"]}\n{oops', "line 2 is not JSON"),
        (b'["a"]', "line 1 has no `text`"),
        (b'{"gold": ["pay#1"]}', "line 1 has no `text`"),
        (b'{"text": "a", "gold": {"x": 1}}', "line 1 has no usable `gold`"),
        (b'{"text": "a"}', "line 1 has no usable `gold`"),
        (b"", "no question with a gold"),
        (b'{"text": "a", "gold": []}', "no question with a gold"),
        (b'{"text": "a", "gold": ["nothing"]}', "the first one wants 'nothing'"),
        (b"\xff\xfe\x00", "not UTF-8"),
    ],
)
def test_a_bad_query_file_is_named_with_what_is_wrong(
    faqs: Path, tmp_path: Path, content: bytes, message: str
) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_bytes(content)
    with pytest.raises(BadQueries, match=r"queries\.jsonl") as caught:
        evaluate(faqs, queries, WordEmbedder())
    assert message in str(caught.value)


def test_missing_files_are_named(faqs: Path, tmp_path: Path) -> None:
    queries = lines(tmp_path / "q.jsonl", [{"text": "a", "gold": "ship"}])
    with pytest.raises(DeskhandError, match=r"none\.jsonl"):
        evaluate(faqs, tmp_path / "none.jsonl", WordEmbedder())
    with pytest.raises(DeskhandError, match=r"none\.csv"):
        evaluate(tmp_path / "none.csv", queries, WordEmbedder())

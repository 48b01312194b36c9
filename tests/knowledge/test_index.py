from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.errors import (
    EmbedderMismatch,
    EmptyKnowledge,
    IndexBusy,
    IndexMissing,
    IndexUnwritable,
)
from knowledge.index import IndexFolder, texts_of
from knowledge.types import Audience, Passage
from tests.fakes.embedder import WordEmbedder
from tests.fakes.passages import PASSAGES, faq


@pytest.fixture
def embedder() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture
def folder(tmp_path: Path) -> IndexFolder:
    return IndexFolder(tmp_path / "index")


def test_what_was_indexed_is_found_again(folder: IndexFolder, embedder: WordEmbedder) -> None:
    report = folder.build(PASSAGES, embedder)
    assert (report.passages, report.embedded, report.reused, report.changed) == (14, 14, 0, True)
    index = folder.open(embedder=embedder)
    assert index.version == report.version == folder.current_version()
    assert (index.embedder_name, index.dim) == ("words", 32)
    view = index.view(Audience.INTERNAL)
    assert list(view.passages) == PASSAGES
    assert [one.id for one in view.passages] == [one.id for one in PASSAGES]
    assert view.passages[-1] == PASSAGES[-1]
    assert view.passages[2:4] == PASSAGES[2:4]
    assert len(view.lexical) == len(view.tokens) == 14
    for row, passage in enumerate(PASSAGES):
        question, answer, *_ = texts_of(passage, embedder)
        for rows, sims in (
            view.dense("question", embedder.encode_query(question), 3),
            view.dense("answer", embedder.encode_query(answer), 3),
        ):
            assert rows[0] == row
            assert sims[0] == pytest.approx(1, abs=1e-3)


def test_an_index_that_was_never_built_is_missing(folder: IndexFolder) -> None:
    assert folder.current_version() is None
    assert folder.versions() == []
    for opening in (folder.open, folder.open_best, folder.rollback):
        with pytest.raises(IndexMissing):
            opening()


def test_nothing_to_index_is_an_error_and_leaves_the_current_version(
    folder: IndexFolder, embedder: WordEmbedder
) -> None:
    version = folder.build(PASSAGES, embedder).version
    with pytest.raises(EmptyKnowledge):
        folder.build([], embedder)
    assert folder.current_version() == version


def test_reindexing_embeds_only_what_changed(folder: IndexFolder, embedder: WordEmbedder) -> None:
    folder.build(PASSAGES, embedder)
    embedder.embedded = 0
    changed = [*PASSAGES[1:], faq(77)]
    report = folder.build(changed, embedder)
    assert (report.passages, report.embedded, report.reused) == (14, 1, 13)
    assert embedder.embedded == len(texts_of(faq(77), embedder))
    fresh = IndexFolder(folder.path.parent / "fresh")
    fresh.build(changed, WordEmbedder())
    ours, theirs = (one.open().view(Audience.INTERNAL) for one in (folder, fresh))
    assert [one.id for one in ours.passages] == [one.id for one in changed]
    for row in range(len(changed)):
        for mine, right in zip(ours.vectors_of(row), theirs.vectors_of(row), strict=True):
            assert np.array_equal(mine, right), "a reused vector differs from a fresh one"


def test_a_heading_that_passages_share_is_embedded_once(
    folder: IndexFolder, embedder: WordEmbedder
) -> None:
    folder.build([Passage(f"Text {n}.", "page.md", ("Page",)) for n in range(9)], embedder)
    assert embedder.embedded == 9 + 1


def test_nothing_changed_makes_no_new_version(folder: IndexFolder, embedder: WordEmbedder) -> None:
    first = folder.build(PASSAGES, embedder)
    embedder.embedded = 0
    again = folder.build([*reversed(PASSAGES), PASSAGES[0]], embedder)
    assert (again.version, again.changed, again.reused) == (first.version, False, 14)
    assert embedder.embedded == 0


def test_another_embedder_reuses_nothing(folder: IndexFolder, embedder: WordEmbedder) -> None:
    folder.build(PASSAGES, embedder)
    assert folder.build(PASSAGES, WordEmbedder(name="other")).embedded == 14


def test_another_embedder_may_not_search(folder: IndexFolder, embedder: WordEmbedder) -> None:
    folder.build(PASSAGES, embedder)
    with pytest.raises(EmbedderMismatch, match=r"'words'.*'other'"):
        folder.open(embedder=WordEmbedder(name="other"))
    with pytest.raises(EmbedderMismatch):
        folder.open_best(WordEmbedder(dim=48))
    with pytest.raises(EmbedderMismatch):
        folder.open().view(Audience.CUSTOMER).dense("question", np.ones(48, np.float32), 3)


def test_progress_reaches_the_end(folder: IndexFolder, embedder: WordEmbedder) -> None:
    seen: list[tuple[int, int]] = []
    folder.build([faq(n) for n in range(300)], embedder, lambda *step: seen.append(step))
    assert seen[-1] == (300, 300)
    assert seen == sorted(seen)
    assert len(seen) > 2


def test_the_version_before_is_kept_and_can_come_back(
    folder: IndexFolder, embedder: WordEmbedder
) -> None:
    names = [folder.build(PASSAGES[:count], embedder).version for count in (4, 5, 6)]
    assert folder.versions() == names[1:]
    assert folder.rollback() == names[1] == folder.current_version()
    assert len(folder.open().view(Audience.INTERNAL).passages) == 5
    with pytest.raises(IndexMissing, match="no earlier version"):
        folder.rollback()
    newest = folder.build(PASSAGES[:7], embedder).version
    assert newest > names[2], "a name is never used twice"
    assert folder.versions() == [names[1], newest]


def test_an_open_index_outlives_its_folder(folder: IndexFolder, embedder: WordEmbedder) -> None:
    folder.build(PASSAGES[:4], embedder)
    view = folder.open().view(Audience.CUSTOMER)
    for count in (5, 6, 7):
        folder.build(PASSAGES[:count], embedder)
    assert len(folder.versions()) == 2
    query = embedder.encode_query(PASSAGES[2].question)
    assert view.passages[view.dense("question", query, 1)[0][0]] == PASSAGES[2]
    assert view.dense_at("answer", query, np.arange(4)).shape == (4,)
    assert view.lexical.search("parcel", 2)[0].size


def test_opening_never_fails_while_versions_come_and_go(
    folder: IndexFolder, embedder: WordEmbedder
) -> None:
    folder.build(PASSAGES[:3], embedder)
    stop = threading.Event()
    problems: list[Exception] = []

    def reader() -> None:
        while not stop.is_set():
            try:
                assert len(folder.open().view(Audience.CUSTOMER).passages) >= 3
            except Exception as error:  # noqa: BLE001 - whatever it is, the test must show it
                problems.append(error)
                return

    thread = threading.Thread(target=reader)
    thread.start()
    for count in range(4, 13):
        folder.build(PASSAGES[:count], embedder)
    stop.set()
    thread.join()
    assert problems == []


def test_a_version_removed_while_it_is_opened_gives_way_to_the_current_one(
    folder: IndexFolder, embedder: WordEmbedder
) -> None:
    todo = [6, 7]

    class Meanwhile(WordEmbedder):
        """Two builds finish between reading the version's name and reading its files."""

        @property
        def fingerprint(self) -> str:
            for count in todo:
                folder.build(PASSAGES[:count], embedder)
            todo.clear()
            return embedder.fingerprint

    first = folder.build(PASSAGES[:5], embedder).version
    index = folder.open(embedder=Meanwhile())
    assert first not in folder.versions()
    assert len(index.view(Audience.CUSTOMER).passages) == 7


def test_two_builds_at_once_are_refused(folder: IndexFolder, embedder: WordEmbedder) -> None:
    refused: list[str] = []

    def meanwhile(_done: int, _all: int) -> None:
        for action in (lambda: folder.build(PASSAGES[:2], embedder), folder.rollback):
            with pytest.raises(IndexBusy) as caught:
                action()
            refused.append(str(caught.value))

    version = folder.build(PASSAGES, embedder, meanwhile).version
    assert "Wait until it is done" in refused[0]
    assert len(refused) == 2
    assert folder.current_version() == version


def test_a_failing_embedder_leaves_the_current_version(
    folder: IndexFolder, embedder: WordEmbedder
) -> None:
    version = folder.build(PASSAGES[:4], embedder).version

    def fail(_done: int, _all: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.build(PASSAGES, embedder, fail)
    assert folder.open().version == version
    assert folder.build(PASSAGES, embedder).changed, "the lock was let go of"


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(IndexUnwritable, match="could not be written"):
        IndexFolder(tmp_path / "file" / "index").build(PASSAGES, WordEmbedder())


audiences = st.lists(st.sampled_from(list(Audience)), min_size=1, max_size=12)


@settings(max_examples=12, deadline=None)
@given(builds=st.lists(audiences, min_size=1, max_size=3), k=st.integers(1, 60))
def test_no_internal_text_can_be_reached_through_a_customers_view(
    tmp_path_factory: pytest.TempPathFactory, builds: list[list[Audience]], k: int
) -> None:
    """Whatever is asked, and whatever was indexed and reused before."""
    folder = IndexFolder(tmp_path_factory.mktemp("audiences"))
    embedder = WordEmbedder(window=5)
    for readers in builds:
        passages = [
            Passage(
                f"{'canary' if one is Audience.INTERNAL else 'public'} text {number} " * 4,
                f"{number}.md",
                (f"{'canary' if one is Audience.INTERNAL else 'public'} title",),
                audience=one,
            )
            for number, one in enumerate(readers)
        ]
        folder.build(passages, embedder)
    index = folder.open(embedder=embedder)
    customer = index.view(Audience.CUSTOMER)
    allowed = [one for one in passages if one.audience is Audience.CUSTOMER]
    assert list(customer.passages) == allowed
    assert list(index.view(Audience.INTERNAL).passages) == passages
    for text in ("canary text 1", "canary title"):
        vector = embedder.encode_query(text)
        for field in ("question", "answer"):
            rows, _ = customer.dense(field, vector, k)
            assert sorted(set(rows)) == sorted(rows)
            assert len(rows) == min(k, len(allowed))
            assert {customer.passages[row].audience for row in rows} <= {Audience.CUSTOMER}
        rows, _ = customer.lexical.search(text, k)
        assert all(customer.passages[row].audience is Audience.CUSTOMER for row in rows)
    for file in (folder.path / "versions" / index.version / "customer").rglob("*"):
        assert file.is_dir() or b"canary" not in file.read_bytes(), file

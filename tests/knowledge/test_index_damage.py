"""A damaged index is noticed before it is used, and the version before it serves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge import manifest
from knowledge.errors import IndexCorrupt
from knowledge.index import IndexFolder
from knowledge.types import Audience
from tests.fakes.embedder import WordEmbedder
from tests.fakes.passages import PASSAGES, faq


@pytest.fixture
def embedder() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture
def folder(tmp_path: Path) -> IndexFolder:
    return IndexFolder(tmp_path / "index")


def every_file(folder: Path) -> list[Path]:
    return sorted(one for one in folder.rglob("*") if one.is_file())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> IndexFolder:
    folder = IndexFolder(tmp_path_factory.mktemp("built") / "index")
    folder.build(PASSAGES[:5], WordEmbedder())
    folder.build(PASSAGES, WordEmbedder())
    return folder


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_one_altered_byte_anywhere_is_noticed_and_named(
    built: IndexFolder, data: st.DataObject
) -> None:
    version = built.current_version()
    assert version
    file = data.draw(st.sampled_from(every_file(built.path / "versions" / version)))
    whole = file.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    altered = bytearray(whole)
    altered[place] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(altered)
    try:
        with pytest.raises(IndexCorrupt) as caught:
            built.open()
        assert file.name in str(caught.value)
        assert "deskhand index build" in caught.value.remedy
        best = built.open_best()
        assert best.index.version < version
        assert len(best.problems) == 1
    finally:
        file.write_bytes(whole)
    assert built.open().version == version


def damage(file: Path, how: str) -> None:
    whole = file.read_bytes()
    file.unlink()
    if how == "truncated":
        file.write_bytes(whole[:-1])
    elif how == "emptied":
        file.write_bytes(b"")
    elif how == "a link":
        file.with_name("elsewhere").write_bytes(whole)
        file.symlink_to("elsewhere")


@pytest.mark.parametrize("how", ["truncated", "emptied", "missing", "a link"])
def test_a_damaged_file_is_noticed_and_the_version_before_serves(
    how: str, folder: IndexFolder, embedder: WordEmbedder
) -> None:
    before = folder.build(PASSAGES[:5], embedder).version
    names = ("question.faiss", "manifest.json")
    for number, name in enumerate(names, 100):
        version = folder.build([*PASSAGES, faq(number)], embedder).version
        target = folder.path / "versions" / version
        target = target / name if name == "manifest.json" else target / "customer" / name
        damage(target, how)
        with pytest.raises(IndexCorrupt) as caught:
            folder.open()
        assert str(folder.path) in str(caught.value)
        best = folder.open_best(embedder)
        assert best.index.version == before
        assert [type(one) for one in best.problems] == [IndexCorrupt]
        # A build does not reuse anything of a damaged version, and repairs.
        repaired = folder.build(PASSAGES, embedder)
        assert repaired.reused == 0
        assert folder.open().version == repaired.version
        before = repaired.version


def test_a_file_too_many_is_noticed(folder: IndexFolder, embedder: WordEmbedder) -> None:
    version = folder.build(PASSAGES, embedder).version
    (folder.path / "versions" / version / "customer" / "more.bin").write_bytes(b"x")
    with pytest.raises(IndexCorrupt, match=r"more\.bin.* does not belong"):
        folder.open()


@pytest.mark.parametrize("pointer", ["", "../../etc", "000009-00000000", "\udcff", "x" * 5000])
def test_a_wrong_pointer_is_noticed(
    pointer: str, folder: IndexFolder, embedder: WordEmbedder
) -> None:
    version = folder.build(PASSAGES, embedder).version
    (folder.path / "current").write_bytes(pointer.encode("utf-8", "surrogateescape"))
    with pytest.raises(IndexCorrupt):
        folder.open()
    best = folder.open_best()
    assert best.index.version == version
    assert len(best.problems) == 1
    assert folder.build([*PASSAGES, faq(99)], embedder).version == folder.open().version


def reseal(folder: IndexFolder, **changes: object) -> None:
    """Write a manifest that fits the files again, as a faulty program might."""
    name = folder.current_version()
    assert name
    place = folder.path / "versions" / name
    kept = manifest.read(place)
    values = {
        "version": name,
        "created": kept.created,
        "embedder": (kept.embedder, kept.fingerprint, kept.dim),
        "views": kept.views,
        "counts": kept.counts,
    }
    manifest.seal(place, **(values | changes))  # type: ignore[arg-type] # - values by name


def test_parts_that_disagree_are_noticed_even_with_right_hashes(
    folder: IndexFolder, embedder: WordEmbedder
) -> None:
    version = folder.build(PASSAGES, embedder).version
    other = IndexFolder(folder.path.parent / "other")
    longer = other.build([*PASSAGES, faq(50)], embedder).version
    ours = folder.path / "versions" / version / "customer"
    theirs = other.path / "versions" / longer / "customer"
    for name in ("question.faiss", "answer.faiss", "answer.starts.npy", "passages.starts.npy"):
        whole = (ours / name).read_bytes()
        (ours / name).write_bytes((theirs / name).read_bytes())
        reseal(folder)
        with pytest.raises(IndexCorrupt, match=r"disagree|unreadable"):
            folder.open()
        (ours / name).write_bytes(whole)
    reseal(folder)
    assert folder.open().version == version


def test_vectors_of_another_dimension_are_noticed_even_with_right_hashes(
    folder: IndexFolder, embedder: WordEmbedder
) -> None:
    version = folder.build(PASSAGES, embedder).version
    other = IndexFolder(folder.path.parent / "other")
    wide = other.build(PASSAGES, WordEmbedder(dim=48)).version
    for name in ("question.faiss", "answer.faiss"):
        source = other.path / "versions" / wide / "internal" / name
        (folder.path / "versions" / version / "internal" / name).write_bytes(source.read_bytes())
        reseal(folder)
        with pytest.raises(IndexCorrupt, match="dimension"):
            folder.open()


def test_counts_that_are_not_the_manifests_are_noticed(
    folder: IndexFolder, embedder: WordEmbedder
) -> None:
    folder.build(PASSAGES, embedder)
    reseal(folder, counts={"customer": {"passages": 1}, "internal": {"passages": 2}})
    with pytest.raises(IndexCorrupt, match="manifest says"):
        folder.open()


@pytest.mark.parametrize(
    ("value", "other"), [('"words"', '"wordz"'), ('"created": "2', '"created": "1')]
)
def test_a_manifest_altered_with_care_is_noticed(
    value: str, other: str, folder: IndexFolder, embedder: WordEmbedder
) -> None:
    version = folder.build(PASSAGES, embedder).version
    path = folder.path / "versions" / version / "manifest.json"
    text = path.read_text()
    assert value in text
    path.write_text(text.replace(value, other))
    with pytest.raises(IndexCorrupt, match=r"manifest\.json was altered"):
        folder.open()


def test_an_index_of_another_format_is_refused(folder: IndexFolder, embedder: WordEmbedder) -> None:
    version = folder.build(PASSAGES, embedder).version
    path = folder.path / "versions" / version / "manifest.json"
    place = path.parent
    newer = dataclasses.replace(manifest.read(place), schema=manifest.SCHEMA + 1)
    manifest.write(place, newer)
    with pytest.raises(IndexCorrupt, match="has format"):
        folder.open()
    assert folder.build(PASSAGES, embedder).reused == 0


def test_swapped_audiences_are_noticed(folder: IndexFolder, embedder: WordEmbedder) -> None:
    """A customer must not be given the internal view by a manifest that says so."""
    folder.build(PASSAGES, embedder)
    reseal(folder, views={"customer": "internal", "internal": "customer"})
    with pytest.raises(IndexCorrupt, match="internal"):
        folder.open()


def test_an_internal_passage_in_a_customers_view_is_never_handed_out(
    folder: IndexFolder, embedder: WordEmbedder
) -> None:
    version = folder.build(PASSAGES, embedder).version
    place = folder.path / "versions" / version
    for file in sorted((place / "internal").rglob("*")):
        if file.is_file():
            (place / "customer" / file.relative_to(place / "internal")).write_bytes(
                file.read_bytes()
            )
    counts = manifest.read(place).counts["internal"]
    reseal(folder, counts={"customer": counts, "internal": counts})
    view = folder.open().view(Audience.CUSTOMER)
    assert view.passages[0] == PASSAGES[0]
    with pytest.raises(IndexCorrupt, match="not for customer"):
        view.passages[-1]

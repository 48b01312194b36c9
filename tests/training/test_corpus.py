"""What is worth learning from, what is the same again, and what is kept away."""

from __future__ import annotations

import json
import lzma
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.words.lexicon import words_of
from training import corpus
from training.corpus import SOURCES, build, fault, held_out, passage_group
from training.errors import DataMissing
from training.minhash import NearDuplicates

PROSE = (
    "The bike comes with a battery that lasts for about eighty kilometres when it is new. "
    "It is charged in four hours, and the charger switches itself off when that is done. "
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PROSE, ""),
        ("Short.", "too short"),
        ("1234567890 " * 20, "few letters"),
        ("w" * 60 + " " + "x" * 60, "odd words"),
        ("Click here to go on\n" * 12, "repeated lines"),
        (PROSE + "\ufffd", "broken characters"),
        (
            "Le vélo est livré avec une batterie neuve et un chargeur rapide pour la maison.",
            "other",
        ),
    ],
)
def test_texts_not_worth_learning_from_are_told_by_reason(text: str, said: str) -> None:
    found = fault(text)
    assert said in found
    assert bool(found) == bool(said)


COMMON = words_of(
    """the of and to in is you that it he was for on are as with his they at be this have from
or one had by word but not what all were we when your can said there use an each which she do how
their if will up other about out many then them these so some her would make like him into time
has look two more write go see number no way could people my than first water been call who oil
its now find long down day did get come made may part over new sound take only little work know
place year live me back give most very after thing our just name good sentence man think say great
where help through much before line right too mean old any same tell boy follow came want show also
around form three small set put end does another well large must big even such because turn here
why ask went men read need land different home us move try kind hand picture again change off play
spell air away animal house point page letter mother answer found study still learn should"""
)


def words(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    return [rng.choice(COMMON) for _ in range(count)]


def test_a_text_with_a_few_words_changed_is_the_same_and_another_is_not() -> None:
    seen = NearDuplicates()
    text = words(1, 300)
    assert not seen.seen(" ".join(text))
    changed = [*text[:150], "other", *text[151:]]
    assert seen.seen(" ".join(changed).upper())
    assert not seen.seen(" ".join(words(2, 300)))
    assert not seen.seen(" ".join(text[:120] + words(3, 180)))


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 10**6))
def test_signatures_estimate_how_much_two_texts_share(shared: int, seed: int) -> None:
    common, left, right = words(seed, shared), words(seed + 1, 100), words(seed + 2, 100)
    seen = NearDuplicates()
    one, other = (seen.signature(" ".join(common + rest)) for rest in (left, right))
    runs = max(0, shared - 4)  # of five words, that lie within the common part
    true = runs / (2 * (shared + 96) - runs)
    assert abs(float((one == other).mean()) - true) < 0.25  # five standard errors


def test_a_languages_without_spaces_has_near_duplicates_too() -> None:
    seen = NearDuplicates()
    text = "".join(chr(random.Random(5).randrange(0x4E00, 0x5E00) + one) for one in range(200))
    assert not seen.seen(text)
    assert seen.seen(text[:-2] + "好的")


@settings(deadline=None)
@given(st.text(min_size=1))
def test_what_is_kept_away_depends_on_the_name_alone(group: str) -> None:
    assert held_out(group) == held_out(group)


def test_about_two_in_a_hundred_groups_are_kept_away() -> None:
    away = sum(held_out(f"group {one}") for one in range(5000))
    assert 60 < away < 140


def test_a_passage_names_its_group_whatever_surrounds_it() -> None:
    assert passage_group(' "The Bike comes with\na battery…') == passage_group(
        "the bike comes with a battery"
    )


def documents(folder: Path) -> Path:
    for number in range(6):
        (folder / f"page-{number}.md").write_text(
            f"# Page {number}\n\n{PROSE}{' '.join(words(number, 30))}\n"
        )
    (folder / "copy.md").write_text((folder / "page-1.md").read_text())
    (folder / "internal").mkdir()
    (folder / "internal" / "secret.md").write_text(
        f"# Margins\n\n{PROSE} The margin is a secret.\n"
    )
    (folder / "faq.csv").write_text(
        "question,answer\nHow long does the battery last?,It lasts for about eighty kilometres.\n"
    )
    return folder


def test_own_documents_are_split_without_copies_and_without_what_is_for_staff(
    tmp_path: Path,
) -> None:
    found = build(documents=[documents(tmp_path)], seed=1)
    everything = [*found.train, *found.held]
    assert found.counts["documents"]["near duplicate"] == 1
    assert not any("margin is a secret" in one.whole for one in everything)
    assert found.held, "a handful of documents has one to measure on, too"
    assert {one.group for one in found.train}.isdisjoint(one.group for one in found.held)
    faq = next(one for one in everything if one.turns)
    assert [turn.role for turn in faq.turns] == ["user", "assistant"]
    again = build(documents=[tmp_path], seed=1)
    assert again.sha256 == found.sha256
    assert build(documents=[tmp_path], seed=2).sha256 != found.sha256


def test_too_few_documents_are_refused(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(f"# Page\n\n{PROSE}\n")
    with pytest.raises(DataMissing, match="Fewer than two"):
        build(documents=[tmp_path])


def test_public_sources_are_read_by_share_and_leave_out_what_may_not_be_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "text"
    folder.mkdir()
    passage = f"{PROSE}Its range is eighty kilometres."
    sentence = "the bike -lrb- new -rrb- costs 24 -- 10 , and is n't ours ."
    books = ["\n\n".join([PROSE + " ".join(words(one, 900))] * 2) for one in range(9)]
    wishes = [f"I want a table in {' '.join(words(one, 20))} please." for one in range(99)]
    answer = ["system", "For how many people is it?"]
    tasks = {"adversarial_qa_x": passage, "amazon_polarity_x": f"{PROSE} not ours to learn"}
    page = f"---\ntitle: x\n---\n# Get-Bike\n\n{PROSE}"
    rows: dict[str, list[dict[str, object]]] = {
        "books": [{"text": f"# Title: {text[-50:]}\n-------\n{text}"} for text in books],
        "sgd_dialogues": [{"turns": [["user", wish], answer]} for wish in wishes],
        "t0_instructions": [
            {"template": template, "prompt": prompt, "completion": "eighty<|endoftext|>"}
            for template, prompt in tasks.items()
        ],
        "squad_sentence_question": [{"sentence": sentence, "question": "what does it cost ?"}],
        "xquad": [{"context": f"{passage} Yes, it is.", "question": "How far?", "answers": ["80"]}],
        "powershell_docs": [{"text": page, "path": "reference/7.5/Get-Bike.md"}],
    }
    for name, found in rows.items():
        with lzma.open(folder / f"{name}.jsonl.xz", "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in found)
    monkeypatch.setattr(corpus, "_add_lessons", lambda *_: None)  # they have tests of their own

    found = build(data=tmp_path, megabytes=0.05, seed=3)

    everything = [*found.train, *found.held]
    assert {one.source for one in everything} == {source.name for source in SOURCES}
    assert not any("not ours to learn" in one.whole for one in everything)
    whole = "\n".join(one.whole for one in everything)
    assert "the bike (new) costs 24 – 10, and isn't ours." in whole
    assert "<|endoftext|>" not in whole
    assert "title: x" not in whole
    books = found.counts["books"]["bytes"]
    assert 0.05e6 * 0.7 * 0.3 <= books < 0.05e6 * 0.7 * 0.3 + 8000, (
        "its share, and the rest of one section"
    )
    assert set(found.licences) == {source.name for source in SOURCES}
    assert sum(source.share for source in SOURCES) == pytest.approx(1)

"""Cutting documents into passages."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.documents import read_file, split
from knowledge.passages import FAQ_LIMIT, LIMIT, SLACK, cut, pieces
from knowledge.readers.base import RawFile
from knowledge.types import Audience, Document, Passage, Section

SENTENCE = "The parcel is sent on the day after the order was paid. "


def make(*sections: Section, source: str = "a.md") -> Document:
    return Document(source, "Title", sections, Audience.INTERNAL, "de", "https://x.example")


def texts(passages: Sequence[Passage]) -> list[str]:
    return [passage.text for passage in passages]


def prose(sentences: int) -> str:
    """Sentences that differ, so that their passages do."""
    return "".join(f"{number}: {SENTENCE}" for number in range(sentences))


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)


def test_a_passage_carries_everything_its_document_says() -> None:
    (passage,) = split(make(Section("Body.", ("Title", "Part"), "part")))
    assert passage == Passage(
        text="Body.",
        source="a.md",
        title_path=("Title", "Part"),
        anchor="part",
        audience=Audience.INTERNAL,
        lang="de",
        url="https://x.example",
    )


def test_a_long_section_is_cut_between_sentences_into_parts_an_embedder_sees_whole() -> None:
    passages = split(make(Section(prose(60), ("Title",), "top")))
    assert len(passages) > 3
    for passage in passages:
        assert pieces(passage.text) <= LIMIT + SLACK
        assert re.match(r"\d+: The parcel", passage.text)
        assert passage.text.endswith("paid.")
        assert passage.anchor == "top"


def test_paragraphs_stay_whole_where_they_fit() -> None:
    paragraphs = [f"Paragraph {n}. {SENTENCE * 6}".strip() for n in range(6)]
    parts = cut("\n\n".join(paragraphs))
    assert len(parts) > 1
    assert [p for part in parts for p in part.split("\n\n")] == paragraphs


def test_a_code_block_is_kept_whole_or_fenced_again() -> None:
    short = "```py\n" + "print('x')\n" * 8 + "```"
    assert cut(f"{SENTENCE * 14}\n\n{short}")[-1] == short
    lines = [f"value_{n} = compute({n})" for n in range(120)]
    parts = cut("```py\n" + "\n".join(lines) + "\n```")
    assert len(parts) > 1
    assert all(part.startswith("```py\n") and part.endswith("\n```") for part in parts)
    assert [line for part in parts for line in part.split("\n")[1:-1]] == lines


def test_a_table_that_is_cut_repeats_its_header() -> None:
    header = "| Zone | Price |\n|---|---|"
    rows = [f"| Zone number {n} | {n} euros and {n} cents |" for n in range(60)]
    parts = cut(header + "\n" + "\n".join(rows))
    assert len(parts) > 1
    assert all(part.startswith(header + "\n") for part in parts)
    assert [row for part in parts for row in part.split("\n")[2:]] == rows


def test_a_list_keeps_the_sentence_that_leads_to_it() -> None:
    items = [f"- step number {n} in which you wait for the green light" for n in range(40)]
    lead = "To reset the device, do this:"
    parts = cut(f"{SENTENCE * 10}\n\n{lead}\n\n" + "\n".join(items))
    with_steps = [part for part in parts if "- step" in part]
    assert len(with_steps) > 1
    assert all(lead in part for part in with_steps)
    assert [line for part in parts for line in part.split("\n") if line.startswith("- ")] == items


def test_a_nested_list_stays_with_its_item() -> None:
    item = "- Choose a zone\n  - north\n  - south\n\n    Only in summer."
    parts = cut("\n".join([item] * 30))
    assert len(parts) > 1
    assert all(part.count("- Choose") == part.count("Only in summer.") for part in parts)


@pytest.mark.parametrize(
    ("sentence", "end"),
    [
        ("收到商品后三十天内可以申请退货，运费由我们承担。", "。"),
        ("商品到着後三十日以内であれば返品を受け付けます。", "。"),
        ("ท่านสามารถคืนสินค้าได้ภายในสามสิบวัน ", "วัน"),
        ("उत्पाद मिलने के तीस दिन के भीतर वापसी संभव है। ", "।"),
    ],
)
def test_languages_without_spaces_or_full_stops_are_cut_between_sentences(
    sentence: str, end: str
) -> None:
    parts = cut(sentence * 40)
    assert len(parts) > 2
    assert all(part.endswith(end) and pieces(part) <= LIMIT + SLACK for part in parts)
    assert "".join("".join(parts).split()) == "".join((sentence * 40).split())


def test_addresses_and_abbreviations_do_not_end_a_sentence() -> None:
    sentence = "See https://x.example/a?b=1&c=2 in version 2.0, e.g. on a phone. "
    assert all(part.endswith("on a phone.") for part in cut(sentence * 30))


def test_tiny_neighbours_under_one_heading_share_a_passage() -> None:
    document = make(
        Section("0800 555 0142", ("Help", "Contact", "Phone"), "phone"),
        Section("help@x.example", ("Help", "Contact", "Mail"), "mail"),
        Section(SENTENCE * 3, ("Help", "Contact", "Letters"), "letters"),
        Section("Closed.", ("Help", "Sunday"), "sunday"),
    )
    first, second, third = split(document)
    assert first.text == "**Phone**\n\n0800 555 0142\n\n**Mail**\n\nhelp@x.example"
    assert (first.title_path, first.anchor) == (("Help", "Contact"), "phone")
    assert second.anchor == "letters"
    assert third.text == "Closed."


def test_an_faq_entry_is_one_passage_unless_its_answer_is_very_long() -> None:
    long_answer = prose(LIMIT // pieces(SENTENCE) + 3)
    very_long = prose(FAQ_LIMIT // pieces(SENTENCE) + 5)
    document = make(
        Section(long_answer, ("Faq",), "a", "How?"), Section(very_long, ("Faq",), "b", "Why?")
    )
    passages = split(document)
    assert texts(passages)[0] == long_answer.strip()
    rest = passages[1:]
    assert len(rest) > 2
    assert all((each.question, each.anchor) == ("Why?", "b") for each in rest)


def test_the_same_passage_twice_is_one() -> None:
    section = Section("Same.", ("Title",), "x")
    assert len(split(make(section, section))) == 1


def test_a_document_of_headings_yields_nothing() -> None:
    reading = read_file(RawFile("a.md", b"# One\n\n## Two\n\n***\n\n## Three\n"))
    assert [passage for document in reading.documents for passage in split(document)] == []


def test_no_scrap_is_left_at_the_end_of_a_section() -> None:
    text = SENTENCE * (LIMIT // pieces(SENTENCE)) + "\n\nThanks."
    (passage,) = split(make(Section(text, ("Title",))))
    assert passage.text.endswith("Thanks.")


def test_editing_one_section_leaves_the_ids_of_the_others() -> None:
    sections = [Section(f"{n}. {SENTENCE * 5}", ("T", str(n)), str(n)) for n in range(4)]
    before = {passage.id for passage in split(make(*sections))}
    sections[1] = Section("Changed.", ("T", "1"), "1")
    after = {passage.id for passage in split(make(*reversed(sections)))}
    assert len(before & after) == 3


def test_an_unbroken_run_of_characters_is_bounded_too() -> None:
    for char in ("a", "中", ".", "#", "`", "|", "\U0001f600", "ж"):
        parts = cut(char * 30_000)
        assert "".join("".join(parts).split()) == char * 30_000
        assert max(map(pieces, parts)) <= LIMIT + SLACK


blocks = st.one_of(
    st.text(st.characters(categories=("L", "N", "P", "Zs")), max_size=400),
    st.lists(st.sampled_from(SENTENCE.split()), min_size=1, max_size=300).map(" ".join),
    st.integers(1, 80).map(lambda n: "\n".join(f"- item number {k} of them" for k in range(n))),
    st.integers(1, 60).map(lambda n: "| A | B |\n|---|---|\n" + "| cell one | cell 2 |\n" * n),
    st.integers(1, 90).map(lambda n: "```\n" + "call(value, 1)\n" * n + "```"),
    st.sampled_from(
        ["You need:", "**Note**", "> quoted", "[ref]: https://x.example/y", "## H", "---"]
    ),
    st.integers(1, 300).map(lambda n: "退货政策说明。" * n),
)
markdown = st.lists(blocks, max_size=6).map("\n\n".join)


@given(markdown)
def test_no_word_is_lost_and_every_part_is_bounded(text: str) -> None:
    parts = cut(text)
    joined = "\n".join(parts)
    # A word may be cut, but only into parts that follow each other.
    together = "".join(words(joined))
    assert all(word in together for word in words(text))
    assert together.count("退货政策说明") >= text.count("退货政策说明")
    for part in parts:
        assert part.strip()
        assert pieces(part) <= LIMIT + SLACK


@given(st.lists(st.tuples(st.sampled_from("ABC"), markdown), max_size=5))
def test_splitting_is_the_same_every_time_and_gives_each_id_once(
    sections: list[tuple[str, str]],
) -> None:
    document = make(*(Section(text, ("T", name), name) for name, text in sections))
    first, second = split(document), split(document)
    assert [passage.id for passage in first] == [passage.id for passage in second]
    assert len({passage.id for passage in first}) == len(first)
    assert all(passage.id == passage.content_hash() for passage in first)

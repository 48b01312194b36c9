"""The Markdown tree: what is read, what is refused, and that splitting loses nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.markdown import (
    Block,
    Break,
    Citation,
    Code,
    CodeBlock,
    Document,
    Emphasis,
    Heading,
    Items,
    Link,
    Paragraph,
    Quote,
    Rule,
    Strike,
    Strong,
    Table,
    Text,
    parse,
    plain,
    safe_url,
    split,
)


def letters(document: Document) -> int:
    return len(plain(document))


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_every_kind_of_block_and_inline_is_read() -> None:
    text = (
        "# Returns\n\nFree **within *30* days** [1], ~~not~~ `code`  \nnext\n\n"
        "- a\n- b\n\n3. c\n\n> said\n\n```python\nx = 1\n\ny\n```\n\n---\n\n"
        "| k | v |\n|---|---|\n| 1 | [2] |\n"
    )
    assert parse(text).blocks == (
        Heading(1, (Text("Returns"),)),
        Paragraph(
            (
                Text("Free "),
                Strong((Text("within "), Emphasis((Text("30"),)), Text(" days"))),
                Text(" "),
                Citation(1),
                Text(", "),
                Strike((Text("not"),)),
                Text(" "),
                Code("code"),
                Break(),
                Text("next"),
            )
        ),
        Items(((Paragraph((Text("a"),)),), (Paragraph((Text("b"),)),))),
        Items(((Paragraph((Text("c"),)),),), 3),
        Quote((Paragraph((Text("said"),)),)),
        CodeBlock("x = 1\n\ny", "python"),
        Rule(),
        Table(((Text("k"),), (Text("v"),)), (((Text("1"),), (Citation(2),)),)),
    )


def test_markers_in_code_and_links_are_text_and_reference_definitions_are_ignored() -> None:
    blocks = parse("`[1]` [see [2]](https://a.example/)\n\n[3]: https://evil.example").blocks
    assert blocks[0] == Paragraph(
        (Code("[1]"), Text(" "), Link("https://a.example/", (Text("see [2]"),)))
    )
    assert Citation(3) in inlines(blocks)


def test_html_is_text_and_images_are_their_description() -> None:
    assert parse("<script>x</script> ![a *cat*](https://evil.example/p.png)").blocks == (
        Paragraph((Text("<script>x</script> a *cat*"),)),
    )


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "/relative",
        "other.md",
        "#anchor",
        "https://",
        "https://[::1",
        "mailto:",
    ],
)
def test_links_that_lead_nowhere_or_elsewhere_are_their_label(url: str) -> None:
    assert safe_url(url) == ""
    assert not any(isinstance(one, Link) for one in inlines(parse(f"[label](<{url}>)").blocks))
    assert "label" in plain(parse(f"[label](<{url}>)"))


@pytest.mark.parametrize("url", ["https://a.example/\\@b", "https://a.example/ b", "https://a\n.b"])
def test_addresses_that_clients_read_differently_are_refused(url: str) -> None:
    assert safe_url(url) == ""


def test_a_block_moves_whole_to_the_next_piece_when_it_fits_there() -> None:
    code = "\n".join(f"line {number}" for number in range(5))
    pieces = split(parse(f"Some words before.\n\n```\n{code}\n```"), 40, letters)
    assert [piece.blocks for piece in pieces] == [
        (Paragraph((Text("Some words before."),)),),
        (CodeBlock(code),),
    ]


def test_code_that_is_too_long_is_closed_and_opened_again_between_lines() -> None:
    code = "\n".join(f"line {number}" for number in range(20))
    pieces = split(parse(f"```sh\n{code}\n```"), 40, letters)
    blocks = [block for piece in pieces for block in piece.blocks]
    assert all(isinstance(block, CodeBlock) and block.language == "sh" for block in blocks)
    assert "\n".join(plain(block) for block in blocks) == code


def test_numbers_go_on_in_the_next_piece_and_tables_repeat_their_head() -> None:
    items = split(parse("\n".join(f"{n}. item {n}" for n in range(1, 9))), 20, letters)
    starts = [piece.blocks[0].start for piece in items]  # type: ignore[union-attr] # lists
    assert starts == [1, 4, 7]
    rows = "| name | price |\n|---|---|\n" + "\n".join(f"| thing {n} | {n} € |" for n in range(9))
    tables = split(parse(rows), 40, letters)
    assert len(tables) > 1
    assert all(plain(piece).startswith("name\tprice\n") for piece in tables)


def test_sentences_stay_whole_and_emphasis_goes_on() -> None:
    pieces = split(parse("**One two three. Four five six.** Seven."), 17, letters)
    assert [piece.blocks[0] for piece in pieces] == [
        Paragraph((Strong((Text("One two three. "),)),)),
        Paragraph((Strong((Text("Four five six."),)),)),
        Paragraph((Text(" Seven."),)),
    ]


def test_an_address_longer_than_a_message_is_dropped_and_its_label_kept() -> None:
    def shown(document: Document) -> int:
        links = [one for one in inlines(document.blocks) if isinstance(one, Link)]
        return letters(document) + sum(len(link.url) for link in links)

    pieces = split(parse(f"[label](https://a.example/{'x' * 99})"), 50, shown)
    assert [plain(piece) for piece in pieces] == ["label"]


def test_a_limit_without_room_is_an_error() -> None:
    with pytest.raises(ValueError, match="no room"):
        split(parse("words"), 0, letters)


def inlines(blocks: tuple[Block, ...]) -> Iterator[object]:
    for block in blocks:
        if isinstance(block, Paragraph | Heading):
            yield from block.children


words = st.text("ab .!?[1]*_`~#>-|\n\t<&(https://x.y)0中。", max_size=300)


@settings(max_examples=150, deadline=None)
@given(text=words, limit=st.integers(8, 60))
def test_whatever_is_split_fits_and_no_letter_is_lost(text: str, limit: int) -> None:
    document = parse(text)

    def words_only(piece: Document) -> int:
        return len(squeezed(plain(piece)))

    pieces = split(document, limit, words_only)
    assert all(words_only(piece) <= limit for piece in pieces)
    if not any(isinstance(block, Table) for block in walk(document.blocks)):
        assert squeezed("".join(plain(piece) for piece in pieces)) == squeezed(plain(document))


def walk(blocks: tuple[Block, ...]) -> Iterator[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Quote):
            yield from walk(block.blocks)
        if isinstance(block, Items):
            for item in block.items:
                yield from walk(item)

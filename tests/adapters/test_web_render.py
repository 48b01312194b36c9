"""Whatever a document, a model or a person wrote, the page gets harmless HTML."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.markdown import safe_url
from adapters.web.render import answer_html, partial_html, passage_html
from bot.types import Citation
from tests.fakes.hostile import ATTACKS

TAGS = {
    *("p", "br", "hr", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li"),
    *("h3", "h4", "h5", "h6", "a", "button", "span", "div"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
ATTRIBUTES = {
    *("href", "title", "target", "rel", "class", "data-cite", "aria-label", "type"),
    *("role", "tabindex", "align", "dir", "start"),
}


class Inspector(HTMLParser):
    """Fails on any tag, attribute or link that has no business in an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        for name, value in attrs:
            assert name in ATTRIBUTES, name
            if name == "href":
                assert value
                assert value.split(":")[0] in {"http", "https", "mailto"}
            if name == "class":
                assert value in {"cite", "scroll"}
        self.tags.append((tag, dict(attrs)))


def inspected(html: str) -> list[tuple[str, dict[str, str | None]]]:
    inspector = Inspector()
    inspector.feed(html)
    inspector.close()
    return inspector.tags


def cited(title: str = "Title") -> tuple[Citation, ...]:
    return (Citation(1, "p1", title, "faq.csv"), Citation(2, "p2", "Second", "two.md"))


pieces = st.sampled_from([*ATTACKS, "[1]", "[2]", "[x](", ")", "\n\n", "```", "|", "**", "<", "&"])


@given(st.lists(pieces | st.text(max_size=20), max_size=8), st.sampled_from(ATTACKS))
def test_no_mixture_of_attacks_gets_past_the_walls(parts: list[str], title: str) -> None:
    text = "".join(parts)
    for html in (answer_html(text, cited(title)), partial_html(text), passage_html(text)):
        inspected(html)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_on_its_own_is_only_text(attack: str) -> None:
    inspected(answer_html(attack, cited(attack)))


def test_a_marker_with_a_citation_becomes_a_button_that_names_its_source() -> None:
    tags = inspected(answer_html("Five days [1][2].", cited("How long?")))
    assert [(tag, values.get("data-cite")) for tag, values in tags] == [
        ("p", None),
        ("button", "1"),
        ("button", "2"),
    ]
    assert tags[1][1]["aria-label"] == "Source 1: How long?"


@pytest.mark.parametrize(
    "text",
    ["[3]", "`[1]`", "```\n[1]\n```", "[see [1] here](https://a.example)", "[0]", "[1234]"],
)
def test_brackets_that_are_no_citation_stay_text(text: str) -> None:
    assert "button" not in answer_html(text, cited())


def test_a_reference_definition_cannot_turn_a_marker_into_a_link() -> None:
    html = answer_html("Pay here [1]\n\n[1]: https://evil.example", cited())
    assert html.count("data-cite") == 2
    assert "evil.example</p>" in html
    assert "href" not in html


def test_a_document_cannot_forge_a_citation_button() -> None:
    html = answer_html('<button class="cite" data-cite="2">2</button>', cited())
    assert "button" not in [tag for tag, _ in inspected(html)]


def test_an_answer_in_the_making_shows_markers_that_open_nothing() -> None:
    assert partial_html("x [7]") == '<p>x&nbsp;<span class="cite">7</span></p>\n'


def test_a_remote_image_is_never_fetched() -> None:
    html = answer_html("![the *pixel*](https://evil.example/p.png?q=secret)", ())
    assert html == "<p>the pixel</p>\n"


def test_links_open_elsewhere_and_pass_nothing_on() -> None:
    ((_, _), (tag, values)) = inspected(answer_html("[x](https://example.com)", ()))
    assert tag == "a"
    assert values["target"] == "_blank"
    assert set(str(values["rel"]).split()) == {"noopener", "noreferrer", "nofollow"}


@pytest.mark.parametrize("target", ["returns.md", "/faq", "#top", "javascript:x", "file:///etc"])
def test_a_link_that_leads_nowhere_leaves_its_words(target: str) -> None:
    html = answer_html(f"Read [**Returns** and refunds [1]]({target}) first.", cited())
    assert html.startswith("<p>Read <strong>Returns</strong> and refunds")
    assert "data-cite" in html
    assert "first.</p>" in html
    assert "href" not in html


def test_a_number_stays_on_the_line_of_its_word() -> None:
    assert answer_html("Five days [1].", cited()).startswith("<p>Five days&nbsp;<button")


def test_tables_code_and_headings_fit_the_page() -> None:
    html = answer_html("# Big\n\n|a|b|\n|--|-:|\n|1|2|\n\n```sh\nls <x>\n```", ())
    assert "<h3>Big</h3>" in html
    assert '<div class="scroll" role="group" tabindex="0" aria-label="Table">' in html
    assert '<td align="right">2</td>' in html
    assert '<pre tabindex="0"><code dir="ltr">ls &lt;x&gt;\n</code></pre>' in html
    assert "style" not in html


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\nscript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "//evil.example",
        "/relative",
        "docs/refunds.md",
        "https://",
        "https:\\\\evil.example",
        "http://[bad",
        "",
    ],
)
def test_only_whole_web_and_mail_addresses_are_linked(url: str) -> None:
    assert safe_url(url) == ""


@pytest.mark.parametrize("url", ["https://example.com/a?b#c", "http://x.y", "mailto:a@b.example"])
def test_a_proper_address_is_kept(url: str) -> None:
    assert safe_url(url) == url


@given(st.text())
def test_plain_words_are_never_lost(text: str) -> None:
    words = "".join(char for char in text if char.isalnum())
    inspector = HTMLParser()
    shown: list[str] = []
    inspector.handle_data = shown.append  # type: ignore[method-assign]  # a parser of one line
    inspector.feed(answer_html(words, ()))
    inspector.close()
    assert "".join(shown).strip() == words

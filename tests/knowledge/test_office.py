"""PDF and Word documents, made here by the libraries that people's programs stand for."""

from __future__ import annotations

import io
from collections.abc import Callable

import docx
import pytest
from docx.document import Document as WordDocument
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import OxmlElement, parse_xml
from docx.oxml.ns import nsdecls, qn
from pypdf import PdfReader, PdfWriter
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from knowledge.documents import Reading, read_file
from knowledge.readers.base import RawFile
from knowledge.types import Document


def pdf(*pages: str, title: str = "") -> bytes:
    """A PDF with these lines of text on each page."""
    stream = io.BytesIO()
    canvas = Canvas(stream, pagesize=A4)
    canvas.setTitle(title)
    for page in pages:
        text = canvas.beginText(60, 780)
        text.textLines(page)
        canvas.drawText(text)
        canvas.showPage()
    canvas.save()
    return stream.getvalue()


def read(name: str, data: bytes) -> Reading:
    return read_file(RawFile(name, data))


def document(name: str, data: bytes) -> Document:
    (found,) = read(name, data).documents
    return found


def message(reading: Reading) -> str:
    assert not reading.documents
    return "\n".join(problem.message for problem in reading.problems)


def test_each_page_of_a_pdf_is_a_section_that_a_viewer_can_open() -> None:
    found = document("returns.pdf", pdf("Send it back.", "Get your money.", title="Returns 2026"))
    assert found.title == "Returns 2026"
    assert [(each.anchor, each.text, each.title_path) for each in found.sections] == [
        ("page=1", "Send it back.", ("Returns 2026",)),
        ("page=2", "Get your money.", ("Returns 2026",)),
    ]


def test_lines_that_only_the_page_broke_are_joined() -> None:
    page = (
        "A parcel that has not arrived within ten working days counts as lost, and we\n"
        "send another one free of charge. Tell us as soon as you notice, because the car-\n"
        "rier answers for a month only.\n"
        "You need:\n"
        "\u2022 the order number\n"
        "\u2022 the address it went to"
    )
    (section,) = document("a.pdf", pdf(page)).sections
    assert section.text == (
        "A parcel that has not arrived within ten working days counts as lost, and we send "
        "another one free of charge. Tell us as soon as you notice, because the carrier answers "
        "for a month only.\n\nYou need:\n\n- the order number\n- the address it went to"
    )


def test_running_titles_and_page_numbers_are_dropped() -> None:
    pages = [f"Acme Handbook\nQuestion {n}\nAnswer number {n}.\nPage {n} of 6" for n in range(1, 7)]
    sections = document("a.pdf", pdf(*pages)).sections
    text = "\n".join(section.text for section in sections)
    assert "Handbook" not in text
    assert "Page" not in text
    assert all(f"Question {n}" in text and f"Answer number {n}." in text for n in range(1, 7))


def test_page_numbers_at_changing_ends_are_dropped() -> None:
    pages = [f"Text of {n}.\n{n}" if n % 3 else f"{n}\nText of {n}." for n in range(7, 19)]
    sections = document("a.pdf", pdf(*pages)).sections
    assert [section.text for section in sections] == [f"Text of {n}." for n in range(7, 19)]


def test_a_draft_name_is_no_title() -> None:
    assert (
        document("user-guide.pdf", pdf("x", title="Microsoft Word - x.docx")).title == "User guide"
    )


def test_bookmarks_give_a_pdf_its_headings() -> None:
    pages = ["Preface.\n1 Returns\nSend it back.", "In the box.\n1.1 Refunds\nMoney.", "More."]
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(*pages, title="Guide"))))
    returns = writer.add_outline_item(title="Returns", page_number=0)
    writer.add_outline_item(title="Refunds", page_number=1, parent=returns)
    writer.add_outline_item(title="Not on the page", page_number=2)
    stream = io.BytesIO()
    writer.write(stream)
    sections = document("guide.pdf", stream.getvalue()).sections
    assert [(each.title_path[1:], each.anchor, each.text) for each in sections] == [
        ((), "page=1", "Preface."),
        (("Returns",), "page=1", "Send it back."),
        (("Returns",), "page=2", "In the box."),
        (("Returns", "Refunds"), "page=2", "Money."),
        (("Not on the page",), "page=3", "More."),
    ]


def _encrypted(data: bytes, user: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(data)))
    writer.encrypt(user, "owner", algorithm="RC4-128")
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


def test_an_encrypted_pdf_says_so() -> None:
    assert "encrypted" in message(read("a.pdf", _encrypted(pdf("Secret."), "password")))


def test_a_pdf_that_is_only_locked_against_changes_is_read() -> None:
    assert document("a.pdf", _encrypted(pdf("Open."), "")).sections[0].text == "Open."


def test_a_pdf_of_images_names_the_remedy() -> None:
    assert "text recognition" in message(read("scan.pdf", pdf("", "")))


def test_pages_without_text_are_reported() -> None:
    reading = read("a.pdf", pdf("Text.", ""))
    assert len(reading.documents) == 1
    assert "2" in reading.problems[0].message


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 3]


def _scrambled(data: bytes) -> bytes:
    return bytes(byte ^ 0x55 if at % 7 == 0 else byte for at, byte in enumerate(data))


@pytest.mark.parametrize("damage", [_cut, _scrambled, lambda _: b"%PDF-1.7\n", lambda _: b"hello"])
@pytest.mark.parametrize("name", ["a.pdf", "a.docx", "a.xlsx"])
def test_a_corrupt_file_is_reported_by_name(damage: Callable[[bytes], bytes], name: str) -> None:
    assert message(read(name, damage(pdf("Text.", "More.")))).startswith("a.")


# Word


def word(fill: Callable[[WordDocument], None]) -> bytes:
    made = docx.Document()
    fill(made)
    stream = io.BytesIO()
    made.save(stream)
    return stream.getvalue()


def test_a_word_document_keeps_headings_lists_tables_and_links() -> None:
    def fill(made: WordDocument) -> None:
        made.add_heading("Returns", 0)
        made.add_paragraph("Before you start.")
        made.add_heading("What you need", 1)
        made.add_paragraph("a box", style="List Bullet")
        made.add_paragraph("a label", style="List Bullet")
        made.add_paragraph("first", style="List Number")
        table = made.add_table(rows=2, cols=2)
        for cell, text in zip(table._cells, ["Zone", "Days", "A|B", "3"], strict=True):
            cell.text = text
        made.add_heading("Where to", 2)
        paragraph = made.add_paragraph("See ")
        target = made.part.relate_to("https://acme.example/map", _HYPERLINK, is_external=True)
        paragraph._p.append(
            parse_xml(
                f'<w:hyperlink {nsdecls("w", "r")} r:id="{target}">'
                "<w:r><w:t>the map</w:t></w:r></w:hyperlink>"
            )
        )

    found = document("returns.docx", word(fill))
    assert found.title == "Returns"
    assert [(each.title_path, each.anchor, each.text) for each in found.sections] == [
        (("Returns",), "returns", "Before you start."),
        (
            ("Returns", "What you need"),
            "what-you-need",
            "- a box\n- a label\n1. first\n\n| Zone | Days |\n| --- | --- |\n| A\\|B | 3 |",
        ),
        (
            ("Returns", "What you need", "Where to"),
            "where-to",
            "See [the map](https://acme.example/map)",
        ),
    ]


_HYPERLINK = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/hyperlink"


def test_what_a_reader_of_a_word_document_does_not_see_is_not_read() -> None:
    def fill(made: WordDocument) -> None:
        made.sections[0].header.paragraphs[0].text = "HEADER"
        paragraph = made.add_paragraph("Shown")
        hidden = paragraph.add_run(" HIDDEN")
        hidden.font.hidden = True
        paragraph._p.append(
            parse_xml(
                f'<w:del {nsdecls("w")} w:id="1" w:author="a">'
                "<w:r><w:delText>DELETED</w:delText></w:r></w:del>"
            )
        )
        paragraph._p.append(
            parse_xml(
                f'<w:moveFrom {nsdecls("w")} w:id="3" w:author="a">'
                "<w:r><w:t>MOVED</w:t></w:r></w:moveFrom>"
            )
        )
        paragraph._p.append(
            parse_xml(
                f'<w:ins {nsdecls("w")} w:id="2" w:author="a">'
                "<w:r><w:t> and added.</w:t></w:r></w:ins>"
            )
        )

    (section,) = document("a.docx", word(fill)).sections
    assert section.text == "Shown and added."


def test_text_in_a_content_control_is_read_and_the_table_of_contents_is_not() -> None:
    def fill(made: WordDocument) -> None:
        for gallery, text in (("", "Fill in here."), ("Table of Contents", "CONTENTS 1 2 3")):
            gallery_part = f'<w:docPartObj><w:docPartGallery w:val="{gallery}"/></w:docPartObj>'
            made.element.body.insert(
                0,
                parse_xml(
                    f"<w:sdt {nsdecls('w')}><w:sdtPr>{gallery_part if gallery else ''}</w:sdtPr>"
                    f"<w:sdtContent><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:sdtContent></w:sdt>"
                ),
            )

    (section,) = document("a.docx", word(fill)).sections
    assert section.text == "Fill in here."


def test_a_style_with_an_outline_level_is_a_heading() -> None:
    def fill(made: WordDocument) -> None:
        style = made.styles.add_style("Abschnitt", WD_STYLE_TYPE.PARAGRAPH)
        level = OxmlElement("w:outlineLvl")
        level.set(qn("w:val"), "0")
        style.element.get_or_add_pPr().append(level)
        made.add_paragraph("Rückgabe", style="Abschnitt")
        made.add_paragraph("Senden Sie die Ware zurück.")

    assert document("a.docx", word(fill)).title == "Rückgabe"


def test_merged_cells_appear_once() -> None:
    def fill(made: WordDocument) -> None:
        table = made.add_table(rows=2, cols=3)
        for at, cell in enumerate(table._cells):
            cell.text = str(at)
        table.cell(0, 0).merge(table.cell(0, 1))

    text = document("a.docx", word(fill)).sections[0].text
    assert text == "| 0 1 |  | 2 |\n| --- | --- | --- |\n| 3 | 4 | 5 |"

"""PDF: the text of each page, its lines joined to paragraphs again.

Knows text that is stored as text. Does not recognise scanned pages, and reads no forms,
attachments or scripts.
"""

from __future__ import annotations

import io
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from knowledge.errors import UnreadableFile
from knowledge.readers.base import (
    MAX_TEXT,
    Content,
    Outline,
    RawFile,
    Readout,
    clean,
    parsing,
)
from knowledge.types import Section

if TYPE_CHECKING:
    from pypdf import PdfReader

MAX_PAGES = 5_000
# The last two are how bullets of symbol fonts arrive.
_DOTS = "•▪◦●○‣·–\uf0b7\uf0a7"
_BULLET = re.compile(rf"(?:[{_DOTS}*-]|\(?\d{{1,3}}[.)]|\(?[a-z][.)])\s+\S")
_NUMBERED = re.compile(
    r"(?P<before>\d{1,4})(?:\s{2,}|\s*[|·•–—]\s*)(?P<title>.+)"
    r"|(?P<heading>.+?)(?:\s{2,}|\s*[|·•–—]\s*)(?P<after>\d{1,4})"
    r"|\W*(?P<word>[^\W\d]*)\W*(?P<alone>\d{1,4})\W*"
)
_LEADERS = re.compile(r"(?:\s?\.){5,}\s*")  # from a heading to its page in a table of contents
_PAGE_WORDS = frozenset(("", "page", "seite", "página", "pagina", "pág", "第", "стр"))
_WIDE = re.compile(r"[\u2e80-\u9fff\uff00-\uffef]")


def read(raw: RawFile) -> Readout:
    """Read a PDF; one section per page, with the anchor `page=N` that viewers understand."""
    from pypdf import PdfReader

    # pypdf logs every oddity that it repairs; what it cannot repair it raises.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    with parsing(raw, "a PDF"):
        reader = PdfReader(io.BytesIO(raw.data), strict=False)
        _unlock(raw, reader)
        count = len(reader.pages)
        if count > MAX_PAGES:
            raise UnreadableFile(
                f"{raw.source} has {count:,} pages, at most {MAX_PAGES:,} are read.",
                "Split it into smaller files.",
            )
        pages: list[list[str]] = []
        size = 0
        for page in reader.pages:
            text = (page.extract_text() or "").replace("\xad\n", "").replace("\x7f", "•")
            text = _LEADERS.sub(" … ", clean(text))
            size += len(text)
            if size > MAX_TEXT:
                raise UnreadableFile(
                    f"{raw.source} holds more than {MAX_TEXT:,} characters.",
                    "Split it into smaller files.",
                )
            pages.append([line.rstrip() for line in text.split("\n")])
        title = _title(reader) or raw.name
        bookmarks = _bookmarks(raw, reader)
    pages = _without_running_lines(pages)
    empty = [number for number, lines in enumerate(pages, 1) if not any(lines)]
    if len(empty) == len(pages):
        raise UnreadableFile(
            f"{raw.source} holds no text: its pages are images, or empty.",
            "Run text recognition over it (for example `ocrmypdf`) and use the result.",
        )
    notes: tuple[str, ...] = ()
    if empty:
        shown = ", ".join(map(str, empty[:10])) + (" …" if len(empty) > 10 else "")
        notes = (f"Pages without text (images?): {shown}.",)
    return Readout((Content(title, _sections(title, pages, bookmarks)),), notes)


def _bookmarks(raw: RawFile, reader: PdfReader) -> dict[int, list[tuple[int, str]]]:
    """The document's outline: (level, heading) by page, counted from 0, in reading order.

    An outline only helps; a damaged one is no reason to refuse the text.
    """
    found: dict[int, list[tuple[int, str]]] = defaultdict(list)

    def visit(entries: Sequence[object], level: int) -> None:
        for entry in entries:
            if isinstance(entry, list):
                visit(entry, level + 1)
            elif isinstance(entry, Destination):
                page = reader.get_destination_page_number(entry)
                text = " ".join(clean(str(entry.title or "")).split())
                if page is not None and text:
                    found[page].append((level, text))

    from pypdf.generic import Destination

    with suppress(UnreadableFile), parsing(raw, "a PDF"):
        visit(reader.outline, 1)
    return found


def _sections(
    title: str, pages: Sequence[Sequence[str]], bookmarks: Mapping[int, Sequence[tuple[int, str]]]
) -> tuple[Section, ...]:
    """One section per page, or more where a bookmark's heading stands on it."""
    outline = Outline()
    for number, lines in enumerate(pages):
        here = f"page={number + 1}"
        outline.turn(here)
        waiting = list(bookmarks.get(number, ()))
        if waiting and not any(_is_heading(line, waiting[0][1]) for line in lines):
            outline.heading(*waiting.pop(0), here)
        part: list[str] = []
        for line in lines:
            at = next((at for at, (_, name) in enumerate(waiting) if _is_heading(line, name)), None)
            if at is None:
                part.append(line)
                continue
            outline.text(_paragraphs(part))
            part = []
            for level, name in waiting[: at + 1]:
                outline.heading(level, name, here)
            del waiting[: at + 1]
        outline.text(_paragraphs(part))
        for level, name in waiting:
            outline.heading(level, name, here)
    return outline.finish(title)


def _is_heading(line: str, name: str) -> bool:
    """True if the line is the heading that a bookmark names, with a number before it or not."""
    line, name = (re.sub(r"\W+", "", text).casefold() for text in (line, name))
    return bool(line) and line.endswith(name) and len(line) <= len(name) + 12


def _unlock(raw: RawFile, reader: PdfReader) -> None:
    """Open what opens without a password; many files are only locked against changes."""
    from pypdf.errors import DependencyError

    if not reader.is_encrypted:
        return
    try:
        unlocked = bool(reader.decrypt(""))
    except (DependencyError, NotImplementedError):
        unlocked = False
    if not unlocked:
        raise UnreadableFile(
            f"{raw.source} is encrypted.", "Save it without a password and index that."
        )


def _title(reader: PdfReader) -> str:
    title = str((reader.metadata.title if reader.metadata else "") or "")
    # Word processors leave the file name of the draft there.
    if re.search(
        r"\.(?:docx?|odt|pdf|indd|pptx?|tex)$|^untitled|^microsoft word", title, re.IGNORECASE
    ):
        return ""
    return " ".join(clean(title).split())


def _without_running_lines(pages: Sequence[Sequence[str]]) -> list[list[str]]:
    """Pages without the running titles and page numbers at their top and bottom.

    A line counts as running when it stands at the same end of at least 60 % of the pages.
    """
    trimmed = [_stripped(lines) for lines in pages]
    if sum(map(bool, trimmed)) < 4:
        return trimmed
    for end in (0, -1):
        for _ in range(2):  # a title and, beside it, a number
            keys = [
                _running_key(lines[end], number) if lines else None
                for number, lines in enumerate(trimmed)
            ]
            key, times = Counter(keys).most_common(1)[0]
            if key is None or times * 10 < len(trimmed) * 6:
                break
            for at, lines in enumerate(trimmed):
                if keys[at] == key:
                    del lines[end]
                    trimmed[at] = _stripped(lines)
        _drop_page_numbers(trimmed, end)
    return trimmed


def _drop_page_numbers(pages: list[list[str]], end: int) -> None:
    """Drop numbers that stand alone at this end and count with the pages.

    Books put them at the bottom of the pages that begin a chapter and at the top of the others,
    so they need not be on most pages at either end.
    """
    offsets = {
        at: int(lines[end]) - at
        for at, lines in enumerate(pages)
        if lines and re.fullmatch(r"\s*[0-9]{1,4}\s*", lines[end])
    }
    offset, times = Counter(offsets.values()).most_common(1)[0] if offsets else (0, 0)
    if times >= 3:
        for at, lines in enumerate(pages):
            if offsets.get(at) == offset:
                del lines[end]
                pages[at] = _stripped(lines)


def _stripped(lines: Sequence[str]) -> list[str]:
    """Lines without empty ones at either end."""
    return "\n".join(lines).strip("\n").split("\n") if any(lines) else []


def _running_key(line: str, page: int) -> tuple[str, int | None]:
    """What is the same in a running line on every page: its text, and number minus page.

    "Question 5" on page 5 is content; a number alone or set apart from a title is the page's.
    """
    plain = re.sub(r"(\d)\s*(?:of|von|de|sur|di|/)\s*\d+\W*$", r"\1", line.strip().lower())
    found = _NUMBERED.fullmatch(plain)
    if found:
        number = found.group("before") or found.group("after") or found.group("alone")
        text = found.group("title") or found.group("heading") or found.group("word") or ""
        if found.group("alone") is None or text in _PAGE_WORDS:
            return text, int(number) - page
    return plain, None


def _paragraphs(lines: Sequence[str]) -> str:
    """Text as Markdown, lines that only the page width broke joined again."""
    width = sorted(map(len, lines))[len(lines) * 9 // 10] if lines else 0
    text = ""
    last = ""
    for raw_line in lines:
        line = raw_line.strip()
        item = _BULLET.match(line)
        if item:
            line = re.sub(rf"^[{_DOTS}*-]\s+", "- ", line)
        if not line or not text:
            gap = ""
        elif not last:
            gap = "\n\n"
        elif item:
            gap = "\n" if _in_list(text) else "\n\n"
        elif last.endswith((":", "：")) or (len(last) < width * 0.7 and not line[0].islower()):
            gap = "\n\n"
        elif last[-1] == "-" and last[-2:-1].isalpha() and line[0].islower():
            text, gap = text[:-1], ""
        else:
            gap = "" if _WIDE.match(last[-1]) and _WIDE.match(line) else " "
        text += gap + line
        last = line
    return text


def _in_list(text: str) -> bool:
    return bool(_BULLET.match(text.rsplit("\n", 1)[-1]))

"""What every reader shares: the file it is given, what it hands back, and how bytes become text.

A reader gets bytes and gives contents. It knows no folders, never opens a file or an address,
and raises nothing but `UnreadableFile`.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

from knowledge.errors import UnreadableFile
from knowledge.types import Section

MAX_TEXT = 20_000_000  # characters one file may hold once read


def words(text: str) -> frozenset[str]:
    """The words of `text`, for lists that read better in a line."""
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class RawFile:
    """One file as it lies on the disk. `source` is what it will be cited as."""

    source: str
    data: bytes

    @property
    def name(self) -> str:
        """A title made of the file name: `returns-policy.de.md` is "Returns policy"."""
        stem = re.sub(r"\.[a-z]{2}([-_][A-Za-z]{2})?$", "", PurePosixPath(self.source).stem)
        stem = re.sub(r"[\s_-]+", " ", stem).strip()
        return stem[:1].upper() + stem[1:]


@dataclass(frozen=True, slots=True)
class Content:
    """What one file says, and what it says about itself; empty strings where it says nothing."""

    title: str
    sections: tuple[Section, ...]
    audience: str = ""  # as written, unchecked
    lang: str = ""  # as written, unchecked
    url: str = ""  # as written, unchecked


@dataclass(frozen=True, slots=True)
class Readout:
    """A file's contents, and `notes` on what in it could not be used.

    An FAQ list whose rows differ in audience, language or address has one content for each.
    """

    contents: tuple[Content, ...]
    notes: tuple[str, ...] = ()


@contextmanager
def parsing(raw: RawFile, kind: str) -> Iterator[None]:
    """The boundary around a third-party parser: whatever it raises is `UnreadableFile`.

    Parsers of foreign formats answer damaged input with anything from `KeyError` to
    `RecursionError`, and no list of those would ever be complete.
    """
    try:
        yield
    except UnreadableFile:
        raise
    except Exception as error:  # see the docstring: a named boundary
        detail = str(error).strip().splitlines()
        raise UnreadableFile(
            f"{raw.source} cannot be read as {kind}"
            f" ({type(error).__name__}{': ' + detail[0][:200] if detail else ''}).",
            "Open it in the program it was made with and save it again.",
        ) from error


def decode(raw: RawFile, declared: str = "") -> str:
    """The file's text, its encoding found from a byte-order mark or from what decodes.

    UTF-8 and UTF-16 are certain; after them comes what the file itself has `declared`. Other
    encodings (Windows code pages, GB 18030, Shift-JIS …) are charset-normalizer's best guess,
    and Windows-1252 where it has none.
    """
    text = _decode_bytes(raw.data, declared)
    if len(text) > MAX_TEXT:
        raise UnreadableFile(
            f"{raw.source} holds {len(text):,} characters, at most {MAX_TEXT:,} are read.",
            "Split it into smaller files.",
        )
    sample = text[:100_000]
    odd = sum(unicodedata.category(char) in ("Cc", "Cn", "Co") for char in sample)
    odd -= sum(sample.count(char) for char in "\t\n\r\f\v\x85")
    if "\x00" in text or odd * 50 > len(sample):
        raise UnreadableFile(
            f"{raw.source} is not text: it holds binary data.",
            "Check that its name ends in what it really is.",
        )
    return text


def _decode_bytes(data: bytes, declared: str) -> str:
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),
        (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    # Western text in UTF-16 without a mark: every other byte is zero.
    even, odd = data[0:2000:2].count(0), data[1:2000:2].count(0)
    if max(even, odd) * 4 > min(len(data), 2000) and min(even, odd) * 10 < max(even, odd):
        return data.decode("utf-16-le" if odd > even else "utf-16-be", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_legacy(data, declared)


def _decode_legacy(data: bytes, declared: str) -> str:
    if declared:
        with suppress(LookupError, UnicodeError):
            return data.decode(declared)
    high = sum(byte > 0x7F for byte in data[:100_000])
    # Western text is mostly ASCII, and too little is not ASCII in it for a statistical guess.
    if high * 5 > min(len(data), 100_000):
        from charset_normalizer import from_bytes

        best = from_bytes(data[:100_000]).best()
        if best is not None:
            return data.decode(best.encoding, "replace")
    return data.decode("cp1252", "replace")


_INVISIBLE = re.compile(
    "["
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"  # controls that are not white space
    "\u00ad"  # soft hyphen
    "\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"  # direction overrides, word joiners
    "\ud800-\udfff"  # lone halves of surrogate pairs
    "\U000e0000-\U000e007f"  # tags: a whole message can hide in them
    "]"
)
_LINE_END = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")


def clean(text: str) -> str:
    """`text` in NFC with plain line ends, without characters that nobody can see.

    What a person who opens the document cannot see must not reach a model either.
    """
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", _LINE_END.sub("\n", text)))


def heading_anchor(heading: str) -> str:
    """The anchor GitHub gives a heading: lower case, punctuation dropped, spaces as hyphens."""
    kept = (
        char
        for char in heading.strip().lower()
        if char in " -" or char == "_" or unicodedata.category(char)[0] in "LNM"
    )
    return "".join(kept).replace(" ", "-")


class Anchors:
    """Makes anchors unique in the order they come, as GitHub does: `a`, `a-1`, `a-2`."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def unique(self, anchor: str) -> str:
        """`anchor`, with a number where it was given out before."""
        if anchor not in self._seen:
            self._seen[anchor] = 0
            return anchor
        while True:
            self._seen[anchor] += 1
            numbered = f"{anchor}-{self._seen[anchor]}"
            if numbered not in self._seen:
                self._seen[numbered] = 0
                return numbered


class Outline:
    """Collects sections under the headings they stand under, in reading order."""

    def __init__(self) -> None:
        self._sections: list[Section] = []
        self._path: list[tuple[int, str]] = []
        self._anchor = ""
        self._blocks: list[str] = []
        self.title = ""  # the first heading of level 1: what the document calls itself

    @property
    def level(self) -> int:
        """The level of the heading that text now falls under; 0 before the first."""
        return self._path[-1][0] if self._path else 0

    def heading(self, level: int, text: str, anchor: str) -> None:
        """Start a new section."""
        self._flush()
        if level == 1 and not self.title:
            self.title = text
        self._path = [(over, name) for over, name in self._path if over < level]
        self._path.append((level, text))
        self._anchor = anchor

    def turn(self, anchor: str) -> None:
        """Start a new section under the same headings: the page turned."""
        self._flush()
        self._anchor = anchor

    def text(self, block: str) -> None:
        """Add one block of Markdown to the section."""
        if block.strip():
            self._blocks.append(block.strip("\n"))

    def mark(self) -> tuple[list[tuple[int, str]], str]:
        """The place in the outline, to come back to with `resume`."""
        return list(self._path), self._anchor

    def resume(self, mark: tuple[list[tuple[int, str]], str]) -> None:
        """Go on under the headings that held at `mark`."""
        self._flush()
        self._path, self._anchor = list(mark[0]), mark[1]

    def finish(self, title: str) -> tuple[Section, ...]:
        """The sections, each path beginning with the document's title."""
        self._flush()
        return tuple(
            Section(
                text=section.text,
                title_path=section.title_path
                if section.title_path[:1] == (title,)
                else (title, *section.title_path),
                anchor=section.anchor,
            )
            for section in self._sections
        )

    def _flush(self) -> None:
        if self._blocks:
            path = tuple(name for _, name in self._path)
            self._sections.append(Section("\n\n".join(self._blocks), path, self._anchor))
            self._blocks = []

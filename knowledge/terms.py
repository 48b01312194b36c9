"""Text to search terms, in any script.

Knows what counts as a word: spaced scripts give words, unspaced ones (Chinese, Japanese, Thai,
Lao, Khmer, Burmese, Tibetan) give overlapping character n-grams, and identifiers, error codes
and versions stay whole as well as in their parts. Knows nothing about passages or scores.
"""

from __future__ import annotations

import re
import unicodedata

MAX_TERM = 48
"""Longest term kept whole, in characters: longer ones are keys or encoded data, not words."""

# `\w` leaves out the dependent vowels and marks that words of these scripts are spelled with.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06ed\u0700-\u08ff\u0900-\u0963\u0966-\u0dff\u135d-\u135f\u1a00-\u1aff"
)
_HAN_KANA = "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_SOUTH_EAST = (
    "\u0e00-\u0e4e\u0e80-\u0ece\u0f00-\u0f03\u0f40-\u0fbc\u1000-\u1049\u1050-\u109f\u1780-\u17d3"
)

_UNSPACED = re.compile(f"([{_HAN_KANA}]+)|([{_SOUTH_EAST}]+)")
_WORD = rf"[\w{_MARKS}]+"
_GRAM_RUN = re.compile(
    rf"([{_HAN_KANA}]+)|([{_SOUTH_EAST}]+)|((?:(?![{_HAN_KANA}{_SOUTH_EAST}])[\w{_MARKS}])+)"
)
# c++, c#, f#; docker-compose, api/v1, user@host, 1.2.3, err:42: joined words, whole and in parts
_COMPOUND = re.compile(rf"{_WORD}(?:[-./:@\\+&]{_WORD})*(?:\+\+|#)?")
_PART = re.compile(rf"(?:[^\W_]|[{_MARKS}])+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_LETTERS_DIGITS = re.compile(r"([a-z]{2,})(\d+)([a-z]{2,})?")
_APOSTROPHES = re.compile(r"(?<=\w)['’ʼ‘`](?=\w)")
_POSSESSIVE = re.compile(r"['’]s\b")
# soft hyphens, joiners and direction marks; Arabic and Hebrew vowel points, rarely typed
_INVISIBLE = re.compile(
    "[\u00ad\u200c-\u200f\u202a-\u202e\u2060\u2066-\u2069\ufe0f\ufeff"
    "\u0591-\u05bd\u05bf-\u05c7\u0640\u064b-\u065f\u0670]"
)
_ACCENTED = re.compile("[\u00c0-\u024f\u0370-\u03ff\u1e00-\u1fff]")


def fold(text: str) -> str:
    """Compatibility form, lower case, Latin and Greek accents and invisible characters dropped."""
    return _unaccent(_visible(text).casefold())


def terms(text: str) -> list[str]:
    """Every search term of `text`, in order, repeats included.

    "Fix ERR_CONN-19 in 東京都" gives fix, err, conn, 19, errconn19, in, 東, 京, 都, 東京, 京都.
    """
    found: list[str] = []
    text = _APOSTROPHES.sub("", _POSSESSIVE.sub("", _visible(text)))
    last = 0
    for match in _UNSPACED.finditer(text):
        _spaced(text[last : match.start()], found)
        han, other = match.groups()
        run = han or other
        # one Chinese character is a morpheme and worth a term; one Thai letter is not
        found.extend(_ngrams(run, (1, 2) if han else (2, 3)))
        last = match.end()
    _spaced(text[last:], found)
    return found


def is_code(term: str) -> bool:
    """True for a term of letters and digits: e07, brw310, pc54512."""
    return (
        len(term) > 2
        and any(char.isdigit() for char in term)
        and any(char.isalpha() for char in term)
    )


def grams(text: str) -> list[str]:
    """Character n-grams: what two spellings, or two forms, of one word still share.

    Of spaced scripts, each word's 4-grams with its edges marked; of unspaced ones, pairs.
    """
    found: list[str] = []
    for match in _GRAM_RUN.finditer(fold(text)):
        han, other, word = match.groups()
        if word:
            found.extend(_ngrams(f"^{word[:MAX_TERM]}$", (4,)))
        else:
            found.extend(_ngrams(han or other, (2,) if han else (3,)))
    return found


def _visible(text: str) -> str:
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))


def _unaccent(text: str) -> str:
    """Drop accents from Latin and Greek letters only: elsewhere marks tell words apart."""
    if not _ACCENTED.search(text):
        return text
    return _ACCENTED.sub(lambda match: unicodedata.normalize("NFD", match[0])[0], text)


def _ngrams(run: str, sizes: tuple[int, ...]) -> list[str]:
    if len(run) <= sizes[0]:
        return [run]
    return [run[i : i + n] for n in sizes for i in range(len(run) - n + 1)]


def _spaced(text: str, found: list[str]) -> None:
    for match in _COMPOUND.finditer(text):
        compound = match[0]
        parts = [
            _unaccent(piece.casefold())
            for word in _PART.findall(compound)
            for piece in _CAMEL.split(word)
        ]
        whole = "".join(parts)
        if compound[-1] in "+#":
            whole += compound[-1]
        if len(parts) == 1 and (split := _LETTERS_DIGITS.fullmatch(parts[0])):
            # covid19 must meet covid-19, and python3 must meet python 3
            parts = [piece for piece in split.groups() if piece]
        for part in parts:
            found.append(part[:MAX_TERM])
            if "\uac00" <= part[0] <= "\ud7a3" and len(part) > 2:
                found.extend(_ngrams(part, (2,)))  # Korean glues its particles to the word
        if whole and [whole] != parts and len(parts) <= 4 and len(whole) <= MAX_TERM:
            found.append(whole)

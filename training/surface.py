"""Questions as people type them: fragments, small letters, typos, a story around the point.

Knows typing, not meaning. Figures, names with digits, links and code are never touched, since
an answer depends on them to the letter.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from bot.words.lexicon import content, fold, stem, tokens

_BEFORE = (
    "hi, ", "hello, ", "hey ", "quick question: ", "sorry to bother you, ", "one question, ",
    "Hi there! ", "good morning, ", "ok so ", "I have looked everywhere. ", "help! ", "pls help, ",
    "First time here. ", "I was told to ask you: ",
)  # fmt: skip
_AFTER = (" thanks", " thx", " please", " pls", " Thank you!", " ??", " asap", " :)", "...")
_SHORT = {"you": "u", "your": "ur", "are": "r", "please": "pls", "what is": "whats", "i am": "im"}
_NEAR = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj",
    "i": "uo", "j": "hk", "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "r": "et",
    "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip
_WORD = re.compile(r"(?<![\w/@.`{-])[a-zA-Z]{4,}(?![\w/@.`}-]*[\d@/`])")


def as_typed(question: str, rng: random.Random) -> str:
    """`question` in another guise; often the very same. Never empty."""
    ways: list[tuple[float, Callable[[str, random.Random], str]]] = [
        (0.12, _fragment),
        (0.30, _lower),
        (0.30, _unpunctuated),
        (0.08, _shortened),
        (0.15, _mistyped),
        (0.12, _with_story),
    ]
    typed = question
    for chance, way in ways:
        if rng.random() < chance:
            typed = way(typed, rng)
    return typed.strip() or question


def _fragment(text: str, _rng: random.Random) -> str:
    """Only the words that carry meaning, if at least two are left: "return window"."""
    kept = set(content(text))
    if any(tokens(word) != [fold(word)] for word in re.findall(r"[^\W\d_]+", text)[:1]):
        return text  # written without spaces: there are no words to drop
    words = [
        word
        for word in text.rstrip("?!. ").split()
        if any(stem(one) in kept for one in tokens(word)) or re.search(r"\d", word)
    ]
    return " ".join(words) if len(words) > 1 else text


def _lower(text: str, _rng: random.Random) -> str:
    return re.sub(r"\S+", lambda word: _lowered(word.group()), text)


def _lowered(word: str) -> str:
    """Small letters, but not in codes, links and commands."""
    return word if re.search(r"[\d@/`{}<>_-]", word) else word.lower()


def _unpunctuated(text: str, _rng: random.Random) -> str:
    return text.rstrip(" ?!.。？")


def _shortened(text: str, _rng: random.Random) -> str:
    for long, short in _SHORT.items():
        text = re.sub(rf"\b{long}\b", short, text, flags=re.IGNORECASE)
    return text


def _mistyped(text: str, rng: random.Random) -> str:
    """One slip of a finger in one longer word."""
    found = list(_WORD.finditer(text))
    if not found:
        return text
    word = rng.choice(found)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    slip = rng.randrange(4)
    if slip == 0:  # two letters change places
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    if slip == 1:  # one is missing
        return text[:at] + text[at + 1 :]
    if slip == 2:  # one comes twice
        return text[:at] + text[at] + text[at:]
    return text[:at] + rng.choice(_NEAR.get(text[at].lower(), text[at])) + text[at + 1 :]


def _with_story(text: str, rng: random.Random) -> str:
    return f"{rng.choice(_BEFORE)}{text}" if rng.random() < 0.6 else f"{text}{rng.choice(_AFTER)}"

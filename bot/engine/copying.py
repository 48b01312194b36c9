"""Helps a model to copy: figures, names, codes and addresses come out as the passages have them.

Knows texts and what tokens spell; does not know models, requests or whether an answer is right:
the claim check of `bot/answering/ground.py` stays the judge of that. A small model knows where to
copy from but slips in the middle of a rare string. Once it has begun one that stands in the
passages, the tokens that go on as the passages do are raised by a few nats, and so is a boundary
where the string ends; figures that no passage begins with are lowered. The model still chooses:
among several strings with the same beginning, and, where it is sure enough, against the help.

A soft form of pointing (Vinyals et al. 2015, https://arxiv.org/abs/1506.03134; See et al. 2017,
https://arxiv.org/abs/1704.04368) that needs no training; the bias is an ordinary context bias as
speech recognisers use it (Zhao et al. 2019).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

STRENGTH = 4.0  # nats: an even choice becomes 55 to 1
LONGEST = 200  # characters of one string
MOST = 2000  # strings of one request
WORD_BEGUN = 4  # characters of a plain rare word before it counts as begun
RARE_TOKENS = 3  # tokens that make a plain word rare

# Scripts that write no spaces: a string of Latin letters and digits ends where they begin.
_UNSPACED = "\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff\uff00-\uffef"
_PIECE = re.compile(rf"\+?\d[\d().:-]*(?: [\d(][\d().:-]*)+|[^\s<>|{_UNSPACED}]+")
_JOINS = re.compile(rf"[^\W{_UNSPACED}]|[+\-/.@:]")  # what a string may go on after
_EDGE = "()[]{}\"'“”‘’«»„*_`,;:!?。，、；：！？（）「」"
_ADDRESS = re.compile(r"://|@|\w[/_\\]\w|\w\.\w")
_INNER_CAPITAL = re.compile(r"\w[A-Z]")


class Spelling:
    """What every token of a vocabulary spells, and where each spelling is found."""

    def __init__(self, texts: Sequence[str]) -> None:
        """`texts` by token id; empty for special tokens and for parts of a character."""
        self.texts = tuple(texts)
        self.ids: dict[str, list[int]] = {}
        for token, text in enumerate(texts):
            if text:
                self.ids.setdefault(text, []).append(token)
        self.longest = max(map(len, self.ids), default=0)
        # Where a string has ended, anything may follow that does not make it longer.
        self.boundary = torch.tensor([not (text[:1].isalnum()) for text in texts])
        # Tokens that begin a figure, with the text of the figure's beginning.
        self.figures = [
            (token, text.lstrip(), text[:1].isspace())
            for token, text in enumerate(texts)
            if text.lstrip()[:1].isdigit()
        ]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast, size: int) -> Spelling:
        """Spell out a tokenizer's vocabulary; `size` is the model's, which may be larger.

        Each token is decoded behind a letter, since some tokenizers drop a leading space.
        """
        before = tokenizer.encode("a", add_special_tokens=False)[-1:]
        lead = len(str(tokenizer.decode(before)))
        special = set(tokenizer.all_special_ids)
        texts = []
        for token in range(size):
            known = token < len(tokenizer) and token not in special
            text = str(tokenizer.decode([*before, token]))[lead:] if known else ""
            texts.append("" if "\N{REPLACEMENT CHARACTER}" in text else text)
        return cls(texts)


@dataclass(frozen=True, slots=True)
class _String:
    """A rare string of the passages; `begun` characters of it make clear that it is meant."""

    text: str
    begun: int


class CopySource:
    """The rare strings of one request's passages. Immutable, so an answer may begin again."""

    def __init__(
        self, spelling: Spelling, strings: Iterable[_String], strength: float = STRENGTH
    ) -> None:
        self.spelling = spelling
        self.strength = strength
        self.by_first: dict[str, list[_String]] = {}
        beginnings: set[str] = set()
        whole: set[str] = set()
        for one in strings:
            self.by_first.setdefault(one.text[0], []).append(one)
            whole.add(one.text)
            beginnings.update(one.text[:end] for end in range(1, len(one.text) + 1))
        self.foreign_words = self._foreign(beginnings, whole, spaced=True)
        self.foreign_parts = self._foreign(beginnings, whole, spaced=False)

    @classmethod
    def of(
        cls,
        text: str,
        spelling: Spelling,
        tokenizer: PreTrainedTokenizerFast,
        strength: float = STRENGTH,
    ) -> CopySource:
        """Collect what is worth copying from a text: the passages as the model sees them."""
        found: dict[str, _String] = {}
        for match in _PIECE.finditer(text):
            piece = match.group().strip(_EDGE).rstrip(".")[:LONGEST]
            if piece and piece not in found and len(found) < MOST:
                begun = _begun(piece, tokenizer)
                if begun:
                    found[piece] = _String(piece, begun)
        return cls(spelling, found.values(), strength)

    def begin(self, said: Sequence[int] = ()) -> Copier:
        """Follow an answer from its first token on; `said` are those it has already."""
        copier = Copier(self)
        for token in said:
            copier.advance(token)
        return copier

    def _foreign(self, beginnings: set[str], whole: set[str], *, spaced: bool) -> torch.Tensor:
        """Bool (vocabulary,): tokens that begin a figure which no string begins with."""
        mask = torch.zeros(len(self.spelling.texts), dtype=torch.bool)
        for token, figure, after_space in self.spelling.figures:
            if after_space is spaced and figure not in beginnings:
                digits = figure.rstrip(".,:;!?)% ")
                mask[token] = digits not in whole and digits not in beginnings
        return mask


def _begun(piece: str, tokenizer: PreTrainedTokenizerFast) -> int:
    """From how many characters on a string counts as begun; 0 for one not worth helping with."""
    first_digit = next((at for at, one in enumerate(piece) if one.isdigit()), -1)
    if first_digit >= 0:
        return min(max(first_digit, 1), WORD_BEGUN)
    if _ADDRESS.search(piece):
        return WORD_BEGUN
    rare = len(tokenizer.encode(f" {piece}", add_special_tokens=False)) >= RARE_TOKENS
    if len(piece) > WORD_BEGUN and piece.isascii() and (rare or _INNER_CAPITAL.search(piece)):
        return WORD_BEGUN
    return 0


@dataclass(slots=True)
class Copier:
    """Follows one answer, character by character, through the strings it may be copying."""

    source: CopySource
    _open: list[tuple[_String, int]] = field(default_factory=list)  # string, characters said
    _last: str = "\n"

    def advance(self, token: int) -> None:
        """Take note of a token that was picked."""
        for one in self.source.spelling.texts[token]:
            at_start = not _JOINS.match(self._last)
            self._open = [
                (string, at + 1)
                for string, at in self._open
                if at < len(string.text) and string.text[at] == one
            ]
            if at_start:
                self._open += [(string, 1) for string in self.source.by_first.get(one, ())]
            self._last = one

    def steer(self, scores: torch.Tensor) -> None:
        """Raise and lower a row (vocabulary,) of scores, in place."""
        source = self.source
        raised: set[int] = set()
        ended = False
        for string, at in self._open:
            if at < string.begun:
                continue
            rest = string.text[at:]
            ended = ended or not rest
            for end in range(1, min(len(rest), source.spelling.longest) + 1):
                raised.update(source.spelling.ids.get(rest[:end], ()))
        if ended:
            scores[source.spelling.boundary.to(scores.device)] += source.strength
        if raised:
            scores[torch.tensor(sorted(raised), device=scores.device)] += source.strength
        if self._last not in "\n[":  # where lists and citations are numbered
            scores[source.foreign_words.to(scores.device)] -= source.strength
            if not self._open and not _JOINS.match(self._last):
                scores[source.foreign_parts.to(scores.device)] -= source.strength

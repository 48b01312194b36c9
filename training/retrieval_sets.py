"""Query sets to measure and fit the search on: FAQ lists, and questions with known answers.

Knows the shapes of the folders they come in. Does not know what is measured on them.
"""

from __future__ import annotations

import json
import lzma
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from knowledge.errors import DeskhandError
from knowledge.types import Passage

ENGLISH = (
    "bitext_support",
    "covid_q",
    "covidfaq_jhu",
    "dstc11_val",
    "dtc_zoomcamp",
    "feedbackqa_australia",
    "feedbackqa_cdc",
    "feedbackqa_uk",
    "feedbackqa_who",
)
MULTILINGUAL = ("bitcoin_faq_xling", "letsencrypt_faq_xling")
EVERY_FIFTH = 5  # of dstc11's 143 hotels and restaurants: its 10,882 passages are much alike


class SetMissing(DeskhandError):
    """A query set is not where it was looked for, or not in the right shape."""


@dataclass(frozen=True, slots=True)
class Case:
    """One question, and the anchors of the passages that answer it."""

    text: str
    gold: frozenset[str]
    lang: str = "en"


@dataclass(frozen=True, slots=True)
class QuerySet:
    """A knowledge base with questions to it."""

    name: str
    passages: tuple[Passage, ...]
    cases: tuple[Case, ...]

    def sample(self, count: int, seed: int = 0) -> QuerySet:
        """The same knowledge with at most `count` of its questions, drawn at random."""
        if len(self.cases) <= count:
            return self
        drawn = random.Random(seed).sample(self.cases, count)  # noqa: S311 - not a secret
        return replace(self, cases=tuple(drawn))


def load(folder: Path) -> QuerySet:
    """Read a folder's `faqs.jsonl` and `queries.jsonl`. Raises `SetMissing`.

    Questions whose gold is empty or not in the list are left out. Where every FAQ belongs to
    an entity (a hotel, a restaurant), its name is part of the question; a query, which is one
    turn of a dialogue that named the entity earlier, gets the name of its gold's, as the
    rewriting of follow-ups would add it.
    """
    faqs = [row for row in _jsonl(folder / "faqs.jsonl") if row["question"] or row["answer"]]
    if all("entity" in row for row in faqs):
        kept = set(sorted({str(row["entity"]) for row in faqs})[::EVERY_FIFTH])
        faqs = [row for row in faqs if row["entity"] in kept]
    entities = {str(row["id"]): str(row.get("entity", "")).title() for row in faqs}
    cases = []
    for row in _jsonl(folder / "queries.jsonl"):
        gold = [str(one) for one in row["gold"] if str(one) in entities]
        if gold:
            about = ", ".join(dict.fromkeys(entities[one] for one in gold if entities[one]))
            text = f"{about}: {row['text']}" if about else str(row["text"])
            cases.append(Case(text, frozenset(gold), str(row.get("lang", "en"))))
    return QuerySet(folder.name, tuple(_faq(row, folder.name) for row in faqs), tuple(cases))


def across(folder: Path) -> QuerySet:
    """Questions in many languages to the English part of a translated list."""
    whole = load(folder)
    passages = tuple(one for one in whole.passages if one.lang == "en")
    cases = tuple(one for one in whole.cases if one.lang != "en")
    return QuerySet(f"{whole.name} (to English)", passages, cases)


def within(folder: Path, lang: str) -> QuerySet:
    """One language of a translated list: its questions, to its answers without questions."""
    mine = [one for one in load(folder).passages if one.lang == lang]
    passages = tuple(replace(one, question="", id="") for one in mine)
    cases = tuple(Case(one.question, frozenset({one.anchor}), lang) for one in mine)
    return QuerySet(f"{folder.name} ({lang})", passages, cases)


def mixed(folder: Path) -> QuerySet:
    """A translated list with all its languages in one knowledge base.

    Nobody wrote questions to it in other words, so the beginnings of its questions and answers
    stand in for them.
    """
    whole = load(folder)
    cases = []
    for one in whole.passages:
        begun = (one.question[: max(8, len(one.question) * 2 // 3)], one.text[:80])
        cases += [Case(text, frozenset({one.anchor}), one.lang) for text in begun]
    return replace(whole, cases=tuple(cases))


def paragraphs(file: Path, lang: str) -> QuerySet:
    """XQuAD in one language: questions to 240 paragraphs that have no headings."""
    try:
        with lzma.open(file, "rt", encoding="utf-8") as lines:
            rows = [row for row in map(json.loads, lines) if row["lang"] == lang]
    except FileNotFoundError:
        raise _missing(file) from None
    except (OSError, ValueError, KeyError, lzma.LZMAError) as error:
        raise _unreadable(file, error) from None
    anchors = {text: str(place) for place, text in enumerate(unique(r["context"] for r in rows))}
    passages = tuple(
        Passage(text, "xquad.md", anchor=anchor, lang=lang) for text, anchor in anchors.items()
    )
    cases = tuple(Case(row["question"], frozenset({anchors[row["context"]]}), lang) for row in rows)
    return QuerySet(f"xquad_{lang}", passages, cases)


def texts(file: Path) -> list[str]:
    """The `text` of each line: for questions that belong to no knowledge base here."""
    return [str(row["text"]) for row in _jsonl(file)]


def unique(values: Iterable[str]) -> list[str]:
    """Each value once, in order of appearance."""
    return list(dict.fromkeys(values))


def _faq(row: Mapping[str, Any], source: str) -> Passage:
    entity, question = str(row.get("entity", "")).title(), str(row["question"])
    return Passage(
        text=str(row["answer"]),
        source=f"{source}.jsonl",
        anchor=str(row["id"]),
        question=": ".join(part for part in (entity, question) if part),
        lang=str(row.get("lang", "en")),
    )


def _jsonl(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.strip()]
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _missing(path: Path) -> SetMissing:
    return SetMissing(f"There is no {path}.", "Give the folder that holds the data with --data.")


def _unreadable(path: Path, error: Exception) -> SetMissing:
    return SetMissing(f"{path} cannot be read: {error}.", "Each line must be one JSON object.")

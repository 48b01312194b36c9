"""Query sets to measure and fit the search on: FAQ lists, and questions with known answers.

Knows the shape of a folder with `faqs.jsonl` and `queries.jsonl`. Does not know what is measured.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowledge.errors import DeskhandError
from knowledge.types import Passage


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


def load(folder: Path, *, limit: int | None = None, seed: int = 0) -> QuerySet:
    """Read a folder's `faqs.jsonl` and `queries.jsonl`; `limit` draws that many questions.

    Questions whose gold is empty or not in the list are left out. Raises `SetMissing`.
    """
    faqs = _rows(folder / "faqs.jsonl")
    entities = {str(row["id"]): str(row.get("entity", "")).title() for row in faqs}
    passages = tuple(_passage(row, folder.name) for row in faqs)
    cases = []
    for row in _rows(folder / "queries.jsonl"):
        gold = [str(one) for one in row["gold"] if str(one) in entities]
        if gold:
            # A dialogue turn names its hotel some turns earlier: stand in for the rewriting.
            about = ", ".join(dict.fromkeys(entities[one] for one in gold if entities[one]))
            text = f"{about}: {row['text']}" if about else str(row["text"])
            cases.append(Case(text, frozenset(gold), str(row.get("lang", "en"))))
    if limit is not None and len(cases) > limit:
        cases = random.Random(seed).sample(cases, limit)  # noqa: S311 - a sample, not a secret
    return QuerySet(folder.name, passages, tuple(cases))


def _passage(row: Mapping[str, Any], source: str) -> Passage:
    entity, question = str(row.get("entity", "")).title(), str(row["question"])
    return Passage(
        text=str(row["answer"]),
        source=f"{source}.jsonl",
        anchor=str(row["id"]),
        question=": ".join(part for part in (entity, question) if part),
        lang=str(row.get("lang", "en")),
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.strip()]
    except FileNotFoundError:
        raise SetMissing(
            f"There is no {path}.", "Give the folder that holds the query sets with --data."
        ) from None
    except (OSError, ValueError) as error:
        raise SetMissing(f"{path} cannot be read: {error}.", "It must be JSON lines.") from None

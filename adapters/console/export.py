"""Cases as files: CSV for spreadsheets, JSON lines for programs and for training.

Knows formats. A cell that a spreadsheet would calculate is made text by a leading apostrophe
(OWASP, "CSV Injection"). Unless somebody asks for the raw form, texts are redacted once more and
people are pseudonyms that differ from export to export.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from bot.reviewing.cases import Row
from bot.reviewing.redact import redact

COLUMNS = (
    *("answer_id", "asked", "channel", "audience", "person", "lang", "question", "answer"),
    *("outcome", "composer", "model", "confidence", "took_ms", "up", "down", "handed"),
    *("state", "verdict", "fault", "reviewer", "correction", "reasons"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


class Veil:
    """What an export shows of people: everything, or redacted texts and pseudonyms."""

    def __init__(self, *, raw: bool) -> None:
        self._raw = raw
        self._salt = secrets.token_bytes(16)

    def text(self, value: str) -> str:
        """A text somebody wrote."""
        return value if self._raw else redact(value)

    def person(self, value: str) -> str:
        """Who wrote it."""
        if self._raw:
            return value
        return hashlib.sha256(self._salt + value.encode()).hexdigest()[:16]


def plain(row: Row, veil: Veil) -> dict[str, Any]:
    """A case as one flat record."""
    judged = row["judged"] or {}
    shown = {
        "asked": row["asked"].isoformat(),
        "person": veil.person(row["person"]),
        "question": veil.text(row["question"]),
        "answer": veil.text(row["answer"]),
        "correction": veil.text(judged.get("correction", "")),
        "reasons": " ".join(row["reasons"]),
    }
    return {name: shown.get(name, row.get(name, "")) for name in COLUMNS}


def chat(row: Row, veil: Veil) -> dict[str, Any] | None:
    """A conversation's turn in the words of the chat API, with what was made of it."""
    return {
        "messages": _turns(row, row["answer"], veil),
        "verdict": row["verdict"],
        "fault": row["fault"],
        "votes": row["up"] - row["down"],
        "answer_id": row["answer_id"],
    }


def sft(row: Row, veil: Veil) -> dict[str, Any] | None:
    """A demonstration: what a reviewer found right, or wrote; None without a verdict."""
    judged = row["judged"]
    if judged is None or judged["verdict"] == "discard":
        return None
    right = row["answer"] if judged["verdict"] == "right" else ""
    good = judged["correction"] or right
    return {"messages": _turns(row, good, veil), "answer_id": row["answer_id"]} if good else None


def preference(row: Row, veil: Veil) -> dict[str, Any] | None:
    """A pair: the reviewer's correction over the answer; None without a correction."""
    judged = row["judged"]
    if judged is None or judged["verdict"] != "wrong" or not judged["correction"]:
        return None
    return {
        "prompt": [{"role": "user", "content": veil.text(row["question"])}],
        "chosen": [{"role": "assistant", "content": veil.text(judged["correction"])}],
        "rejected": [{"role": "assistant", "content": veil.text(row["answer"])}],
        "answer_id": row["answer_id"],
    }


def _turns(row: Row, answer: str, veil: Veil) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": veil.text(row["question"])},
        {"role": "assistant", "content": veil.text(answer)},
    ]


LINES: dict[str, Callable[[Row, Veil], dict[str, Any] | None]] = {
    "jsonl": plain,
    "chat": chat,
    "sft": sft,
    "preference": preference,
}


async def written(batches: AsyncIterator[list[Row]], form: str, *, raw: bool) -> AsyncIterator[str]:
    """The export, piece by piece, so that its length does not matter."""
    veil = Veil(raw=raw)
    if form == "csv":
        yield "\ufeff" + _csv([COLUMNS])  # the mark by which spreadsheets know UTF-8
    async for batch in batches:
        if form == "csv":
            yield _csv([[safe(value) for value in plain(row, veil).values()] for row in batch])
        else:
            yield "".join(_lines(batch, form, veil))


def _lines(batch: list[Row], form: str, veil: Veil) -> Iterator[str]:
    for row in batch:
        made = LINES[form](row, veil)
        if made is not None:
            yield json.dumps(made, ensure_ascii=False, default=str) + "\n"


def _csv(rows: Any) -> str:  # noqa: ANN401 - rows of cells
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def safe(value: object) -> object:
    """A cell no spreadsheet calculates."""
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    return f"'{text}" if text.lstrip(" \u00a0\ufeff").startswith(FORMULA) else text

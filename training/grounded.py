"""Grounded tuning data: passages, history and a question in, a cited answer or a refusal out.

Composes examples from things known (`grounded_sources`, `grounded_written`): the passage that
answers among others that do not, two passages for two questions, none for a refusal, and orders
to the model hidden in a page. Splits by document: no text, as passage, answer or distractor,
stands on two sides. Does not know tokens or models; `turns` puts an example into the prompt
that serving uses (`bot.answering.prompt`).
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from bot.answering.cite import MARKER, mark
from bot.answering.prompt import FULL, UNKNOWN, Form, build
from bot.answering.units import Kind, units
from bot.types import Turn
from bot.words.lexicon import content
from knowledge.errors import DeskhandError
from knowledge.types import Passage
from training.grounded_sources import LICENCES, Known
from training.grounded_written import order
from training.surface import as_typed

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
TRAIN_SHARE, VALID_SHARE = 90, 5  # of a hundred documents; the rest is for testing

ExampleKind = Literal["answer", "merge", "refuse", "hostile"]
MIX: Mapping[ExampleKind, float] = {"answer": 0.6, "merge": 0.12, "refuse": 0.2, "hostile": 0.08}
# Help-desk text first: the encyclopedia teaches reading, not support.
WEIGHTS: Mapping[str, float] = {
    "written": 0.46, "dstc11": 0.14, "xquad": 0.1, "squad": 0.08, "sgd": 0.07,
    "powershell": 0.07, "bitext": 0.05, "adversarial_qa": 0.03,
}  # fmt: skip
SHOWN = 3  # the passage that answers is among the first so many, as after a good search
CARRIED = 0.7  # share of an answer's words that the prompt has to show; the rest is wording
MERGED_CHARS = 320  # of each of two answers that are joined


class BadExamples(DeskhandError):
    """A file of examples is missing or cannot be read; names the file and the line."""


@dataclass(frozen=True, slots=True)
class Example:
    """One lesson. `answer` carries `[n]` marks, n counting `passages` from 1."""

    id: str
    kind: str
    source: str  # "written", "xquad", …
    lang: str
    question: str
    passages: tuple[Passage, ...]
    answer: str
    history: tuple[Turn, ...] = ()
    keys: tuple[str, ...] = ()  # figures, names and links that the answer has to hold

    @property
    def refuses(self) -> bool:
        """True if the passages do not answer."""
        return self.answer == UNKNOWN

    def turns(self, form: Form = FULL) -> list[Turn]:
        """The prompt, exactly as serving builds it."""
        return build(self.question, self.passages, self.history, self.lang, form)

    def readable(self, form: Form = FULL) -> bool:
        """True if the prompt shows what the answer says.

        A short form cuts passages; to be taught an answer that cannot be read teaches inventing.
        """
        if self.refuses:
            return True
        shown = self.turns(form)[-1].content
        words = set(content(MARKER.sub("", self.answer)))
        carried = len(words & set(content(shown))) >= CARRIED * len(words)
        return carried and all(key in shown for key in self.keys)


def split_of(document: str) -> Split:
    """The side a document falls on: a function of its name alone."""
    at = int.from_bytes(hashlib.sha256(document.encode()).digest()[:4]) % 100
    return "train" if at < TRAIN_SHARE else "valid" if at < TRAIN_SHARE + VALID_SHARE else "test"


def examples(known: Iterable[Known], split: Split, count: int, seed: int = 0) -> list[Example]:
    """At most `count` different examples of one split, the same for the same seed.

    Sources are drawn by `WEIGHTS`, kinds by `MIX`. Fewer come where the sources are small.
    """
    shelf = _Shelf([one for one in known if split_of(one.document) == split])
    rng = random.Random(f"{seed}/{split}")  # noqa: S311 - not a secret
    made: dict[str, Example] = {}
    for _ in range(4 * count):
        if len(made) >= count or not shelf.sources:
            break
        one = _example(shelf, rng)
        made.setdefault(one.id, one)
    return list(made.values())


class _Shelf:
    """Things known, by source and by document."""

    def __init__(self, known: Sequence[Known]) -> None:
        self.by_source: dict[str, list[Known]] = defaultdict(list)
        self.by_document: dict[str, list[Known]] = defaultdict(list)
        for one in known:
            self.by_source[one.source].append(one)
            self.by_document[one.document].append(one)
        self.sources = sorted(self.by_source)

    def draw(self, rng: random.Random) -> Known:
        """One thing; a source counts by its weight, not by its size."""
        weights = [WEIGHTS.get(one, 0.01) for one in self.sources]
        return rng.choice(self.by_source[rng.choices(self.sources, weights)[0]])

    def others(self, one: Known, count: int, rng: random.Random) -> list[Passage]:
        """Passages that do not answer what `one` answers.

        From the same help desk where documents hold many different things (a distractor that
        is about the right company and the wrong subject), from other documents elsewhere.
        """
        near = one.source in {"written", "dstc11", "powershell"}
        pool = self.by_document[one.document] if near else self.by_source[one.source]
        found: dict[str, Passage] = {}
        for other in rng.sample(pool, min(len(pool), 6 * count)):
            passage = other.passage
            same = passage == one.passage or (not near and other.document == one.document)
            if not same and passage.lang == one.lang and not _answers(passage, one):
                found.setdefault(passage.text, passage)
        return list(found.values())[:count]

    def sibling(self, one: Known, rng: random.Random) -> Known | None:
        """Something else that the same document says, in another passage."""
        pool = [
            other
            for other in self.by_document[one.document]
            if other.passage.text != one.passage.text
            and not other.history
            and max(len(other.answer), len(one.answer)) <= MERGED_CHARS
            and other.lang == one.lang
        ]
        return rng.choice(pool) if pool and not one.history else None


def _answers(passage: Passage, known: Known) -> bool:
    """True if a distractor might answer after all."""
    if len(known.key) > 2 and known.key in passage.text:
        return True
    return known.answer in passage.text or passage.question == known.question


def _example(shelf: _Shelf, rng: random.Random) -> Example:
    kind = rng.choices(list(MIX), list(MIX.values()))[0]
    one = shelf.draw(rng)
    if kind == "merge":
        second = shelf.sibling(one, rng)
        return _answer(shelf, rng, [one], "answer") if second is None else _answer(
            shelf, rng, [one, second], kind
        )  # fmt: skip
    if kind == "refuse":
        others = shelf.others(one, rng.randint(1, SHOWN), rng)
        if others:
            return _named(kind, one, as_typed(one.question, rng), others, UNKNOWN)
    return _answer(shelf, rng, [one], "answer" if kind == "refuse" else kind)


def _answer(
    shelf: _Shelf, rng: random.Random, known: Sequence[Known], kind: ExampleKind
) -> Example:
    one = known[0]
    gold = [item.passage for item in known]
    others = [
        passage
        for passage in shelf.others(one, rng.randint(0, 4), rng)
        if not any(_answers(passage, item) or passage == item.passage for item in known)
    ]
    placed = _placed(gold, others, rng)
    numbers = [placed.index(passage) + 1 for passage in gold]
    if kind == "hostile":  # the order stands in a page that answers, or in one that does not
        at = rng.randrange(len(placed))
        placed[at] = _with_order(placed[at], rng)
    parts = [
        cited(lightly(item.answer, rng) if item.lang == "en" else item.answer, number)
        for item, number in zip(known, numbers, strict=True)
    ]
    blocks = any("\n" in part for part in parts)
    question = as_typed(one.question, rng)
    if len(known) > 1:
        second = as_typed(known[1].question, rng)
        joint = rng.choice((" And ", " and ", " Also, ", "\n"))
        question = f"{question}{joint}{second}"
    keys = tuple(item.key for item in known if item.key)
    answer = ("\n\n" if blocks else " ").join(parts)
    return _named(kind, one, question, placed, answer, keys)


def _placed(
    gold: Sequence[Passage], others: Sequence[Passage], rng: random.Random
) -> list[Passage]:
    """`others` with the right passages among the first: a search ranks well, not perfectly."""
    placed = list(others)
    for passage in gold:
        last = min(len(placed), SHOWN - 1)
        at = 0 if rng.random() < 0.4 else rng.randint(0, last)
        placed.insert(at, passage)
    beyond = [passage for passage in gold if placed.index(passage) >= SHOWN]
    for passage in beyond:
        placed.remove(passage)
        placed.insert(0, passage)
    return placed


def _with_order(passage: Passage, rng: random.Random) -> Passage:
    """A page that also talks to the model."""
    said = order(rng)
    text = f"{said}\n\n{passage.text}" if rng.random() < 0.4 else f"{passage.text}\n\n{said}"
    return replace(passage, text=text, id="")


def _named(
    kind: str,
    one: Known,
    question: str,
    passages: Sequence[Passage],
    answer: str,
    keys: tuple[str, ...] = (),
) -> Example:
    texts = "\x1e".join((kind, question, answer, *(passage.id for passage in passages)))
    return Example(
        id=hashlib.sha256(texts.encode()).hexdigest()[:16],
        kind=kind,
        source=one.source,
        lang=one.lang,
        question=question,
        passages=tuple(passages),
        answer=answer,
        history=one.history,
        keys=keys,
    )


def cited(answer: str, number: int) -> str:
    """`answer` with its mark after every sentence, and once below a list, table or code."""
    pieces = units(answer)
    if len(pieces) == 1 or any(piece.kind is not Kind.SENTENCE for piece in pieces):
        return mark(answer, number)
    return " ".join(mark(piece.text, number) for piece in pieces)


_LEADING = re.compile(
    r"^(?:However|Moreover|Furthermore|In addition|Additionally|Also|Therefore|Thus|Then),\s+"
)
_CONTRACTED = (
    ("do not", "don't"), ("does not", "doesn't"), ("is not", "isn't"), ("are not", "aren't"),
    ("cannot", "can't"), ("will not", "won't"), ("was not", "wasn't"), ("it is", "it's"),
)  # fmt: skip


def lightly(answer: str, rng: random.Random) -> str:
    """The same said a little differently, in English; figures, links and code stay."""
    if "`" in answer or "|" in answer:
        return answer
    said = _LEADING.sub("", answer)
    said = said[:1].upper() + said[1:]
    if rng.random() < 0.5:
        for long, short in _CONTRACTED:
            said = re.sub(rf"\b{long}\b", short, said)
    return said


# ---- files


def write(folder: Path, made: Mapping[Split, Sequence[Example]], seed: int) -> dict[str, Any]:
    """Write `train.jsonl`, `valid.jsonl`, `test.jsonl` and `dataset.json`; returns the latter.

    `dataset.json` counts what is in them, names the licences and holds a SHA-256 of every file
    and of all (`hash`), under which a model's lineage knows this set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for split, items in made.items():
        path = folder / f"{split}.jsonl"
        lines = [json.dumps(_row(one), ensure_ascii=False, sort_keys=True) for one in items]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        files[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    sources = sorted({one.source for items in made.values() for one in items})
    told: dict[str, Any] = {
        "hash": hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest(),
        "files": files,
        "seed": seed,
        "counts": {
            split: {"examples": len(items), **Counter(one.kind for one in items)}
            for split, items in made.items()
        },
        "sources": {name: LICENCES.get(name, "unknown") for name in sources},
    }
    (folder / "dataset.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return told


def write_chats(path: Path, made: Sequence[Example], form: Form) -> None:
    """Examples as plain conversations, for pretraining: `messages` and a `group` on each line.

    What is left out is what `form` cannot show.
    """
    with path.open("w", encoding="utf-8") as file:
        for one in made:
            if one.readable(form):
                turns = [*one.turns(form), Turn("assistant", one.answer)]
                group = one.passages[0].source.rpartition("/")[0] or one.passages[0].source
                row = {"messages": [asdict(turn) for turn in turns], "group": f"grounded:{group}"}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read(path: Path) -> Iterator[Example]:
    """Examples of one file. Raises `BadExamples`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadExamples(
            f"{path} cannot be read: {error}", "Make examples with `deskhand train ground`."
        ) from error
    for number, line in enumerate(lines, 1):
        try:
            yield _from_row(json.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            raise BadExamples(
                f"{path}, line {number} is not an example: {type(error).__name__} {error}",
                "Make the file again with `deskhand train ground`.",
            ) from error


def _row(one: Example) -> dict[str, Any]:
    row = asdict(one)
    row["passages"] = [
        {
            "text": passage.text,
            "source": passage.source,
            "title_path": list(passage.title_path),
            "question": passage.question,
        }
        for passage in one.passages
    ]
    return row


def _from_row(row: Mapping[str, Any]) -> Example:
    passages = tuple(
        Passage(
            one["text"], one["source"], tuple(one["title_path"]), question=one["question"],
            lang=row["lang"],
        )
        for one in row["passages"]
    )  # fmt: skip
    history = tuple(Turn(one["role"], one["content"]) for one in row["history"])
    known = {**row, "passages": passages, "history": history, "keys": tuple(row["keys"])}
    return Example(**known)

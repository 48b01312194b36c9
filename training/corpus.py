"""Documents to train on: read, filtered, deduplicated, mixed and split.

Knows sources, languages and what makes a text worth learning from; does not know tokens or
models. Sources are lists of public texts whose licences let weights trained on them be shipped,
and any documents the owner gives. Everything happens in an order fixed by the seed.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.answering.prompt import COMPACT
from bot.types import Turn
from knowledge.documents import read_folder
from knowledge.language import detect_language
from knowledge.types import Audience
from training import grounded, grounded_sources, grounded_written
from training.errors import DataMissing
from training.minhash import NearDuplicates

LANGUAGES = ("en", "de", "es", "ru", "zh")
HELD_PERMILLE = 20  # groups in a thousand that are kept out of training
SECTION_CHARS = 6000  # a book is read in sections about this long
LESSONS = 0.3  # of the text: questions answered from passages, as the bot will be asked
LESSON_BYTES = 700  # of one, about
WRITTEN = 3000  # invented companies that lessons are about
_LANGUAGE_CHARS = 800  # looked at to tell the language


@dataclass(frozen=True, slots=True)
class Document:
    """One text, or one conversation. Documents of one `group` are never split apart."""

    source: str
    group: str
    text: str = ""
    turns: tuple[Turn, ...] = ()

    @property
    def whole(self) -> str:
        """Everything that is said in it."""
        return self.text or "\n".join(turn.content for turn in self.turns)


@dataclass(frozen=True, slots=True)
class Source:
    """A list of public texts. `share` is its part of the mixture, by bytes."""

    name: str
    file: str
    share: float
    licence: str
    what: str
    read: Callable[[dict[str, Any]], Iterator[Document]]


@dataclass
class Corpus:
    """What is left to train on, and what happened to the rest."""

    train: list[Document]
    held: list[Document]
    counts: dict[str, Counter[str]] = field(default_factory=dict)  # by source: kept, dropped why
    licences: dict[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """One hash over every text, in order: the identity of this data."""
        found = hashlib.sha256()
        for document in (*self.train, *self.held):
            found.update(hashlib.sha256(document.whole.encode()).digest())
        return found.hexdigest()


def build(
    *,
    data: Path | None = None,
    documents: Sequence[Path] = (),
    megabytes: float = 24,
    languages: Sequence[str] = LANGUAGES,
    seed: int = 0,
) -> Corpus:
    """Read, filter, deduplicate and split about `megabytes` of text.

    `data` is the folder of public texts; each source gives at most its share. `documents` are
    files and folders of the owner's, all of which is taken. With public texts come lessons in
    answering from passages, which are what a small model needs most. Raises `DataMissing`.
    """
    if data is None and not documents:
        raise DataMissing(
            "There is nothing to train on.", "Give a data folder (--data) or --documents."
        )
    corpus = Corpus([], [])
    seen = NearDuplicates()
    kept: list[Document] = []
    if documents:
        corpus.licences["documents"] = "the owner's"
        kept += _taken(_own(documents), corpus, seen, languages, budget=float("inf"))
    if data is not None:
        for source in SOURCES:
            corpus.licences[source.name] = f"{source.what}, {source.licence}"
            found = _shuffled(source, data, seed)
            budget = megabytes * 1e6 * (1 - LESSONS) * source.share
            kept += _taken(found, corpus, seen, languages, budget)
    if len({one.group for one in kept}) < 2:
        raise DataMissing(
            "Fewer than two documents are fit to train on.", f"What was dropped: {corpus.counts}."
        )
    away = {one.group for one in kept if held_out(one.group)}
    # A handful of documents may hold none that the rule keeps away: then the first by hash.
    away = away or {min({one.group for one in kept}, key=_rank)}
    corpus.train = [one for one in kept if one.group not in away]
    corpus.held = [one for one in kept if one.group in away]
    if data is not None:
        _add_lessons(corpus, data, megabytes * 1e6 * LESSONS, seed)
    for documents_of in (corpus.train, corpus.held):
        random.Random(seed).shuffle(documents_of)  # noqa: S311 - an order, not a secret
    return corpus


def held_out(group: str) -> bool:
    """Whether a group of documents is kept out of all training.

    Depends on the group's name alone, so that every dataset made from the same sources, in any
    run, keeps away the same ones.
    """
    return _rank(group) % 1000 < HELD_PERMILLE


def passage_group(passage: str) -> str:
    """The group of what is made from one passage: its first letters, whatever surrounds it."""
    return "".join(char for char in passage.casefold() if char.isalnum())[:120]


def _rank(group: str) -> int:
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big")


def _taken(
    found: Iterator[Document],
    corpus: Corpus,
    seen: NearDuplicates | None,
    languages: Sequence[str],
    budget: float,
) -> list[Document]:
    """Documents worth learning from, until `budget` bytes are reached.

    Without `seen` near-duplicates stay: several questions about one passage are meant.
    """
    kept: list[Document] = []
    size = 0
    for document in found:
        if size >= budget:
            break
        whole = document.whole
        counts = corpus.counts.setdefault(document.source, Counter())
        reason = fault(whole, languages)
        if not reason and seen is not None and seen.seen(whole):
            reason = "near duplicate"
        counts[reason or "kept"] += 1
        if not reason:
            kept.append(document)
            size += len(whole.encode())
            counts["bytes"] += len(whole.encode())
    return kept


def fault(text: str, languages: Sequence[str] = LANGUAGES) -> str:
    """Why a text is not worth learning from, or "".

    Rules of thumb in the spirit of Gopher's (Rae et al. 2021, appendix A) and C4's (Raffel et
    al. 2020), loosened for conversations and documentation: enough letters among the signs,
    words of a human length, lines that are not the same again and again, and a language that
    was asked for.
    """
    if len(text) < 40 or sum(map(str.isalpha, text)) < 0.5 * len(text):
        return "too short or few letters"
    words = text.split()
    spaced = sum(map(str.isascii, text)) > len(text) / 2
    if spaced and not 2.5 <= len(text) / len(words) - 1 <= 12:
        return "odd words"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 8 and len(set(lines)) < 0.6 * len(lines):
        return "repeated lines"
    if "\ufffd" in text:
        return "broken characters"
    known = detect_language(text[:_LANGUAGE_CHARS]) in languages
    return "" if known else "other language"


def _own(paths: Sequence[Path]) -> Iterator[Document]:
    """The owner's documents, without those for staff: a model says what it learned to anybody."""
    for document in read_folder(list(paths)).documents:
        if document.audience is not Audience.CUSTOMER:
            continue
        group = f"documents:{document.source}"
        prose = []
        for section in document.sections:
            if section.question:
                turns = (Turn("user", section.question), Turn("assistant", section.text))
                yield Document("documents", group, turns=turns)
            else:
                prose.append("\n".join((*section.title_path[-1:], section.text)))
        if prose:
            yield Document("documents", group, "\n\n".join(prose))


def _add_lessons(corpus: Corpus, data: Path, size: float, seed: int) -> None:
    """Add `size` bytes of grounded questions and answers, split by the rule of their own."""
    counts = corpus.counts["lessons"] = Counter()
    theirs = ", ".join(sorted(set(grounded_sources.LICENCES.values())))
    corpus.licences["lessons"] = f"questions answered from passages (training.grounded), {theirs}"
    known = [*grounded_sources.read_all(data), *grounded_written.companies(WRITTEN)]
    splits: tuple[tuple[grounded.Split, list[Document], float], ...] = (
        ("train", corpus.train, size),
        ("valid", corpus.held, size * HELD_PERMILLE / 1000),
    )
    for split, documents, part in splits:
        for one in grounded.examples(known, split, round(part / LESSON_BYTES), seed):
            turns = (*one.turns(COMPACT), Turn("assistant", one.answer))
            document = Document("lessons", f"lesson:{one.id}", turns=turns)
            documents.append(document)
            counts["kept"] += 1
            counts["bytes"] += len(document.whole.encode())


def _shuffled(source: Source, data: Path, seed: int) -> Iterator[Document]:
    """A source's documents in an order fixed by the seed. Raises `DataMissing`."""
    path = data / "text" / source.file
    if not path.is_file():
        raise DataMissing(
            f"{path} is missing.", "Give the folder that holds text/ with the public sources."
        )
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        found = [document for line in lines for document in source.read(json.loads(line))]
    random.Random(seed).shuffle(found)  # noqa: S311 - an order, not a secret
    yield from found


def _book(row: dict[str, Any]) -> Iterator[Document]:
    """Sections of a book, cut between paragraphs, without the heading that names it."""
    head, _, body = str(row["text"]).partition("-------")
    group = "book:" + head.strip()[:200]
    section: list[str] = []
    length = 0
    for paragraph in (body or head).split("\n\n"):
        text = " ".join(paragraph.split())
        if not text:
            continue
        section.append(text)
        length += len(text)
        if length >= SECTION_CHARS:
            yield Document("books", group, "\n\n".join(section))
            section, length = [], 0
    if section:
        yield Document("books", group, "\n\n".join(section))


def _dialogue(row: dict[str, Any]) -> Iterator[Document]:
    turns = tuple(
        Turn("user" if speaker == "user" else "assistant", said) for speaker, said in row["turns"]
    )
    if turns:
        yield Document("sgd", passage_group(" ".join(one.content for one in turns)), turns=turns)


# Task families of the T0 collection whose own data sets allow what we do: CC BY, CC BY-SA, MIT.
# The others (reviews, news, films, exams) are left out: their terms are narrower or unknown.
_T0_FAMILIES = (
    "adversarial_qa_", "common_gen_", "commonsense_qa_", "cosmos_qa_", "quarel_", "quartz_",
    "quoref_", "ropes_", "wiki_hop_",
)  # fmt: skip


def _instruction(row: dict[str, Any]) -> Iterator[Document]:
    answer = str(row["completion"]).removesuffix("<|endoftext|>").strip()
    if not answer or not str(row["template"]).startswith(_T0_FAMILIES):
        return
    prompt = str(row["prompt"]).strip()
    longest = max(re.split(r"\n+", prompt), key=len).strip(" \"'")
    turns = (Turn("user", prompt), Turn("assistant", answer))
    yield Document("t0", passage_group(longest), turns=turns)


_TREEBANK = {
    "-lrb-": "(", "-rrb-": ")", "-lsb-": "[", "-rsb-": "]", "``": '"', "''": '"', "--": "–",
}  # fmt: skip


def _sentence_question(row: dict[str, Any]) -> Iterator[Document]:
    sentence, question = (_untreebanked(str(row[key])) for key in ("sentence", "question"))
    turns = (Turn("user", f"Ask a question about this: {sentence}"), Turn("assistant", question))
    yield Document("squad", passage_group(sentence), turns=turns)


def _untreebanked(text: str) -> str:
    """Text as people write it, from text cut into Penn Treebank tokens."""
    joined = " ".join(_TREEBANK.get(word, word) for word in text.split())
    joined = re.sub(r"([(\[]) ", r"\1", joined)
    return re.sub(r" ([.,;:?!)\]]|'s\b|n't\b|'re\b|'ve\b|'ll\b)", r"\1", joined)


def _reading(row: dict[str, Any]) -> Iterator[Document]:
    context, question = str(row["context"]), str(row["question"])
    turns = (
        Turn("user", f"{context}\n\n<question>\n{question}\n</question>"),
        Turn("assistant", str(row["answers"][0])),
    )
    yield Document("xquad", passage_group(context), turns=turns)


def _page(row: dict[str, Any]) -> Iterator[Document]:
    text = re.sub(r"\A---\n.*?\n---\n", "", str(row["text"]), flags=re.DOTALL).strip()
    # The same page of several versions of the product is one group.
    group = "powershell:" + re.sub(r"^reference/[^/]+/", "", str(row["path"]))
    for start in range(0, len(text), 2 * SECTION_CHARS):
        yield Document("powershell", group, text[start : start + 2 * SECTION_CHARS])


SOURCES = (
    Source("books", "books.jsonl.xz", 0.30, "public domain", "English books to 1928", _book),
    Source("sgd", "sgd_dialogues.jsonl.xz", 0.20, "CC BY-SA 4.0", "service dialogues", _dialogue),
    Source(
        "t0",
        "t0_instructions.jsonl.xz",
        0.28,
        "Apache-2.0, parts CC BY 4.0, CC BY-SA 3.0/4.0 and MIT",
        "questions over passages and other tasks",
        _instruction,
    ),
    Source(
        "squad",
        "squad_sentence_question.jsonl.xz",
        0.06,
        "CC BY-SA 4.0",
        "sentences and questions about them",
        _sentence_question,
    ),
    Source(
        "xquad",
        "xquad.jsonl.xz",
        0.06,
        "CC BY-SA 4.0",
        "questions over passages, in five languages",
        _reading,
    ),
    Source(
        "powershell", "powershell_docs.jsonl.xz", 0.10, "CC BY 4.0", "product documentation", _page
    ),
)

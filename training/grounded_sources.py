"""Public texts as things known: what a passage says, and a question that it answers.

Knows the shapes of the data folder's files and which parts of them are an answer. Does not know
prompts, distractors or models. Only sources whose licence lets weights be shipped are read:
squad_sentence_question, xquad and sgd_dialogues (CC BY-SA 4.0), dstc11_val (Apache-2.0),
bitext_support (CDLA-Sharing-1.0), powershell_docs (CC BY 4.0), t0_instructions (Apache-2.0; of its
parts only adversarial_qa, CC BY-SA 3.0).
"""

from __future__ import annotations

import json
import lzma
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bot.answering.units import sentences
from bot.types import Turn
from knowledge.errors import DeskhandError
from knowledge.types import Passage

BLOCK = 120  # rows of a list without documents that count as one document
NEAR = 420  # characters of a long paragraph kept around the sentence that answers

LICENCES: Mapping[str, str] = {
    "squad": "CC BY-SA 4.0",
    "xquad": "CC BY-SA 4.0",
    "sgd": "CC BY-SA 4.0",
    "dstc11": "Apache-2.0",
    "bitext": "CDLA-Sharing-1.0",
    "powershell": "CC BY 4.0",
    "adversarial_qa": "CC BY-SA 3.0, within T0's Apache-2.0 prompts",
    "written": "written for Deskhand",
}


class SourceMissing(DeskhandError):
    """A source file is not where it was looked for, or not in the right shape."""


@dataclass(frozen=True, slots=True)
class Known:
    """One thing a document says.

    `document` is the unit of the split: everything of one document falls on one side of it.
    `answer` is Markdown without citation marks, carried by `passage` alone. `key` is the part of
    it that may not be wrong (a figure, a name, a link); empty where the whole answer counts.
    """

    document: str
    passage: Passage
    question: str
    answer: str
    key: str = ""
    lang: str = "en"
    history: tuple[Turn, ...] = ()
    yes_no: bool = False  # the answer begins with yes or no

    @property
    def source(self) -> str:
        """The name under which `LICENCES` lists where it comes from."""
        return self.document.partition(":")[0]


def read_all(data: Path, only: frozenset[str] = frozenset()) -> list[Known]:
    """Everything known, in a fixed order; `only` limits it to sources by name.

    Raises `SourceMissing` for a file that is not there.
    """
    readers: Mapping[str, Callable[[Path], Iterator[Known]]] = {
        "squad": _squad,
        "xquad": _xquad,
        "sgd": _sgd,
        "dstc11": _dstc11,
        "bitext": _bitext,
        "powershell": _powershell,
        "adversarial_qa": _t0,
    }
    return [one for name, read in readers.items() if not only or name in only for one in read(data)]


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    opening = lzma.open if path.suffix == ".xz" else open
    try:
        with opening(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except (OSError, ValueError, lzma.LZMAError) as error:
        raise SourceMissing(
            f"{path} cannot be read: {error}",
            "Name the folder that holds the sources with --data, or use `--only written`.",
        ) from error


# ---- paragraphs and spans


def _around(paragraph: str, span: str) -> tuple[str, str] | None:
    """A stretch of a paragraph, and the sentence in it that holds `span`."""
    parts = sentences(paragraph)
    holding = [n for n, one in enumerate(parts) if span in one]
    # A span that stands in several sentences does not say which of them answers.
    if len(holding) != 1 or not 20 <= len(parts[holding[0]]) <= 300:
        return None
    at = holding[0]
    first = last = at
    size = len(parts[at])
    while True:  # grow to both sides, alternately, while it fits
        before = first > 0 and size + len(parts[first - 1]) <= NEAR
        after = last + 1 < len(parts) and size + len(parts[last + 1]) <= NEAR
        if before:
            first -= 1
            size += len(parts[first])
        if after and size + len(parts[last + 1]) <= NEAR:
            last += 1
            size += len(parts[last])
        elif not before:
            return " ".join(parts[first : last + 1]), parts[at]


def _xquad(data: Path) -> Iterator[Known]:
    paragraph: dict[str, int] = {}
    current: dict[str, str] = {}
    for row in _rows(data / "text" / "xquad.jsonl.xz"):
        lang, context = row["lang"], row["context"]
        if current.get(lang) != context:  # the five languages share their paragraphs' order
            current[lang] = context
            paragraph[lang] = paragraph.get(lang, -1) + 1
        found = _around(context, row["answers"][0])
        if found is not None:
            document = f"xquad:{paragraph[lang]}"
            passage = Passage(found[0], f"{document}/{lang}", ("Encyclopedia",), lang=lang)
            yield Known(document, passage, row["question"], found[1], row["answers"][0], lang)


_T0 = re.compile(r"^adversarial_qa_.*answer_the_following_q")
_QUESTION = re.compile(r"Question:\s*(.+?)\s*$", re.DOTALL)


def _t0(data: Path) -> Iterator[Known]:
    for row in _rows(data / "text" / "t0_instructions.jsonl.xz"):
        asked = _QUESTION.search(row["prompt"])
        if _T0.match(row["template"]) is None or asked is None:
            continue
        body = row["prompt"][: asked.start()]
        start, end = body.find("\n"), body.rfind("answer the following")
        context = body[start : end if end > 0 else len(body)].strip(' \n",')
        span = row["completion"].removesuffix("<|endoftext|>").strip()
        found = _around(context, span)
        if found is not None:
            document = f"adversarial_qa:{context[:60]}"
            passage = Passage(found[0], document, ("Reading",))
            yield Known(document, passage, asked.group(1), found[1], span)


_JOINED = (
    (re.compile(r"\s*-lrb-\s*"), " ("), (re.compile(r"\s*-rrb-"), ")"),
    (re.compile(r"\s*-lsb-\s*"), " ["), (re.compile(r"\s*-rsb-"), "]"),
    (re.compile(r"`` ?"), '"'), (re.compile(r" ?''"), '"'),
    (re.compile(r" (n't|'s|'re|'ve|'ll|'d|'m|')(?= |$)"), r"\1"),
    (re.compile(r" ([.,;:!?%])"), r"\1"), (re.compile(r"([$£€#]) "), r"\1"),
    (re.compile(r" -- "), "–"),
)  # fmt: skip


def untokenised(text: str) -> str:
    """Running text from the tokenised lower case of the sentence-question pairs."""
    for pattern, replacement in _JOINED:
        text = pattern.sub(replacement, text)
    text = text.strip()
    return text[:1].upper() + text[1:]


def _squad(data: Path) -> Iterator[Known]:
    rows = list(_rows(data / "text" / "squad_sentence_question.jsonl.xz"))
    known = _words_of_paragraphs(data)
    lines = list(dict.fromkeys(str(row["sentence"]) for row in rows))
    place = {line: n for n, line in enumerate(lines)}
    for row in rows:
        at = place[row["sentence"]]
        answer = untokenised(row["sentence"])
        # XQuAD holds some of the same paragraphs: a text may stand on one side of a split only.
        if not 25 <= len(answer) <= 260 or _shingles(row["sentence"]) & known:
            continue
        around = [untokenised(line) for line in lines[max(0, at - 1) : at + 2]]
        document = f"squad:{at // BLOCK}"
        passage = Passage(" ".join(around)[: NEAR * 2], f"{document}/{at}", ("Encyclopedia",))
        if answer in passage.text:
            yield Known(document, passage, untokenised(row["question"]), answer)


def _words_of_paragraphs(data: Path) -> frozenset[tuple[str, ...]]:
    rows = _rows(data / "text" / "xquad.jsonl.xz")
    texts = {row["context"] for row in rows if row["lang"] == "en"}
    return frozenset().union(*(_shingles(text) for text in texts))


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Every run of six words."""
    words = re.findall(r"[a-z0-9]+", re.sub(r"-[lr][rs]b-", " ", text.casefold()))
    return frozenset(tuple(words[at : at + 6]) for at in range(len(words) - 5))


# ---- conversations


def _dstc11(data: Path) -> Iterator[Known]:
    folder = data / "retrieval" / "dstc11_val"
    faqs = {row["id"]: row for row in _rows(folder / "faqs.jsonl") if row["question"]}
    for row in faqs.values():
        yield _about_place(row, row["question"])
    roles: Mapping[str, Literal["user", "assistant"]] = {"U": "user", "S": "assistant"}
    for row in _rows(folder / "queries.jsonl"):
        gold = [faqs[one] for one in row["gold"] if one in faqs]
        if len(gold) == 1:  # reviews may be among the gold too; the FAQ entry answers by itself
            history = tuple(Turn(roles[one["speaker"]], one["text"]) for one in row["context"][-2:])
            yield _about_place(gold[0], row["text"], history)


def _about_place(row: Mapping[str, Any], question: str, history: tuple[Turn, ...] = ()) -> Known:
    document = f"dstc11:{row['entity']}"
    answer = str(row["answer"])
    passage = Passage(answer, document, (str(row["entity"]).title(),), question=row["question"])
    yes_no = re.match(r"(?:yes|no)\b", answer, re.IGNORECASE) is not None
    return Known(document, passage, question, answer, history=history, yes_no=yes_no)


_DIGITS = re.compile(r"\d[\d,.:-]*\d{2}|[\w.]+@[\w.]+|https?://\S+")


def _sgd(data: Path) -> Iterator[Known]:
    for number, row in enumerate(_rows(data / "text" / "sgd_dialogues.jsonl.xz")):
        if number % 4:  # 17,000 dialogues of one kind would drown the other sources
            continue
        turns = row["turns"]
        said = [text for speaker, text in turns if speaker == "system" and not text.endswith("?")]
        for at in range(1, len(turns)):
            (asker, question), (speaker, reply) = turns[at - 1], turns[at]
            figure = _DIGITS.search(reply)
            asked = asker == "user" and speaker == "system" and question.endswith("?")
            if not asked or figure is None or reply.endswith("?") or len(reply) > 220:
                continue
            document = f"sgd:{number}"
            title = str(row["services"][0]).partition("_")[0]
            passage = Passage(" ".join(said)[:NEAR], document, (title,))
            if reply in passage.text:
                history = tuple(
                    Turn("user" if who == "user" else "assistant", text)
                    for who, text in turns[max(0, at - 3) : at - 1]
                )
                key = figure.group().rstrip(".,")
                yield Known(document, passage, question, reply, key, history=history)
            break  # one question of a dialogue


_SLOTS = {
    "order": ("7204418", "AX-20931", "1138-22", "90077315"),
    "invoice": ("INV-4471", "2024-0093", "85632"),
    "hours": ("Monday to Friday, 9 am to 5 pm", "8:00 to 20:00 every day", "weekdays until 18:30"),
    "phone": ("+1 555 0142 88", "0800 555 019", "+44 20 5550 0177"),
    "website": ("www.norvell.example", "shop.tallis.example", "my.ostara.example"),
    "name": ("Norvell", "Tallis", "Ostara", "Quillon"),
    "amount": ("$24.90", "£112.00", "€59.95"),
}
_SLOT = re.compile(r"\{\{([^{}]+)\}\}")
_STEPS = re.compile(r"(?:^\d{1,2}\. .+$\n?)+", re.MULTILINE)


def _bitext(data: Path) -> Iterator[Known]:
    rng = random.Random(11)  # noqa: S311 - not a secret
    for row in _rows(data / "retrieval" / "bitext_support" / "queries.jsonl"):
        steps = _STEPS.search(row["response"] or "")
        if steps is None or not 120 <= len(steps.group()) <= 700:
            continue
        values: dict[str, str] = {}

        def fill(found: re.Match[str], values: dict[str, str] = values) -> str:
            label = found.group(1)
            kind = next((one for one in _SLOTS if one in label.casefold()), "")
            if kind and label not in values:
                values[label] = rng.choice(_SLOTS[kind])
            return values.get(label, f'"{label}"')

        answer = _SLOT.sub(fill, steps.group()).strip()
        topic = row["gold"][0]
        document = f"bitext:{topic}"
        title = str(topic).replace("_", " ").capitalize()
        passage = Passage(answer, f"{document}/{row['qid']}", ("Help", title))
        yield Known(document, passage, _SLOT.sub(fill, row["text"]), answer)


# ---- manuals


_FRONT = re.compile(r"^(title|online version): (.+)$", re.MULTILINE)
_SYNOPSIS = re.compile(r"^## SYNOPSIS\s+(.+?)(?=\n#)", re.MULTILINE | re.DOTALL)
_EXAMPLE = re.compile(
    r"^### Example \d+: (?P<title>.+?)\n+(?P<before>[^#`]*?)(?P<code>```powershell\n.+?\n```)",
    re.MULTILINE | re.DOTALL,
)
_PARAMETER = re.compile(r"^### -(\w+)\s+([^`#]+?)\n\n", re.MULTILINE)


def _powershell(data: Path) -> Iterator[Known]:
    for row in _rows(data / "text" / "powershell_docs.jsonl.xz"):
        text = row["text"]
        front = dict(_FRONT.findall(text[:1500]))
        title, link = front.get("title", ""), front.get("online version", "").partition("?")[0]
        # The same page exists for several versions: the title is the document.
        document = f"powershell:{title}"
        synopsis = _SYNOPSIS.search(text)
        if synopsis is None or not title:
            continue
        about = _one_line(synopsis.group(1))
        described = Passage(f"{about}\n\nFull reference: {link}", document, (title, "Synopsis"))
        yield Known(document, described, f"What does {title} do?", about)
        if link:
            answer = f"The full reference is at {link}"
            yield Known(document, described, f"Where is {title} documented?", answer, link)
        for found in list(_EXAMPLE.finditer(text))[:3]:
            code = found.group("code")
            if len(code) <= 260:
                body = f"{_one_line(found.group('before'))}\n\n{code}".strip()
                passage = Passage(body, document, (title, found.group("title")))
                asked = f"How do I {found.group('title')[:1].lower()}{found.group('title')[1:]}?"
                yield Known(document, passage, asked, code)
        for name, body in _PARAMETER.findall(text)[:2]:
            told = _one_line(body)
            if 30 <= len(told) <= 260:
                passage = Passage(told, document, (title, f"-{name}"))
                yield Known(document, passage, f"What is -{name} for in {title}?", told)


def _one_line(text: str) -> str:
    return " ".join(re.sub(r"\[([^\]]+)\](?:\([^)]*\)|\[\d+\])", r"\1", text).split())

"""How near generated answers come to approved ones, and whether they can be trusted.

Word overlap: BLEU (Papineni et al. 2002) and chrF (Popović 2015) as sacrebleu computes them (Post
2018), ROUGE-L (Lin 2004). Trust: figures and addresses copied, none invented, the right passage
cited, refusals where they belong. Diversity: distinct-n (Li et al. 2016) and self-BLEU (Zhu et
al. 2018, Texygen). Knows texts; does not know models.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bot.answering.cite import MARKER
from bot.answering.prompt import UNKNOWN
from bot.words.facts import Facts, facts
from bot.words.lexicon import tokens

if TYPE_CHECKING:
    from training.grounded import Example


@dataclass(frozen=True, slots=True)
class GenerationFigures:
    """Shares are in [0, 1], BLEU and chrF in [0, 100]; None where nothing could be counted."""

    answers: int
    bleu: float | None
    chrf: float | None
    rouge_l: float | None
    copied_numbers: float | None  # of the approved answers' figures, how many are there
    copied_addresses: float | None  # the same of links, e-mail addresses and code
    invented: float | None  # of the figures and addresses written, how many no passage holds
    keys: float | None  # what may not be wrong, found to the letter
    cited: float | None  # answers whose marks name exactly the right passages
    refusal_precision: float | None
    refusal_recall: float | None

    def row(self, name: str) -> str:
        """One line of a Markdown table under `HEAD`."""
        cells = [name, str(self.answers)]
        for key, value in asdict(self).items():
            if key != "answers":
                digits = 1 if key in {"bleu", "chrf"} else 3
                cells.append("–" if value is None else f"{value:.{digits}f}")
        return f"| {' | '.join(cells)} |"


HEAD = (
    "| | answers | BLEU | chrF | ROUGE-L | numbers copied | addresses copied | invented | keys |"
    " cited | refusal precision | refusal recall |\n" + "|---" * 12 + "|"
)


def measure(examples: Sequence[Example], texts: Sequence[str]) -> GenerationFigures:
    """Hold each text against its example. Overlap and copying count answerable ones alone."""
    import sacrebleu

    pairs = list(zip(examples, texts, strict=True))
    answered = [(one, text) for one, text in pairs if not one.refuses]
    said = [bare(text) for _, text in answered]
    meant = [bare(one.answer) for one, _ in answered]
    wanted = [facts(one) for one in meant]
    found = [facts(text) for text in said]
    refused = [refuses(text) for text in texts]
    due = [no for (one, _), no in zip(pairs, refused, strict=True) if one.refuses]
    return GenerationFigures(
        answers=len(pairs),
        bleu=sacrebleu.corpus_bleu(said, [meant]).score if said else None,
        chrf=sacrebleu.corpus_chrf(said, [meant]).score if said else None,
        rouge_l=_mean(rouge_l(a, b) for a, b in zip(said, meant, strict=True)),
        copied_numbers=_share(
            value in {n for n, _ in got.quantities}
            for want, got in zip(wanted, found, strict=True)
            for value, _ in want.quantities
        ),
        copied_addresses=_share(
            one in _addresses(got)
            for want, got in zip(wanted, found, strict=True)
            for one in _addresses(want)
        ),
        invented=_share(
            one not in shown
            for example, text in answered
            for shown in [_shown(example)]
            for one in hard(bare(text))
        ),
        keys=_share(key in text for one, text in answered for key in one.keys),
        cited=_share(marks(text) == marks(one.answer) for one, text in answered),
        refusal_precision=sum(due) / sum(refused) if any(refused) else None,
        refusal_recall=_share(due),
    )  # fmt: skip


def bare(text: str) -> str:
    """An answer without its citation marks."""
    return MARKER.sub("", text).strip()


def marks(text: str) -> frozenset[str]:
    """The numbers of the passages that an answer cites."""
    return frozenset(MARKER.findall(text))


def refuses(text: str) -> bool:
    """True if an answer says that the passages do not answer; serving decides the same way."""
    return UNKNOWN.rstrip(".").casefold() in text.casefold()


def hard(text: str) -> frozenset[str]:
    """The figures, links, addresses and code of a text."""
    stated = facts(text)
    return frozenset(value for value, _ in stated.quantities) | _addresses(stated)


def _addresses(stated: Facts) -> frozenset[str]:
    return stated.addresses | stated.code


def _shown(example: Example) -> frozenset[str]:
    whole = " \n ".join(
        " ".join((*one.title_path, one.question, one.text)) for one in example.passages
    )
    return hard(f"{whole}\n{example.question}")


def rouge_l(said: str, meant: str) -> float:
    """F-measure of the longest common subsequence of words, in [0, 1]."""
    one, other = tokens(said), tokens(meant)
    if not one or not other:
        return float(one == other)
    common = _common(one, other)
    return 2 * common / (len(one) + len(other))


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for at, against in enumerate(other, 1):
            before, row[at] = row[at], before + 1 if word == against else max(row[at], row[at - 1])
    return row[-1]


def distinct(texts: Iterable[str], n: int = 2) -> float:
    """Different runs of `n` words as a share of all runs: near 0 when everything is the same."""
    runs = [
        tuple(words[at : at + n])
        for text in texts
        for words in [tokens(text)]
        for at in range(len(words) - n + 1)
    ]
    return len(set(runs)) / len(runs) if runs else 0.0


def self_bleu(texts: Sequence[str], at_most: int = 50) -> float:
    """Mean BLEU of each text against the others, in [0, 100]: 100 when they all say the same."""
    import sacrebleu

    some = list(texts)[:at_most]
    scores = [
        sacrebleu.sentence_bleu(text, [*some[:at], *some[at + 1 :]]).score
        for at, text in enumerate(some)
    ]
    return sum(scores) / len(scores) if len(some) > 1 else 0.0


def _share(hits: Iterable[bool]) -> float | None:
    return _mean(float(hit) for hit in hits)


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) / len(found) if found else None

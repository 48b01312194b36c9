"""What the critic brings: best of n, agreement with people, abstention.

    python -m benchmarks.critic --model TUNED --examples GROUNDED --critic critic.json

Three tables. Best of n: which of n sampled answers is shown, chosen by nobody, by the model's own
likelihood, by the critic, or by who knows the approved answer. People: does the critic rate
higher what people rated higher (measured only; never trained on). Abstention: does it tell right
quotes from wrong ones better than the search's confidence does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from bot.types import Outcome
from knowledge.embed import Embedder, load_embedder
from training.adversarial import whole
from training.critic import Critic
from training.evaluate_answers import evaluate_folder, load_golden
from training.fit_search import auc
from training.gate import is_wrong
from training.generation_metrics import bare, measure, refuses, rouge_l
from training.grounded import Example, read
from training.sft import answer_nats
from training.writer import Writer

Chooser = Callable[[Example, Sequence[str]], int]


def best_of(writer: Writer, critic: Critic, asked: Sequence[Example], n: int) -> Iterator[str]:
    """A row per way of choosing among `n` samples, beside greedy decoding."""
    pad = int(writer.tokenizer.pad_token_id)
    drawn = writer.answers([one for one in asked for _ in range(n)], temperature=0.7, seed=1)
    candidates = [[one.text for one in drawn[at * n : at * n + n]] for at in range(len(asked))]

    def likelihood(one: Example, texts: Sequence[str]) -> int:
        scores = [answer_nats(writer.model, [writer.lesson(one, text)], pad) for text in texts]
        return int(np.argmin(scores))

    def judged(one: Example, texts: Sequence[str]) -> int:
        return critic.rank(one.question, texts, [whole(passage) for passage in one.passages])[0]

    def oracle(one: Example, texts: Sequence[str]) -> int:
        return int(np.argmax([rouge_l(bare(text), bare(one.answer)) for text in texts]))

    ways: dict[str, Chooser] = {
        f"first of {n} samples": lambda _one, _texts: 0,
        f"likeliest of {n}": likelihood,
        f"critic's of {n}": judged,
        f"nearest to the approved of {n}": oracle,
    }
    greedy = [one.text for one in writer.answers(asked)]
    yield row("greedy", asked, greedy)
    for name, choose in ways.items():
        chosen = [texts[choose(one, texts)] for one, texts in zip(asked, candidates, strict=True)]
        yield row(name, asked, chosen)


def row(name: str, asked: Sequence[Example], texts: Sequence[str]) -> str:
    """BLEU, ROUGE-L, keys, invented figures, and how often it refuses what it could answer."""
    found = measure(asked, texts)
    wrongly = [refuses(text) for one, text in zip(asked, texts, strict=True) if not one.refuses]
    values = (found.rouge_l, found.keys, found.invented, found.refusal_recall, np.mean(wrongly))
    cells = ["–" if value is None else f"{value:.3f}" for value in values]
    return f"| {name} | {found.bleu or 0:.1f} | {' | '.join(cells)} |"


def people(critic: Critic, embedder: Embedder, data: Path, count: int) -> Iterator[str]:
    """How well scores agree with verdicts people gave, as AUC, beside plain likeness."""
    rated = [json.loads(line) for line in (data / "feedbackqa_thumbs/ratings.jsonl").open()]
    cases = [(one["question"], one["answer"], one["answer"], one["thumb"] == "up") for one in rated]
    yield agreement("FeedbackQA thumbs (whole passages)", cases, critic, embedder, count)
    answered = [
        json.loads(line)
        for path in sorted((data / "qa_from_hf").glob("train__*.jsonl"))
        for line in path.open()
    ]
    for name, good in (("refusals included", True), ("answers only", False)):
        cases = [
            (one["question"], said(one["pred"]), one["context"], one["feedback"] == "Correct")
            for one in answered
            if good or not one["pred"].startswith("[Unanswerable")
        ]
        yield agreement(f"QA verdicts, {name}", cases, critic, embedder, count)


def said(prediction: str) -> str:
    """A prediction as our models would have put it."""
    return "NOT IN THE PASSAGES." if prediction.startswith("[Unanswerable") else prediction


def agreement(
    name: str,
    cases: Sequence[tuple[str, str, str, bool]],
    critic: Critic,
    embedder: Embedder,
    count: int,
) -> str:
    """One row: AUC of the critic and of question-answer likeness."""
    drawn = random.Random(0).sample(list(cases), min(count, len(cases)))
    right = np.asarray([good for *_, good in drawn], np.float32)
    scores = np.asarray([critic.score(q, a, [p]) for q, a, p, _ in drawn])
    likeness = np.asarray(
        [float(embedder.encode_query(q) @ embedder.encode([a])[0]) for q, a, _, _ in drawn]
    )
    figures = (float(right.mean()), auc(scores, right), auc(likeness, right))
    return f"| {name} | {len(drawn)} | {' | '.join(f'{value:.3f}' for value in figures)} |"


async def abstention(
    critic: Critic, embedder: Embedder, kb: Path, golden: Sequence[Path]
) -> list[str]:
    """Right quotes against wrong ones, on golden sets, with nothing refused by the search."""
    rows = []
    for path in golden:
        report = await evaluate_folder([kb], load_golden(path), embedder, threshold=0.0)
        shown = [one for one in report.replies if one.reply.outcome is Outcome.ANSWERED]
        right = np.asarray([not is_wrong(one) for one in shown], np.float32)
        sure = np.asarray([one.reply.confidence for one in shown])
        scores = np.asarray(
            [
                critic.score(
                    one.reply.rewritten or one.golden.text,
                    one.reply.text,
                    [citation.quote for citation in one.reply.citations],
                )
                for one in shown
            ]
        )
        both = odds(sure) + odds(scores)
        figures = (auc(sure, right), auc(scores, right), auc(both, right))
        cells = " | ".join(f"{value:.3f}" for value in figures)
        rows.append(f"| {path.stem} | {len(shown)} | {right.mean():.3f} | {cells} |")
    return rows


def odds(chances: np.ndarray) -> np.ndarray:
    """Log odds, bounded."""
    held = np.clip(chances, 1e-4, 1 - 1e-4)
    return np.log(held / (1 - held))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--examples", type=Path, help="a folder of grounded examples")
    parser.add_argument("--critic", type=Path, default=Path("training/critic.json"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data/feedback"))
    parser.add_argument("--kb", type=Path, default=Path("knowledge/sample/packwren"))
    parser.add_argument("--golden", type=Path, nargs="*", default=[])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--n", type=int, default=4)
    given = parser.parse_args()
    embedder = load_embedder("all-MiniLM-L6-v2", threads=1)
    critic = Critic(embedder, json.loads(given.critic.read_text())["weights"])
    if given.model:
        asked = list(read(given.examples / "test.jsonl"))[: given.count]
        print("| | BLEU | ROUGE-L | keys | invented | refusal recall | wrong refusals |")
        print("|---" * 7 + "|")
        for line in best_of(Writer.load(given.model, max_tokens=60), critic, asked, given.n):
            print(line, flush=True)
    if given.data.is_dir():
        print("\n| verdicts of people | n | approved | critic AUC | likeness AUC |")
        print("|---" * 5 + "|")
        for line in people(critic, embedder, given.data, 3 * given.count):
            print(line, flush=True)
    else:
        print(f"\n{given.data} is not there: no comparison with people.")
    if given.golden:
        print("\n| golden set | quotes | right | confidence AUC | critic AUC | both |")
        print("|---" * 6 + "|")
        print("\n".join(asyncio.run(abstention(critic, embedder, given.kb, given.golden))))


if __name__ == "__main__":
    main()

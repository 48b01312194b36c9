"""Generator against discriminator: what comes of it is the critic (`training.critic`).

After Goodfellow et al. 2014 ("Generative adversarial nets"), for text as its successors have it,
since words are discrete and no gradient passes through them: the discriminator's verdict becomes
the generator's reward by policy gradient (SeqGAN, Yu et al. 2017), weighed within the candidates
of one prompt by r = D/(1 - D) as in MaliGAN (Che et al. 2017), which is also a relative judgement
as in RankGAN (Lin et al. 2017). The known failure modes, and what is done about them:

- mode collapse: the generator keeps learning from approved answers too (`anchor`; teacher forcing
  as in professor forcing's remedy, Lamb et al. 2016), diversity is measured every round, and a
  round that loses too much of it is undone;
- an overpowering discriminator, whose verdicts are all alike and teach nothing: it is a
  regularised linear head over evidence, its odds are bounded (`max_odds`), and it is fitted on
  the samples of earlier rounds too;
- a discriminator that looks at form alone: approved answers to other questions are among what
  it has to reject, as the matching-aware discriminator of Reed et al. 2016 ("Generative
  adversarial text to image synthesis") has it;
- instability: clipped gradients, few small steps a round, and the generator of the best round by
  held-out loss is the one that is kept. Caccia et al. 2020 ("Language GANs falling short") found
  that such training seldom beats maximum likelihood; the ablation says whether it does here.

Knows examples, a writer and evidence; does not know how answers are served.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from knowledge.types import Passage
from training.critic import TERMS, Critic, chance
from training.fit_search import auc, calibration_error, fit_logistic
from training.generation_metrics import bare, distinct, self_bleu
from training.grounded import Example
from training.loop import IGNORED
from training.sft import Lesson, answer_nats, padded

if TYPE_CHECKING:
    from knowledge.embed import Embedder, FloatArray
    from training.writer import Writer, Written


@dataclass(frozen=True, slots=True)
class Rounds:
    """How the two are trained against each other."""

    rounds: int = 3
    prompts: int = 64  # drawn each round
    samples: int = 4  # candidates of each
    steps: int = 16  # of the generator, each round
    batch: int = 8  # prompts of one step
    lr: float = 2e-4
    temperature: float = 1.0
    anchor: float = 1.0  # weight of learning from approved answers beside the verdict
    reward: float = 1.0  # weight of the verdict
    max_odds: float = 3.0  # bound of the discriminator's log odds in a reward
    l2: float = 0.02
    replay: bool = True  # earlier rounds' samples stay among what it is fitted on
    least_diversity: float = 0.7  # of the beginning's distinct-2; below it a round is undone
    worst_loss: float = 1.1  # times the best held-out loss; above it a round is undone
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RoundFigures:
    """What one round measured on held-out prompts. `undone` says why it was taken back."""

    round: int
    discriminator_auc: float
    discriminator_accuracy: float
    score: float  # mean chance that it gives the generator's samples
    entropy: float  # nats per sampled token
    distinct_2: float
    self_bleu: float
    held_loss: float
    undone: str = ""


@dataclass(frozen=True)
class Fought:
    """The result: the critic's coefficients and how the rounds went."""

    weights: Mapping[str, float]
    rounds: Sequence[RoundFigures]
    calibration_error: float


@dataclass
class Judged:
    """Evidence of answers, with 1 for approved ones and 0 for others."""

    values: list[FloatArray] = field(default_factory=list)
    right: list[float] = field(default_factory=list)

    def add(self, values: Sequence[FloatArray], right: float) -> None:
        """More of one kind."""
        self.values.extend(values)
        self.right.extend([right] * len(values))

    def arrays(self) -> tuple[FloatArray, FloatArray]:
        """(n, terms) and (n,)."""
        return np.asarray(self.values, np.float32), np.asarray(self.right, np.float32)


def evidence(critic: Critic, example: Example, text: str) -> FloatArray:
    """What the critic sees of one answer to an example."""
    return critic.evidence(example.question, text, [whole(one) for one in example.passages])


def whole(passage: Passage) -> str:
    """What the critic reads of a passage: an FAQ entry with its question."""
    return f"{passage.question}\n{passage.text}" if passage.question else passage.text


def swapped(asked: Example, answered: Example) -> Example:
    """The question of one example over the passages of another."""
    return replace(answered, question=asked.question)


def fit(judged: Sequence[Judged], l2: float) -> dict[str, float]:
    """The discriminator: coefficients that tell approved answers from others."""
    return fit_logistic([one.arrays() for one in judged if one.right], TERMS, l2)


def chances(weights: Mapping[str, float], values: Sequence[FloatArray]) -> FloatArray:
    """The discriminator's verdicts, (n,)."""
    return np.asarray([chance(weights, one) for one in values], np.float32)


def fight(
    writer: Writer,
    embedder: Embedder,
    train: Sequence[Example],
    held: Sequence[Example],
    order: Rounds,
) -> Fought:
    """Train `writer`'s model and a critic against each other; the model is changed in place.

    It ends as the generator of the best round. The critic returned was fitted on all rounds.
    """
    return _Fight(writer, embedder, train, held, order).go()


class _Fight:
    """One call of `fight`."""

    def __init__(
        self,
        writer: Writer,
        embedder: Embedder,
        train: Sequence[Example],
        held: Sequence[Example],
        order: Rounds,
    ) -> None:
        self.writer, self.train, self.held, self.order = writer, train, held, order
        self.critic = Critic(embedder, {})
        self.rng = random.Random(order.seed)  # noqa: S311 - an order, not a secret
        self.pad = int(writer.tokenizer.pad_token_id)
        self.optimizer = torch.optim.AdamW(writer.model.parameters(), lr=order.lr)
        self.unseen = [writer.lesson(one, one.answer) for one in held]
        self.past: list[Judged] = []
        self.best_loss = math.inf
        self.diverse = 0.0

    def go(self) -> Fought:
        """All rounds."""
        measured = [self._measure(0, fit([self._round(0)[0]], self.order.l2))]
        self.best_loss, self.diverse = measured[0].held_loss, measured[0].distinct_2
        best = copy.deepcopy(self.writer.model.state_dict())
        weights: Mapping[str, float] = {}
        for number in range(1, self.order.rounds + 1):
            judged, drawn = self._round(number)
            self.past = [*self.past, judged] if self.order.replay else [judged]
            weights = fit(self.past, self.order.l2)
            self._teach(drawn, weights)
            figures = self._measure(number, weights)
            reason = self._fault(figures)
            if reason:
                self.writer.model.load_state_dict(best)
            else:
                best = copy.deepcopy(self.writer.model.state_dict())
                self.best_loss = min(self.best_loss, figures.held_loss)
            measured.append(replace(figures, undone=reason))
        values, right = self._held_evidence(self.order.rounds + 1).arrays()
        error = calibration_error(chances(weights, list(values)), right)
        return Fought(weights, measured, error)

    def _round(self, number: int) -> tuple[Judged, list[tuple[Example, list[Written]]]]:
        """Draw prompts, let the generator answer, and look at both sides."""
        count = min(self.order.prompts, len(self.train))
        prompts = self.rng.sample(list(self.train), count)
        drawn = self._sampled(prompts, number)
        return self._judged(drawn), drawn

    def _sampled(
        self, prompts: Sequence[Example], number: int
    ) -> list[tuple[Example, list[Written]]]:
        self.writer.model.eval()
        asked = [one for one in prompts for _ in range(self.order.samples)]
        said = self.writer.answers(
            asked, temperature=self.order.temperature, seed=self.order.seed * 1000 + number
        )
        n = self.order.samples
        return [(one, said[at * n : (at + 1) * n]) for at, one in enumerate(prompts)]

    def _judged(self, drawn: Sequence[tuple[Example, list[Written]]]) -> Judged:
        judged = Judged()
        for one, candidates in drawn:
            approved = evidence(self.critic, one, one.answer)
            # A candidate that is the approved answer word for word is no counterexample.
            others = [text.text for text in candidates if bare(text.text) != bare(one.answer)]
            judged.add([approved], 1.0)
            judged.add([evidence(self.critic, one, text) for text in others], 0.0)
        approved_for = [one for one, _ in drawn if not one.refuses]
        for one, other in itertools.pairwise(approved_for):
            # A good answer to another question: only what was asked tells it from a right one.
            judged.add([evidence(self.critic, swapped(one, other), other.answer)], 0.0)
        return judged

    def _teach(
        self, drawn: Sequence[tuple[Example, list[Written]]], weights: Mapping[str, float]
    ) -> None:
        """The generator learns from the verdict, and goes on learning from approved answers."""
        model: nn.Module = self.writer.model
        model.train()
        rewarded = [self._rewarded(one, candidates, weights) for one, candidates in drawn]
        for _ in range(self.order.steps):
            batch = self.rng.sample(rewarded, min(self.order.batch, len(rewarded)))
            taught = [lesson for _, lessons, _ in batch for lesson in lessons]
            advantages = torch.cat([values for _, _, values in batch])
            loss = self.order.reward * (advantages * nats(model, taught, self.pad)).mean()
            if self.order.anchor:
                approved = [lesson for lesson, _, _ in batch]
                loss = loss + self.order.anchor * nats(model, approved, self.pad).mean()
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves this one untyped
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            self.optimizer.step()
        model.eval()

    def _rewarded(
        self, one: Example, candidates: Sequence[Written], weights: Mapping[str, float]
    ) -> tuple[Lesson, list[Lesson], Tensor]:
        """The approved answer and the candidates as tokens, and what each is worth."""
        said = [text.text for text in candidates]
        verdicts = chances(weights, [evidence(self.critic, one, text) for text in said])
        prompt = self.writer.lesson(one, one.answer)
        lessons = [
            Lesson((*prompt.ids[: prompt.start], *text.ids), prompt.start) for text in candidates
        ]
        return prompt, lessons, advantages(verdicts, self.order.max_odds)

    def _held_evidence(self, number: int) -> Judged:
        return self._judged(self._sampled(self.held, 500 + number))

    def _measure(self, number: int, weights: Mapping[str, float]) -> RoundFigures:
        drawn = self._sampled(self.held, 500 + number)
        values, right = self._judged(drawn).arrays()
        verdicts = chances(weights, list(values))
        texts = [bare(text.text) for _, candidates in drawn for text in candidates]
        first = [bare(candidates[0].text) for _, candidates in drawn]
        both = 0 < right.sum() < len(right)
        return RoundFigures(
            round=number,
            discriminator_auc=auc(verdicts, right) if both else 0.5,
            discriminator_accuracy=_balanced(verdicts, right),
            score=float(verdicts[right == 0].mean()) if both else 1.0,
            entropy=self._entropy(drawn),
            distinct_2=distinct(texts),
            self_bleu=self_bleu(first),
            held_loss=answer_nats(self.writer.model, self.unseen, self.pad),
        )

    def _entropy(self, drawn: Sequence[tuple[Example, list[Written]]]) -> float:
        """Nats per token of the generator's own samples: what is left of its choice."""
        lessons = []
        for one, candidates in drawn:
            prompt = self.writer.lesson(one, one.answer)
            lessons += [
                Lesson((*prompt.ids[: prompt.start], *text.ids), prompt.start)
                for text in candidates
                if text.ids
            ]
        return answer_nats(self.writer.model, lessons, self.pad)

    def _fault(self, figures: RoundFigures) -> str:
        """Why a round has to be undone, or ""."""
        if not math.isfinite(figures.held_loss):
            return "the loss is no number"
        if figures.held_loss > self.order.worst_loss * self.best_loss:
            return "held-out loss rose"
        if figures.distinct_2 < self.order.least_diversity * self.diverse:
            return "diversity fell"
        return ""


def advantages(verdicts: FloatArray, max_odds: float) -> Tensor:
    """What each of one prompt's candidates is worth, (n,); they sum to zero.

    MaliGAN's r = D/(1 - D), normalised over the candidates, less an even share. `max_odds` bounds
    log r, so that a discriminator that is sure of everything cannot reward one candidate alone.
    """
    clipped = np.clip(verdicts, 1e-6, 1 - 1e-6)
    odds = torch.from_numpy(np.log(clipped / (1 - clipped))).clamp(-max_odds, max_odds)
    return torch.softmax(odds, 0) - 1.0 / len(verdicts)


def nats(model: nn.Module, lessons: Sequence[Lesson], pad: int) -> Tensor:
    """Mean nats per token of each lesson's answer, (n,), with gradients."""
    inputs, targets = padded(lessons, pad)
    logits = model(input_ids=inputs).logits
    each = cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
    ).view_as(targets)
    return each.sum(1) / (targets != IGNORED).sum(1).clamp(min=1)


def _balanced(verdicts: FloatArray, right: FloatArray) -> float:
    """Accuracy at one half, both kinds counting the same however many there are."""
    shares = [float(((verdicts > 0.5) == kind)[right == kind].mean()) for kind in (0, 1) if
              (right == kind).any()]  # fmt: skip
    return sum(shares) / len(shares)


def save(path: Path, fought: Fought, order: Rounds, dataset: str) -> None:
    """Write the critic's coefficients, with how they came about, as JSON."""
    told = {
        "weights": fought.weights,
        "made": {
            "order": asdict(order),
            "dataset": dataset,
            "calibration_error": round(fought.calibration_error, 4),
            "rounds": [asdict(one) for one in fought.rounds],
        },
    }
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def table(fought: Fought) -> str:
    """The rounds as a Markdown table."""
    head = (
        "| round | critic AUC | accuracy | mean score of samples | entropy | distinct-2 |"
        " self-BLEU | held-out loss | undone |"
    )
    lines = [head, "|---" * 9 + "|"]
    lines += [
        f"| {one.round} | {one.discriminator_auc:.3f} | {one.discriminator_accuracy:.3f} |"
        f" {one.score:.3f} | {one.entropy:.3f} | {one.distinct_2:.3f} | {one.self_bleu:.1f} |"
        f" {one.held_loss:.3f} | {one.undone or '–'} |"
        for one in fought.rounds
    ]
    return "\n".join([*lines, "", f"Calibration error: {fought.calibration_error:.3f}"])

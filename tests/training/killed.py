"""A training process that is killed in the middle: `python -m tests.training.killed WORK STEP`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from training.loop import Plan
from training.pretrain import Order, train
from training.sizes import SIZES

SAMPLE = Path(__file__).parents[2] / "knowledge" / "sample"
STEPS = 40


def sample_order(steps: int) -> Order:
    """A few seconds of training on the sample company's English pages."""
    return Order(
        SIZES["tiny"],
        documents=(SAMPLE,),
        languages=("en",),
        seed=1,
        plan=Plan(steps=steps, lr=1e-2, warmup=5, save_every=10),
    )


def main() -> None:
    """Train until a step, and die there as in a power cut."""
    import torch

    work, last = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)

    def die(done: int, _total: int) -> None:
        if done == last:
            os.kill(os.getpid(), signal.SIGKILL)

    train(sample_order(STEPS), work, device="cpu", progress=die)


if __name__ == "__main__":
    main()

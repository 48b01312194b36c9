"""The training loop: batches in, a trained model and an honest log out.

Knows steps, learning rates, checkpoints and clocks; does not know where batches come from. A
batch is a pure function of its number, and the learning rate of the step, so a run that was
killed and goes on from its last checkpoint computes exactly what an uninterrupted one does (on
a CPU with the same number of threads, bit for bit; on a GPU as far as its kernels are
deterministic). One process or several under `accelerate launch`, in bfloat16 where the hardware
multiplies in it.
"""

from __future__ import annotations

import contextlib
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import structlog
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from training import checkpoints
from training.errors import CheckpointCorrupt, Diverged, PlanChanged
from training.optimizer import Kind, Optimizers, Schedule, build

if TYPE_CHECKING:
    from accelerate import Accelerator

LOG = "log.jsonl"
IGNORED = -100  # a target that is not learned from

Batches = Callable[[int, int, int], tuple[Tensor, Tensor]]
"""(step, rank, processes) -> inputs and targets, both int64 (n, t); must be a pure function.

Targets stand where they are predicted (already shifted by one); `IGNORED` ones do not count.
"""
Measure = Callable[[nn.Module], Mapping[str, float]]
"""Figures on held-out data; the one called `loss` is drawn."""

Progress = Callable[[int, int], None]
"""(done, of how many): steps, or seconds where a plan is for so many minutes."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train. Give `steps`, or `minutes` of wall clock, which decide the steps on the way.

    With `minutes` the constant stretch lasts until the time left is what the decay needs; the
    log and the checkpoint then say how many steps it came to, and a run with so many `steps`
    computes the same model.
    """

    steps: int | None = None
    minutes: float | None = None
    optimizer: Kind = "muon"
    lr: float = 4e-3
    warmup: int = 20
    decay: float = 0.25
    weight_decay: float = 0.05
    clip: float = 1.0  # of the gradient's norm
    micro: int = 0  # windows at once; 0 takes a whole batch, which needs the most memory
    measure_every: int = 100  # steps
    save_s: float = 180.0  # seconds between checkpoints
    save_every: int = 0  # steps between checkpoints, besides

    def identity(self) -> dict[str, Any]:
        """What may not change between a checkpoint and its continuation."""
        fields = asdict(self)
        for name in ("steps", "minutes", "measure_every", "save_s", "save_every"):
            del fields[name]
        return fields


@dataclass
class Course:
    """Where a run is."""

    step: int = 0
    tokens: int = 0  # learned from
    seconds: float = 0.0  # of training, over all continuations
    total: int | None = None  # steps, once known


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `finished` is False when it was told to stop before."""

    finished: bool
    course: Course
    figures: Mapping[str, float] = field(default_factory=dict)


def run(
    model: nn.Module,
    batches: Batches,
    plan: Plan,
    folder: Path,
    *,
    measure: Measure | None = None,
    progress: Progress | None = None,
    flops_per_token: float = 0.0,
    accelerator: Accelerator | None = None,
) -> Outcome:
    """Train `model` in place, or go on where `folder` says that a run was.

    Writes `folder/log.jsonl` and checkpoints under `folder/checkpoints`. SIGTERM and SIGINT end
    it after the step at hand, with a checkpoint, so it has to be called in the main thread. Raises
    `Diverged`, `CheckpointCorrupt`, and `PlanChanged` when the folder holds a run with other
    settings.
    """
    accelerator = accelerator or accelerate()
    training = _Run(model, batches, plan, folder, accelerator)
    training.measure, training.progress = measure, progress
    if flops_per_token:
        training.flops_per_token, training.peak = flops_per_token, peak_flops(accelerator.device)
    return training.go()


def accelerate(device: str = "auto") -> Accelerator:
    """The hardware at hand, one process of several if `accelerate launch` started it."""
    from accelerate import Accelerator

    cuda = torch.cuda.is_available() and device != "cpu"
    fast = cuda and torch.cuda.is_bf16_supported(including_emulation=False)
    return Accelerator(cpu=not cuda, mixed_precision="bf16" if fast else "no")


class _Run:
    """One call of `run`."""

    def __init__(
        self,
        model: nn.Module,
        batches: Batches,
        plan: Plan,
        folder: Path,
        accelerator: Accelerator,
    ) -> None:
        self.plan, self.folder, self.batches = plan, folder, batches
        self.accelerator = accelerator
        self.measure: Measure | None = None
        self.progress: Progress | None = None
        self.flops_per_token = self.peak = 0.0
        self.bare = model
        self.course = Course(total=plan.steps)
        self.log_path = folder / LOG
        model.to(accelerator.device)
        self.optimizer: Optimizers = build(model, plan.optimizer, plan.lr, plan.weight_decay)
        self._resume()
        self.model = cast("nn.Module", accelerator.prepare_model(model))
        self._told = False  # to stop

    def go(self) -> Outcome:
        """Step until the plan is done or a signal comes."""
        figures: Mapping[str, float] = {}
        last_save = time.monotonic()
        self.model.train()
        with self._signals():
            while self.course.total is None or self.course.step < self.course.total:
                started = time.monotonic()
                row = self._step()
                self._know_the_end(time.monotonic() - started)
                self._show()
                stopping, saving = self._agreed(time.monotonic() - last_save >= self.plan.save_s)
                last = self.course.step == self.course.total
                if self.measure and (last or self.course.step % self.plan.measure_every == 0):
                    figures = self._measured()
                    row |= {f"held_{name}": value for name, value in figures.items()}
                # Measuring is part of the time a run takes.
                self.course.seconds += time.monotonic() - started
                self._log(row | {"seconds": round(self.course.seconds, 3)})
                due = self.plan.save_every and self.course.step % self.plan.save_every == 0
                if last or due or saving or stopping:
                    self._save()
                    last_save = time.monotonic()
                if stopping and not last:
                    return Outcome(False, self.course)
        if self.measure and not figures:
            figures = self._measured()
        return Outcome(True, self.course, figures)

    def _agreed(self, saving: bool) -> tuple[bool, bool]:  # noqa: FBT001 - what one clock says
        """Whether to stop and whether to save: the same for all processes.

        The first one's clock decides, and a signal to any of them; if each went by its own, one
        would wait for ever for what another no longer does.
        """
        told = self._told
        if self.accelerator.num_processes == 1:
            return told, saving
        first = float(self.accelerator.is_main_process)
        said = [float(told), first * float(saving), first * float(self.course.total or 0)]
        heard = self.accelerator.reduce(torch.tensor(said, device=self.accelerator.device), "sum")
        stops, saves, total = heard.tolist()
        self.course.total = int(total) or None
        return stops > 0, saves > 0

    def _step(self) -> dict[str, Any]:
        """One optimizer step; the log's row for it."""
        started = time.monotonic()
        step, world = self.course.step, self.accelerator.num_processes
        inputs, targets = self.batches(step, self.accelerator.process_index, world)
        inputs, targets = (one.to(self.accelerator.device) for one in (inputs, targets))
        counted = (targets != IGNORED).sum()
        size = self.plan.micro or len(inputs)
        total = torch.zeros((), device=inputs.device)
        for start in range(0, len(inputs), size):
            last = start + size >= len(inputs)
            share = slice(start, start + size)
            # Processes exchange gradients once a step.
            waiting = contextlib.nullcontext() if last else self.accelerator.no_sync(self.model)
            with waiting:
                logits = self.model(input_ids=inputs[share]).logits
                loss = cross_entropy(
                    logits.flatten(0, 1).float(),
                    targets[share].flatten(),
                    ignore_index=IGNORED,
                    reduction="sum",
                ) / counted.clamp(min=1)
                self.accelerator.backward(loss)
            total += loss.detach()
        norm = nn.utils.clip_grad_norm_(self.bare.parameters(), self.plan.clip)
        mean = float(self.accelerator.reduce(total, "mean"))
        if not math.isfinite(mean) or not math.isfinite(float(norm)):
            raise Diverged(
                f"At step {step} the loss is {mean} and the gradient's norm {float(norm)}.",
                "Lower the learning rate (--lr), or use --optimizer adamw.",
            )
        factor = self._schedule.factor(step)
        self.optimizer.step(factor)
        seen = int(self.accelerator.reduce(counted, "sum"))
        self.course.step += 1
        self.course.tokens += seen
        speed = inputs.numel() * world / max(1e-9, time.monotonic() - started)
        row = {
            "step": self.course.step,
            "loss": mean,
            "norm": float(norm),
            "lr": self.plan.lr * factor,
            "tokens": self.course.tokens,
            "tokens_per_s": round(speed, 1),
            "processes": world,
        }
        if self.peak:
            row["mfu"] = round(speed * self.flops_per_token / (self.peak * world), 4)
        return row

    @property
    def _schedule(self) -> Schedule:
        return Schedule(self.plan.warmup, self.course.total, self.plan.decay)

    def _know_the_end(self, spent: float) -> None:
        """Fix the number of steps once the constant stretch has used up its part of the time."""
        if self.course.total is not None or self.plan.minutes is None:
            return
        used = self.course.seconds + spent
        if used >= self.plan.minutes * 60 * (1 - self.plan.decay):
            self.course.total = math.ceil(self.course.step / (1 - self.plan.decay))
            log.info("steps_decided", steps=self.course.total)

    def _show(self) -> None:
        if self.progress is None or not self.accelerator.is_main_process:
            return
        if self.plan.minutes is not None and self.course.total is None:
            self.progress(int(self.course.seconds), int(self.plan.minutes * 60))
        else:
            self.progress(self.course.step, self.course.total or 0)

    def _measured(self) -> Mapping[str, float]:
        if self.measure is None:
            return {}
        self.bare.eval()
        with torch.inference_mode(), self.accelerator.autocast():
            figures = self.measure(self.bare)
        self.bare.train()
        return figures

    def _log(self, row: Mapping[str, Any]) -> None:
        if self.accelerator.is_main_process:
            with self.log_path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    def _save(self) -> None:
        """Write a checkpoint, by the first process alone; the others wait for it."""
        if self.accelerator.is_main_process:
            state = {"course": asdict(self.course), "plan": self.plan.identity()}
            checkpoints.save(
                self.folder / "checkpoints",
                self.course.step,
                self.bare.state_dict(),
                self.optimizer.state(),
                state,
            )
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        """Take up the newest checkpoint; without one, begin."""
        self.folder.mkdir(parents=True, exist_ok=True)
        found = checkpoints.saved(self.folder / "checkpoints")
        if not found:
            if self.accelerator.is_main_process:
                self.log_path.write_text("", encoding="utf-8")
            return
        saved = checkpoints.read(found[-1])
        if saved.state["plan"] != self.plan.identity():
            changed = sorted(
                name
                for name, value in self.plan.identity().items()
                if saved.state["plan"].get(name) != value
            )
            raise PlanChanged(
                f"{self.folder} holds a run with another {', '.join(changed)}.",
                "Use the same settings to go on with it, or another folder.",
            )
        try:
            self.bare.load_state_dict(saved.weights)
            self.optimizer.restore(saved.optimizer)
        except (RuntimeError, ValueError) as error:
            raise CheckpointCorrupt(
                f"{found[-1]} belongs to a model of another shape.", "Use another folder."
            ) from error
        self.course = Course(**saved.state["course"])
        self.course.total = self.plan.steps or self.course.total
        if self.accelerator.is_main_process:
            rows = read_log(self.log_path)
            kept = [json.dumps(row) + "\n" for row in rows if row["step"] <= self.course.step]
            self.log_path.write_text("".join(kept), encoding="utf-8")
        log.info("resumed", step=self.course.step, checkpoint=str(found[-1]))

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """End after the step at hand when the process is told to stop."""

        def stop(_number: int, _frame: object) -> None:
            self._told = True

        before = {one: signal.signal(one, stop) for one in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log, without a last line that a killed process left unfinished."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):  # only ever the last line
            rows.append(json.loads(line))
    return rows


def peak_flops(device: torch.device) -> float:
    """Multiplications and additions a second that this device reaches, by multiplying matrices.

    What utilisation (MFU; Chowdhery et al. 2022, PaLM, appendix B) is a part of. Measured, since
    a shared CPU has no data sheet; a large GPU measures a little below its own.
    """
    cuda = device.type == "cuda"
    side = 8192 if cuda else 768
    kind = torch.bfloat16 if cuda else torch.float32
    # Where others compute too, only the time that was ours says what the CPU can do.
    clock = time.perf_counter if cuda else time.process_time
    one = torch.randn(side, side, device=device, dtype=kind)
    best = math.inf
    for _ in range(5):
        started = clock()
        float((one @ one)[0, 0])  # reading a value waits for a GPU
        best = min(best, clock() - started)
    return 2 * side**3 / (best if cuda else best / torch.get_num_threads())

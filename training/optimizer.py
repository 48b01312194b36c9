"""The optimizer of our own models: Muon for the matrices of the blocks, AdamW for the rest.

Knows gradients and learning rates; does not know data or models beyond the names of their
parameters. Muon (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks")
replaces each matrix's momentum by the nearest orthogonal matrix, found by Newton-Schulz
iteration. Its update is scaled as in Liu et al. 2025 ("Muon is scalable for LLM training"), so
that one learning rate and one weight decay serve both parts. AdamW is Loshchilov and Hutter
2019. `torch.optim.Muon` always iterates in bfloat16, which on a CPU without it takes a second
per matrix; this one iterates in the gradient's own format there, several matrices at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

Kind = Literal["muon", "adamw"]

_QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan et al.: steepest at zero
_STEPS = 5
_RMS = 0.2  # Liu et al.: what AdamW's updates usually measure


@dataclass(frozen=True, slots=True)
class Schedule:
    """Warm-up, a constant stretch, and a linear decay to zero (WSD; Hu et al. 2024, MiniCPM).

    All in steps. `total` None means that the end is not known yet: the constant stretch goes on.
    """

    warmup: int
    total: int | None = None
    decay: float = 0.25  # the part of all steps that the decay takes

    def factor(self, step: int) -> float:
        """What the highest learning rate is multiplied by at `step`, which counts from 0."""
        rising = min(1.0, (step + 1) / max(1, self.warmup))
        if self.total is None:
            return rising
        falling = max(1.0, self.total * self.decay)
        return min(rising, max(0.0, (self.total - step) / falling))


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal, for two-dimensional parameters."""

    def __init__(
        self,
        params: Iterable[Tensor],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure is ever passed
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
            for same in by_shape.values():
                self._update(same, group)

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        looked_ahead = []
        for parameter in parameters:
            gradient = parameter.grad
            if gradient is None:
                continue
            state = self.state[parameter]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(gradient)
            state["momentum"].lerp_(gradient, 1 - group["momentum"])
            looked_ahead.append(gradient.lerp(state["momentum"], group["momentum"]))  # Nesterov
        rows, columns = parameters[0].shape
        scale = _RMS * max(rows, columns) ** 0.5
        updates = orthogonal(torch.stack(looked_ahead))
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update.to(parameter.dtype), alpha=-group["lr"] * scale)


def orthogonal(matrices: Tensor) -> Tensor:
    """Each of `matrices`, (n, rows, columns), with its singular values brought near to 1.

    On a GPU in bfloat16, which this iteration bears and which is fast there.
    """
    a, b, c = _QUINTIC
    found: Tensor = matrices.bfloat16() if matrices.is_cuda else matrices
    wide = found.shape[-2] <= found.shape[-1]
    found = found if wide else found.mT
    found = found / (found.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_STEPS):
        gram = found @ found.mT
        found = a * found + (b * gram + c * gram @ gram) @ found
    tall: Tensor = found if wide else found.mT
    return tall.to(matrices.dtype)


class Optimizers:
    """The parts of one optimizer, stepped, saved and restored together."""

    def __init__(self, parts: list[torch.optim.Optimizer], lr: float) -> None:
        self.parts = parts
        self._lr = lr

    def step(self, factor: float) -> None:
        """Update all parameters at `factor` times the highest learning rate; forget gradients."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self._lr * factor
            part.step()
            part.zero_grad(set_to_none=True)

    def state(self) -> list[dict[str, Any]]:
        """Everything needed to go on exactly here."""
        return [part.state_dict() for part in self.parts]

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Go on where `state` was taken."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def build(model: nn.Module, kind: Kind, lr: float, weight_decay: float) -> Optimizers:
    """The optimizer of `model`. Embeddings and norms are never decayed and never orthogonal."""
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            inner = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
            (matrices if inner else rest).append(parameter)
    parts: list[torch.optim.Optimizer] = []
    if kind == "muon" and matrices:
        parts.append(Muon(matrices, lr=lr, weight_decay=weight_decay))
        matrices = []
    groups = [
        {"params": params, "weight_decay": decay}
        for params, decay in ((matrices, weight_decay), (rest, 0.0))
        if params
    ]
    if groups:
        parts.append(torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.95), eps=1e-8))
    return Optimizers(parts, lr)

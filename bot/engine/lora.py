"""Adapters: small sets of weights (LoRA, in PEFT's format) laid over the loaded model.

Knows adapter folders and the model's modules; does not know requests or when it is safe to
change the model: the caller does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bot.engine.checkpoint import first_line, read_json
from bot.errors import ModelRejected

if TYPE_CHECKING:
    import peft
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer
    from transformers import PreTrainedModel

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
TAKEN = (  # what shapes a LoRA; every other key of the file is left unread or refused
    "r",
    "lora_alpha",
    "target_modules",
    "exclude_modules",
    "rank_pattern",
    "alpha_pattern",
    "layers_to_transform",
    "layers_pattern",
    "fan_in_fan_out",
    "use_rslora",
    "use_dora",
)
REFUSED = ("modules_to_save", "layer_replication", "trainable_token_indices", "target_parameters")


class Adapters:
    """The adapters of one model, by immutable name. Not thread-safe: change it at rest."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model = model
        self._active = ""
        self._tuner: peft.LoraModel | None = None
        self.names: list[str] = []

    def add(self, name: str, folder: Path) -> None:
        """Read, check and lay over an adapter, without making it active.

        Raises `ModelRejected` for anything but a LoRA whose every tensor is finite and fits.
        """
        import peft

        config = _config(folder)
        weights = _weights(folder)
        try:
            self._inject(config, name)
            self._cast(name)
            self._check_places(name)
            wanted = set(peft.get_peft_model_state_dict(self._model, adapter_name=name))
            _same_names(set(weights), wanted)
            peft.set_peft_model_state_dict(self._model, weights, adapter_name=name)
            self._use(name)
            self._check_logits()
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            self._forget(name)
            raise ModelRejected(
                f"The adapter in {folder} does not fit the model: {first_line(error)}",
                "Use an adapter that was trained for this very base model.",
            ) from error
        finally:
            self._use(self._active)
        self.names.append(name)

    def retire(self, name: str) -> None:
        """Stop offering an adapter; it stays on the model until `remove`."""
        self.names.remove(name)

    def remove(self, name: str) -> None:
        """Take a retired adapter off the model."""
        self._forget(name)
        self.activate("" if self._active == name else self._active)

    def activate(self, name: str) -> None:
        """Make an adapter the one that counts; "" is the bare model."""
        self._use(name)
        self._active = name

    def _inject(self, config: peft.LoraConfig, name: str) -> None:
        import peft

        if self._tuner is None:
            self._tuner = peft.LoraModel(self._model, config, name)
        else:
            self._tuner.peft_config[name] = config
            self._tuner.inject_adapter(self._model, name)

    def _use(self, name: str) -> None:
        if self._tuner is not None:
            self._tuner.active_adapter = [name] if name else []
        for layer in self._layers():
            layer.set_adapter([name] if name else [], inference_mode=True)
            layer.enable_adapters(bool(name))

    def _forget(self, name: str) -> None:
        for layer in self._layers():
            layer.set_adapter([], inference_mode=True)
            layer.delete_adapter(name)
        if self._tuner is not None:
            self._tuner.peft_config.pop(name, None)

    def _layers(self) -> Iterator[BaseTunerLayer]:
        from peft.tuners.tuners_utils import BaseTunerLayer

        for module in self._model.modules():
            if isinstance(module, BaseTunerLayer):
                yield module

    def _cast(self, name: str) -> None:
        """PEFT keeps adapters in float32; mixing formats costs a conversion at every step."""
        for key, parameter in self._model.named_parameters():
            if f".{name}." in key:
                parameter.data = parameter.data.to(self._model.device, self._model.dtype)

    def _check_places(self, name: str) -> None:
        for layer in self._layers():
            if name in getattr(layer, "lora_embedding_A", {}):
                raise ValueError("it changes embeddings, which this engine keeps as they are")

    def _check_logits(self) -> None:
        import torch

        ids = torch.arange(8, device=self._model.device).unsqueeze(0)
        with torch.inference_mode():
            if not bool(self._model(ids).logits.isfinite().all()):
                raise ValueError("logits are not finite")


def _same_names(found: set[str], wanted: set[str]) -> None:
    if found != wanted:
        raise ValueError(f"they disagree about {min(found ^ wanted)}")


def _config(folder: Path) -> peft.LoraConfig:
    """A LoRA configuration from the known keys of a file. Raises `ModelRejected`."""
    import peft

    found = read_json(folder / CONFIG)
    if found.get("peft_type") != "LORA":
        raise ModelRejected(
            f"{folder / CONFIG} describes {found.get('peft_type')!r}.", "Only LoRA can be loaded."
        )
    odd = [key for key in REFUSED if found.get(key)]
    if odd or found.get("bias", "none") != "none":
        raise ModelRejected(
            f"{folder / CONFIG} sets {(odd or ['bias'])[0]}, which this engine does not serve.",
            "Train without it, or merge the adapter into its base model.",
        )
    known = {key: found[key] for key in TAKEN if found.get(key) is not None}
    try:
        return peft.LoraConfig(task_type="CAUSAL_LM", inference_mode=True, **known)
    except (TypeError, ValueError) as error:
        raise ModelRejected(
            f"{folder / CONFIG} is not a LoRA configuration: {first_line(error)}",
            "Save the adapter again with PEFT.",
        ) from error


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    """An adapter's tensors. Raises `ModelRejected`."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    if not path.is_file():
        raise ModelRejected(
            f"{path} is missing.", "Save the adapter with `save_pretrained`: safetensors only."
        )
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelRejected(
            f"{path} is damaged: {first_line(error)}", "Copy the adapter again."
        ) from error
    for name, tensor in weights.items():
        if not bool(tensor.isfinite().all()):
            raise ModelRejected(
                f"Tensor {name} in {path} holds NaN or infinite values.",
                "The training diverged: use an earlier version.",
            )
    # `PeftModel` writes its own two levels in front of every name.
    return {name.removeprefix("base_model.model."): tensor for name, tensor in weights.items()}

"""Model folders: what has to be true of one before it may serve, and loading it safely.

Knows files, configurations, weights and tokenizers; does not know requests. Nothing in a
folder is ever executed: only safetensors are read, configurations are stripped of everything
that names code, and the cleaned files are loaded from a staging folder in which nothing else
lies.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bot import models
from bot.errors import ModelRejected

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"
WEIGHTS_INDEX = "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle", "*.msgpack", "*.h5")
CONVERT = (
    "Convert it on a machine you can afford to lose: "
    "`AutoModelForCausalLM.from_pretrained(…).save_pretrained(folder)` writes safetensors."
)
# Keys that name code: a class in a Python file, a kernel or a pipeline to download and run.
HOSTILE = frozenset(
    {
        "auto_map",
        "custom_pipelines",
        "custom_generate",
        "trust_remote_code",
        "attn_implementation",
        "_attn_implementation",
        "_attn_implementation_internal",
        "_attn_implementation_autoset",
        "experts_implementation",
        "_experts_implementation",
        "_experts_implementation_internal",
        "use_kernels",
        "kernel_config",
        "compile_config",
        "continuous_batching_config",
        "_name_or_path",
        "name_or_path",
        "_commit_hash",
    }
)
JSON_FILES = ("tokenizer_config.json", "special_tokens_map.json", "generation_config.json")
PLAIN_FILES = ("tokenizer.json", "chat_template.jinja")
HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja"]
FALLBACK_TEMPLATE = """\
{%- if bos_token %}{{ bos_token }}{% endif -%}
{%- for message in messages -%}
{{ message['role'] | capitalize }}: {{ message['content'] | trim }}
{% endfor -%}
{%- if add_generation_prompt -%}
Assistant:
{%- endif -%}
"""
"""For models without a chat template: `Role: text` lines, then `Assistant:`."""
FALLBACK_STOPS = ("\nUser:", "\nSystem:", "\nAssistant:")
"""What such a model writes when it goes on with the conversation by itself."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that passed every check, ready to decode."""

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    context: int  # tokens of prompt and answer together
    stop_ids: tuple[int, ...]
    stop_strings: tuple[str, ...] = ()  # only for models without a chat template


def write_manifest(folder: Path) -> Path:
    """Write `manifest.json`: size and sha256 of every file in a model folder."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    target = folder / MANIFEST
    draft = folder / f".{MANIFEST}.tmp"
    draft.write_text(json.dumps({"version": 1, "files": files}, indent=1), encoding="utf-8")
    draft.replace(target)
    return target


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model folder whose files are there and as they should be; nothing is loaded yet."""

    name: str  # what requests call it: the folder's name, or the hub's
    folder: Path
    weights: tuple[Path, ...]


def find(source: str) -> ModelFiles:
    """Find a model by folder or Hugging Face name, and check its files. Loads no heavy library.

    Raises `ModelRejected`.
    """
    folder = find_folder(source)
    name = folder.resolve().name if Path(source).expanduser().is_dir() else source
    return ModelFiles(name, folder, tuple(check_files(folder)))


def find_folder(source: str) -> Path:
    """The folder of a model given by folder or by Hugging Face name, downloaded if need be.

    Raises `ModelRejected` when it does not exist or cannot be fetched.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or source.startswith((".", "~")) or source.count("/") > 1:
        raise ModelRejected(
            f"There is no model folder {source}.",
            "Give a folder with config.json and safetensors, or a Hugging Face name.",
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(source, allow_patterns=HUB_FILES))
    except HFValidationError as error:
        raise ModelRejected(
            f"{source!r} is neither a folder nor a Hugging Face name.", "Check engine.model."
        ) from error
    except LocalEntryNotFoundError as error:
        raise ModelRejected(
            f"{source} is not on this machine, and the Hugging Face hub cannot be reached.",
            "Copy the model into a folder and set engine.model to it, or go online once.",
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise ModelRejected(
            f"The Hugging Face hub does not give out {source} ({type(error).__name__}).",
            "Check the name; a gated model needs `hf auth login` first.",
        ) from error


def check_files(folder: Path) -> list[Path]:
    """Check what can be checked without loading; return the weight files.

    Raises `ModelRejected` for a missing or broken configuration, weights that are missing or
    not safetensors, an adapter in place of a model, or a file that differs from the manifest.
    """
    for name in ("config.json", "tokenizer.json"):
        if name == "config.json" and (folder / "adapter_config.json").exists():
            raise ModelRejected(
                f"{folder} holds an adapter, not a model.",
                "Set engine.model to its base and load the adapter over the API.",
            )
        if not (folder / name).is_file():
            raise ModelRejected(
                f"{folder / name} is missing.",
                "Save model and tokenizer with `save_pretrained` into the same folder.",
            )
    weights = _weight_files(folder)
    _check_manifest(folder, weights)
    models.verify(folder)  # one of our own making tells its files in a manifest of another kind
    return weights


def load(files: ModelFiles, *, device: str = "cpu", dtype: torch.dtype | None = None) -> Checkpoint:
    """Load a model without running anything of its folder, and check what was loaded.

    `dtype` None keeps the stored number format. Raises `ModelRejected`, which names the file
    and the remedy.
    """
    folder = files.folder
    with tempfile.TemporaryDirectory(prefix="deskhand-model-") as staged:
        _stage(folder, files.weights, Path(staged))
        model = _load_model(folder, Path(staged), device, dtype)
        tokenizer = _load_tokenizer(folder, Path(staged))
    _check_weights(folder, model)
    _check_tokenizer(folder, model, tokenizer)
    plain = tokenizer.chat_template is None
    if plain:
        tokenizer.chat_template = FALLBACK_TEMPLATE
    _check_logits(folder, model, tokenizer)
    return Checkpoint(
        name=files.name,
        model=model,
        tokenizer=tokenizer,
        context=int(getattr(model.config.get_text_config(), "max_position_embeddings", 2048)),
        stop_ids=tuple(sorted(_stop_ids(model, tokenizer))),
        stop_strings=FALLBACK_STOPS if plain else (),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises `ModelRejected`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelRejected(f"{path} is not readable JSON.", "Copy the model again.") from error
    if not isinstance(found, dict):
        raise ModelRejected(f"{path} is not a JSON object.", "Copy the model again.")
    return found


def _weight_files(folder: Path) -> list[Path]:
    index = folder / WEIGHTS_INDEX
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not index.is_file():
        pickles = [path.name for pattern in PICKLES for path in sorted(folder.glob(pattern))]
        if pickles:
            raise ModelRejected(
                f"{folder} holds its weights as {pickles[0]}, a format that can run code when "
                "it is read.",
                CONVERT,
            )
        raise ModelRejected(f"{folder / WEIGHTS} is missing.", "Copy the model again.")
    names = read_json(index).get("weight_map", {})
    shards = sorted(set(names.values())) if isinstance(names, dict) else []
    for name in shards:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelRejected(
                f"{index} names {name!r}, which is not a safetensors file beside it."
            )
        if not (folder / name).is_file():
            raise ModelRejected(f"{folder / name} is missing.", "Copy the model again.")
    if not shards:
        raise ModelRejected(f"{index} names no weight file.", "Copy the model again.")
    return [index, *(folder / name for name in shards)]


def _check_manifest(folder: Path, weights: Sequence[Path]) -> None:
    path = folder / MANIFEST
    if not path.is_file():
        return
    listed = read_json(path).get("files", {})
    for name, expected in listed.items():
        file = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ModelRejected(f"{path} names {name!r}, outside the model's folder.")
        if not file.is_file() or _sha256(file) != expected.get("sha256"):
            raise ModelRejected(
                f"{file} is not the file that {MANIFEST} describes.", "Copy the model again."
            )
    for file in (*weights, folder / "config.json", folder / "tokenizer.json"):
        if file.relative_to(folder).as_posix() not in listed:
            raise ModelRejected(
                f"{file} is not listed in {MANIFEST}.",
                "Copy the model again, or write a new manifest if you changed it on purpose.",
            )


def _clean(value: object) -> object:
    """A configuration without the keys that name code, at any depth."""
    if isinstance(value, dict):
        return {key: _clean(one) for key, one in value.items() if key not in HOSTILE}
    if isinstance(value, list):
        return [_clean(one) for one in value]
    return value


def _stage(folder: Path, weights: Sequence[Path], staged: Path) -> None:
    """Lay out links to the weights and cleaned copies of the rest in an empty folder."""
    config = read_json(folder / "config.json")
    if "quantization_config" in config:
        raise ModelRejected(
            f"{folder / 'config.json'} describes quantised weights; this engine runs none.",
            "Serve it with vLLM or SGLang and set engine.url, or use the unquantised model.",
        )
    (staged / "config.json").write_text(json.dumps(_clean(config)), encoding="utf-8")
    for name in JSON_FILES:
        if (folder / name).is_file():
            cleaned = _clean(read_json(folder / name))
            (staged / name).write_text(json.dumps(cleaned), encoding="utf-8")
    for name in PLAIN_FILES:
        if (folder / name).is_file():
            (staged / name).write_bytes((folder / name).read_bytes())
    for path in weights:
        (staged / path.name).symlink_to(path.resolve())


def _load_model(
    folder: Path, staged: Path, device: str, dtype: torch.dtype | None
) -> PreTrainedModel:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(staged, trust_remote_code=False, local_files_only=True)
        # Typed as a model alone, which `output_loading_info` makes untrue.
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            staged,
            config=config,
            dtype=dtype or "auto",
            attn_implementation="sdpa",
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
        model, report = loaded
        model = model.to(torch.device(device)).eval()
    except (ValueError, KeyError, OSError, RuntimeError, TypeError, SafetensorError) as error:
        # The library raises all of these for folders it cannot make sense of.
        raise ModelRejected(
            f"{folder} cannot be loaded: {first_line(error)}",
            "The engine runs causal language models that transformers knows by itself.",
        ) from error
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if keys := sorted(map(str, report.get(kind, ()))):
            raise ModelRejected(
                f"The weights in {folder} have {kind.replace('_keys', '')} tensors: "
                f"{', '.join(keys[:3])}{' …' if len(keys) > 3 else ''}.",
                "config.json and the weights do not belong together: copy the model again.",
            )
    return cast("PreTrainedModel", model)


def _load_tokenizer(folder: Path, staged: Path) -> PreTrainedTokenizerFast:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            staged, trust_remote_code=False, local_files_only=True, use_fast=True
        )
    except Exception as error:  # what the library raises, bare, for files it cannot parse
        raise ModelRejected(
            f"{folder / 'tokenizer.json'} cannot be loaded: {first_line(error)}",
            "Save the tokenizer again with `save_pretrained`.",
        ) from error
    return cast("PreTrainedTokenizerFast", tokenizer)


def first_line(error: Exception) -> str:
    """What a library said, short enough for a message."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0][:200] if said else ''}"


def _tensors(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _check_weights(folder: Path, model: PreTrainedModel) -> None:
    for name, tensor in _tensors(model):
        if tensor.is_meta or (tensor.is_floating_point() and not bool(tensor.isfinite().all())):
            raise ModelRejected(
                f"Tensor {name} in {folder} holds NaN or infinite values.",
                "The training diverged or the file is damaged: use an earlier version.",
            )


def _check_tokenizer(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    rows = cast("torch.nn.Embedding", model.get_input_embeddings()).weight.shape[0]
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if not 0 <= highest < rows:
        raise ModelRejected(
            f"{folder / 'tokenizer.json'} knows token {highest}, but the model embeds only {rows}.",
            "It is another model's tokenizer: copy both from the same place.",
        )


def _check_logits(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    """One forward pass over a short conversation has to give finite logits."""
    import torch

    from bot.engine.prompt_ids import encode
    from bot.types import Turn

    ids = encode(tokenizer, [Turn("system", "Be brief."), Turn("user", "Hello, is it open today?")])
    with torch.inference_mode():
        logits = model(torch.tensor([ids], device=model.device)).logits
    if not bool(logits.isfinite().all()):
        raise ModelRejected(
            f"The model in {folder} answers with logits that are not finite.",
            "The file is damaged or its number format overflows: try engine.dtype=float32.",
        )


def _stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> set[int]:
    """Every id that any of the files calls an end."""
    found: set[int] = set()
    for one in (
        model.generation_config.eos_token_id if model.generation_config else None,
        model.config.get_text_config().eos_token_id,
        tokenizer.eos_token_id,
    ):
        found |= set(one) if isinstance(one, list | tuple) else {one} if one is not None else set()
    return {int(one) for one in found if one is not None and int(one) >= 0}

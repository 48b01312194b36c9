"""The result of training on disk: an ordinary Hugging Face folder, its manifest and its card.

Knows which files a model consists of; does not know how it was trained. Whatever loads Llama
models loads this folder: transformers, PEFT, TRL, vLLM.
"""

from __future__ import annotations

import copy
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bot import models
from bot.models import ModelManifest
from training.tokenizer import END_OF_TEXT, END_OF_TURN

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

GIT_S = 10.0


def write(
    folder: Path,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    manifest: ModelManifest,
    *,
    pictures: Mapping[str, str] | None = None,
) -> ModelManifest:
    """Write weights (safetensors, bfloat16), tokenizer, chat template and manifest.

    The folder appears whole; one that was there before is replaced. `pictures` are SVG texts by
    file name. Returns the manifest with hashes and version; the card is written by
    `write_card`, since it tells them.
    """
    from transformers import GenerationConfig
    from transformers.utils import logging

    talk: Any = logging  # not typed
    talk.disable_progress_bar()
    draft = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    shipped = copy.deepcopy(model).to(torch.bfloat16)  # type: ignore[arg-type]  # typed for Self alone
    ends = [tokenizer.convert_tokens_to_ids(one) for one in (END_OF_TURN, END_OF_TEXT)]
    make: Any = GenerationConfig  # not typed
    shipped.generation_config = make(
        do_sample=False, eos_token_id=ends, pad_token_id=tokenizer.pad_token_id
    )
    shipped.save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    for name, picture in (pictures or {}).items():
        (draft / name).write_text(picture, encoding="utf-8")
    for path in draft.iterdir():
        path.chmod(0o644)  # the library keeps weights to their owner
    whole = models.write(draft, manifest)
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    return whole


def write_card(folder: Path, card: str) -> None:
    """Write the model card, Markdown for people."""
    (folder / models.CARD).write_text(card, encoding="utf-8")


def commit() -> str:
    """The commit of this project's code, or "" where it does not run from a checkout."""
    here = Path(__file__).resolve().parent
    git = shutil.which("git")
    if git is None:
        return ""
    found = subprocess.run(  # noqa: S603 - a fixed command
        [git, "rev-parse", "HEAD"],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=GIT_S,
        check=False,
    )
    return found.stdout.strip() if found.returncode == 0 else ""

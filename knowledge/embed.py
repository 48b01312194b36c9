"""Texts to vectors.

Knows embedding models: the bundled one through a lean forward pass of our own, any other
sentence-transformers model through that library. Knows nothing of passages or indexes.
"""

from __future__ import annotations

import bisect
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from knowledge import weights
from knowledge.errors import EmbedderUnusable

if TYPE_CHECKING:
    from tokenizers import Encoding

    from knowledge.bert import Precision

FloatArray = npt.NDArray[np.float32]

CACHE_BYTES = 32 * 2**20
SHORT = 24  # tokens: up to here a batch is a query, and reading the weights takes the time
BATCH_TOKENS = 1024  # padded tokens in one forward pass; more no longer fits the caches
OVERLAP = 32  # tokens that windows of a long text share where no sentence ends
HEADING = 64  # tokens of a heading that each window repeats
BORDER = re.compile(r"\n+|(?<=[.!?])\s+|(?<=[。！？])")


@dataclass(frozen=True, slots=True)
class TokenVectors:
    """One text's vectors from one forward pass. Special tokens are left out of the rows."""

    ids: npt.NDArray[np.int32]  # (t,) the model's token ids
    vectors: FloatArray  # (t, dim) unit rows
    pooled: FloatArray  # (dim,) the text's own unit vector, as `encode` gives it


class Embedder(Protocol):
    """Whatever turns texts into unit vectors. Safe to call from several threads."""

    name: str
    dim: int

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same text could get another vector."""
        ...

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) unit rows of texts to be found. Longer than the model sees: cut off."""
        ...

    def encode_query(self, text: str) -> FloatArray:
        """(dim,) unit vector of a text to search with. Recent ones are remembered."""
        ...

    def encode_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """Token vectors of texts to be found, for late interaction."""
        ...

    def query_tokens(self, text: str) -> TokenVectors:
        """Token vectors of a text to search with; `pooled` is what `encode_query` returns."""
        ...

    def windows(self, text: str, heading: str = "") -> list[str]:
        """Cut `text` into overlapping pieces that the model sees whole, each under `heading`."""
        ...


def load_embedder(
    name: str, *, threads: int | None = None, precision: Precision | None = None
) -> Embedder:
    """Load a sentence-transformers model by name or folder.

    `threads` is how many threads one operation may use (default: cores - 1, at least 1).
    `precision` None takes whatever this machine runs fastest; only the lean path heeds it.
    Raises `EmbedderUnusable`.
    """
    count = threads or max(1, (os.cpu_count() or 2) - 1)
    folder = weights.find(name)
    settings = _lean_settings(folder, name)
    if settings is None:
        return SentenceTransformerEmbedder(name, folder, count)
    return LeanEmbedder(name, folder, settings, count, precision)


@dataclass(frozen=True, slots=True)
class _Lean:
    """What the lean path reads from a model's JSON files."""

    hidden: int
    wide: int
    heads: int
    layers: int
    epsilon: float
    longest: int  # tokens, the special ones included


def _lean_settings(folder: Path, name: str) -> _Lean | None:
    """Settings for the lean path if this is plain BERT with mean pooling, else None.

    Everything the lean path relies on is checked, so an unusual model takes the slow road
    rather than giving slightly wrong vectors.
    """
    config = weights.read_json(folder / "config.json", name) or {}
    modules = weights.read_json(folder / "modules.json", name) or []
    pooling = weights.read_json(folder / "1_Pooling" / "config.json", name) or {}
    sentence = weights.read_json(folder / "sentence_bert_config.json", name) or {}
    prompts = weights.read_json(folder / "config_sentence_transformers.json", name) or {}
    kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
    modes = {key for key, on in pooling.items() if key.startswith("pooling_mode") and on}
    plain = (
        config.get("model_type") == "bert"
        and config.get("hidden_act") == "gelu"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and kinds in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
        and (modes == {"pooling_mode_mean_tokens"} or pooling.get("pooling_mode") == "mean")
        and pooling.get("include_prompt", True)
        and not any((prompts.get("prompts") or {}).values())
        and not sentence.get("do_lower_case")
        and (folder / "model.safetensors").is_file()
        and (folder / "tokenizer.json").is_file()
    )
    longest = sentence.get("max_seq_length") or config.get("max_position_embeddings")
    if not plain or not longest:
        return None
    return _Lean(
        hidden=config["hidden_size"],
        wide=config["intermediate_size"],
        heads=config["num_attention_heads"],
        layers=config["num_hidden_layers"],
        epsilon=config["layer_norm_eps"],
        longest=longest,
    )


class LeanEmbedder:
    """BERT with mean pooling, without the general machinery around it.

    Agrees with `SentenceTransformer.encode` in fp32 to a cosine above .999.
    """

    def __init__(
        self, name: str, folder: Path, settings: _Lean, threads: int, precision: Precision | None
    ) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        from knowledge import bert

        self.name = name
        self.dim = settings.hidden
        self._folder = folder
        self._longest = settings.longest
        self._threads = threads
        self._cache = QueryCache(CACHE_BYTES)
        shape = bert.Shape(settings.hidden, settings.heads, settings.layers, settings.epsilon)
        self._whole = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._whole.no_padding()
        self._whole.no_truncation()
        self._cut = Tokenizer.from_str(self._whole.to_str())
        self._cut.enable_truncation(settings.longest)
        try:
            tensors = {
                key.removeprefix("bert."): tensor
                for key, tensor in load_file(folder / "model.safetensors").items()
            }
            with bert.threads(threads):
                few = precision or bert.fastest(SHORT // 2, settings.hidden, settings.wide)
                many = precision or bert.fastest(SHORT * 6, settings.hidden, settings.wide)
                self._long = bert.Bert(tensors, shape, many)
                self._short = self._long if few == many else bert.Bert(tensors, shape, few)
        except (SafetensorError, OSError, KeyError, RuntimeError) as error:
            raise EmbedderUnusable(
                f"The embedding model {name!r} has unusable weights in {folder}: {error}.",
                "Fetch the model again.",
            ) from None

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the model's files."""
        return weights.fingerprint(self._folder)

    @property
    def precision(self) -> tuple[str, str]:
        """The number formats in use for short and for long inputs."""
        return self._short.precision.value, self._long.precision.value

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) unit rows; one row per text, in order."""
        pooled = np.empty((len(texts), self.dim), np.float32)
        for where, _, _, vectors in self._batches(texts):
            pooled[where] = vectors
        return _finite(pooled, self.name)

    def encode_query(self, text: str) -> FloatArray:
        """(dim,) unit vector."""
        return self.query_tokens(text).pooled

    def encode_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """One `TokenVectors` per text, in order."""
        found: dict[int, TokenVectors] = {}
        for where, encodings, hidden, pooled in self._batches(texts):
            for row, place in enumerate(where):
                encoding = encodings[row]
                real = ~np.asarray(encoding.special_tokens_mask, bool)
                vectors = _unit(hidden[row, : len(real)][real])
                ids = np.asarray(encoding.ids, np.int32)[real]
                found[place] = TokenVectors(
                    ids, _finite(vectors, self.name), _finite(pooled[row], self.name)
                )
        return [found[place] for place in range(len(texts))]

    def query_tokens(self, text: str) -> TokenVectors:
        """Token vectors of one query, from the cache where possible."""
        return self._cache.get(text, lambda: self.encode_tokens([text])[0])

    def windows(self, text: str, heading: str = "") -> list[str]:
        """Pieces of at most the model's length, each with the heading before it."""
        return _windows(text, heading, self._longest - 2, self._spans)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = self._whole.encode(text, add_special_tokens=False).offsets
        return spans

    def _batches(
        self, texts: Sequence[str]
    ) -> Iterator[tuple[list[int], list[Encoding], FloatArray, FloatArray]]:
        """Forward passes over texts of like length: (places, encodings, hidden, pooled)."""
        import torch

        from knowledge import bert

        encodings = [self._cut.encode(text) for text in texts]
        order = sorted(range(len(texts)), key=lambda place: len(encodings[place].ids))
        while order:
            # The longest go first, so a too small machine fails at once and not at the end.
            longest = len(encodings[order[-1]].ids)
            size = max(1, BATCH_TOKENS // longest)
            where, order = order[-size:], order[:-size]
            batch = [encodings[place] for place in where]
            ids = torch.zeros((len(batch), longest), dtype=torch.long)
            mask = torch.zeros((len(batch), longest), dtype=torch.bool)
            for row, encoding in enumerate(batch):
                count = len(encoding.ids)
                ids[row, :count] = torch.tensor(encoding.ids)
                mask[row, :count] = True
            model = self._short if ids.numel() <= SHORT else self._long
            with bert.threads(self._threads), torch.inference_mode():
                hidden = model(ids, None if bool(mask.all()) else mask)
                hidden *= mask[..., None]  # padded places count for nothing in the mean
                pooled = hidden.sum(1) / mask.sum(1, keepdim=True)
            yield where, batch, hidden.numpy(), _unit(pooled.numpy())


class SentenceTransformerEmbedder:
    """Any sentence-transformers model, with its own pooling and its prompts where it has them."""

    def __init__(self, name: str, folder: Path, threads: int) -> None:
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer

        try:
            self._model = SentenceTransformer(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except (SafetensorError, OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise EmbedderUnusable(
                f"The embedding model {name!r} in {folder} cannot be loaded: {error}.",
                "Fetch the model again: a sentence-transformers model with safetensors weights.",
            ) from None
        self._model.eval()
        self.name = name
        self.dim = int(self._model.get_embedding_dimension() or 0)
        self._folder = folder
        self._threads = threads
        # Fast tokenizers change their own padding state while they run.
        self._lock = threading.Lock()
        self._cache = QueryCache(CACHE_BYTES)

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the model's files."""
        return weights.fingerprint(self._folder)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) unit rows, with the model's document prompt if it has one."""
        if not texts:
            return np.empty((0, self.dim), np.float32)
        rows = self._run(
            self._model.encode_document, list(texts), output_value="sentence_embedding"
        )
        return _finite(_unit(np.asarray(rows, np.float32)), self.name)

    def encode_query(self, text: str) -> FloatArray:
        """(dim,) unit vector, with the model's query prompt if it has one."""
        return self.query_tokens(text).pooled

    def encode_tokens(self, texts: Sequence[str]) -> list[TokenVectors]:
        """One `TokenVectors` per text, in order, with the document prompt."""
        if not texts:
            return []
        return [
            self._tokens(output)
            for output in self._run(self._model.encode_document, list(texts), output_value=None)
        ]

    def query_tokens(self, text: str) -> TokenVectors:
        """Token vectors of one query, with the query prompt, from the cache where possible."""

        def compute() -> TokenVectors:
            output = self._run(self._model.encode_query, [text], output_value=None)
            return self._tokens(output[0])

        return self._cache.get(text, compute)

    def windows(self, text: str, heading: str = "") -> list[str]:
        """Pieces of at most the model's length, each with the heading before it."""
        longest = self._model.get_max_seq_length()
        if not longest or not getattr(self._model.tokenizer, "is_fast", False):
            return [f"{heading}\n{text}" if heading else text]
        prompt = (self._model.prompts or {}).get("document") or ""
        room = longest - 4 - len(self._spans(prompt))
        return _windows(text, heading, room, self._spans)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        with self._lock:
            spans: list[tuple[int, int]] = self._model.tokenizer(
                text,
                add_special_tokens=False,
                truncation=False,
                return_offsets_mapping=True,
                verbose=False,
            )["offset_mapping"]
        return spans

    def _run(self, method: Callable[..., Any], texts: list[str], **options: Any) -> Any:  # noqa: ANN401 - the library's own types
        from knowledge import bert

        with self._lock, bert.threads(self._threads):
            return method(texts, batch_size=32, show_progress_bar=False, **options)

    def _tokens(self, output: dict[str, Any]) -> TokenVectors:
        ids = output["input_ids"].cpu().numpy().astype(np.int32)
        real = output["attention_mask"].cpu().numpy().astype(bool)
        real &= ~np.isin(ids, self._model.tokenizer.all_special_ids)
        vectors = output["token_embeddings"].float().cpu().numpy()[: len(ids)][real]
        pooled = output["sentence_embedding"].float().cpu().numpy()
        return TokenVectors(
            ids[real], _finite(_unit(vectors), self.name), _finite(_unit(pooled), self.name)
        )


def _windows(
    text: str, heading: str, room: int, spans_of: Callable[[str], list[tuple[int, int]]]
) -> list[str]:
    """Pieces of `text` of at most `room` tokens, together with the heading.

    They end where a sentence or line does, and only overlap where none ends. The heading is cut
    to `HEADING` tokens: a longer one would push the text out.
    """
    if heading:
        spans = spans_of(heading)
        longest = min(HEADING, room // 2)
        if len(spans) > longest:
            heading = heading[: spans[longest - 1][1]]
        room -= min(len(spans), longest) + 1  # one spare: joining can change a token
    spans = spans_of(text)
    borders = [match.end() for match in BORDER.finditer(text)]
    pieces = []
    begin = 0  # token
    while begin + room < len(spans):
        start, end = spans[begin][0] if begin else 0, spans[begin + room - 1][1]
        # Cut after the last sentence or line that ends in the second half, if there is one.
        place = bisect.bisect_right(borders, end)
        if place and borders[place - 1] > spans[begin + room // 2][0]:
            end = borders[place - 1]
            following = bisect.bisect_left(spans, end, key=lambda span: span[0])
        else:
            following = begin + max(1, room - OVERLAP)
        pieces.append(text[start:end])
        begin = following
    pieces.append(text[spans[begin][0] :] if begin else text)
    return [f"{heading}\n{piece}" if heading else piece for piece in pieces]


def _unit(rows: FloatArray) -> FloatArray:
    """Rows (or one vector) scaled to length 1; a zero row stays zero."""
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: FloatArray = (rows / np.maximum(lengths, 1e-12)).astype(np.float32, copy=False)
    return scaled


def _finite(rows: FloatArray, name: str) -> FloatArray:
    if not np.isfinite(rows).all():
        raise EmbedderUnusable(
            f"The embedding model {name!r} gave numbers that are not finite.",
            "Its weights are damaged: fetch the model again, or use another.",
        )
    return rows


class QueryCache:
    """The most recently used queries, up to a number of bytes. Safe in several threads."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, TokenVectors] = OrderedDict()

    def get(self, text: str, compute: Callable[[], TokenVectors]) -> TokenVectors:
        """The remembered vectors, else computed ones. Two threads may compute the same."""
        with self._lock:
            if text in self._kept:
                self._kept.move_to_end(text)
                return self._kept[text]
        made = compute()
        for array in (made.ids, made.vectors, made.pooled):
            array.flags.writeable = False  # shared by everybody who asks the same
        with self._lock:
            if text not in self._kept:
                self._kept[text] = made
                self._room -= _size(text, made)
            while self._room < 0:
                old, gone = self._kept.popitem(last=False)
                self._room += _size(old, gone)
        return made


def _size(text: str, made: TokenVectors) -> int:
    return len(text) * 4 + made.ids.nbytes + made.vectors.nbytes + made.pooled.nbytes + 500

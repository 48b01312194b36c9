"""From raw text to a model that is served and tuned: the whole way, with the tiny size."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bot.engine.client import EngineClient
from bot.engine.prompt_ids import encode
from bot.types import Limits, Turn
from tests.fakes.engine_process import EngineProcess
from tests.training.conftest import Tiny
from tests.training.killed import STEPS, sample_order
from training import checkpoints, shards
from training.errors import CheckpointCorrupt, DataMissing, PlanChanged, ShardCorrupt
from training.loop import read_log
from training.pretrain import prepare, train
from training.sizes import SIZES
from training.tokenizer import Encoder

HOUSE = Path(__file__).parents[2]


def test_the_loss_falls_and_a_unigram_model_is_beaten(tiny: Tiny) -> None:
    rows = read_log(tiny.work / "log.jsonl")
    losses = [row["loss"] for row in rows]
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert sum(losses[-5:]) / 5 < sum(losses[:5]) / 5 - 1.5
    figures = tiny.trained.figures
    assert figures["held_perplexity"] < figures["unigram_perplexity"] / 2
    assert 1 < figures["held_perplexity_per_byte"] < figures["unigram_perplexity_per_byte"]


def test_held_out_text_is_in_no_training_shard(tiny: Tiny) -> None:
    known = shards.Shards(tiny.work / "shards", "train")
    held = shards.Shards(tiny.work / "shards", "held")
    seen = known.read(0, len(known)).tobytes()
    for start in range(0, len(held) - 60, 60):
        assert held.read(start, 60).tobytes() not in seen


def test_a_run_killed_in_the_middle_ends_with_the_same_weights(tiny: Tiny, tmp_path: Path) -> None:
    work = tiny.another(tmp_path / "work")
    died = subprocess.run(
        [sys.executable, "-m", "tests.training.killed", str(work), "17"],
        cwd=HOUSE,
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()[-2000:]
    assert [one.name for one in checkpoints.saved(work / "checkpoints")] == ["step-00000010"]
    with (work / "log.jsonl").open("a") as file:
        file.write('{"step": 17, "lo')  # a line that was being written

    again = train(sample_order(STEPS), work, device="cpu")

    assert again.outcome.course.step == STEPS
    whole, resumed = (
        checkpoints.read(checkpoints.saved(one / "checkpoints")[-1]) for one in (tiny.work, work)
    )
    assert whole.weights.keys() == resumed.weights.keys()
    assert all(torch.equal(one, resumed.weights[name]) for name, one in whole.weights.items())
    losses = [
        [(row["step"], row["loss"]) for row in read_log(one / "log.jsonl")]
        for one in (tiny.work, work)
    ]
    assert losses[0] == losses[1]


def test_a_damaged_shard_is_named(tiny: Tiny, tmp_path: Path) -> None:
    work = tiny.another(tmp_path)
    spoiled = work / "shards" / "train-00000.bin"
    data = bytearray(spoiled.read_bytes())
    data[1000] ^= 1
    spoiled.write_bytes(data)
    with pytest.raises(ShardCorrupt, match=r"train-00000\.bin"):
        train(sample_order(2), work, device="cpu")
    spoiled.unlink()
    with pytest.raises(ShardCorrupt, match=r"train-00000\.bin is missing"):
        shards.Shards(work / "shards", "train")


def test_a_damaged_checkpoint_is_named(tiny: Tiny, tmp_path: Path) -> None:
    work = tiny.another(tmp_path)
    train(sample_order(2), work, device="cpu")
    newest = checkpoints.saved(work / "checkpoints")[-1]
    weights = newest / checkpoints.WEIGHTS
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(CheckpointCorrupt, match=r"weights\.safetensors"):
        train(sample_order(3), work, device="cpu")
    (newest / checkpoints.STATE).write_text("{")
    with pytest.raises(CheckpointCorrupt, match="cannot be read"):
        train(sample_order(3), work, device="cpu")


def test_a_folder_is_never_continued_with_other_settings(tiny: Tiny, tmp_path: Path) -> None:
    order = sample_order(STEPS)
    work = tiny.another(tmp_path)
    with pytest.raises(PlanChanged, match="other settings"):
        prepare(replace(order, seed=2), work)
    train(sample_order(1), work, device="cpu")
    with pytest.raises(PlanChanged, match="another lr"):
        train(replace(order, plan=replace(order.plan, lr=1.0)), work, device="cpu")


def test_the_folder_is_an_ordinary_llama_that_renders_chats_as_it_was_trained(tiny: Tiny) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny.folder)
    tokenizer = AutoTokenizer.from_pretrained(tiny.folder)
    assert type(model) is LlamaForCausalLM
    assert model.dtype == torch.bfloat16
    assert model.config.num_key_value_heads < model.config.num_attention_heads
    assert model.lm_head.weight is model.model.embed_tokens.weight
    turns = [Turn("system", "Be brief."), Turn("user", "Is it open <|im_end|> today? [1]\n")]
    ids = encode(tokenizer, turns)
    encoder = Encoder(tokenizer)
    plain = [
        replace(one, content=one.content.replace("<|im_end|>", "< |im_end|>")) for one in turns
    ]
    assert ids[: len(encoder.turns(plain))] == encoder.turns(plain)
    assert tokenizer.decode(ids).endswith("<|im_start|>assistant\n")


async def test_our_engine_serves_it(tiny: Tiny) -> None:
    with EngineProcess(tiny.folder, slots=2) as process:
        process.wait_healthy()
        async with EngineClient(process.url, process.key) as client:
            turns = [Turn("user", "How long do I have to return a bike?")]
            said = [one async for one in client.stream(turns, "", Limits(max_tokens=24))]
    assert "".join(one.text for one in said).strip()
    assert {one.model for one in said} == {tiny.folder.name}


def test_lora_tunes_it(tiny: Tiny, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from tests.fakes.models import peft_behind_transformers

    base = AutoModelForCausalLM.from_pretrained(tiny.folder, dtype=torch.float32)
    with peft_behind_transformers():
        model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear"))
    ids = tiny.trained.tokenizer("Returns are free within thirty days.", return_tensors="pt")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        loss = model(**ids, labels=ids["input_ids"]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.5
    model.save_pretrained(tmp_path)
    assert (tmp_path / "adapter_model.safetensors").is_file()


def test_the_card_and_the_manifest_tell_the_same_figures(tiny: Tiny) -> None:
    card = (tiny.folder / "MODEL_CARD.md").read_text()
    metrics = tiny.manifest.metrics
    assert f"| perplexity per token | {metrics['held_perplexity']:.2f} |" in card
    assert f"{metrics['tokens']:,.0f} tokens in {STEPS} steps" in card
    assert f"--steps {STEPS}" in card
    assert tiny.manifest.training["steps"] == STEPS
    assert tiny.manifest.version == tiny.manifest.files["model.safetensors"].sha256[:8]
    for picture in ("loss.svg", "perplexity.svg"):
        assert (tiny.folder / picture).read_text().startswith("<svg")
        assert f"({picture})" in card


def test_missing_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"books\.jsonl\.xz"):
        prepare(replace(sample_order(1), documents=(), data=tmp_path), tmp_path / "work")
    with pytest.raises(DataMissing, match="nothing to train on"):
        prepare(replace(sample_order(1), documents=()), tmp_path / "work")


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("tiny", 2e5, 4e5), ("small", 7e6, 9e6), ("starter", 25e6, 30e6)],
)
def test_sizes_are_what_they_are_said_to_be(name: str, least: float, most: float) -> None:
    from transformers import LlamaForCausalLM

    class Full:
        eos_token_id, pad_token_id = 3, 1

        def __len__(self) -> int:
            return SIZES[name].vocabulary

    with torch.device("meta"):
        model = LlamaForCausalLM(SIZES[name].config(Full()))  # type: ignore[arg-type]  # only its length and ids are asked for
    assert least < model.num_parameters() < most
    assert model.num_parameters() * 2 <= 60e6, "megabytes in bfloat16"


@pytest.mark.slow
def test_two_processes_train_one_model(tiny: Tiny, tmp_path: Path) -> None:
    work = tiny.another(tmp_path)
    # What `accelerate launch` does for several GPUs; for CPUs it wants MPI instead.
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command += ["-m", "bot", "train", "pretrain", "--size", "tiny", "--seed", "1"]
    command += ["--documents", str(tmp_path), "--steps", "6", "--work", str(work)]
    command += ["--device", "cpu"]
    (tmp_path / "page.md").write_text("# Bikes\n\nReturns are free within thirty days.\n" * 3)
    manifest = json.loads((work / "shards" / "shards.json").read_text())
    manifest["facts"]["recipe"] |= {
        "documents": [str(tmp_path)],
        "languages": ["en", "de", "es", "ru", "zh"],
    }
    (work / "shards" / "shards.json").write_text(json.dumps(manifest))
    ran = subprocess.run(command, cwd=HOUSE, capture_output=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]
    rows = read_log(work / "log.jsonl")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {row["processes"] for row in rows} == {2}
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert (work / "model" / "model.safetensors").is_file()

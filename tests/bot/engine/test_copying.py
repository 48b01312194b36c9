"""Copying is helped where a rare string of the passages has begun, and only there."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.engine.client import EngineClient
from bot.engine.copying import STRENGTH, CopySource, Spelling
from bot.types import Limits, Turn
from tests.fakes.engine_process import EngineProcess
from tests.fakes.models import LESSONS, make_tokenizer

PASSAGES = """\
<passage number="1" title="Errors">
Error E07 means low voltage; call +44 20 7946 0958 or see https://packwren.example/help/e07.
The CargoLift-2 carries 180 kg. A refund takes 14 days. 质保期为36个月。
</passage>"""


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer(400)


@pytest.fixture(scope="module")
def spelling(tokenizer: Any) -> Spelling:
    return Spelling.of(tokenizer, 420)


@pytest.fixture(scope="module")
def source(spelling: Spelling, tokenizer: Any) -> CopySource:
    return CopySource.of(PASSAGES, spelling, tokenizer)


def write(source: CopySource, scores: torch.Tensor, said: list[int], steps: int) -> list[int]:
    """What a model of these scores (steps, vocabulary) writes after `said`, greedily."""
    copier = source.begin(said)
    made = []
    for row in scores[:steps].clone():
        copier.steer(row)
        made.append(int(row.argmax()))
        copier.advance(made[-1])
    return made


def test_tokens_are_spelt_as_they_read_after_other_text(spelling: Spelling, tokenizer: Any) -> None:
    ids = tokenizer.encode("Returns are free, see 商店 for 30 days.")

    said = "".join(spelling.texts[one] for one in ids)
    assert said.startswith("Returns are free, see ")
    assert said.endswith(" for 30 days.")
    assert spelling.texts[tokenizer.eos_token_id] == ""
    assert len(spelling.texts) == 420


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        ("Write E", "07"),
        ("at https", "://packwren.example/help/e07"),
        ("call +44", " 20 7946 0958"),
        ("the Carg", "oLift-2"),
        ("only 18", "0"),
        ("质保3", "6"),
    ],
)
def test_a_string_that_has_begun_is_finished_as_the_passages_have_it(
    source: CopySource,
    tokenizer: Any,
    begun: str,
    rest: str,
) -> None:
    noise = torch.randn(40, 420, generator=torch.Generator().manual_seed(2)).clamp(-1, 1)
    made = write(source, noise, tokenizer.encode(begun), 40)

    text = "".join(source.spelling.texts[one] for one in made)
    assert text.startswith(rest)
    assert not text[len(rest) :][:1].isalnum()  # and it ends there


def test_a_figure_that_no_passage_has_is_held_back(source: CopySource, tokenizer: Any) -> None:
    said = tokenizer.encode("It carries")
    wrong, right = (tokenizer.encode(one)[-1] for one in ("9", "1"))
    scores = torch.zeros(1, 420)
    scores[0, wrong], scores[0, right] = 3.0, 1.0
    after = [*said, *tokenizer.encode(" ")]

    assert write(source, scores, after, 1) == [right]
    assert write(source, scores, tokenizer.encode("\n"), 1) == [wrong]  # a numbered list
    assert write(source, scores, tokenizer.encode("days ["), 1) == [wrong]  # a citation


def test_a_model_that_is_sure_is_not_overruled(source: CopySource, tokenizer: Any) -> None:
    other = tokenizer.encode("x")[0]
    scores = torch.zeros(1, 420)
    scores[0, other] = STRENGTH * 2 + 1

    assert write(source, scores, tokenizer.encode("Write E"), 1) == [other]


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="abc dé商0\n", max_size=40), st.text(alphabet="xyz .,", max_size=30))
def test_without_anything_rare_to_copy_letters_stay_as_the_model_has_them(
    spelling: Spelling,
    tokenizer: Any,
    said: str,
    passages: str,
) -> None:
    source = CopySource.of(passages, spelling, tokenizer)
    scores = torch.randn(1, 420, generator=torch.Generator().manual_seed(len(said)))
    row = scores[0].clone()
    source.begin(tokenizer.encode(said)).steer(row)

    changed = [spelling.texts[one] for one in (row != scores[0]).nonzero().flatten().tolist()]
    assert all(text.lstrip()[:1].isdigit() for text in changed)


async def test_an_engine_of_ours_is_asked_to_help_and_says_the_same_where_it_need_not(
    client: EngineClient, engine_process: EngineProcess
) -> None:
    question, answer = LESSONS[0]
    stream = client.stream([Turn("user", question)], "taught", Limits(64, copying=True))
    assert "".join([token.text async for token in stream]) == answer

    body = {
        "model": "taught",
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "copying": True,
        "repetition_penalty": 1.05,
    }
    async with httpx.AsyncClient(base_url=engine_process.url, trust_env=False) as http:
        response = await http.post(
            "/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {engine_process.key}"},
            timeout=60,
        )
    assert response.status_code == 200

"""What is taken out of people's words before they are kept, and what stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.reviewing.redact import redact


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("write to ann.b@mail.example.co.uk!", "write to [email]!"),
        ("call +49 170 1234567 please", "call [phone] please"),
        ("00491701234567", "[phone]"),
        ("card 4111 1111 1111 1111", "card [card]"),
        ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [iban] please"),
        ("my password is hunter22", "my password is [secret]"),
        ("token ghp_abcdefghijklmnopqrstuv1234", "token [secret]"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- x", "[secret] x"),
    ],
)
def test_what_names_or_opens_is_replaced(said: str, kept: str) -> None:
    assert redact(said) == kept


@pytest.mark.parametrize(
    "said",
    [
        "error E07 on order PW-204417",
        "between 51 and 150 km, 3-5 days, 24/7",
        "version 1.2.3 on 2026-11-23 at 10:30",
        "order 1234567890123 and card 4111 1111 1111 1112",
        "what is the password policy?",
        "退货要 30 天",
    ],
)
def test_what_a_question_needs_stays(said: str) -> None:
    assert redact(said) == said


@given(st.text(alphabet=st.sampled_from("ab 01249+@.-/DEXAMPLE\n[]"), max_size=60))
def test_redacting_twice_changes_nothing_more(text: str) -> None:
    once = redact(text)
    assert redact(once) == once

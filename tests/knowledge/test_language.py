"""Which language a text is in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowledge.language import detect_language, normalize_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("怎么退款", "zh"),
        ("如何重置 API key", "zh"),
        ("返品できますか", "ja"),
        ("配送料はいくらですか", "ja"),
        ("ﾊﾝｶｸ", "ja"),
        ("商品到着後三十日以内返品可能です", "ja"),
        ("환불", "ko"),
        ("Где мой заказ?", "ru"),
        ("Де моє замовлення і коли воно приїде?", "uk"),
        ("Πού είναι η παραγγελία μου;", "el"),
        ("אפשר להחזיר?", "he"),
        ("أين طلبي", "ar"),
        ("จะคืนสินค้าได้อย่างไร", "th"),
        ("वापसी", "hi"),
        ("¿Cómo cancelo mi pedido?", "es"),
        ("Où est ma commande ?", "fr"),
        ("Wie kann ich meine Bestellung stornieren?", "de"),
        ("Come posso annullare il mio ordine?", "it"),
        ("Jak mogę anulować zamówienie?", "pl"),
    ],
)
def test_a_question_is_recognised(text: str, language: str) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize(
    "text",
    ["", "12345", "hi", "refund", "OK", "iPhone 15 Pro", "👍🎉", "???", "cancel order", "VPN"],
)
def test_what_is_too_short_or_unclear_is_the_default_language(text: str) -> None:
    assert detect_language(text) == "en"
    assert detect_language(text, "de") == "de"


def test_code_and_addresses_do_not_decide_about_the_prose_around_them() -> None:
    prose = "Führen Sie diesen Befehl aus, um die Anwendung neu zu starten:"
    code = "```\n" + "the service was restarted and is now running on this host\n" * 40 + "```"
    assert detect_language(f"{prose}\n\n{code}") == "de"


def test_a_foreign_name_does_not_change_the_language_of_a_long_text() -> None:
    text = "Our store in Kyoto (京都) is open on weekdays. " * 20
    assert detect_language(text) == "en"


@pytest.mark.parametrize(
    ("code", "normal"),
    [("pt_BR", "pt"), ("zh-Hans-CN", "zh"), (" EN ", "en"), ("German", ""), ("", ""), ("e", "")],
)
def test_language_codes_are_reduced_to_two_letters(code: str, normal: str) -> None:
    assert normalize_language(code) == normal


@given(st.text(max_size=200))
def test_any_text_has_a_two_letter_language(text: str) -> None:
    assert len(detect_language(text)) == 2

"""A few passages of an invented shop, customer and internal."""

from __future__ import annotations

from knowledge.types import Audience, Passage


def faq(number: int, audience: Audience = Audience.CUSTOMER) -> Passage:
    return Passage(
        text=f"Parcel {number} arrives in {number} days. " + "It is tracked. " * (number % 4 * 30),
        source="faq.csv",
        question=f"When does parcel {number} arrive?",
        audience=audience,
    )


PASSAGES = [faq(number) for number in range(12)] + [
    Passage("Refunds are paid within a week.", "returns.md", ("Returns", "Refunds"), "refunds"),
    Passage("Margin on parcels is secret.", "staff.md", audience=Audience.INTERNAL),
]

"""Takes personal data and secrets out of text before it is kept.

Knows the shapes of e-mail addresses, phone numbers, payment cards, IBANs and keys. Does not know
names and street addresses: nothing but a language model finds those, and not reliably.

Cards and IBANs count only with a correct checksum (ISO/IEC 7812-1 Annex B, ISO 7064 MOD 97-10),
phone numbers only if some numbering plan has them, so that order numbers and error codes stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from stdnum import iban, luhn

_EMAIL = re.compile(r"[\w.+%'-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}")
_CARD = re.compile(r"(?<![\w.])(?:\d[ -]?){12,18}\d(?![\w])")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,8}(?!\w)", re.IGNORECASE)
_PHONE = re.compile(r"(?<![\w/.#-])(?:\+|00)[ ()./-]{0,2}\d(?:[ ()./-]{0,2}\d){6,14}(?!\w)")
_LOCAL = re.compile(r"(?<![\w/.#-])\(?0\d{1,5}\)?[ /-]\d(?:[ /-]?\d){3,10}(?!\w)")
_SECRET = re.compile(
    r"(?<!\w)(?:"
    r"sk-[\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|xox[abeprs]-[\w-]{10,}|xapp-[\w-]{10,}"
    r"|AKIA[A-Z0-9]{16}|AIza[\w-]{30,}|glpat-[\w-]{16,}|\d{8,10}:[\w-]{35}"
    r"|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,}"
    r")(?!\w)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)
_PASSWORD = re.compile(
    r"(?i)(\b(?:password|passwort|contraseña|passcode|api[ _-]?key|secret)\s*(?:is|ist|es|[:=])\s*)"
    r"(?=\S*\d)(\S{6,})"
)


def redact(text: str) -> str:
    """`text` with "[email]", "[phone]", "[card]", "[iban]" and "[secret]" in their places.

    Redacting twice changes nothing more.
    """
    text = _SECRET.sub("[secret]", text)
    text = _PASSWORD.sub(r"\1[secret]", text)
    text = _EMAIL.sub("[email]", text)
    text = _IBAN.sub(lambda found: _iban(found.group()), text)
    text = _CARD.sub(lambda found: _card(found.group()), text)
    text = _LOCAL.sub("[phone]", text)
    return _PHONE.sub(lambda found: _phone(found.group()), text)


def _card(found: str) -> str:
    digits = re.sub(r"\D", "", found)
    return "[card]" if luhn.is_valid(digits) and len(set(digits)) > 1 else found


def _iban(found: str) -> str:
    """The longest beginning that is an IBAN; words may follow it."""
    for end in _ends(found):
        if iban.is_valid(found[:end]):
            return "[iban]" + found[end:]
    return found


def _ends(text: str) -> Iterator[int]:
    yield len(text)
    for at in range(len(text) - 1, 14, -1):
        if text[at] == " ":
            yield at


def _phone(found: str) -> str:
    import phonenumbers  # its metadata takes a while to load

    digits = re.sub(r"[^\d+]", "", found)
    number = "+" + digits[2:] if digits.startswith("00") else digits
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return found
    return "[phone]" if phonenumbers.is_possible_number(parsed) else found

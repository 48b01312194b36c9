"""Which language a text is written in, as an ISO 639-1 code.

Knows scripts and, for the Latin alphabet, asks py3langid among the languages people write
support texts in. Does not know dialects, and does not guess: what is too short or too unclear
is the default language.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_ALPHABETS = {
    "LATIN": "ca cs da de en es et fi fr hr hu id it lt lv nl no pl pt ro sk sl sv tr vi",
    "CYRILLIC": "be bg kk mk mn ru sr uk",
    "ARABIC": "ar fa ps ur",
    "DEVANAGARI": "hi mr ne",
}
_FAMILIES = {script: frozenset(codes.split()) for script, codes in _ALPHABETS.items()}
_FALLBACK = {"CYRILLIC": "ru", "ARABIC": "ar", "DEVANAGARI": "hi"}

_ONE_LANGUAGE = {
    "ARMENIAN": "hy",
    "BENGALI": "bn",
    "CJK": "zh",
    "ETHIOPIC": "am",
    "GEORGIAN": "ka",
    "GREEK": "el",
    "GUJARATI": "gu",
    "GURMUKHI": "pa",
    "HANGUL": "ko",
    "HEBREW": "he",
    "HIRAGANA": "ja",
    "KANNADA": "kn",
    "KATAKANA": "ja",
    "KHMER": "km",
    "LAO": "lo",
    "MALAYALAM": "ml",
    "MYANMAR": "my",
    "ORIYA": "or",
    "SINHALA": "si",
    "TAMIL": "ta",
    "TELUGU": "te",
    "THAI": "th",
}
# One CJK character carries about what four Latin letters do, so a Chinese sentence with a
# product name in it stays Chinese.
_WEIGHT = {"CJK": 4, "HIRAGANA": 4, "KATAKANA": 4, "HANGUL": 2}

# Below this probability a short Latin text counts as unclear. Measured on 27 languages of FAQ
# questions cut to a few words, against English queries: at 0.6 under 0.3 % of the English ones
# are mistaken for another language at any length, and 34 % (under 8 letters) to 96 % (over 30)
# of the others are recognised.
_SURE = 0.6
_LONG = 40  # letters; from here on the likeliest language was right every time
_SAMPLE = 20_000  # characters looked at; more changes nothing

_CODE = re.compile(r"([a-z]{2})(?:[-_].*)?", re.IGNORECASE)
# What says nothing about the language of the prose around it.
_NOT_PROSE = re.compile(r"```.*?```|`[^`\n]*`|https?://\S+|[^\s@]{1,64}@\S+|<[^>\n]*>", re.DOTALL)

_lock = threading.Lock()


def normalize_language(code: str) -> str:
    """The two-letter code in `code` ("pt-BR" and "pt_br" give "pt"), or "" if it holds none."""
    found = _CODE.fullmatch(code.strip())
    return found.group(1).lower() if found else ""


def detect_language(text: str, default: str = "en") -> str:
    """The language `text` is written in, or `default` when it is too short or unclear.

    The script decides first, which is certain from the first character in most of the world's
    languages; py3langid decides among those that share an alphabet. Loads py3langid's model on
    first need (about a second). Thread-safe.
    """
    prose = _NOT_PROSE.sub(" ", text[:_SAMPLE])
    scripts = _scripts(prose)
    if not scripts:
        return default
    # Japanese is written with Chinese characters too; a tenth of kana settles it.
    kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
    if kana and kana * 10 >= scripts["CJK"]:
        scripts["HIRAGANA"] += scripts.pop("CJK", 0)
    script, _ = max(scripts.items(), key=lambda item: (item[1], item[0]))
    if script in _ONE_LANGUAGE:
        return _ONE_LANGUAGE[script]
    return _among(prose, _FAMILIES[script], _FALLBACK.get(script, default))


def _scripts(text: str) -> Counter[str]:
    """How much of `text` is written in each script, in weighted letters."""
    found: Counter[str] = Counter()
    for char, times in Counter(text).items():
        if char.isalpha():
            script = _script(char)
            if script:
                found[script] += times * _WEIGHT.get(script, 1)
    return found


@cache
def _script(char: str) -> str:
    """The script of one letter: the first word of its Unicode name, where that is a script."""
    name = unicodedata.name(char, "").split(" ", 1)[0].removesuffix("-HALFWIDTH")
    if name in ("HALFWIDTH", "FULLWIDTH"):
        return _script(unicodedata.normalize("NFKC", char)[0])
    return name if name in _ONE_LANGUAGE or name in _FAMILIES else ""


def _among(text: str, languages: frozenset[str], default: str) -> str:
    """The likeliest of `languages`, or `default` for a short text when nothing stands out."""
    letters = sum(map(str.isalpha, text))
    # py3langid reads case as a hint, and people type in any.
    language, probability = _identifier(languages).classify(text.lower())
    if letters >= _LONG or probability >= _SURE:
        return str(language)
    return default


def _identifier(languages: frozenset[str]) -> LanguageIdentifier:
    with _lock:
        return _load_identifier(languages)


@cache
def _load_identifier(languages: frozenset[str]) -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(languages)
    return identifier

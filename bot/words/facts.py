"""The hard facts in a text: what a paraphrase may not change.

Numbers with their units, names, addresses, commands, negation and direction. Knows how they are
written in several languages; does not know what they are about.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from bot.words.lexicon import content, fold, stem

# A number may follow Chinese characters directly, but not letters of its own word.
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_À-ÿА-я.])(?:\d{1,3}(?:[ ,.'’\u00a0\u202f]\d{3})+(?!\d)|\d+)(?:[.,:]\d+)*"
)
_ADDRESS = re.compile(
    r"https?://[^\s<>\"'`)\]}，。；、]+|(?<![\w@])www\.[^\s<>\"'`)\]}，。]+"
    r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|(?<![\w@./-])(?:[a-z0-9-]+\.)+(?:com|org|net|io|dev|app|co|eu|de|es|ru|cn|uk|fr|info"
    r"|example|test)"
    r"(?:/[^\s<>\"'`)\]}，。；、]*)?(?![\w-])",
    re.IGNORECASE,
)
_CODE = re.compile(r"`+([^`]+)`+")
_NAME = re.compile(
    r"(?<![\w'’-])(?:[A-ZÀ-ÖØ-ÞА-ЯЁ][\w'’&-]*|[a-z]+[A-Z]\w*|\w*\d\w*[A-Za-z]\w*)(?![\w'’])"
)
_UNITS = {
    "second": "seconds? secs? segundos? sekunden? секунд\\w* 秒",
    "minute": "minutes? mins? minutos? minuten? минут\\w* 分钟",
    "hour": "hours? hrs? horas? stunden? час\\w* 小时",
    "day": "days? d[ií]as? tage?n? день дн\\w+ 天 日",
    "workday": "(?:business|working|work)[\\s-]days? d[ií]as?[\\s-](?:hábiles"
    "|laborables) werktage?n?"
    " arbeitstage?n? рабочи\\w+[\\s-](?:день|дн\\w+) (?:个)?工作日",
    "week": "weeks? semanas? wochen? недел\\w+ (?:个)?(?:星期|周)",
    "month": "months? mes(?:es)? monate?n? месяц\\w* (?:个)?月",
    "year": "years? años? jahre?n? год\\w* лет 年",
    "percent": "% percent por[\\s]ciento prozent процент\\w*",
    "usd": "\\$ usd dollars? dólares? 美元",
    "eur": "€ eur euros? евро 欧元",
    "gbp": "£ gbp pounds? libras?",
    "cny": "¥ cny rmb yuan 元 人民币",
    "rub": "₽ rub руб\\w*",
    "byte": "[kmgt]i?b [kmgt]bytes?",
    "metre": "(?:centi|milli|kilo)?met(?:er|re)s? [ckm]?m metros? метр\\w*",
    "kilo": "kg kilos? kilograms? kilogramm килограмм\\w* 公斤",
    "degree": "°[cf]? degrees? grad grados?",
}
_UNIT = re.compile(
    "|".join(
        f"(?P<{name}>(?:{'|'.join(forms.split())})(?![A-Za-zÀ-ÿА-я]))"
        for name, forms in sorted(_UNITS.items(), key=lambda one: -len(one[1].split()[0]))
    ),
    re.IGNORECASE,
)
_COUNT_WORDS = (
    ("2", "two dos zwei два две 两 二"),
    ("3", "three tres drei три 三"),
    ("4", "four cuatro vier четыре 四"),
    ("5", "five cinco fünf пять 五"),
    ("6", "six seis sechs шесть 六"),
    ("7", "seven siete sieben семь 七"),
    ("8", "eight ocho acht восемь 八"),
    ("9", "nine nueve neun девять 九"),
    ("10", "ten diez zehn десять 十"),
    ("12", "twelve doce zwölf двенадцать 十二"),
    ("14", "fourteen catorce vierzehn четырнадцать 十四"),
    ("30", "thirty treinta dreißig тридцать 三十"),
)
_WORD_NUMBERS = {word: number for number, words in _COUNT_WORDS for word in words.split()}
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|neither|nor|without|cannot|nothing|nobody|unable|unavailable"
    r"|impossible|\w+n['’]t"
    r"|nunca|ningun\w*|ningún|tampoco|sin|jamás|nadie|nicht|kein\w*|nie|niemals|ohne|weder|niemand"
    r"|не|нет|нельзя|никогда|без|ни|никто|невозможно)\b|不|没有|无法|无需|未|禁止|(?<!非)非(?!常)",
    re.IGNORECASE,
)
_OPPOSITES = tuple(
    (re.compile(rf"\b(?:{one})\b", re.IGNORECASE), re.compile(rf"\b(?:{other})\b", re.IGNORECASE))
    for one, other in (
        ("before|prior to", "after|following"),
        ("minimum|at least|more than|over", "maximum|at most|less than|fewer than|up to|under"),
        ("free(?: of charge)?|at no (?:extra )?cost", "charged|paid|for a fee|costs"),
        ("included|includes", "excluded|excludes|not included"),
        ("open", "closed"),
        ("allowed|permitted", "forbidden|prohibited|banned"),
        ("enabled?|turn(?:ed)? on|switch(?:ed)? on", "disabled?|turn(?:ed)? off|switch(?:ed)? off"),
        ("always", "never"),
        ("increases?|raises?", "decreases?|lowers?|reduces?"),
        ("required|mandatory", "optional"),
        ("gratis|kostenlos|бесплатн\\w+", "kostenpflichtig|de pago|платн\\w+"),
        ("antes", "después"),
        ("vor", "nach"),
    )
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What must be found again, each in a canonical form."""

    quantities: frozenset[tuple[str, str]]  # (number, unit or "")
    addresses: frozenset[str]
    code: frozenset[str]
    names: frozenset[str]
    negated: bool


@lru_cache(maxsize=4000)
def facts(text: str, *, names: bool = True) -> Facts:
    """The hard facts of a sentence. `names` False where capitals mark every noun (German)."""
    addresses = frozenset(_address(one) for one in _ADDRESS.findall(text))
    bare = _ADDRESS.sub(" ", text)
    return Facts(
        quantities=frozenset(_quantities(bare)),
        addresses=addresses,
        code=frozenset(_squeezed(one) for one in _CODE.findall(text)),
        names=frozenset(_names(bare)) if names else frozenset(),
        negated=_NEGATION.search(bare) is not None,
    )


def number(text: str) -> str:
    """A number without thousands separators and trailing zeros: "1,000.50" gives "1000.5"."""
    text = re.sub(r"[ '’\u00a0\u202f]", "", text)
    if ":" in text:
        return text.lstrip("0") or "0"
    groups = re.split(r"[.,]", text)
    marks = re.findall(r"[.,]", text)
    if len(groups) == 1:
        return text.lstrip("0") or "0"
    whole, last = "".join(groups[:-1]), groups[-1]
    if len(last) == 3 and len(groups[0]) <= 3 and groups[0] != "0":
        return whole + last  # "1.000" and "1,000": a thousand in one country or the other
    if len(set(marks)) < len(marks) == len(groups) - 1 > 1:
        return text  # "1.2.10" is a version
    last = last.rstrip("0")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{last}" if last else whole


def _quantities(text: str) -> Iterator[tuple[str, str]]:
    for found in _NUMBER.finditer(text):
        yield number(found.group()), _unit_near(text, found.start(), found.end())
    for found in re.finditer(r"[^\W\d_]+", text):
        value = _WORD_NUMBERS.get(fold(found.group()))
        if value:
            yield value, _unit_near(text, found.end(), found.end())


def _unit_near(text: str, start: int, end: int) -> str:
    after = re.match(r"[\s\u00a0-]{0,2}", text[end:])
    at = end + (after.end() if after else 0)
    found = _UNIT.match(text, at)
    if found:
        return str(found.lastgroup)
    before = re.search(r"([$€£¥₽]|\b(?:usd|eur|gbp|cny))\s?$", text[:start], re.IGNORECASE)
    if before:
        named = _UNIT.match(before.group(1))
        return str(named.lastgroup) if named else ""
    return ""


def _address(text: str) -> str:
    bare = re.sub(r"^(?:https?://)?(?:www\.)?", "", text.rstrip(".,;:!?"), flags=re.IGNORECASE)
    return bare.rstrip("/").casefold()


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _names(text: str) -> Iterator[str]:
    for found in _NAME.finditer(text):
        before = text[: found.start()].rstrip(" \"'“„«(*_")
        starts = not before or before[-1] in ".!?:;\n…•-|#"
        word = found.group()
        inner = word[1:] != word[1:].lower() or any(char.isdigit() for char in word)
        if starts and not inner:
            continue  # a capital that opens a sentence says nothing
        if content(word) and not _UNIT.fullmatch(word):
            yield stem(fold(word))


def opposed(one: str, other: str) -> bool:
    """True if the texts hold opposite words ("before" and "after") for the same thing."""
    for left, right in _OPPOSITES:
        for a, b in ((left, right), (right, left)):
            if a.search(one) and not b.search(one) and b.search(other) and not a.search(other):
                return True
    return False

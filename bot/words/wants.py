"""What kind of thing a question wants to see: a price, a time, a number, a contact, steps.

Knows wordings, language by language, and the shapes that answers to them have.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"\d")
_MONEY = re.compile(
    r"[$€£¥₽]|\b(?:USD|EUR|GBP|CHF|CNY|RMB|euros?|dollars?|pounds?|free|gratis|kostenlos"
    r"|бесплатно|руб\w*)\b|[元免]",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"\d\s*(?::\d\d|am\b|pm\b|h\b|uhr\b)|\b(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?"
    r"|monday|tuesday|wednesday|thursday|friday|saturday|sunday|today|immediately|instantly"
    r"|minutos?|horas?|d[ií]as?|semanas?|mes(?:es)?|años?|lunes|viernes|sábado|domingo"
    r"|minuten?|stunden?|tag(?:e|en)?|wochen?|monat(?:e|en)?|jahre?n?|montag|freitag|samstag"
    r"|минут\w*|час\w*|дн(?:я|ей|ь)|день|недел\w*|месяц\w*|лет|год\w*)\b|[0-9一二三四五六七八九十两]\s*"
    r"(?:个)?(?:分钟|小时|天|日|周|月|年)",
    re.IGNORECASE,
)
_CONTACT = re.compile(r"\S+@\S+\.\w+|https?://|\+?\d[\d\s()./-]{6,}\d")
_WANTS = (
    (
        re.compile(
            r"\bhow much\b|\bprice|\bcosts?\b|\bfees?\b|\bcharge|\bcu[aá]nto (?:cuesta|vale|es)"
            r"|\bprecio|\bcoste|\bwie ?viel|\bkost|\bpreis|\bсколько стоит|\bцен|多少钱|价格|费用",
            re.IGNORECASE,
        ),
        _MONEY,
    ),
    (
        re.compile(
            r"\bwhen\b|\bhow (?:long|soon|fast|quick|often)\b|\bwhat time\b|\bhours\b|\bdeadline"
            r"|\bcu[aá]ndo\b|\bcu[aá]nto (?:tarda|tiempo|dura)|\bhorario|\bplazo|\bwann\b"
            r"|\bwie lange"
            r"|\bfrist|\böffnungszeit|\bкогда\b|\bкак долго|\bсколько (?:врем|длит|ждать)|\bсрок"
            r"|什么时候|多久|几天|几点|多长时间|时间",
            re.IGNORECASE,
        ),
        _TIME,
    ),
    (
        re.compile(
            r"\bhow many\b|\bhow (?:far|big|large|old|high|heavy)\b|\blimit|\bmaximum|\bminimum"
            r"|\bcu[aá]ntos?\b|\bcu[aá]ntas\b|\bwie ?viele|\bсколько\b|多少|几个",
            re.IGNORECASE,
        ),
        _NUMBER,
    ),
    (
        re.compile(
            r"\bcontact|\be-?mail|\bphone|\bcall\b|\baddress|\breach\b|\bcontacto|\btel[eé]fono"
            r"|\bcorreo|\bkontakt|\btelefon|\berreich|\bсвязаться|\bтелефон|\bпочт|联系|电话|邮箱",
            re.IGNORECASE,
        ),
        _CONTACT,
    ),
)
_HOW_TO = re.compile(
    r"\bhow (?:do|can|should|would|to)\b|\bsteps?\b|\bcómo (?:puedo|se|hago|cambio)"
    r"|\bwie (?:kann|geht|mache|stelle)|\bкак (?:мне|можно|сделать)|怎么|如何",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The shapes an answer to a question may have, and whether it tells how to do something."""

    shapes: tuple[re.Pattern[str], ...]
    how_to: bool

    @classmethod
    def of(cls, question: str) -> Asked:
        """Read from the question's wording."""
        shapes = tuple(shape for ask, shape in _WANTS if ask.search(question))
        return cls(shapes, _HOW_TO.search(question) is not None)

"""Makes a follow-up stand on its own: "and for business?" after "how much is the basic plan?".

Knows the cues of several languages (pronouns, ellipsis, bare question words) and substitutes
from what was asked before. Gives candidates instead of one guess: the search tells which of
them the knowledge answers. Knows no passages and no model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from bot.words.lexicon import content, is_unspaced, tokens
from bot.units import plain, sentences


class Lean(IntEnum):
    """How much a message leans on what came before it."""

    NONE = 0
    WEAK = 1  # short enough to be one; stands on its own if the knowledge says so
    STRONG = 2  # cannot be understood alone


@dataclass(frozen=True, slots=True)
class Candidate:
    """One standalone reading of a message. `alone` is the message as it was written."""

    text: str
    alone: bool


_START = re.compile(
    r"^\W*(?:(?:and|or|but|so|then|also|plus)\b[\s,]*)?"
    r"(?:(?:what|how) about|what if|and|or else|same (?:for|with)|y|e|o|pero|¿y|y qué|qué hay de"
    r"|qué pasa con|und(?: was ist mit| wie (?:ist|sieht) es mit)?|oder|aber|wie sieht(?:'s| es)(?: es)? mit"
    r"|а|и|но|или|а как насчёт|а как насчет|как насчёт|как насчет|et|e)\b(?P<rest>.+)$",
    re.IGNORECASE | re.DOTALL,
)
_START_ZH = re.compile(
    r"^\W*(?:那么?|还有|另外|以及|如果是|换成)(?P<rest>.+?)(?:呢|怎么样)?\W*$", re.DOTALL
)
_END_ZH = re.compile(r"^(?P<rest>[^，。？！]{1,12})呢\W*$")
_PRONOUN = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|she|him|her|these|those|this one|that one|the (?:first|second|"
    r"third|last|other|same|former|latter)(?: one)?|ones?|there|this|that|both|such"
    r"|eso|esto|ello|ella|ellos|ellas|ésta?|aquello|lo|dicho|allí|ahí"
    r"|es|das|dies|diese[rnms]?|davon|dafür|damit|dazu|daran|darüber|darauf|dort|deren|dessen|ihn|ihm"
    r"|это|этот|эта|эти|этого|этой|этим|его|её|ее|их|он|она|оно|они|там|туда|нём|ней|ним|ними)\b"
    r"|它们?|这个|那个|这些|那些|这样|那样|其|此|该",
    re.IGNORECASE,
)
# Words that look like pronouns and refer to nothing.
_EMPTY = re.compile(
    r"\b(?:is|are|was|were|will|would|can|could|should) there\b|\bthere(?:'s| is| are| was| were)\b"
    r"|\b(?:is|was) it (?:possible|ok|okay|allowed|true|safe|necessary|required|free to|legal|worth)\b"
    r"|\bit (?:is|was) (?:possible|necessary)\b|\bthis (?:morning|week|month|year|time|page|site|bot|chat)\b"
    r"|\b(?:how|what) time is it\b|\bdoes it (?:matter|rain)\b|\bgibt es\b|\bist es (?:möglich|erlaubt)\b"
    r"|\bes (?:posible|necesario|obligatorio|gratis|seguro|verdad|el|la|un|una)\b|\b(?:qué|cuál|cuánto|quién|cómo|dónde) es\b"
    r"|\b(?:say|think|know|see|believe|sure|heard|read|says?|so|now|given|find|found|noticed|means?) that\b"
    r"|\bthat(?='?s? (?:i|you|we|my|your|our|the|is not|are|have|has|were)\b)|\b(?:lo|es) que\b|\bpor (?:esto|eso)\b",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"^\W*(?:why(?: (?:not|is that|so))?|how(?: so| come| exactly)?|when|where|who|which(?: one)?|what (?:for|else|then|next)"
    r"|how (?:much|many|long|often|far|soon)|since when|until when|for how long|at what (?:cost|price)|and then|really|such as"
    r"|for example|like what|more(?: details| info(?:rmation)?)?|tell me more|explain|go on|elaborate|anything else"
    r"|por qué(?: no)?|cómo|cuándo|dónde|quién|cuánto(?: cuesta| tarda| tiempo)?|cuál|para qué|más detalles"
    r"|warum(?: nicht)?|wieso|weshalb|wie|wann|wo|wer|wie ?viel|wie lange|wofür|und dann|mehr"
    r"|почему(?: нет)?|зачем|как|когда|где|кто|сколько(?: стоит)?|подробнее|а потом|как долго"
    r"|为什么|怎么(?:做|办|弄)?|如何|什么时候|在?哪里?|谁|多少钱?|多久|几天|然后呢?|还有呢?|比如|详细(?:说说|一点)?)\W*$",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(
    r"^\W*(?P<word>for|to|in|on|with|from|at|by|after|before|without|via|outside|inside|during|of"
    r"|para|a|en|con|de|desde|sin|por|für|nach|in|im|am|mit|aus|von|zu|ohne|bei|для|в|на|с|из|без|по|от|у)\s+(?P<rest>.+)$",
    re.IGNORECASE | re.DOTALL,
)
_NAMES = re.compile(
    r"(?<![.!?:\n]\s)(?<!^)\b(?:[A-ZÀ-ÖØ-Þ][\w'’&-]+|[A-Z0-9]{2,})(?:\s+(?:of |and |& |de )?[A-ZÀ-ÖØ-Þ0-9][\w'’&-]*)*"
)
_MARKER = re.compile(r"\[\d{1,3}\]")
LONGEST = 300  # characters of an earlier message that are drawn on


def lean(message: str) -> Lean:
    """Whether a message can be understood without what came before it."""
    if _BARE.match(message):
        return Lean.STRONG
    words = content(message)
    size = len(tokens(message))
    short = size <= 8 if not is_unspaced(message) else len(message) <= 14
    if short and (_START.match(message) or _START_ZH.match(message) or _END_ZH.match(message)):
        return Lean.STRONG
    stripped = _EMPTY.sub(" ", message)
    found = _PRONOUN.search(stripped)
    if found:
        # "I lost my card, how do I block it": what it refers to stands in the message itself.
        before = content(stripped[: found.start()])
        own = (
            len(before) >= 2
            and len(sentences(stripped[: found.start()])) + stripped[: found.start()].count(",")
            >= 2
        )
        return Lean.WEAK if own or len(before) >= 4 else Lean.STRONG
    return Lean.WEAK if len(words) <= 3 else Lean.NONE


def standalone(message: str, topic: str, last_answer: str = "") -> list[Candidate]:
    """Readings of `message` that need no context, the likeliest first.

    `topic` is the standalone question asked before it; empty means there was none.
    """
    how = lean(message)
    alone = Candidate(message, alone=True)
    if how is Lean.NONE or not topic:
        return [alone]
    topic = topic[:LONGEST]
    readings = [
        _ellipsis(message, topic),
        _pronoun(message, topic),
        f"{_bare(topic)} {message}",
    ]
    names = _named(last_answer, topic)
    if names and how is Lean.STRONG:
        readings.append(f"{message} {names}")
    found = dict.fromkeys(one.strip() for one in readings if one)
    candidates = [
        Candidate(one, alone=False) for one in found if one.casefold() != message.casefold()
    ]
    return [*candidates[:3], alone] if how is Lean.STRONG else [alone, *candidates[:2]]


def topic_of(questions: Sequence[str]) -> str:
    """What a run of earlier questions, oldest first, was about: the last one made standalone."""
    topic = ""
    for question in questions:
        candidates = standalone(question[:LONGEST], topic)
        strong = lean(question) is Lean.STRONG
        topic = candidates[0].text if strong and topic else question[:LONGEST]
    return topic


def _bare(text: str) -> str:
    return text.strip().rstrip("?？!.。 ")


def _ellipsis(message: str, topic: str) -> str:
    """ "and for business?" after "how much is it for families?" takes the families' place."""
    found = _START.match(message) or _START_ZH.match(message) or _END_ZH.match(message)
    if not found:
        return ""
    rest = found.group("rest").strip(" ,，?？.!。")
    if _BARE.match(rest) or (content(rest) and _has_question_word(rest)):
        return f"{rest}, {_bare(topic)}" if len(content(rest)) < 2 else ""
    bare = _bare(topic)
    led = _PREPOSITION.match(rest)
    if led:
        # The same preposition in the question before marks the slot that is replaced.
        slot = re.search(
            rf"\b{re.escape(led.group('word'))}\s+(?:\S+\s*){{1,3}}$", bare, re.IGNORECASE
        )
        if slot:
            return f"{bare[: slot.start()]}{rest}?"
    names = list(_NAMES.finditer(bare))
    if names and rest[:1].isupper():
        last = names[-1]
        return f"{bare[: last.start()]}{rest}{bare[last.end() :]}?"
    return f"{bare} {rest}"


_QUESTION_WORD = re.compile(
    r"\b(?:what|when|where|who|why|which|how|can|do|does|is|are|will|should|could|must|qué|cuándo|dónde|cómo|cuánto|cuál"
    r"|was|wann|wo|wer|wie|warum|kann|ist|что|когда|где|кто|как|почему|сколько|можно)\b|什么|怎么|如何|多少|哪|吗",
    re.IGNORECASE,
)


def _has_question_word(text: str) -> bool:
    return _QUESTION_WORD.search(text) is not None


def _pronoun(message: str, topic: str) -> str:
    """The message with its pronoun replaced by what the question before was about."""
    about = _subject(topic)
    if not about:
        return ""
    masked = _EMPTY.sub(lambda found: "\0" * len(found.group()), message)
    found = _PRONOUN.search(masked)
    if found:
        return f"{message[: found.start()]}{about}{message[found.end() :]}"
    return f"{_bare(message)} {about}?"


def _subject(topic: str) -> str:
    """The noun phrase of a question, roughly: the stretch of it that carries content."""
    asked = _bare(sentences(topic)[-1] if sentences(topic) else topic)
    if is_unspaced(asked):
        return asked
    words = asked.split()
    carrying = [index for index, word in enumerate(words) if content(word)]
    if not carrying:
        return asked
    return " ".join(words[carrying[0] : carrying[-1] + 1])


def _named(answer: str, topic: str) -> str:
    """Names the last answer mentions and the topic does not: what "it" may be."""
    text = plain(_MARKER.sub("", answer))[:600]
    known = topic.casefold()
    found = dict.fromkeys(one.group() for one in _NAMES.finditer(text))
    return " ".join([name for name in found if name.casefold() not in known][:2])

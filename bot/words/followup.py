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

from bot.answering.units import plain, sentences
from bot.words.lexicon import content, is_unspaced, tokens


class Lean(IntEnum):
    """How much a message leans on what came before it."""

    NONE = 0
    WEAK = 1  # short enough to be one; stands on its own if the knowledge says so
    NAMES = 2  # "and what about X?": X in the place of something before, or a new topic
    STRONG = 3  # cannot be understood alone


@dataclass(frozen=True, slots=True)
class Candidate:
    """One standalone reading of a message. `alone` is the message as it was written."""

    text: str
    alone: bool
    lean: Lean = Lean.NONE  # of the message, the same for all its readings


_START = re.compile(
    r"^\W*(?:(?:and|or|but|so|then|also|plus)\b[\s,]*)?"
    r"(?:(?:what|how) about|what if|and|or else|same (?:for|with)|y|e|o|pero|¿y|y qué|qué hay de"
    r"|qué pasa con|und(?: was ist mit| wie (?:ist|sieht) es mit)?|oder|aber|wie sieht(?:'s"
    r"| es)(?: es)? mit"
    r"|а|и|но|или|а как насчёт|а как насчет|как насчёт|как насчет|et|e)\b(?P<rest>.+)$",
    re.IGNORECASE | re.DOTALL,
)
_START_ZH = re.compile(
    r"^\W*(?:那么?|还有|另外|以及|如果是|换成)(?P<rest>.+?)(?:呢|怎么样)?\W*$", re.DOTALL
)
_END_ZH = re.compile(r"^(?P<rest>[^，。？！]{1,12})呢\W*$")
_PRONOUN = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|she|him|her|these|those|this one|that one"
    r"|the (?:first|second|"
    r"third|last|other|same|former|latter)(?: one)?|ones?|there|this|that|both|such|mine|yours"
    r"|eso|esto|ello|ella|ellos|ellas|ésta?|aquello|lo|dicho|allí|ahí"
    r"|es|das|dies|diese[rnms]?|davon|dafür|damit|dazu|daran|darüber|darauf|dort|deren|dessen"
    r"|ihn|ihm"
    r"|это|этот|эта|эти|этого|этой|этим|его|её|ее|их|он|она|оно|они|там|туда|нём|ней|ним|ними)\b"
    r"|它们?|这个|那个|这些|那些|这样|那样|其|此|该",
    re.IGNORECASE,
)
# Words that look like pronouns and refer to nothing.
_EMPTY = re.compile(
    r"\b(?:is|are|was|were|will|would|can|could|should) there\b|\bthere(?:'s| is| are| was| were)\b"
    r"|\b(?:is|was) it (?:possible|ok|okay|allowed|true|safe|necessary|required|free to|legal"
    r"|worth)\b"
    r"|\bit (?:is|was) (?:possible|necessary)\b|\bthis (?:morning|week|month|year|time|page"
    r"|site|bot|chat)\b"
    r"|\b(?:how|what) time is it\b|\bdoes it (?:matter|rain)\b|\bgibt es\b|\bist es (?:möglich"
    r"|erlaubt)\b"
    r"|\bes (?:posible|necesario|obligatorio|gratis|seguro|verdad|el|la|un|una)\b|\b(?:qué|cuál"
    r"|cuánto|quién|cómo|dónde) es\b"
    r"|\b(?:say|think|know|see|believe|sure|heard|read|says?|so|now|given|find|found|noticed"
    r"|means?) that\b"
    r"|\bthat(?='?s? (?:i|you|we|my|your|our|the|is not|are|have|has|were)\b)|\b(?:lo|es) que\b"
    r"|\bpor (?:esto|eso)\b",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"^\W*(?:why(?: (?:not|is that|so))?|how(?: so| come| exactly)?|when|where|who"
    r"|which(?: one)?|what (?:for|else|then|next)"
    r"|how (?:much|many|long|often|far|soon)|since when|until when|for how long|at what (?:cost"
    r"|price)|and then|really|such as"
    r"|for example|like what|more(?: details| info(?:rmation)?)?|tell me more|explain|go on"
    r"|elaborate|anything else"
    r"|por qué(?: no)?|cómo|cuándo|dónde|quién|cuánto(?: cuesta| tarda| tiempo)?|cuál|para qué"
    r"|más detalles"
    r"|warum(?: nicht)?|wieso|weshalb|wie|wann|wo|wer|wie ?viel|wie lange|wofür|und dann|mehr"
    r"|почему(?: нет)?|зачем|как|когда|где|кто|сколько(?: стоит)?|подробнее|а потом|как долго"
    r"|为什么|怎么(?:做|办|弄)?|如何|什么时候|在?哪里?|谁|多少钱?|多久|几天|然后呢?|还有呢?|比如"
    r"|详细(?:说说|一点)?)\W*$",
    re.IGNORECASE,
)
_PREPOSITION = re.compile(
    r"^\W*(?P<word>for|to|in|on|with|from|at|by|after|before|without|via|outside|inside|during|of"
    r"|para|a|en|con|de|desde|sin|por|für|nach|in|im|am|mit|aus|von|zu|ohne|bei|для|в|на|с|из"
    r"|без|по|от|у)\s+(?P<rest>.+)$",
    re.IGNORECASE | re.DOTALL,
)
_NAMES = re.compile(
    r"(?<![.!?:\n]\s)(?<!^)\b(?:[A-ZÀ-ÖØ-Þ][\w'’&-]+|(?=\d*[A-Z])[A-Z0-9]{2,})(?:\s+(?:of |and |& "
    r"|de )?[A-ZÀ-ÖØ-Þ0-9][\w'’&-]*)*"
)
# A capital that opens a sentence counts as a name only in front of a verb: "Connect is the …".
_OPENING = re.compile(
    r"(?:^|[.!?:\n]\s)((?:[A-ZÀ-ÖØ-ÞА-Я][\w'’&-]*\s)+)(?:is|are|was|has|have|offers?|costs?|includes?"
    r"|es|son|tiene|cuesta|ist|hat|kostet|sind)\b"
)
_MARKER = re.compile(r"\[\d{1,3}\]")
_CLAUSES = re.compile(r"[,;.!?:，。；！？]")
_ORDINALS = (
    r"(?:the )?(?:first|1st)|(?:la|el) primer[oa]|(?:der|die|das) erste|перв\w+|第一(?:个|种)?",
    (
        r"(?:the )?(?:second|2nd|latter|middle)|(?:la|el) segund[oa]|(?:der|die|das) zweite|втор\w+"
        r"|第二(?:个|种)?"
    ),
    r"(?:the )?(?:third|3rd)|(?:la|el) tercer[oa]|(?:der|die|das) dritte|трет\w+|第三(?:个|种)?",
    r"(?:the )?(?:fourth|4th)|(?:la|el) cuart[oa]|(?:der|die|das) vierte|четв\w+|第四(?:个|种)?",
    r"(?:the )?last|(?:la|el) últim[oa]|(?:der|die|das) letzte|последн\w+|最后(?:一个|一种)?",
)
_ORDINAL = tuple(
    re.compile(rf"^\W*(?:{one})(?: (?:one|option|plan|please))*\W*$", re.IGNORECASE)
    for one in _ORDINALS
)
_CHOICE = re.compile(r"(?:,| or | oder | o | или |、|或|还是)+")
_OR = re.compile(r" or | oder | o | или |或|还是")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d{1,2}[.)])\s+(.+)$", re.MULTILINE)
LONGEST = 300  # characters of an earlier message that are drawn on
READINGS = 4  # readings in context that are searched
BACK = 4  # earlier messages of the bot that are searched for a name
GIST = 120  # characters of the last answer that stand for what it said


def lean(message: str) -> Lean:
    """Whether a message can be understood without what came before it."""
    if _BARE.match(message) or _ordinal(message) is not None:
        return Lean.STRONG
    size = len(tokens(message))
    short = len(message) <= 24 if is_unspaced(message) else size <= 14
    start = next(
        (cue for pattern in (_START, _START_ZH, _END_ZH) if (cue := pattern.match(message))), None
    )
    if start and short and not _stands(rest := start.group("rest")):
        names = content(rest) and not _PRONOUN.search(_EMPTY.sub(_blank, rest))
        return Lean.NAMES if names and not _BARE.match(rest) else Lean.STRONG
    masked = _EMPTY.sub(_blank, message)
    found = _PRONOUN.search(masked)
    if found:
        # "I lost my card, how do I block it": what it refers to stands in the message itself.
        before = masked[: found.start()]
        own = len(content(before)) >= 2 and len(_CLAUSES.split(before)) >= 2
        return Lean.WEAK if own or len(content(before)) >= 4 else Lean.STRONG
    return Lean.WEAK if len(content(message)) <= 3 else Lean.NONE


def _stands(rest: str) -> bool:
    """True for a whole question of its own that merely begins with "and"."""
    whole = _QUESTION_WORD.match(rest.strip()) and len(content(rest)) >= 2
    return bool(whole) and not _PRONOUN.search(_EMPTY.sub(_blank, rest))


def standalone(message: str, topic: str, answers: Sequence[str] = ()) -> list[Candidate]:
    """Readings of `message` that need no context, the likeliest first.

    `topic` is the standalone question asked before it; empty means there was none. `answers`
    are the bot's earlier messages, the latest first.
    """
    how = lean(message)
    alone = Candidate(message, alone=True, lean=how)
    if how is Lean.NONE or not topic:
        return [alone]
    topic = topic[:LONGEST]
    last_answer = answers[0] if answers else ""
    mentioned = (_named(one, topic) for one in answers[:BACK] if how is Lean.STRONG)
    names = next((one for one in mentioned if one), "")
    readings = [
        _chosen(message, topic, last_answer),
        _ellipsis(message, topic),
        _pronoun(message, names) if names else "",
        _pronoun(message, _subject(topic)),
        f"{_bare(topic)} {message}",
        f"{_bare(message)}: {_gist(last_answer)}" if how >= Lean.NAMES and last_answer else "",
    ]
    found = dict.fromkeys(one.strip() for one in readings if one)
    folded = message.casefold()
    read = [Candidate(one, alone=False, lean=how) for one in found if one.casefold() != folded]
    return [*read[:READINGS], alone] if how >= Lean.NAMES else [alone, *read[: READINGS - 1]]


def topic_of(questions: Sequence[str]) -> str:
    """What a run of earlier questions, oldest first, was about: the last one made standalone."""
    topic = ""
    for question in questions:
        candidates = standalone(question[:LONGEST], topic)
        leans = lean(question) >= Lean.NAMES
        topic = candidates[0].text if leans and topic else question[:LONGEST]
    return topic


def _bare(text: str) -> str:
    return text.strip().rstrip("?？!.。 ")


def _ellipsis(message: str, topic: str) -> str:
    """What "and for business?" asks after "how much is it for families?": how much for business."""
    found = _START.match(message) or _START_ZH.match(message) or _END_ZH.match(message)
    if not found:
        return ""
    rest = found.group("rest").strip(" ,，?？.!。")
    if _BARE.match(rest) or (content(rest) and _has_question_word(rest)):
        short = len(content(rest)) < 2 and not _PRONOUN.search(rest)
        return f"{rest}, {_bare(topic)}" if short else ""
    bare = _bare(topic)
    led = _PREPOSITION.match(rest)
    # The same preposition in the question before marks the slot that is replaced; something
    # named without one takes the place of the name or of the last thing named there.
    slot = _slot(bare, re.escape(led.group("word")) if led else "")
    if slot and led:
        return f"{bare[: slot.start()]}{rest}?"
    names = [*_NAMES.finditer(bare)]
    new = [*_NAMES.finditer(f" {rest}")]
    if names and new and not led:
        return f"{bare[: names[-1].start()]}{new[-1].group()}{bare[names[-1].end() :]}?"
    if slot and not led and len(rest.split()) <= 3:
        return f"{bare[: slot.start('thing')]}{rest}?"
    return f"{bare} {rest}?"


def _slot(question: str, word: str) -> re.Match[str] | None:
    """The last "for …" or the like that ends a question; any preposition if `word` is empty."""
    wanted = word or "for|to|in|on|with|from|at|of|para|en|con|für|nach|mit|von|для|в|на"
    return re.search(
        rf"\b(?:{wanted})\s+(?P<thing>(?:(?:the|a|an|my|your|el|la|un|una|der|die|das|dem|den) )?"
        rf"(?:(?!(?:{wanted})\b)\S+\s*){{1,3}})$",
        question,
        re.IGNORECASE,
    )


_QUESTION_WORD = re.compile(
    r"\b(?:what|when|where|who|why|which|how|can|do|does|is|are|will|should|could|must|qué"
    r"|cuándo|dónde|cómo|cuánto|cuál"
    r"|was|wann|wo|wer|wie|warum|kann|ist|что|когда|где|кто|как|почему|сколько|можно)\b|什么|怎么"
    r"|如何|多少|哪|吗",
    re.IGNORECASE,
)


def _has_question_word(text: str) -> bool:
    return _QUESTION_WORD.search(text) is not None


def _blank(found: re.Match[str]) -> str:
    return "\0" * len(found.group())


def _ordinal(message: str) -> int | None:
    """Which of several things a message picks ("the second one"): an index, -1 for the last."""
    for index, pattern in enumerate(_ORDINAL):
        if pattern.match(message):
            return index if index < len(_ORDINAL) - 1 else -1
    return None


def _chosen(message: str, topic: str, last_answer: str) -> str:
    """The topic with the thing that "the second one" picks from the last answer."""
    index = _ordinal(message)
    if index is None:
        return ""
    text = _MARKER.sub("", last_answer)
    options = [plain(one) for one in _ITEM.findall(text)]
    if not options:
        listing = next((one for one in sentences(plain(text)) if _OR.search(one)), "")
        # As in: which do you mean, 12, 24 or 36 months?
        options = [one.strip(" ?.!。？") for one in _CHOICE.split(listing.split(":")[-1])]
        options = [one for one in options if one]
    if not options or index >= len(options):
        return ""
    unit = re.search(r"\d\s+(\D+)$", options[-1])
    picked = options[index]
    if picked.isdigit() and unit:
        picked = f"{picked} {unit.group(1)}"  # "24" of "12, 24 or 36 months"
    return f"{_bare(topic)} {picked}"


def _pronoun(message: str, about: str) -> str:
    """The message with its pronoun replaced by what it is about."""
    if not about:
        return ""
    masked = _EMPTY.sub(_blank, message)
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


def _gist(answer: str) -> str:
    """The beginning of the last answer: what "that number" may be the number of."""
    first = sentences(plain(_MARKER.sub("", answer))[: 4 * GIST])
    return first[0][:GIST] if first else ""


def _named(answer: str, topic: str) -> str:
    """Names an answer mentions and the topic does not: what "it" may be."""
    text = plain(_MARKER.sub("", answer))[:600]
    known = topic.casefold()
    opening = (" ".join(w for w in one.split() if content(w)) for one in _OPENING.findall(text))
    found = dict.fromkeys(filter(None, [*opening, *_NAMES.findall(text)]))
    return " ".join([name for name in found if name.casefold() not in known][:2])

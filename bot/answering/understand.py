"""Understands one message: small talk, an attack, or one to four questions made standalone.

Knows words, not the knowledge: it proposes what to search for and never decides what is true.
Nothing a message says changes what the bot does; orders in it are cut off and left unanswered.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from bot.answering.units import sentences
from bot.types import Turn
from bot.words.followup import Candidate, standalone, topic_of
from bot.words.lexicon import content, language, tokens
from bot.words.orders import without_orders
from bot.words.smalltalk import Talk, peel, wants_human_now

PARTS = 4  # questions answered from one message
SEARCHED = 1200  # characters of one question that are searched for
WHOLE = 4  # words that make a question of its own, such as "how long does it take"
READ = 12_000  # characters of a message that are read, half from each end


@dataclass(frozen=True, slots=True)
class Part:
    """One question of a message: as asked, and the standalone readings worth searching."""

    text: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Understood:
    """What a message is. Exactly one of `parts`, `talk`, `attack` and `empty` holds."""

    lang: str
    parts: tuple[Part, ...] = ()
    talk: Talk | None = None
    attack: bool = False  # nothing but orders to the bot
    empty: bool = False  # nothing that could be a question


# Controls, zero-width and direction marks, private use and unassigned: nothing a person reads.
_INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cn", "Cs"})
_SPACE = re.compile(r"[^\S\n]+")
_COMMENT = re.compile(r"<!--.*?(?:-->|$)", re.DOTALL)  # what a page hides from its readers
_LINES = re.compile(r"\s*\n\s*")
_NUMBERED = re.compile(r"(?:^|\n)\s*(?:\(?\d{1,2}[.):]|[-*•])\s+")
_INLINE = re.compile(r"(?:^|\s)\(?(?:[1-9]|[a-d])\)\s+")  # "1) … 2) …" on one line
_ASKS = re.compile(r"[?？]\W*$")
_QUESTION_START = (
    r"(?:what|when|where|who|whom|whose|why|which|how|can|could|do|does|did|is|are|will|would"
    r"|should|may|am i"
    r"|qué|cuándo|dónde|quién|por qué|cuál|cuáles|cómo|cuánto|cuánta|cuántos|puedo|pueden|hay"
    r"|tienen"
    r"|was|wann|wo|wer|warum|welche[rs]?|wie|kann|können|gibt|ist|sind|darf|muss|habt|haben"
    r"|что|когда|где|кто|почему|какой|какая|какие|как|сколько|можно|есть ли|могу|можете)"
)
_JOINED = re.compile(
    rf"(?:\s*[,;]\s*|\s+)(?:and(?: also| then)?|also|plus|as well as|y(?: también)?"
    rf"|und(?: auch)?|и(?: ещё| еще| также)?|а)\s+"
    rf"(?:(?:also|además|también|außerdem|auch|ещё|еще)\s+)?(?={_QUESTION_START}\b(?!\s+(?:to"
    rf"|not)\b))",
    re.IGNORECASE,
)
_JOINED_ZH = re.compile(
    r"[，,；;]?\s*(?:另外|还有|以及|并且|同时|而且|顺便问一下)[，,]?\s*|[？?]\s*"
)
_STARTS = re.compile(rf"^\W*(?:(?:and|also|y|und|и|а|but)\s+)?{_QUESTION_START}\b", re.IGNORECASE)
_ASIDE = re.compile(
    r"^\W*(?:(?:also|and also|oh and|one more thing|another question|second(?:ly)?|first(?:ly)?"
    r"|next|además|también"
    r"|otra pregunta|außerdem|noch eine frage|ещё вопрос|еще вопрос|также)[\s,:;.-]+)+",
    re.IGNORECASE,
)


def normalise(message: str) -> str:
    """The message as a person would read it: no invisible characters, plain spaces."""
    text = "".join(
        char
        if char.isspace() or char == "\u200d" or unicodedata.category(char) not in _INVISIBLE
        else ""
        for char in unicodedata.normalize("NFC", message.replace("\u200b", " "))
    )
    return _LINES.sub("\n", _SPACE.sub(" ", _COMMENT.sub(" ", text))).strip()


def understand(message: str, history: Sequence[Turn] = (), default_lang: str = "en") -> Understood:
    """What `message` asks, given the conversation before it (oldest first)."""
    text = normalise(message if len(message) <= READ else _ends(message))
    lang = _language(text, history, default_lang)
    if _unreadable(text):
        return Understood(lang, empty=True)
    last = next((turn.content for turn in reversed(history) if turn.role == "assistant"), "")
    if wants_human_now(text, last):
        return Understood(lang, talk=Talk.HUMAN)
    peeled = peel(text) if len(text) <= 4 * SEARCHED else None
    if peeled is not None and peeled.talk is not None:
        return Understood(peeled.lang or lang, talk=peeled.talk)
    rest, attacked = without_orders(peeled.rest if peeled is not None else text)
    if attacked and not content(rest):
        return Understood(lang, attack=True)
    return Understood(lang, parts=_parts(rest, history))


def _ends(message: str) -> str:
    """The beginning and the end of a message too long to be read whole."""
    return f"{message[: READ // 2]}\n{message[-READ // 2 :]}"


def split(message: str) -> list[str]:
    """The questions of a message in order; statements stay with the question they lead to."""
    listed = [one.strip() for one in _NUMBERED.split(message)]
    if len(listed) < 3:
        listed = [one.strip() for one in _INLINE.split(message)]
    if len(listed) >= 3:
        head, *items = listed
        items = [one for one in items if one]
        return _limited([head, *items] if _is_question(head) else items)
    pieces: list[str] = []
    waiting = ""
    for sentence in _sentences(message):
        for piece in _apart(sentence):
            whole = f"{waiting} {piece}".strip()
            if _is_question(piece):
                pieces.append(whole)
                waiting = ""
            else:
                waiting = whole
    if waiting and pieces and not _asks_something(waiting):
        pieces[-1] = f"{pieces[-1]} {waiting}"
    elif waiting:
        pieces.append(waiting)
    return _limited(pieces)


def _limited(pieces: list[str]) -> list[str]:
    cleaned = [_ASIDE.sub("", one).strip() or one for one in pieces]
    kept = [one for one in cleaned if tokens(one)]
    return kept[:PARTS]


def _sentences(message: str) -> list[str]:
    return [one for line in message.split("\n") for one in sentences(line)]


def _apart(sentence: str) -> list[str]:
    """A sentence cut where a second question is joined on with "and"."""
    pieces = _JOINED.split(sentence)
    if len(pieces) == 1 and ("？" in sentence or "还有" in sentence or "另外" in sentence):
        pieces = [one for one in _JOINED_ZH.split(sentence) if one and len(one) > 3]
        return pieces if len(pieces) > 1 else [sentence]
    # Cut only where both sides stand: "how do I pause and when is it billed", not "if and when".
    if len(pieces) < 2 or not _STARTS.match(pieces[0]) or not content(pieces[0]):
        return [sentence]
    if any(not content(one) and len(tokens(one)) < WHOLE for one in pieces[1:]):
        return [sentence]
    return [one if _ASKS.search(one) else f"{one}?" for one in pieces]


def _is_question(text: str) -> bool:
    return _ASKS.search(text) is not None or _STARTS.match(text) is not None


_REQUEST = re.compile(
    r"\b(?:i (?:want|need|would like|'d like)|please|tell me|explain|show me|need to know"
    r"|wondering|interested in"
    r"|quiero|necesito|explíqu|dígame|ich (?:möchte|will|brauche)|erklär|хочу|нужно|расскажите"
    r"|объясните)\b|我想|请|告诉",
    re.IGNORECASE,
)


def _asks_something(text: str) -> bool:
    return _REQUEST.search(text) is not None


def _parts(text: str, history: Sequence[Turn]) -> tuple[Part, ...]:
    topic = topic_of(_earlier(history))
    answers = [turn.content for turn in reversed(history) if turn.role == "assistant"]
    parts = []
    for piece in split(text) or [text]:
        asked = piece if len(piece) <= SEARCHED else _gist(piece)
        candidates = standalone(asked, topic, answers)
        parts.append(Part(asked, (*candidates, *_core(asked))))
        # The next part of the same message may lean on this one: "… and how much is it?"
        topic, answers = candidates[0].text, []
    return tuple(parts)


def _core(asked: str) -> list[Candidate]:
    """The question alone, where a story is told around it: what a page is likelier to say."""
    told = sentences(asked)
    questions = [one for one in told if _ASKS.search(one)]
    core = questions[-1] if questions else ""
    return [Candidate(core, alone=True)] if len(told) > 1 and len(content(core)) >= 3 else []


def _earlier(history: Sequence[Turn]) -> list[str]:
    """The questions among the earlier messages; small talk and orders are no topic."""
    found = []
    for turn in history:
        if turn.role != "user":
            continue
        peeled = peel(normalise(turn.content)[:SEARCHED])
        rest, _ = without_orders(peeled.rest)
        if peeled.talk is None and content(rest):
            pieces = split(rest)
            found.append(pieces[-1] if pieces else rest)
    return found


def _gist(text: str) -> str:
    """A long message's questions, or its beginning and end where it has none."""
    asked = [one for one in _sentences(text) if _is_question(one)]
    gist = " ".join(asked) or f"{text[: SEARCHED // 2]} {text[-SEARCHED // 2 :]}"
    return gist[:SEARCHED]


def _unreadable(text: str) -> bool:
    """True for nothing, for symbols only, and for what is mostly not letters at all."""
    letters = sum(char.isalnum() for char in text)
    if any(symbol in text for symbol in "👋🙏👍❤👌"):
        return False
    return letters == 0 or ("\ufffd" in text and text.count("\ufffd") > letters / 4)


def _language(text: str, history: Sequence[Turn], default: str) -> str:
    """The message's language; a message too short to tell speaks the conversation's."""
    for turn in reversed(history):
        if turn.role == "user" and len(tokens(turn.content)) > 2:
            default = language(turn.content[:SEARCHED], default)
            break
    return language(text[:SEARCHED], default)

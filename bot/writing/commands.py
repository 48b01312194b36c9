"""What a writing command asks for: `/draft announcement, friendly, short: we close on Friday`.

Knows words, not models. A command is the first word of a message and works in any channel that
passes the message on as it is; `!draft` is the same for platforms that keep `/` to themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bot.answering.prompt import NAMES

Verb = Literal["draft", "summarize", "translate", "code"]
VERBS: Mapping[str, Verb] = {
    "draft": "draft",
    "summarize": "summarize",
    "summarise": "summarize",
    "translate": "translate",
    "code": "code",
}
KINDS = {  # a template, by what people call it
    "product description": "product", "product": "product", "description": "product",
    "marketing copy": "marketing", "marketing": "marketing", "copy": "marketing",
    "advert": "marketing", "ad": "marketing",
    "announcement": "announcement", "news": "announcement", "notice": "announcement",
    "reply": "reply", "answer": "reply", "email": "reply", "e-mail": "reply",
}  # fmt: skip
TONES = (
    "friendly", "formal", "neutral", "playful", "confident", "empathetic", "apologetic",
    "enthusiastic", "plain",
)  # fmt: skip
LENGTHS = {"short": 60, "medium": 130, "long": 260}  # words
LANGUAGES = {name.casefold(): name for name in NAMES.values()} | dict(NAMES.items())
HELP = """\
- `/draft KIND, TONE, LENGTH: what about` writes a product description, marketing copy, a reply \
or an announcement; tones are {tones}; lengths are short, medium and long. All three may be left \
out.
- `/summarize: text` sums a text up, or this conversation where no text follows.
- `/translate LANGUAGE: text` translates.
- `/code what it should do` writes code.""".format(tones=", ".join(TONES))

_COMMAND = re.compile(r"\s*[/!]([a-z]+)(?:@\w+)?(?=[\s:,]|$)[\s:,]*(.*)", re.DOTALL | re.IGNORECASE)
_BREAK = re.compile(r"[\s,]+")


@dataclass(frozen=True, slots=True)
class Command:
    """One request. `about` is the person's own text, empty where none was given."""

    verb: Verb
    about: str
    kind: str = "reply"  # of a draft: a template
    tone: str = ""
    length: str = "medium"
    language: str = ""  # to translate into, in English; empty where none was named

    @property
    def template(self) -> str:
        """The name of the file that says how it is written."""
        return f"draft-{self.kind}" if self.verb == "draft" else self.verb


def is_command(text: str) -> bool:
    """Whether a message begins with a writing command."""
    found = _COMMAND.fullmatch(text)
    return found is not None and found.group(1).casefold() in VERBS


def parse(text: str) -> Command | None:
    """The command a message begins with; None where it is an ordinary message.

    Options come first, in any order, and end at the first word that is none, or at a colon.
    """
    found = _COMMAND.fullmatch(text)
    verb = VERBS.get(found.group(1).casefold()) if found else None
    if found is None or verb is None:
        return None
    rest = found.group(2).strip()
    if verb == "draft":
        return _draft(rest)
    if verb == "translate":
        return _translation(rest)
    return Command(verb, rest)


def _draft(rest: str) -> Command:
    chosen: dict[str, str] = {}
    while True:
        name, option, after = _option(rest, chosen)
        if not name:
            return Command("draft", rest.lstrip(" :,\n"), **chosen)
        chosen[name] = option
        rest = after
        if rest.startswith(":"):
            return Command("draft", rest[1:].strip(), **chosen)


def _option(rest: str, chosen: Mapping[str, str]) -> tuple[str, str, str]:
    """The option a text begins with: its field, its value and what follows; empty for none."""
    begins = rest.casefold()
    fields = {
        "kind": KINDS,
        "tone": {one: one for one in TONES},
        "length": {one: one for one in LENGTHS},
    }
    for field, words in fields.items():
        if field in chosen:
            continue
        for word in sorted(words, key=len, reverse=True):
            if re.match(rf"{re.escape(word)}(?![\w-])", begins):
                return field, words[word], _after(rest, len(word))
    return "", "", rest


def _after(rest: str, end: int) -> str:
    return _BREAK.sub(" ", rest[end : end + 1]).lstrip() + rest[end + 1 :].lstrip()


def _translation(rest: str) -> Command:
    found = re.match(r"(?:(?:in)?to\s+)?([^\W\d_]+)\s*[:,\s]\s*", f"{rest} ", re.IGNORECASE)
    language = LANGUAGES.get(found.group(1).casefold(), "") if found else ""
    if found is None or not language:
        return Command("translate", rest)
    return Command("translate", rest[found.end() :].strip(), language=NAMES.get(language, language))

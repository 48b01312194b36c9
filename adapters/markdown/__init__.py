"""One Markdown tree for every chat platform: read once, split at limits, rendered elsewhere.

Does not know any platform's dialect: a channel's `render.py` turns the tree into text, escapes
it, and decides which links may be followed.

    document = parse(text)
    for piece in split(document, 3000, lambda piece: len(render(piece))): ...
"""

from adapters.markdown.read import parse, safe_url
from adapters.markdown.split import split
from adapters.markdown.tree import (
    Block,
    Break,
    Citation,
    Code,
    CodeBlock,
    Document,
    Emphasis,
    Heading,
    Inline,
    Items,
    Link,
    Measure,
    Paragraph,
    Quote,
    Rule,
    Strike,
    Strong,
    Table,
    Text,
    plain,
)

__all__ = [
    "Block",
    "Break",
    "Citation",
    "Code",
    "CodeBlock",
    "Document",
    "Emphasis",
    "Heading",
    "Inline",
    "Items",
    "Link",
    "Measure",
    "Paragraph",
    "Quote",
    "Rule",
    "Strike",
    "Strong",
    "Table",
    "Text",
    "parse",
    "plain",
    "safe_url",
    "split",
]

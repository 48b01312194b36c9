"""What of an HTML page a person does not see.

Text that is invisible on the page but read by a model is how instructions are smuggled into a
knowledge base, so it is dropped. Knows attributes, inline styles, style sheets inside the page
and the class names that the common frameworks hide with. Does not load outside style sheets
and runs no scripts, so what only those hide is kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from knowledge.readers.base import words

if TYPE_CHECKING:
    from lxml.html import HtmlElement

_NEVER_SHOWN = words(
    "audio base canvas datalist embed head iframe input link map meta nav noscript object "
    "optgroup option param script select source style svg template textarea title "
    "track video"
)
_ROLES = words("alertdialog banner contentinfo dialog menu menubar navigation search toolbar")
_CLASSES = words("d-none hidden invisible is-hidden screen-reader-text sr-only visually-hidden")
_HIDING = re.compile(
    r"display\s*:\s*none"
    r"|visibility\s*:\s*(?:hidden|collapse)"
    r"|(?<![\w-])opacity\s*:\s*0*\.?0+%?\s*(?:;|!|$)"
    r"|(?<![\w-])font-size\s*:\s*0*\.?0+[a-z%]*\s*(?:;|!|$)"
    r"|(?<![\w-])(?:left|right|top|bottom|text-indent|margin-(?:left|top))\s*:\s*-\d{3,}"
    r"|(?<![\w-])clip(?:-path)?\s*:\s*(?:rect\(\s*[01]|inset\(\s*(?:50|100)%)"
    r"|(?<![\w-])color\s*:\s*transparent"
    r"|(?<![\w-])content-visibility\s*:\s*hidden",
    re.IGNORECASE,
)
_FLAT = re.compile(
    r"(?<![\w-])(?:max-)?(?:height|width)\s*:\s*0(?:[a-z]+)?\s*(?:;|!|$)", re.IGNORECASE
)
_COLOR = re.compile(r"(?<![\w-])(color|background(?:-color)?)\s*:\s*([^;!]+)", re.IGNORECASE)
_RULE = re.compile(r"([^{}]*)\{([^{}]*)\}")
_SIMPLE_SELECTOR = re.compile(r"([a-z][a-z0-9]*)?(?:([.#])([\w-]+))?", re.IGNORECASE)


class Visibility:
    """Decides about the elements of one page."""

    def __init__(self, root: HtmlElement) -> None:
        self._rules = {
            rule
            for sheet in root.iter("style")
            for rule in _hiding_rules(sheet.text_content()[:1_000_000])
        }

    def hides(self, element: HtmlElement) -> bool:
        """True if a person does not see this element, or it is not part of the text."""
        if element.tag in ("html", "body", "main"):
            return False  # pages that fade in start at opacity 0
        classes = (element.get("class") or "").split()
        return (
            element.get("hidden") is not None
            or (element.get("aria-hidden") or "").strip().lower() == "true"
            or _is_apart(element)
            or _hides(element.get("style") or "")
            or not _CLASSES.isdisjoint(classes)
            or self._ruled_out(element, classes)
        )

    def _ruled_out(self, element: HtmlElement, classes: list[str]) -> bool:
        if not self._rules:
            return False
        names = [("", ""), *((".", name) for name in classes), ("#", element.get("id") or "")]
        return any(
            (tag, mark, name) in self._rules for tag in (element.tag, "") for mark, name in names
        )


def _is_apart(element: HtmlElement) -> bool:
    """True for what by its tag or role is not part of the text: scripts, controls, menus."""
    tag = element.tag
    if tag == "button":
        # Elsewhere than in a form it may be the question of a fold-out answer.
        return next(element.iterancestors("form"), None) is not None
    return (
        tag in _NEVER_SHOWN
        or (element.get("role") or "").lower() in _ROLES
        or (tag == "dialog" and element.get("open") is None)
        or (tag in ("header", "footer", "aside") and _frames_page(element))
    )


def _frames_page(element: HtmlElement) -> bool:
    """True for a header, footer or side bar of the site, not of an article on it."""
    if next(element.iterancestors("main", "article"), None) is not None:
        return False
    return next(element.iterdescendants("h1"), None) is None


def _hides(style: str) -> bool:
    if _HIDING.search(style):
        return True
    if _FLAT.search(style) and re.search(r"overflow\s*:\s*(?:hidden|clip)", style, re.IGNORECASE):
        return True
    colors = {
        name.lower().removesuffix("-color"): value.strip().lower()
        for name, value in _COLOR.findall(style)
    }
    return "color" in colors and colors["color"] == colors.get("background")


def _hiding_rules(sheet: str) -> set[tuple[str, str, str]]:
    """(tag, "." or "#" or "", name) of simple selectors whose rule hides; others are ignored.

    Rules inside `@media` and the like hold under conditions only, and do not count.
    """
    sheet = re.sub(r"/\*.*?\*/|@[^{};]*;", "", sheet, flags=re.DOTALL)
    rules: set[tuple[str, str, str]] = set()
    for selectors, body in _RULE.findall(_without_conditions(sheet)):
        if _hides(body):
            for selector in selectors.split(","):
                found = _SIMPLE_SELECTOR.fullmatch(selector.strip())
                if found and (found.group(1) or found.group(2)):
                    tag, mark, name = (part or "" for part in found.groups())
                    rules.add((tag.lower(), mark, name))
    return rules


def _without_conditions(sheet: str) -> str:
    kept: list[str] = []
    depth, skipping, start = 0, -1, 0
    for found in re.finditer(r"[{}]|@[\w-]+[^{};]*", sheet):
        char = found.group()
        if char == "{":
            depth += 1
        elif char == "}":
            depth = max(0, depth - 1)
            if depth == skipping:
                skipping, start = -1, found.end()
        elif skipping < 0:
            kept.append(sheet[start : found.start()])
            skipping, start = depth, found.end()
    if skipping < 0:
        kept.append(sheet[start:])
    return "".join(kept)

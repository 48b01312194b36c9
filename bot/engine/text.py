"""From token ids to text that can be shown while it grows.

Knows tokenizers and stop strings; does not know where tokens come from or where text goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

BROKEN = "\N{REPLACEMENT CHARACTER}"
LONGEST_CHARACTER = 4  # bytes of UTF-8, hence at most this many byte tokens

Decode = Callable[[Sequence[int]], str]


class Detokenizer:
    """Turns a growing list of token ids into text, whole characters at a time.

    A character may be spread over several byte tokens, and what a token decodes to may depend
    on the one before it; so each step decodes a short window that starts at the last place
    where the text was whole, and shows what is new in it. This is the scheme of Hugging Face's
    text-generation-inference (its `decode_token`).
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._start = 0  # where the window begins
        self._whole = 0  # ids before this are whole characters, and shown
        self._ahead = 0  # characters after those that are shown already

    def add(self, ids: Sequence[int]) -> str:
        """Take more ids; return the text they complete, often empty for half a character."""
        return "".join(self._step(one) for one in ids)

    def finish(self) -> str:
        """The text still held back. A half character at the very end is left out."""
        return self._new()[self._ahead :].rstrip(BROKEN)

    def _step(self, token: int) -> str:
        self._ids.append(token)
        new = self._new()
        if new and not new.endswith(BROKEN):
            shown = new[self._ahead :]
            self._start, self._whole, self._ahead = self._whole, len(self._ids), 0
            return shown
        if len(self._ids) - self._whole <= LONGEST_CHARACTER:
            return ""
        # Bytes that have waited longer than any character lasts are not one; only the last few
        # may still become one.
        safe = max(self._ahead, len(new) - min(_trailing(new), LONGEST_CHARACTER - 1))
        shown, self._ahead = new[self._ahead : safe], safe
        return shown

    def _new(self) -> str:
        before = self._decode(self._ids[self._start : self._whole])
        return self._decode(self._ids[self._start :])[len(before) :]


def _trailing(text: str) -> int:
    """How many characters at the end of a text stand for undecodable bytes."""
    return len(text) - len(text.rstrip(BROKEN))


class StopStrings:
    """Cuts a growing text at the first of some strings, holding back what may become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.hit = False

    def add(self, text: str) -> str:
        """Take more text; return what is certainly before any stop string."""
        if self.hit or not self._stops:
            return "" if self.hit else text
        self._held += text
        found = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:  # the one that is complete first, so that it does not matter how text is cut
            self.hit = True
            return self._take(min(found)[1])
        return self._take(len(self._held) - self._may_begin())

    def finish(self) -> str:
        """The text held back: it did not become a stop string after all."""
        return "" if self.hit else self._take(len(self._held))

    def _take(self, count: int) -> str:
        safe, self._held = self._held[:count], self._held[count:]
        return safe

    def _may_begin(self) -> int:
        """Length of the longest tail that is the beginning of a stop string."""
        return max(
            (
                length
                for stop in self._stops
                for length in range(1, min(len(stop) - 1, len(self._held)) + 1)
                if self._held.endswith(stop[:length])
            ),
            default=0,
        )

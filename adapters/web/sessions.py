"""Who is visiting: a signed cookie with a random visitor and the conversation they are in.

Knows how the cookie is made and checked. Does not know what a visitor may see: that follows
from `owns`, since a conversation's id begins with its visitor's.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import Response

_AGE_S = 90 * 24 * 3600
_RENEW = timedelta(days=1)  # a cookie older than this is set anew, so regulars keep theirs
_VISITOR = re.compile(r"[0-9a-f]{32}")
_CONVERSATION = re.compile(r"[0-9a-f]{32}\.[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Session:
    """A visitor and their present conversation. `fresh` means the cookie must be set."""

    visitor: str  # 128 random bits, hex
    conversation: str  # "<visitor>.<64 random bits, hex>"
    fresh: bool = False

    @property
    def voter(self) -> str:
        """The visitor as the author of votes."""
        return f"web:{self.visitor}"

    def event_id(self, message_id: str) -> str:
        """The idempotency key of one of this visitor's messages."""
        return f"web:{self.visitor}:{message_id}"

    def owns(self, conversation: str) -> bool:
        """Tell whether a conversation, present or earlier, is this visitor's."""
        return conversation.startswith(f"{self.visitor}.")


class Sessions:
    """Makes and checks the cookie. `secure` is for servers reached by https."""

    def __init__(self, key: str, *, secure: bool) -> None:
        self._signer = URLSafeTimedSerializer(key, salt="deskhand.web.session.v1")
        self._secure = secure
        # A browser refuses a `__Host-` cookie that another (sub)domain or plain http tries to set.
        self.cookie = "__Host-deskhand" if secure else "deskhand"

    def new(self, visitor: str = "") -> Session:
        """Return a session in a conversation of its own, for a new visitor or a known one."""
        visitor = visitor or secrets.token_hex(16)
        return Session(visitor, f"{visitor}.{secrets.token_hex(8)}", fresh=True)

    def read(self, request: Request) -> Session | None:
        """Return the session a request carries; None without a valid cookie."""
        raw = request.cookies.get(self.cookie, "")
        try:
            payload, at = self._signer.loads(raw, max_age=_AGE_S, return_timestamp=True)
        except BadSignature:  # expired and malformed cookies included
            return None
        match payload:
            case [str(visitor), str(conversation)] if (
                _VISITOR.fullmatch(visitor)
                and _CONVERSATION.fullmatch(conversation)
                and conversation.startswith(visitor)
            ):
                stale = datetime.now(UTC) - at > _RENEW
                return Session(visitor, conversation, fresh=stale)
        return None

    def write(self, response: Response, session: Session) -> None:
        """Set the cookie."""
        response.set_cookie(
            self.cookie,
            str(self._signer.dumps([session.visitor, session.conversation])),
            max_age=_AGE_S,
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

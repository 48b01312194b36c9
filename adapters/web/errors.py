"""How errors look to the page: a status, a code a program can read, a sentence for a person.

Knows the error tree and HTTP statuses. A message never holds what somebody wrote, a path or a
traceback.
"""

from __future__ import annotations

import math

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bot.errors import Busy, NotAllowed, NotFound, Refused, StoreError, TooLarge
from knowledge.errors import DeskhandError

_log = structlog.get_logger(__name__)

_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "not_json"}


class WebError(DeskhandError):
    """A request that is refused, with the status and the code it is refused with."""

    def __init__(self, status: int, code: str, message: str, *, retry_s: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_s = retry_s


def error_response(status: int, code: str, message: str, retry_s: float = 0.0) -> Response:
    """Return `{"error": {"code", "message"}}`; `retry_s` becomes Retry-After."""
    headers = {"retry-after": str(math.ceil(retry_s))} if retry_s else {}
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


def too_large() -> Response:
    """Return the answer to a body or message that is too long."""
    return error_response(413, "too_large", "That is too long. Send a shorter message.")


def handle_errors(app: FastAPI) -> None:
    """Turn every error raised while handling a request into such a response."""
    app.add_exception_handler(DeskhandError, _deskhand)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _deskhand(_request: Request, error: Exception) -> Response:
    match error:
        case WebError():
            response = error_response(error.status, error.code, error.message, error.retry_s)
        case TooLarge():
            response = error_response(413, "too_large", str(error))
        case Refused():
            code = "busy" if isinstance(error, Busy) else "refused"
            response = error_response(503, code, str(error), retry_s=5)
        case NotAllowed() | NotFound():
            response = error_response(404, "not_found", "There is no such thing.")
        case StoreError():
            _log.error("store failed", error=str(error))
            message = "This cannot be saved right now. Try again in a moment."
            response = error_response(503, "unavailable", message, retry_s=5)
        case _:
            _log.error("request failed", error=str(error))
            response = error_response(500, "internal", "Something went wrong on our side.")
    return response


async def _http(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 413:
        return too_large()
    code = _CODES.get(status, "bad_request")
    message = "There is no such page." if status == 404 else "This request cannot be understood."
    return error_response(status, code, message)


async def _invalid(_request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    where = ".".join(str(part) for part in first.get("loc", ()) if part != "body")
    reason = "it is not valid JSON" if first.get("type") == "json_invalid" else first.get("msg", "")
    return error_response(400, "bad_request", f"Not usable: {where or 'the body'}: {reason}.")

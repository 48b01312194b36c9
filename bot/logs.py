"""Structured logs on standard error.

Knows how a log line is made and what must never be in one; knows nothing of what is logged.
A line about a question carries its `event_id`, bound once at the door with
`structlog.contextvars`. What people wrote is cut from every line unless `log.text` allows it,
and anything that looks like a credential always is.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from bot.config import LogSettings

TEXT_KEYS = frozenset({"text", "question", "answer", "reason", "correction", "passage", "reply"})
SECRET_KEYS = re.compile(r"(?i)(token|secret|passw|authori[sz]ation|cookie|api_?key|^key$)")
SECRET_VALUES = re.compile(
    r"(?:xox[abepors]-[\w-]{8,}"  # Slack
    r"|xapp-[\w-]{8,}"
    r"|\b\d{8,10}:[\w-]{35}\b"  # Telegram bot token
    r"|(?i:bearer)\s+[\w.~+/-]{8,}=*"
    r"|://[^/\s:@]+:[^/\s@]+@)"  # credentials in a URL
)
HIDDEN = "(hidden)"

Line = MutableMapping[str, Any]


def configure(settings: LogSettings) -> None:
    """Set up structlog, and send the standard library's loggers through it."""
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,
        *([] if settings.text else [hide_text]),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    # Each writes a line per request or statement at info, with addresses and parameters in it.
    for chatty in ("httpx", "httpcore", "uvicorn", "sqlalchemy.engine", "alembic", "faiss.loader"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def hide_text(_logger: object, _method: str, line: Line) -> Line:
    """Replace what people wrote by its length."""
    for key in TEXT_KEYS & line.keys():
        value = line.pop(key)
        line[f"{key}_chars"] = len(value) if isinstance(value, str) else None
    return line


def hide_secrets(_logger: object, _method: str, line: Line) -> Line:
    """Blank values whose key names a credential, and credentials inside any text."""
    for key, value in line.items():
        if SECRET_KEYS.search(key):
            line[key] = HIDDEN
        elif isinstance(value, str):
            line[key] = SECRET_VALUES.sub(HIDDEN, value)
    return line

"""Log lines carry ids, never what people wrote and never a credential."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from bot import logs
from bot.config import LogSettings


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.getLogger().handlers = handlers
    logging.getLogger().setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_carries_the_event_id_and_not_the_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="json"))
    structlog.contextvars.bind_contextvars(event_id="web:1")

    structlog.get_logger("t").info("accepted", text="my card is 4111")

    (line,) = lines(capsys)
    assert line["event_id"] == "web:1"
    assert line["text_chars"] == len("my card is 4111")
    assert "4111" not in json.dumps(line)


def test_text_is_logged_only_when_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="json", text=True))
    structlog.get_logger("t").info("accepted", text="hello")
    assert lines(capsys)[0]["text"] == "hello"


@pytest.mark.parametrize(
    "secret",
    [
        "xoxb-123456789012-abcdefghij",
        "xapp-1-A0123456789-abcdef",
        "1234567890:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1",
        "Bearer sk-abcdefghijkl",
        "postgresql://me:hunter2@db/desk",
    ],
)
def test_credentials_are_hidden_wherever_they_stand(
    capsys: pytest.CaptureFixture[str], secret: str
) -> None:
    logs.configure(LogSettings(format="json", text=True))
    structlog.get_logger("t").info("failed", error=f"could not use {secret} here")
    logging.getLogger("library").warning("sent %s", secret)
    structlog.get_logger("t").info("login", slack_token=secret)
    out = capsys.readouterr().err
    assert len(out.splitlines()) == 3
    assert secret not in out
    assert "hunter2" not in out


def test_an_exception_text_is_cleaned_too(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogSettings(format="json"))
    failed = ValueError("xoxb-123456789012-abcdefghij")
    structlog.get_logger("t").error("broke", exc_info=failed)
    assert "xoxb-1234" not in capsys.readouterr().err

"""Settings: the only place that reads the environment.

Values come, weakest first, from the defaults below, from `deskhand.toml` in the working
folder (or the file named by `DESKHAND_CONFIG`), and from environment variables such as
`DESKHAND_SERVER__PORT`. A key that is not listed here is refused by name. Secrets are
`SecretStr`, so printing a settings object never shows them.

Every field carries its documentation; `docs/settings.md` is checked against it by a test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from knowledge.types import Audience


class Section(BaseModel):
    """One table of the settings file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    """The web server: chat page, API, health and metrics."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    public_url: str = Field(
        "", description="Address people reach the server at, when it is behind a proxy."
    )
    secret: SecretStr = Field(
        SecretStr(""),
        description="Key that signs session cookies; empty makes one in the data folder.",
    )
    audience: Audience = Field(
        Audience.CUSTOMER, description="Whose knowledge the chat page draws on."
    )
    rate_per_minute: int = Field(
        20, ge=1, description="Questions one visitor may ask in a minute."
    )


class DatabaseSettings(Section):
    """Where conversations are kept."""

    url: SecretStr = Field(
        SecretStr(""),
        description="`sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`; "
        "empty uses `deskhand.db` in the data folder.",
    )


class KnowledgeSettings(Section):
    """The index and what embeds it."""

    embedder: str = Field(
        "all-MiniLM-L6-v2",
        description="A sentence-transformers model by name or folder; the default is bundled.",
    )
    answer_threshold: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        description="Confidence below which the bot says it does not know.",
    )


class EngineSettings(Section):
    """The process that holds the Transformer."""

    url: str = Field(
        "", description="An OpenAI-compatible engine elsewhere; empty runs the embedded one."
    )
    key: SecretStr = Field(SecretStr(""), description="Bearer key of the engine.")
    model: str = Field(
        "",
        description="A Hugging Face causal LM by folder or name; empty answers with quotes only.",
    )
    host: str = Field("127.0.0.1", description="Address the engine listens on.")
    port: int = Field(0, ge=0, le=65535, description="Port of the engine; 0 picks a free one.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where the model runs.")
    dtype: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="Number format of the weights; auto picks by hardware."
    )
    max_tokens: int = Field(320, ge=16, le=4096, description="Longest answer, in tokens.")
    slots: int = Field(8, ge=1, description="Answers generated at the same time.")


class LimitSettings(Section):
    """What one person, and everybody together, may use."""

    message_chars: int = Field(4000, ge=1, description="Longest message, in characters.")
    waiting: int = Field(1000, ge=1, description="Questions that may wait; more are refused.")
    waiting_per_actor: int = Field(10, ge=1, description="Questions one person may have waiting.")
    workers: int = Field(16, ge=1, description="Questions worked on at the same time.")
    deadline_s: float = Field(90.0, gt=0, description="Seconds from accepting to answering.")
    history_turns: int = Field(6, ge=0, description="Earlier messages a follow-up may draw on.")
    drain_s: float = Field(25.0, gt=0, description="Seconds a stopping server may take.")


class LogSettings(Section):
    """Structured logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level.")
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto is console on a terminal and json elsewhere."
    )
    text: bool = Field(False, description="Log what people wrote. Off: only ids and lengths.")


class Settings(BaseSettings):
    """Everything that can be set."""

    model_config = SettingsConfigDict(
        env_prefix="DESKHAND_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    home: Path = Field(Path("var"), description="Data folder: database, index, keys.")
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    engine: EngineSettings = EngineSettings()
    limits: LimitSettings = LimitSettings()
    log: LogSettings = LogSettings()

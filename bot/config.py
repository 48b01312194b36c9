"""Settings: the only place that reads the environment.

Values come, weakest first, from the defaults below, from `deskhand.toml` in the working
folder (or the file named by `DESKHAND_CONFIG`), and from environment variables such as
`DESKHAND_SERVER__PORT`. A key that is not listed here is refused by name. Secrets are
`SecretStr`, so printing a settings object never shows them.

Every field carries its documentation; `docs/settings.md` is checked against it by a test.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bot.errors import ConfigError
from knowledge.types import Audience

FILE_VARIABLE = "DESKHAND_CONFIG"
PREFIX = "DESKHAND_"


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
    contact: str = Field(
        "",
        description="How people reach a person, such as an address; empty looks it up in the "
        "knowledge.",
    )
    trusted_proxies: str = Field(
        "127.0.0.1",
        description="Addresses whose `X-Forwarded-For` is believed, comma-separated.",
    )
    title: str = Field("Deskhand", min_length=1, description="Name shown on the chat page.")
    rate_per_minute: int = Field(20, ge=1, description="Questions one visitor may ask in a minute.")


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
        0.1,
        ge=0.0,
        le=1.0,
        description="Confidence below which the bot says it does not know. Higher: more honest "
        "refusals, fewer answers.",
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
        "auto",
        description="Number format of the weights; auto picks by hardware, and on a CPU holds "
        "them in 16 bits where nothing is lost by it.",
    )
    decoder: Literal["auto", "own", "library"] = Field(
        "auto",
        description="What decodes: `own` runs the Llama family, `library` (transformers) any "
        "model; auto is own on a CPU where it can.",
    )
    copying: bool = Field(
        True,
        description="Help the model to copy figures, codes and addresses of the passages exactly; "
        "heeded by an engine of ours that decodes the model by itself.",
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


class SlackPlace(Section):
    """What is different in one Slack channel."""

    audience: Audience | None = Field(
        None, description="Whose knowledge answers draw on; empty takes `slack.audience`."
    )
    mode: Literal["mention", "always"] = Field(
        "mention", description="Answer when mentioned, or every message."
    )
    private: bool = Field(False, description="Show answers only to the person who asked.")


class SlackSettings(Section):
    """The Slack channel; on when `bot_token` is set, or `client_id` for many workspaces."""

    bot_token: SecretStr = Field(SecretStr(""), description="Bot token of the app, `xoxb-…`.")
    app_token: SecretStr = Field(
        SecretStr(""),
        description="App-level token, `xapp-…`, for Socket Mode; empty takes events by HTTP.",
    )
    signing_secret: SecretStr = Field(
        SecretStr(""),
        description="Signing secret of the app; needed to take events by HTTP at `/slack/events`.",
    )
    api_url: str = Field(
        "https://slack.com/api/",
        description="Address of Slack's API; GovSlack has `https://slack-gov.com/api/`.",
    )
    name: str = Field(
        "Deskhand", min_length=1, max_length=35, description="The app's name in its manifest."
    )
    command: str = Field(
        "/ask", pattern=r"^/[a-z0-9_-]{1,31}$", description="The slash command to ask with."
    )
    audience: Audience = Field(
        Audience.CUSTOMER,
        description="Whose knowledge full members of the workspace get; guests, people of other "
        "organisations and shared channels always get the customers'.",
    )
    workspaces: dict[str, Audience] = Field(
        default_factory=dict,
        description="With many workspaces, by workspace or organisation id: whose knowledge its "
        "full members get. Workspaces that are not listed get the customers'.",
    )
    channels: dict[str, SlackPlace] = Field(
        default_factory=dict,
        description="By channel id, a table with `audience`, `mode` (`mention` or `always`) and "
        "`private` (answers only the person who asked can see).",
    )
    queue: str = Field(
        "",
        pattern=r"^([TE][A-Z0-9]+/)?[A-Z0-9]*$",
        description="Id of the channel where staff take conversations over, one card each; with "
        "many workspaces as `TEAM/CHANNEL`. Whoever is in it is staff. Empty has none.",
    )
    client_id: str = Field(
        "",
        description="Client id of the app, to install it in many workspaces from `/slack/install`; "
        "leave `bot_token` empty then.",
    )
    client_secret: SecretStr = Field(
        SecretStr(""), description="Client secret of the app, for installing it."
    )
    encryption_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys that encrypt the workspaces' tokens, comma-separated, the newest first; "
        "empty keeps one in the data folder.",
    )
    stream: bool = Field(True, description="Show answers while they are made.")
    silence_s: float = Field(
        45.0, gt=0, description="Seconds without a sign of life after which Socket Mode reconnects."
    )


class TelegramPlace(Section):
    """What is different in one Telegram chat."""

    audience: Audience = Field(
        Audience.CUSTOMER, description="Whose knowledge answers in this chat draw on."
    )
    mode: Literal["addressed", "always"] = Field(
        "addressed", description="In a group: answer when addressed, or every message."
    )


class TelegramSettings(Section):
    """The Telegram channel; on when `token` is set."""

    token: SecretStr = Field(SecretStr(""), description="The bot's token, from @BotFather.")
    mode: Literal["polling", "webhook"] = Field(
        "polling",
        description="How updates arrive: fetched, or sent to `/telegram/updates` under "
        "`server.public_url`.",
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""),
        description="Proves that an update comes from Telegram; needed for `webhook`. Letters, "
        "digits, `_` and `-`.",
    )
    api_url: str = Field(
        "https://api.telegram.org",
        description="Address of the Bot API; another one for a Bot API server of your own.",
    )
    staff_chat: int = Field(
        0,
        description="Id of the forum group where staff talk with people, one topic each; "
        "0 has none.",
    )
    chats: dict[str, TelegramPlace] = Field(
        default_factory=dict,
        description="By chat id, a table with `audience` and `mode` (`addressed` or `always`). "
        "Chats that are not listed get the customers' knowledge.",
    )
    stream: Literal["draft", "edit", "off"] = Field(
        "draft",
        description="How answers appear while they are made: as drafts (private chats; groups get "
        "edits), as a message that is edited, or not before they are whole.",
    )
    rich: bool = Field(True, description="Send answers with tables and headings as rich messages.")


class PrivacySettings(Section):
    """What is kept of people, and for how long."""

    redact: bool = Field(
        True,
        description="Replace e-mail addresses, phone and card numbers, IBANs and keys in messages "
        "and votes before they are kept; the bot does not see them either.",
    )
    retention_days: int = Field(
        0,
        ge=0,
        description="Days after its last message at which a conversation is deleted; 0 keeps all.",
    )


class ConsoleSettings(Section):
    """The review console at `/console`."""

    live: bool = Field(
        False,
        description="Somebody watches the Live page: whoever asks for a person is handed over "
        "there, instead of being told how to reach one.",
    )


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
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    home: Path = Field(Path("var"), description="Data folder: database, index, keys.")
    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()
    engine: EngineSettings = EngineSettings()
    limits: LimitSettings = LimitSettings()
    slack: SlackSettings = SlackSettings()
    telegram: TelegramSettings = TelegramSettings()
    console: ConsoleSettings = ConsoleSettings()
    privacy: PrivacySettings = PrivacySettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what the caller passes: `load` reads file and environment itself.

        So a `Settings()` made in a test is the documented defaults, whatever the machine's
        environment holds, and `load` can tell where each value came from.
        """
        return (init_settings,)

    @property
    def database_url(self) -> str:
        """The database's URL, with its password: for the store only, never for a log."""
        given = self.database.url.get_secret_value()
        return given or f"sqlite:///{(self.home / 'deskhand.db').absolute()}"

    @property
    def index_folder(self) -> Path:
        """Where the versions of the index lie."""
        return self.home / "index"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where each one came from: a file's name, a variable's name or `default`."""

    settings: Settings
    origins: Mapping[str, str]  # dotted name -> origin, for every setting

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Every setting as (dotted name, printable value, origin). Secrets stay hidden."""
        for name, value in _leaves(self.settings):
            yield name, _printable(value), self.origins[name]


def load(file: Path | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read the settings file and the environment.

    `file` overrides `DESKHAND_CONFIG`, which overrides `deskhand.toml`. Raises `ConfigError`
    naming the key and where it was set; the value itself is never repeated, as it may be a
    secret.
    """
    env = dict(os.environ if environ is None else environ)
    path = file or Path(env.get(FILE_VARIABLE) or "deskhand.toml")
    named = file is not None or bool(env.get(FILE_VARIABLE))
    from_file = _read_file(path, required=named)
    from_env = _read_environment(env)
    values = _merge(from_file, from_env)
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise _explained(error, path, from_env) from None
    in_file = {name for name, _ in _flat(from_file)}
    in_env = {name for name, _ in _flat(from_env)}
    origins = {
        name: _variable(name) if name in in_env else str(path) if name in in_file else "default"
        for name, _ in _leaves(settings)
    }
    return Loaded(settings, origins)


def _read_file(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not required:
            return {}
        raise ConfigError(
            f"There is no settings file {path}.", f"Make it, or unset {FILE_VARIABLE}."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"The settings file {path} cannot be read: {error}.", "Correct it; it is TOML."
        ) from None


def _read_environment(env: Mapping[str, str]) -> dict[str, Any]:
    ours = {key: value for key, value in env.items() if key.upper().startswith(PREFIX)}
    ours.pop(FILE_VARIABLE, None)
    for key in ours:
        table = key[len(PREFIX) :].split("__", 1)[0].lower()
        if table not in Settings.model_fields:
            raise _unknown(key, table, "the environment")
    source = EnvSettingsSource(Settings)
    source.env_vars = {key.lower(): value for key, value in ours.items()}
    values = source()
    return {key: value for key, value in values.items() if key in Settings.model_fields}


def _unknown(key: str, last: str, where: str) -> ConfigError:
    near = difflib.get_close_matches(last, [name.rsplit(".", 1)[-1] for name in names()], n=1)
    near = near or difflib.get_close_matches(last, list(Settings.model_fields), n=1)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return ConfigError(
        f"There is no setting {key!r} (found in {where}).",
        f"{hint}`deskhand config` lists every setting.",
    )


def _explained(error: ValidationError, path: Path, from_env: Mapping[str, Any]) -> ConfigError:
    """Turn pydantic's first complaint into ours, without repeating the value."""
    first = error.errors(include_input=False, include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    in_env = any(found == name for found, _ in _flat(from_env))
    where = _variable(name) if in_env else str(path)
    if first["type"] == "extra_forbidden":
        return _unknown(name, str(first["loc"][-1]), where)
    return ConfigError(
        f"The setting {name} (from {where}) is not usable: {first['msg']}.",
        "`deskhand config` shows what each setting takes.",
    )


def _variable(name: str) -> str:
    return PREFIX + name.upper().replace(".", "__")


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _leaves(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key in type(model).model_fields:
        value = getattr(model, key)
        if isinstance(value, BaseModel):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _printable(value: object) -> str:
    if isinstance(value, SecretStr):
        return "(set, hidden)" if value.get_secret_value() else "(not set)"
    return str(value)


def names() -> list[str]:
    """Every setting's dotted name, in the order of this file."""
    return [name for name, _ in _leaves(Settings())]


def describe(name: str) -> str:
    """The documentation of one setting, by its dotted name."""
    model: type[BaseModel] = Settings
    *tables, last = name.split(".")
    for table in tables:
        annotation = model.model_fields[table].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            raise ConfigError(f"There is no setting {name!r}.")
        model = annotation
    return model.model_fields[last].description or ""


def child_environment() -> dict[str, str]:
    """The environment for a process of ours: all of it but our own settings and their secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}

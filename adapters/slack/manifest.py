"""The app's manifest: what Slack has to know to create the app, made from the settings.

Knows Slack's manifest format (https://docs.slack.dev/reference/app-manifest) and what this
adapter uses. Whatever is not used is not asked for.
"""

from __future__ import annotations

from typing import Any

from adapters.slack.app import ASK_ABOUT
from adapters.slack.places import PATH, REDIRECT_PATH
from bot.config import SlackSettings
from bot.errors import ConfigError

DESCRIPTION = "Answers questions from your documents, names its sources, and says when it can't."
LONG_DESCRIPTION = (
    'Ask in a direct message, mention the app in a channel, or choose "Ask about this" on any '
    "message. Answers appear in the thread while they are made, quote the documents they rest on, "
    "and can be stopped. Tell it whether an answer helped, with the buttons or a thumbs reaction: "
    "people review what did not. The app reads only the channels it is invited to."
)
SCOPES = (
    "app_mentions:read",
    "assistant:write",
    "channels:history",
    "chat:write",
    "commands",
    "groups:history",
    "im:history",
    "im:read",
    "im:write",
    "mpim:history",
    "reactions:read",
    "reactions:write",
    "users:read",
)
EVENTS = (
    "agent_session_stopped",
    "app_context_changed",
    "app_home_opened",
    "app_mention",
    "app_uninstalled",
    "message.channels",
    "message.groups",
    "message.im",
    "message.mpim",
    "reaction_added",
    "reaction_removed",
    "tokens_revoked",
)


def manifest(
    settings: SlackSettings, public_url: str = "", *, many: bool = False
) -> dict[str, Any]:
    """The manifest. Socket Mode when there is an app-level token or no `public_url`, else HTTP.

    `many`: for an app that is installed in many workspaces, from `INSTALL_PATH`; then its tokens
    are renewed and organisations can install it for all their workspaces. Raises `ConfigError`
    if it is given no `public_url` then.
    """
    if many and not public_url:
        raise ConfigError(
            "An app for many workspaces needs an address to come back to after installing.",
            "Set `server.public_url` to where this server is reached.",
        )
    socket = bool(settings.app_token.get_secret_value()) or not public_url
    url = f"{public_url.rstrip('/')}{PATH}"
    endpoint = {} if socket else {"request_url": url}
    command: dict[str, Any] = {
        "command": settings.command,
        "description": "Ask a question; the answer comes as a direct message",
        "usage_hint": "How do I …?",
        "should_escape": True,
    }
    shortcut = {
        "name": "Ask about this",
        "type": "message",
        "callback_id": ASK_ABOUT,
        "description": "Answer this message in its thread",
    }
    return {
        "display_information": {
            "name": settings.name,
            "description": DESCRIPTION,
            "long_description": LONG_DESCRIPTION,
        },
        "features": {
            "agent_view": {"agent_description": DESCRIPTION},
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": False,  # or nobody can write to the app
            },
            "bot_user": {"display_name": settings.name, "always_online": True},
            "shortcuts": [shortcut],
            "slash_commands": [command if socket else {**command, "url": url}],
        },
        "oauth_config": {
            "scopes": {"bot": list(SCOPES)},
            **({"redirect_urls": [f"{public_url.rstrip('/')}{REDIRECT_PATH}"]} if many else {}),
        },
        "settings": {
            "event_subscriptions": {**endpoint, "bot_events": list(EVENTS)},
            "interactivity": {"is_enabled": True, **endpoint},
            "org_deploy_enabled": many,
            "socket_mode_enabled": socket,
            "token_rotation_enabled": many,
        },
    }

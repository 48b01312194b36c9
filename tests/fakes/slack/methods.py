"""What each Web API method takes: arguments, token, scopes, tier, and how it may be called."""

from __future__ import annotations

from dataclasses import dataclass

TIER_2, TIER_3, TIER_4 = 20, 50, 100  # calls a minute, per method and workspace
POSTS_PER_CHANNEL = 60  # chat.postMessage: about one a second per channel


@dataclass(frozen=True)
class Method:
    """One method's contract."""

    required: frozenset[str]
    optional: frozenset[str]
    scopes: frozenset[str] = frozenset()
    any_scope: frozenset[str] = frozenset()  # one of these is enough, by kind of channel
    token: str = "bot"
    per_minute: int = 0  # 0: no limit that a test could meet
    form_only: bool = False  # read methods take no JSON


def _method(
    required: str = "",
    optional: str = "",
    *,
    scopes: str = "",
    any_scope: str = "",
    token: str = "bot",
    per_minute: int = 0,
    form_only: bool = False,
) -> Method:
    return Method(
        frozenset(required.split()),
        frozenset(optional.split()),
        frozenset(scopes.split()),
        frozenset(any_scope.split()),
        token,
        per_minute,
        form_only,
    )


_LOOK = "icon_emoji icon_url username"
_HISTORY = "channels:history groups:history im:history mpim:history"
_PAGE = "cursor include_all_metadata inclusive latest limit oldest"

METHODS: dict[str, Method] = {
    "auth.test": _method(),
    "oauth.v2.access": _method("", "code grant_type redirect_uri refresh_token", token="none"),
    "apps.connections.open": _method(token="app", per_minute=TIER_3),
    "chat.postMessage": _method(
        "channel",
        "attachments blocks markdown_text metadata mrkdwn parse link_names reply_broadcast text "
        f"thread_ts unfurl_links unfurl_media {_LOOK}",
        scopes="chat:write",
    ),
    "chat.postEphemeral": _method(
        "channel user",
        f"attachments blocks markdown_text parse link_names text thread_ts {_LOOK}",
        scopes="chat:write",
        per_minute=TIER_4,
    ),
    "chat.update": _method(
        "channel ts",
        "attachments blocks file_ids link_names markdown_text metadata parse reply_broadcast text",
        scopes="chat:write",
        per_minute=TIER_3,
    ),
    "chat.delete": _method("channel ts", scopes="chat:write", per_minute=TIER_3),
    "chat.startStream": _method(
        "channel thread_ts",
        "chunks markdown_text recipient_team_id recipient_user_id task_display_mode " + _LOOK,
        scopes="chat:write",
        per_minute=TIER_2,
    ),
    "chat.appendStream": _method(
        "channel ts", "chunks markdown_text", scopes="chat:write", per_minute=TIER_4
    ),
    "chat.stopStream": _method(
        "channel ts",
        "blocks chunks markdown_text metadata session_status",
        scopes="chat:write",
        per_minute=TIER_2,
    ),
    "chat.getPermalink": _method("channel message_ts", form_only=True),
    "assistant.threads.setStatus": _method(
        "channel_id thread_ts status", f"loading_messages {_LOOK}", scopes="chat:write"
    ),
    "assistant.threads.setSuggestedPrompts": _method(
        "channel_id prompts", "thread_ts title", scopes="assistant:write", per_minute=TIER_4
    ),
    "agents.sessions.setStatus": _method(
        "channel_id status", f"thread_ts title initiator_user_id {_LOOK}", scopes="chat:write"
    ),
    "conversations.replies": _method(
        "channel ts", _PAGE, any_scope=_HISTORY, per_minute=TIER_3, form_only=True
    ),
    "conversations.history": _method(
        "channel", _PAGE, any_scope=_HISTORY, per_minute=TIER_3, form_only=True
    ),
    "conversations.open": _method(
        "", "channel prevent_creation return_im users", scopes="im:write", per_minute=TIER_3
    ),
    "users.info": _method(
        "user", "include_locale", scopes="users:read", per_minute=TIER_4, form_only=True
    ),
    "views.open": _method("view", "interactivity_pointer trigger_id", per_minute=TIER_4),
    "views.publish": _method("user_id view", "hash", per_minute=TIER_4),
    "reactions.add": _method("channel name timestamp", scopes="reactions:write", per_minute=TIER_3),
}

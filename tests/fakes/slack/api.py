"""What each Web API method does to the workspace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.fakes.slack import blocks as check
from tests.fakes.slack.world import (
    APP,
    BOT,
    BOT_ID,
    TEAM,
    TRIGGER_SECONDS,
    ApiError,
    Channel,
    Message,
    Stream,
    World,
)

Args = dict[str, Any]
_SESSION_STATES = {"processing", "active", "suspended", "closed"}


class Api:
    """The methods, by their names. `told` is called with every message the bot writes."""

    def __init__(self, world: World, told: Callable[[Message], None]) -> None:
        self._world = world
        self._told = told
        self._team = TEAM
        self._methods: dict[str, Callable[[Args], Args]] = {
            "auth.test": self._auth,
            "chat.postMessage": self._post,
            "chat.postEphemeral": self._ephemeral,
            "chat.update": self._update,
            "chat.delete": self._delete,
            "chat.startStream": self._start,
            "chat.appendStream": self._append,
            "chat.stopStream": self._stop,
            "chat.getPermalink": self._permalink,
            "assistant.threads.setStatus": self._status,
            "assistant.threads.setSuggestedPrompts": self._prompts,
            "agents.sessions.setStatus": self._session,
            "conversations.replies": self._replies,
            "conversations.history": self._history,
            "conversations.open": self._open,
            "users.info": self._user,
            "views.open": self._view,
            "views.publish": self._home,
            "reactions.add": self._react,
        }

    def call(self, method: str, args: Args, team: str = TEAM) -> Args:
        """Do it with a token of `team`; raises `ApiError`."""
        self._team = team
        return self._methods[method](args)

    # Messages

    def _writable(self, channel: str) -> Channel:
        place = self._world.place(channel)
        if place.archived:
            raise ApiError("is_archived")
        if BOT not in place.members:
            raise ApiError("not_in_channel")
        return place

    def _in_thread(self, place: Channel, thread_ts: str) -> None:
        if thread_ts and thread_ts not in place.messages:
            raise ApiError("thread_not_found")
        if thread_ts and place.messages[thread_ts].thread_ts not in {"", thread_ts}:
            raise ApiError("invalid_thread_ts")

    def _auth(self, _: Args) -> Args:
        return {
            "url": "https://desk.slack.example/",
            "team": "Desk",
            "user": "deskhand",
            "team_id": self._team,
            "user_id": BOT,
            "bot_id": BOT_ID,
            "app_id": APP,
        }

    def _post(self, args: Args) -> Args:
        check.check_content(args)
        place = self._writable(args["channel"])
        self._in_thread(place, args.get("thread_ts", ""))
        message = self._world.post(
            Message(
                place.id,
                self._world.ts(),
                BOT,
                args.get("text", args.get("markdown_text", "")),
                thread_ts=args.get("thread_ts", ""),
                blocks=args.get("blocks", []),
                metadata=args.get("metadata"),
                unfurl=args.get("unfurl_links", True) or args.get("unfurl_media", True),
            )
        )
        self._told(message)
        return {"channel": place.id, "ts": message.ts, "message": _seen(message)}

    def _ephemeral(self, args: Args) -> Args:
        check.check_content(args)
        place = self._writable(args["channel"])
        self._in_thread(place, args.get("thread_ts", ""))
        if args["user"] not in place.members:
            raise ApiError("user_not_in_channel")
        message = Message(
            place.id,
            self._world.ts(),
            BOT,
            args.get("text", ""),
            thread_ts=args.get("thread_ts", ""),
            blocks=args.get("blocks", []),
            ephemeral_for=args["user"],
        )
        self._world.ephemerals.append(message)
        return {"message_ts": message.ts}

    def _own(self, args: Args) -> Message:
        self._writable(args["channel"])
        message = self._world.find(args["channel"], args["ts"])
        if not message.by_bot:
            raise ApiError("cant_update_message")
        return message

    def _update(self, args: Args) -> Args:
        check.check_content(args)
        message = self._own(args)
        if message.stream is not None:
            try:
                self._world.streaming(message)
            except ApiError:
                message.stream = None  # an ordinary message from now on
            else:
                raise ApiError("streaming_state_conflict")
        message.text = args.get("text", args.get("markdown_text", ""))
        message.blocks = args.get("blocks", [])
        message.metadata = args.get("metadata", message.metadata)
        message.edits += 1
        return {"channel": message.channel, "ts": message.ts, "text": message.text}

    def _delete(self, args: Args) -> Args:
        self._own(args).deleted = True
        return {"channel": args["channel"], "ts": args["ts"]}

    def _permalink(self, args: Args) -> Args:
        self._world.find(args["channel"], args["message_ts"])
        return {"permalink": f"https://desk.slack.example/{args['channel']}/{args['message_ts']}"}

    # Streams

    def _start(self, args: Args) -> Args:
        place = self._writable(args["channel"])
        self._in_thread(place, args["thread_ts"])
        if place.kind != "im":
            for name in ("recipient_team_id", "recipient_user_id"):
                if not args.get(name):
                    raise ApiError(f"missing_{name}")
        if args.get("recipient_user_id") and args["recipient_user_id"] not in self._world.users:
            raise ApiError("user_not_found")
        self._markdown(args.get("markdown_text", ""))
        message = self._world.post(
            Message(
                place.id,
                self._world.ts(),
                BOT,
                args.get("markdown_text", ""),
                thread_ts=args["thread_ts"],
                stream=Stream(self._world.clock.now()),
            )
        )
        self._told(message)
        return {"channel": place.id, "ts": message.ts}

    def _append(self, args: Args) -> Args:
        message = self._own(args)
        self._world.streaming(message)
        if not args.get("markdown_text") and not args.get("chunks"):
            raise ApiError("no_text")
        self._markdown(args.get("markdown_text", ""), message.text)
        message.text += args.get("markdown_text", "")
        return {"channel": message.channel, "ts": message.ts}

    def _stop(self, args: Args) -> Args:
        message = self._own(args)
        stream = self._world.streaming(message)
        self._markdown(args.get("markdown_text", ""), message.text)
        check.check_blocks(args.get("blocks", []))
        check.check_metadata(args.get("metadata"))
        if args.get("session_status", "active") not in _SESSION_STATES:
            raise ApiError("invalid_arguments")
        message.text += args.get("markdown_text", "")
        message.blocks = args.get("blocks", [])
        message.metadata = args.get("metadata")
        stream.state = "stopped"
        if "session_status" in args:
            self._world.sessions[message.channel, message.thread_ts] = args["session_status"]
        return {"channel": message.channel, "ts": message.ts, "message": _seen(message)}

    def _markdown(self, text: str, before: str = "") -> None:
        if len(text) > check.MARKDOWN_CHARS:
            raise ApiError("msg_too_long")
        if len(before) + len(text) > check.MESSAGE_MARKDOWN_CHARS:
            raise ApiError("msg_blocks_too_long")

    # Signs of life

    def _status(self, args: Args) -> Args:
        place = self._writable(args["channel_id"])
        self._in_thread(place, args["thread_ts"])
        if len(args.get("loading_messages", [])) > 10:
            raise ApiError("invalid_arguments")
        self._world.statuses.append((place.id, args["thread_ts"], args["status"]))
        return {}

    def _prompts(self, args: Args) -> Args:
        self._writable(args["channel_id"])
        prompts = args["prompts"]
        if not 0 < len(prompts) <= 4 or any(set(one) != {"title", "message"} for one in prompts):
            raise ApiError("invalid_arguments")
        self._world.prompts.append(args)
        return {}

    def _session(self, args: Args) -> Args:
        place = self._writable(args["channel_id"])
        self._in_thread(place, args.get("thread_ts", ""))
        if args["status"] not in _SESSION_STATES or len(args.get("title", "")) > 200:
            raise ApiError("invalid_arguments")
        self._world.sessions[place.id, args.get("thread_ts", "")] = args["status"]
        if "agent_session_stopped" not in self._world.subscribed:
            return {"warning": "missing_agent_session_stopped_event_subscription"}
        return {}

    # Reading

    def _replies(self, args: Args) -> Args:
        place = self._writable(args["channel"])
        if args["ts"] not in place.messages:
            raise ApiError("thread_not_found")
        return _page([*place.thread(args["ts"])], args)

    def _history(self, args: Args) -> Args:
        place = self._writable(args["channel"])
        found = [one for one in place.messages.values() if not one.thread_ts and not one.deleted]
        return _page(list(reversed(found)), args)

    def _open(self, args: Args) -> Args:
        user = args.get("users", "")
        if user not in self._world.users:
            raise ApiError("user_not_found")
        return {"channel": {"id": self._world.dm(user)}}

    def _user(self, args: Args) -> Args:
        user = self._world.users.get(args["user"])
        if user is None:
            raise ApiError("user_not_found")
        return {
            "user": {
                "id": user.id,
                "team_id": user.team,
                "name": user.name,
                "is_bot": user.id == BOT,
                "enterprise_user": {"enterprise_id": self._world.tenant(user.team)},
                "is_restricted": user.guest,
                "is_ultra_restricted": False,
                "is_stranger": self._world.tenant(user.team) != self._team,
                "profile": {"display_name": user.name, "real_name": user.name},
            }
        }

    # Surfaces

    def _view(self, args: Args) -> Args:
        given, used = self._world.triggers.get(args.get("trigger_id", ""), (0.0, None))
        if used is None:
            raise ApiError("invalid_trigger_id")
        if used:
            raise ApiError("exchanged_trigger_id")
        if self._world.clock.now() - given > TRIGGER_SECONDS:
            raise ApiError("expired_trigger_id")
        self._world.triggers[args["trigger_id"]] = (given, True)
        check.check_view(args["view"])
        view = {**args["view"], "id": f"V{self._world.number()}"}
        self._world.views.append(view)
        return {"view": view}

    def _home(self, args: Args) -> Args:
        if args["user_id"] not in self._world.users:
            raise ApiError("user_not_found")
        check.check_view(args["view"])
        self._world.homes[args["user_id"]] = args["view"]
        return {"view": args["view"]}

    def _react(self, args: Args) -> Args:
        message = self._world.find(self._writable(args["channel"]).id, args["timestamp"])
        if (BOT, args["name"]) in message.reactions:
            raise ApiError("already_reacted")
        message.reactions.add((BOT, args["name"]))
        return {}


def _seen(message: Message, *, metadata: bool = True) -> Args:
    """A message as the API returns it."""
    seen: Args = {"type": "message", "ts": message.ts, "user": message.user, "text": message.text}
    if message.by_bot:
        seen |= {"bot_id": BOT_ID, "app_id": APP}
    if message.thread_ts:
        seen["thread_ts"] = message.thread_ts
    if message.metadata and metadata:
        seen["metadata"] = message.metadata
    if message.blocks:
        seen["blocks"] = message.blocks
    return seen


def _page(found: list[Message], args: Args) -> Args:
    limit = int(args.get("limit", 100))
    start = int(args.get("cursor") or 0)
    oldest, latest = float(args.get("oldest") or 0), float(args.get("latest") or 1e12)
    inclusive = str(args.get("inclusive", "")).lower() in {"1", "true"}

    def within(message: Message) -> bool:
        moment = float(message.ts)
        return (oldest < moment < latest) or (inclusive and moment in {oldest, latest})

    found = [one for one in found if within(one)]
    metadata = str(args.get("include_all_metadata", "")).lower() in {"1", "true"}
    more = len(found) > start + limit
    return {
        "messages": [_seen(one, metadata=metadata) for one in found[start : start + limit]],
        "has_more": more,
        "response_metadata": {"next_cursor": str(start + limit) if more else ""},
    }

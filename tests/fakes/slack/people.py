"""What people do in the workspace, and the events Slack makes of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from tests.fakes.slack.delivery import Delivery, Handed
from tests.fakes.slack.world import APP, BOT, BOT_ID, TEAM, ApiError, Message, World

MENTION = f"<@{BOT}>"


class People:
    """Everybody but the bot."""

    def __init__(self, world: World, delivery: Delivery, root: Callable[[], str]) -> None:
        self._world = world
        self._delivery = delivery
        self._root = root

    # Messages

    def say(self, user: str, channel: str, text: str, thread_ts: str = "", **extra: Any) -> Message:
        """Write a message. A mention of the bot arrives twice, as it does on Slack."""
        place = self._world.channels[channel]
        message = self._world.post(
            Message(channel, self._world.ts(), user, text, thread_ts=thread_ts)
        )
        client_id = str(uuid.uuid4())
        event = self._message_event(message) | {"client_msg_id": client_id} | extra
        if BOT in place.members:
            self.event(event, "message")
            if MENTION in text and place.kind != "im":
                mention = {k: v for k, v in event.items() if k != "channel_type"}
                self.event(mention | {"type": "app_mention"}, "app_mention")
        return message

    def mention(
        self, user: str, channel: str, text: str, thread_ts: str = "", **extra: Any
    ) -> Message:
        """Ask the bot in a channel."""
        return self.say(user, channel, f"{MENTION} {text}", thread_ts, **extra)

    def ask(self, user: str, text: str, thread_ts: str = "") -> Message:
        """Ask the bot directly."""
        return self.say(user, self._world.dm(user), text, thread_ts)

    def other_bot(self, channel: str, text: str, thread_ts: str = "") -> Message:
        """Another app posts."""
        message = self._world.post(
            Message(channel, self._world.ts(), "U0OTHERBT", text, thread_ts=thread_ts)
        )
        event = self._message_event(message) | {"bot_id": "B0OTHER01", "app_id": "A0OTHER01"}
        self.event(event, "message")
        if MENTION in text:
            self.event(event | {"type": "app_mention"}, "app_mention")
        return message

    def edit(self, message: Message, text: str) -> None:
        """Change one's own message."""
        before = self._message_event(message)
        message.text = text
        message.edits += 1
        edited = {"user": message.user, "ts": self._world.ts()}
        self._hidden("message_changed", message, before, {
            "message": self._message_event(message) | {"edited": edited}
        })  # fmt: skip

    def delete(self, message: Message) -> None:
        """Take one's own message back."""
        before = self._message_event(message)
        message.deleted = True
        self._hidden("message_deleted", message, before, {"deleted_ts": message.ts})

    def _hidden(
        self, subtype: str, message: Message, before: dict[str, Any], more: dict[str, Any]
    ) -> None:
        event = {
            "type": "message",
            "subtype": subtype,
            "hidden": True,
            "channel": message.channel,
            "channel_type": self._world.channels[message.channel].kind,
            "ts": self._world.ts(),
            "event_ts": self._world.ts(),
            "previous_message": before,
        }
        self.event(event | more, "message")

    def bot_wrote(self, message: Message) -> None:
        """Slack tells the app about its own posts too."""
        event = self._message_event(message) | {"bot_id": BOT_ID, "app_id": APP}
        self.event(event, "message")

    def _message_event(self, message: Message) -> dict[str, Any]:
        place = self._world.channels[message.channel]
        user = self._world.users.get(message.user)
        event: dict[str, Any] = {
            "type": "message",
            "user": message.user,
            "text": message.text,
            "ts": message.ts,
            "event_ts": message.ts,
            "channel": message.channel,
            "channel_type": place.kind,
            "team": user.team if user else TEAM,
        }
        if user and user.team != TEAM:
            event |= {"user_team": user.team, "source_team": user.team}
        if message.thread_ts:
            event["thread_ts"] = message.thread_ts
            parent = place.messages.get(message.thread_ts)
            if parent is not None:
                event["parent_user_id"] = parent.user
        return event

    # Other events

    def event(self, event: dict[str, Any], kind: str, **envelope: Any) -> Handed | None:
        """Send an event if the app subscribes to it."""
        if kind == "message":
            place_kind = event["channel_type"]
            plural = {"channel": "channels", "group": "groups"}
            kind = f"message.{plural.get(place_kind, place_kind)}"
        if kind not in self._world.subscribed:
            return None
        place = self._world.channels.get(event.get("channel", ""))
        team = place.team if place else TEAM
        org = self._world.tenant(team)
        number = self._world.number()
        payload = {
            "token": "unused",
            "team_id": team,
            "api_app_id": APP,
            "event": event,
            "type": "event_callback",
            "event_id": f"Ev{number:08d}",
            "event_time": int(self._world.clock.now()),
            "is_ext_shared_channel": bool(place and place.shared),
            "authorizations": [
                {
                    "enterprise_id": org if org != team else None,
                    "team_id": None if org != team else team,
                    "user_id": BOT,
                    "is_bot": True,
                    "is_enterprise_install": org != team,
                }
            ],
            **envelope,
        }
        return self._delivery.hand_over("events_api", payload)

    def react(self, user: str, message: Message, name: str, *, removed: bool = False) -> None:
        """Put a reaction on a message, or take it away."""
        entry = (user, name)
        (message.reactions.discard if removed else message.reactions.add)(entry)
        kind = "reaction_removed" if removed else "reaction_added"
        item = {"type": "message", "channel": message.channel, "ts": message.ts}
        self.event(
            {
                "type": kind,
                "user": user,
                "reaction": name,
                "item": item,
                "item_user": message.user,
                "event_ts": self._world.ts(),
            },
            kind,
        )

    def open_tab(self, user: str, tab: str) -> None:
        """Open the app's home or messages tab."""
        event = {"type": "app_home_opened", "user": user, "channel": self._world.dm(user)}
        self.event(event | {"tab": tab, "event_ts": self._world.ts()}, "app_home_opened")

    def stop(self, user: str, channel: str, thread_ts: str) -> None:
        """Press Stop. A stream that is open ends here."""
        for message in self._world.channels[channel].thread(thread_ts):
            if message.stream is not None and message.stream.state == "streaming":
                message.stream.state = "stopped_by_user"
        event = {
            "type": "agent_session_stopped",
            "user": user,
            "channel": channel,
            "thread_ts": thread_ts,
            "event_ts": self._world.ts(),
        }
        self.event(event, "agent_session_stopped")

    # Interactive

    def _interaction(self, kind: str, user: str, **more: Any) -> dict[str, Any]:
        return {
            "type": kind,
            **self._where(str((more.get("channel") or {}).get("id", ""))),
            "user": {"id": user, "team_id": self._world.users[user].team},
            "api_app_id": APP,
            "token": "unused",
            **more,
        }

    def _where(self, channel: str) -> dict[str, Any]:
        place = self._world.channels.get(channel)
        team = place.team if place else TEAM
        org = self._world.tenant(team)
        return {
            "team": {"id": team, "domain": "desk"},
            "enterprise": {"id": org, "name": org} if org != team else None,
            "is_enterprise_install": org != team,
        }

    def click(self, user: str, message: Message, value: str) -> Handed:
        """Click the button that carries `value`, or whose label is it."""
        for element in message.buttons():
            for part in (element, element.get("positive_button"), element.get("negative_button")):
                if part and value in {part.get("value"), part.get("text", {}).get("text")}:
                    action = {
                        "type": element["type"],
                        "action_id": element["action_id"],
                        "block_id": "b",
                        "value": part.get("value", ""),
                        "action_ts": self._world.ts(),
                    }
                    return self._clicked(user, message, action)
        raise ApiError("no_such_button", value=value)

    def _clicked(self, user: str, message: Message, action: dict[str, Any]) -> Handed:
        ephemeral = bool(message.ephemeral_for)
        payload = self._interaction(
            "block_actions",
            user,
            container={
                "type": "message",
                "message_ts": message.ts,
                "channel_id": message.channel,
                "is_ephemeral": ephemeral,
            },
            channel={"id": message.channel, "name": "x"},
            message={
                "ts": message.ts,
                "text": message.text,
                "bot_id": BOT_ID,
                "thread_ts": message.thread_ts or message.ts,
            },
            actions=[action],
            trigger_id=self._world.trigger(),
            response_url=f"{self._root()}/respond/{self._world.number()}",
        )
        return self._delivery.hand_over("interactive", payload)

    def submit(self, user: str, view: dict[str, Any], values: dict[str, Any]) -> Handed:
        """Send a modal. `values` by block id: a text, or a dict for a choice."""
        state = {
            block["block_id"]: {
                block["element"]["action_id"]: {
                    "type": block["element"]["type"],
                    **(
                        {"value": values.get(block["block_id"])}
                        if block["element"]["type"] == "plain_text_input"
                        else {"selected_option": values.get(block["block_id"])}
                    ),
                }
            }
            for block in view["blocks"]
            if block["type"] == "input"
        }
        payload = self._interaction(
            "view_submission", user, view={**view, "state": {"values": state}}
        )
        return self._delivery.hand_over("interactive", payload)

    def shortcut(self, user: str, message: Message, callback_id: str) -> Handed:
        """Choose a message shortcut."""
        payload = self._interaction(
            "message_action",
            user,
            callback_id=callback_id,
            trigger_id=self._world.trigger(),
            action_ts=self._world.ts(),
            message_ts=message.ts,
            channel={"id": message.channel, "name": "x"},
            message=self._message_event(message),
            response_url=f"{self._root()}/respond/{self._world.number()}",
        )
        return self._delivery.hand_over("interactive", payload)

    def command(self, user: str, channel: str, command: str, text: str) -> Handed:
        """Type a slash command."""
        payload = {
            "token": "unused",
            "team_id": TEAM,
            "channel_id": channel,
            "user_id": user,
            "user_name": self._world.users[user].name,
            "command": command,
            "text": text,
            "api_app_id": APP,
            "is_enterprise_install": "false",
            "trigger_id": self._world.trigger(),
            "response_url": f"{self._root()}/respond/{self._world.number()}",
        }
        return self._delivery.hand_over("slash_commands", payload)

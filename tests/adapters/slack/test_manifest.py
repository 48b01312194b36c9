"""The manifest asks for what the adapter uses, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.slack.manifest import manifest
from bot.config import SlackSettings
from bot.errors import ConfigError
from tests.fakes.slack.methods import METHODS
from tests.fakes.slack.world import EVENTS, SCOPES


def made(public_url: str = "", **given: Any) -> dict[str, Any]:
    return manifest(SlackSettings.model_validate(given), public_url)


def test_the_tests_run_with_the_scopes_and_events_of_the_manifest() -> None:
    assert set(made()["oauth_config"]["scopes"]["bot"]) == set(SCOPES.split())
    events = set(EVENTS.split()) - {"member_joined_channel"}  # only sent to show it is ignored
    assert set(made()["settings"]["event_subscriptions"]["bot_events"]) == events


def test_every_scope_is_needed_by_a_method_or_an_event() -> None:
    methods = {scope for method in METHODS.values() for scope in method.scopes | method.any_scope}
    events = {"app_mentions:read", "reactions:read", "commands", "im:read"}
    assert set(made()["oauth_config"]["scopes"]["bot"]) <= methods | events


def test_texts_are_within_slacks_limits() -> None:
    shown = made()["display_information"]
    assert len(shown["name"]) <= 35
    assert len(shown["description"]) <= 140
    assert 175 <= len(shown["long_description"]) <= 4000
    assert len(made()["features"]["agent_view"]["agent_description"]) <= 300
    assert all(len(one["name"]) <= 24 for one in made()["features"]["shortcuts"])
    assert len(made()["features"]["slash_commands"][0]["description"]) <= 100


def test_an_app_for_many_workspaces_has_an_address_to_come_back_to() -> None:
    many = manifest(SlackSettings(), "https://help.example.com", many=True)
    assert many["oauth_config"]["redirect_urls"] == [
        "https://help.example.com/slack/oauth_redirect"
    ]
    assert many["settings"]["org_deploy_enabled"]
    assert many["settings"]["token_rotation_enabled"]
    assert "redirect_urls" not in made("https://help.example.com")["oauth_config"]
    with pytest.raises(ConfigError, match="come back"):
        manifest(SlackSettings(), many=True)


def test_http_names_one_address_everywhere_and_socket_mode_none() -> None:
    http = made("https://help.example.com/")
    url = "https://help.example.com/slack/events"
    assert http["settings"]["event_subscriptions"]["request_url"] == url
    assert http["settings"]["interactivity"]["request_url"] == url
    assert http["features"]["slash_commands"][0]["url"] == url
    assert not http["settings"]["socket_mode_enabled"]
    socket = made("https://help.example.com", app_token="xapp-1", command="/help-me")
    assert "help.example.com" not in str(socket)
    assert socket["settings"]["socket_mode_enabled"]
    assert socket["features"]["slash_commands"][0]["command"] == "/help-me"

"""One app in many workspaces: installed with a click, its tokens sealed, renewed and revoked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from cryptography.fernet import Fernet

from adapters.slack.api import SlackError
from adapters.slack.channel import check
from adapters.slack.installs import Many, Vault
from adapters.slack.oauth import Install
from adapters.slack.places import INSTALL_PATH, REDIRECT_PATH
from bot.config import Settings, SlackSettings
from bot.errors import ConfigError
from bot.installs import Installs
from bot.store import Store
from knowledge.types import Audience
from tests.fakes.slack import FakeSlack, Fault
from tests.fakes.slack.desk import Desk, opened
from tests.fakes.slack.oauth import CLIENT_ID, CLIENT_SECRET
from tests.fakes.slack.world import APP_TOKEN, BOT_TOKEN, OTHER_TEAM, SIGNING_SECRET, TEAM

KEY = Fernet.generate_key().decode()
ORG = "E0GRID001"


def many_settings(slack: FakeSlack, **more: Any) -> SlackSettings:
    values = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "api_url": slack.url}
    return SlackSettings.model_validate(values | more)


@asynccontextmanager
async def installable(
    slack: FakeSlack, folder: Path, **more: Any
) -> AsyncIterator[tuple[Desk, str]]:
    """A door for many workspaces over HTTP, and the address of its pages."""
    slack.world.tokens.pop(BOT_TOKEN, None)
    given = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "bot_token": ""}
    async with opened(slack, folder, key=KEY, **(given | {"app_token": ""} | more)) as desk:
        yield desk, desk.http.removesuffix("/slack/events")


def all_bytes(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.is_file())


async def install(slack: FakeSlack, at: str, team: str) -> aiohttp.ClientResponse:
    """What a browser does: to Slack, yes, and back with the cookie."""
    slack.oauth.team = team
    async with aiohttp.ClientSession() as browser:
        first = await browser.get(f"{at}{INSTALL_PATH}", allow_redirects=False)
        assert first.status == 302
        yes = await browser.get(first.headers["Location"], allow_redirects=False)
        back = urlsplit(yes.headers["Location"])
        cookie = first.headers["Set-Cookie"].partition(";")[0]
        return await browser.get(
            f"{at}{back.path}?{back.query}", headers={"Cookie": cookie}, allow_redirects=False
        )


async def test_two_workspaces_install_the_app_and_each_is_answered_with_its_own_token(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann, zoe = slack.world.user("ann"), slack.world.user("zoe", team=OTHER_TEAM)
    here = slack.world.channel("general", ann)
    there = slack.world.channel("random", zoe, team=OTHER_TEAM)
    async with installable(slack, tmp_path, workspaces={TEAM: "internal"}) as (desk, at):
        for team in (TEAM, OTHER_TEAM):
            assert (await install(slack, at, team)).status == 200
        for user, channel in ((ann, here), (zoe, there)):
            asked = slack.people.mention(user, channel, "Hello?")
            await desk.answers(channel, asked.ts)
        audiences = {one.text + one.event_id[6:15]: one.audience for one in desk.answerer.asked}
        assert audiences == {
            f"Hello?{TEAM}": Audience.INTERNAL,
            f"Hello?{OTHER_TEAM}": Audience.CUSTOMER,  # whoever installs it is a customer
        }
    assert slack.refused() == []
    kept = all_bytes(tmp_path)
    assert OTHER_TEAM.encode() in kept
    assert b"xoxb-" not in kept


async def test_an_organisation_installs_it_for_all_its_workspaces(
    slack: FakeSlack, tmp_path: Path
) -> None:
    slack.world.teams[ORG] = {TEAM, OTHER_TEAM}
    ann, zoe = slack.world.user("ann"), slack.world.user("zoe", team=OTHER_TEAM)
    here = slack.world.channel("general", ann)
    there = slack.world.channel("random", zoe, team=OTHER_TEAM)
    async with installable(slack, tmp_path, workspaces={ORG: "internal"}) as (desk, at):
        assert (await install(slack, at, ORG)).status == 200
        for user, channel in ((ann, here), (zoe, there)):
            asked = slack.people.mention(user, channel, "Hello?")
            (answer,) = await desk.answers(channel, asked.ts)
            await slack.people.click(user, answer, "Helpful").done.wait()
        assert {one.audience for one in desk.answerer.asked} == {Audience.INTERNAL}
        assert {one.event_id.split(":")[1] for one in desk.answerer.asked} == {ORG}
        assert (await desk.store.counts()).votes[1] == 2
    assert slack.refused() == []


async def test_a_return_that_did_not_begin_here_installs_nothing(
    slack: FakeSlack, tmp_path: Path
) -> None:
    slack.oauth.team = TEAM
    async with installable(slack, tmp_path) as (_, at), aiohttp.ClientSession() as browser:
        first = await browser.get(f"{at}{INSTALL_PATH}", allow_redirects=False)
        yes = await browser.get(first.headers["Location"], allow_redirects=False)
        back = urlsplit(yes.headers["Location"])
        code = parse_qs(back.query)["code"][0]
        cookie = first.headers["Set-Cookie"].partition(";")[0]
        name, _, state = cookie.partition("=")
        url = f"{at}{REDIRECT_PATH}"
        for query, sent in (
            ({"code": code, "state": state}, ""),  # another browser
            ({"code": code, "state": "made-up"}, f"{name}=made-up"),
            ({"code": "made-up", "state": state}, cookie),
            ({"code": code, "state": state}, cookie),  # the state has been used
            ({"error": "access_denied", "state": state}, cookie),
        ):
            answer = await browser.get(url, params=query, headers={"Cookie": sent})
            assert "code-" not in str(answer.url) or answer.status != 200
        assert [one for one in slack.world.tokens if one.startswith("xoxb-T")] == []


async def test_an_app_that_was_removed_is_forgotten_and_its_late_events_acknowledged(
    slack: FakeSlack, tmp_path: Path
) -> None:
    ann = slack.world.user("ann")
    general = slack.world.channel("general", ann)
    async with installable(slack, tmp_path) as (desk, at):
        await install(slack, at, TEAM)
        asked = slack.people.mention(ann, general, "Hello?")
        await desk.answers(general, asked.ts)
        tokens = {"oauth": ["U0ANN"]}
        slack.people.event({"type": "tokens_revoked", "tokens": tokens}, "tokens_revoked")
        await slack.delivery.settled()  # somebody's own token: the bot's stays
        again = slack.people.mention(ann, general, "Hello again?")
        await desk.answers(general, again.ts)
        slack.people.event({"type": "app_uninstalled"}, "app_uninstalled")
        await slack.delivery.settled()
        slack.people.mention(ann, general, "Anybody?")
        await desk.quiet(2)
        assert await Installs(desk.store.database).tenants() == []
        await install(slack, at, TEAM)
        once_more = slack.people.mention(ann, general, "And now?")
        await desk.answers(general, once_more.ts)
    assert all(handed.acked for handed in slack.delivery.handed)


async def test_a_token_is_renewed_before_it_ends_and_by_one_server_alone(
    slack: FakeSlack, tmp_path: Path
) -> None:
    slack.oauth.rotating = True
    async with installable(slack, tmp_path) as (desk, at):
        await install(slack, at, TEAM)
        installs = Installs(desk.store.database)
        vault = Vault([KEY])
        other = Store.open(Settings(home=tmp_path).database_url)
        servers = [
            Many(many_settings(slack), Installs(one.database), vault) for one in (desk.store, other)
        ]
        for one in servers:
            assert (await (await one.of(TEAM)).api.call("auth.test"))["team_id"] == TEAM
        assert slack.oauth.refreshed == 0
        sealed = await installs.get(TEAM)
        assert sealed is not None
        soon = servers[0].installations.opened(sealed)
        slack.faults.append(Fault("oauth.v2.access", "hang", 0.3))
        soon.bot_token_expires_at = int(slack.world.clock.now()) + 3600
        await servers[0].installations.async_save(soon)
        for one in servers:
            await one.changed(TEAM)
        spaces = await asyncio.gather(*(one.of(TEAM) for one in servers * 4))
        for space in spaces:
            await space.api.call("auth.test")
        await asyncio.gather(*(one.renew() for one in servers))
        assert slack.oauth.refreshed == 1
        assert len(slack.called("oauth.v2.access")) == 2  # nobody tried a spent one either
        renewed = await installs.get(TEAM)
        assert renewed is not None
        assert renewed.version == sealed.version + 2
        for one in servers:
            await one.close()
        await other.close()


async def test_a_renewal_that_fails_leaves_the_old_token_in_use_while_it_lasts(
    slack: FakeSlack, tmp_path: Path
) -> None:
    slack.oauth.rotating = True
    async with installable(slack, tmp_path) as (desk, at):
        await install(slack, at, TEAM)
        many = Many(many_settings(slack), Installs(desk.store.database), Vault([KEY]))
        sealed = await Installs(desk.store.database).get(TEAM)
        assert sealed is not None
        slack.faults.append(Fault("oauth.v2.access", "error", "internal_error", times=9))
        for left, works in ((3600, True), (-1, False)):
            soon = many.installations.opened(sealed)
            soon.bot_token_expires_at = int(slack.world.clock.now()) + left
            await many.installations.async_save(soon)
            await many.changed(TEAM)
            if works:
                await (await many.of(TEAM)).api.call("auth.test")
            else:
                with pytest.raises(SlackError, match="token_not_renewed"):
                    await many.of(TEAM)
        await many.close()


def test_keys_can_be_replaced_one_after_the_other() -> None:
    new = Fernet.generate_key().decode()
    sealed = Vault([KEY]).seal({"bot_token": "xoxb-1"})
    assert "xoxb" not in sealed
    assert Vault([new, KEY]).open(sealed) == {"bot_token": "xoxb-1"}
    with pytest.raises(ConfigError, match="cannot be decrypted"):
        Vault([new]).open(sealed)
    with pytest.raises(ConfigError, match="not a key"):
        Vault(["short"])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"bot_token": "xoxb-1"}, "bot token and a client id"),
        ({"client_secret": ""}, "client_secret"),
        ({"queue": "C0123"}, "queue"),
        ({"signing_secret": ""}, "no way to bring events"),
    ],
)
def test_settings_for_many_workspaces_that_cannot_work_are_refused_by_name(
    given: dict[str, str], named: str
) -> None:
    good = {"client_id": "1.2", "client_secret": "s", "signing_secret": SIGNING_SECRET}
    check(SlackSettings.model_validate(good))
    check(SlackSettings.model_validate(good | {"signing_secret": "", "app_token": APP_TOKEN}))
    with pytest.raises(ConfigError, match=named):
        check(SlackSettings.model_validate(good | given))


def test_without_an_address_nobody_could_come_back() -> None:
    settings = SlackSettings.model_validate({"client_id": "1.2", "client_secret": "s"})
    with pytest.raises(ConfigError, match="no address"):
        Install(settings, "", None, None)  # type: ignore[arg-type] # it ends before they are used

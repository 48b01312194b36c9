"""Who and what the web door keeps out, and what it lets nobody see."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response

from adapters.web.sessions import Sessions
from bot.config import ServerSettings
from bot.errors import ConfigError
from bot.types import Citation, Outcome, Reply
from knowledge.types import Audience, Passage
from tests.fakes.desk import Desk, Shelf, Visitor, desk
from tests.fakes.scripted import Script, ScriptedAnswerer

PASSAGE = Passage("Refunds take **five days**.", "faq.csv", question="How long do refunds take?")
CITED = Reply(
    "Five days [1].",
    Outcome.ANSWERED,
    (Citation(1, PASSAGE.id, PASSAGE.title, PASSAGE.source, "https://example.com/r", quote="x"),),
)


pytestmark = pytest.mark.asyncio(loop_scope="module")


def held(*pieces: str, at: int = 1) -> Script:
    """A script that waits for its gate before the piece at index `at`."""
    return Script(pieces, hold_at=at)


# Other sites, other hosts, other cookies


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
    ],
)
@pytest.mark.parametrize("path", ["messages", "stop", "votes", "conversation/new"])
async def test_another_sites_page_cannot_make_a_browser_act(
    door: Desk, headers: dict[str, str], path: str
) -> None:
    async with Visitor(door) as ann:
        body = {"text": "x", "id": "12345678"}
        response = await ann.post(f"/api/{path}", body, **headers)
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "cross_site"
        assert "set-cookie" not in response.headers
        assert (await ann.conversation())["exchanges"] == []


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_what_a_plain_form_can_send_is_refused(door: Desk, content_type: str) -> None:
    async with Visitor(door) as ann:
        response = await ann.http.post(
            "/api/messages",
            content=b'{"text": "x", "id": "12345678"}',
            headers={"content-type": content_type},
        )
        assert response.status_code == 415
        assert response.json()["error"]["code"] == "not_json"


async def test_the_pages_own_requests_pass_the_origin_check(door: Desk) -> None:
    async with Visitor(door) as ann:
        headers = {"origin": door.url.rstrip("/"), "sec-fetch-site": "same-origin"}
        body = {"text": "x", "id": "12345678"}
        assert (await ann.post("/api/messages", body, **headers)).status_code == 202


async def test_a_foreign_host_name_is_refused_but_probes_may_use_any(door: Desk) -> None:
    async with Visitor(door) as ann:
        for path in ("/", "/api/conversation", "/static/main.js"):
            response = await ann.http.get(path, headers={"host": "rebound.example"})
            assert response.status_code == 400, path
        for path in ("/health", "/ready", "/metrics"):
            response = await ann.http.get(path, headers={"host": "10.0.0.7:8080"})
            assert response.status_code == 200, path


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(door: Desk) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        cookie = (await http.get(door.url)).headers["set-cookie"]
        assert cookie.startswith("deskhand=")
        for part in ("HttpOnly", "SameSite=lax", "Path=/"):
            assert part in cookie
        assert "Secure" not in cookie  # a browser would drop it on http


async def test_behind_https_the_cookie_is_secure_and_bound_to_the_host(tmp_path: Path) -> None:
    server = ServerSettings(public_url="https://help.example.com")
    async with desk(tmp_path, server=server) as door, httpx.AsyncClient(trust_env=False) as http:
        response = await http.get(door.url, headers={"host": "help.example.com"})
        cookie = response.headers["set-cookie"]
        assert cookie.startswith("__Host-deskhand=")
        assert "Secure" in cookie
        assert "Domain" not in cookie
        assert "max-age" in response.headers["strict-transport-security"]


async def test_a_forged_or_foreign_cookie_is_worth_nothing(door: Desk) -> None:
    async with Visitor(door) as ann:
        good = ann.http.cookies["deskhand"]
        await ann.answered("mine")
        forged = [good[:-1] + ("A" if good[-1] != "A" else "B"), "x" + good, "", "a.b.c", "\x01"]
        other = Sessions("another key", secure=False)
        response = Response()
        other.write(response, other.new())
        forged.append(response.headers["set-cookie"].split(";")[0].removeprefix("deskhand="))
        for value in forged:
            headers = {"cookie": f"deskhand={value}"}
            async with httpx.AsyncClient(
                base_url=door.url, headers=headers, trust_env=False
            ) as eve:
                response = await eve.get("/api/events")
                assert response.status_code == 401, value
                assert (await eve.get("/api/conversation")).json()["exchanges"] == []


# One visitor, another visitor


async def test_nobody_sees_stops_votes_on_or_opens_what_belongs_to_another(tmp_path: Path) -> None:
    slow = held("first", "second")
    answerer = ScriptedAnswerer({"slow": slow, "cited": Script((), CITED)})
    shelf = Shelf(passages={PASSAGE.id: PASSAGE})
    async with desk(tmp_path, answerer, shelf) as door, Visitor(door) as ann, Visitor(door) as eve:
        answer_id = (await ann.answered("cited"))["answer_id"]
        async with ann.events() as hers, eve.events() as his:
            assert (await ann.ask("slow", "shared-key")).status_code == 202
            await hers.until("partial")
            assert (await eve.post("/api/stop")).json() == {"stopped": False}
            for value in (-1, 0, 1):
                vote = {"answer_id": answer_id, "value": value}
                assert (await eve.post("/api/votes", vote)).status_code == 404
            source = f"/api/answers/{answer_id}/sources/1"
            assert (await eve.http.get(source)).status_code == 404
            assert (await ann.http.get(source)).status_code == 200
            # The same message id is another message when another visitor sends it.
            assert (await eve.ask("mine", "shared-key")).status_code == 202
            assert (await his.until("final"))["reply"]["text"] == "You said: mine"
            slow.gate.set()
            assert (await hers.until("final"))["reply"]["text"] == "firstsecond"
        assert all("slow" not in str(data) and "first" not in str(data) for _, data in his.seen)
        assert [one["text"] for one in (await eve.conversation())["exchanges"]] == ["mine"]
        record = await door.store.answer(answer_id)
        assert record is not None
        thread = await door.store.thread(record.channel, record.conversation)
        assert thread[0].votes == {}


async def test_internal_text_behind_a_citation_stays_closed_to_customers(tmp_path: Path) -> None:
    secret = Passage("Margins are 40 %.", "board.md", audience=Audience.INTERNAL, id=PASSAGE.id)
    answerer = ScriptedAnswerer({"cited": Script((), CITED)})
    shelf = Shelf(passages={PASSAGE.id: secret})
    async with desk(tmp_path, answerer, shelf) as door, Visitor(door) as ann:
        answer_id = (await ann.answered("cited"))["answer_id"]
        response = await ann.http.get(f"/api/answers/{answer_id}/sources/1")
        assert response.status_code == 404
        assert "Margins" not in response.text


async def test_a_citation_opens_the_passage_it_was_taken_from(tmp_path: Path) -> None:
    answerer = ScriptedAnswerer({"cited": Script((), CITED)})
    shelf = Shelf(passages={PASSAGE.id: PASSAGE})
    async with desk(tmp_path, answerer, shelf) as door, Visitor(door) as ann:
        answer_id = (await ann.answered("cited"))["answer_id"]
        opened = (await ann.http.get(f"/api/answers/{answer_id}/sources/1")).json()
        assert opened["title"] == "How long do refunds take?"
        assert "<strong>five days</strong>" in opened["html"]
        for path in (f"{answer_id}/sources/2", "nothing/sources/1", f"{answer_id}/sources/x"):
            response = await ann.http.get(f"/api/answers/{path}")
            assert response.status_code in {400, 404}, path
            assert "error" in response.json()
        shelf.passages.clear()  # a new index no longer has it
        gone = await ann.http.get(f"/api/answers/{answer_id}/sources/1")
        assert "no longer in the knowledge" in gone.json()["error"]["message"]


# Limits


async def test_too_many_questions_are_refused_politely_and_only_for_their_visitor(
    tmp_path: Path,
) -> None:
    server = ServerSettings(rate_per_minute=3)
    async with desk(tmp_path, server=server) as door, Visitor(door) as ann, Visitor(door) as ben:
        answers = [await ann.ask(f"question {n}") for n in range(4)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
        refused = answers[-1]
        assert 0 < int(refused.headers["retry-after"]) <= 20
        assert "wait a moment" in refused.json()["error"]["message"]
        assert (await ben.ask("my first")).status_code == 202


async def test_throwing_the_cookie_away_does_not_lift_the_limit_of_an_address(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path, server=ServerSettings(rate_per_minute=1)) as door:
        statuses = []
        for _ in range(7):
            async with Visitor(door) as fresh:
                statuses.append((await fresh.ask("again")).status_code)
        assert statuses == [202] * 5 + [429] * 2


async def test_an_invented_forwarded_address_does_not_lift_the_limit(tmp_path: Path) -> None:
    server = ServerSettings(rate_per_minute=1)
    async with desk(tmp_path, server=server, trusted_proxies="192.0.2.1") as door:
        statuses = []
        for n in range(7):
            async with Visitor(door, **{"x-forwarded-for": f"203.0.113.{n}"}) as liar:
                statuses.append((await liar.ask("again")).status_code)
        assert statuses == [202] * 5 + [429] * 2


async def test_the_oldest_page_gives_way_when_a_visitor_opens_too_many(tmp_path: Path) -> None:
    async with AsyncExitStack() as pages:
        ann = await pages.enter_async_context(
            Visitor(await pages.enter_async_context(desk(tmp_path)))
        )
        first, *_, last = [await pages.enter_async_context(ann.events()) for _ in range(5)]
        await first.until("superseded")
        await ann.ask("still working?")
        assert "still working?" in str(await last.until("final"))


# Probes, headers, errors


async def test_the_probes_tell_the_truth(tmp_path: Path) -> None:
    async with desk(tmp_path) as door, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{door.url}health")).json() == {"status": "ok"}
        ready = await http.get(f"{door.url}ready")
        assert ready.status_code == 200
        assert ready.json() == {"status": "ready", "problems": [], "engine": "quoting"}
        door.problems.append("There is no index yet.")
        ready = await http.get(f"{door.url}ready")
        assert ready.status_code == 503
        assert ready.json()["problems"] == ["There is no index yet."]
        assert (await http.get(f"{door.url}health")).status_code == 200
        metrics = await http.get(f"{door.url}metrics")
        assert "deskhand_accepted_total" in metrics.text


@pytest.mark.parametrize(
    "path", ["/", "/static/main.js", "/api/conversation", "/api/events", "/nothing", "/health"]
)
async def test_every_response_carries_the_security_headers(door: Desk, path: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as http:
        headers = (await http.get(door.url.rstrip("/") + path)).headers
        policy = headers["content-security-policy"]
        for rule in ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"):
            assert rule in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


async def test_there_is_no_generated_documentation_and_no_way_out_of_static(door: Desk) -> None:
    async with Visitor(door) as ann:
        paths = ["/docs", "/redoc", "/openapi.json", "/static/../app.py", "/static/%2e%2e/app.py"]
        for path in paths:
            response = await ann.http.get(path)
            assert response.status_code == 404, path
            assert response.json()["error"]["code"] == "not_found"
        assert (await ann.http.delete("/api/votes")).json()["error"]["code"] == "method_not_allowed"


async def test_a_fault_of_ours_is_a_json_error_without_a_traceback(tmp_path: Path) -> None:
    shelf = Shelf(fault=RuntimeError("secret detail"))
    async with desk(tmp_path, shelf=shelf) as door, Visitor(door) as ann:
        response = await ann.http.get("/api/suggestions")
        assert response.status_code == 500
        assert response.json()["error"]["code"] == "internal"
        assert "secret" not in response.text
        assert "content-security-policy" in response.headers


async def test_a_known_fault_is_reported_without_its_inner_details(tmp_path: Path) -> None:
    shelf = Shelf(fault=ConfigError("The file /etc/secret is broken."))
    async with desk(tmp_path, shelf=shelf) as door, Visitor(door) as ann:
        response = await ann.http.get("/api/suggestions")
        assert response.status_code == 500
        assert "/etc" not in response.text


async def test_suggestions_come_from_the_knowledge(tmp_path: Path) -> None:
    shelf = Shelf(starters=["How long do refunds take?", "Where are you?"])
    async with desk(tmp_path, shelf=shelf) as door, Visitor(door) as ann:
        shown = (await ann.http.get("/api/suggestions")).json()
        assert shown == {"suggestions": shelf.starters}


async def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    async with desk(tmp_path / "one") as door:
        port = httpx.URL(door.url).port or 0
        with pytest.raises(ConfigError, match=str(port)):
            async with desk(tmp_path / "two", port=port):
                pytest.fail("two servers on one port")

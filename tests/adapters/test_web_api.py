"""The chat page's API over a real socket, with the real store and dispatcher behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from bot.config import LimitSettings
from bot.types import Citation, Outcome, Reply
from knowledge.types import Passage
from tests.fakes.desk import Desk, Visitor, desk
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


async def test_a_question_is_taken_in_streamed_answered_and_kept(tmp_path: Path) -> None:
    answerer = ScriptedAnswerer({"How long?": Script(("Five ", "days [1]."), CITED)})
    async with desk(tmp_path, answerer) as door, Visitor(door) as ann:
        async with ann.events() as events:
            accepted = await ann.ask("How long?", "message-1")
            assert accepted.status_code == 202
            final = await events.until("final")
        event_id = accepted.json()["event_id"]
        assert event_id.startswith("web:")
        assert event_id.endswith(":message-1")
        assert final["event_id"] == event_id
        assert "partial" in [kind for kind, _ in events.seen]
        assert 'data-cite="1"' in final["reply"]["html"]
        assert final["reply"]["citations"][0]["url"] == "https://example.com/r"
        (kept,) = (await ann.conversation())["exchanges"]
        assert kept["text"] == "How long?"
        assert kept["reply"] == final["reply"]


async def test_what_only_reviewers_may_know_is_not_sent_to_the_page(door: Desk) -> None:
    async with Visitor(door) as ann:
        reply = await ann.answered("hello")
        shown = {
            "answer_id",
            "html",
            "text",
            "outcome",
            "lang",
            "citations",
            "suggestions",
            "curated",
        }
        assert set(reply) == shown


async def test_the_same_message_sent_four_times_at_once_is_answered_once(door: Desk) -> None:
    async with Visitor(door) as ann:
        async with ann.events() as events:
            answers = await asyncio.gather(*(ann.ask("once", "same-message") for _ in range(4)))
            await events.until("final")
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["event_id"] for answer in answers}) == 1
        assert [one.text for one in door.answerer.asked].count("once") == 1
        assert len((await ann.conversation())["exchanges"]) == 1


@pytest.mark.parametrize(
    "text",
    ["مرحبا، كيف حالك؟", "👩‍👩‍👧‍👦 wohin?", "zero\u200dwidth", "line\nbreak", "<b>bold</b> & co"],
)
async def test_unusual_texts_arrive_unchanged(door: Desk, text: str) -> None:
    async with Visitor(door) as ann:
        await ann.answered(text)
        assert door.answerer.asked[-1].text == text
        assert (await ann.conversation())["exchanges"][0]["text"] == text


async def test_control_characters_and_lone_surrogates_are_cleaned_away(door: Desk) -> None:
    async with Visitor(door) as ann:
        body = rb'{"text": "a\u0000b\u0007 \ud83d c\r\nd", "id": "surrogate-1"}'
        headers = {"content-type": "application/json"}
        response = await ann.http.post("/api/messages", content=body, headers=headers)
        assert response.status_code == 202
        async with ann.events() as events:
            if not events.snapshot["exchanges"][0]["reply"]:
                await events.until("final")
        assert door.answerer.asked[-1].text == "ab ? c\n\nd"


@pytest.mark.parametrize("text", ["", "   \n\t ", "\x00\x00", "\u200b"])
async def test_an_empty_message_is_refused_politely(door: Desk, text: str) -> None:
    async with Visitor(door) as ann:
        response = await ann.ask(text)
        assert response.status_code == 400
        assert response.json()["error"]["code"] == "empty"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"\xff\xfe\xfa", 400, "bad_request"),
        (b'{"text": "\xff", "id": "12345678"}', 400, "bad_request"),
        (b"{", 400, "bad_request"),
        (b"[]", 400, "bad_request"),
        (b"null", 400, "bad_request"),
        (b'{"text": 5, "id": "12345678"}', 400, "bad_request"),
        (b'{"text": "no id"}', 400, "bad_request"),
        (b'{"text": "x", "id": "../../etc"}', 400, "bad_request"),
        (b'{"text": "x", "id": "12345678", "actor": "admin"}', 400, "bad_request"),
        (b'{"text": "' + b"x" * 4001 + b'", "id": "12345678"}', 413, "too_large"),
        (b'{"text": "' + b"x" * 100_000 + b'", "id": "12345678"}', 413, "too_large"),
    ],
)
async def test_bad_bodies_get_a_clear_json_error(
    door: Desk, body: bytes, status: int, code: str
) -> None:
    async with Visitor(door) as ann:
        headers = {"content-type": "application/json"}
        response = await ann.http.post("/api/messages", content=body, headers=headers)
        assert response.status_code == status
        error = response.json()["error"]
        assert error["code"] == code
        assert error["message"].endswith(".")
        assert "Traceback" not in response.text
        assert (await ann.conversation())["exchanges"] == []


async def test_a_body_that_never_says_how_long_it_is_is_cut_off(door: Desk) -> None:
    async def endless() -> object:
        for _ in range(100):
            yield b"x" * 10_000

    async with Visitor(door) as ann:
        headers = {"content-type": "application/json"}
        response = await ann.http.post("/api/messages", content=endless(), headers=headers)
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "too_large"


# Votes


async def test_a_vote_can_be_given_changed_and_withdrawn_and_survives_a_reload(
    door: Desk,
) -> None:
    async with Visitor(door) as ann:
        answer_id = (await ann.answered("hello"))["answer_id"]

        async def kept() -> object:
            return (await ann.conversation())["exchanges"][0]["vote"]

        vote = {"answer_id": answer_id, "value": -1, "reason": "Wrong", "correction": "Say hi"}
        assert (await ann.post("/api/votes", vote)).status_code == 200
        assert await kept() == {"value": -1, "reason": "Wrong", "correction": "Say hi"}
        await ann.post("/api/votes", {"answer_id": answer_id, "value": 1})
        assert await kept() == {"value": 1, "reason": "", "correction": ""}
        withdrawn = await ann.post("/api/votes", {"answer_id": answer_id, "value": 0})
        assert withdrawn.status_code == 200
        assert await kept() is None


async def test_other_pages_of_the_visitor_see_the_question_and_the_vote(door: Desk) -> None:
    async with Visitor(door) as ann, ann.events() as other:
        reply = await ann.answered("hello")
        assert (await other.until("question"))["text"] == "hello"
        await ann.post("/api/votes", {"answer_id": reply["answer_id"], "value": 1})
        told = await other.until("vote")
        assert told["vote"]["value"] == 1


@pytest.mark.parametrize(
    "change", [{"value": 2}, {"value": "up"}, {"reason": "x" * 1001}, {"correction": "x" * 4001}]
)
async def test_a_malformed_vote_is_refused(door: Desk, change: dict[str, object]) -> None:
    async with Visitor(door) as ann:
        answer_id = (await ann.answered("hello"))["answer_id"]
        response = await ann.post("/api/votes", {"answer_id": answer_id, "value": 1, **change})
        assert response.status_code == 400


# Stopping, starting anew, coming back


async def test_stop_keeps_what_was_said_so_far(tmp_path: Path) -> None:
    answerer = ScriptedAnswerer({"slow": held("so far", "never")})
    async with desk(tmp_path, answerer) as door, Visitor(door) as ann, ann.events() as events:
        await ann.ask("slow")
        while "so far" not in (await events.until("partial"))["html"]:
            pass
        assert (await ann.post("/api/stop")).json() == {"stopped": True}
        reply = (await events.until("final"))["reply"]
        assert reply["outcome"] == "stopped"
        assert "so far" in reply["text"]
        assert "never" not in reply["text"]


async def test_a_page_that_opens_mid_answer_shows_what_is_there_and_goes_on(tmp_path: Path) -> None:
    slow = held("The first half, ", "the second half.")
    answerer = ScriptedAnswerer({"slow": slow})
    async with desk(tmp_path, answerer) as door, Visitor(door) as ann:
        async with ann.events() as before:
            await ann.ask("slow")
            while "first half" not in (await before.until("partial"))["html"]:
                pass
        async with ann.events() as after:  # reloaded
            (live,) = after.snapshot["live"]
            assert "The first half," in live["html"]
            assert live["status"] == "Searching…"
            assert after.snapshot["exchanges"][0]["reply"] is None
            slow.gate.set()
            assert "second half" in (await after.until("final"))["reply"]["html"]


async def test_a_new_conversation_is_empty_and_keeps_the_old_one_safe(door: Desk) -> None:
    async with Visitor(door) as ann, ann.events() as other_page:
        old = (await ann.answered("old question"))["answer_id"]
        assert (await ann.post("/api/conversation/new")).status_code == 200
        await other_page.until("moved")
        assert (await ann.conversation())["exchanges"] == []
        await ann.answered("new question")
        (only,) = (await ann.conversation())["exchanges"]
        assert only["text"] == "new question"
        # Still hers: she may change her mind about the old answer.
        vote = await ann.post("/api/votes", {"answer_id": old, "value": 1})
        assert vote.status_code == 200


async def test_everything_is_there_after_a_restart_on_the_same_port(tmp_path: Path) -> None:
    async with desk(tmp_path) as door, Visitor(door) as ann:
        reply = await ann.answered("before")
        async with ann.events() as open_page:
            port = httpx.URL(door.url).port
            assert port is not None
            stopping = asyncio.create_task(door.server.stop())
            await open_page.until("closing")
            await stopping
        cookies = dict(ann.http.cookies)
    async with desk(tmp_path, port=port) as door, Visitor(door) as ann:
        ann.http.cookies.update(cookies)
        (kept,) = (await ann.conversation())["exchanges"]
        assert kept["reply"] == reply


async def test_what_was_asked_before_a_crash_is_answered_after_it(tmp_path: Path) -> None:
    slow = ScriptedAnswerer({"slow": held("never")})
    slow.scripts["slow"].hold_at = 0
    limits = LimitSettings(drain_s=0.1)
    async with desk(tmp_path, slow, limits=limits) as door, Visitor(door) as ann:
        await ann.ask("slow")
        cookies = dict(ann.http.cookies)
    async with desk(tmp_path) as door, Visitor(door) as ann:
        ann.http.cookies.update(cookies)
        async with ann.events() as events:
            (asked,) = events.snapshot["exchanges"]
            reply = asked["reply"] or (await events.until("final"))["reply"]
        assert reply["text"] == "You said: slow"


async def test_while_restarting_a_message_is_refused_with_a_time_to_come_back(
    tmp_path: Path,
) -> None:
    async with desk(tmp_path) as door, Visitor(door) as ann:
        await door.dispatcher.drain()
        response = await ann.ask("too late")
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert response.json()["error"]["code"] == "busy"

"""Fan-out, sessions, limits and the channel, without HTTP."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.web.channel import WebChannel
from adapters.web.hub import TABS_PER_VISITOR, Hub, Tab
from adapters.web.library import IndexLibrary
from adapters.web.limits import RateLimit
from bot.errors import Busy
from bot.types import Address, Outcome, Reply
from knowledge.types import Passage

TO = Address("web", "ann.1")


def watch(hub: Hub, visitor: str = "ann") -> Tab:
    return hub.watch(visitor, f"{visitor}.1", "192.0.2.7")


async def drained(tab: Tab) -> list[tuple[str, object]]:
    """Everything a page is told, once its stream is closed."""
    tab.close("closing")
    return [(one.kind, one.data) async for one in tab.events(idle_s=60)]


async def test_a_slow_page_skips_to_the_latest_state_of_an_answer() -> None:
    hub = Hub(render=str.upper)
    tab = watch(hub)
    hub.begin("ann.1", "e1")
    for status in ("one", "two", "three"):
        hub.status("ann.1", "e1", status)
    hub.append("ann.1", "e1", "text")
    told = await drained(tab)
    assert told[0] == ("partial", {"event_id": "e1", "status": "three", "html": "TEXT"})
    assert [kind for kind, _ in told] == ["partial", "closing"]


async def test_the_whole_answer_replaces_what_was_provisional() -> None:
    hub = Hub(render=str)
    tab = watch(hub)
    hub.begin("ann.1", "e1")
    hub.append("ann.1", "e1", "text")
    hub.finish("ann.1", "e1", "final", {"whole": True})
    hub.append("ann.1", "e1", "too late")
    assert await drained(tab) == [("final", {"whole": True}), ("closing", {})]
    assert hub.running("ann.1") == []


async def test_text_that_comes_in_bursts_is_rendered_once_per_moment() -> None:
    rendered: list[str] = []

    def render(text: str) -> str:
        rendered.append(text)
        return text

    hub = Hub(render)
    tab = watch(hub)
    hub.begin("ann.1", "e1")
    for piece in "abcdefgh":
        hub.append("ann.1", "e1", piece)
    assert rendered == ["a"]
    async for one in tab.events(idle_s=60):
        if one.data["html"] == "abcdefgh":
            break
    assert rendered == ["a", "abcdefgh"]


async def test_finished_paragraphs_are_rendered_only_once_but_code_is_kept_whole() -> None:
    hub = Hub(render=lambda text: f"<{text}>")
    hub.begin("ann.1", "e1")
    hub.append("ann.1", "e1", "one\n\ntwo\n\nth")
    assert hub.running("ann.1")[0]["html"] == "<one\n\ntwo><\n\nth>"
    hub.begin("ann.1", "e2")
    hub.append("ann.1", "e2", "```\none\n\ntwo")
    assert hub.running("ann.1")[1]["html"] == "<```\none\n\ntwo>"


async def test_an_answer_begun_again_starts_over() -> None:
    hub = Hub(render=str)
    hub.begin("ann.1", "e1")
    hub.append("ann.1", "e1", "first try")
    hub.begin("ann.1", "e1")
    assert hub.running("ann.1") == [{"event_id": "e1", "status": "", "html": ""}]


async def test_a_page_that_stops_reading_is_cut_off_instead_of_filling_the_memory() -> None:
    hub = Hub(render=str)
    tab = watch(hub)
    for number in range(1000):
        hub.tell("ann.1", "question", {"n": number})
    assert [one async for one in tab.events(idle_s=60)] == []


async def test_pages_hear_only_of_their_own_conversation() -> None:
    hub = Hub(render=str)
    ann, eve = watch(hub, "ann"), watch(hub, "eve")
    hub.tell("ann.1", "question", {"text": "secret"})
    assert await drained(eve) == [("closing", {})]
    assert len(await drained(ann)) == 2


async def test_a_visitors_oldest_page_gives_way_and_leaving_twice_is_harmless() -> None:
    hub = Hub(render=str)
    tabs = [watch(hub) for _ in range(TABS_PER_VISITOR + 1)]
    assert [one.kind async for one in tabs[0].events(idle_s=60)] == ["superseded"]
    hub.leave(tabs[0])
    hub.tell("ann.1", "question", {})
    assert len(await drained(tabs[-1])) == 2


async def test_one_address_cannot_take_every_stream() -> None:
    hub = Hub(render=str)

    def crowd() -> None:
        for number in range(10_000):
            hub.watch(f"v{number}", f"v{number}.1", "192.0.2.7")

    with pytest.raises(Busy):
        crowd()
    hub.watch("other", "other.1", "192.0.2.8")


async def test_a_quiet_stream_pings() -> None:
    tab = watch(Hub(render=str))
    async for one in tab.events(idle_s=0.01):
        assert one.kind == "ping"
        break


async def test_a_closed_hub_ends_every_stream_and_takes_no_more() -> None:
    hub = Hub(render=str)
    tab = watch(hub)
    hub.close()
    assert [one.kind async for one in tab.events(idle_s=60)] == ["closing"]
    with pytest.raises(Busy):
        watch(hub)


async def test_finishing_twice_tells_the_same_and_returns_the_same_id() -> None:
    channel = WebChannel()
    tab = watch(channel.hub)
    delivery = await channel.open(TO, "e1")
    reply = Reply("Hello.", Outcome.ANSWERED)
    assert await delivery.finish(reply, "a1") == "a1"
    assert await delivery.finish(reply, "a1") == "a1"
    told = await drained(tab)
    assert [kind for kind, _ in told] == ["final", "closing"]
    assert await channel.delivered(TO, "a1") == "a1"


async def test_a_delivery_without_any_open_page_leaves_nothing_behind() -> None:
    channel = WebChannel()
    delivery = await channel.open(TO, "e1")
    await delivery.status("Searching…")
    await delivery.append("Hel")
    await delivery.finish(Reply("Hello.", Outcome.ANSWERED), "a1")
    assert channel.hub.running("ann.1") == []


async def test_the_channel_runs_until_it_is_cancelled() -> None:
    async def accept(_event: object) -> None:
        pytest.fail("messages come in over HTTP")

    running = asyncio.create_task(WebChannel().run(accept))  # type: ignore[arg-type]  # never called
    await asyncio.sleep(0)
    assert not running.done()
    running.cancel()


@given(st.lists(st.floats(0, 30), max_size=200), st.integers(1, 30))
def test_the_limit_never_admits_more_than_a_burst_and_the_rate(
    steps: list[float], per_minute: int
) -> None:
    now = 0.0
    limit = RateLimit(per_minute, clock=lambda: now)
    admitted = 0
    for step in steps:
        now += step
        wait = limit.wait("ann")
        admitted += wait == 0
        assert admitted <= per_minute * (1 + now / 60) + 1e-6
        assert 0 <= wait <= 60 / per_minute + 1e-6


def test_who_waits_as_long_as_told_is_admitted() -> None:
    now = 0.0
    limit = RateLimit(1, clock=lambda: now)
    assert limit.wait("ann") == 0
    now += limit.wait("ann") + 1e-6
    assert limit.wait("ann") == 0
    assert limit.wait("ben") == 0


async def test_starters_are_short_questions_from_every_source_in_the_visitors_language() -> None:
    def faq(source: str, question: str, lang: str = "en") -> Passage:
        return Passage("answer", source, question=question, lang=lang)

    passages = [
        faq("a.csv", "A1?"),
        faq("a.csv", "A2?"),
        faq("b.csv", "B1?"),
        faq("b.csv", "B" * 91),
        faq("c.csv", "¿C1?", "es"),
        Passage("no question", "d.md"),
    ]
    library = IndexLibrary(lambda: passages)
    assert await library.questions(9, "en") == ["A1?", "B1?", "A2?"]
    assert await library.questions(2, "es") == ["¿C1?"]
    assert await library.questions(2, "ja") == ["A1?", "B1?"]
    assert await IndexLibrary(list).questions(4, "en") == ()


async def test_the_library_follows_the_index_in_use() -> None:
    first, second = Passage("one", "a.md"), Passage("two", "a.md")
    shelves = [[first]]
    library = IndexLibrary(lambda: shelves[-1])
    assert await library.passage(first.id) == first
    shelves.append([second])
    assert await library.passage(first.id) is None
    assert await library.passage(second.id) == second

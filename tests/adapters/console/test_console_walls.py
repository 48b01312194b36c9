"""Who gets into which page of the console, and what a page shows of others."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re

import httpx
import pytest
from fastapi.routing import APIRoute

from adapters.console.app import is_open, role_of, routes
from adapters.console.export import safe
from bot.cli.review import tell
from bot.errors import NotAllowed
from bot.reviewing.accounts import RANK
from bot.reviewing.verdicts import Fault, Judgement
from bot.tables import Role
from bot.types import Citation, Outcome, Reply
from knowledge.types import Audience
from tests.fakes.agency import PASSAGES, PASSWORD, Agency, Caller

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEVER = {401, 403}


def every_route() -> list[tuple[str, APIRoute]]:
    return [(method, one) for one in routes() for method in sorted(one.methods)]


def path_of(route: APIRoute) -> str:
    """A path with something in every gap that belongs to nobody."""
    return re.sub(r"\{(\w+)\}", lambda gap: "0" if gap[1].endswith("_id") else "x", route.path)[1:]


async def test_every_route_opens_to_its_roles_and_to_nobody_else(shared: Agency) -> None:
    wrong = []
    members = {role: await shared.login(role) for role in Role}
    guarded = [(method, one) for method, one in every_route() if not is_open(one)]
    assert len(guarded) > 30
    for (method, route), role in itertools.product(guarded, [None, *Role]):
        login = members[role] if role else None
        if route.path == "/logout" and role:
            login = await shared.login(role)
        async with Caller(shared.url, login) as caller:
            data = {"csrf": caller.csrf} if method == "POST" else None
            response = await caller.request(method, path_of(route), data=data)
        needed = role_of(route)
        assert needed is not None
        if role is None:
            fine = response.status_code in NEVER or (
                response.status_code == 303 and response.headers["location"] == "/console/login"
            )
        elif RANK[role] >= RANK[needed]:
            fine = response.status_code not in NEVER and response.status_code < 500
        else:
            fine = response.status_code == 403
        if not fine:
            wrong.append(f"{role} {method} {route.path}: {response.status_code}")
    assert wrong == []


async def test_only_the_entrance_is_open() -> None:
    assert {one.path for _, one in every_route() if is_open(one)} == {"/", "/login", "/welcome"}


@pytest.mark.parametrize(
    ("token", "headers"),
    [
        ("", {}),
        ("guessed", {}),
        ("own", {"origin": "https://evil.example"}),
        ("own", {"origin": "null"}),
        ("own", {"sec-fetch-site": "cross-site"}),
    ],
)
async def test_a_form_that_is_not_ours_changes_nothing(
    shared: Agency, token: str, headers: dict[str, str]
) -> None:
    answer = await shared.answered("do not judge me", down="")
    async with await shared.member(Role.REVIEWER) as caller:
        data = {"verdict": "right", "csrf": caller.csrf if token == "own" else token}
        response = await caller.post(f"queue/{answer}/verdict", data=data, headers=headers)
        assert response.status_code == 403
    case = await shared.office.cases.case(answer, list(Audience))
    assert case["verdict"] == ""


async def test_a_copied_cookie_opens_nothing_after_logout_or_a_change(shared: Agency) -> None:
    login = await shared.login(Role.VIEWER)
    async with Caller(shared.url, login) as caller, Caller(shared.url, login) as thief:
        assert (await thief.get("queue")).status_code == 200
        await caller.send_form("logout")
        assert (await thief.get("queue")).status_code == 303
    login = await shared.login(Role.VIEWER)
    await shared.office.accounts.change(login.member.account_id, "test", active=False)
    async with Caller(shared.url, login) as caller:
        assert (await caller.get("queue")).status_code == 303
    await shared.office.accounts.change(login.member.account_id, "test", active=True)


async def test_the_first_administrator_is_made_with_the_token_and_only_once(own: Agency) -> None:
    stale = await own.office.accounts.bootstrap()
    token = await own.office.accounts.bootstrap()
    assert stale
    assert token
    async with Caller(own.url) as caller:
        for wrong in ("", "guess", stale):
            given = {"token": wrong, "name": "eve", "password": PASSWORD}
            assert (await caller.post("welcome", data=given)).status_code == 403
        given = {"token": token, "name": "Ann@Example.com", "password": PASSWORD}
        made = await caller.post("welcome", data=given)
        assert made.status_code == 303
        assert "httponly" in made.headers["set-cookie"].lower()
        assert (await caller.get("people")).status_code == 200
    assert await own.office.accounts.bootstrap() is None
    await tell(own.office, own.url)
    with pytest.raises(NotAllowed):
        await own.office.accounts.claim(token, "eve", PASSWORD)
    async with Caller(own.url) as caller:
        right = {"name": "ann@example.com", "password": PASSWORD}
        assert (await caller.post("login", data=right)).status_code == 303
        wrong_name = await caller.post("login", data={"name": "eve", "password": PASSWORD})
        wrong_word = await caller.post("login", data={**right, "password": "wrong"})
        assert wrong_name.status_code == wrong_word.status_code == 401
        assert wrong_name.text == wrong_word.text
        statuses = [(await caller.post("login", data=right)).status_code for _ in range(12)]
        assert 429 in statuses


async def test_another_audiences_ids_do_not_exist(shared: Agency) -> None:
    secret = await shared.answered("salary bands of staff", audience=Audience.INTERNAL, down="no")
    internal = next(one for one in PASSAGES if one.audience is Audience.INTERNAL)
    async with await shared.member(Role.ADMIN, Audience.CUSTOMER) as caller:
        for path in (
            f"queue/{secret}",
            f"knowledge/passage/{internal.id}",
            f"knowledge/new?answer_id={secret}",
            "knowledge/try?q=door&audience=internal",
        ):
            assert (await caller.get(path)).status_code == 404, path
        for path, values in (
            (f"queue/{secret}/verdict", {"verdict": "right"}),
            (f"queue/{secret}/ask", {}),
            (f"queue/{secret}/replay", {}),
            (f"live/step-in/{secret}", {}),
            ("queue/bulk", {"selected": secret, "verdict": "discard"}),
            (f"knowledge/passage/{internal.id}/remove", {}),
            (
                "knowledge/entries",
                {"question": "q", "answer": "a", "audience": "internal"},
            ),
            (
                "knowledge/entries",
                {"question": "q", "answer": "a", "replaces": internal.id},
            ),
        ):
            assert (await caller.send_form(path, **values)).status_code == 404, path
        for path in ("queue", "search?q=salary", "export?form=jsonl", "knowledge", "dashboard"):
            text = (await caller.get(path)).text
            assert "salary bands" not in text, path
            assert "door code" not in text, path
    async with await shared.member(Role.ADMIN) as caller:
        assert "salary bands" in (await caller.get("search?q=salary")).text


FORMULAS = ('=HYPERLINK("https://evil.example")', "+1+1", "-1", "@SUM(A1)", "\t=1", " =1", "＝1")


@pytest.mark.parametrize("text", FORMULAS)
async def test_a_cell_is_never_a_formula(text: str) -> None:
    assert str(safe(text)).startswith("'")


async def test_exports_are_whole_redacted_and_noted(own: Agency) -> None:
    for formula in FORMULAS:
        await own.answered(f"{formula} card 4111 1111 1111 1111 ann@example.com", down=formula)
    corrected = await own.answered("how long is it", down="no")
    trainer = await own.login(Role.TRAINER)
    await own.office.review.judge(
        [corrected], Judgement("wrong", Fault.WORDING, "=ten years"), trainer.member
    )
    async with Caller(own.url, trainer) as caller:
        table = (await caller.get("export?form=csv")).text
        rows = list(csv.DictReader(io.StringIO(table.removeprefix("\ufeff"))))
        assert len(rows) == len(FORMULAS) + 1
        for row in rows:
            assert not any(cell.lstrip().startswith(("=", "+", "@", "-")) for cell in row.values())
            assert "4111" not in row["question"]
            assert "ann@example.com" not in row["question"]
        sft = (await caller.get("export?form=sft")).text.splitlines()
        (pair,) = [json.loads(line) for line in sft]
        assert pair["messages"][1]["content"] == "=ten years"
        (pair,) = map(json.loads, (await caller.get("export?form=preference")).text.splitlines())
        assert pair["chosen"][0]["content"] == "=ten years"
        assert (await caller.get("export?form=jsonl&raw=1")).status_code == 403
        assert (await caller.get("export?form=exe")).status_code == 422
    people = {row["person"] for row in rows}
    assert not any("web:" in person for person in people)
    noted = await own.office.views.audit(action="export")
    assert [note["detail"]["form"] for note in noted] == ["preference", "sft", "csv"]
    reads = await own.office.views.audit(action="read")
    assert reads == []


async def test_reading_a_case_is_noted(shared: Agency) -> None:
    answer = await shared.answered("who read this", down="")
    async with await shared.member(Role.VIEWER) as caller:
        assert (await caller.get(f"queue/{answer}")).status_code == 200
    notes = await shared.store.audits(answer)
    assert ("viewer-internal", "read") in {(note.actor, note.action) for note in notes}


async def test_a_big_body_is_refused_before_it_is_read(shared: Agency) -> None:
    async with Caller(shared.url) as nobody:
        response = await nobody.post("knowledge/upload", content=b"x" * 9_000_000)
        assert response.status_code in {303, 401}
    async with await shared.member(Role.TRAINER) as caller:
        big = {"file": ("big.txt", b"x" * 9_000_000)}
        form = {"csrf": caller.csrf}
        response = await caller.post("knowledge/upload", data=form, files=big)
        assert response.status_code == 413


async def test_a_file_is_shown_before_it_is_indexed_and_found_after(own: Agency) -> None:
    async with await own.member(Role.TRAINER) as caller:
        file = {"file": ("../../etc/<b>gift</b>.md", b"# Gifts\n\nA gift card lasts three years.")}
        shown = await caller.post("knowledge/upload", data={"csrf": caller.csrf}, files=file)
        assert "A gift card lasts three years." in shown.text
        assert "<b>gift</b>" not in shown.text
        key = re.search(r"knowledge/upload/([\w-]{10,})", shown.text)
        assert key
        assert all("gift card" not in one.text for one in own.office.faq.passages())
        await caller.send_form(f"knowledge/upload/{key[1]}")
        assert any("gift card" in one.text for one in own.office.faq.passages())
        assert (await caller.send_form(f"knowledge/upload/{key[1]}")).status_code == 404


async def test_an_entry_is_added_changed_and_taken_back(own: Agency) -> None:
    faq = own.office.faq
    gap = await own.answered("do you sell gift cards", Reply("no idea", Outcome.ABSTAINED))
    async with await own.member(Role.TRAINER) as caller:
        written = {"question": "Do you sell gift cards?", "answer": "Yes.", "answer_id": gap}
        await caller.send_form("knowledge/entries", **written)
        (entry,) = await faq.entries()
        assert any(one.question == "Do you sell gift cards?" for one in faq.passages())
        assert (await own.office.cases.case(gap, list(Audience)))["fault"] == "gap"
        old = PASSAGES[1]
        changed = {"question": old.question, "answer": "Twenty years.", "replaces": old.id}
        await caller.send_form("knowledge/entries", **changed)
        texts = {one.text for one in faq.passages()}
        assert "Twenty years." in texts
        assert old.text not in texts
        await caller.send_form(f"knowledge/entries/{entry.id}/drop")
        assert "Yes." not in {one.text for one in faq.passages()}


async def test_pages_load_nothing_from_elsewhere_and_are_never_stored(shared: Agency) -> None:
    async with await shared.member(Role.ADMIN) as caller:
        for path in ("queue", "search", "dashboard", "knowledge", "people", "audit", "live"):
            response = await caller.get(path)
            assert response.status_code == 200, path
            assert response.headers["cache-control"] == "no-store"
            assert "default-src 'none'" in response.headers["content-security-policy"]
            assert "style=" not in response.text
            assert not re.search(r'(src|href)="(https?:)?//', response.text)


async def test_asking_again_and_looking_who_else_is_shown_side_by_side(shared: Agency) -> None:
    cited = Citation(1, PASSAGES[1].id, PASSAGES[1].title, "faq.csv", quote="Ten years.")
    first = await shared.answered(
        "how long is the warranty", Reply("Ten [1].", Outcome.ANSWERED, (cited,)), down="old"
    )
    await shared.answered("how long is the warranty")
    async with await shared.member(Role.REVIEWER) as caller:
        now = (await caller.send_form(f"queue/{first}/ask")).text
        assert "Then" in now
        assert "ten years" in now
        others = (await caller.send_form(f"queue/{first}/replay", correction="Ten years")).text
        assert "1 of" in others


async def test_a_person_can_be_exported_and_deleted(own: Agency) -> None:
    answer = await own.answered("canary-7f3a where is my bike", down="canary-7f3a late")
    person = (await own.office.cases.case(answer, list(Audience)))["person"]
    admin = await own.login(Role.ADMIN)
    words = Judgement("wrong", Fault.GAP, "It is on its way.", note="canary-7f3a noted")
    await own.office.review.correct([answer], words, admin.member)
    async with Caller(own.url, admin) as caller:
        told = (await caller.send_form("person/export", person=person)).json()
        assert [one["text"] for one in told["messages"]] == ["canary-7f3a where is my bike"]
        refused = await caller.send_form("person/delete", person=person, sure="no")
        assert refused.status_code == 409
        done = await caller.send_form("person/delete", person=person, sure=person)
        assert "Deleted 1 messages, 1 answers" in done.text
        assert (await caller.get(f"queue/{answer}")).status_code == 404
        assert "canary-7f3a" not in (await caller.get("search?q=canary-7f3a")).text.replace(
            'value="canary-7f3a"', ""
        ).replace("q=canary-7f3a", "")
    assert await own.office.eraser.stale([answer]) == [answer]
    file = own.store.database.url.database
    assert file
    await own.store.database.read(lambda session: session.connection().exec_driver_sql("SELECT 1"))
    held = await own.store.database.read(
        lambda session: "\n".join(_dump(session.connection().connection.driver_connection))
    )
    assert "canary-7f3a" not in held


def _dump(connection: object) -> list[str]:
    return list(connection.iterdump())  # type: ignore[attr-defined] # sqlite3's connection


async def test_htmx_gets_pieces_and_problems_in_a_header(shared: Agency) -> None:
    async with await shared.member(Role.REVIEWER) as caller:
        piece = await caller.get("queue", headers={"hx-request": "true"})
        assert "<html" not in piece.text
        assert 'id="work"' in piece.text
        answer = await shared.answered("what is wrong here", down="")
        response = await caller.post(
            f"queue/{answer}/verdict",
            data={"action": "publish", "verdict": "gap"},
            headers={"hx-request": "true", "x-csrf": caller.csrf},
        )
        assert response.status_code == 409
        assert "no%20correction" in response.headers["x-problem"]
    async with httpx.AsyncClient(trust_env=False) as stranger:
        nobody = await stranger.get(f"{shared.url}console/queue", headers={"hx-request": "true"})
    assert nobody.status_code == 401

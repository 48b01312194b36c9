"""The command line as a person uses it: real processes, real index, real server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

KNOWLEDGE = {
    "faq.csv": "question,answer\n"
    "How long is the warranty?,The warranty lasts three years from the day of delivery.\n"
    "Where is my invoice?,Your invoice is in the app under Orders.\n",
    "opening.md": "# Opening hours\n\nThe shop opens at 9:30 and closes at 18:00, Monday to "
    "Saturday.\n",
    "internal/refunds.md": "# Refund limits\n\nAgents may refund up to 250 euros without asking.\n",
    "broken.pdf": "this is no PDF",
}


@dataclass(frozen=True)
class Desk:
    """An installation in a folder of its own."""

    folder: Path

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
        return {**kept, "DESKHAND_HOME": str(self.folder / "var"), "DESKHAND_SERVER__PORT": "0"}

    def run(self, *words: str, said: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bot", *words],
            cwd=self.folder,
            env={**self.environment(), **more},
            input=said,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def ok(self, *words: str, said: str = "") -> str:
        done = self.run(*words, said=said)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """An installation whose index holds the small knowledge above."""
    folder = tmp_path_factory.mktemp("desk")
    for name, text in KNOWLEDGE.items():
        file = folder / "docs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    made = Desk(folder)
    done = made.run("index", "build", "docs")
    assert done.returncode == 0, done.stderr
    assert "broken.pdf" in done.stderr, "the bad file is named"
    assert "4 passages" in done.stdout
    return made


def test_building_again_embeds_only_what_changed(desk: Desk) -> None:
    (desk.folder / "docs" / "opening.md").write_text(
        "# Opening hours\n\nThe shop opens at 10:00 and closes at 18:00.\n", encoding="utf-8"
    )
    built = json.loads(desk.ok("index", "build", "docs", "--json"))
    assert (built["embedded"], built["reused"]) == (1, 3)
    assert [problem["source"] for problem in built["problems"]] == ["broken.pdf"]


def test_a_question_is_answered_with_its_source(desk: Desk) -> None:
    reply = json.loads(desk.ok("ask", "how many years of warranty do i get", "--json"))
    assert reply["outcome"] == "answered"
    assert "three years" in reply["text"]
    assert reply["citations"][0]["source"] == "faq.csv"


def test_a_customer_never_gets_what_is_for_staff_and_staff_do(desk: Desk) -> None:
    question = "how much may an agent refund without asking"
    assert "250" not in desk.ok("ask", question)
    assert "250" in desk.ok("ask", question, "--audience", "internal")
    found = json.loads(desk.ok("search", question, "--json"))
    assert all(hit["passage"]["audience"] == "customer" for hit in found["hits"])


def test_what_the_knowledge_does_not_say_is_refused(desk: Desk) -> None:
    reply = json.loads(desk.ok("ask", "who won the world cup in 1998", "--json"))
    assert reply["outcome"] == "abstained"


def test_a_chat_in_the_terminal_follows_up_and_takes_a_vote(desk: Desk) -> None:
    said = "how long is the warranty?\n/good\nwhere is my invoice\n/quit\n"
    shown = desk.ok("chat", said=said)
    assert "three years" in shown
    assert "faq.csv" in shown
    assert "Thank you" in shown
    assert "under Orders" in shown


def test_status_and_doctor_tell_what_is_there(desk: Desk) -> None:
    status = json.loads(desk.ok("index", "status", "--json"))
    assert status["passages"] == 4
    assert status["for customers"] == 3
    findings = {one["subject"]: one for one in json.loads(desk.ok("doctor", "--json"))}
    assert findings["Index"]["state"] == "ok"
    assert findings["Engine"]["state"] == "note", "no model: quotes"
    assert findings["Engine"]["next_step"]


def test_mistakes_get_two_lines_and_no_traceback(desk: Desk, tmp_path: Path) -> None:
    unknown = desk.run("config", DESKHAND_SEVER__PORT="1")
    assert unknown.returncode == 2
    assert "DESKHAND_SEVER__PORT" in unknown.stderr
    empty = Desk(tmp_path)
    no_index = empty.run("ask", "anything")
    assert no_index.returncode == 2
    assert "deskhand index build" in no_index.stderr
    nothing = empty.run("index", "build", "missing")
    assert nothing.returncode == 2
    assert "missing" in nothing.stderr
    for done in (unknown, no_index, nothing):
        assert "Traceback" not in done.stderr


def test_secrets_are_not_shown(desk: Desk) -> None:
    shown = desk.run("config", DESKHAND_ENGINE__KEY="hunter2", DESKHAND_SERVER__SECRET="hunter3")
    assert "hunter" not in shown.stdout + shown.stderr
    assert "(set, hidden)" in shown.stdout


@pytest.fixture
def server(desk: Desk) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "serve"],
        cwd=desk.folder,
        env=desk.environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    address = ""
    for line in process.stderr:
        if found := re.search(r"Deskhand is at (http://\S+)/", line):
            address = found[1]
            break
    assert address, "the server said where it is"
    yield process, address
    process.kill()
    process.wait()
    process.stderr.close()


def test_the_server_answers_and_a_new_index_is_taken_up_while_it_runs(
    desk: Desk, server: tuple[subprocess.Popen[str], str]
) -> None:
    process, address = server
    before = httpx.get(f"{address}/ready", trust_env=False).json()
    assert before["status"] == "ready"

    (desk.folder / "docs" / "parking.md").write_text(
        "# Parking\n\nCustomers park behind the shop for free.\n", encoding="utf-8"
    )
    desk.ok("index", "build", "docs")
    deadline = time.monotonic() + 60
    while httpx.get(f"{address}/ready", trust_env=False).json()["index"] == before["index"]:
        assert time.monotonic() < deadline, "the new index was not taken up"
        time.sleep(0.2)

    second = desk.run("serve")
    assert second.returncode == 2, "one server holds a database"
    assert str(process.pid) in second.stderr

    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0

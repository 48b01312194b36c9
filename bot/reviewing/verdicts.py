"""What reviewers do: hold a case, judge it, correct it, take it back.

Knows verdicts, faults and the states of a case. Does not know why a case is in the queue
(`bot/reviewing/filing.py`) or how it is found (`bot/reviewing/cases.py`).

A verdict is never changed. Another one by the same reviewer takes its place; another reviewer's
different one brings the case back as a disagreement; undoing marks it, and puts the case back
where it was.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlmodel import SQLModel

from bot.database import Database
from bot.errors import NotAllowed, NotFound
from bot.reviewing.accounts import Member
from bot.reviewing.curated import CuratedAnswer, CuratedAnswers
from bot.reviewing.filing import weigh
from bot.reviewing.redact import redact
from bot.tables import CaseState
from bot.types import Citation

HOLD = timedelta(minutes=3)
"""How long a case stays somebody's who does nothing with it."""
LONGEST = 8000  # characters of a correction or note

_case = SQLModel.metadata.tables["review_case"]
_verdict = SQLModel.metadata.tables["verdict"]
_message = SQLModel.metadata.tables["message"]
_answer = SQLModel.metadata.tables["answer"]
_audit = SQLModel.metadata.tables["audit"]


class Fault(StrEnum):
    """What was wrong with an answer, and so who can mend it."""

    RETRIEVAL = "retrieval"  # the right text is there and was not found: the search
    GAP = "gap"  # the text is not there: the documents
    WORDING = "wording"  # found, but badly said: the composer or the model
    SHOULD_ABSTAIN = "should_abstain"  # it should have said that it does not know
    SHOULD_ANSWER = "should_answer"  # it said so though it could have known
    UNFAIR = "unfair"  # the vote was unfair: nothing to mend


@dataclass(frozen=True, slots=True)
class Judgement:
    """A reviewer's decision about an answer."""

    verdict: str  # "right", "wrong" or "discard"
    fault: Fault | None = None
    correction: str = ""  # Markdown, with [n] where it cites
    citations: tuple[Citation, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one key press decided."""

    id: str
    answers: tuple[str, ...]
    curated: CuratedAnswer | None = None


def check(judgement: Judgement, *, publish: bool = False) -> None:
    """Raises `NotAllowed` for a judgement that says nothing, or too much."""
    if judgement.verdict not in {"right", "wrong", "discard"}:
        raise NotAllowed("A verdict is right, wrong or discard.")
    if judgement.verdict == "wrong" and judgement.fault is None:
        raise NotAllowed("Say what was wrong.", "Choose one of the faults.")
    if max(len(judgement.correction), len(judgement.note)) > LONGEST:
        raise NotAllowed(f"A correction has at most {LONGEST} characters.", "Shorten it.")
    if publish and not judgement.correction.strip():
        raise NotAllowed(
            "There is no correction to publish.", "Write the answer people should get."
        )


class Review:
    """The reviewers' verbs over one database."""

    def __init__(self, database: Database, curated: CuratedAnswers) -> None:
        self._database = database
        self._curated = curated

    async def hold(self, answer_id: str, by: Member) -> str:
        """Take a case to look at; returns who else has it in hand, or "".

        Soft: nobody is kept from judging it.
        """

        def write(connection: Connection) -> str:
            row = _locked(connection, answer_id, by)
            now = datetime.now(UTC)
            if row.holder not in {"", by.name} and row.held_until and row.held_until > now:
                return str(row.holder)
            values = {"holder": by.name, "held_until": now + HOLD}
            connection.execute(sa.update(_case).where(_case.c.id == row.id).values(**values))
            return ""

        return await self._database.write(write)

    async def judge(
        self, answers: Sequence[str], judgement: Judgement, by: Member, *, draft: bool = False
    ) -> Batch:
        """Decide one or several cases in one step. Raises `NotAllowed` and `NotFound`."""
        if not draft:
            check(judgement)
        batch = uuid.uuid4().hex
        wanted = list(dict.fromkeys(answers))

        def write(connection: Connection) -> None:
            for answer_id in wanted:
                _judge(connection, answer_id, judgement, by, batch, draft=draft)

        await self._database.write(write)
        return Batch(batch, tuple(wanted))

    async def correct(self, answers: Sequence[str], judgement: Judgement, by: Member) -> Batch:
        """Judge, and give the correction from now on to whoever asks the same.

        The wordings are the questions of all `answers`; they have to be of one audience, which
        is the correction's.
        """
        check(judgement, publish=True)
        asked = await self._database.read(lambda session: _asked(session.connection(), answers, by))
        batch = await self.judge(answers, judgement, by)
        made = await self._curated.publish(
            text=judgement.correction.strip(),
            wordings=[(redact(asked_text(row.rewritten, row.text)), row.person) for row in asked],
            citations=judgement.citations,
            audience=asked[0].audience,
            lang=asked[0].lang,
            by=by.name,
            answer_id=batch.answers[0],
        )
        of_batch = sa.update(_verdict).where(_verdict.c.batch == batch.id)
        changed = of_batch.values(curated_id=made.id)
        await self._database.write(lambda connection: connection.execute(changed).rowcount)
        return Batch(batch.id, batch.answers, made)

    async def undo(self, by: Member, batch: str = "") -> Batch:
        """Take back what one key press decided: the given batch, or the reviewer's last one.

        A curated answer that came of it is withdrawn. Raises `NotFound` if there is nothing.
        """
        taken = await self._database.write(lambda connection: _undo(connection, by, batch))
        for curated_id in taken.curated:
            await self._curated.withdraw(curated_id, by.name)
        return Batch(taken.batch, taken.answers)


@dataclass(frozen=True, slots=True)
class _Undone:
    batch: str
    answers: tuple[str, ...]
    curated: tuple[int, ...]


_BEFORE = ("state", "verdict", "fault", "reviewer", "reasons", "weight")


def _locked(connection: Connection, answer_id: str, by: Member) -> Any:  # noqa: ANN401 - a row
    """A case this member may see; the writer's transaction is the lock."""
    query = sa.select(_case).where(
        _case.c.answer_id == answer_id, _case.c.audience.in_(by.audiences)
    )
    row = connection.execute(query).first()
    if row is None:
        raise NotFound("There is no such case.")
    return row


def _judge(
    connection: Connection,
    answer_id: str,
    judgement: Judgement,
    by: Member,
    batch: str,
    *,
    draft: bool,
) -> None:
    row = _locked(connection, answer_id, by)
    mine = sa.and_(
        _verdict.c.answer_id == answer_id, _verdict.c.reviewer == by.name, ~_verdict.c.undone
    )
    others = connection.execute(
        sa.select(_verdict.c.verdict)
        .where(_verdict.c.answer_id == answer_id, _verdict.c.reviewer != by.name)
        .where(~_verdict.c.undone, ~_verdict.c.draft, _verdict.c.verdict != "discard")
    ).all()
    connection.execute(sa.delete(_verdict).where(mine, _verdict.c.draft))
    connection.execute(sa.update(_verdict).where(mine).values(undone=True))
    fault = judgement.fault.value if judgement.fault else ""
    before = {name: getattr(row, name) for name in _BEFORE}
    verdict = {
        "answer_id": answer_id,
        "reviewer": by.name,
        "verdict": judgement.verdict,
        "fault": fault,
        "correction": redact(judgement.correction),
        "citations": [asdict(one) for one in judgement.citations],
        "note": redact(judgement.note),
        "draft": draft,
        "undone": False,
        "batch": batch,
        "before": before,
        "curated_id": None,
        "at": datetime.now(UTC),
    }
    connection.execute(sa.insert(_verdict), verdict)
    disagree = (
        not draft
        and judgement.verdict != "discard"
        and any(one.verdict != judgement.verdict for one in others)
        and "disagree" not in row.reasons  # the third verdict settles it
    )
    values: dict[str, Any] = {"holder": "", "held_until": None, "reviewer": by.name}
    if draft:
        values["state"] = CaseState.DRAFT
    elif judgement.verdict == "discard":
        values["state"] = CaseState.DISCARDED
    else:
        values |= {"verdict": judgement.verdict, "fault": fault}
        values["state"] = CaseState.OPEN if disagree else CaseState.DONE
    if disagree:
        values["reasons"] = ["disagree", *row.reasons]
    connection.execute(sa.update(_case).where(_case.c.id == row.id).values(**values))
    if disagree:
        weigh(connection, answer_id)
    action = "draft" if draft else "verdict"
    _note(connection, by.name, action, answer_id, {"verdict": judgement.verdict, "fault": fault})


def _undo(connection: Connection, by: Member, batch: str) -> _Undone:
    mine = sa.and_(_verdict.c.reviewer == by.name, ~_verdict.c.undone)
    if not batch:
        newest = sa.select(_verdict.c.batch).where(mine).order_by(_verdict.c.id.desc()).limit(1)
        batch = connection.scalar(newest) or ""
    rows = connection.execute(sa.select(_verdict).where(mine, _verdict.c.batch == batch)).all()
    if not rows:
        raise NotFound("There is nothing to take back.")
    for row in rows:
        connection.execute(
            sa.update(_case)
            .where(_case.c.answer_id == row.answer_id)
            .values(**row.before, holder="", held_until=None)
        )
        weigh(connection, row.answer_id)
        _note(connection, by.name, "undo", row.answer_id, {"verdict": row.verdict})
    connection.execute(
        sa.update(_verdict).where(mine, _verdict.c.batch == batch).values(undone=True)
    )
    curated = {row.curated_id for row in rows if row.curated_id is not None}
    return _Undone(batch, tuple(row.answer_id for row in rows), tuple(curated))


def asked_text(rewritten: str, text: str) -> str:
    """A message as a question of its own: rewritten, if it was one question that leaned."""
    return text if not rewritten or " | " in rewritten else rewritten


def _asked(connection: Connection, answers: Sequence[str], by: Member) -> Sequence[Any]:
    rows = connection.execute(
        sa.select(
            _answer.c.rewritten, _answer.c.lang, _message.c.text, _case.c.audience, _case.c.person
        )
        .join(_message, _message.c.id == _answer.c.message_id)
        .join(_case, _case.c.id == _message.c.id)
        .where(_answer.c.id.in_(answers), _case.c.audience.in_(by.audiences))
        .order_by(_case.c.id)
    ).all()
    if not rows:
        raise NotFound("There is no such case.")
    if len({row.audience for row in rows}) > 1:
        raise NotAllowed(
            "These questions are of different audiences.", "Correct each audience's on its own."
        )
    return rows


def _note(
    connection: Connection, actor: str, action: str, target: str, detail: dict[str, Any]
) -> None:
    note = {"actor": actor, "action": action, "target": target, "detail": detail}
    connection.execute(sa.insert(_audit), {**note, "at": datetime.now(UTC)})

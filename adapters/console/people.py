"""Administrators' pages: accounts, people's own data, and the audit."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from adapters.console.access import AnAdmin, TheOffice
from adapters.console.pages import go, page
from bot.errors import NotAllowed
from bot.tables import Role
from knowledge.types import Audience

router = APIRouter()


class AccountForm(BaseModel):
    """A new account."""

    name: str = Field("", max_length=80)
    password: str = Field("", max_length=200)
    role: Role = Role.VIEWER
    audience: Audience = Audience.CUSTOMER


class ChangeForm(BaseModel):
    """A change to an account; an empty password leaves it."""

    role: Role
    audience: Audience
    active: str = Field("no", max_length=8)
    password: str = Field("", max_length=200)


class PersonForm(BaseModel):
    """Somebody who talked with the bot, as "channel:id"."""

    person: str = Field("", max_length=300)
    sure: str = Field("", max_length=300)


@router.get("/people")
async def people(request: Request, desk: TheOffice, member: AnAdmin, said: str = "") -> Response:
    """Accounts, and a person's own data."""
    rows = await desk.accounts.everybody()
    return page(
        request, "people.html", member, here="people", rows=rows, roles=list(Role), said=said[:200]
    )


@router.post("/people")
async def add_account(
    request: Request, desk: TheOffice, member: AnAdmin, form: Annotated[AccountForm, Form()]
) -> Response:
    """Create an account."""
    await desk.accounts.add(form.name, form.password, form.role, form.audience, member.name)
    return go(request, "/console/people")


@router.post("/people/{account_id}")
async def change_account(
    request: Request,
    account_id: int,
    desk: TheOffice,
    member: AnAdmin,
    form: Annotated[ChangeForm, Form()],
) -> Response:
    """Change an account; it has to log in again."""
    await desk.accounts.change(
        account_id,
        member.name,
        role=form.role,
        audience=form.audience,
        active=form.active == "yes",
        password=form.password or None,
    )
    return go(request, "/console/people")


@router.post("/person/export")
async def export_person(
    request: Request, desk: TheOffice, member: AnAdmin, form: Annotated[PersonForm, Form()]
) -> Response:
    """Everything kept about a person, as a file."""
    channel, actor_id = _split(form.person)
    found = await desk.eraser.export(channel, actor_id)
    await desk.store.audit(member.name, "export-user", form.person)
    return Response(
        json.dumps(found, ensure_ascii=False, indent=2),
        media_type="application/json",
        headers={
            "content-disposition": 'attachment; filename="person.json"',
            "cache-control": "no-store",
        },
    )


@router.post("/person/delete")
async def delete_person(
    request: Request, desk: TheOffice, member: AnAdmin, form: Annotated[PersonForm, Form()]
) -> Response:
    """Delete everything kept about a person; their name has to be written twice."""
    channel, actor_id = _split(form.person)
    if form.sure.strip() != form.person.strip():
        raise NotAllowed("Write the person's name a second time to delete.", "It cannot be undone.")
    erased = await desk.eraser.delete(channel, actor_id, member.name)
    await desk.curated.load()
    said = f"Deleted {erased.messages} messages, {erased.answers} answers, {erased.votes} votes."
    return await people(request, desk, member, said)


@router.get("/audit")
async def audit(
    request: Request,
    desk: TheOffice,
    member: AnAdmin,
    actor: str = "",
    action: str = "",
    before: int = 0,
) -> Response:
    """Who did what, newest first."""
    rows = await desk.views.audit(actor=actor, action=action, before=before)
    return page(request, "audit.html", member, here="audit", rows=rows, actor=actor, action=action)


def _split(person: str) -> tuple[str, str]:
    channel, _, actor_id = person.strip().partition(":")
    if not channel or not actor_id:
        raise NotAllowed("Name a person as channel:id.", "A case shows it under How it was made.")
    return channel, actor_id

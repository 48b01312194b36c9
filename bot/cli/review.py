"""The console's commands, and its wiring: the parts behind its pages, and who keeps them going."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import structlog
import typer

from bot.cli import wiring
from bot.cli.console import err, print_json, print_line, settings
from bot.config import Settings
from bot.errors import ConfigError, StoreError
from bot.tables.review import Role
from knowledge.types import Audience

if TYPE_CHECKING:
    from fastapi import FastAPI

    from adapters.console.desk import Office
    from bot.dispatching.dispatch import Dispatcher
    from bot.handover import Desk
    from bot.store import Store

RETENTION_S = 3600.0  # between two looks for conversations past their time
T = TypeVar("T")

log = structlog.get_logger(__name__)

commands = typer.Typer(help="The review console: accounts, and people's own data.")
users = typer.Typer(help="Accounts of the console.")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    commands.add_typer(users, name="user")
    app.add_typer(commands, name="console")


@asynccontextmanager
async def reviewing(
    current: Settings, store: Store, made: wiring.Answering, bot: Dispatcher
) -> AsyncIterator[Office]:
    """Everything behind the console, filing and retention included."""
    from adapters.console.desk import LOGINS_PER_ACCOUNT, LOGINS_PER_ADDRESS, Office
    from adapters.web.limits import RateLimit
    from bot.reviewing.accounts import Accounts
    from bot.reviewing.cases import Cases
    from bot.reviewing.erase import Eraser
    from bot.reviewing.faq import FaqDesk
    from bot.reviewing.figures import Figures
    from bot.reviewing.filing import Filing
    from bot.reviewing.verdicts import Review
    from bot.reviewing.views import Views

    if made.curated is None:
        raise ConfigError("The console needs answers that look at what was curated.")
    database = store.database
    filing = Filing(database, made.embedder)
    desk = Office(
        title=current.server.title,
        public_url=current.server.public_url,
        secure=current.server.public_url.startswith("https://"),
        store=store,
        accounts=Accounts(database),
        filing=filing,
        cases=Cases(database),
        figures=Figures(database),
        views=Views(database),
        review=Review(database, made.curated),
        curated=made.curated,
        eraser=Eraser(database),
        handovers=bot.handovers,
        answerer=made.answerer,
        faq=FaqDesk(database, wiring.index_folder(current), made.retriever, made.embedder),
        logins=RateLimit(LOGINS_PER_ACCOUNT),
        logins_by_address=RateLimit(LOGINS_PER_ADDRESS),
    )
    await filing.warm()
    tasks = [asyncio.create_task(_keep_filing(filing), name="filing")]
    if current.privacy.retention_days:
        keeping = _keep_retention(desk.eraser, current.privacy.retention_days)
        tasks.append(asyncio.create_task(keeping, name="retention"))
    try:
        yield desk
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def desks(current: Settings) -> Sequence[Desk]:
    """The console as a place where staff sit, if somebody there watches."""
    if not current.console.live:
        return ()
    from adapters.console.live import ConsoleDesk

    return (ConsoleDesk(),)


def mount(app: FastAPI, desk: Office) -> None:
    """Put the console beside the chat page."""
    from adapters.console.app import create_console

    app.mount("/console", create_console(desk))


async def tell(desk: Office, address: str) -> None:
    """Print where the console is; while it has no administrator, with the one-time token."""
    token = await desk.accounts.bootstrap()
    if token is None:
        err.print(f"The review console is at {address}console/", markup=False, soft_wrap=True)
        return
    err.print("The review console has no administrator yet. Make one, with this one-time link:")
    err.print(f"{address}console/welcome?token={token}", markup=False, soft_wrap=True)


async def _keep_filing(filing: Any) -> None:  # noqa: ANN401 - imported late
    while True:
        try:
            await filing.run()
        except StoreError as problem:  # the next round files what this one could not
            log.warning("cases are not filed", problem=problem.message)
            await asyncio.sleep(5.0)


async def _keep_retention(eraser: Any, days: int) -> None:  # noqa: ANN401 - imported late
    from bot.reviewing.erase import retention_moment

    while True:
        try:
            await eraser.forget_before(retention_moment(days))
        except StoreError as problem:
            log.warning("old conversations are not deleted", problem=problem.message)
        await asyncio.sleep(RETENTION_S)


def _with_store(work: Any) -> Any:  # noqa: ANN401 - whatever the work returns
    """Run a coroutine function on the database, beside a running server."""
    from bot.store import Store

    current = settings()

    async def run() -> Any:  # noqa: ANN401 - the same
        store = await asyncio.to_thread(Store.open, current.database_url)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


Name = Annotated[str, typer.Argument(help="Account name, such as an e-mail address.")]
TheRole = Annotated[Role, typer.Option("--role", help="What the account may do.")]
Whose = Annotated[
    Audience, typer.Option("--audience", help="Whose conversations it may see; internal: all.")
]


@users.command("add")
def add_user(
    name: Name, role: TheRole = Role.REVIEWER, audience: Whose = Audience.INTERNAL
) -> None:
    """Add an account; the password is asked for, never given on the command line.

    Example: `deskhand console user add ann@example.com --role reviewer`
    """
    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)

    async def work(store: Store) -> None:
        from bot.reviewing.accounts import Accounts

        await Accounts(store.database).add(name, password, role, audience, "command line")

    _with_store(work)
    print_line(f"{name} may enter as {role.value}.")


@users.command("list")
def list_users() -> None:
    """List the accounts.

    Example: `deskhand console user list`
    """

    async def work(store: Store) -> list[Any]:
        from bot.reviewing.accounts import Accounts

        return await Accounts(store.database).everybody()

    for row in _with_store(work):
        state = "" if row.active else "  (closed)"
        print_line(f"{row.name}  {row.role.value}  {row.audience.value}{state}")


@users.command("password")
def set_password(name: Name) -> None:
    """Give an account a new password and end its logins.

    Example: `deskhand console user password ann@example.com`
    """
    password = typer.prompt("New password", hide_input=True, confirmation_prompt=True)

    async def work(store: Store) -> None:
        from bot.reviewing.accounts import Accounts

        accounts = Accounts(store.database)
        found = [one for one in await accounts.everybody() if one.name == name.strip().lower()]
        if not found or found[0].id is None:
            raise ConfigError(f"There is no account {name}.", "`deskhand console user list`")
        await accounts.change(found[0].id, "command line", password=password)

    _with_store(work)
    print_line("Done; it has to log in again everywhere.")


Channel = Annotated[str, typer.Argument(help="The person's channel: web, slack, telegram.")]
Person = Annotated[str, typer.Argument(help="Their id in that channel.")]


@commands.command("export-user")
def export_user(channel: Channel, person: Person) -> None:
    """Print everything kept about a person, as JSON.

    Example: `deskhand console export-user telegram 4711`
    """

    async def work(store: Store) -> Any:  # noqa: ANN401 - JSON
        from bot.reviewing.erase import Eraser

        return await Eraser(store.database).export(channel, person)

    print_json(_with_store(work))


@commands.command("delete-user")
def delete_user(
    channel: Channel,
    person: Person,
    yes: Annotated[  # noqa: FBT002 - typer makes a flag of it
        bool, typer.Option("--yes", help="Do not ask.")
    ] = False,
) -> None:
    """Delete everything kept about a person: messages, answers, votes and what came of them.

    Example: `deskhand console delete-user telegram 4711`
    """
    if not yes:
        typer.confirm(f"Delete everything {channel}:{person} left?", abort=True)

    async def work(store: Store) -> Any:  # noqa: ANN401 - what was erased
        from bot.reviewing.erase import Eraser

        return await Eraser(store.database).delete(channel, person, "command line")

    erased = _with_store(work)
    print_line(
        f"Deleted {erased.messages} messages, {erased.answers} answers, {erased.votes} votes."
    )

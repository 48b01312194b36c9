"""Accounts, roles and logins, on both databases."""

from __future__ import annotations

import pytest

from bot.errors import NotAllowed
from bot.reviewing.accounts import Accounts
from bot.store import Store
from bot.tables import Role
from knowledge.types import Audience

WORD = "long enough for us"


async def test_a_login_is_somebody_until_it_ends(store: Store) -> None:
    accounts = Accounts(store.database)
    await accounts.add("Ann@Example.com", WORD, Role.REVIEWER, Audience.CUSTOMER, "test")
    for name, word in (("ann@example.com", "wrong"), ("ben", WORD), ("ann@example.com", "")):
        assert await accounts.enter(name, word, "::1", "test") is None
    login = await accounts.enter(" ANN@example.com ", WORD, "::1", "test")
    assert login is not None
    member = await accounts.member(login.token)
    assert member is not None
    assert (member.name, member.role, member.csrf) == (
        "ann@example.com",
        Role.REVIEWER,
        login.member.csrf,
    )
    assert [role for role in Role if member.may(role)] == [Role.VIEWER, Role.REVIEWER]
    assert member.audiences == (Audience.CUSTOMER,)
    assert await accounts.member(login.member.visit_id) is None
    assert await accounts.member("") is None
    await accounts.leave(member)
    assert await accounts.member(login.token) is None


async def test_a_changed_password_ends_every_login(store: Store) -> None:
    accounts = Accounts(store.database)
    admin = await accounts.add("root", WORD, Role.ADMIN, Audience.INTERNAL, "test")
    logins = [await accounts.enter("root", WORD, "::1", "test") for _ in range(2)]
    await accounts.change(admin.account_id, "test", password="another long word")
    for login in logins:
        assert login is not None
        assert await accounts.member(login.token) is None
    assert await accounts.enter("root", WORD, "::1", "test") is None
    assert await accounts.enter("root", "another long word", "::1", "test") is not None


async def test_the_last_administrator_stays_one(store: Store) -> None:
    accounts = Accounts(store.database)
    admin = await accounts.add("root", WORD, Role.ADMIN, Audience.INTERNAL, "test")
    for change in ({"role": Role.VIEWER}, {"active": False}):
        with pytest.raises(NotAllowed, match="last administrator"):
            await accounts.change(admin.account_id, "test", **change)  # type: ignore[arg-type] # either change
    await accounts.add("second", WORD, Role.ADMIN, Audience.INTERNAL, "test")
    await accounts.change(admin.account_id, "test", role=Role.VIEWER)


@pytest.mark.parametrize("name", ["", "a", "A B", "<script>", "x" * 81])
async def test_names_and_passwords_have_to_do(store: Store, name: str) -> None:
    accounts = Accounts(store.database)
    with pytest.raises(NotAllowed):
        await accounts.add(name, WORD, Role.VIEWER, Audience.CUSTOMER, "test")
    with pytest.raises(NotAllowed):
        await accounts.add("fine", "short", Role.VIEWER, Audience.CUSTOMER, "test")
    await accounts.add("fine", WORD, Role.VIEWER, Audience.CUSTOMER, "test")
    with pytest.raises(NotAllowed, match="already"):
        await accounts.add("FINE", WORD, Role.VIEWER, Audience.CUSTOMER, "test")


async def test_neither_passwords_nor_tokens_are_in_the_database(store: Store) -> None:
    accounts = Accounts(store.database)
    token = await accounts.bootstrap()
    assert token is not None
    await accounts.claim(token, "root", WORD)
    login = await accounts.enter("root", WORD, "::1", "test")
    assert login is not None

    def everything(session: object) -> str:
        connection = session.connection()  # type: ignore[attr-defined] # a session
        tables = ("account", "visit", "note", "audit")
        rows = [connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in tables]
        return str(rows)

    held = await store.database.read(everything)
    for secret in (WORD, login.token, token):
        assert secret not in held

"""The Slack app's installations, for one app in many workspaces.

Knows columns. What a token is worth, and how it is encrypted, is known to `adapters/slack`.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from bot.tables.columns import CleanText, UtcTime


class SlackInstallation(SQLModel, table=True):
    """The app in one workspace, or in a whole organisation."""

    tenant: str = Field(sa_type=CleanText, primary_key=True)  # the id every key begins with
    secret: str = Field(sa_type=CleanText)  # tokens and all that came with them, encrypted
    version: int  # grows with every change of `secret`
    expires: datetime | None = Field(default=None, sa_type=UtcTime)  # the bot token, if it does
    lease: datetime | None = Field(default=None, sa_type=UtcTime)  # somebody renews it until then
    installed: datetime = Field(sa_type=UtcTime)
    changed: datetime = Field(sa_type=UtcTime)


class SlackState(SQLModel, table=True):
    """An installation that was begun: what has to come back from Slack, once."""

    digest: str = Field(primary_key=True)  # SHA-256 of it
    expires: datetime = Field(sa_type=UtcTime)

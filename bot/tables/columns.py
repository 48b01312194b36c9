"""Column types: what any of our tables holds, on SQLite and on PostgreSQL.

Knows values, not tables. Every time is aware and in UTC on both databases. Text is stored whole;
only what no database can hold (NUL and unpaired surrogates) becomes U+FFFD, and a number that is
none becomes 0.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """The same JSON value with what a database cannot hold replaced: by U+FFFD, and by 0."""
    match value:
        case str():
            return UNSTORABLE.sub("\ufffd", value)
        case float():
            return value if math.isfinite(value) else 0.0
        case dict():
            return {storable(key): storable(item) for key, item in value.items()}
        case list() | tuple():
            return [storable(item) for item in value]
        case _:
            return value


class CleanText(sa.types.TypeDecorator[str]):
    """Text of any length, from anywhere."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what PostgreSQL and UTF-8 cannot hold."""
        return None if value is None else UNSTORABLE.sub("\ufffd", value)


class CleanJson(sa.types.TypeDecorator[Any]):
    """JSON built from anybody's strings; JSONB on PostgreSQL."""

    impl = sa.JSON().with_variant(JSONB(), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401 - any JSON value
        """Replace what JSONB cannot hold."""
        return storable(value)


class UtcTime(sa.types.TypeDecorator[datetime]):
    """An aware moment. SQLite, which knows no time zones, holds its UTC wall time."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: they mean something else on every machine."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone cannot be stored")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return UTC, whatever zone the database session speaks."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def one_of(kind: type[StrEnum]) -> sa.Enum:
    """A column that holds one of an enumeration's values, as readable text."""
    return sa.Enum(
        kind, native_enum=False, length=16, values_callable=lambda e: [item.value for item in e]
    )

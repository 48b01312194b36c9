"""Which methods and fields the Bot API has, of which types: read from aiogram's generated classes.

aiogram writes those classes from Telegram's documentation but lets unknown fields pass; here a
field that the documentation does not have is an error, at any depth. Deprecated ones too.
"""

from __future__ import annotations

import datetime
import functools
import json
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, Union

import aiogram.methods
import aiogram.types
from aiogram.client.default import Default
from aiogram.methods.base import TelegramMethod
from aiogram.types import InputFile
from pydantic import BaseModel

Check = Callable[[Any, str], Any]
"""Takes a decoded value and where it stands; returns it, or raises `Wrong`."""


class Wrong(Exception):
    """A value is not what the documentation says."""


class Upload:
    """A file that came with the request."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name = name
        self.content = content


@functools.cache
def methods() -> Mapping[str, type[BaseModel]]:
    """Every method of the Bot API that aiogram knows, by its name in lower case."""
    found = (getattr(aiogram.methods, name) for name in aiogram.methods.__all__)
    return {
        one.__api_method__.lower(): one
        for one in found
        if isinstance(one, type)
        if issubclass(one, TelegramMethod)
        if one is not TelegramMethod
    }


def arguments(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call with their types, checked. A form's values are still texts.

    Raises `KeyError` for an unknown method and `Wrong` for anything else.
    """
    made = methods()[method.lower()]
    unknown = set(given) - set(made.model_fields) - _attachments(given)
    if unknown:
        raise Wrong(f'unknown parameter "{min(unknown)}" of {method}')
    checked = {}
    for name, field in made.model_fields.items():
        if name not in given:
            if field.is_required():
                raise Wrong(f'parameter "{name}" of {method} is required')
            continue
        if (field.json_schema_extra or {}).get("deprecated"):  # type: ignore[union-attr] # aiogram sets a dict
            raise Wrong(f'parameter "{name}" of {method} is deprecated')
        value = _decoded(field.annotation, given[name], name, given)
        checked[name] = check(field.annotation)(value, name)
    return checked


def _attachments(given: Mapping[str, Any]) -> set[str]:
    """The names under which files came that are meant by `attach://name`."""
    return {name for name, value in given.items() if isinstance(value, Upload)}


def _decoded(annotation: Any, value: Any, name: str, given: Mapping[str, Any]) -> Any:
    if not isinstance(value, str):
        return value
    parts = set(_parts(annotation))
    if InputFile in parts and value.startswith("attach://"):
        return _attached(value, given)
    if int in parts and value.lstrip("-").isdigit():
        return int(value)
    if str in parts or (isinstance(annotation, type) and issubclass(annotation, str)):
        return value
    if bool in parts and value.lower() in {"true", "false", "1", "0"}:
        return value.lower() in {"true", "1"}
    try:
        return _attached(json.loads(value), given)
    except json.JSONDecodeError:
        raise Wrong(f'can\'t parse "{name}" as JSON') from None


def _attached(value: Any, given: Mapping[str, Any]) -> Any:
    """A value with its `attach://name` replaced by the files of the request."""
    if isinstance(value, dict):
        return {name: _attached(one, given) for name, one in value.items()}
    if isinstance(value, list):
        return [_attached(one, given) for one in value]
    if isinstance(value, str) and value.startswith("attach://"):
        upload = given.get(value.removeprefix("attach://"))
        if not isinstance(upload, Upload):
            raise Wrong(f'there is no file "{value}" in the request')
        return upload
    return value


def _parts(annotation: Any) -> list[Any]:
    """The members of a union, without wrappers."""
    if isinstance(annotation, str):  # a type that refers to itself
        return _parts(getattr(aiogram.types, annotation))
    if hasattr(annotation, "__value__"):
        return _parts(annotation.__value__)
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _parts(typing.get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        return [part for one in typing.get_args(annotation) for part in _parts(one)]
    return [annotation]


_MADE: dict[int, tuple[Any, Check]] = {}


def check(annotation: Any) -> Check:
    """A checker for a type, made once."""
    key = id(annotation)
    if key not in _MADE:

        def later(value: Any, at: str) -> Any:
            return _MADE[key][1](value, at)

        # Types refer to themselves: what is being made is there before it is finished.
        _MADE[key] = (annotation, later)
        _MADE[key] = (annotation, _make(annotation))
    return _MADE[key][1]


def _make(annotation: Any) -> Check:
    parts = [
        one for one in _parts(annotation) if one not in {type(None), Default, datetime.timedelta}
    ]
    if len(parts) > 1:
        return _union(parts)
    (one,) = parts
    origin = typing.get_origin(one)
    if origin is list:
        made = _list(check(typing.get_args(one)[0]))
    elif origin is Literal:
        made = _literal(typing.get_args(one))
    elif isinstance(one, type) and issubclass(one, BaseModel):
        made = _object(one)
    elif isinstance(one, type) and issubclass(one, Enum):
        made = _literal([member.value for member in one])
    else:
        made = _plain({InputFile: Upload, datetime.datetime: int}.get(one, one), one)
    return made


def _plain(kind: Any, name: Any) -> Check:
    def checked(value: Any, at: str) -> Any:
        if kind is Any:
            return value
        number = kind is float and isinstance(value, int)
        if (not isinstance(value, kind) and not number) or (
            isinstance(value, bool) and kind is not bool
        ):
            raise Wrong(f'"{at}" must be of type {getattr(name, "__name__", name)}')
        return value

    return checked


def _literal(values: Any) -> Check:
    allowed = {one.value if isinstance(one, Enum) else one for one in values}

    def checked(value: Any, at: str) -> Any:
        if value not in allowed:
            raise Wrong(f'"{at}" must be one of {sorted(map(str, allowed))}')
        return value

    return checked


def _list(item: Check) -> Check:
    def checked(value: Any, at: str) -> Any:
        if not isinstance(value, list):
            raise Wrong(f'"{at}" must be a list')
        return [item(one, f"{at}[{number}]") for number, one in enumerate(value)]

    return checked


def _object(kind: type[BaseModel]) -> Check:
    def checked(value: Any, at: str) -> Any:
        if not isinstance(value, dict):
            raise Wrong(f'"{at}" must be an object')
        fields = _fields(kind)
        unknown = set(value) - set(fields)
        if unknown:
            raise Wrong(f'"{at}" has no field "{min(unknown)}" ({kind.__name__})')
        for name, (field, required) in fields.items():
            if name in value:
                field(value[name], f"{at}.{name}")
            elif required:
                raise Wrong(f'"{at}" lacks "{name}" ({kind.__name__})')
        return value

    return checked


@functools.cache
def _fields(kind: type[BaseModel]) -> dict[str, tuple[Check, bool]]:
    """A type's fields by their names on the wire. A fixed `type` is needed on the wire."""
    return {
        field.alias or name: (
            check(field.annotation),
            field.is_required() or typing.get_origin(field.annotation) is Literal,
        )
        for name, field in kind.model_fields.items()
    }


def _union(parts: list[Any]) -> Check:
    def checked(value: Any, at: str) -> Any:
        problems = []
        for one in _named(parts, value):
            try:
                return check(one)(value, at)
            except Wrong as wrong:
                problems.append(str(wrong))
        raise Wrong(problems[0])

    return checked


def _named(parts: list[Any], value: Any) -> list[Any]:
    """The members of a union that a value names by its `type`, or all of them."""
    if not isinstance(value, dict):
        return parts
    for name in ("type", "status", "source"):
        if name in value:
            fit = [one for one in parts if value[name] in _fixed(one, name)]
            return fit or parts
    return parts


@functools.cache
def _fixed(kind: Any, name: str) -> frozenset[Any]:
    """The values that a type fixes for one of its fields."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return frozenset()
    field = kind.model_fields.get(name)
    values = typing.get_args(field.annotation) if field else ()
    return frozenset(one.value if isinstance(one, Enum) else one for one in values)


def result(method: str, value: Any) -> None:
    """Check what the fake itself returns: it must not invent fields either. Raises `Wrong`."""
    check(methods()[method.lower()].__returning__)(value, method)  # type: ignore[attr-defined] # of TelegramMethod

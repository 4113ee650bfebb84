"""Dataclasses to plain data and back: what a workflow engine can store, compare and send to another node."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence


def to_plain(value: object) -> object:
    """Dataclasses become dictionaries, tuples become lists; text, numbers, booleans and None stay."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: typing.Any, value: typing.Any) -> typing.Any:
    """Rebuild ``kind`` (a dataclass, or a type of a dataclass's field) from :func:`to_plain`'s output."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        return kind(**{name: from_plain(hints[name], item) for name, item in value.items()})
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        # a number, or one of a few words (resolution: auto)
        if any(typing.get_origin(arm) is typing.Literal and value in typing.get_args(arm) for arm in inner):
            return value
        return from_plain(next(arm for arm in inner if arm is not types.NoneType), value)
    if origin is tuple:
        return tuple(from_plain(inner[0], item) for item in value)
    if origin is dict:
        return {key: from_plain(inner[1], item) for key, item in value.items()}
    return float(value) if kind is float else value

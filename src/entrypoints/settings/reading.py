"""From what was written to checked values: each leaf alone, so that one mistake hides no other."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct, inspect

from entrypoints.settings.schema import Settings
from entrypoints.settings.secrets import Secret, SecretUrl
from entrypoints.settings.sources import FilePlace, Given, Mistake, SettingPath, dotted

LONGEST_MODEL_NAME = 128


class Reader:
    """Collects values and mistakes, source by source; a later source wins."""

    def __init__(self) -> None:
        self.values: dict[SettingPath, Given] = {}
        self.mistakes: list[Mistake] = []
        self.broken: set[SettingPath] = set()

    def read(self, given: Given) -> None:
        kind: object = Settings
        for index, part in enumerate(given.path):
            kind = self._child(kind, part, replace(given, path=given.path[: index + 1]))
            if kind is None:
                return
        self._walk(given, kind)

    def _child(self, kind: object, part: str, given: Given) -> object | None:
        if (members := table(kind)) is not None:
            if part in members:
                return members[part]
            self._unknown(given, part, members)
        elif (member := mapping(kind)) is not None:
            if 1 <= len(part) <= LONGEST_MODEL_NAME and part.isprintable() and part == part.strip():
                return member
            self._wrong(given, f"a model's name is 1 to {LONGEST_MODEL_NAME} printable characters")
        else:
            self._wrong(given, f"{dotted(given.path[:-1])} has no settings of its own")
        return None

    def _walk(self, given: Given, kind: object) -> None:
        if table(kind) is None and mapping(kind) is None:
            self._leaf(given, kind)
            return
        value = parsed_json(given) if given.text else given.value
        if not isinstance(value, dict):
            example = ' such as {"name": "value"}' if given.text else ""
            self._wrong(given, f"must be a {'JSON object' if given.text else 'table'}{example}")
            return
        for key, item in value.items():
            path = (*given.path, key)
            place = replace(given.place, path=path) if isinstance(given.place, FilePlace) else given.place
            inner = Given(path, item, place)
            if (member := self._child(kind, key, inner)) is not None:
                self._walk(inner, member)

    def _leaf(self, given: Given, kind: object) -> None:
        try:
            value = converted(given, kind)
        except (msgspec.ValidationError, ValueError) as error:
            shown = "" if secret(kind) else f", not {brief(given.value)}"
            reason = f" ({error})" if isinstance(error, Unreadable) else ""
            self._wrong(given, f"must be {wanted(kind, given.text)}{shown}{reason}")
            return
        self.values[given.path] = replace(given, value=value)

    def _unknown(self, given: Given, part: str, members: Mapping[str, object]) -> None:
        close = get_close_matches(part, members, n=1)
        hint = f"did you mean {close[0]}?" if close else listed(members)
        self._wrong(given, f"is not a setting; {hint}")

    def _wrong(self, given: Given, message: str) -> None:
        self.mistakes.append(Mistake(given.place, dotted(given.path), message))
        self.broken.add(given.path)


class Unreadable(ValueError):
    """What kept a text from being read; safe to show."""


def converted(given: Given, kind: object) -> object:
    value = given.value
    info = inspect.type_info(bare(kind))
    if given.text and isinstance(info, inspect.VarTupleType):
        value = parsed_json(given)
        if not isinstance(value, list):
            raise Unreadable("a list in a variable is JSON")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    strict = not given.text or isinstance(info, inspect.VarTupleType)
    result: object = msgspec.convert(value, bare(kind), strict=strict, dec_hook=decode)
    if isinstance(result, float) and not math.isfinite(result):
        raise ValueError
    if any("\ud800" <= char <= "\udfff" for text in texts(result) for char in text):
        raise Unreadable("it is not UTF-8")
    return result


def parsed_json(given: Given) -> object:
    """None, which no setting is, for what is not JSON."""
    try:
        return json.loads(str(given.value))
    except (ValueError, RecursionError):
        return None


def decode(kind: type, value: object) -> object:
    if isinstance(value, str) and value and "\x00" not in value:
        if issubclass(kind, Secret):
            return kind(value)
        if kind is Path:
            return Path(value).expanduser()
    raise ValueError


def texts(value: object) -> Iterator[str]:
    if isinstance(value, tuple):
        for item in value:
            yield from texts(item)
    elif isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, str | Path):
        yield str(value)


def brief(value: object) -> str:
    shown = "a table" if isinstance(value, dict) else json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"


@lru_cache
def members_of(kind: type[Struct]) -> Mapping[str, object]:
    return {name: hint for name, hint in get_type_hints(kind, include_extras=True).items() if name != "sources"}


def bare(kind: object) -> Any:
    """The type without `| None`: no source can say None."""
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (part for part in get_args(kind) if part is not NoneType)
    return kind


def table(kind: object) -> Mapping[str, object] | None:
    plain = bare(kind)
    return members_of(plain) if isinstance(plain, type) and issubclass(plain, Struct) else None


def mapping(kind: object) -> object | None:
    """What a table of named tables holds."""
    return get_args(kind)[1] if get_origin(kind) is dict else None


def secret(kind: object) -> bool:
    plain = bare(kind)
    items = get_args(plain) if get_origin(plain) is tuple else (plain,)
    return any(isinstance(item, type) and issubclass(item, Secret) for item in items)


def wanted(kind: object, text: bool = False) -> str:
    """What would be right, in words."""
    info = inspect.type_info(bare(kind))
    match info:
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType(ge=low, le=high):
            return f"a whole number from {low} to {high}"
        case inspect.FloatType(gt=None, ge=low, le=high):
            return f"a number from {low} to {high}"
        case inspect.FloatType(gt=low, le=high):
            return f"a number above {low}, up to {high}"
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case inspect.VarTupleType():
            return f'a {"JSON list" if text else "list of texts"} such as ["{example(kind)}"]'
        case inspect.StrType(min_length=low, max_length=high) if low is not None:
            return f"a text of {low} to {high} characters"
        case inspect.CustomType(cls=cls) if issubclass(cls, SecretUrl):
            return "an address such as postgresql://user:password@host/database"
        case _:
            return "a text that is not empty" if secret(kind) else "a text"


def listed(members: Mapping[str, object]) -> str:
    return f"there are {', '.join(sorted(members))}" if len(members) <= 15 else "the documentation lists them"


def example(kind: object) -> str:
    return "a secret of 32 characters or more" if secret(kind) else "one"

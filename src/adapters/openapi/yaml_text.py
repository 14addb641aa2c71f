"""YAML into JSON values, by the core schema of YAML 1.2: a date is text, `on` and `no` are text, 010 is ten.

The values are built from the parser's events, with limits as they come: PyYAML's own way from text to values follows
any nesting (its C library dies of it), any number of aliases, and the types of YAML 1.1.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import yaml

from adapters.openapi.limits import DEPTH, NODES
from domain.tools.tools import JsonValue

_NULL: Final = ("", "~", "null", "Null", "NULL")
_TRUE: Final = ("true", "True", "TRUE")
_FALSE: Final = ("false", "False", "FALSE")
_INTEGER: Final = re.compile(r"[-+]?[0-9]+")
_OTHER_INTEGER: Final = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_CORE: Final = "tag:yaml.org,2002:"
_MERGE: Final = "<<"


class BadYaml(Exception):
    """One sentence that names the line."""


class _Builder:
    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._nodes = 0
        self._anchored: dict[str, tuple[JsonValue, int]] = {}

    def document(self) -> JsonValue:
        event = next(self._events)
        while isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
            event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return None
        value = self._value(event, 0)
        next(self._events)
        more = next(self._events)
        if not isinstance(more, yaml.StreamEndEvent):
            raise _bad(more, "a second document begins, where one is expected")
        return value

    def _value(self, event: Any, depth: int) -> JsonValue:
        before = self._nodes
        self._count(event, 1)
        if depth > DEPTH:
            raise _bad(event, f"nested deeper than {DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchored:
                raise _bad(event, f"the alias *{str(event.anchor)[:80]} stands for nothing that is complete before it")
            value, nodes = self._anchored[event.anchor]
            self._count(event, nodes)
            return value
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(event, depth)
        else:
            value = self._mapping(event, depth)
        if event.anchor:
            self._anchored[event.anchor] = value, self._nodes - before
        return value

    def _sequence(self, event: Any, depth: int) -> list[JsonValue]:
        _expect_tag(event, "seq")
        items: list[JsonValue] = []
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(item, depth + 1))
        return items

    def _mapping(self, event: Any, depth: int) -> dict[str, JsonValue]:
        _expect_tag(event, "map")
        own: dict[str, JsonValue] = {}
        merged: dict[str, JsonValue] = {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                raise _bad(key, "a name must be plain text")
            value = self._value(next(self._events), depth + 1)
            if key.value == _MERGE and not key.style:
                for source in value if isinstance(value, list) else [value]:
                    if not isinstance(source, dict):
                        raise _bad(key, "<< takes a mapping or a list of mappings")
                    merged = {**source, **merged}
                continue
            if key.value in own:
                raise _bad(key, f"{key.value[:80]!r} stands here twice")
            own[key.value] = value
        return {**merged, **own}

    def _count(self, event: Any, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > NODES:
            raise _bad(event, f"the document has more than {NODES} values, repeated ones included")


def read_yaml(text: str) -> JsonValue:
    """Raises BadYaml."""
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Builder(yaml.parse(text, Loader=loader)).document()
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BadYaml(f"{place}{problem.problem or 'this is no YAML'}") from problem
    except yaml.YAMLError as problem:
        raise BadYaml("it holds characters that YAML does not allow") from problem
    except (UnicodeEncodeError, StopIteration, RecursionError) as problem:
        raise BadYaml("this is no YAML") from problem


def _scalar(event: Any) -> JsonValue:
    text: str = event.value
    tag = event.tag
    if tag is None or tag == "!":
        return _plain(event, text) if event.implicit[0] and not event.style else text
    readers: dict[str, Callable[[], JsonValue]] = {
        "str": lambda: text,
        "null": lambda: None,
        **dict.fromkeys(("int", "float", "bool"), lambda: _plain(event, text)),
    }
    reader = readers.get(tag.removeprefix(_CORE)) if tag.startswith(_CORE) else None
    if reader is None:
        raise _bad(event, f"the tag {tag[:80]} is none that JSON has a value for")
    return reader()


def _plain(event: Any, text: str) -> JsonValue:
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _OTHER_INTEGER.fullmatch(text):
        return int(text, 0)
    try:
        if _INTEGER.fullmatch(text):
            return int(text)
    except ValueError as problem:
        raise _bad(event, "a number with too many digits") from problem
    if _FLOAT.fullmatch(text):
        number = float(text)
        if not math.isfinite(number):
            raise _bad(event, "a number that is too large")
        return number
    return text


def _expect_tag(event: Any, kind: str) -> None:
    if event.tag not in (None, "!", _CORE + kind):
        raise _bad(event, f"the tag {event.tag[:80]} is none that JSON has a value for")


def _bad(event: Any, what: str) -> BadYaml:
    mark = event.start_mark
    return BadYaml(f"line {mark.line + 1}, column {mark.column + 1}: {what}")

"""Keywords that the library would follow further than is good, or judges by binary fractions."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

import re2
from jsonschema.exceptions import ValidationError

from adapters.json_schema.fuel import TANK, Keyword

_MOST_MEMORY: Final = 1 << 16
"""Bytes for one expression: larger ones are not compiled. With more, Unicode classes take 30 ms to be refused."""
_A_REFERENCE: Final = 10
_COMPILING: Final = 300
_A_SEARCH: Final = 2
"""Characters of a text for one unit: `[ab]{0,300}` looks at each 300 times."""
_LONGEST_PATTERN: Final = 2_000
_LONGEST_TEXT: Final = 5_000
"""Longer ones are not searched."""
_ESCAPED: Final = re.compile(r"\\u([0-9a-fA-F]{4})")


def reference(draft: Any) -> Keyword:
    """Only `#` and `#/…`: to look for an anchor, the library reads the whole schema each time."""

    def followed(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError] | None:
        TANK.get().spend(_A_REFERENCE)
        local = value == "#" or value.startswith("#/")
        return draft.VALIDATORS["$ref"](validator, value, instance, schema) if local else None

    return followed


def required(_validator: Any, value: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    for name in value if isinstance(instance, dict) else ():
        if name not in instance:
            yield ValidationError("is missing", path=(name,))


def pattern(_validator: Any, value: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(value, str) and isinstance(instance, str):
        known = expression(value)
        if known is not None and not _found(known, instance):
            yield ValidationError("does not match")


def pattern_properties(validator: Any, value: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for written, inner in value.items():
        known = expression(written)
        for name in instance if known is not None else ():
            if _found(known, name):
                yield from validator.descend(instance[name], inner, path=name, schema_path=written)


def additional_properties(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    patterns = [expression(one) for one in schema.get("patternProperties", ())]
    if None in patterns:
        return
    known = schema.get("properties", {})
    for name in instance:
        if name in known or any(_found(one, name) for one in patterns):
            continue
        if value is False:
            yield ValidationError("is not known", path=(name,))
        else:
            yield from validator.descend(instance[name], value, path=name)


def unique_items(_validator: Any, value: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if value is True and isinstance(instance, list):
        written = {json.dumps(_alike(one), sort_keys=True) for one in instance}
        if len(written) < len(instance):
            yield ValidationError("has the same item twice")


def multiple_of(validator: Any, value: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """0.07 is seven times 0.01, whatever binary fractions say."""
    if isinstance(value, bool) or not validator.is_type(instance, "number"):
        return
    try:
        rest = Decimal(str(instance)) % Decimal(str(value))
    except InvalidOperation:
        return
    if rest:
        yield ValidationError("is no multiple")


def expression(written: str) -> Any:
    """None for what RE2 can't do in linear time, such as look-ahead, and for what is none."""
    return _expression(written) if len(written) <= _LONGEST_PATTERN else None


@lru_cache(256)
def _expression(written: str) -> Any:
    TANK.get().spend(_COMPILING)
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST_MEMORY
    try:
        return re2.compile(_ESCAPED.sub(r"\\x{\1}", written), options=options)
    except (re2.error, UnicodeEncodeError):
        return None


def _found(known: Any, text: str) -> bool:
    TANK.get().spend(1 + len(text) // _A_SEARCH)
    return len(text) > _LONGEST_TEXT or known.search(text) is not None


def _alike(value: Any) -> Any:
    """1 and 1.0 are the same to JSON Schema, 1 and true are not."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_alike(one) for one in value]
    if isinstance(value, dict):
        return {name: _alike(one) for name, one in value.items()}
    return value

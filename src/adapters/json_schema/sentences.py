"""What is wrong with a value, in words from which a model can mend it."""

import json
from collections.abc import Iterable
from typing import Any, Final, cast

from jsonschema.exceptions import ValidationError, relevance

_LONGEST_VALUE: Final = 80
_LONGEST_PLACE: Final = 200
_LONGEST: Final = 500
_SHOWN: Final = 20
"""Choices or names that a sentence lists."""
_BRANCHES: Final = 4
_TYPES: Final = {
    "string": "a string",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
_RULES: Final = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be above {}",
    "exclusiveMaximum": "must be below {}",
    "multipleOf": "must be a multiple of {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} items",
    "maxItems": "must have at most {} items",
    "minProperties": "must have at least {} names",
    "maxProperties": "must have at most {} names",
    "pattern": "must match {}",
    "const": "must be {}",
    "dependentRequired": "lacks a name that others of it need: {}",
    "uniqueItems": "must not have the same item twice",
    "required": "is missing",
    "contains": "has too few or too many items of the kind that it must have",
    "not": "is of a form that is ruled out",
}


def sentence(problem: ValidationError) -> str:
    text = f"{_place(problem.absolute_path)} {_said(problem)}"
    shown = text if len(text) < _LONGEST else f"{text[: _LONGEST - 2]}…"
    # Half a character of the model's goes back to it as a question mark.
    return f"{shown.encode(errors='replace').decode()}."


def _said(problem: ValidationError) -> str:
    rule, wanted = str(problem.validator), cast(Any, problem.validator_value)
    match rule:
        case "type":
            kinds = wanted if isinstance(wanted, list) else [wanted]
            names = " or ".join(_TYPES.get(str(kind), "of another kind") for kind in kinds)
            return f"must be {names}, not {_kind(problem)}"
        case "enum":
            more = " …" if len(wanted) > _SHOWN else ""
            return f"must be one of {', '.join(map(_short, wanted[:_SHOWN]))}{more}"
        case "additionalProperties" if wanted is False:
            known = problem.schema.get("properties") if isinstance(problem.schema, dict) else None
            names = ", ".join(name[:_LONGEST_VALUE] for name in list(known)[:_SHOWN]) if isinstance(known, dict) else ""
            return f"is not known; known are {names}" if names else "is not known, and nothing is"
        case "anyOf" | "oneOf":
            return _none_of(problem.context) if problem.context else "fits more than one of the forms that it may have"
        case _:
            said = _RULES.get(rule, "must not be there" if rule == "None" else f"breaks the rule {rule[:40]}")
            return said.format(_short(wanted))


def _none_of(found: Iterable[ValidationError]) -> str:
    """What is nearest to right in each branch."""
    branches: dict[Any, ValidationError] = {}
    for one in found:
        number = one.schema_path[0] if one.schema_path else 0
        branches[number] = max(branches.get(number, one), one, key=relevance)
    # A branch for a value of another kind says nothing when one for this kind says more.
    telling = [one for one in branches.values() if one.validator != "type" or one.relative_path]
    texts = dict.fromkeys(
        f"{_place(one.absolute_path)} {_said(one)}" for one in (telling or list(branches.values()))[:_BRANCHES]
    )
    return f"fits none of the forms that it may have: {'; or '.join(texts)}"


def _place(path: Iterable[str | int]) -> str:
    text = ""
    for step in path:
        name = str(step)[:_LONGEST_VALUE]
        text += f"[{name}]" if isinstance(step, int) else f".{name}" if text else name
    shown = text if len(text) <= _LONGEST_PLACE else f"{text[:_LONGEST_PLACE]}…"
    return shown or "The whole of the arguments"


def _kind(problem: ValidationError) -> str:
    match problem.instance:
        case bool() as value:
            return str(value).lower()
        case None:
            return "null"
        case list():
            return "a list"
        case dict():
            return "an object"
        case value:
            return _short(value)


def _short(value: Any) -> str:
    if isinstance(value, str):
        value = value[:_LONGEST_VALUE]
    elif isinstance(value, list | dict):
        return "an object of a certain form" if isinstance(value, dict) else "a certain list"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"

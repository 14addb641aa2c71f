"""ArgumentCheck by the library `jsonschema`, with expressions by RE2, and every step counted."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

from jsonschema import Draft7Validator, Draft201909Validator, Draft202012Validator, validators
from referencing import Registry

from adapters.json_schema.fuel import TANK, Fuel, Keyword, SpentError, deep_size, metered
from adapters.json_schema.keywords import (
    additional_properties,
    multiple_of,
    pattern,
    pattern_properties,
    reference,
    required,
    unique_items,
)
from adapters.json_schema.sentences import sentence
from domain.tools.tools import JsonValue

MOST_PROBLEMS: Final = 10
LARGEST: Final = 200_000
"""Values, names and characters of a schema, or of arguments; larger ones are not looked at."""
UNITS: Final = 20_000
"""Of a check: a third of a second at the very worst, where all are spent on references."""
_A_COMPLAINT: Final = 256
"""Values, names and characters of the arguments that are written out for one unit."""

_OURS: Final = {
    "required": required,
    "pattern": pattern,
    "patternProperties": pattern_properties,
    "additionalProperties": additional_properties,
    "multipleOf": multiple_of,
    "uniqueItems": unique_items,
}
_DEEP: Final = ("enum", "const", "uniqueItems")
# These search with Python's expressions, or are of use to whole dialects only.
_LEFT_OUT: Final = ("unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef", "format")
_NUMBERS: Final = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    *("minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains"),
)
_KINDS: Final[dict[str, Any]] = {
    **dict.fromkeys(_NUMBERS, int | float),
    **dict.fromkeys(("enum", "required", "allOf", "anyOf", "oneOf", "prefixItems"), list),
    **dict.fromkeys(("properties", "patternProperties", "dependentRequired", "dependentSchemas"), dict),
    "type": str | list,
}


def _bounded(draft: Any) -> Any:
    ours = {**_OURS, "$ref": reference(draft)}
    known: dict[str, Keyword] = {**draft.VALIDATORS, **ours}
    made: Any = {
        name: metered(_sound(name, keyword), deep=name in _DEEP)
        for name, keyword in known.items()
        if name not in _LEFT_OUT
    }
    return validators.create(
        meta_schema=draft.META_SCHEMA,
        validators=made,
        type_checker=draft.TYPE_CHECKER,
        applicable_validators=_applicable,
    )


def _sound(name: str, keyword: Any) -> Any:
    """Where the keyword's value is of the kind that it must be. True is no number, though Python thinks so."""
    kinds = _KINDS.get(name, object)

    def judged(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        broken = not isinstance(value, kinds) or (isinstance(value, bool) and name in _NUMBERS)
        return None if broken else keyword(validator, value, instance, schema)

    return judged


def _applicable(schema: Any) -> Any:
    return schema.items() if isinstance(schema, dict) else ()


_DRAFTS: Final = {
    "draft-07": _bounded(Draft7Validator),
    "2019-09": _bounded(Draft201909Validator),
    "2020-12": _bounded(Draft202012Validator),
}


class JsonSchemaCheck:
    """Remembers no schema: to look at one of the usual size anew takes a tenth of a millisecond.

    May be used by several threads.
    """

    def problems(self, schema: Mapping[str, JsonValue], arguments: Mapping[str, JsonValue]) -> Sequence[str]:
        validator = _validator_of(dict(schema))
        size = deep_size(dict(arguments), LARGEST)
        if validator is None or size > LARGEST:
            return []
        found: dict[str, None] = {}
        token = TANK.set(Fuel(UNITS, complaint=1 + size // _A_COMPLAINT))
        try:
            for problem in islice(validator.iter_errors(dict(arguments)), MOST_PROBLEMS):
                found[sentence(problem)] = None
        except (SpentError, RecursionError):
            # What was found until then is true all the same.
            pass
        finally:
            TANK.reset(token)
        return list(found)


def _has_others_within(schema: JsonValue) -> bool:
    """Schemas with addresses of their own: finding them takes the library the square of their number."""
    todo = list(schema.values()) if isinstance(schema, dict) else []
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            if isinstance(one.get("$id"), str):
                return True
            todo.extend(one.values())
        elif isinstance(one, list):
            todo.extend(one)
    return False


def _validator_of(schema: dict[str, JsonValue]) -> Any:
    """None for a schema that is not looked at."""
    if deep_size(schema, LARGEST) > LARGEST or _has_others_within(schema):
        return None
    named = str(schema.get("$schema", ""))[:200]
    draft = next((made for name, made in _DRAFTS.items() if name in named), _DRAFTS["2020-12"])
    # An empty registry knows nothing, and never asks anywhere: the library's own would fetch.
    return partial(draft, registry=Registry())(schema)

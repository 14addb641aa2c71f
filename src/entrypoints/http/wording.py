"""msgspec's findings in words that name no type of Python."""

import re
from typing import Final

_WORDS: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_TYPES: Final = re.compile(r"`([^`]*)`")


def plain(finding: str) -> str:
    """ "Expected `int | null`, got `str` - at `$.limit`" is "expected integer, got string"."""
    words = _TYPES.sub(_type_words, finding.split(" - at ")[0])
    return words[:1].lower() + words[1:]


def _type_words(found: re.Match[str]) -> str:
    names = [name for name in found[1].split(" | ") if name != "null"] or ["null"]
    return " or ".join(_WORDS.get(name, name) for name in names)

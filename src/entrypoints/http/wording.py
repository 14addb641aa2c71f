"""msgspec's findings in words that name no type of Python."""

import re
from typing import Final

_WORDS: Final = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
MOST_SHOWN: Final = 200
"""Characters: findings repeat what was sent."""
_TYPES: Final = re.compile(r"`([^`]*)`")


def plain(finding: str) -> str:
    """ "Expected `int | null`, got `str` - at `$.limit`" is "expected integer, got string"."""
    said = finding.split(" - at ")[0]
    words = _TYPES.sub(_type_words, said if len(said) <= MOST_SHOWN else f"{said[:MOST_SHOWN]}…")
    return words[:1].lower() + words[1:]


def _type_words(found: re.Match[str]) -> str:
    names = [name for name in found[1].split(" | ") if name != "null"] or ["null"]
    return " or ".join(_WORDS.get(name, name) for name in names)

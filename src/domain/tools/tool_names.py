"""Names of functions that every vendor takes: 1 to 64 ASCII letters, digits, `_` and `-`, none of them twice."""

import re
from collections.abc import Iterable
from typing import Final
from unicodedata import normalize

LONGEST: Final = 64
_VALID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_OTHER: Final = re.compile(r"[^a-zA-Z0-9_-]+")
_ENOUGH: Final = 4 * LONGEST
"""Characters of what is to be named that can have a say; more are not looked at."""


def is_tool_name(name: str) -> bool:
    return _VALID.fullmatch(name) is not None


def tool_name(text: str, otherwise: str = "tool") -> str:
    """The nearest valid name: as it is if it is valid, `otherwise` if nothing of it can stand in a name."""
    if is_tool_name(text):
        return text
    # The accents of decomposed letters fall away, so that `é` becomes `e`.
    plain = normalize("NFKD", text[:_ENOUGH]).encode("ascii", "ignore").decode()
    return _OTHER.sub("_", plain).strip("_")[:LONGEST] or otherwise


def unique_names(wanted: Iterable[str], taken: Iterable[str] = ()) -> tuple[str, ...]:
    """A valid name for each, in order, that no other has and that is not taken.

    Whoever wants a valid name first gets it; those behind get a number: `find`, `find_2`.
    """
    used, found, last = set(taken), [], dict[str, int]()
    for text in wanted:
        stem = name = tool_name(text)
        while name in used:
            last[stem] = last.get(stem, 1) + 1
            name = numbered(stem, last[stem])
        used.add(name)
        found.append(name)
    return tuple(found)


def numbered(stem: str, number: int) -> str:
    """Cut where it would be too long."""
    ending = f"_{number}"
    return stem[: LONGEST - len(ending)] + ending

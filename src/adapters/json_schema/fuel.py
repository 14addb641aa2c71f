"""A validator's keywords with a bound on all that they do: each application costs, and when it is spent, it ends.

A schema of a few lines can ask for 2^50 steps (`anyOf` within `anyOf` by references), and so can one of many for
many values. Counting steps bounds all of these alike.
"""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from jsonschema.exceptions import UnknownType, ValidationError
from referencing.exceptions import Unresolvable

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]

_BROKEN: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, Unresolvable, UnknownType)
"""What the library stumbles over where a keyword is not as it should be, or refers to what is not there."""
_A_STEP: Final = 16
"""Members of a list, names of an object or characters, that are looked at for one unit."""

_A_DEEP_STEP: Final = 4


class SpentError(Exception):
    """No more is looked at."""


@dataclass(slots=True)
class Fuel:
    """`complaint`: what a mistake costs. The library writes the value out for each, also where nobody will read it."""

    left: int
    complaint: int

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise SpentError


TANK: Final[ContextVar[Fuel]] = ContextVar("fuel of the check that is under way")


def metered(keyword: Keyword, *, deep: bool = False) -> Keyword:
    """The same, for a price; where it is broken, it finds nothing wrong. `deep`: it looks at all that is within."""
    size = deep_size if deep else shallow_size

    def applied(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        tank = TANK.get()
        tank.spend(1 + (size(value) + size(instance)) // (_A_DEEP_STEP if deep else _A_STEP))
        try:
            for problem in keyword(validator, value, instance, schema) or ():
                tank.spend(tank.complaint)
                yield problem
        except _BROKEN:
            return

    return applied


def shallow_size(value: Any) -> int:
    return len(value) if isinstance(value, list | dict | str) else 0


def deep_size(value: Any, most: int = 1 << 40) -> int:
    """Values, names and characters within, counted until they are more than `most`."""
    size, todo = 0, [value]
    while todo and size <= most:
        one = todo.pop()
        size += 1 + shallow_size(one)
        if isinstance(one, dict):
            todo.extend(one.values())
        elif isinstance(one, list):
            todo.extend(one)
    return size

"""What each of the two databases says in its own way: made once for both, and chosen by the name of the dialect."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from sqlalchemy.dialects import postgresql, sqlite

_T = TypeVar("_T")

INSERT: Final[Mapping[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
"""Inserts that know what to do about a row that is there."""


def for_each(make: Callable[[str], _T]) -> Mapping[str, _T]:
    return {dialect: make(dialect) for dialect in INSERT}

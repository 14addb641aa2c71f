"""Statements are compiled once for all databases of a process. Each test opens engines of its own, and to compile its
statements anew takes as long as all else that a short test does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy.engine import Engine
from sqlalchemy.sql.compiler import Compiled
from sqlalchemy.util import LRUCache

_AS_IN_ENGINES = 1000


class _Known(LRUCache[Any, Compiled]):
    """By the dialect's name, where an engine has its own dialect in the key. All dialects of a name are set alike."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((key[0].name, *key[1:]), default)

    def __setitem__(self, key: Any, compiled: Compiled) -> None:
        super().__setitem__((key[0].name, *key[1:]), compiled)


@contextmanager
def compiled_once() -> Iterator[None]:
    known = _Known(_AS_IN_ENGINES)
    with pytest.MonkeyPatch.context() as patched:
        shared = property(lambda _engine: known, lambda _engine, _own: None)
        patched.setattr(Engine, "_compiled_cache", shared, raising=False)
        yield

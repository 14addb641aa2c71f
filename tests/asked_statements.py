"""The SQL that somebody asked, apart from what goes on beside them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from sqlalchemy import Engine, event

_ASKED: ContextVar[list[str] | None] = ContextVar("what is asked of the database", default=None)


@dataclass
class AskedStatements:
    """What was run since `clear` for who called it: by their calls and requests since, and in tasks that these began.

    What other tasks do, and what goes on from earlier, is not told: each list goes with the context of a call.
    """

    texts: list[str] = field(default_factory=list)

    def clear(self) -> None:
        self.texts = []
        _ASKED.set(self.texts)

    def __len__(self) -> int:
        return len(self.texts)


@contextmanager
def asked_statements() -> Iterator[AskedStatements]:
    """Of all databases of the process."""

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        texts = _ASKED.get()
        if texts is not None:
            texts.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield AskedStatements()
    finally:
        event.remove(Engine, "before_cursor_execute", note)
        _ASKED.set(None)

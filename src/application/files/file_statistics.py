"""What became of uploads and of documents that were to be read, in numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from application.tallies import Tally
from domain.errors import DomainError
from domain.files.documents import Reading, Unreadable
from domain.files.files import StoredFile

TAKEN: Final = "taken"
READ: Final = "read"
BROKEN_OFF: Final = "broken_off"
"""The body ended early or was no form, or the server stopped, or a defect of ours."""


@dataclass(slots=True)
class UploadStatistics:
    """`outcomes` by `taken`, the code of a refusal, or `broken_off`; `taken_bytes` are those of kept files."""

    outcomes: Tally = field(default_factory=Tally)
    taken_bytes: int = 0

    def __post_init__(self) -> None:
        self.outcomes.add(TAKEN, amount=0)

    def taken(self, file: StoredFile) -> None:
        self.outcomes.add(TAKEN)
        self.taken_bytes += file.size

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Counts an upload that comes to nothing inside."""
        with counted(self.outcomes):
            yield


@dataclass(slots=True)
class ReadingStatistics:
    """`outcomes` by kind, by `read` or the code of a refusal, and by whether it was known already: `yes` or `no`."""

    outcomes: Tally = field(default_factory=lambda: Tally(most=2000))

    def done(self, kind: str, reading: Reading, *, known: bool) -> None:
        outcome = reading.code if isinstance(reading, Unreadable) else READ
        self.outcomes.add(kind, outcome, "yes" if known else "no")

    @contextmanager
    def failures(self, kind: str) -> Iterator[None]:
        """Counts a document that nobody could try to read: the storage, the database or the parser is away."""
        with counted(self.outcomes, (kind,), ("no",)):
            yield


@contextmanager
def counted(outcomes: Tally, before: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Iterator[None]:
    try:
        yield
    except DomainError as refusal:
        outcomes.add(*before, refusal.code, *after)
        raise
    except BaseException:
        outcomes.add(*before, BROKEN_OFF, *after)
        raise

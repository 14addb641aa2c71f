"""What a dialog remembers of itself when the next question comes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from domain.dialogs.messages import Exchange
from domain.files.files import Attachment

MOST_EXCHANGES: Final = 50
"""That are read for a question; older ones are known by the summary alone."""
MOST_BYTES: Final = 2_000_000
"""Of their texts, and as much of their tool rounds, which are left out beyond it."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What was said in the first `covers` exchanges of a dialog."""

    text: str
    covers: int


@dataclass(frozen=True, slots=True)
class Past:
    """`exchanges` are the newest that the summary does not cover, oldest first, without gaps.

    `before` counts all older ones: those that the summary covers, and those that were too many to be read.
    `attachments` came with questions that are not among `exchanges`, newest question first.
    """

    exchanges: tuple[Exchange, ...] = ()
    before: int = 0
    summary: Summary | None = None
    attachments: tuple[Attachment, ...] = ()

    @property
    def covers(self) -> int:
        return 0 if self.summary is None else self.summary.covers

    @property
    def characters(self) -> int:
        """How much there is to look at."""
        results = (result for one in self.exchanges for made in one.rounds for result in made.results)
        said = sum(len(one.question) + len(one.answer) for one in self.exchanges)
        return said + sum(len(result.content) for result in results)

    @property
    def attached(self) -> Sequence[Attachment]:
        """What came with every question that is remembered, newest question first."""
        newest = [file for exchange in reversed(self.exchanges) for file in exchange.attachments]
        return [*newest, *self.attachments]

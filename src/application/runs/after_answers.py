"""What happens after an answer was kept: nobody waits for it, and it can do no harm to anybody.

Followers are told by the process that made the answer. Those of runs that another process closed are told to nobody:
what a follower sets going works from a cursor of its own in the database, and catches up at the dialog's next answer.
"""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from domain.agents.agents import Agent
from domain.dialogs.messages import Answer
from domain.dialogs.summaries import Load
from domain.ids import RunId
from domain.models.models import ModelSpec
from domain.runs.runs import Run


@dataclass(frozen=True, slots=True)
class AnswerKept:
    """`agent` and `spec` are those that the question was put to."""

    run: Run
    answer: Answer
    agent: Agent
    spec: ModelSpec
    load: Load | None = None
    """How full the dialog's window was; None for an answer that waited for a person."""


class Follower(Protocol):
    async def __call__(self, kept: AnswerKept) -> None: ...


OnFollowerTrouble = Callable[[RunId, Exception], None]


@dataclass(frozen=True, slots=True)
class AfterAnswers:
    followers: Sequence[Follower]
    beside: Callable[[Coroutine[Any, Any, object]], None]
    """Does something that nobody waits for."""
    on_trouble: OnFollowerTrouble

    def __call__(self, kept: AnswerKept) -> None:
        for follower in self.followers:
            self.beside(self._told(follower, kept))

    async def _told(self, follower: Follower, kept: AnswerKept) -> None:
        try:
            await follower(kept)
        except Exception as trouble:  # noqa: BLE001 - told of; the answer is kept whatever comes of this
            self.on_trouble(kept.run.run_id, trouble)

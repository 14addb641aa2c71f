"""What became of the runs of this process, in numbers. A run is looked at once, at its end: a token costs nothing."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from application.tallies import OTHER, Durations, Tally
from domain.chat.chat_events import AnswerDelta, Recorded, RunFailed, RunFinished
from domain.dialogs.messages import AnswerStatus
from domain.errors import DomainError
from domain.models.attempts import Attempt
from domain.runs.runs import Run

ENDS: Final = tuple(status.value for status in AnswerStatus if status is not AnswerStatus.RUNNING)
FIRST_TEXT_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
LOOKED_THROUGH: Final = 20_000
"""Events in which the first text is looked for: reasoning may come before it, but not for ever."""
AT_THE_END: Final = 3
"""Events among which that of a failure is: at most the last ones of an answer come after it."""


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """`models` are those that have a name of their own here; all others are `other`."""

    models: Collection[str] = frozenset()
    ended: Tally = field(default_factory=Tally)
    """By status, and by the code of what made it fail or interrupted it; an empty one where nothing did."""
    tokens: Tally = field(default_factory=lambda: Tally(most=2000))
    """By model, and `input`, `output` or `cached`, which is a part of `input`."""
    costs: Tally = field(default_factory=lambda: Tally(most=2000))
    """By model and currency, in billionths of its unit. What people pay for models of their own is not told."""
    refused: Tally = field(default_factory=Tally)
    """Questions that no run was made of, by the code of the refusal."""
    first_text: dict[str, Durations] = field(default_factory=dict)
    """By model: from the stored question to the first text of its answer."""

    def __post_init__(self) -> None:
        # What has not happened yet is shown as 0: a rate of what is not there is nothing, and alarms nobody.
        for status in ENDS:
            self.ended.add(status, "", amount=0)

    def run_ended(self, run: Run, events: Sequence[Recorded]) -> None:
        """To be told once. `events` are all that the run has shown."""
        done = events[-1].event if events else None
        if not isinstance(done, RunFinished):
            return
        failures = [one.event.code for one in events[-AT_THE_END:] if isinstance(one.event, RunFailed)]
        self.ended.add(done.status.value, failures[-1] if failures else "")
        texts = (one for one in islice(events, LOOKED_THROUGH) if isinstance(one.event, AnswerDelta))
        if first := next(texts, None):
            taken = self.first_text.setdefault(self._known(done.model), Durations(FIRST_TEXT_SECONDS))
            taken.add(first.at / 1000 - run.created_at.timestamp())

    def used(self, attempts: Iterable[Attempt]) -> None:
        """To be told once, of what is in the ledger."""
        for attempt in attempts:
            model, usage = self._known(attempt.llm_id), attempt.usage
            self.tokens.add(model, "input", amount=usage.input_tokens)
            self.tokens.add(model, "output", amount=usage.output_tokens)
            self.tokens.add(model, "cached", amount=usage.cached_tokens)
            if attempt.cost_nanos is not None and model != OTHER:
                self.costs.add(model, attempt.currency, amount=attempt.cost_nanos)

    def _known(self, model: str) -> str:
        return model if model in self.models else OTHER

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Counts what is refused inside."""
        try:
            yield
        except DomainError as refusal:
            self.refused.add(refusal.code)
            raise

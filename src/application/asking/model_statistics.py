"""What became of the calls of models' providers, in numbers."""

from collections.abc import Collection
from dataclasses import dataclass, field

from application.tallies import OTHER, Tally
from domain.models.models import ModelSpec


@dataclass(frozen=True, slots=True)
class ModelStatistics:
    """`models` are those that have a name of their own here; all others are `other`."""

    models: Collection[str] = frozenset()
    attempts: Tally = field(default_factory=lambda: Tally(most=2000))
    """By model and outcome."""

    def ended(self, spec: ModelSpec, outcome: str) -> None:
        self.attempts.add(spec.llm_id if spec.owner is None and spec.llm_id in self.models else OTHER, outcome)

"""Which model answers a run, and who comes next where it can't."""

from dataclasses import dataclass
from typing import Final

from domain.ids import ModelId
from domain.models.models import ModelSpec

MOST_MODELS: Final = 8
"""Of one run, those included that were looked at and passed over."""


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """`spec` answers now. `waiting` come after it, in order; of `tried`, which has it too, none is asked again."""

    spec: ModelSpec
    waiting: tuple[ModelId, ...]
    tried: tuple[ModelId, ...]

    @classmethod
    def of(cls, spec: ModelSpec) -> "ModelRoute":
        return cls(spec, spec.fallbacks[:MOST_MODELS], (spec.llm_id,))

    @property
    def next(self) -> ModelId | None:
        if len(self.tried) >= MOST_MODELS:
            return None
        return next((one for one in self.waiting if one not in self.tried), None)

    def passing(self, llm_id: ModelId, fallbacks: tuple[ModelId, ...] = ()) -> "ModelRoute":
        """Without `llm_id`, which was looked at; its own fallbacks come last."""
        waiting = tuple(dict.fromkeys((*self.waiting, *fallbacks)))
        left = tuple(one for one in waiting if one not in self.tried and one != llm_id)
        return ModelRoute(self.spec, left[:MOST_MODELS], (*self.tried, llm_id))

    def to(self, spec: ModelSpec) -> "ModelRoute":
        return ModelRoute(spec, self.waiting, self.tried)

"""What a model is told about the tools that it is offered: to call them as it likes, not at all, or in any case."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ChoiceKind(StrEnum):
    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`name` is the tool that must be called, for NAMED alone."""

    kind: ChoiceKind = ChoiceKind.AUTO
    name: str = ""

    @property
    def forces(self) -> bool:
        """Whether the model must call a tool."""
        return self.kind in (ChoiceKind.REQUIRED, ChoiceKind.NAMED)


AS_IT_LIKES: Final = ToolChoice()

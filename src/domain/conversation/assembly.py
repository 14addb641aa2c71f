"""From the events of a model's turn to the turn itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.conversation.conversation import (
    AssistantTurn,
    ModelEvent,
    ModelFinished,
    ReasoningBlock,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Turn,
)
from domain.tools.tools import ToolCall


@dataclass(slots=True)
class _CallPieces:
    call_id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class AnswerAssembler:
    """Collects one turn, which answers those before it. How deltas of calls were interleaved makes no difference."""

    def __init__(self, before: Sequence[Turn] = ()) -> None:
        self._before = before
        self._text: list[str] = []
        self._calls: dict[int, _CallPieces] = {}
        self._reasoning: tuple[ReasoningBlock, ...] = ()
        self.argument_chars = 0
        """Characters of the arguments of all calls so far."""

    @property
    def calls(self) -> int:
        return len(self._calls)

    def add(self, event: ModelEvent) -> None:
        match event:
            case TextDelta(text):
                self._text.append(text)
            case ToolCallDelta():
                self._add_call(event)
            case ModelFinished():
                self._reasoning = event.reasoning
            case ReasoningDelta():
                pass

    def turn(self) -> AssistantTurn:
        """The turn so far. Every call has an id that no other has, and `{}` where no arguments came.

        No other of the turns before it either: some servers count from `call_0` in each turn, and a person's word on
        one call must never be taken for another's.
        """
        earlier = (turn for turn in self._before if self._calls and isinstance(turn, AssistantTurn))
        taken = {call.call_id for turn in earlier for call in turn.tool_calls}
        calls = []
        for number, (_, pieces) in enumerate(sorted(self._calls.items())):
            call_id = _unique(pieces.call_id or f"call_{number}", taken)
            calls.append(ToolCall(call_id, pieces.name, "".join(pieces.arguments) or "{}"))
        return AssistantTurn("".join(self._text), tuple(calls), self._reasoning)

    def _add_call(self, delta: ToolCallDelta) -> None:
        pieces = self._calls.setdefault(delta.index, _CallPieces())
        pieces.call_id = pieces.call_id or delta.call_id
        pieces.name = pieces.name or delta.name
        pieces.arguments.append(delta.arguments)
        self.argument_chars += len(delta.arguments)


def _unique(call_id: str, taken: set[str]) -> str:
    unique, count = call_id, 1
    while unique in taken:
        count += 1
        unique = f"{call_id}_{count}"
    taken.add(unique)
    return unique

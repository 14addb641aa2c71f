"""Runs that wait for a person: what they need to go on, at any process, and what the person says."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from domain.agents.agents import Agent
from domain.conversation.conversation import AssistantTurn, ModelRequest
from domain.errors import Conflict, NotFound
from domain.files.files import Attachment
from domain.ids import KnowledgeFileId, ModelId
from domain.models.model_routes import ModelRoute
from domain.models.models import ModelSpec
from domain.tools.tools import ToolCall, ToolResult, ToolSpec

ShownPlace = tuple[KnowledgeFileId, int, int]
"""Of a passage that a run was shown: its file, and from where to where in it."""

MOST_WAITING: Final = 50
"""Answers of one user that wait for a person; with more, no question is taken on."""
WAITS_FOR: Final = timedelta(days=7)
"""After that a run that nobody decided on is closed as interrupted."""
DECLINED: Final = "The person declined this call. Go on without it, or ask them what they want instead."
HELD_BACK: Final = "This call was not made, because another one of the same turn waits for a person. Go on without it."


@dataclass(frozen=True, slots=True)
class LoopPause:
    """Where the agent loop stands: in `turn`, of whose calls `pending` wait and the others have their `results`."""

    request: ModelRequest
    turn: AssistantTurn
    results: tuple[ToolResult, ...]
    pending: tuple[ToolCall, ...]
    turns_left: int
    output_left: int | None
    calls_made: int
    failures: dict[str, int]
    refused_turns: int = 0


@dataclass(frozen=True, slots=True)
class PauseAsked:
    """The loop's last word before it waits for approvals."""

    pause: LoopPause


@dataclass(frozen=True, slots=True)
class Approval:
    """What a person said of a call. `arguments` is JSON text that replaces the model's."""

    tool_call_id: str
    approved: bool
    arguments: str | None = None


@dataclass(frozen=True, slots=True)
class RunPause:
    """All that a run needs to go on. `agent` as it was when the question was asked; `shown` are its passages."""

    loop: LoopPause
    llm_id: ModelId
    agent: Agent
    attached: tuple[Attachment, ...] = ()
    """What came with the question."""
    shown: tuple[ShownPlace, ...] = ()
    approvals: tuple[Approval, ...] = ()
    number: int = 0
    """How often the run had waited and gone on before."""
    depth: int = 0
    """How deep it stands in a chain of agents that ask agents."""
    models_waiting: tuple[ModelId, ...] = ()
    models_tried: tuple[ModelId, ...] = ()
    """Of the route on which `llm_id` answers."""
    stored: bytes = field(default=b"", compare=False, repr=False)
    """As it was read from where it lies: whoever reads the same again knows it already."""

    @property
    def decided(self) -> bool:
        return len(self.approvals) == len(self.loop.pending)

    def route(self, spec: ModelSpec) -> ModelRoute:
        """On which `spec`, the model that answers, goes on."""
        return ModelRoute(spec, self.models_waiting, self.models_tried)

    def offered(self, tool_call_id: str) -> ToolSpec | None:
        """The tool that a waiting call names. Raises NotFound `tool_call_not_found`."""
        call = self._waiting(tool_call_id)
        return next((spec for spec in self.loop.request.tools if spec.name == call.name), None)

    def approve(self, approval: Approval) -> "RunPause":
        """With one more decision; the same again changes nothing.

        Raises NotFound `tool_call_not_found`, and Conflict `tool_call_decided` for another decision.
        """
        self._waiting(approval.tool_call_id)
        for known in self.approvals:
            if known == approval:
                return self
            if known.tool_call_id == approval.tool_call_id:
                said = "approved" if known.approved else "declined"
                raise Conflict("tool_call_decided", f"This call was {said} already.")
        return replace(self, approvals=(*self.approvals, approval), stored=b"")

    def calls(self) -> Sequence[tuple[ToolCall, bool]]:
        """The calls that waited, in their order, with the arguments that hold now, and whether they may be made."""
        said = {one.tool_call_id: one for one in self.approvals}
        return [
            (replace(call, arguments=said[call.call_id].arguments or call.arguments), said[call.call_id].approved)
            for call in self.loop.pending
        ]

    def _waiting(self, tool_call_id: str) -> ToolCall:
        for call in self.loop.pending:
            if call.call_id == tool_call_id:
                return call
        raise NotFound("tool_call", tool_call_id)

"""A request that was made for one model, as another one can take it."""

from dataclasses import replace

from domain.conversation.conversation import (
    AssistantTurn,
    ModelRequest,
    Turn,
    UserTurn,
    request_tokens,
    without_tool_images,
)
from domain.conversation.tool_choice import AS_IT_LIKES
from domain.dialogs.history import prompt_budget, relieved
from domain.models.models import ModelSpec


def fitted(request: ModelRequest, spec: ModelSpec) -> ModelRequest:
    """For `spec`, without what it has no room for: the oldest exchanges. Another model's reasoning means nothing to it.

    A model that uses no tools is offered none, and one that does not see is told of the images of results by their text
    alone, as if it had been asked from the beginning.
    """
    turns = tuple(map(_thoughtless, request.turns if spec.vision else without_tool_images(request.turns)))
    own = replace(
        request,
        model=spec.model,
        turns=turns,
        tools=request.tools if spec.tools else (),
        tool_choice=request.tool_choice if spec.tools else AS_IT_LIKES,
        max_output_tokens=spec.max_output_tokens,
    )
    lacking = request_tokens(own) - prompt_budget(spec.context_window, spec.max_output_tokens, 0)
    return replace(own, turns=relieved(turns, lacking)) if lacking > 0 else own


def can_take(request: ModelRequest, spec: ModelSpec) -> bool:
    """Whether `spec` can answer a request that is fitted for it."""
    if not spec.vision and any(isinstance(turn, UserTurn) and turn.images for turn in request.turns):
        return False
    if not spec.tools and any(isinstance(turn, AssistantTurn) and turn.tool_calls for turn in request.turns):
        return False
    return request_tokens(request) < spec.context_window - (spec.max_output_tokens or spec.context_window // 10)


def _thoughtless(turn: Turn) -> Turn:
    return replace(turn, reasoning=()) if isinstance(turn, AssistantTurn) and turn.reasoning else turn

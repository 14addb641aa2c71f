"""A request that its provider found too long, made short: tokens are but estimated, and windows configured."""

from collections.abc import Sequence
from dataclasses import replace

from domain.conversation.conversation import ModelRequest, ToolTurn, Turn, UserTurn, tokens_of, without_tool_images
from domain.dialogs.history import shortened
from domain.tokens import estimate
from domain.tools.call_limits import fitted


def compacted(request: ModelRequest) -> ModelRequest | None:
    """Without earlier exchanges but the last one, and with shortened results; None when that would change nothing.

    The newest question stays whole, with the summary, knowledge and documents that stand before it. Images of results
    that the model has seen go; those that it has not seen go where nothing else can.
    """
    turns = request.turns
    newest = max((at for at, turn in enumerate(turns) if isinstance(turn, UserTurn)), default=0)
    history = _last_exchange(turns[:newest])
    smaller = (*history, *_unseen_halved(turns[newest:]))
    for shorter in (smaller, without_tool_images(smaller)):
        if sum(map(tokens_of, shorter)) < sum(map(tokens_of, turns)):
            return replace(request, turns=shorter)
    return None


def _last_exchange(history: Sequence[Turn]) -> tuple[Turn, ...]:
    """With its results shortened; nothing where it alone is more than half of what there was."""
    begins = max((at for at, turn in enumerate(history) if isinstance(turn, UserTurn)), default=0)
    last = tuple(map(shortened, history[begins:]))
    return last if 2 * sum(map(tokens_of, last)) <= sum(map(tokens_of, history)) else ()


def _unseen_halved(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """What was done for the newest question. The last results, which the model has not seen, keep half their length."""
    if not turns or not isinstance(turns[-1], ToolTurn):
        return tuple(map(shortened, turns))
    return (*map(shortened, turns[:-1]), _halved(turns[-1]))


def _halved(turn: ToolTurn) -> ToolTurn:
    contents = [result.content for result in turn.results]
    most = sum(map(estimate, contents)) // 2
    kept = fitted(contents, most)
    halved = tuple(replace(result, content=text) for result, text in zip(turn.results, kept, strict=True))
    return replace(turn, results=halved)

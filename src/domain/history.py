"""What of a dialog's past goes into the next prompt: whole exchanges, newest first, within a budget of tokens."""

from collections.abc import Sequence
from typing import Final

from domain.attachments import mentioned
from domain.conversation import AssistantTurn, ToolTurn, Turn, UserTurn, tokens_of
from domain.messages import Exchange

NO_ANSWER: Final = "[no answer]"
"""Stands for an answer without text: vendors refuse an empty turn, and two user turns in a row."""

_DEFAULT_ANSWER_RESERVE: Final = 4096


def turns_of(exchange: Exchange) -> tuple[Turn, ...]:
    """The exchange as it is said to a model: question, each tool round, and the text after the last round.

    What was attached is named; its contents stand with the newest question.
    """
    turns: list[Turn] = [UserTurn(mentioned(exchange.question, [file.name for file in exchange.attachments]))]
    for tool_round in exchange.rounds:
        turns += AssistantTurn(tool_round.text, tool_round.calls), ToolTurn(tool_round.results)
    said_before = "".join(tool_round.text for tool_round in exchange.rounds)
    final = exchange.answer.removeprefix(said_before)
    return *turns, AssistantTurn(final if final.strip() else NO_ANSWER)


def window(exchanges: Sequence[Exchange], budget: int) -> tuple[Turn, ...]:
    """The turns of the newest exchanges that fit into `budget` tokens, oldest first, without gaps.

    An exchange goes in whole or not at all, so that a tool call is never without its result.
    """
    kept: list[tuple[Turn, ...]] = []
    for exchange in reversed(exchanges):
        turns = turns_of(exchange)
        budget -= sum(map(tokens_of, turns))
        if budget < 0:
            break
        kept.append(turns)
    return tuple(turn for turns in reversed(kept) for turn in turns)


def relieved(turns: Sequence[Turn], tokens: int) -> tuple[Turn, ...]:
    """Without as many of the oldest exchanges as make so many tokens room; the newest question always stays."""
    kept = tuple(turns)
    while tokens > 0:
        later = next((at for at, turn in enumerate(kept) if at and isinstance(turn, UserTurn)), None)
        if later is None:
            break
        tokens -= sum(map(tokens_of, kept[:later]))
        kept = kept[later:]
    return kept


def prompt_budget(context_window: int, max_output_tokens: int | None, fixed_tokens: int) -> int:
    """Tokens left for history beside `fixed_tokens` (system prompt, question, tools) and the answer.

    A tenth of the window stays free, because token counts are estimates.
    """
    reserve = min(_DEFAULT_ANSWER_RESERVE, context_window // 4) if max_output_tokens is None else max_output_tokens
    return max(0, context_window - context_window // 10 - reserve - fixed_tokens)

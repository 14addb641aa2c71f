"""What of a dialog's past goes into the next prompt: whole exchanges, newest first, within a budget of tokens.

Where not everything fits, older exchanges have the results of their tools shortened before any falls out; what fell out
is known by the dialog's summary.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from domain.conversation.conversation import AssistantTurn, ToolTurn, Turn, UserTurn, tokens_of
from domain.dialogs.messages import Exchange
from domain.dialogs.past import Past
from domain.dialogs.summaries import summary_before_question
from domain.files.attachments import mentioned
from domain.tools.call_limits import shortened_to

NO_ANSWER: Final = "[no answer]"
"""Stands for an answer without text: vendors refuse an empty turn, and two user turns in a row."""
SHORT_RESULT: Final = 96
"""Tokens of a tool's result that was shortened."""

_DEFAULT_ANSWER_RESERVE: Final = 4096


@dataclass(frozen=True, slots=True)
class History:
    """`summary` stands before the question, with its fence; it tells what `turns` leave out."""

    turns: tuple[Turn, ...] = ()
    summary: str = ""
    sizes: tuple[int, ...] = ()
    """Tokens that each of the past's exchanges costs at least."""


@dataclass(frozen=True, slots=True)
class Sized:
    """An exchange as it is said in full, and with its results shortened; the tokens of both."""

    full: tuple[Turn, ...]
    short: tuple[Turn, ...]
    cost: int
    least: int

    @classmethod
    def of(cls, exchange: Exchange) -> "Sized":
        full = turns_of(exchange)
        short = tuple(map(shortened, full))
        least = sum(map(tokens_of, short))
        more = sum(tokens_of(one) - tokens_of(other) for one, other in zip(full, short, strict=True) if one != other)
        return cls(full, short, least + more, least)


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


def remembered(past: Past, budget: int) -> History:
    """What is told of the past in at most `budget` tokens: the summary has its place first, half of it at most."""
    sized = list(map(Sized.of, past.exchanges))
    sizes = tuple(one.least for one in sized)
    shown = window(sized, budget)
    left_out = past.before - past.covers + len(sized) - len(shown)
    if past.summary is None:
        return History(joined(shown), sizes=sizes)
    # The words that tell of what is left out need room themselves, and may make one more exchange fall out.
    while True:
        summary = summary_before_question(past.summary, left_out, budget // 2)
        shown = window(sized, budget - tokens_of(UserTurn(summary)))
        now_left_out = past.before - past.covers + len(sized) - len(shown)
        if now_left_out <= left_out:
            return History(joined(shown[left_out - now_left_out :]), summary, sizes)
        left_out = now_left_out


def window(exchanges: Sequence[Sized], budget: int) -> list[tuple[Turn, ...]]:
    """The newest exchanges that fit into `budget` tokens, oldest first, without gaps.

    An exchange goes in whole but for the length of its results, or not at all: a tool call is never without its result.
    As many as fit with shortened results are taken; of these the newest have their results in full, as far as there
    is room.
    """
    kept: list[Sized] = []
    for one in reversed(exchanges):
        if one.least > budget:
            break
        budget -= one.least
        kept.append(one)
    shown: list[tuple[Turn, ...]] = []
    for one in kept:
        budget -= one.cost - one.least
        shown.append(one.full if budget >= 0 else one.short)
    return shown[::-1]


def shortened(turn: Turn) -> Turn:
    """A turn whose results are but their beginnings, without images."""
    if not isinstance(turn, ToolTurn):
        return turn
    return ToolTurn(
        tuple(replace(result, content=shortened_to(SHORT_RESULT, result.content)) for result in turn.results)
    )


def joined(exchanges: Iterable[tuple[Turn, ...]]) -> tuple[Turn, ...]:
    return tuple(turn for turns in exchanges for turn in turns)


def relieved(turns: Sequence[Turn], tokens: int) -> tuple[Turn, ...]:
    """With room for so many tokens more: results of earlier questions are shortened, then the oldest exchanges go.

    The newest question always stays, with all that was done for it; of that the images of results go at last, the
    oldest first.
    """
    newest = max((at for at, turn in enumerate(turns) if isinstance(turn, UserTurn)), default=0)
    kept = list(turns)
    for at in range(newest):
        if tokens <= 0:
            break
        short = shortened(kept[at])
        tokens -= tokens_of(kept[at]) - tokens_of(short)
        kept[at] = short
    while tokens > 0:
        later = next((at for at, turn in enumerate(kept) if at and isinstance(turn, UserTurn)), None)
        if later is None:
            break
        tokens -= sum(map(tokens_of, kept[:later]))
        kept = kept[later:]
    for at, turn in enumerate(kept):
        if tokens > 0 and isinstance(turn, ToolTurn) and turn.images:
            kept[at] = bare = replace(turn, images=())
            tokens -= tokens_of(turn) - tokens_of(bare)
    return tuple(kept)


def prompt_budget(context_window: int, max_output_tokens: int | None, fixed_tokens: int) -> int:
    """Tokens left for history beside `fixed_tokens` (system prompt, question, tools) and the answer.

    A tenth of the window stays free, because token counts are estimates.
    """
    reserve = min(_DEFAULT_ANSWER_RESERVE, context_window // 4) if max_output_tokens is None else max_output_tokens
    return max(0, context_window - context_window // 10 - reserve - fixed_tokens)

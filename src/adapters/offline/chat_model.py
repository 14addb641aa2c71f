"""The model itself."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterator

from adapters.offline.drills import drill_in
from adapters.offline.extract import best_sentences, first_sentences
from adapters.offline.passages import cited_sentences, numbered_in, parted, was_searched
from adapters.offline.remembering import learnt_by_rule, memories_in, told_of_user
from adapters.offline.rules import asks_for_search, calls_for
from adapters.offline.summing_up import summed_up, told_before
from adapters.offline.words import Wording, wording_for
from domain.conversation.conversation import (
    AssistantTurn,
    FinishReason,
    ModelEvent,
    ModelFinished,
    ModelRequest,
    TextDelta,
    ToolCallDelta,
    ToolTurn,
    Usage,
    UserTurn,
    request_tokens,
    tokens_of,
)
from domain.tokens import beginning
from domain.tools.tools import ToolCall, ToolResult, ToolSpec, ToolType

_GREETING = re.compile(
    r"^\W*(你好|您好|嗨|哈喽|早上好|晚上好|hi|hello|hey|good (morning|evening|afternoon))(\W+\w{1,8})?\W*$", re.I
)
_PIECE = re.compile(
    r"\s*(?:[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]|[^\s\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+)|\s+$"
)
LONGEST_ECHO = 200


class OfflineChatModel:
    """Answers the same to the same request. A person sees the words come: `delay_seconds` passes between two."""

    def __init__(self, *, delay_seconds: float = 0.02) -> None:
        self._delay_seconds = delay_seconds

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        drill = drill_in(request.turns[-1])
        if drill is not None:
            await asyncio.sleep(drill.silence)
        whole = AssistantTurn(drill.answer) if drill else _turn(request)
        limit = request.max_output_tokens
        said = whole if limit is None else _within(limit, whole)
        for index, call in enumerate(said.tool_calls):
            yield ToolCallDelta(index, call.call_id, call.name, call.arguments)
            await asyncio.sleep(self._delay_seconds)
        for piece in _PIECE.finditer(said.text):
            yield TextDelta(piece[0])
            await asyncio.sleep(self._delay_seconds)
        written = tokens_of(said)
        usage = Usage(request_tokens(request), written if limit is None else min(written, limit), estimated=True)
        done = FinishReason.TOOL_CALLS if said.tool_calls else FinishReason.STOP
        yield ModelFinished(done if said == whole else FinishReason.LENGTH, usage)


def _turn(request: ModelRequest) -> AssistantTurn:
    """Either calls or text."""
    if (summary := summed_up(request)) is not None:
        return AssistantTurn(summary)
    if (lesson := learnt_by_rule(request)) is not None:
        return AssistantTurn(lesson)
    last = request.turns[-1]
    offered = _useful(request.tools, last) if isinstance(last, UserTurn) else ()
    asked = calls_for(_question(last), offered, turn=len(request.turns)) if isinstance(last, UserTurn) else []
    calls = tuple(ToolCall(call.call_id, call.name, call.arguments) for call in asked)
    return AssistantTurn("" if calls else _answer(request), calls)


def _useful(tools: tuple[ToolSpec, ...], asked: UserTurn) -> tuple[ToolSpec, ...]:
    """Knowledge that was searched for the question already has no more to say to it, unless a person wants that."""
    question = _question(asked)
    if asks_for_search(question) or not (was_searched(asked.text) or _GREETING.match(question)):
        return tools
    return tuple(tool for tool in tools if tool.type is not ToolType.KNOWLEDGE)


def _within(limit: int, turn: AssistantTurn) -> AssistantTurn:
    """As much of the turn as the limit allows by our own count, which takes some tokens for the turn's frame."""
    if tokens_of(turn) <= limit:
        return turn
    calls = turn.tool_calls
    while calls and tokens_of(AssistantTurn("", calls)) > limit:
        calls = calls[:-1]
    return AssistantTurn(beginning(turn.text, limit - tokens_of(AssistantTurn(""))), calls)


def _answer(request: ModelRequest) -> str:
    last = request.turns[-1]
    asked = next((turn for turn in reversed(request.turns) if isinstance(turn, UserTurn)), UserTurn(""))
    question = _question(asked)
    wording = wording_for(question)
    if isinstance(last, ToolTurn):
        return _answer_from_tools(question, last, _calls_before(request), wording)
    if _GREETING.match(question):
        return wording.greeting
    memories = memories_in(told_before(parted(asked.text)[1])[1])[0]
    if told := told_of_user(question, memories):
        return f"{wording.remembered}\n\n" + "\n".join(told)
    if quoted := cited_sentences(question, numbered_in(parted(asked.text)[0])):
        return f"{wording.found}\n\n" + "\n".join(quoted)
    if found := best_sentences(question, _sources(request, asked, question)):
        return f"{wording.found}\n\n" + "\n".join(found)
    if begun := first_sentences(_attached(asked)):
        return f"{wording.begins}\n\n" + "\n".join(begun)
    if asked.images:
        return wording.seen_image.format(count=len(asked.images))
    return wording.lost.format(question=question[:LONGEST_ECHO])


def _question(turn: UserTurn) -> str:
    """Attachments and passages may stand around it: it is the last line that asks, else the last line."""
    _, asked = memories_in(told_before(parted(turn.text)[1])[1])
    lines = [line.strip() for line in asked.splitlines() if line.strip()]
    asking = [line for line in lines if line.endswith(("?", "\uff1f"))]
    return (asking or lines or [""])[-1]


def _attached(turn: UserTurn) -> str:
    """The documents that stand before the question, without the sentence that announces them."""
    text, closed, _ = parted(turn.text)[1].partition("</attachments>")
    _, opened, documents = text.partition("<document ")
    return f"{opened}{documents}" if closed else ""


def _sources(request: ModelRequest, asked: UserTurn, question: str) -> Iterator[str]:
    summary, now = told_before(parted(asked.text)[1])
    memories, now = memories_in(now)
    yield "\n".join(memories)
    yield now.replace(question, "\n")
    yield request.system
    for turn in reversed(request.turns[:-1]):
        match turn:
            case UserTurn():
                yield turn.text
            case ToolTurn():
                yield from (result.content for result in turn.results if not result.is_error)
            case AssistantTurn():
                pass
    yield summary


def _calls_before(request: ModelRequest) -> dict[str, ToolCall]:
    before = request.turns[-2] if len(request.turns) > 1 else None
    return {call.call_id: call for call in before.tool_calls} if isinstance(before, AssistantTurn) else {}


def _answer_from_tools(question: str, turn: ToolTurn, calls: dict[str, ToolCall], wording: Wording) -> str:
    answers = [_answer_from_tool(question, result, calls.get(result.call_id), wording) for result in turn.results]
    return "\n".join(answers) or wording.lost.format(question=question[:LONGEST_ECHO])


def _answer_from_tool(question: str, result: ToolResult, call: ToolCall | None, wording: Wording) -> str:
    content = result.content.strip()
    if result.is_error:
        return wording.tool_failed.format(name=result.name, content=content)
    if result.name == "calculator":
        return f"{_expression(call)} = {content}"
    if result.name == "current_time":
        return wording.time.format(content=content)
    if passages := numbered_in(content):
        quoted = cited_sentences(question, passages)
        return (
            f"{wording.found}\n\n" + "\n".join(quoted)
            if quoted
            else wording.lost.format(question=question[:LONGEST_ECHO])
        )
    found = best_sentences(question, [content]) or [content[:1000]] if content else []
    if not found:
        return wording.lost.format(question=question[:LONGEST_ECHO])
    return f"{wording.found}\n\n" + "\n".join(found)


def _expression(call: ToolCall | None) -> str:
    arguments = json.loads(call.arguments) if call else {}
    return str(arguments.get("expression", "…"))

"""The agent loop: ask the model, run what it calls, ask again, until it answers. Bounded in turns and in time."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from application.output_limit import LimitedOutput
from application.ports.chat_model import ChatModel
from application.ports.tool_runner import ToolFailed, ToolOutput, ToolRunner
from domain.assembly import AnswerAssembler
from domain.chat_events import (
    AnswerDelta,
    LoopEvent,
    ReasoningText,
    Retrieved,
    RoundFinished,
    ToolProgress,
    TurnFinished,
)
from domain.citations import found_message
from domain.conversation import (
    ModelFinished,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolTurn,
    Usage,
    request_tokens,
    tokens_of,
)
from domain.errors import ModelError
from domain.messages import Citation, StepStatus, ToolStep
from domain.tools import JsonValue, ToolCall, ToolResult, ToolRound, ToolType

MAX_CALLS_PER_TURN = 32
MAX_ARGUMENT_CHARS = 1_000_000
MAX_RESULT_CHARS = 40_000
MAX_SHOWN_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class AgentLoop:
    """`max_turns` bounds how often the model is asked; `tool_timeout` is in seconds, for each call."""

    max_turns: int
    tool_timeout: float

    async def run(
        self,
        model: ChatModel,
        request: ModelRequest,
        tools: Mapping[str, ToolRunner],
        *,
        max_output_tokens: int | None = None,
        context_window: int | None = None,
    ) -> AsyncGenerator[LoopEvent, None]:
        """Yield what happens, in order. Raises ModelError; closing it closes the model's stream and stops the tools.

        `max_output_tokens`, 1 or more, is for all turns together. A run that has used it up ends with LENGTH, and the
        calls of its last turn are not made. No provider is asked for more than its `context_window` has room for.
        """
        limited = None if max_output_tokens is None else LimitedOutput(model, max_output_tokens, context_window)
        for _ in range(self.max_turns):
            assembler = AnswerAssembler()
            async with aclosing((limited or model).stream(request)) as deltas:
                async for delta in deltas:
                    assembler.add(delta)
                    match delta:
                        case TextDelta(text):
                            yield AnswerDelta(text)
                        case ReasoningDelta(text):
                            yield ReasoningText(text)
                        case ModelFinished():
                            yield _turn_finished(delta, assembler, request)
                        case ToolCallDelta():
                            _refuse_endless(assembler)
            turn = assembler.turn()
            if not turn.tool_calls or (limited is not None and limited.left <= 0):
                return
            results: dict[str, ToolResult] = {}
            async with aclosing(self._call_all(turn.tool_calls, tools, results)) as events:
                async for event in events:
                    yield event
            ordered = tuple(results[call.call_id] for call in turn.tool_calls)
            yield RoundFinished(ToolRound(turn.text, turn.tool_calls, ordered))
            request = replace(request, turns=(*request.turns, turn, ToolTurn(ordered)))
        raise ModelError("too_many_turns", f"The model did not come to an answer within {self.max_turns} turns.")

    async def _call_all(
        self, calls: Sequence[ToolCall], tools: Mapping[str, ToolRunner], results: dict[str, ToolResult]
    ) -> AsyncGenerator[ToolProgress | Retrieved, None]:
        """Run all calls side by side; yield each start, then each end and what it found as it comes; fill `results`."""
        running: set[asyncio.Task[_Called]] = set()
        try:
            for call in calls:
                arguments = _shorten(call.arguments, MAX_SHOWN_CHARS)
                yield ToolProgress(_step(StepStatus.START, call, tools.get(call.name), "", arguments=arguments))
                running.add(asyncio.create_task(self._call(call, tools.get(call.name), sorted(tools))))
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    called = task.result()
                    results[called.result.call_id] = called.result
                    yield ToolProgress(called.step)
                    if called.citations:
                        yield Retrieved(found_message(len(called.citations)), called.citations)
        finally:
            for task in running:
                task.cancel()

    async def _call(self, call: ToolCall, tool: ToolRunner | None, known: Sequence[str]) -> "_Called":
        began = time.monotonic()
        citations: tuple[Citation, ...] = ()
        try:
            async with asyncio.timeout(self.tool_timeout):
                output = await _output(call, tool, known)
            content, failed = _shorten(output.content, MAX_RESULT_CHARS), False
            citations = output.citations
        except ToolFailed as failure:
            content, failed = str(failure), True
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            content, failed = "The tool was cancelled.", True
        except TimeoutError:
            content, failed = f"The tool gave no result within {self.tool_timeout:g} seconds.", True
        status = StepStatus.ERROR if failed else StepStatus.END
        spent = round((time.monotonic() - began) * 1000)
        step = _step(status, call, tool, _shorten(content, MAX_SHOWN_CHARS), duration_ms=spent)
        return _Called(ToolResult(call.call_id, call.name, content, failed), step, citations)


@dataclass(frozen=True, slots=True)
class _Called:
    """What came of a call."""

    result: ToolResult
    step: ToolStep
    citations: tuple[Citation, ...]


def _refuse_endless(assembler: AnswerAssembler) -> None:
    if assembler.calls > MAX_CALLS_PER_TURN:
        raise ModelError("too_many_tool_calls", f"The model made more than {MAX_CALLS_PER_TURN} calls at once.")
    if assembler.argument_chars > MAX_ARGUMENT_CHARS:
        raise ModelError("answer_too_long", "The model did not stop: its tool call was cut off.")


async def _output(call: ToolCall, tool: ToolRunner | None, known: Sequence[str]) -> ToolOutput:
    if tool is None:
        raise ToolFailed(f"There is no tool {call.name!r}. Tools: {', '.join(known) or 'none'}.")
    return await tool.run(_arguments(call))


def _turn_finished(finished: ModelFinished, assembler: AnswerAssembler, request: ModelRequest) -> TurnFinished:
    usage = finished.usage
    if usage is None:
        usage = Usage(request_tokens(request), tokens_of(assembler.turn()), estimated=True)
    return TurnFinished(finished.reason, usage)


def _arguments(call: ToolCall) -> Mapping[str, JsonValue]:
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError) as error:
        raise ToolFailed(f"The arguments of {call.name} are not valid JSON.") from error
    if not isinstance(arguments, dict):
        raise ToolFailed(f"The arguments of {call.name} must be a JSON object.")
    return arguments


def _step(
    status: StepStatus,
    call: ToolCall,
    tool: ToolRunner | None,
    message: str,
    *,
    arguments: str | None = None,
    duration_ms: int | None = None,
) -> ToolStep:
    title = tool.spec.title if tool else call.name
    kind = tool.spec.type if tool else ToolType.TOOL
    return ToolStep(status, title, message, call.call_id, call.name, kind, arguments, duration_ms)


def _shorten(text: str, maximum: int) -> str:
    return text if len(text) <= maximum else text[: maximum - 1] + "…"

"""The calls of one turn: checked, run side by side, each within its time, and told as they begin and end."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from application.ports.argument_check import ArgumentCheck
from application.ports.tool_runner import ToolFailed, ToolOutput, ToolRunner
from domain.chat.chat_events import Retrieved, ToolProgress
from domain.dialogs.messages import Citation, StepStatus, ToolStep
from domain.knowledge.citations import found_message
from domain.tools.call_limits import CallBook
from domain.tools.tools import JsonValue, ToolCall, ToolResult, ToolType

MAX_RESULT_CHARS = 40_000
MAX_SHOWN_CHARS = 2_000

OnDefect = Callable[[ToolCall, Exception], None]
"""Told of an exception that no rule foresaw: it costs its call, never the answer."""
CallEvent = ToolProgress | Retrieved


@dataclass(frozen=True, slots=True)
class CallTools:
    """`timeout` is in seconds, for each call."""

    timeout: float
    check: ArgumentCheck
    on_defect: OnDefect

    async def run(
        self,
        calls: Sequence[ToolCall],
        tools: Mapping[str, ToolRunner],
        book: CallBook,
        results: dict[str, ToolResult],
        wrong: Mapping[str, str | None] = MappingProxyType({}),
    ) -> AsyncGenerator[CallEvent, None]:
        """Yield each start, then each end and what it found as it comes; fill `results` by the calls' ids.

        `book` keeps the images that came along.
        `wrong`: what `problem` said of some of them, which are not checked again.
        """
        running: set[asyncio.Task[_Called]] = set()
        checking = asyncio.Semaphore(1)
        try:
            for call in calls:
                yield ToolProgress(started(call, tools.get(call.name)))
                refusal = book.admit(call) or wrong.get(call.call_id)
                running.add(asyncio.create_task(self._call(call, tools, refusal, checking)))
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    called = task.result()
                    results[called.call.call_id] = called.result
                    if called.result.is_error:
                        book.failed(called.call)
                    yield ToolProgress(called.step)
                    book.bring(called.call, called.images)
                    if called.citations:
                        yield Retrieved(found_message(len(called.citations)), called.citations)
        finally:
            for task in running:
                task.cancel()

    async def problem(self, call: ToolCall, tools: Mapping[str, ToolRunner]) -> str | None:
        """What is wrong with a call before it is made, in words for the model; None when nothing is."""
        try:
            await asyncio.to_thread(self._checked, call, tools)
        except ToolFailed as failure:
            return str(failure)
        return None

    def _checked(self, call: ToolCall, tools: Mapping[str, ToolRunner]) -> tuple[ToolRunner, Mapping[str, JsonValue]]:
        tool = tools.get(call.name)
        if tool is None:
            raise ToolFailed(f"There is no tool {call.name!r}. Tools: {', '.join(sorted(tools)) or 'none'}.")
        arguments = _arguments(call)
        if problems := self.check.problems(tool.spec.parameters, arguments):
            raise ToolFailed(f"The arguments of {call.name} are wrong. {' '.join(problems)}")
        return tool, arguments

    async def _output(
        self, call: ToolCall, tools: Mapping[str, ToolRunner], refusal: str | None, checking: asyncio.Semaphore
    ) -> ToolOutput:
        if refusal is not None:
            raise ToolFailed(refusal)
        # In a thread, and of a turn one at a time: a hostile schema makes each of 32 checks take a tenth of a second.
        async with checking:
            tool, arguments = await asyncio.to_thread(self._checked, call, tools)
        async with asyncio.timeout(self.timeout):
            return await tool.run(arguments)

    async def _call(
        self, call: ToolCall, tools: Mapping[str, ToolRunner], refusal: str | None, checking: asyncio.Semaphore
    ) -> "_Called":
        began = time.monotonic()
        output = ToolOutput("")
        try:
            output = await self._output(call, tools, refusal, checking)
            content, failed = shorten(output.content, MAX_RESULT_CHARS), False
        except ToolFailed as failure:
            content, failed = shorten(str(failure), MAX_RESULT_CHARS), True
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            content, failed = "The tool was cancelled.", True
        except TimeoutError:
            content, failed = f"The tool gave no result within {self.timeout:g} seconds.", True
        except Exception as defect:  # noqa: BLE001 - see OnDefect
            self.on_defect(call, defect)
            content, failed = "The tool failed through a defect of the server.", True
        spent = round((time.monotonic() - began) * 1000)
        told = ended(call, tools.get(call.name), content, failed=failed, duration_ms=spent)
        return _Called(call, *told, output.citations, output.images)


@dataclass(frozen=True, slots=True)
class _Called:
    """What came of a call."""

    call: ToolCall
    result: ToolResult
    step: ToolStep
    citations: tuple[Citation, ...]
    images: tuple[bytes, ...]


def started(call: ToolCall, tool: ToolRunner | None, status: StepStatus = StepStatus.START) -> ToolStep:
    """What a person is shown of a call that begins; all of one that waits for their word: they must see it."""
    title = tool.spec.title if tool else call.name
    kind = tool.spec.type if tool else ToolType.TOOL
    shown = call.arguments if status is StepStatus.APPROVAL else shorten(call.arguments, MAX_SHOWN_CHARS)
    return ToolStep(status, title, "", call.call_id, call.name, kind, shown)


def handed(call: ToolCall, name: str) -> ToolStep:
    """What the program is told that runs the tool itself: all of the call."""
    return ToolStep(StepStatus.HANDED, name, "", call.call_id, name, ToolType.TOOL, call.arguments)


def ended(
    call: ToolCall, tool: ToolRunner | None, content: str, *, failed: bool, duration_ms: int | None = None
) -> tuple[ToolResult, ToolStep]:
    """What the model is given of a call, and what a person is shown."""
    step = started(call, tool, StepStatus.ERROR if failed else StepStatus.END)
    shown = shorten(content, MAX_SHOWN_CHARS)
    return (
        ToolResult(call.call_id, call.name, content, failed),
        replace(step, message=shown, arguments=None, duration_ms=duration_ms),
    )


def shorten(text: str, maximum: int) -> str:
    return text if len(text) <= maximum else text[: maximum - 1] + "…"


def _arguments(call: ToolCall) -> Mapping[str, JsonValue]:
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError) as error:
        raise ToolFailed(f"The arguments of {call.name} are not valid JSON.") from error
    if not isinstance(arguments, dict):
        raise ToolFailed(f"The arguments of {call.name} must be a JSON object.")
    return arguments

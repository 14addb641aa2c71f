"""The agent loop: ask the model, run what it calls, ask again, until it answers. Bounded in turns, calls and time.

Where a call needs a person's word, the loop ends with all that it needs to go on: later, and at any process.
"""

from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from application.output_limit import LimitedOutput
from application.ports.chat_model import ChatModel
from application.ports.tool_runner import ToolRunner
from application.tool_calls import CallTools, ended, handed, started
from domain.assembly import AnswerAssembler
from domain.call_limits import CallBook, fitted
from domain.chat_events import (
    AnswerDelta,
    LoopEvent,
    ReasoningText,
    RoundFinished,
    ToolProgress,
    TurnFinished,
)
from domain.conversation import (
    AssistantTurn,
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
from domain.history import prompt_budget, relieved
from domain.messages import StepStatus
from domain.pauses import DECLINED, HELD_BACK, LoopPause, PauseAsked
from domain.tokens import estimate
from domain.tools import ToolCall, ToolResult, ToolRound

MAX_CALLS_PER_TURN = 32
MAX_ARGUMENT_CHARS = 1_000_000

Happening = LoopEvent | PauseAsked


@dataclass(frozen=True, slots=True)
class Equipment:
    """The tools of a run, by the names that the model knows; those in `guarded` wait for a person's word each time."""

    tools: Mapping[str, ToolRunner]
    guarded: Collection[str] = ()
    callers: Mapping[str, str] = field(default_factory=dict)
    """Tools that the program runs which asked, each with its own name for it: a turn that calls one is the last."""
    one_at_a_time: bool = False
    """Of several calls of one turn that program wants the first."""

    def handed(self, turn: AssistantTurn) -> list[ToolCall]:
        calls = [call for call in turn.tool_calls if call.name in self.callers]
        return calls[:1] if self.one_at_a_time else calls


@dataclass(slots=True)
class _Course:
    """One run's way through the loop."""

    model: ChatModel
    request: ModelRequest
    context_window: int | None
    turns_left: int
    book: CallBook
    limited: LimitedOutput | None = None

    @property
    def exhausted(self) -> bool:
        """Whether the model may write nothing more."""
        return self.limited is not None and self.limited.left <= 0

    def limit(self, tokens: int | None) -> "_Course":
        if tokens is not None:
            self.model = self.limited = LimitedOutput(self.model, tokens, self.context_window)
        return self


@dataclass(frozen=True, slots=True)
class AgentLoop:
    """`max_turns` bounds how often the model is asked."""

    max_turns: int
    calls: CallTools

    async def run(
        self,
        model: ChatModel,
        request: ModelRequest,
        equipment: Equipment,
        *,
        max_output_tokens: int | None = None,
        context_window: int | None = None,
    ) -> AsyncGenerator[Happening, None]:
        """Yield what happens, in order. Raises ModelError; closing it closes the model's stream and stops the tools.

        `max_output_tokens`, 1 or more, is for all turns together. A run that has used it up ends with LENGTH, and the
        calls of its last turn are not made. No provider is asked for more than its `context_window` has room for.
        """
        course = _Course(model, request, context_window, self.max_turns, CallBook()).limit(max_output_tokens)
        async with aclosing(self._turns(course, equipment)) as events:
            async for event in events:
                yield event

    async def resume(
        self,
        model: ChatModel,
        pause: LoopPause,
        decided: Sequence[tuple[ToolCall, bool]],
        equipment: Equipment,
        *,
        context_window: int | None = None,
    ) -> AsyncGenerator[Happening, None]:
        """Go on where it waited: `decided` are its pending calls, and whether each may be made."""
        book = CallBook(pause.calls_made, pause.failures, pause.refused_turns)
        course = _Course(model, pause.request, context_window, pause.turns_left, book).limit(pause.output_left)
        results = {result.call_id: result for result in pause.results}
        for call in [call for call, approved in decided if not approved]:
            results[call.call_id], step = ended(call, equipment.tools.get(call.name), DECLINED, failed=True)
            yield ToolProgress(step)
        approved = [call for call, approved in decided if approved]
        async with aclosing(self.calls.run(approved, equipment.tools, book, results)) as told:
            async for event in told:
                yield event
        # The model is told of the arguments that were used, which may be the person's.
        used = {call.call_id: call for call, _ in decided}
        turn = replace(pause.turn, tool_calls=tuple(used.get(call.call_id, call) for call in pause.turn.tool_calls))
        yield _round(course, turn, results)
        if approved:
            _refuse_circles(course, len(approved))
        async with aclosing(self._turns(course, equipment)) as events:
            async for happening in events:
                yield happening

    async def _turns(self, course: _Course, equipment: Equipment) -> AsyncGenerator[Happening, None]:
        while course.turns_left > 0:
            course.turns_left -= 1
            assembler = AnswerAssembler()
            async with aclosing(_asked(course, assembler)) as said:
                async for event in said:
                    yield event
            turn = assembler.turn()
            if not turn.tool_calls or course.exhausted:
                return
            guarded = [call for call in turn.tool_calls if call.name in equipment.guarded]
            # A person is not asked about a call that can't be made anyway.
            wrong = {call.call_id: await self.calls.problem(call, equipment.tools) for call in guarded}
            waiting = [call for call in guarded if (wrong[call.call_id] or course.book.refusal(call)) is None]
            results: dict[str, ToolResult] = {}
            callers = [call for call in turn.tool_calls if call.name in equipment.callers]
            at_once = [call for call in turn.tool_calls if call not in waiting and call not in callers]
            async with aclosing(self.calls.run(at_once, equipment.tools, course.book, results, wrong)) as told:
                async for progress in told:
                    yield progress
            if waiting:
                # Until the person's word came, the program that asked may be gone.
                results |= {call.call_id: ToolResult(call.call_id, call.name, HELD_BACK, True) for call in callers}
                for call in waiting:
                    yield ToolProgress(started(call, equipment.tools.get(call.name), StepStatus.APPROVAL))
                yield PauseAsked(_pause(course, turn, results, waiting))
                return
            if callers:
                for happening in _handed(course, turn, results, equipment):
                    yield happening
                return
            yield _round(course, turn, results)
            _refuse_circles(course, len(turn.tool_calls))
        raise ModelError("too_many_turns", f"The model did not come to an answer within {self.max_turns} turns.")


async def _asked(course: _Course, assembler: AnswerAssembler) -> AsyncGenerator[LoopEvent, None]:
    """One answer of the model."""
    async with aclosing(course.model.stream(course.request)) as deltas:
        async for delta in deltas:
            assembler.add(delta)
            match delta:
                case TextDelta(text):
                    yield AnswerDelta(text)
                case ReasoningDelta(text):
                    yield ReasoningText(text)
                case ModelFinished():
                    yield _turn_finished(delta, assembler, course.request)
                case ToolCallDelta():
                    _refuse_endless(assembler)


def _handed(
    course: _Course, turn: AssistantTurn, results: Mapping[str, ToolResult], equipment: Equipment
) -> Iterator[Happening]:
    """Our own calls of the turn are made by now: they are kept as a round of their own, before the caller's."""
    own = tuple(call for call in turn.tool_calls if call.call_id in results)
    if own:
        yield _round(course, replace(turn, tool_calls=own), results)
    for call in equipment.handed(turn):
        yield ToolProgress(handed(call, equipment.callers[call.name]))


def _pause(
    course: _Course, turn: AssistantTurn, results: Mapping[str, ToolResult], waiting: Sequence[ToolCall]
) -> LoopPause:
    return LoopPause(
        course.request,
        turn,
        tuple(results.values()),
        tuple(waiting),
        course.turns_left,
        None if course.limited is None else course.limited.left,
        course.book.made,
        course.book.failures,
        course.book.refused_turns,
    )


def _round(course: _Course, turn: AssistantTurn, results: Mapping[str, ToolResult]) -> RoundFinished:
    """The turn with its results in call order, which becomes part of what the model is asked next."""
    ordered = tuple(results[call.call_id] for call in turn.tool_calls)
    if course.context_window is not None:
        ordered = _within(course, course.context_window, turn, ordered)
    course.request = replace(course.request, turns=(*course.request.turns, turn, ToolTurn(ordered)))
    return RoundFinished(ToolRound(turn.text, turn.tool_calls, ordered))


def _within(
    course: _Course, window: int, turn: AssistantTurn, results: tuple[ToolResult, ...]
) -> tuple[ToolResult, ...]:
    """What the window has room for: the oldest exchanges of the dialog go first, then the longest results are cut."""
    wanted = sum(estimate(result.content) for result in results)
    room = _room(course.request, window, turn)
    if room < wanted:
        course.request = replace(course.request, turns=relieved(course.request.turns, wanted - room))
        room = _room(course.request, window, turn)
    contents = fitted([result.content for result in results], room)
    return tuple(replace(result, content=content) for result, content in zip(results, contents, strict=True))


def _room(request: ModelRequest, window: int, turn: AssistantTurn) -> int:
    return prompt_budget(window, request.max_output_tokens, request_tokens(request) + tokens_of(turn))


def _refuse_circles(course: _Course, calls: int) -> None:
    if not course.book.gets_on(calls):
        raise ModelError("tool_calls_repeated", "The model kept on making calls that had failed or were refused.")


def _refuse_endless(assembler: AnswerAssembler) -> None:
    if assembler.calls > MAX_CALLS_PER_TURN:
        raise ModelError("too_many_tool_calls", f"The model made more than {MAX_CALLS_PER_TURN} calls at once.")
    if assembler.argument_chars > MAX_ARGUMENT_CHARS:
        raise ModelError("answer_too_long", "The model did not stop: its tool call was cut off.")


def _turn_finished(finished: ModelFinished, assembler: AnswerAssembler, request: ModelRequest) -> TurnFinished:
    usage = finished.usage
    if usage is None:
        usage = Usage(request_tokens(request), tokens_of(assembler.turn()), estimated=True)
    return TurnFinished(finished.reason, usage)

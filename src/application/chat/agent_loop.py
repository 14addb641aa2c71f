"""The agent loop: ask the model, run what it calls, ask again, until it answers. Bounded in turns, calls and time.

Where a call needs a person's word, the loop ends with all that it needs to go on: later, and at any process.
"""

from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from application.asking.model_chain import ModelChain
from application.chat.tool_images import OpenToolImages
from application.ports.tool_runner import ToolRunner
from application.tools.tool_calls import CallTools, ended, handed, started
from domain.chat.chat_events import LoopEvent, RoundFinished, ToolProgress
from domain.conversation.assembly import AnswerAssembler
from domain.conversation.conversation import (
    IMAGE_TOKENS,
    AssistantTurn,
    ModelRequest,
    ToolImage,
    ToolTurn,
    images_in,
    request_tokens,
    tokens_of,
)
from domain.dialogs.history import prompt_budget, relieved
from domain.dialogs.messages import StepStatus
from domain.errors import ModelError
from domain.runs.pauses import DECLINED, HELD_BACK, LoopPause, PauseAsked
from domain.tokens import estimate
from domain.tools.call_limits import CallBook, fitted
from domain.tools.tools import ToolCall, ToolResult, ToolRound

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

    models: ModelChain
    request: ModelRequest
    turns_left: int
    book: CallBook


@dataclass(frozen=True, slots=True)
class AgentLoop:
    """`max_turns` bounds how often the model is asked. Without `images` those of results are told by text alone."""

    max_turns: int
    calls: CallTools
    images: OpenToolImages | None = None

    def run(self, models: ModelChain, request: ModelRequest, equipment: Equipment) -> AsyncGenerator[Happening, None]:
        """Yield what happens, in order. Raises ModelError; closing it closes the model's stream and stops the tools.

        A run that has used up what it may write ends with LENGTH, and the calls of its last turn are not made.
        """
        return self._turns(_Course(models, request, self.max_turns, CallBook()), equipment)

    async def resume(
        self,
        models: ModelChain,
        pause: LoopPause,
        decided: Sequence[tuple[ToolCall, bool]],
        equipment: Equipment,
    ) -> AsyncGenerator[Happening, None]:
        """Go on where it waited: `decided` are its pending calls, and whether each may be made."""
        book = CallBook(pause.calls_made, pause.failures, pause.refused_turns)
        course = _Course(models, pause.request, pause.turns_left, book)
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
        yield _round(course, turn, results, await self._images(course))
        if approved:
            _refuse_circles(course, len(approved))
        async with aclosing(self._turns(course, equipment)) as events:
            async for happening in events:
                yield happening

    async def _turns(self, course: _Course, equipment: Equipment) -> AsyncGenerator[Happening, None]:
        while course.turns_left > 0:
            course.turns_left -= 1
            assembler = AnswerAssembler(course.request.turns)
            async with aclosing(course.models.ask(course.request, assembler)) as said:
                async for event in said:
                    yield event
            course.request = course.models.request
            turn = assembler.turn()
            if not turn.tool_calls or course.models.exhausted:
                return
            guarded = [call for call in turn.tool_calls if call.name in equipment.guarded]
            # A person is not asked about a call that can't be made anyway.
            wrong = {call.call_id: await self.calls.problem(call, equipment.tools) for call in guarded}
            possible = [call for call in guarded if (wrong[call.call_id] or course.book.refusal(call)) is None]
            results: dict[str, ToolResult] = {}
            callers = [call for call in turn.tool_calls if call.name in equipment.callers]
            at_once = [call for call in turn.tool_calls if call not in possible and call not in callers]
            # Of those that wait each can be made after the word: they are counted together, and the others before them.
            waiting = course.book.in_room(possible, at_once)
            for call in possible[len(waiting) :]:
                turned_down = ended(call, equipment.tools[call.name], course.book.turn_down(), failed=True)
                results[call.call_id], step = turned_down
                yield ToolProgress(step)
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
            yield _round(course, turn, results, await self._images(course))
            _refuse_circles(course, len(turn.tool_calls))
        raise ModelError("too_many_turns", f"The model did not come to an answer within {self.max_turns} turns.")

    async def _images(self, course: _Course) -> tuple[ToolImage, ...]:
        """Those of the turn's results, where the model that goes on sees."""
        brought = course.book.take_images()
        if self.images is None or not course.models.spec.vision or not brought:
            return ()
        return await self.images(course.models.owner, brought, images_in(course.request.turns))


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
        course.models.output_left,
        course.book.made,
        course.book.failures,
        course.book.refused_turns,
    )


def _round(
    course: _Course, turn: AssistantTurn, results: Mapping[str, ToolResult], images: tuple[ToolImage, ...] = ()
) -> RoundFinished:
    """The turn with its results in call order, which becomes part of what the model is asked next."""
    results_in_order = tuple(results[call.call_id] for call in turn.tool_calls)
    whole = ToolTurn(results_in_order, images)
    told = _within(course, course.models.spec.context_window, turn, whole)
    course.request = replace(course.request, turns=(*course.request.turns, turn, told))
    return RoundFinished(ToolRound(turn.text, turn.tool_calls, told.results))


def _within(course: _Course, window: int, turn: AssistantTurn, whole: ToolTurn) -> ToolTurn:
    """What the window has room for: the oldest exchanges of the dialog go first, then the longest results are cut.

    Images have the room that the text leaves.
    """
    results, images = whole.results, whole.images
    wanted = sum(estimate(result.content) for result in results) + IMAGE_TOKENS * len(images)
    room = _room(course.request, window, turn)
    if room < wanted:
        course.request = replace(course.request, turns=relieved(course.request.turns, wanted - room))
        room = _room(course.request, window, turn)
    contents = fitted([result.content for result in results], room)
    left = max(0, room - sum(map(estimate, contents)))
    told = tuple(replace(result, content=content) for result, content in zip(results, contents, strict=True))
    return ToolTurn(told, images[: left // IMAGE_TOKENS])


def _room(request: ModelRequest, window: int, turn: AssistantTurn) -> int:
    return prompt_budget(window, request.max_output_tokens, request_tokens(request) + tokens_of(turn))


def _refuse_circles(course: _Course, calls: int) -> None:
    if not course.book.gets_on(calls):
        raise ModelError("tool_calls_repeated", "The model kept on making calls that had failed or were refused.")

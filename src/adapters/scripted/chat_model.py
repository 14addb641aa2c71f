"""The model that plays the script."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from adapters.scripted.steps import Call, Hold, Pause, Step, Turn, finished
from domain.conversation.conversation import FinishReason, ModelEvent, ModelFinished, ModelRequest, ToolCallDelta
from domain.errors import ModelError
from domain.models.models import ModelSpec


class ScriptedChatModel:
    """`ScriptedChatModel([delta("Hi"), call("search", query="x"), finished(), delta("found"), finished()])`.

    A turn ends with `finished()`, a `fail()`, or where a text follows a call; a missing `finished()` is added. `turns`
    gives the turns themselves. After the script's last turn the next request begins it anew with `repeat`, else it is
    an AssertionError: the code under test asked once too often.
    """

    def __init__(self, script: Sequence[Step] = (), *, turns: Sequence[Turn] = (), repeat: bool = False) -> None:
        self._turns = [list(turn) for turn in turns] or _split(script)
        self._repeat = repeat
        self.requests: list[ModelRequest] = []
        """Every request, in order."""
        self.opened = 0
        self.closed = 0
        """Streams that ended, whatever way: run out, failed, closed or cancelled."""
        self.cancelled = 0
        """Streams that were closed or cancelled before their end."""

    @property
    def active(self) -> int:
        return self.opened - self.closed

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        turn = self._next_turn(request)
        self.opened += 1
        try:
            async with aclosing(_played(turn)) as events:
                async for event in events:
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled += 1
            raise
        finally:
            self.closed += 1

    def _next_turn(self, request: ModelRequest) -> list[Step]:
        number = len(self.requests)
        self.requests.append(request)
        if number >= len(self._turns) and not self._repeat:
            raise AssertionError(f"the script has {len(self._turns)} turns, and the model was asked {number + 1} times")
        return self._turns[number % len(self._turns)]


class ScriptedChatModels:
    """Opens the same model for every spec, or the one of the spec's `llm_id`. Remembers what was opened."""

    def __init__(self, model: ScriptedChatModel | None = None, **by_id: ScriptedChatModel) -> None:
        self._model = model
        self._by_id: Mapping[str, ScriptedChatModel] = by_id
        self.opened: list[ModelSpec] = []

    def open(self, spec: ModelSpec) -> ScriptedChatModel:
        self.opened.append(spec)
        model = self._by_id.get(spec.llm_id, self._model)
        if model is None:
            raise ModelError("model_not_configured", spec.unavailable_reason or f"Configure {spec.llm_id}.")
        return model


async def _played(turn: list[Step]) -> AsyncGenerator[ModelEvent, None]:
    calls = 0
    for step in turn:
        match step:
            case Hold():
                step.reached.set()
                await step.gate.wait()
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case ModelError():
                raise step
            case Call():
                yield ToolCallDelta(calls, step.call_id or f"call_{calls}", step.name, step.arguments)
                calls += 1
            case ToolCallDelta():
                calls = max(calls, step.index + 1)
                yield step
            case ModelFinished(FinishReason.STOP) if calls:
                yield replace(step, reason=FinishReason.TOOL_CALLS)
            case _:
                yield step


def _split(script: Sequence[Step]) -> list[list[Step]]:
    turns: list[list[Step]] = [[]]
    for step in script:
        turn = turns[-1]
        if turn and (_ends(turn[-1]) or (isinstance(turn[-1], Call) and not _goes_on(step))):
            turns.append([])
        turns[-1].append(step)
    for turn in turns:
        if not turn or not _ends(turn[-1]):
            turn.append(finished())
    return turns


def _ends(step: Step) -> bool:
    return isinstance(step, ModelFinished | ModelError)


def _goes_on(step: Step) -> bool:
    """After a call, only another call or the end of the turn belongs to the same turn."""
    return isinstance(step, Call | ToolCallDelta | Hold | Pause | ModelError | ModelFinished)

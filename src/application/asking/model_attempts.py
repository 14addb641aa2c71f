"""One call of a model's provider, from the place that it waits for to its end: its limits, its times, what it used."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from application.asking.model_places import Leave, ModelPlaces
from application.asking.model_statistics import ModelStatistics
from application.asking.output_limit import LimitedOutput
from application.asking.provider_breakers import Breakers, Trial
from application.asking.stopped_output import StoppedOutput
from application.ports.chat_model import ChatModels
from domain.chat.chat_events import AnswerDelta, AttemptBegan, AttemptEnded, LoopEvent, ReasoningText, TurnFinished
from domain.conversation.assembly import AnswerAssembler
from domain.conversation.conversation import (
    ModelEvent,
    ModelFinished,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
    request_tokens,
    tokens_of,
)
from domain.errors import ModelError
from domain.models.attempts import ANSWERED, DEFECT, INTERRUPTED, Attempt, Purpose, cost_of
from domain.models.models import ModelSpec
from domain.tokens import RunningEstimate

MAX_CALLS_PER_TURN: Final = 32
MAX_ARGUMENT_CHARS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Calling:
    """What calls of all models share."""

    providers: ChatModels
    places: ModelPlaces
    breakers: Breakers
    statistics: ModelStatistics

    def ready(self, spec: ModelSpec) -> bool:
        """Whether the model would be asked at once, or after a wait that is worth it."""
        try:
            self.providers.open(spec)
            self.breakers.refuse(spec)
            self.places.refuse_guest(spec)
        except ModelError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Call:
    """Who is asked what, and for what. `guest`: nobody admitted it at this model. `output_left` as in a request.

    `patience`: how long a place is waited for.
    """

    spec: ModelSpec
    request: ModelRequest
    purpose: Purpose = Purpose.ANSWER
    guest: bool = False
    output_left: int | None = None
    patience: float | None = None


class Attempting:
    """The call while it goes on. Leaving it closes the stream, gives the place back, and tells the breaker."""

    events: AsyncGenerator[ModelEvent, None]

    def __init__(self, calling: Calling, call: Call, assembler: AnswerAssembler) -> None:
        self._assembler = assembler
        self._calling = calling
        self._call = call
        self._limited: LimitedOutput | None = None
        self._leave: Leave | None = None
        self._trial: Trial | None = None
        self._at = 0
        self._began = 0.0
        self._sent = 0
        self._first: float | None = None
        self._thoughts = RunningEstimate()
        self._finished: ModelFinished | None = None
        self.seconds = 0.0
        """How long it took, once it is over."""
        self.spoke = False
        """Whether anything came: from then on nobody else can answer in its place."""

    async def __aenter__(self) -> Self:
        """Raises ModelError where no provider was asked."""
        call, calling = self._call, self._calling
        model = calling.providers.open(call.spec)
        calling.breakers.refuse(call.spec)
        if call.request.stop:
            model = StoppedOutput(model, call.request.stop)
        if call.output_left is not None:
            model = self._limited = LimitedOutput(model, call.output_left, call.spec.context_window)
        self._sent = request_tokens(call.request)
        self.events = model.stream(call.request)
        leave = await calling.places.take(call.spec, guest=call.guest, patience=call.patience)
        try:
            # What waited in line may find that the others have failed meanwhile.
            self._trial = calling.breakers.begin(call.spec)
        except ModelError:
            leave()
            raise
        self._leave = leave
        self._at, self._began = time.time_ns() // 1_000_000, time.monotonic()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds = time.monotonic() - self._began
        try:
            await self.events.aclose()
        finally:
            if self._leave is not None:
                self._leave()
            if self._trial is not None:
                self._tell(self._trial, error)

    def _tell(self, trial: Trial, error: BaseException | None) -> None:
        if self.answered:
            trial.ended(None)
        elif isinstance(error, ModelError):
            trial.ended(error)
        else:
            trial.given_up()
        self._calling.statistics.ended(self._call.spec, ANSWERED if self.answered else _outcome_of(error))

    @property
    def begun(self) -> bool:
        """Whether a provider was asked."""
        return self._trial is not None

    @property
    def answered(self) -> bool:
        return self._finished is not None

    @property
    def output_left(self) -> int | None:
        """What the next call may write."""
        return self._call.output_left if self._limited is None else self._limited.left

    async def first(self, patience: float | None) -> ModelEvent:
        """The first event, within so many seconds; None leaves it to the model how long that may take."""
        try:
            async with asyncio.timeout(patience):
                event = await anext(self.events, None)
        except TimeoutError:
            raise ModelError("model_timeout", "The model sent no first word in time.", retryable=True) from None
        if event is None:
            raise ModelError("model_empty_answer", "The model ended its answer without saying anything.")
        self.spoke = True
        self._first = time.monotonic()
        if self._trial is not None:
            self._trial.spoke()
        return event

    def told(self, delta: ModelEvent) -> LoopEvent | None:
        """What is to be said of it; None for a piece of a call."""
        self._assembler.add(delta)
        match delta:
            case TextDelta(text):
                return AnswerDelta(text)
            case ReasoningDelta(text):
                self._thoughts.add(text)
                return ReasoningText(text)
            case ModelFinished(usage=usage):
                self._finished = delta
                return AttemptEnded(self._attempt(usage or self._estimated(), ANSWERED))
            case ToolCallDelta():
                _refuse_endless(self._assembler)
                return None

    def turn_finished(self) -> TurnFinished:
        """Raises ModelError for an answer that broke off without saying so."""
        if self._finished is None:
            raise ModelError("model_stream_cut", "The model's answer broke off.", retryable=True)
        return TurnFinished(self._finished.reason)

    def began(self) -> AttemptBegan:
        """What is known of it now."""
        usage = Usage(self._sent, 0, estimated=True)
        return AttemptBegan(self._attempt(usage, INTERRUPTED), self._call.spec.prices)

    def failed(self, error: Exception) -> AttemptEnded:
        """What failed without a word costs nothing: a provider's trouble must not use up anybody's quota."""
        usage = self._estimated() if self.spoke else Usage()
        return AttemptEnded(self._attempt(usage, _outcome_of(error)))

    def _estimated(self) -> Usage:
        return Usage(self._sent, tokens_of(self._assembler.turn()) + self._thoughts.tokens, estimated=True)

    def _attempt(self, usage: Usage, outcome: str) -> Attempt:
        spec = self._call.spec
        return Attempt(
            llm_id=spec.llm_id,
            provider=spec.provider,
            model=spec.model,
            usage=usage,
            outcome=outcome,
            at=self._at,
            duration_ms=_milliseconds(time.monotonic() - self._began),
            first_token_ms=None if self._first is None else _milliseconds(self._first - self._began),
            cost_nanos=cost_of(usage, spec.prices),
            currency=spec.prices.currency if spec.prices else "",
            purpose=self._call.purpose,
        )


def _refuse_endless(assembler: AnswerAssembler) -> None:
    if assembler.calls > MAX_CALLS_PER_TURN:
        raise ModelError("too_many_tool_calls", f"The model made more than {MAX_CALLS_PER_TURN} calls at once.")
    if assembler.argument_chars > MAX_ARGUMENT_CHARS:
        raise ModelError("answer_too_long", "The model did not stop: its tool call was cut off.")


def _outcome_of(error: BaseException | None) -> str:
    match error:
        case ModelError(code=code):
            return code
        case Exception():
            return DEFECT
    return INTERRUPTED


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))

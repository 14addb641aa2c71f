"""What a run has produced so far: at any moment it can be kept as an answer, however the run ends."""

from dataclasses import replace
from datetime import datetime

from domain.chat.chat_events import (
    AnswerDelta,
    AttemptBegan,
    AttemptEnded,
    LoopEvent,
    ReasoningText,
    Retrieved,
    RoundFinished,
    RunFailed,
    ToolProgress,
    TurnFinished,
)
from domain.conversation.conversation import FinishReason, Usage
from domain.dialogs.messages import Answer, AnswerStatus, Citation, StepStatus, ToolStep
from domain.knowledge.citations import cited
from domain.models.attempts import Attempt, broken_off
from domain.tokens import estimate
from domain.tools.tools import ToolRound


class Transcript:
    """Collects a run's events into its answer."""

    __slots__ = (
        "_attempts",
        "_began",
        "_citations",
        "_failure",
        "_finish_reason",
        "_model",
        "_rounds",
        "_steps",
        "_text",
        "_text_before",
        "_thoughts",
        "size",
    )

    def __init__(self) -> None:
        self._text: list[str] = []
        self._rounds: list[ToolRound] = []
        self._steps: list[ToolStep] = []
        self._attempts: list[Attempt] = []
        self._began: AttemptBegan | None = None
        self._text_before = 0
        self._thoughts: list[str] = []
        """Since the attempt began that has not ended; `_text_before` are the texts before it."""
        self._model: str | None = None
        self._citations: list[Citation] = []
        self._finish_reason: FinishReason | None = None
        self._failure: str | None = None
        self.size = 0
        """Characters of text and reasoning."""

    def apply(self, event: LoopEvent | RunFailed) -> None:
        match event:
            case AnswerDelta(text):
                self._text.append(text)
                self.size += len(text)
            case ReasoningText(text):
                self._thoughts.append(text)
                self.size += len(text)
            case ToolProgress(step):
                self._take(step)
            case RoundFinished(finished):
                self._rounds.append(finished)
                self._finish_reason = None
            case TurnFinished(reason):
                self._finish_reason = reason
            case Retrieved(_, citations):
                self._citations.extend(citations)
            case AttemptBegan() | AttemptEnded():
                self._account(event)
            case RunFailed(code):
                self._failure = code

    def _account(self, event: AttemptBegan | AttemptEnded) -> None:
        if isinstance(event, AttemptEnded):
            self._began = None
            self._attempts.append(event.attempt)
        else:
            self._began = event
        if event.attempt.first_token_ms is not None:
            self._model = event.attempt.llm_id
        self._text_before = len(self._text)
        self._thoughts.clear()

    def _take(self, step: ToolStep) -> None:
        self._steps.append(step)
        if step.status is StepStatus.HANDED:
            self._finish_reason = FinishReason.TOOL_CALLS

    @property
    def content(self) -> str:
        return "".join(self._text)

    def attempts(self, ended: int) -> tuple[Attempt, ...]:
        """Every call of a provider. One that did not come to its end was interrupted, at `ended` in milliseconds.

        What it used is estimated: its provider never told.
        """
        if self._began is None:
            return tuple(self._attempts)
        written = estimate("".join((*self._thoughts, *self._text[self._text_before :])))
        return *self._attempts, broken_off(self._began.attempt, self._began.prices, written, ended)

    def close(self, opened: Answer, status: AnswerStatus, now: datetime, broke_off: int | None = None) -> Answer:
        """The answer as it is kept, with the citations that it names, and who spoke last.

        `broke_off` is when it was heard of last, in milliseconds, if that was long before `now`.

        A round that was cut off left no results, so its calls are shown as steps and never repeated to a model.
        """
        attempts = self.attempts(int(now.timestamp() * 1000) if broke_off is None else broke_off)
        return replace(
            opened,
            status=status,
            content=self.content,
            model=self._model or opened.model,
            usage=sum((attempt.usage for attempt in attempts), Usage()),
            steps=tuple(self._steps),
            rounds=tuple(self._rounds),
            citations=cited(self.content, self._citations),
            finish_reason=self._finish_reason,
            failure=self._failure if status is AnswerStatus.FAILED else None,
            closed_at=now,
            attempts=attempts,
        )

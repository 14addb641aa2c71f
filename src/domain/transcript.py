"""What a run has produced so far: at any moment it can be kept as an answer, however the run ends."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from domain.attempts import Attempt
from domain.chat_events import (
    AnswerDelta,
    AttemptEnded,
    LoopEvent,
    ReasoningText,
    Retrieved,
    RoundFinished,
    RunFailed,
    ToolProgress,
    TurnFinished,
)
from domain.citations import cited
from domain.conversation import FinishReason, Usage
from domain.messages import Answer, AnswerStatus, Citation, StepStatus, ToolStep
from domain.tokens import estimate
from domain.tools import ToolRound


class Transcript:
    """Collects a run's events into its answer."""

    __slots__ = (
        "_attempts",
        "_citations",
        "_failure",
        "_finish_reason",
        "_rounds",
        "_steps",
        "_text",
        "_turn_began",
        "_usage",
        "size",
    )

    def __init__(self) -> None:
        self._text: list[str] = []
        self._turn_began = 0
        self._rounds: list[ToolRound] = []
        self._steps: list[ToolStep] = []
        self._attempts: list[Attempt] = []
        self._citations: list[Citation] = []
        self._usage = Usage()
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
                self.size += len(text)
            case ToolProgress(step):
                self._take(step)
            case RoundFinished(finished):
                self._rounds.append(finished)
                self._finish_reason = None
            case TurnFinished(reason, usage):
                self._usage += usage
                self._finish_reason = reason
                self._turn_began = len(self._text)
            case Retrieved(_, citations):
                self._citations.extend(citations)
            case AttemptEnded(attempt):
                self._attempts.append(attempt)
            case RunFailed(code):
                self._failure = code

    def _take(self, step: ToolStep) -> None:
        self._steps.append(step)
        if step.status is StepStatus.HANDED:
            self._finish_reason = FinishReason.TOOL_CALLS

    @property
    def content(self) -> str:
        return "".join(self._text)

    def close(
        self, opened: Answer, status: AnswerStatus, model: str, prompt_tokens: Callable[[], int], now: datetime
    ) -> Answer:
        """The answer as it is kept, with the citations that it names.

        What a turn that was cut off used is estimated: its provider never told.

        A round that was cut off left no results, so its calls are shown as steps and never repeated to a model.
        """
        usage = self._usage
        if cut_off := "".join(self._text[self._turn_began :]):
            results = sum(estimate(result.content) for one in self._rounds for result in one.results)
            usage += Usage(prompt_tokens() + results, estimate(cut_off), estimated=True)
        return replace(
            opened,
            status=status,
            content=self.content,
            model=model,
            usage=usage,
            steps=tuple(self._steps),
            rounds=tuple(self._rounds),
            citations=cited(self.content, self._citations),
            finish_reason=self._finish_reason,
            failure=self._failure if status is AnswerStatus.FAILED else None,
            closed_at=now,
            attempts=tuple(self._attempts),
        )

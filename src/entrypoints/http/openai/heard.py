"""What of a run's events a client of chat completions is shown: text, reasoning, calls of its own tools, the end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from domain.chat.callers import handed_id
from domain.chat.chat_events import AnswerDelta, ChatEvent, ReasoningText, RunFailed, RunFinished, ToolProgress
from domain.chat.told_waits import waiting_sentence
from domain.conversation.conversation import FinishReason, Usage
from domain.dialogs.messages import AnswerStatus, Citation, StepStatus, ToolStep
from domain.errors import ModelError
from domain.runs.runs import Run
from entrypoints.http.chat_views import CitationView
from entrypoints.http.envelope import ErrorEnvelope
from entrypoints.http.errors import refusal_of

_LONGEST_ARGUMENTS: Final = 2_000
_CUT_OFF: Final = RunFailed("interrupted", "The answer was cut off.", retryable=True)


@dataclass(slots=True)
class Heard:
    """A run as far as it was heard. Steps of our own tools are ours."""

    run: Run
    keeps: bool = True
    """Whether the texts are wanted at the end, too."""
    spoke: bool = False
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    handed: list[ToolStep] = field(default_factory=list)
    waiting: dict[str, ToolStep] = field(default_factory=dict)
    failure: RunFailed | None = None
    finished: RunFinished | None = None
    misshapen: RunFailed | None = None
    """What is wrong with the form of a whole answer."""

    def take(self, event: ChatEvent) -> dict[str, Any] | None:
        """What the event adds to the message, as a delta; None when it adds nothing."""
        match event:
            case AnswerDelta(text):
                return self._said(text)
            case ReasoningText(text):
                if self.keeps:
                    self.reasoning.append(text)
                return {"reasoning_content": text}
            case ToolProgress(step):
                return self._step(step)
            case RunFailed():
                self.failure = event
            case RunFinished():
                self.finished = event
            case _:
                pass
        return None

    def _said(self, text: str) -> dict[str, Any]:
        self.spoke = True
        if self.keeps:
            self.text.append(text)
        return {"content": text}

    def _step(self, step: ToolStep) -> dict[str, Any] | None:
        if step.status is StepStatus.HANDED:
            self.handed.append(step)
            return {"tool_calls": [{"index": len(self.handed) - 1, **self._call(len(self.handed) - 1)}]}
        if step.status is StepStatus.APPROVAL:
            self.waiting[step.tool_call_id] = step
        else:
            self.waiting.pop(step.tool_call_id, None)
        return None

    def _call(self, number: int) -> dict[str, Any]:
        step = self.handed[number]
        function = {"name": step.tool_name, "arguments": step.arguments or "{}"}
        return {"id": handed_id(self.run.message_id, number), "type": "function", "function": function}

    def say_that_it_waits(self) -> dict[str, Any]:
        """A last delta, for a run that waits for a person."""
        sentence = waiting_sentence(self.run, [_shown(one) for one in self.waiting.values()])
        return self._said(f"\n\n{sentence}" if self.spoke else sentence)

    @property
    def error(self) -> RunFailed | None:
        """Why there is no whole answer. One that a person stopped, or that came to its limit, is what it is."""
        if self.finished is None:
            return None if self.waiting else self.failure or _CUT_OFF
        if self.finished.status in (AnswerStatus.COMPLETE, AnswerStatus.STOPPED):
            return self.misshapen
        return self.failure or _CUT_OFF

    @property
    def is_whole(self) -> bool:
        """Whether the model itself came to the end of an answer."""
        done = self.finished is not None and self.finished.status is AnswerStatus.COMPLETE
        return done and self.finish_reason == FinishReason.STOP

    @property
    def finish_reason(self) -> str:
        reason = None if self.finished is None else self.finished.finish_reason
        if self.handed:
            return FinishReason.TOOL_CALLS
        return FinishReason.STOP if reason in (None, FinishReason.TOOL_CALLS) else reason

    @property
    def usage(self) -> dict[str, Any] | None:
        return None if self.finished is None else usage_shown(self.finished.usage)

    def message(self) -> dict[str, Any]:
        text = "".join(self.text)
        shown: dict[str, Any] = {"role": "assistant", "content": text if text or not self.handed else None}
        shown["refusal"] = None
        if self.reasoning:
            shown["reasoning_content"] = "".join(self.reasoning)
        if self.handed:
            shown["tool_calls"] = [self._call(number) for number in range(len(self.handed))]
        return shown

    def beside(self) -> dict[str, Any]:
        """Fields that OpenAI's own answers don't have."""
        citations: Sequence[Citation] = () if self.finished is None else self.finished.citations
        shown: dict[str, Any] = {
            "run_id": self.run.run_id,
            "dialog_id": self.run.dialog_id,
            "message_id": self.run.message_id,
            "citations": [CitationView.of(one) for one in citations],
        }
        if self.finished is not None:
            shown["answered_by"] = self.finished.model
        elif self.waiting:
            steps = self.waiting.values()
            calls = [(one.tool_call_id, one.tool_name, one.arguments) for one in steps]
            shown["waiting"] = [{"tool_call_id": a, "tool_name": b, "arguments": c} for a, b, c in calls]
        return shown


def usage_shown(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "estimated": usage.estimated,
    }


def refusal_for(failure: RunFailed) -> tuple[int, ErrorEnvelope, dict[str, str]]:
    """The status, envelope and headers of an answer that failed before anything of it was sent."""
    refusal = refusal_of(ModelError(failure.code, failure.message, retryable=failure.retryable), 0)
    return refusal.status, refusal.envelope(), dict(refusal.headers)


def _shown(step: ToolStep) -> str:
    return f"{step.tool_name} {(step.arguments or '{}')[:_LONGEST_ARGUMENTS]} (tool_call_id {step.tool_call_id})"

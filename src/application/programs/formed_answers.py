"""Whether an answer is in the form that its caller wants: what is in another one would be read wrongly."""

import asyncio
from dataclasses import dataclass
from typing import Final

from application.ports.argument_check import ArgumentCheck
from domain.chat.chat_events import RunFailed
from domain.conversation.answer_forms import AnswerForm, object_in

CODE: Final = "model_bad_response"


@dataclass(frozen=True, slots=True)
class CheckForm:
    schemas: ArgumentCheck

    async def __call__(self, form: AnswerForm, answer: str) -> RunFailed | None:
        """What is wrong with it. Beside the event loop: both may be long, and strange."""
        return await asyncio.to_thread(self._problem, form, answer)

    def _problem(self, form: AnswerForm, answer: str) -> RunFailed | None:
        found = object_in(answer)
        if found is None:
            return _failure("it is not one JSON object")
        try:
            problems = self.schemas.problems(form.described, found) if form.schema else ()
        except RecursionError:
            # Taken where there was a little more room: one that is not looked at, as those that are too large.
            problems = ()
        return _failure(problems[0].rstrip(".")) if problems else None


def _failure(problem: str) -> RunFailed:
    return RunFailed(CODE, f"The model's answer is not in the form of response_format: {problem}.", retryable=True)

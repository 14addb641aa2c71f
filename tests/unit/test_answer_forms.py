"""Answers that are wanted as JSON: told to the model in words, and never taken in another form."""

import asyncio
import json
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.json_schema import JsonSchemaCheck
from application.programs.formed_answers import CheckForm
from application.runs.run_control import ShowRun, StopRun
from application.runs.run_readers import Followed
from domain.chat.chat_events import AnswerDelta, ChatEvent, RunFailed, RunFinished, ToolProgress
from domain.conversation.answer_forms import LARGEST, AnswerForm, object_in, with_form
from domain.conversation.conversation import FinishReason, Usage
from domain.dialogs.messages import AnswerStatus, StepStatus, ToolStep
from domain.tools.tools import ToolType
from entrypoints.http.openai.completions import Asker
from entrypoints.http.openai.heard import Heard
from unit.test_openai_completions import RUN, Followable

CITY = AnswerForm(json.dumps({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}))
CHECK = CheckForm(JsonSchemaCheck())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def problem(form: AnswerForm, answer: str) -> RunFailed | None:
    return asyncio.run(CHECK(form, answer))


@given(values, st.text(max_size=5), st.text(max_size=5))
def test_an_answer_is_one_object_and_nothing_else(value: object, before: str, after: str) -> None:
    text = json.dumps(value)
    assert object_in(text) == (value if isinstance(value, dict) else None)
    if before.strip() and isinstance(value, dict):
        assert object_in(before + text + after) is None


@pytest.mark.parametrize(
    "answer",
    [
        *("", "Sure!", "[1]", "```json\n{}\n```", "{} {}", '{"a":', "[" * 100_000),
        *('{"a": NaN}', '{"a": [Infinity]}', '{"a": -Infinity}'),
    ],
)
def test_what_is_no_object_is_told_so(answer: str) -> None:
    found = problem(AnswerForm(), answer)
    assert found is not None
    assert (found.code, found.retryable) == ("model_bad_response", True)
    assert object_in('{"a": "%s"}' % ("x" * LARGEST)) is None


def test_an_answer_is_as_its_schema_describes_it() -> None:
    assert problem(CITY, ' {"city": "Bern"}\n') is None
    assert problem(AnswerForm(), '{"any": 1}') is None
    for answer, place in (('{"city": 1}', "city"), ('{"town": "Bern"}', "city")):
        found = problem(CITY, answer)
        assert found is not None
        assert place in found.message


def test_a_schema_that_is_too_deep_to_be_read_again_costs_no_answer() -> None:
    deep = AnswerForm('{"not":' * 5_000 + "{}" + "}" * 5_000)
    assert problem(deep, "{}") is None
    assert problem(deep, "no") is not None


def test_the_form_is_said_behind_the_instructions() -> None:
    assert with_form("Be kind.", None) == "Be kind."
    assert with_form("Be kind.", CITY).startswith("Be kind.\n\nYour answer")
    assert with_form("", CITY).endswith(CITY.schema)


def done(status: AnswerStatus, reason: FinishReason | None) -> RunFinished:
    return RunFinished(status, "", RUN.message_id, RUN.run_id, RUN.dialog_id, "m", Usage(), (), reason)


HANDED = ToolProgress(ToolStep(StepStatus.HANDED, "f", "", "c", "f", ToolType.TOOL, "{}"))


@pytest.mark.parametrize(
    ("events", "fails"),
    [
        ([AnswerDelta("no"), done(AnswerStatus.COMPLETE, FinishReason.STOP)], True),
        ([AnswerDelta('{"city":'), AnswerDelta('"Bern"}'), done(AnswerStatus.COMPLETE, FinishReason.STOP)], False),
        ([AnswerDelta("{"), done(AnswerStatus.COMPLETE, FinishReason.LENGTH)], False),
        ([AnswerDelta("{"), done(AnswerStatus.STOPPED, None)], False),
        ([AnswerDelta("Let me see."), HANDED, done(AnswerStatus.COMPLETE, FinishReason.TOOL_CALLS)], False),
    ],
)
def test_what_came_to_its_end_is_judged_and_what_was_cut_off_is_what_it_is(
    events: list[ChatEvent], fails: bool
) -> None:
    async def wanted(answer: str) -> RunFailed | None:
        return await CHECK(CITY, answer)

    asker = Asker(cast(Followed, Followable()), "m", cast(ShowRun, None), cast(StopRun, None), wanted=wanted)
    heard = Heard(RUN)
    for event in events:
        heard.take(event)
    asyncio.run(asker.judge(heard))
    assert (heard.error is not None) == fails

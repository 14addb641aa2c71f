"""Chunks and the whole of one run are the same answer, and our own reader of that protocol reads what was said."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import virtual_time
from adapters.openai.answer import OpenAIAnswer
from application.runs.run_control import ShowRun, StopRun
from application.runs.run_readers import Followed, Follower
from domain.chat.chat_events import (
    AnswerDelta,
    ChatEvent,
    ReasoningText,
    Recorded,
    RunFailed,
    RunFinished,
    ToolProgress,
)
from domain.conversation.conversation import (
    FinishReason,
    ModelEvent,
    ModelFinished,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from domain.dialogs.messages import AnswerStatus, Citation, StepStatus, ToolStep
from domain.errors import Unavailable
from domain.ids import DialogId, MessageId, RunId, UserId, new_id
from domain.runs.runs import Run, RunStatus
from domain.tools.tools import ToolType
from entrypoints.http.openai.completions import DONE, Asker, Chunks, CompletionStream, WholeCompletion
from entrypoints.http.openai.heard import Heard
from unit.conversation_strategies import arguments, names

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = Run(RunId("r"), UserId("u"), DialogId("d"), MessageId(new_id()), RunStatus.RUNNING, NOW, NOW)
CITED = Citation(1, "text", "a.pdf", "k", "f", None, 0, 4, 0.5)
# Line ends of every kind, which must not cut a line of data, and signs that mean something to formats.
texts = st.text(
    st.sampled_from('ab \n\r\u0085\u2028%{}"\\é中🙂') | st.characters(exclude_categories=["Cs"]), min_size=1
)


@dataclass(frozen=True)
class Followable:
    state: Run = RUN


def asker(model: str = "agent/A%d") -> Asker:
    return Asker(cast(Followed, Followable()), model, cast(ShowRun, None), cast(StopRun, None), created=7)


def step(status: StepStatus, name: str, written: str, call_id: str = "c") -> ToolProgress:
    return ToolProgress(ToolStep(status, name, "", call_id, name, ToolType.TOOL, written))


def done(status: AnswerStatus = AnswerStatus.COMPLETE, reason: FinishReason | None = FinishReason.STOP) -> RunFinished:
    usage = Usage(9, 3, 2)
    return RunFinished(status, "", RUN.message_id, RUN.run_id, RUN.dialog_id, "gpt-4", usage, (CITED,), reason)


shown = st.one_of(
    st.builds(AnswerDelta, texts),
    st.builds(ReasoningText, texts),
    st.builds(step, st.sampled_from([StepStatus.START, StepStatus.END, StepStatus.ERROR]), names, arguments),
)
handed = st.lists(st.builds(step, st.just(StepStatus.HANDED), names, arguments), max_size=3)


def batches(events: Sequence[ChatEvent], size: int) -> list[list[Recorded]]:
    recorded = [Recorded(number, 0, event) for number, event in enumerate(events, 1)]
    return [recorded[start : start + size] for start in range(0, len(recorded), size)]


def lines(body: bytes) -> list[bytes]:
    assert body.endswith(b"\n\n")
    found = body.decode().split("\n\n")[:-1]
    assert all(line.startswith("data: ") and len(line.splitlines()) == 1 for line in found)
    return [line.removeprefix("data: ").encode() for line in found]


@settings(max_examples=40)
@given(st.lists(shown, max_size=8), handed, st.integers(1, 4), st.booleans())
def test_chunks_joined_are_the_whole(events: list[ChatEvent], calls: list[ChatEvent], size: int, usage: bool) -> None:
    told = [*events, *calls, done()]
    chunks, heard = Chunks(asker(), include_usage=usage), Heard(RUN)
    body = chunks.opening() + b"".join(chunks.of(batch) for batch in batches(told, size)) + chunks.ending()
    for event in told:
        heard.take(event)
    *data, last = lines(body)
    assert last + b"\n\n" == DONE.removeprefix(b"data: ")
    decoded = [json.loads(one) for one in data]
    choices = [one["choices"][0] for one in decoded if one["choices"]]
    message: dict[str, Any] = {"role": choices[0]["delta"]["role"], "content": "", "refusal": None}
    for choice in choices:
        delta = choice["delta"]
        message["content"] += delta.get("content", "")
        if "reasoning_content" in delta:
            message["reasoning_content"] = message.get("reasoning_content", "") + delta["reasoning_content"]
        for call in delta.get("tool_calls", ()):
            made = message.setdefault("tool_calls", [])
            assert call.pop("index") == len(made)
            made.append(call)
    message["content"] = message["content"] if message["content"] or not calls else None
    assert message == heard.message()
    assert [one["finish_reason"] for one in choices] == [None] * (len(choices) - 1) + [heard.finish_reason]
    assert heard.finish_reason == ("tool_calls" if calls else "stop")
    assert [one["usage"] for one in decoded if "usage" in one] == ([heard.usage] if usage else [])
    ended = next(one for one in decoded if one["choices"] and one["choices"][0]["finish_reason"])
    assert [one["index"] for one in ended["citations"]] == [1]
    assert {one["model"] for one in decoded} == {"agent/A%d"}


@settings(max_examples=40)
@given(st.lists(shown, max_size=8), handed, st.integers(1, 4))
def test_our_own_reader_of_the_protocol_reads_what_was_said(
    events: list[ChatEvent], calls: list[ChatEvent], size: int
) -> None:
    chunks, answer, read = Chunks(asker(), include_usage=True), OpenAIAnswer(), list[ModelEvent]()
    body = chunks.opening() + b"".join(chunks.of(one) for one in batches([*events, *calls, done()], size))
    for line in lines(body + chunks.ending()):
        answer.read([line], read)
    assert answer.ended
    assert answer.finished() == ModelFinished(
        FinishReason.TOOL_CALLS if calls else FinishReason.STOP, Usage(9, 3, 2), ()
    )
    told: list[object] = []
    for event in events:
        match event:
            case AnswerDelta(text):
                told.append(TextDelta(text))
            case ReasoningText(text):
                told.append(ReasoningDelta(text))
            case _:
                pass
    assert [one for one in read if not isinstance(one, ToolCallDelta)] == told
    steps = [one.step for one in calls if isinstance(one, ToolProgress)]
    found = [(one.name, one.arguments) for one in read if isinstance(one, ToolCallDelta)]
    assert found == [(one.tool_name, one.arguments) for one in steps]


@settings(max_examples=40)
@given(st.lists(shown, max_size=3), st.sampled_from([AnswerStatus.FAILED, AnswerStatus.INTERRUPTED]), st.booleans())
def test_an_answer_that_failed_ends_with_an_error_and_nothing_after_it(
    events: list[ChatEvent], status: AnswerStatus, told: bool
) -> None:
    failure: list[ChatEvent] = [RunFailed("model_stalled", "It fell silent.", retryable=True)] if told else []
    chunks = Chunks(asker(), include_usage=True)
    for batch in batches([*events, *failure, done(status)], 2):
        chunks.of(batch)
    (line,) = lines(chunks.ending())
    error = json.loads(line)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == ("model_stalled" if told else "interrupted")


def test_an_answer_that_a_person_stopped_is_what_it_is() -> None:
    heard = Heard(RUN)
    heard.take(AnswerDelta("half"))
    heard.take(done(AnswerStatus.STOPPED, None))
    assert (heard.error, heard.finish_reason, heard.message()["content"]) == (None, "stop", "half")


def test_a_run_that_waits_says_so_and_names_what_waits() -> None:
    chunks = Chunks(asker(), include_usage=True)
    for event in (AnswerDelta("Let me pay."), step(StepStatus.APPROVAL, "spend", '{"amount": 5}', "c1")):
        chunks.of([Recorded(1, 0, event)])
    said, last, ended = lines(chunks.ending())
    text = json.loads(said)["choices"][0]["delta"]["content"]
    assert all(one in text for one in ("spend", '{"amount": 5}', "c1", RUN.run_id, "/api/v1/chat/approve"))
    final = json.loads(last)
    assert final["waiting"] == [{"tool_call_id": "c1", "tool_name": "spend", "arguments": '{"amount": 5}'}]
    assert final["choices"][0]["finish_reason"] == "stop"
    assert ended == b"[DONE]"


class SaysThatItWaits:
    """The only event of a run, which is then silent for an hour."""

    cursor, listening = 1, True

    async def batches(self) -> AsyncGenerator[Sequence[Recorded], None]:
        yield [Recorded(1, 0, step(StepStatus.APPROVAL, "spend", "{}", "c1"))]
        await asyncio.sleep(3600)
        yield ()


@dataclass(frozen=True)
class Waits(Followable):
    def attach(self, _after: int, _heartbeat: float) -> Follower:
        return SaysThatItWaits()

    def detach(self, reader: Follower) -> None: ...


class StoredLate:
    """Stored as waiting at the third look; at the first the database is away."""

    def __init__(self) -> None:
        self.looks = 0

    async def __call__(self, _actor: UserId, _run_id: RunId) -> Run:
        self.looks += 1
        if self.looks == 1:
            raise Unavailable("database_unavailable", "It is away.", retry_after=1)
        return replace(RUN, status=RunStatus.WAITING if self.looks > 2 else RunStatus.QUEUED)


@pytest.mark.parametrize("streamed", [True, False])
def test_who_asked_is_told_that_it_waits_as_soon_as_that_is_stored(streamed: bool) -> None:
    sent: list[Any] = []

    async def silence() -> Any:
        await asyncio.sleep(7200)

    async def send(message: Any) -> None:
        sent.append(message)

    async def asked() -> None:
        one = replace(asker(), run=cast(Followed, Waits()), show=cast(ShowRun, StoredLate()))
        answer = (
            CompletionStream(one, include_usage=True, heartbeat=10) if streamed else WholeCompletion(one, kept=True)
        )
        async with asyncio.timeout(1):
            await answer(cast(Any, {}), silence, send)

    virtual_time.run(asked())
    body = b"".join(message.get("body", b"") for message in sent)
    assert b'"waiting":[{"tool_call_id":"c1"' in body
    assert not streamed or body.endswith(DONE)


def test_a_silence_is_a_comment() -> None:
    assert Chunks(asker(), include_usage=False).of(()) == b": ping\n\n"

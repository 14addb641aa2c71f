"""Any event in, parsed by an independent parser: the same event out."""

import json
from dataclasses import asdict

import httpx2
from hypothesis import given
from hypothesis import strategies as st

from domain.chat.chat_events import (
    AnswerDelta,
    ChatEvent,
    ReasoningText,
    Recorded,
    Retrieved,
    RunFailed,
    RunFinished,
    ToolProgress,
)
from domain.conversation.conversation import FinishReason, Usage
from domain.dialogs.messages import AnswerStatus, Citation, StepStatus, ToolStep
from domain.ids import DialogId, MessageId, RunId
from domain.tools.tools import ToolType
from entrypoints.http.sse import HEARTBEAT, frames

RUN = RunId("01JD0000000000000000000000")
text = st.text(st.characters(exclude_categories=("Cs",)))
count = st.integers(0, 2**40)
citations = st.lists(
    st.builds(
        Citation,
        index=count,
        content=text,
        file_name=text,
        knowledge_id=text,
        knowledge_file_id=text,
        page=st.none() | count,
        start=count,
        end=count,
        score=st.floats(0, 1),
    ),
    max_size=3,
).map(tuple)
steps = st.builds(
    ToolStep,
    status=st.sampled_from(StepStatus),
    title=text,
    message=text,
    tool_call_id=text,
    tool_name=text,
    tool_type=st.sampled_from(ToolType),
    arguments=st.none() | text,
    duration_ms=st.none() | count,
)
events: st.SearchStrategy[ChatEvent] = st.one_of(
    text.map(AnswerDelta),
    text.map(ReasoningText),
    steps.map(ToolProgress),
    st.builds(Retrieved, text, citations),
    st.builds(RunFailed, text, text, st.booleans()),
    st.builds(
        RunFinished,
        status=st.sampled_from(AnswerStatus),
        content=text,
        message_id=text.map(MessageId),
        run_id=st.just(RUN),
        dialog_id=text.map(DialogId),
        model=text,
        usage=st.builds(Usage, count, count, count, st.booleans()),
        citations=citations,
        finish_reason=st.none() | st.sampled_from(FinishReason),
    ),
)
KINDS = {
    AnswerDelta: "response_chunk",
    ReasoningText: "reasoning_chunk",
    ToolProgress: "event",
    Retrieved: "knowledge",
    RunFailed: "error",
    RunFinished: "done",
}


def expected(event: ChatEvent) -> dict[str, object]:
    match event:
        case AnswerDelta(chunk) | ReasoningText(chunk):
            return {"chunk": chunk}
        case ToolProgress(step):
            return {key: value for key, value in asdict(step).items() if value is not None}
        case _:
            return json.loads(json.dumps(asdict(event)))


def parsed(body: bytes) -> list[httpx2.ServerSentEvent]:
    request = httpx2.Request("GET", "http://localhost/")
    response = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body, request=request)
    return list(httpx2.EventSource(response))


@given(st.lists(events, min_size=1, max_size=6))
def test_every_event_survives_the_wire(sent: list[ChatEvent]) -> None:
    batch = [Recorded(seq, 1_790_000_000_123, event) for seq, event in enumerate(sent, 1)]
    received = parsed(frames(RUN, batch))
    assert [one.id for one in received] == [f"{RUN}:{seq}" for seq in range(1, len(sent) + 1)]
    for event, frame in zip(sent, received, strict=True):
        assert frame.event == KINDS[type(event)]
        body = json.loads(frame.data)
        assert body == {"type": frame.event, "timestamp": 1_790_000_000.123, "data": expected(event)}


@given(events)
def test_a_frame_holds_even_for_readers_that_split_at_any_unicode_line_end(event: ChatEvent) -> None:
    lines = frames(RUN, [Recorded(7, 0, event)]).decode().splitlines()
    assert [line.split(":")[0] for line in lines] == ["id", "event", "data", ""]


def test_an_empty_batch_is_a_comment_that_no_reader_takes_for_an_event() -> None:
    assert frames(RUN, ()) == HEARTBEAT == b": ping\n\n"
    assert parsed(HEARTBEAT) == []

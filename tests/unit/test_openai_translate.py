"""OpenAI's wire and our words say the same, whatever is said and however the stream is cut."""

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.openai.answer import OpenAIAnswer
from adapters.openai.translate import FROM_TOOLS, body_of
from domain.conversation.assembly import AnswerAssembler
from domain.conversation.conversation import (
    AssistantTurn,
    FinishReason,
    Image,
    ModelEvent,
    ModelRequest,
    ReasoningDelta,
    TextDelta,
    ToolImage,
    ToolTurn,
    Turn,
    Usage,
    UserTurn,
)
from domain.tools.tools import ToolCall, ToolResult
from unit.conversation_strategies import requests, said, texts


def read_back(body: dict[str, Any]) -> tuple[str, list[Turn]]:
    """An independent reader of the wire. Names and faults of tool results are not on it."""
    system, turns = "", list[Turn]()
    for message in json.loads(json.dumps(body))["messages"]:
        content = message["content"]
        match message["role"]:
            case "system":
                system = content
            case "user" if isinstance(content, str):
                turns.append(UserTurn(content))
            case "user" if content[0] == {"type": "text", "text": FROM_TOOLS}:
                before = turns.pop()
                assert isinstance(before, ToolTurn)
                turns.append(ToolTurn(before.results, tuple(shown_by(content[1:]))))
            case "user":
                urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
                shown = [url.removeprefix("data:").split(";base64,") for url in urls]
                images = tuple(Image(kind, b64decode(data)) for kind, data in shown)
                turns.append(UserTurn("".join(p["text"] for p in content if p["type"] == "text"), images))
            case "assistant":
                calls = tuple(
                    ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
                    for call in message.get("tool_calls", [])
                )
                turns.append(AssistantTurn(content or "", calls))
            case "tool":
                result = ToolResult(message["tool_call_id"], "", content)
                if isinstance(turns[-1], ToolTurn):
                    turns[-1] = ToolTurn((*turns[-1].results, result))
                else:
                    turns.append(ToolTurn((result,)))
    return system, turns


def shown_by(parts: list[dict[str, Any]]) -> Iterator[ToolImage]:
    for label, part in zip(parts[::2], parts[1::2], strict=True):
        told = re.fullmatch(r"Image (\d+) of the result of \w+ \((\w+)\):", label["text"])
        assert told is not None
        kind, data = part["image_url"]["url"].removeprefix("data:").split(";base64,")
        yield ToolImage(told[2], int(told[1]), Image(kind, b64decode(data)))


def on_the_wire(turn: Turn) -> Turn:
    if isinstance(turn, ToolTurn):
        results = tuple(ToolResult(result.call_id, "", result.content) for result in turn.results)
        return ToolTurn(results, turn.images)
    return turn


@settings(deadline=None)
@given(requests())
def test_a_conversation_survives_the_wire(request_: ModelRequest) -> None:
    body = body_of(request_, compatible=False, with_usage=True)
    assert read_back(body) == (request_.system, [on_the_wire(turn) for turn in request_.turns])
    assert body["model"] == request_.model
    assert body.get("max_completion_tokens") == request_.max_output_tokens
    assert [tool["function"]["name"] for tool in body.get("tools", [])] == [t.name for t in request_.tools]  # type: ignore


def test_images_of_results_follow_all_results_of_the_turn_as_whose_they_are() -> None:
    results = ToolResult("a", "draw", "one"), ToolResult("b", "draw", "two")
    turn = ToolTurn(results, (ToolImage("b", 3, Image("image/png", b"x")),))
    calls = AssistantTurn("", tuple(ToolCall(one.call_id, "draw", "{}") for one in results))
    body = body_of(ModelRequest("m", "", (UserTurn("?"), calls, turn)), compatible=True, with_usage=False)
    messages: Any = body["messages"]
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert messages[-1]["content"][1:] == [
        {"type": "text", "text": "Image 3 of the result of draw (b):"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}},
    ]


def test_the_limit_has_its_older_name_at_compatible_servers() -> None:
    request = ModelRequest("m", "", (UserTurn("x"),), max_output_tokens=7)
    body = body_of(request, compatible=True, with_usage=False)
    assert body["max_tokens"] == 7
    assert "max_completion_tokens" not in body
    assert "stream_options" not in body


def chunk(finish: str | None = None, usage: object = None, **delta: object) -> bytes:
    return json.dumps({"choices": [{"delta": delta, "finish_reason": finish}], "usage": usage}).encode()


def call(arguments: object = None, **fields: object) -> dict[str, object]:
    name = fields.pop("name", None)
    return {**fields, "function": {"name": name, "arguments": arguments}}


def read(*payloads: bytes, reads: int = 1) -> tuple[list[ModelEvent], OpenAIAnswer]:
    """`reads`: payloads that arrive together."""
    answer, events = OpenAIAnswer(), list[ModelEvent]()
    for start in range(0, len(payloads), reads):
        answer.read(payloads[start : start + reads], events)
    return events, answer


def turn_of(*pieces: list[dict[str, object]]) -> tuple[ToolCall, ...]:
    events, _ = read(*(chunk(tool_calls=list(piece)) for piece in pieces))
    assembler = AnswerAssembler()
    for event in events:
        assembler.add(event)
    return assembler.turn().tool_calls


TWO = (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"y":2}'))


@pytest.mark.parametrize(
    "pieces",
    [
        [
            [call("", index=0, id="a", name="f")],
            [call('{"x"', index=0)],
            [call(":1}", index=0)],
            [call('{"y":2}', index=1, id="b", name="g")],
        ],
        [[call('{"x":1}', index=0, id="a", name="f"), call('{"y":2}', index=1, id="b", name="g")]],
        [[call('{"x":1}', id="a", name="f")], [call('{"y":2}', id="b", name="g")]],
        [[call('{"x":1}', index=0, id="a", name="f")], [call('{"y":2}', index=0, id="b", name="g")]],
        [
            [call('{"x"', index=0, id="a", name="f")],
            [call(":1}", index=0, id="a", name="f")],
            [call('{"y":2}', index=1, id="b", name="g")],
        ],
        [[call('{"x"', id="a", name="f")], [call(":1}")], [call('{"y"', id="b", name="g")], [call(":2}")]],
        [[call({"x": 1}, index=0, id="a", name="f")], [call({"y": 2}, index=1, id="b", name="g")]],
        [
            [call('{"x"', index=0, id="a", name="f")],
            [call(":1}", index=0, id="other")],
            [call('{"y":2}', index=1, id="b", name="g")],
        ],
    ],
    ids=[
        "pieces",
        "whole",
        "no index",
        "always index 0",
        "repeated names",
        "no index in pieces",
        "objects",
        "changing ids",
    ],
)
def test_calls_are_told_apart_however_a_server_numbers_them(pieces: list[list[dict[str, object]]]) -> None:
    assert turn_of(*pieces) == TWO


def test_calls_without_ids_get_them() -> None:
    calls = turn_of([call('{"x":1}', name="f")], [call('{"x":2}', name="f")], [call("", name="g")])
    assert calls == (
        ToolCall("call_0", "f", '{"x":1}'),
        ToolCall("call_1", "f", '{"x":2}'),
        ToolCall("call_2", "g", "{}"),
    )


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_of_compatible_servers_is_reasoning(name: str) -> None:
    events, _ = read(chunk(**{name: "hm", "content": None}), chunk(content="ha"))
    assert events == [ReasoningDelta("hm"), TextDelta("ha")]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("stop", FinishReason.STOP),
        ("length", FinishReason.LENGTH),
        ("tool_calls", FinishReason.TOOL_CALLS),
        ("content_filter", FinishReason.CONTENT_FILTER),
        ("eos", FinishReason.STOP),
    ],
)
def test_reasons_to_stop(finish: str, reason: FinishReason) -> None:
    _, answer = read(chunk(content="x"), chunk(finish))
    assert answer.stopped
    assert answer.finished().reason is reason


def test_a_stop_after_calls_means_the_calls() -> None:
    _, answer = read(chunk(tool_calls=[call("{}", index=0, id="a", name="f")]), chunk("stop"))
    assert answer.finished().reason is FinishReason.TOOL_CALLS


def test_a_refusal_is_text_that_was_filtered() -> None:
    events, answer = read(chunk(refusal="I can't."), chunk("stop"))
    assert events == [TextDelta("I can't.")]
    assert answer.finished().reason is FinishReason.CONTENT_FILTER


def test_cached_tokens_are_counted() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    _, answer = read(chunk(content="x"), chunk("stop"), json.dumps({"choices": [], "usage": usage}).encode(), b"[DONE]")
    assert answer.ended
    assert answer.finished().usage == Usage(9, 2, 4)


@st.composite
def answers(draw: st.DrawFn) -> list[bytes]:
    pieces = st.one_of(
        st.builds(lambda text: chunk(content=text), said),
        st.builds(lambda text: chunk(reasoning_content=text), said),
        st.builds(
            lambda n, text: chunk(tool_calls=[call(text, index=n, id=f"c{n}", name="f")]), st.integers(0, 2), texts
        ),
        st.builds(lambda text, more: chunk(content=text, reasoning_content=more), said, said),
    )
    return [*draw(st.lists(pieces, max_size=12)), chunk("stop")]


def joined(events: list[ModelEvent]) -> list[ModelEvent]:
    together: list[ModelEvent] = []
    for event in events:
        if isinstance(event, TextDelta) and together and isinstance(together[-1], TextDelta):
            together[-1] = TextDelta(together[-1].text + event.text)
        else:
            together.append(event)
    return together


@settings(deadline=None)
@given(answers(), st.integers(1, 13))
def test_events_do_not_depend_on_what_arrives_together(payloads: list[bytes], reads: int) -> None:
    assert joined(read(*payloads, reads=reads)[0]) == joined(read(*payloads)[0])

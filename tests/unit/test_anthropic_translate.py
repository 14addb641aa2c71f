"""Anthropic's wire and our words say the same."""

import json
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.anthropic.answer import AnthropicAnswer
from adapters.anthropic.translate import NOTHING_SAID, body_of
from domain.conversation.assembly import AnswerAssembler
from domain.conversation.conversation import (
    AssistantTurn,
    FinishReason,
    Image,
    ModelEvent,
    ModelRequest,
    ReasoningBlock,
    ReasoningDelta,
    TextDelta,
    ToolImage,
    ToolTurn,
    Turn,
    Usage,
    UserTurn,
)
from domain.tools.tools import ToolCall, ToolResult
from unit.conversation_strategies import requests, said


def read_back(body: dict[str, Any]) -> tuple[str, list[Turn]]:
    """An independent reader of the wire. Names of tool results are not on it."""
    wire = json.loads(json.dumps(body))
    turns = list[Turn]()
    for message in wire["messages"]:
        blocks = message["content"]
        text = "".join(block["text"] for block in blocks if block["type"] == "text")
        if message["role"] == "assistant":
            calls = tuple(
                ToolCall(block["id"], block["name"], json.dumps(block["input"]))
                for block in blocks
                if block["type"] == "tool_use"
            )
            turns.append(AssistantTurn(text, calls))
        elif any(block["type"] == "tool_result" for block in blocks):
            turns.append(results_of(blocks))
        else:
            turns.append(UserTurn(text, tuple(image_of(block) for block in blocks if block["type"] == "image")))
    return wire.get("system", ""), turns


def results_of(blocks: list[dict[str, Any]]) -> ToolTurn:
    """Images come after the text, each behind its number."""
    results, shown = list[ToolResult](), list[ToolImage]()
    for block in blocks:
        call_id, content = block["tool_use_id"], block["content"]
        if isinstance(content, list):
            begin = len(content) % 2
            for label, image in zip(content[begin::2], content[begin + 1 :: 2], strict=True):
                shown.append(ToolImage(call_id, int(label["text"][6:-1]), image_of(image)))
            content = "".join(one["text"] for one in content[:begin])
        results.append(ToolResult(call_id, "", content if content.strip() else "", block.get("is_error", False)))
    return ToolTurn(tuple(results), tuple(shown))


def image_of(block: dict[str, Any]) -> Image:
    source = block["source"]
    return Image(source["media_type"], b64decode(source["data"]))


def on_the_wire(turn: Turn) -> Turn:
    match turn:
        case ToolTurn(results, images):
            said = [r.content if r.content.strip() else "" for r in results]
            told = (ToolResult(r.call_id, "", text, r.is_error) for r, text in zip(results, said, strict=True))
            return ToolTurn(tuple(told), images)
        case AssistantTurn(text, calls) if not text.strip():
            return AssistantTurn("", calls)
        case _:
            return turn


@settings(deadline=None)
@given(requests())
def test_a_conversation_survives_the_wire(request_: ModelRequest) -> None:
    body = body_of(request_, max_tokens=1000)
    system = request_.system if request_.system.strip() else ""
    assert read_back(body) == (system, [on_the_wire(turn) for turn in request_.turns])
    assert body["max_tokens"] == (request_.max_output_tokens or 1000)


@settings(deadline=None)
@given(requests())
def test_no_text_on_the_wire_is_empty(request_: ModelRequest) -> None:
    for message in body_of(request_, max_tokens=1)["messages"]:  # type: ignore[union-attr]
        assert message["content"]  # type: ignore[index,call-overload]
        for block in message["content"]:  # type: ignore[index,call-overload,union-attr]
            inner = block["content"] if block["type"] == "tool_result" else ""  # type: ignore
            for one in (block, *(inner if isinstance(inner, list) else ())):
                assert one["type"] != "text" or one["text"].strip()  # type: ignore


def test_reasoning_goes_back_before_the_calls_that_it_led_to() -> None:
    blocks = (ReasoningBlock("hm", "sig"), ReasoningBlock("", "secret", redacted=True), ReasoningBlock("unsigned", ""))
    turn = AssistantTurn("", (ToolCall("a", "f", "not json"),), blocks)
    request = ModelRequest("m", "", (UserTurn("x"), turn, ToolTurn((ToolResult("a", "f", "y"),))))
    messages: Any = body_of(request, max_tokens=1)["messages"]
    assert messages[1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {"invalid_arguments": "not json"}},
    ]


def test_images_of_a_result_stand_in_it_behind_its_text() -> None:
    results = ToolResult("a", "draw", "[image 1]", is_error=True), ToolResult("b", "draw", "plain")
    turn = ToolTurn(results, (ToolImage("a", 1, Image("image/png", b"x")),))
    calls = AssistantTurn("", tuple(ToolCall(one.call_id, "draw", "{}") for one in results))
    messages: Any = body_of(ModelRequest("m", "", (UserTurn("?"), calls, turn)), max_tokens=1)["messages"]
    pictured, plain = messages[-1]["content"]
    assert pictured["content"] == [
        {"type": "text", "text": "[image 1]"},
        {"type": "text", "text": "Image 1:"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}},
    ]
    assert pictured["is_error"]
    assert plain["content"] == "plain"


def test_thinking_comes_on_top_of_the_answer() -> None:
    body = body_of(ModelRequest("m", "", (UserTurn(" "),), max_output_tokens=100), max_tokens=1, thinking_tokens=2000)
    assert body["max_tokens"] == 2100
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": NOTHING_SAID}]}]


@given(st.integers(1, 30_000), st.none() | st.integers(1, 20_000), st.none() | st.integers(1024, 20_000))
def test_thinking_and_answer_fit_what_is_left_to_the_run(left: int, own: int | None, thinking: int | None) -> None:
    request = ModelRequest("m", "", (UserTurn("x"),), max_output_tokens=min(left, own or left), output_left=left)
    body: Any = body_of(request, max_tokens=8192, thinking_tokens=thinking)
    assert 1 <= body["max_tokens"] <= left
    if "thinking" in body:
        budget = body["thinking"]["budget_tokens"]
        assert 1024 <= budget < body["max_tokens"]
        assert thinking is not None
        assert budget <= thinking
        assert body["max_tokens"] - budget >= min(own or left, left // 2)
    else:
        assert thinking is None or left < 2 * 1024


def test_thoughts_are_left_out_once_too_little_is_left_to_think() -> None:
    turn = AssistantTurn("", (ToolCall("a", "f", "{}"),), (ReasoningBlock("hm", "sig"),))
    turns = (UserTurn("x"), turn, ToolTurn((ToolResult("a", "f", "y"),)))
    request = ModelRequest("m", "", turns, max_output_tokens=1500, output_left=1500)
    body: Any = body_of(request, max_tokens=1, thinking_tokens=4000)
    assert "thinking" not in body
    assert body["max_tokens"] == 1500
    assert [block["type"] for block in body["messages"][1]["content"]] == ["tool_use"]


def start(index: int, **block: object) -> dict[str, object]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def go_on(index: int, **delta: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def stop(index: int) -> dict[str, object]:
    return {"type": "content_block_stop", "index": index}


def message_end(reason: str, **usage: int) -> list[dict[str, object]]:
    return [{"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}, {"type": "message_stop"}]


def read(*events: dict[str, object], together: int = 1) -> tuple[list[ModelEvent], AnthropicAnswer]:
    answer, read = AnthropicAnswer(), list[ModelEvent]()
    payloads = [json.dumps(event).encode() for event in events]
    for begin in range(0, len(payloads), together):
        answer.read(payloads[begin : begin + together], read)
    return read, answer


def test_a_turn_with_thoughts_text_and_calls() -> None:
    events, answer = read(
        {
            "type": "message_start",
            "message": {"usage": {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 1}},
        },
        start(0, type="thinking", thinking=""),
        go_on(0, type="thinking_delta", thinking="hm"),
        go_on(0, type="signature_delta", signature="si"),
        go_on(0, type="signature_delta", signature="g"),
        stop(0),
        start(1, type="redacted_thinking", data="secret"),
        stop(1),
        {"type": "ping"},
        {"type": "an_event_of_tomorrow", "index": 3},
        start(2, type="text", text=""),
        go_on(2, type="text_delta", text="Let me "),
        go_on(2, type="text_delta", text="look."),
        stop(2),
        start(3, type="tool_use", id="a", name="f", input={}),
        go_on(3, type="input_json_delta", partial_json=""),
        go_on(3, type="input_json_delta", partial_json='{"x":'),
        go_on(3, type="input_json_delta", partial_json="1}"),
        stop(3),
        start(4, type="tool_use", id="b", name="g", input={"y": 2}),
        stop(4),
        start(5, type="tool_use", id="c", name="h", input={}),
        stop(5),
        *message_end("tool_use", output_tokens=30),
        together=4,
    )
    assembler = AnswerAssembler()
    for event in [*events, answer.finished()]:
        assembler.add(event)
    assert answer.stopped
    assert answer.ended
    assert events[0] == ReasoningDelta("hm")
    calls = (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"y":2}'), ToolCall("c", "h", "{}"))
    thoughts = (ReasoningBlock("hm", "sig"), ReasoningBlock("", "secret", redacted=True))
    assert assembler.turn() == AssistantTurn("Let me look.", calls, thoughts)
    assert answer.finished().usage == Usage(8, 30, 3)
    assert answer.finished().reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("refusal", FinishReason.CONTENT_FILTER),
    ],
)
def test_reasons_to_stop(wire: str, reason: FinishReason) -> None:
    _, answer = read(*message_end(wire, output_tokens=1))
    assert answer.finished().reason is reason


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["text", "thinking"]), said), max_size=12), st.integers(1, 12))
def test_events_do_not_depend_on_what_arrives_together(parts: list[tuple[str, str]], together: int) -> None:
    wire = [
        go_on(n if kind == "thinking" else 99, type=f"{kind}_delta", **{kind: text})
        for n, (kind, text) in enumerate(parts)
    ]
    events, _ = read(*wire, together=together)
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "".join(t for k, t in parts if k == "text")
    assert [e.text for e in events if isinstance(e, ReasoningDelta)] == [t for k, t in parts if k == "thinking"]
    shape = [type(event) for event in events]
    alone, _ = read(*wire)
    assert [k for k in shape if k is ReasoningDelta] == [type(e) for e in alone if isinstance(e, ReasoningDelta)]

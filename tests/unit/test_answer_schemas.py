"""Answers wanted as JSON of a certain form: what both vendors are asked, and what becomes of what they say."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from adapters.anthropic.answer import AnthropicAnswer
from adapters.anthropic.translate import body_of as anthropic_body
from adapters.openai.translate import body_of as openai_body
from domain.conversation.answer_schemas import AnswerSchema
from domain.conversation.conversation import (
    FinishReason,
    ModelEvent,
    ModelRequest,
    TextDelta,
    ToolCallDelta,
    UserTurn,
    request_tokens,
)
from domain.ids import MessageId
from domain.memory.memory_lessons import Said, lesson_request

SCHEMA = AnswerSchema(
    "a_word",
    {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"], "additionalProperties": False},
)
REQUEST = ModelRequest("m", "Say it.", (UserTurn("x"),), max_output_tokens=9, answer_schema=SCHEMA)


def test_openai_is_asked_for_a_strict_schema() -> None:
    for compatible in (False, True):
        body = openai_body(REQUEST, compatible=compatible, with_usage=True)
        wanted = {"name": "a_word", "strict": True, "schema": SCHEMA.schema}
        assert body["response_format"] == {"type": "json_schema", "json_schema": wanted}
        assert "tools" not in body
        plain = openai_body(replace(REQUEST, answer_schema=None), compatible=compatible, with_usage=True)
        assert plain == {key: value for key, value in body.items() if key != "response_format"}


def test_anthropic_is_asked_to_put_it_into_a_tool_and_not_to_think() -> None:
    body = anthropic_body(REQUEST, max_tokens=100, thinking_tokens=2_000)
    (tool,) = body["tools"]  # type: ignore[misc]
    assert (tool["name"], tool["input_schema"]) == ("a_word", SCHEMA.schema)  # type: ignore[index, call-overload]
    assert body["tool_choice"] == {"type": "tool", "name": "a_word"}
    assert "thinking" not in body
    assert "tools" not in anthropic_body(replace(REQUEST, answer_schema=None), max_tokens=100)


def read(*events: dict[str, Any], tool: str | None = "a_word") -> tuple[list[ModelEvent], AnthropicAnswer]:
    answer, found = AnthropicAnswer(tool), list[ModelEvent]()
    for event in events:
        answer.read([json.dumps(event).encode()], found)
    return found, answer


def begun(name: str = "a_word", at: int = 0, **given: object) -> dict[str, Any]:
    block = {"type": "tool_use", "id": "t1", "name": name, "input": given}
    return {"type": "content_block_start", "index": at, "content_block": block}


def piece(text: str, at: int = 0) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": at, "delta": {"type": "input_json_delta", "partial_json": text}}


ENDED = {"type": "message_delta", "delta": {"stop_reason": "tool_use"}}


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), st.integers(1, 7))
def test_what_is_put_into_the_tool_is_the_text_of_the_answer(word: dict[str, str], size: int) -> None:
    text = json.dumps(word)
    pieces = [piece(text[at : at + size]) for at in range(0, len(text), size)]
    found, answer = read(begun(), *pieces, {"type": "content_block_stop", "index": 0}, ENDED)
    assert "".join(one.text for one in found if isinstance(one, TextDelta)) == text
    assert not any(isinstance(one, ToolCallDelta) for one in found)
    assert answer.finished().reason is FinishReason.STOP


def test_input_that_comes_in_one_piece_is_too() -> None:
    found, _ = read(begun(word="Hi"), {"type": "content_block_stop", "index": 0}, ENDED)
    assert found == [TextDelta('{"word":"Hi"}')]


def test_who_answers_in_words_instead_is_read_as_ever() -> None:
    said = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
    assert read(said)[0] == [TextDelta("Hi")]


@pytest.mark.parametrize(("name", "tool"), [("another", "a_word"), ("a_word", None)])
def test_any_other_call_stays_a_call(name: str, tool: str | None) -> None:
    found, answer = read(begun(name), piece("{}"), ENDED, tool=tool)
    assert all(isinstance(one, ToolCallDelta) for one in found)
    assert answer.finished().reason is FinishReason.TOOL_CALLS


def test_a_schema_has_its_share_of_the_prompt() -> None:
    assert request_tokens(REQUEST) > request_tokens(replace(REQUEST, answer_schema=None)) + 10


def _objects(schema: Any) -> list[dict[str, Any]]:
    if isinstance(schema, list):
        return [found for one in schema for found in _objects(one)]
    if not isinstance(schema, dict):
        return []
    inner = [found for one in schema.values() for found in _objects(one)]
    return [schema, *inner] if schema.get("type") == "object" else inner


def test_lessons_ask_for_what_they_read_in_a_form_that_vendors_take_strictly() -> None:
    asked = lesson_request("m", [Said(MessageId("1"), "I am Ann.")], [], 4_000)
    assert asked is not None
    wanted = asked.request.answer_schema
    assert wanted is not None
    assert asked.again("?", "it is not JSON").request.answer_schema == wanted
    check = Draft202012Validator(dict(wanted.schema))
    shapes = [
        {"op": "add", "text": "x", "quote": "y"},
        {"op": "replace", "notes": [2], "text": "x", "quote": "y"},
        {"op": "repeat", "notes": [1], "quote": "y"},
    ]
    assert check.is_valid({"operations": shapes})
    assert check.is_valid({"operations": []})
    for wrong in ({"op": "add", "text": "x"}, {"op": "forget", "notes": [1]}, {**shapes[0], "user_id": "z"}):
        assert not check.is_valid({"operations": [wrong]})
    for one in _objects(wanted.schema):
        assert one["additionalProperties"] is False
        assert sorted(one["required"]) == sorted(one["properties"])

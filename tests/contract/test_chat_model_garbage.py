"""Whatever a provider sends, it becomes events or a ModelError; whatever it counts, the counts can be stored."""

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.anthropic.answer import AnthropicAnswer
from adapters.openai.answer import OpenAIAnswer
from adapters.web.sse import EventSplitter
from domain.conversation.conversation import ModelEvent, ModelFinished, Usage
from domain.errors import ModelError
from domain.tokens import MOST_TOKENS

Answer = Callable[[], OpenAIAnswer | AnthropicAnswer]
BOTH = [OpenAIAnswer, AnthropicAnswer]

NAMES = (
    "type index delta content_block message usage error choices finish_reason tool_calls function arguments id name"
    " code status param text thinking signature stop_reason input content reasoning refusal"
)
names = st.sampled_from(NAMES.split())
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=8),
    st.sampled_from(["error", "message_delta", "message_start", "content_block_start", "content_block_delta"]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)
counts = st.one_of(st.integers(), st.integers(-3, 9), scalars, st.sampled_from([10**20, -(10**20), MOST_TOKENS]))


def survives(answer: Answer, stream: bytes) -> None:
    splitter, reader, events = EventSplitter(), answer(), list[ModelEvent]()
    with suppress(ModelError):
        for payloads in (splitter.feed(stream), splitter.end()):
            reader.read(payloads, events)
    assert isinstance(reader.finished(), ModelFinished)


def events_of(*payloads: object) -> bytes:
    return b"".join(b"data: " + json.dumps(payload).encode() + b"\n\n" for payload in payloads)


@pytest.mark.parametrize("answer", BOTH)
@settings(deadline=None)
@given(st.binary(max_size=60))
@example(b'{"error":"\xff"}')
@example(b'{"error":{"code":"' + b"9" * 5000 + b'"}}')
@example(b'{"error":{"code":' + b"9" * 4000 + b"}}")
@example(b'{"error":{"code":1e400}}')
@example(b'{"x":' + b"[" * 200_000)
@example(b'{"choices":[{"delta":{"content":"\\ud800"}}]}')
def test_any_bytes_are_events_or_a_model_error(answer: Answer, payload: bytes) -> None:
    survives(answer, payload)
    survives(answer, b"data: " + payload + b"\n\n")


@pytest.mark.parametrize("answer", BOTH)
@settings(deadline=None)
@given(st.lists(values | st.dictionaries(names, values, max_size=4), max_size=4))
def test_any_json_is_events_or_a_model_error(answer: Answer, payloads: list[object]) -> None:
    survives(answer, events_of(*payloads))


@pytest.mark.parametrize("answer", BOTH)
@settings(deadline=None)
@given(values | st.dictionaries(names, values, max_size=5))
def test_any_error_is_a_model_error(answer: Answer, error: object) -> None:
    payload = json.dumps({"type": "error", "error": error}).encode()
    reader, events = answer(), list[ModelEvent]()
    nothing = not error and isinstance(reader, OpenAIAnswer)
    try:
        reader.read([payload], events)
    except ModelError:
        return
    assert nothing, "only an error that says nothing is none"


def counted_by_openai(read: object, written: object, cached: object) -> Usage | None:
    usage = {"prompt_tokens": read, "completion_tokens": written, "prompt_tokens_details": {"cached_tokens": cached}}
    reader, events = OpenAIAnswer(), list[ModelEvent]()
    reader.read([json.dumps({"usage": usage}).encode()], events)
    return reader.finished().usage


def counted_by_anthropic(read: object, written: object, cached: object) -> Usage | None:
    usage = {"input_tokens": read, "output_tokens": written, "cache_read_input_tokens": cached}
    reader, events = AnthropicAnswer(), list[ModelEvent]()
    reader.read([json.dumps({"type": "message_delta", "usage": usage}).encode()], events)
    return reader.finished().usage


@pytest.mark.parametrize("counted", [counted_by_openai, counted_by_anthropic])
@settings(deadline=None)
@given(counts, counts, counts)
def test_any_counts_can_be_stored(
    counted: Callable[..., Usage | None], sent: object, written: object, cached: object
) -> None:
    usage = counted(sent, written, cached) or Usage()
    assert 0 <= usage.cached_tokens <= usage.input_tokens <= MOST_TOKENS
    assert 0 <= usage.output_tokens <= MOST_TOKENS
    assert all(type(count) is int for count in (usage.input_tokens, usage.output_tokens, usage.cached_tokens))


@pytest.mark.parametrize("counted", [counted_by_openai, counted_by_anthropic])
@pytest.mark.parametrize("count", [None, True, 1.5, "7", [], {}])
def test_what_is_no_count_is_absent(counted: Callable[..., Usage | None], count: object) -> None:
    assert counted(count, count, count) is None
    usage = counted(5, count, count)
    assert usage == Usage(5, 0, 0)


@pytest.mark.parametrize("usage", ["many", 7, True, [], {}, {"prompt_tokens_details": "none"}])
def test_an_answer_outlives_its_counts(usage: object) -> None:
    reader, events = OpenAIAnswer(), list[ModelEvent]()
    reader.read([json.dumps({"choices": [{"delta": {"content": "x"}}], "usage": usage}).encode()], events)
    assert len(events) == 1
    assert reader.finished().usage is None


def test_a_later_count_that_is_none_leaves_the_earlier() -> None:
    reader, events = AnthropicAnswer(), list[ModelEvent]()
    first = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
    last = {"type": "message_delta", "usage": {"input_tokens": None, "output_tokens": "4"}}
    reader.read([json.dumps(event).encode() for event in (first, last)], events)
    assert reader.finished().usage == Usage(9, 1)

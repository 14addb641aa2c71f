"""How many values a message holds is known before it is read, however it comes and whatever stands in its texts."""

import json
import time
from itertools import pairwise

import mcp_types as types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.mcp.limits import McpLimits
from adapters.mcp.weights import MOST_VALUES, Events, too_many_values

MOST = McpLimits().message_bytes
HEAVY = json.dumps([[]] * MOST_VALUES).encode()
LIGHT = json.dumps(",[{" * MOST_VALUES).encode()
ENDS = st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"])


def cut(text: bytes, at: list[int]) -> list[bytes]:
    where = sorted({0, len(text), *(one % (len(text) + 1) for one in at)})
    return [text[begin:end] for begin, end in pairwise(where)]


def refused(stream: bytes, at: list[int]) -> bool:
    events = Events(MOST)
    return any(events.too_much(piece) for piece in cut(stream, at)) or events.ends_too_heavy()


def test_values_count_and_texts_do_not() -> None:
    assert too_many_values(HEAVY)
    assert not too_many_values(LIGHT)
    assert too_many_values(b'["\\\\",' + HEAVY.replace(b",", b',"\\\\",'))


@pytest.mark.parametrize("hostile", [b'\\"' * (MOST // 2), b'"' * MOST, b'"\\' * (MOST // 2), b"," * MOST, LIGHT * 50])
def test_counting_takes_no_time_to_speak_of(hostile: bytes) -> None:
    began = time.process_time()
    too_many_values(hostile + b"," * (MOST_VALUES + 1))
    assert time.process_time() - began < 0.5


@given(
    ENDS, st.lists(st.integers(0, 100_000), max_size=6), st.sampled_from([b"", b': "\n', b'event: "\r', b"id: {\r\n"])
)
def test_an_event_that_is_too_heavy_is_told_however_it_is_cut(end: bytes, at: list[int], before: bytes) -> None:
    assert refused(b"data: {}" + end + before + b"data: " + HEAVY + end, at)
    assert refused(before + b"data: " + HEAVY.replace(b", ", b",\ndata: ") + end, at)
    assert refused(before + b"data: " + HEAVY, at)


@given(ENDS, st.lists(st.integers(0, 300_000), max_size=6))
def test_many_small_events_are_none_too_heavy(end: bytes, at: list[int]) -> None:
    assert not refused((b"data: [1,2,3]" + end) * (MOST_VALUES // 2), at)
    assert not refused(b"data: " + LIGHT + end, at)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_what_is_passed_on_was_looked_at_as_the_reader_sees_it(noise: bytes, at: list[int]) -> None:
    stream = noise.replace(b"\x00", b"\r\n") + b"\n\ndata: " + HEAVY + b"\n\n"
    assert refused(stream, at)


def test_an_event_without_an_end_is_not_kept() -> None:
    events = Events(1_000)
    assert not events.too_much(b"data: x\n" * 200)
    assert events.too_much(b"data: x\n" * 100)


def test_the_heaviest_message_that_is_read_holds_up_nobody() -> None:
    blocks = MOST_VALUES // 3 - 10
    said = b'{"jsonrpc":"2.0","id":1,"result":{"content":[%b]}}' % b",".join([b'{"type":"text","text":"a"}'] * blocks)
    assert not too_many_values(said)
    began = time.process_time()
    message = types.jsonrpc_message_adapter.validate_json(said, by_name=False)
    types.CallToolResult.model_validate(message.result, by_name=False)  # type: ignore[union-attr]
    # Five times what was measured: the machine may be busy with other tests.
    assert time.process_time() - began < 0.25

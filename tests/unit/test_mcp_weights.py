"""How many values a message holds is known before it is read, however it comes and whatever stands in its texts."""

import json
from itertools import pairwise

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


@pytest.mark.parametrize("inner", [b'\\"' * (MOST // 2), b"\\\\" * (MOST // 2), b"," * MOST, b"[{," * (MOST // 3)])
def test_a_text_of_the_largest_size_counts_for_nothing_whatever_stands_in_it(inner: bytes) -> None:
    """Counting that grew with the square of these would not come to an end."""
    assert not too_many_values(b'"' + inner + b'"')
    assert too_many_values(b'["' + inner + b'",' + HEAVY + b"]")


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

"""Server-sent events, cut anywhere, are the same events."""

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.web.sse import EventSplitter
from domain.errors import ModelError

line_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12)
line_ends = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """The bytes of a stream, and the data of its events as the standard has them."""
    written = draw(st.sampled_from(["", "\ufeff"]))
    events = draw(st.lists(st.lists(line_texts, min_size=1, max_size=3), max_size=5))
    for lines in events:
        end = draw(line_ends)
        for line in lines:
            space = " " if line.startswith(" ") or draw(st.booleans()) else ""
            written += f"data:{space}{line}{end}"
        noise = ["", f": comment{end}", f"event: x{end}", f"id:7{end}", f"retry: 1{end}{end}", end]
        written += end + draw(st.sampled_from(noise))
    return written.encode(), ["\n".join(lines).encode() for lines in events]


def split(pieces: list[bytes]) -> list[bytes]:
    return split_all(EventSplitter(), pieces)


def split_all(splitter: EventSplitter, pieces: list[bytes]) -> list[bytes]:
    return [event for piece in pieces for event in splitter.feed(piece)]


@settings(deadline=None)
@given(streams(), st.lists(st.integers(0, 200), max_size=12))
@example((b"data: \xe4\xbd\xa0\r\n\r\ndata: x\r\n\r\n", [b"\xe4\xbd\xa0", b"x"]), [7, 10, 11, 12])
def test_events_do_not_depend_on_where_the_bytes_are_cut(stream: tuple[bytes, list[bytes]], cuts: list[int]) -> None:
    data, expected = stream
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert split(pieces) == expected
    assert split([bytes([byte]) for byte in data]) == expected


def test_a_last_event_without_its_empty_line_is_kept() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: one\n\ndata: two") == [b"one"]
    assert splitter.end() == [b"two"]
    assert splitter.end() == []


@pytest.mark.parametrize("piece", [b"x" * 100, b"data: x\n" * 20], ids=["line", "lines"])
def test_an_event_without_an_end_is_bounded(piece: bytes) -> None:
    splitter = EventSplitter(limit=1000)
    splitter.feed(b"data: ok\n\n" * 500)
    with pytest.raises(ModelError) as caught:
        split_all(splitter, [piece] * 40)
    assert caught.value.code == "model_bad_response"

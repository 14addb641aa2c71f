"""What the doctor makes of a stream's frames and of the moments at which they came."""

from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.doctor.continuity import heartbeat_verdict, resume_verdict, stop_verdict
from entrypoints.doctor.events import DONE, PING, TEXT, Frame, frame_of
from entrypoints.doctor.findings import Status
from entrypoints.doctor.streaming import HELD_BACK, SHORTEST_SECONDS, header_findings, stream_verdict, words_to_count
from entrypoints.settings.loading import Settings

EPOCH = 1_790_000_000.0
Gaps = list[float]

gaps = st.lists(st.floats(0.005, 0.5), min_size=8, max_size=75).filter(lambda found: sum(found) > SHORTEST_SECONDS)
clocks = st.floats(-100_000, 100_000)
"""Our clock against the server's."""


def stamps_of(found: Gaps) -> list[float]:
    return [round(EPOCH + passed, 3) for passed in accumulate([0.0, *found])]


def stream(stamps: list[float], arrivals: list[float]) -> list[Frame]:
    words = [
        Frame(TEXT, arrived, "r:1", stamp, {"chunk": "x"}) for stamp, arrived in zip(stamps, arrivals, strict=True)
    ]
    return [*words, Frame(DONE, arrivals[-1], "r:2", stamps[-1])]


@given(gaps, clocks, st.data())
def test_frames_that_arrive_as_they_were_stamped_are_never_called_kept_back(
    found: Gaps, clock: float, data: st.DataObject
) -> None:
    stamps = stamps_of(found)
    longest = (HELD_BACK - 0.02) * (stamps[-1] - stamps[0])
    jitter = data.draw(st.lists(st.floats(0, longest), min_size=len(stamps), max_size=len(stamps)))
    arrivals = [stamp + clock + late for stamp, late in zip(stamps, jitter, strict=True)]
    assert stream_verdict(stream(stamps, arrivals), EPOCH + clock).status is Status.OK


@given(gaps, clocks)
def test_frames_that_all_arrive_at_the_end_are_always_called_kept_back(found: Gaps, clock: float) -> None:
    stamps = stamps_of(found)
    verdict = stream_verdict(stream(stamps, [stamps[-1] + clock] * len(stamps)), EPOCH + clock)
    assert verdict.status is Status.FAIL
    assert "proxy_buffering off" in verdict.mend
    assert "flush_interval -1" in verdict.mend


@given(clocks)
def test_frames_that_arrive_in_two_lumps_are_called_kept_back(clock: float) -> None:
    stamps = stamps_of([0.02] * 60)
    arrivals = [stamps[30] + clock] * 31 + [stamps[-1] + clock] * 30
    assert stream_verdict(stream(stamps, arrivals), EPOCH + clock).status is Status.FAIL


def test_one_pause_of_the_network_is_no_buffering() -> None:
    stamps = stamps_of([0.02] * 60)
    arrivals = [max(stamp, EPOCH + 0.9) if 0.3 < stamp - EPOCH < 0.9 else stamp for stamp in stamps]
    assert stream_verdict(stream(stamps, arrivals), EPOCH).status is Status.OK


def test_a_stream_too_quick_to_tell_is_not_blamed() -> None:
    stamps = stamps_of([0.001] * 60)
    verdict = stream_verdict(stream(stamps, [stamps[-1]] * 61), EPOCH)
    assert verdict.status is Status.OK
    assert "offline_delay_ms" in verdict.message


@pytest.mark.parametrize("frames", [[], [Frame(TEXT, 1.0, "r:1", 1.0)], [Frame(DONE, 1.0)]])
def test_a_stream_without_words_or_end_broke_off(frames: list[Frame]) -> None:
    assert "broke off" in stream_verdict(frames, 0.0).message


@pytest.mark.parametrize(("delay", "count"), [(0, 75), (20, 75), (30, 50), (1000, 8), (1001, None)])
def test_as_many_words_are_asked_for_as_take_a_second_or_two(delay: int, count: int | None) -> None:
    assert words_to_count(Settings(offline_delay_ms=delay)) == count


GOOD = {"Content-Type": "text/event-stream; charset=utf-8", "X-Run-ID": "r"}


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        (GOOD, []),
        (GOOD | {"Content-Encoding": "gzip"}, ["compression"]),
        (GOOD | {"Content-Type": "text/plain"}, ["content type"]),
        ({"Content-Type": "text/event-stream"}, ["run header"]),
    ],
)
def test_headers_that_a_proxy_changed_are_named(headers: dict[str, str], names: list[str]) -> None:
    found = header_findings(headers)
    assert [finding.name for finding in found] == names
    assert all(finding.mend for finding in found)


def ping(arrived: float) -> Frame:
    return Frame(PING, arrived)


@pytest.mark.parametrize(
    ("frames", "status", "words"),
    [
        ([ping(10.0), Frame(TEXT, 12.0)], Status.OK, "the first after 10.0 s"),
        ([Frame(TEXT, 12.0)], Status.FAIL, "no heartbeat"),
        ([ping(12.0), Frame(TEXT, 12.0)], Status.FAIL, "no heartbeat"),
        ([], Status.FAIL, "ended before its answer"),
        ([ping(10.0)], Status.FAIL, "ended before its answer"),
    ],
)
def test_a_heartbeat_counts_when_it_comes_before_the_answer(frames: list[Frame], status: Status, words: str) -> None:
    verdict = heartbeat_verdict(frames, 0.0)
    assert verdict.status is status
    assert words in verdict.message


def done(arrived: float = 0.0, **data: Any) -> Frame:
    return Frame(DONE, arrived, "r:9", 0.0, data)


@pytest.mark.parametrize(
    ("frames", "status"),
    [
        ([done(0.5, status="stopped")], Status.OK),
        ([done(1.5, status="stopped")], Status.FAIL),
        ([done(0.5, status="failed")], Status.FAIL),
        ([done(0.5, status="complete")], Status.SKIP),
        ([Frame(TEXT, 0.5)], Status.FAIL),
        ([], Status.FAIL),
    ],
)
def test_a_stop_ends_the_stream_within_a_second(frames: list[Frame], status: Status) -> None:
    assert stop_verdict(frames, 0.0).status is status


def word(text: str) -> Frame:
    return Frame(TEXT, 0.0, "r:1", 0.0, {"chunk": text})


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ([word("1"), word(" 2")], [word(" 3"), done(content="1 2 3")], Status.OK),
        ([word("1")], [word("1"), word(" 2"), done(content="1 2")], Status.FAIL),
        ([word("1")], [word(" 3"), done(content="1 2 3")], Status.FAIL),
        ([word("1")], [done(content="1"), done(content="1")], Status.FAIL),
        ([word("1")], [], Status.FAIL),
        ([word("1"), done(content="1")], [], Status.FAIL),
    ],
)
def test_what_is_taken_up_again_is_the_rest_and_nothing_else(
    before: list[Frame], after: list[Frame], status: Status
) -> None:
    assert resume_verdict(before, after).status is status


def test_frames_are_read_as_the_server_writes_them() -> None:
    block = b'id: r:1\nevent: response_chunk\ndata: {"type":"response_chunk","timestamp":2.5,"data":{"chunk":"hi"}}'
    assert frame_of(block, 3.0) == Frame(TEXT, 3.0, "r:1", 2.5, {"chunk": "hi"})
    assert frame_of(b": ping", 3.0) == ping(3.0)


@given(st.binary(max_size=200))
def test_what_is_no_frame_has_no_kind(block: bytes) -> None:
    assert frame_of(block, 1.0).kind in ("", PING)

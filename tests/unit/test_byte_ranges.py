"""A range is a part of the file that is there, or is refused, or ignored as RFC 9110 says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoints.http.byte_ranges import ByteRange, Unsatisfiable, parse_range

SIZE = 100


@pytest.mark.parametrize(
    ("value", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=0-100", 0, 100),
        ("bytes=99-99999999999999999", 99, 100),
        ("bytes=10-", 10, 100),
        ("bytes=-1", 99, 100),
        ("bytes=-1000", 0, 100),
        ("Bytes= 5-6 ", 5, 7),
    ],
)
def test_one_range_is_cut_to_what_is_there(value: str, start: int, stop: int) -> None:
    assert parse_range(value, SIZE) == ByteRange(start, stop)


@pytest.mark.parametrize(
    "value",
    [None, "", "bytes", "bytes=", "bytes=-", "bytes=5-4", "bytes=1-2,4-5", "lines=1-2", "bytes=a-b", "bytes=+1-2",
     "bytes=1-2-3", "bytes=--5", "bytes=1.0-2", "bytes=٣-٤", f"bytes={'9' * 5000}-"],
)  # fmt: skip
def test_what_is_no_single_range_means_the_whole(value: str | None) -> None:
    assert parse_range(value, SIZE) is None


@pytest.mark.parametrize("value", ["bytes=100-", "bytes=100-200", "bytes=-0"])
def test_what_is_not_there_is_refused(value: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(value, SIZE)


@given(st.integers(1, 10**12), st.integers(0, 10**13), st.integers(0, 10**13))
def test_a_range_never_leaves_the_file(size: int, first: int, last: int) -> None:
    for value in (f"bytes={first}-{last}", f"bytes={first}-", f"bytes=-{last}"):
        try:
            found = parse_range(value, size)
        except Unsatisfiable:
            assert first >= size or last == 0
        else:
            assert found is None or 0 <= found.start < found.stop <= size
            assert found is not None or last < first


@given(st.text())
def test_no_header_breaks_it(value: str) -> None:
    parse_range(value, SIZE)

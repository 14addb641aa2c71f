"""The time in the ids of files."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from application.files.file_ids import TIME_LENGTH, is_between, is_file_id, time_prefix
from domain.ids import FileId, new_id

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LATEST = 253_402_300_799_999
moments = st.datetimes(timezones=st.just(UTC))
milliseconds = st.integers(0, LATEST)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def id_of(moment: int) -> FileId:
    """A ULID of that millisecond, spelled by division."""
    spelled = ""
    for _ in range(TIME_LENGTH):
        moment, digit = divmod(moment, 32)
        spelled = ALPHABET[digit] + spelled
    return FileId(spelled + "7" * 16)


@given(milliseconds, moments, moments)
def test_an_id_is_between_two_moments_if_its_time_is(made: int, begin: datetime, end: datetime) -> None:
    """From the first on, and before the second."""
    moment = EPOCH + timedelta(milliseconds=made)
    assert is_between(id_of(made), time_prefix(begin), time_prefix(end)) == (begin <= moment < end)


@given(milliseconds, st.integers(-3000, 3000), st.integers(-3000, 3000))
def test_it_is_so_to_the_microsecond(made: int, before: int, after: int) -> None:
    moment = EPOCH + timedelta(milliseconds=made)
    begin, end = (
        moment + timedelta(microseconds=shift) if 9e10 < made < LATEST - 9e10 else moment for shift in (before, after)
    )
    assert is_between(id_of(made), time_prefix(begin), time_prefix(end)) == (begin <= moment < end)


def test_an_id_of_now_is_of_now() -> None:
    begin = datetime.now(UTC)
    made = FileId(new_id())
    assert is_between(made, time_prefix(begin - timedelta(milliseconds=1)), time_prefix(begin + timedelta(minutes=1)))
    assert is_file_id(made)


@given(st.text(ALPHABET + "ilouIOLU/.-٣\n", min_size=24, max_size=28))
def test_nothing_else_is_an_id(text: str) -> None:
    assert is_file_id(text) == (len(text) == 26 and set(text) <= set(ALPHABET))

"""Pages by position: whatever the limit, all pages together are the list."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.paging import MAX_LIMIT, Page, Position, Window
from domain.errors import InvalidValue

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
POSITIONS = st.builds(
    Position, MOMENTS, st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=128)
)


def rows_after(rows: list[Position], window: Window) -> list[Position]:
    """What a repository gives: newest first, after the position, `fetch` rows at most."""
    ordered = sorted(rows, key=lambda row: (row.created_at, row.identifier), reverse=True)
    if window.after is not None:
        end = (window.after.created_at, window.after.identifier)
        ordered = [row for row in ordered if (row.created_at, row.identifier) < end]
    return ordered[: window.fetch]


@given(st.lists(POSITIONS, max_size=30, unique_by=lambda row: row.identifier), st.integers(1, 7))
def test_all_pages_together_are_the_list(rows: list[Position], limit: int) -> None:
    seen: list[Position] = []
    cursor: str | None = None
    while True:
        window = Window.parse(limit, cursor)
        page = Page.cut(rows_after(rows, window), window, lambda row: row)
        assert len(page.items) <= limit
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.items) == limit
    assert seen == rows_after(rows, Window())


@given(POSITIONS)
def test_a_cursor_keeps_its_position(position: Position) -> None:
    window = Window(limit=1)
    page = Page.cut([position, position], window, lambda row: row)
    assert Window.parse(1, page.next_cursor).after == position


def test_without_a_limit_the_whole_list_comes() -> None:
    rows = [Position(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day), str(day)) for day in range(500)]
    page = Page.cut(rows, Window.parse(None, None), lambda row: row)
    assert (len(page.items), page.next_cursor) == (500, None)


@pytest.mark.parametrize("limit", [0, -1, MAX_LIMIT + 1, 10**30])
def test_a_limit_out_of_bounds_is_refused(limit: int) -> None:
    with pytest.raises(InvalidValue, match="limit: must be 1 to 200"):
        Window.parse(limit, None)


@given(st.one_of(st.text(max_size=60), st.binary(max_size=60).map(lambda raw: raw.hex())))
def test_any_cursor_is_taken_or_refused(cursor: str) -> None:
    try:
        Window.parse(1, cursor)
    except InvalidValue as error:
        assert error.fields[0].name == "cursor"  # noqa: PT017


@pytest.mark.parametrize("cursor", ["", "!", "é", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5Ong", "MTo", "MTphAGI"])
def test_a_cursor_that_this_server_never_gave_is_refused(cursor: str) -> None:
    """Among them: a position without an id, one beyond every date, and a NUL that no database compares with."""
    with pytest.raises(InvalidValue, match="next_cursor of this list"):
        Window.parse(1, cursor)

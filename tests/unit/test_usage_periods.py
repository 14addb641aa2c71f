"""The time that a report of usage is of, and what costs are as decimals."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.usage.usage import DAY_MS, USUAL_DAYS, Period, day_of, exact, iso_day, milliseconds

NOW = datetime(2026, 11, 3, 12, tzinfo=UTC)
DAYS = st.dates(date(1970, 1, 1), date(2300, 1, 1))


def test_without_edges_it_is_thirty_days_with_today() -> None:
    period = Period.parse(None, None, NOW)
    assert (iso_day(period.since // DAY_MS), iso_day((period.until - 1) // DAY_MS)) == ("2026-10-05", "2026-11-03")
    assert period.until - period.since == USUAL_DAYS * DAY_MS
    assert period.since <= milliseconds(NOW) < period.until


@given(first=DAYS, days=st.integers(0, 1000), cut=st.data())
def test_dates_part_a_period_without_gap_or_overlap(first: date, days: int, cut: st.DataObject) -> None:
    last = first + timedelta(days=days)
    whole = Period.parse(first.isoformat(), last.isoformat(), NOW)
    assert whole.until - whole.since == (days + 1) * DAY_MS
    if days:
        middle = first + timedelta(days=cut.draw(st.integers(0, days - 1)))
        before = Period.parse(first.isoformat(), middle.isoformat(), NOW)
        after = Period.parse((middle + timedelta(days=1)).isoformat(), last.isoformat(), NOW)
        assert (before.since, before.until, after.until) == (whole.since, after.since, whole.until)


@given(moment=st.datetimes(datetime(1971, 1, 1), datetime(2300, 1, 1), timezones=st.just(UTC)))
def test_a_moment_is_taken_to_the_millisecond(moment: datetime) -> None:
    period = Period.parse(moment.isoformat(), (moment + timedelta(days=1)).isoformat(), NOW)
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=period.since) == whole
    assert day_of(moment) == (moment.date() - date(1970, 1, 1)).days
    assert iso_day(day_of(moment)) == moment.date().isoformat()


@given(since=st.none() | st.text() | DAYS.map(str), until=st.none() | st.text() | DAYS.map(str))
def test_whatever_is_asked_is_a_period_or_refused_with_its_field(since: str | None, until: str | None) -> None:
    found = parsed(since, until)
    if isinstance(found, InvalidValue):
        assert [one.name for one in found.fields] in (["from"], ["to"])
    else:
        assert 0 <= found.since < found.until
        assert iso_day((found.until - 1) // DAY_MS) >= iso_day(found.since // DAY_MS)


def parsed(since: str | None, until: str | None) -> Period | InvalidValue:
    try:
        return Period.parse(since, until, NOW)
    except InvalidValue as refusal:
        return refusal


@pytest.mark.parametrize("edge", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_the_ends_of_the_calendar_are_no_defect(edge: str) -> None:
    for since, until in ((edge, None), (None, edge), (edge, edge)):
        found = parsed(since, until)
        assert isinstance(found, InvalidValue) or len(iso_day((found.until - 1) // DAY_MS)) == len("2026-11-03")


@given(nanos=st.integers(0, 2**70))
def test_a_cost_is_exact_and_as_short_as_it_can_be(nanos: int) -> None:
    cost = exact(nanos)
    assert cost * 10**9 == nanos
    text = f"{cost:f}"
    assert Decimal(text) == cost
    assert not ("." in text and text.endswith(("0", ".")))

"""Quotas of a day: what refuses one more answer, until when, and by how much a quota can be passed."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import TooManyRequests
from domain.models.models import Prices
from domain.usage.quotas import SOON_SECONDS, USUAL_RUN, Quota, Spent, midnight_after, midnight_before

NOW = datetime(2026, 11, 3, 18, tzinfo=UTC)
USD = Prices(1.0, 2.0)
USUAL = USUAL_RUN.input_tokens + USUAL_RUN.output_tokens


def refused(spent: Spent, quota: Quota, prices: Prices | None = None, more_runs: int = 1) -> TooManyRequests | None:
    try:
        spent.refuse_beyond(quota, prices, NOW, more_runs=more_runs)
    except TooManyRequests as refusal:
        return refusal
    return None


@pytest.mark.parametrize(
    ("quota", "within", "beyond"),
    [
        (Quota(tokens=100), Spent(tokens=99), Spent(tokens=100)),
        (Quota(runs=3), Spent(runs=2), Spent(runs=3)),
        (Quota(cost_nanos=100), Spent(costs={"USD": 99, "EUR": 99}), Spent(costs={"EUR": 100})),
    ],
)
def test_what_is_used_up_is_refused_until_midnight(quota: Quota, within: Spent, beyond: Spent) -> None:
    assert refused(within, quota) is None
    refusal = refused(beyond, quota)
    assert refusal is not None
    assert (refusal.code, refusal.retry_after) == ("quota_exceeded", 6 * 3600)
    assert [(one.name, one.message) for one in refusal.fields] == [("resets_at", "2026-11-04T00:00:00Z")]
    assert "2026-11-04T00:00:00Z" in refusal.message


def test_without_a_quota_nothing_is_refused() -> None:
    assert not Quota().is_limited
    assert refused(Spent(10**12, 10**6, {"USD": 10**18}, 10**6), Quota(), USD) is None


def test_costs_of_two_currencies_are_not_added() -> None:
    assert refused(Spent(costs={"USD": 60, "EUR": 60}), Quota(cost_nanos=100)) is None


def test_answers_in_the_making_count_and_are_soon_over() -> None:
    """Ten at once do not pass a quota that has room for one."""
    quota = Quota(tokens=USUAL)
    assert refused(Spent(), quota) is None
    refusal = refused(Spent(open_runs=1), quota)
    assert refusal is not None
    assert (refusal.code, refusal.retry_after) == ("quota_exceeded", SOON_SECONDS)
    assert refused(Spent(open_runs=1), quota, more_runs=0) is None
    few = Quota(runs=3)
    assert refused(Spent(runs=1, open_runs=1), few) is None
    for over in (Spent(runs=1, open_runs=2), Spent(open_runs=3)):
        refusal = refused(over, few)
        assert refusal is not None
        assert refusal.retry_after == SOON_SECONDS
        assert "in the making" in refusal.message
    dear = Quota(cost_nanos=2_500_000)
    assert refused(Spent(open_runs=0), dear, USD) is None
    assert refused(Spent(open_runs=1), dear, USD) is not None
    assert refused(Spent(open_runs=1), dear) is None


def test_one_that_waited_may_go_on_unless_the_quota_is_used_up() -> None:
    assert refused(Spent(tokens=100), Quota(tokens=100), more_runs=0) is not None
    assert refused(Spent(tokens=99, runs=9, open_runs=9), Quota(tokens=100), more_runs=0) is None


def test_one_that_waited_goes_on_within_the_answers_of_the_day() -> None:
    """The others of the day alone are told of."""
    assert refused(Spent(runs=1, open_runs=1), Quota(runs=3), more_runs=0) is None
    assert refused(Spent(runs=1, open_runs=2), Quota(runs=3), more_runs=0) is not None


@given(
    st.builds(Spent, st.integers(0, 9), st.integers(0, 9), st.just({}), st.integers(0, 9)),
    st.integers(1, 9),
    st.integers(0, 1),
)
def test_until_midnight_is_said_only_of_what_no_end_of_an_answer_changes(
    spent: Spent, most: int, more_runs: int
) -> None:
    refusal = refused(spent, Quota(runs=most), more_runs=more_runs)
    assert (refusal is None) == (spent.runs + spent.open_runs < most)
    if refusal is not None:
        assert (refusal.retry_after == SOON_SECONDS) == (spent.runs < most)


@given(limit=st.integers(1, 10**7), each=st.integers(1, 10**5), earlier=st.integers(0, 50), most=st.integers(1, 100))
def test_a_quota_is_passed_by_what_answers_use_beyond_what_was_expected(
    limit: int, each: int, earlier: int, most: int
) -> None:
    """All that are let in at once use as much as those before: the last of them alone may pass the quota."""
    spent = Spent(earlier * each, earlier)
    let_in = 0
    while let_in < most and refused(Spent(spent.tokens, spent.runs, open_runs=let_in), Quota(tokens=limit)) is None:
        let_in += 1
    expected = max(each if earlier else 0, USUAL)
    if let_in:
        assert spent.tokens + (let_in - 1) * expected < limit
    if let_in < most:
        assert spent.tokens + let_in * expected >= limit


@given(
    moment=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), hours=st.integers(-12, 14)
)
def test_the_day_is_that_of_utc_wherever_one_is(moment: datetime, hours: int) -> None:
    local = moment.astimezone(timezone(timedelta(hours=hours)))
    begin, end = midnight_before(local), midnight_after(local)
    assert begin <= moment < end
    assert (begin, end) == (midnight_before(moment), midnight_after(moment))
    assert (begin.hour, begin.minute, end - begin) == (0, 0, timedelta(days=1))

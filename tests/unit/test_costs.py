"""What a call costs: exact to the billionth, added without loss, and never dearer for what was cached."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from domain.conversation.conversation import Usage
from domain.models.attempts import cost_of
from domain.models.models import Prices

TOKENS = st.integers(0, 2**31 - 1)
USAGES = st.builds(lambda fresh, cached, out: Usage(fresh + cached, out, cached), TOKENS, TOKENS, TOKENS)
WRITTEN = st.decimals(0, 1_000_000, places=3, allow_nan=False, allow_infinity=False)
"""As people write prices: then a token costs whole billionths."""
ANY_PRICE = st.floats(0, 1_000_000, allow_nan=False)


@given(USAGES, WRITTEN, WRITTEN, WRITTEN)
def test_a_cost_is_that_of_the_decimals_to_the_billionth(
    usage: Usage, fresh: Decimal, out: Decimal, old: Decimal
) -> None:
    read = (usage.input_tokens - usage.cached_tokens) * int(fresh * 1000) + usage.cached_tokens * int(old * 1000)
    prices = Prices(float(fresh), float(out), float(old))
    assert cost_of(usage, prices) == read + usage.output_tokens * int(out * 1000)


@given(st.lists(USAGES, max_size=6), WRITTEN, WRITTEN, st.none() | WRITTEN)
def test_costs_of_parts_add_up_to_that_of_the_whole(
    parts: list[Usage], fresh: Decimal, out: Decimal, old: Decimal | None
) -> None:
    prices = Prices(float(fresh), float(out), None if old is None else float(old))
    assert sum(cost_of(part, prices) or 0 for part in parts) == cost_of(sum(parts, Usage()), prices)


@given(USAGES, USAGES, ANY_PRICE, ANY_PRICE, ANY_PRICE)
def test_of_prices_with_any_decimals_a_sum_is_off_by_a_billionth_at_most(
    one: Usage, other: Usage, fresh: float, out: float, old: float
) -> None:
    prices = Prices(fresh, out, old)
    parts = (cost_of(one, prices) or 0) + (cost_of(other, prices) or 0)
    assert abs(parts - (cost_of(one + other, prices) or 0)) <= 1


@given(read=TOKENS, out=TOKENS, few=TOKENS, more=TOKENS, price=ANY_PRICE, output=ANY_PRICE, share=st.floats(0, 1))
def test_cached_tokens_never_cost_more_than_fresh_ones_where_they_are_cheaper(
    *, read: int, out: int, few: int, more: int, price: float, output: float, share: float
) -> None:
    """Also where a provider says that more were cached than it read."""
    prices = Prices(price, output, price * share)
    dear, cheap = (cost_of(Usage(read, out, cached), prices) for cached in sorted((few, more)))
    assert dear is not None
    assert cheap is not None
    assert 0 <= cheap <= dear
    assert cost_of(Usage(read, out, more), Prices(price, output)) == cost_of(Usage(read, out), Prices(price, output))


@given(USAGES)
def test_without_prices_a_cost_is_unknown_and_not_nothing(usage: Usage) -> None:
    assert cost_of(usage, None) is None

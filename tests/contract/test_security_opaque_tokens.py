"""Refresh tokens and API keys."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.security import RandomTokens

TOKENS = RandomTokens()


def test_tokens_are_long_different_and_fit_a_header() -> None:
    made = {TOKENS.make("ak_") for _ in range(1000)}
    assert len(made) == 1000
    for token in made:
        assert token.startswith("ak_")
        assert len(token) >= 3 + 43
        assert token.isascii()
        assert token.isprintable()


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_a_fingerprint_tells_tokens_apart_and_does_not_hold_them(one: str, other: str) -> None:
    assert (TOKENS.fingerprint(one) == TOKENS.fingerprint(other)) == (one == other)
    assert len(TOKENS.fingerprint(one)) == 64

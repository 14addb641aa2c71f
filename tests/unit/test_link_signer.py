"""Signatures of addresses, against people who make their own."""

import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from adapters.security import HmacLinkSigner, JwtIssuer
from adapters.security.jwt_issuer import MIN_SECRET_BYTES, _derived
from adapters.security.link_signer import _signature

texts = st.text(st.characters(codec=None))
secrets = st.text(min_size=MIN_SECRET_BYTES, max_size=64)
SECRET = "the-first-secret-of-these-tests-0123456789"
SIGNER = HmacLinkSigner([SECRET])
SAFE = frozenset(string.ascii_letters + string.digits + "-_")


@given(texts, st.lists(secrets, min_size=1, max_size=3))
def test_what_was_signed_is_known_again(granted: str, keys: list[str]) -> None:
    signer = HmacLinkSigner(keys)
    signature = signer.sign(granted)
    assert signer.is_signed(granted, signature)
    assert set(signature) <= SAFE
    assert len(signature) == 43


@given(texts, texts)
def test_a_signature_is_good_for_one_grant_only(granted: str, other: str) -> None:
    assume(granted != other)
    assert not SIGNER.is_signed(other, SIGNER.sign(granted))


@given(texts, texts)
@example("a", "")
@example("a", "é" * 43)
@example("a", "\ud800")
def test_an_invented_signature_opens_nothing(granted: str, invented: str) -> None:
    assume(invented != SIGNER.sign(granted))
    assert not SIGNER.is_signed(granted, invented)


@given(texts, st.integers(0, 42), st.sampled_from(sorted(SAFE)))
def test_a_signature_with_another_character_opens_nothing(granted: str, place: int, char: str) -> None:
    """Also where base 64 has bits to spare: only one spelling is right."""
    signature = SIGNER.sign(granted)
    tampered = signature[:place] + char + signature[place + 1 :]
    assert SIGNER.is_signed(granted, tampered) == (tampered == signature)
    assert not SIGNER.is_signed(granted, signature[:place])
    assert not SIGNER.is_signed(granted, signature + char)


@given(texts, secrets, secrets)
def test_rotation_keeps_old_addresses_until_the_old_key_goes(granted: str, old: str, new: str) -> None:
    assume(old != new)
    given_out = HmacLinkSigner([old]).sign(granted)
    rotated = HmacLinkSigner([new, old])
    assert rotated.is_signed(granted, given_out)
    assert rotated.sign(granted) == HmacLinkSigner([new]).sign(granted) != given_out
    assert not HmacLinkSigner([new]).is_signed(granted, given_out)


@pytest.mark.parametrize("keys", [[], ["short"], [SECRET, "short"]])
def test_a_secret_that_can_be_guessed_is_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="secret_keys"):
        HmacLinkSigner(keys)


def test_links_and_tokens_share_no_key() -> None:
    """Else who can have an address signed could have a token signed."""
    JwtIssuer([SECRET])
    with_token_key = _signature(_derived(SECRET), "granted").decode()
    with_secret = _signature(SECRET.encode(), "granted").decode()
    assert SIGNER.sign("granted") not in {with_token_key, with_secret}

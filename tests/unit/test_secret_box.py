"""What is sealed is opened under the same secrets, and under no others."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.security import FernetBox, HmacLinkSigner
from adapters.security.jwt_issuer import _derived as signing_key
from application.ports.secret_box import SecretBroken

OLD, NEW, OTHER = ("a-secret-that-is-long-enough-" + word * 8 for word in ("old", "new", "other"))
TEXTS = st.text(st.characters(codec="utf-8"), max_size=200)


@given(TEXTS)
def test_what_was_sealed_is_opened(text: str) -> None:
    box = FernetBox([NEW])
    sealed = box.seal(text)
    assert box.open(sealed) == text
    assert sealed.isascii()
    assert sealed != box.seal(text)


@given(st.text("abcdefgh", min_size=8))
def test_nothing_of_the_text_is_seen(text: str) -> None:
    sealed = FernetBox([NEW]).seal(text)
    assert text.encode() not in base64.urlsafe_b64decode(sealed)
    assert text not in sealed


def test_the_first_secret_seals_and_every_one_opens() -> None:
    sealed = FernetBox([OLD]).seal("text")
    rotated = FernetBox([NEW, OLD])
    assert rotated.open(sealed) == "text"
    assert FernetBox([NEW]).open(rotated.seal("text")) == "text"
    for box in (FernetBox([OTHER]), FernetBox([NEW])):
        with pytest.raises(SecretBroken):
            box.open(sealed)


@settings(max_examples=50)
@given(st.data())
def test_what_was_changed_is_broken(data: st.DataObject) -> None:
    box = FernetBox([NEW])
    sealed = bytearray(base64.urlsafe_b64decode(box.seal("text")))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SecretBroken):
        box.open(base64.urlsafe_b64encode(sealed).decode())


@given(st.text(max_size=50))
def test_what_never_was_sealed_is_broken(text: str) -> None:
    with pytest.raises(SecretBroken):
        FernetBox([NEW]).open(text)


def test_signing_and_sealing_share_no_key() -> None:
    keys = {FernetBox([NEW])._fernet._fernets[0]._signing_key, signing_key(NEW)[:16], signing_key(NEW)[16:]}
    keys |= {HmacLinkSigner([NEW])._keys[0][:16], HmacLinkSigner([NEW])._keys[0][16:]}
    assert len(keys) == 5


@pytest.mark.parametrize("secrets", [[], ["short"], [NEW, "short"]])
def test_a_short_secret_is_refused(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="secret_keys"):
        FernetBox(secrets)

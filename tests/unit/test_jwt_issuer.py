"""Access tokens against people who make their own."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.security import JwtIssuer
from adapters.security.jwt_issuer import _derived, _key_id
from domain.errors import Unauthenticated
from domain.ids import FamilyId, UserId

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
SECRET = "the-first-secret-of-these-tests-0123456789"
OLD = "an-older-secret-of-these-tests-0123456789"
ISSUER = JwtIssuer([SECRET, OLD])
ANN, LOGIN = UserId("ann"), FamilyId("login-1")
KEY = _derived(SECRET)

HEADER = {"alg": "HS256", "typ": "at+jwt", "kid": _key_id(KEY)}
CLAIMS: dict[str, Any] = {
    "iss": "agentchat",
    "aud": "agentchat",
    "sub": "ann",
    "sid": "login-1",
    "iat": int(NOW.timestamp()),
    "exp": int(NOW.timestamp()) + 60,
    "jti": "1",
}


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forged(header: dict[str, Any] | None = None, claims: object = None, key: bytes = KEY) -> str:
    """Signed as asked for, with a primitive of the standard library and not with the library under test."""
    text = f"{part(HEADER | (header or {}))}.{part(CLAIMS if claims is None else claims)}"
    digest = base64.urlsafe_b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).decode().rstrip("=")
    return f"{text}.{digest}"


def refusal(token: str, issuer: JwtIssuer | None = None, now: datetime = NOW) -> str:
    with pytest.raises(Unauthenticated) as refused:
        (issuer or ISSUER).verify(token, now)
    assert len(token) < 10 or token not in refused.value.message
    return refused.value.code


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


def test_a_token_speaks_for_its_user_and_login_until_it_expires() -> None:
    token, expires_at = ISSUER.issue(ANN, LOGIN, NOW)
    for _ in range(2):
        claims = ISSUER.verify(token, expires_at - timedelta(microseconds=1))
        assert (claims.user_id, claims.family_id, claims.expires_at) == (ANN, LOGIN, expires_at)
    assert refusal(token, now=expires_at) == "token_expired"
    assert refusal(token, JwtIssuer([SECRET]), expires_at) == "token_expired"
    assert timedelta(minutes=29) < expires_at - NOW <= timedelta(minutes=30)


def test_the_forger_of_these_tests_makes_good_tokens_when_it_follows_the_rules() -> None:
    assert ISSUER.verify(forged(), NOW).user_id == "ann"


def test_tokens_differ_even_in_one_second() -> None:
    assert ISSUER.issue(ANN, LOGIN, NOW)[0] != ISSUER.issue(ANN, LOGIN, NOW)[0]


def test_an_older_secret_verifies_but_does_not_sign() -> None:
    before, after = JwtIssuer([OLD]), JwtIssuer([SECRET, OLD])
    assert after.verify(before.issue(ANN, LOGIN, NOW)[0], NOW).user_id == ANN
    token, _ = after.issue(ANN, LOGIN, NOW)
    assert refusal(token, before) == "token_invalid"
    assert refusal(before.issue(ANN, LOGIN, NOW)[0], JwtIssuer([SECRET])) == "token_invalid"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS384", "HS512", "RS256", "ES256", "", None, 1])
def test_the_header_does_not_choose_the_algorithm(algorithm: object) -> None:
    assert refusal(forged({"alg": algorithm})) == "token_invalid"


def test_a_token_without_a_signature_is_refused() -> None:
    unsigned = f"{part(HEADER | {'alg': 'none'})}.{part(CLAIMS)}."
    assert refusal(unsigned) == refusal(forged().rsplit(".", 1)[0] + ".") == "token_invalid"
    assert refusal(jwt.encode(CLAIMS, None, "none", HEADER | {"alg": "none"})) == "token_invalid"  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_with_the_right_key_is_refused(algorithm: str) -> None:
    assert refusal(jwt.encode(CLAIMS, KEY + KEY, algorithm, HEADER | {"alg": algorithm})) == "token_invalid"
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        short_key = jwt.encode(CLAIMS, KEY, algorithm, HEADER | {"alg": algorithm})
    assert refusal(short_key) == "token_invalid"


@pytest.mark.parametrize("key", [b"", SECRET.encode(), b"another-key-of-32-bytes-or-more-0123"])
def test_another_key_is_refused(key: bytes) -> None:
    assert refusal(forged(key=key)) == "token_invalid"


@pytest.mark.parametrize("name", list(CLAIMS))
def test_every_claim_is_needed(name: str) -> None:
    assert refusal(forged(claims=without(name))) == "token_invalid"
    assert refusal(forged(claims=CLAIMS | {name: None})) == "token_invalid"


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"},
        {"aud": "another"},
        {"aud": ["agentchat", "another"]},
        {"sub": ""},
        {"sub": 5},
        {"sid": ["x"]},
        {"exp": "soon"},
        {"exp": True},
        {"exp": 10**30},
        {"exp": -(10**30)},
        {"exp": 1e300},
        {"iat": int(NOW.timestamp()) + 3600},
        {"iat": "now"},
        {"jti": 5},
    ],
)
def test_claims_of_wrong_values_are_refused(change: dict[str, Any]) -> None:
    assert refusal(forged(claims=CLAIMS | change)) == "token_invalid"


@pytest.mark.parametrize("claims", [[], "text", 5, None, {}, [CLAIMS]])
def test_claims_that_are_no_object_are_refused(claims: object) -> None:
    assert refusal(forged(claims=claims if claims is not None else [None])) == "token_invalid"


@pytest.mark.parametrize(
    "change",
    [
        {"kid": "unknown"},
        {"kid": None},
        {"kid": ["x"]},
        {"kid": "../../etc/passwd"},
        {"typ": "JWT"},
        {"typ": None},
        {"crit": ["exp"]},
        {"b64": False, "crit": ["b64"]},
    ],
)
def test_headers_of_wrong_values_are_refused(change: dict[str, Any]) -> None:
    assert refusal(forged(change)) == "token_invalid"


def test_a_key_that_the_token_brings_along_is_not_used() -> None:
    own = b"a-key-that-the-attacker-made-0123456789"
    jwk = {"kty": "oct", "k": base64.urlsafe_b64encode(own).decode()}
    assert refusal(forged({"jwk": jwk, "jku": "http://evil.example/keys"}, key=own)) == "token_invalid"


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "a" * 5000, "é.é.é", "\x00", "\ud800", "rt_" + "x" * 43])
def test_what_is_no_token_is_refused(token: str) -> None:
    assert refusal(token) == "token_invalid"


def test_a_huge_token_is_refused_before_it_is_decoded() -> None:
    assert refusal(forged(claims=CLAIMS | {"pad": "x" * 5000})) == "token_invalid"


@given(st.text(max_size=300))
def test_no_text_is_taken_for_a_token(token: str) -> None:
    assert refusal(token) == "token_invalid"


@given(st.data())
def test_a_token_with_one_character_changed_is_refused(data: st.DataObject) -> None:
    token, _ = ISSUER.issue(ANN, LOGIN, NOW)
    ISSUER.verify(token, NOW)
    body = token.rsplit(".", 1)[0]
    at = data.draw(st.integers(0, len(body) - 1))
    char = data.draw(st.sampled_from("abcXYZ019-_.").filter(lambda one: one != token[at]))
    changed = token[:at] + char + token[at + 1 :]
    assert refusal(changed) == "token_invalid"


def test_remembered_tokens_are_bounded_and_expire_all_the_same() -> None:
    issuer = JwtIssuer([SECRET], remembered=3)
    tokens = [issuer.issue(ANN, LOGIN, NOW)[0] for _ in range(10)]
    for token in tokens:
        issuer.verify(token, NOW)
    assert len(issuer._known) == 3
    for token in tokens:
        assert refusal(token, issuer, NOW + timedelta(hours=1)) == "token_expired"
    assert not set(issuer._known)


@pytest.mark.parametrize("secrets", [[], [""], ["short"], ["x" * 31], [SECRET, "short"]])
def test_secrets_that_can_be_guessed_are_refused(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        JwtIssuer(secrets)

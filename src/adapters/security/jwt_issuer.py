"""Access tokens: JWT with one algorithm, HS256, whatever a token's header says.

The signing keys are derived from the secrets, so that signing and encrypting never share one. A secret has at least 32
bytes: stretching a short one would hide that it can be guessed, so it is refused.
"""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import jwt

from application.ports.security import AccessClaims
from domain.errors import Unauthenticated
from domain.ids import FamilyId, UserId, new_id

ALGORITHM: Final = "HS256"
TYPE: Final = "at+jwt"
MIN_SECRET_BYTES: Final = 32
MAX_TOKEN: Final = 4096
_LEEWAY: Final = timedelta(seconds=60)
"""How far the clock of another of our machines may be ahead."""
_CLAIMS: Final = ("iss", "aud", "sub", "sid", "iat", "exp", "jti")


class JwtIssuer:
    """The first secret signs, all verify. Of the last `remembered` good tokens only the expiry is checked again."""

    def __init__(
        self,
        secrets: Sequence[str],
        *,
        lifetime: timedelta = timedelta(minutes=30),
        issuer: str = "agentchat",
        audience: str = "agentchat",
        remembered: int = 4096,
    ) -> None:
        if not secrets or any(len(secret.encode()) < MIN_SECRET_BYTES for secret in secrets):
            raise ValueError(f"secret_keys: give at least one, each of {MIN_SECRET_BYTES} bytes or more")
        keys = [_derived(secret) for secret in secrets]
        self._keys = {_key_id(key): key for key in keys}
        self._signing_key, self._signing_id = keys[0], _key_id(keys[0])
        self._lifetime, self._issuer, self._audience = lifetime, issuer, audience
        self._remembered, self._known = remembered, OrderedDict[str, AccessClaims]()

    def issue(self, user_id: UserId, family_id: FamilyId, now: datetime) -> tuple[str, datetime]:
        expires_at = (now + self._lifetime).replace(microsecond=0)
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": user_id,
            "sid": family_id,
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
            "jti": new_id(),
        }
        headers = {"kid": self._signing_id, "typ": TYPE}
        return jwt.encode(claims, self._signing_key, ALGORITHM, headers), expires_at

    def verify(self, token: str, now: datetime) -> AccessClaims:
        known = self._known.get(token)
        if known is None:
            known = self._checked(token, now)
            self._known[token] = known
            if len(self._known) > self._remembered:
                self._known.popitem(last=False)
        if known.expires_at <= now:
            self._known.pop(token, None)
            raise Unauthenticated("token_expired", "The access token has expired: refresh it or log in again.")
        return known

    def _checked(self, token: str, now: datetime) -> AccessClaims:
        if len(token) > MAX_TOKEN:
            raise _invalid()
        try:
            header = jwt.get_unverified_header(token)
            claims = self._decoded(token, header)
            issued_at, expires_at = (datetime.fromtimestamp(_seconds(claims[name]), UTC) for name in ("iat", "exp"))
        except (jwt.InvalidTokenError, ValueError, OverflowError, OSError, RecursionError) as error:
            raise _invalid() from error
        if issued_at > now + _LEEWAY or not claims["sub"] or not claims["sid"]:
            raise _invalid()
        return AccessClaims(UserId(claims["sub"]), FamilyId(claims["sid"]), expires_at)

    def _decoded(self, token: str, header: Mapping[str, Any]) -> Mapping[str, Any]:
        key = self._keys.get(str(header.get("kid")))
        if key is None or header.get("typ") != TYPE:
            raise jwt.InvalidTokenError
        claims = jwt.decode(
            token,
            key,
            algorithms=[ALGORITHM],
            audience=self._audience,
            issuer=self._issuer,
            options={"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False, "verify_nbf": False},
        )
        if not all(isinstance(claims[name], str) for name in ("sub", "sid", "jti", "aud")):
            raise jwt.InvalidTokenError
        return claims


def _seconds(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise jwt.InvalidTokenError
    return value


def _derived(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"agentchat access tokens 1", "sha256")


def _key_id(key: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(b"key id" + key).digest()[:6]).decode()


def _invalid() -> Unauthenticated:
    return Unauthenticated("token_invalid", "The access token is not valid: log in again.")

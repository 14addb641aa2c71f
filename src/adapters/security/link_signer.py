"""Signatures of addresses: HMAC-SHA256, under keys that are derived from the secrets for this purpose alone."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

from adapters.security.jwt_issuer import MIN_SECRET_BYTES

_LABEL: Final = b"agentchat signed links 1"


class HmacLinkSigner:
    """The first secret signs, all verify."""

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets or any(len(secret.encode()) < MIN_SECRET_BYTES for secret in secrets):
            raise ValueError(f"secret_keys: give at least one, each of {MIN_SECRET_BYTES} bytes or more")
        self._keys = tuple(hmac.digest(secret.encode(), _LABEL, hashlib.sha256) for secret in secrets)

    def sign(self, granted: str) -> str:
        return _signature(self._keys[0], granted).decode()

    def is_signed(self, granted: str, signature: str) -> bool:
        given = signature.encode("utf-8", "surrogatepass")
        # All keys are tried, so that the time does not say which of them fits.
        return sum(hmac.compare_digest(_signature(key, granted), given) for key in self._keys) > 0


def _signature(key: bytes, granted: str) -> bytes:
    digest = hmac.digest(key, granted.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return urlsafe_b64encode(digest).rstrip(b"=")

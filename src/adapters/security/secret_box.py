"""Encryption of what lies in the database: Fernet (AES-128-CBC and HMAC-SHA256), under keys of this purpose alone."""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from adapters.security.jwt_issuer import MIN_SECRET_BYTES
from application.ports.secret_box import SecretBroken

_LABEL: Final = b"agentchat sealed secrets 1"


class FernetBox:
    """The first secret seals, every one opens."""

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets or any(len(secret.encode()) < MIN_SECRET_BYTES for secret in secrets):
            raise ValueError(f"secret_keys: give at least one, each of {MIN_SECRET_BYTES} bytes or more")
        keys = [Fernet(_derived(secret)) for secret in secrets]
        self._first = keys[0]
        self._fernet = MultiFernet(keys)

    def seal(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except (InvalidToken, UnicodeError) as error:
            raise SecretBroken from error

    def renewed(self, sealed: str) -> str | None:
        try:
            self._first.decrypt(sealed.encode())
        except InvalidToken:
            return self.seal(self.open(sealed))
        return None


def _derived(secret: str) -> bytes:
    return urlsafe_b64encode(hmac.digest(secret.encode(), _LABEL, "sha256"))

"""Random tokens of 256 bits. Nobody guesses these, so a fast hash without salt is enough to store them."""

import hashlib
import secrets


class RandomTokens:
    def make(self, prefix: str = "") -> str:
        return prefix + secrets.token_urlsafe(32)

    def fingerprint(self, token: str) -> str:
        return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

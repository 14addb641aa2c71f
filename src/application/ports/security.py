"""Secrets: passwords, tokens and their hashes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from domain.ids import FamilyId, UserId


class PasswordHasher(Protocol):
    """A slow, salted hash. Runs beside the event loop, a bounded number at a time."""

    async def hash(self, password: str) -> str:
        """Raises TooManyRequests `too_many_logins` when too many are waiting."""
        ...

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """False for a wrong password. With None it takes as long as with a hash, and is False."""
        ...

    def is_outdated(self, password_hash: str) -> bool:
        """Whether it was made with weaker parameters than today's."""
        ...


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """Who an access token speaks for, and the login (family of refresh tokens) that it came from."""

    user_id: UserId
    family_id: FamilyId
    expires_at: datetime


class TokenIssuer(Protocol):
    def issue(self, user_id: UserId, family_id: FamilyId, now: datetime) -> tuple[str, datetime]:
        """A signed access token and the moment it expires."""
        ...

    def verify(self, token: str, now: datetime) -> AccessClaims:
        """Raises Unauthenticated `token_expired` or `token_invalid`."""
        ...


class OpaqueTokens(Protocol):
    """Refresh tokens and API keys: random, of at least 256 bits, kept as hashes."""

    def make(self, prefix: str = "") -> str: ...

    def fingerprint(self, token: str) -> str:
        """The hash under which a token is stored; the same for the same token."""
        ...


class LinkSigner(Protocol):
    """Signs what an address grants, so that nobody else can make such an address."""

    def sign(self, granted: str) -> str:
        """Under the first of the secret keys; letters, digits, `-` and `_`."""
        ...

    def is_signed(self, granted: str, signature: str) -> bool:
        """Whether one of the secret keys signed exactly that; in the same time for every wrong signature."""
        ...

"""Who is calling: logging in, staying logged in, and leaving."""

from dataclasses import dataclass

from application.ports.clock import Clock
from application.ports.persistence import Transactions
from application.ports.security import OpaqueTokens, TokenIssuer
from domain.errors import Unauthenticated
from domain.ids import FamilyId, UserId

API_KEY_PREFIX = "ak_"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. `family_id` is the login that the access token came from, None for an API key."""

    user_id: UserId
    family_id: FamilyId | None = None


@dataclass(frozen=True, slots=True)
class Authenticate:
    """An access token is checked without the database: the repositories prove that the account still exists."""

    transactions: Transactions
    issuer: TokenIssuer
    tokens: OpaqueTokens
    clock: Clock

    async def __call__(self, bearer: str) -> Caller:
        now = self.clock.now()
        if not bearer.startswith(API_KEY_PREFIX):
            claims = self.issuer.verify(bearer, now)
            return Caller(claims.user_id, claims.family_id)
        async with self.transactions.read() as tx:
            owner = await tx.api_keys.owner_of(self.tokens.fingerprint(bearer), now)
        if owner is None:
            raise Unauthenticated("api_key_invalid", "The API key is unknown, deleted or expired.")
        return Caller(owner.user_id)

"""Who is calling: logging in, staying logged in, and leaving."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from application.accounts.password_check import CheckPassword
from application.ports.clock import Clock
from application.ports.persistence import Transaction, Transactions
from application.ports.security import OpaqueTokens, PasswordHasher, TokenIssuer
from domain.accounts.users import RefreshToken, User, UserName, parse_tried_password
from domain.errors import InvalidValue, Unauthenticated
from domain.ids import FamilyId, UserId, new_id
from domain.text import search_key

API_KEY_PREFIX = "ak_"
REFRESH_PREFIX = "rt_"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request. `family_id` is the login that the access token came from, None for an API key."""

    user_id: UserId
    family_id: FamilyId | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a client holds while it is logged in."""

    access_token: str
    refresh_token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class Authenticate:
    """An access token is checked without the database: the repositories prove that the account still exists.

    So it outlives the end of its login until it expires. What would outlive it too asks for a login that goes on.
    """

    transactions: Transactions
    issuer: TokenIssuer
    tokens: OpaqueTokens
    clock: Clock

    async def __call__(self, bearer: str) -> Caller:
        now = self.clock.now()
        if not bearer.startswith(API_KEY_PREFIX):
            claims = self.issuer.verify(bearer, now)
            return Caller(claims.user_id, claims.family_id)
        async with self.transactions.autocommit() as tx:
            owner = await tx.api_keys.owner_of(self.tokens.fingerprint(bearer), now)
        if owner is None:
            raise Unauthenticated("api_key_invalid", "The API key is unknown, deleted or expired.")
        return Caller(owner.user_id)


@dataclass(frozen=True, slots=True)
class IssueTokens:
    """A new link of a family: an access token, and the refresh token that follows it."""

    issuer: TokenIssuer
    tokens: OpaqueTokens
    refresh_lifetime: timedelta = timedelta(days=30)

    async def __call__(self, tx: Transaction, user_id: UserId, family_id: FamilyId, now: datetime) -> Tokens:
        refresh_token = self.tokens.make(REFRESH_PREFIX)
        fingerprint = self.tokens.fingerprint(refresh_token)
        await tx.refresh_tokens.add(RefreshToken(fingerprint, family_id, user_id, now + self.refresh_lifetime))
        access_token, expires_at = self.issuer.issue(user_id, family_id, now)
        return Tokens(access_token, refresh_token, ceil((expires_at - now).total_seconds()))


@dataclass(frozen=True, slots=True)
class LogIn:
    """A wrong name and a wrong password get the same answer in the same time."""

    transactions: Transactions
    check_password: CheckPassword
    issue_tokens: IssueTokens
    hasher: PasswordHasher
    clock: Clock

    async def __call__(self, user_name: str, password: str, address: str) -> tuple[User, Tokens]:
        name = _possible_name(user_name)
        user = await self._named(name)
        account = name.key if name else search_key(user_name)
        right = await self.check_password(account, address, password, user)
        if user is None or not right:
            raise _login_failed()
        return await self._open(user, await self._renewed_hash(user, password))

    async def _named(self, name: UserName | None) -> User | None:
        if name is None:
            return None
        async with self.transactions.autocommit() as tx:
            return await tx.users.by_name(name)

    async def _open(self, user: User, renewed_hash: str | None) -> tuple[User, Tokens]:
        now = self.clock.now()
        async with self.transactions.begin() as tx:
            current = await tx.users.locked(user.user_id)
            if current.password_hash != user.password_hash:
                raise _login_failed()
            if renewed_hash:
                await tx.users.set_password(user.user_id, renewed_hash, user.password_hash)
            await tx.refresh_tokens.remove_expired(now)
            return current, await self.issue_tokens(tx, user.user_id, FamilyId(new_id()), now)

    async def _renewed_hash(self, user: User, password: str) -> str | None:
        if not self.hasher.is_outdated(user.password_hash):
            return None
        return await self.hasher.hash(parse_tried_password(password))


@dataclass(frozen=True, slots=True)
class RefreshSession:
    """Each refresh token works once. A spent one that comes again was stolen from one side or the other."""

    transactions: Transactions
    issue_tokens: IssueTokens
    tokens: OpaqueTokens
    clock: Clock

    async def __call__(self, refresh_token: str) -> Tokens:
        fingerprint = self.tokens.fingerprint(refresh_token)
        now = self.clock.now()
        async with self.transactions.begin() as tx:
            spent = await tx.refresh_tokens.spend(fingerprint, now)
            if spent is not None and spent.spent_at is not None:
                await tx.refresh_tokens.remove_family(spent.family_id)
            elif spent is not None and spent.expires_at > now:
                return await self.issue_tokens(tx, spent.user_id, spent.family_id, now)
        if spent is not None and spent.spent_at is not None:
            raise Unauthenticated(
                "refresh_token_reused", "This refresh token was used before, so its login was ended: log in again."
            )
        raise Unauthenticated(
            "refresh_token_invalid", "The refresh token is unknown, revoked or expired: log in again."
        )


@dataclass(frozen=True, slots=True)
class LogOut:
    """Ends the login that the access token came from, and the one of the refresh token if one is given.

    The access token opens what it opened until it expires, but makes no API keys any more.
    """

    transactions: Transactions
    tokens: OpaqueTokens
    clock: Clock

    async def __call__(self, caller: Caller, refresh_token: str | None) -> None:
        async with self.transactions.begin() as tx:
            await tx.users.locked(caller.user_id)
            if caller.family_id is not None:
                await tx.refresh_tokens.remove_family(caller.family_id)
            if refresh_token:
                link = await tx.refresh_tokens.spend(self.tokens.fingerprint(refresh_token), self.clock.now())
                if link is not None and link.user_id == caller.user_id:
                    await tx.refresh_tokens.remove_family(link.family_id)


def _possible_name(raw: str) -> UserName | None:
    try:
        return UserName.parse(raw)
    except InvalidValue:
        return None


def _login_failed() -> Unauthenticated:
    return Unauthenticated("login_failed", "The user name or the password is wrong.")

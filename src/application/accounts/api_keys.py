"""Keys for programs: an API key goes wherever an access token goes."""

from dataclasses import dataclass
from datetime import datetime

from application.accounts.sessions import API_KEY_PREFIX, Caller
from application.paging import Page, Position, Window
from application.ports.clock import Clock
from application.ports.persistence import Transaction, Transactions
from application.ports.security import OpaqueTokens
from domain.accounts.users import KEYS_MAX, ApiKey
from domain.errors import Conflict, Unauthenticated
from domain.ids import ApiKeyId, UserId, new_id


@dataclass(frozen=True, slots=True)
class CreateApiKey:
    transactions: Transactions
    tokens: OpaqueTokens
    clock: Clock

    async def __call__(self, caller: Caller, name: str, expires_at: datetime | None) -> tuple[ApiKey, str]:
        """The key and its secret, which nobody can show a second time.

        Raises Unauthenticated `session_ended`: the access token of a login that was ended, which may have been
        stolen, is good for minutes, and must not be exchanged for a key that is good for ever.
        """
        now = self.clock.now()
        secret = self.tokens.make(API_KEY_PREFIX)
        key = ApiKey.new(
            ApiKeyId(new_id()),
            caller.user_id,
            name,
            now,
            key_hash=self.tokens.fingerprint(secret),
            hint=secret[-4:],
            expires_at=expires_at,
        )
        async with self.transactions.begin() as tx:
            await tx.users.locked(caller.user_id)
            await _require_live(tx, caller, now)
            if len(await tx.api_keys.list(Window(limit=KEYS_MAX), owner=caller.user_id)) >= KEYS_MAX:
                raise Conflict("too_many_api_keys", f"An account has at most {KEYS_MAX} API keys: delete one first.")
            await tx.api_keys.add(key)
        return key, secret


@dataclass(frozen=True, slots=True)
class ListApiKeys:
    transactions: Transactions

    async def __call__(self, actor: UserId, window: Window) -> Page[ApiKey]:
        async with self.transactions.autocommit() as tx:
            keys = await tx.api_keys.list(window, owner=actor)
        return Page.cut(keys, window, lambda key: Position(key.created_at, key.api_key_id))


@dataclass(frozen=True, slots=True)
class ShowApiKey:
    transactions: Transactions

    async def __call__(self, actor: UserId, api_key_id: ApiKeyId) -> ApiKey:
        async with self.transactions.autocommit() as tx:
            return await tx.api_keys.get(api_key_id, owner=actor)


@dataclass(frozen=True, slots=True)
class DeleteApiKey:
    transactions: Transactions

    async def __call__(self, actor: UserId, api_key_id: ApiKeyId) -> None:
        async with self.transactions.begin() as tx:
            await tx.api_keys.remove(api_key_id, owner=actor)


async def _require_live(tx: Transaction, caller: Caller, now: datetime) -> None:
    family_id = caller.family_id
    if family_id is not None and not await tx.refresh_tokens.is_live(family_id, now, owner=caller.user_id):
        raise Unauthenticated("session_ended", "This login was ended: log in again.")

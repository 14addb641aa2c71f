"""Proving and changing the caller's own password."""

from dataclasses import dataclass

from application.accounts.password_check import CheckPassword
from application.accounts.sessions import Caller
from application.ports.persistence import Transactions
from application.ports.security import PasswordHasher
from domain.accounts.users import User, parse_new_password
from domain.errors import Conflict, InvalidValue
from domain.ids import UserId


@dataclass(frozen=True, slots=True)
class ConfirmPassword:
    """The caller's account, if the password is theirs: a stolen token alone neither changes nor deletes an account."""

    transactions: Transactions
    check_password: CheckPassword

    async def __call__(self, user_id: UserId, field_name: str, password: str, address: str) -> User:
        async with self.transactions.autocommit() as tx:
            user = await tx.users.caller(user_id)
        if not await self.check_password(user.name.key, address, password, user):
            raise InvalidValue(field_name, "is not your present password", code="wrong_password")
        return user


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """Ends every login but the caller's own. API keys stay: they are deleted one by one."""

    transactions: Transactions
    confirm: ConfirmPassword
    hasher: PasswordHasher
    password_min_length: int = 4

    async def __call__(self, caller: Caller, old_password: str, new_password: str, address: str) -> None:
        new = parse_new_password("new_password", new_password, minimum=self.password_min_length)
        user = await self.confirm(caller.user_id, "old_password", old_password, address)
        password_hash = await self.hasher.hash(new)
        async with self.transactions.begin() as tx:
            if not await tx.users.set_password(user.user_id, password_hash, user.password_hash):
                raise Conflict("password_changed", "The password was changed by another request meanwhile.")
            await tx.refresh_tokens.remove_all(caller.user_id, but=caller.family_id)

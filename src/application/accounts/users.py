"""Accounts: making, showing, changing and deleting them."""

from dataclasses import dataclass
from typing import Final

from application.accounts.passwords import ConfirmPassword
from application.jobs.asked_work import AskForWork
from application.ports.clock import Clock
from application.ports.job_queue import Job, JobKind
from application.ports.persistence import Transactions
from application.ports.security import PasswordHasher
from application.runs.run_registry import RunRegistry
from domain.accounts.users import Role, User, UserName, parse_new_password
from domain.errors import Conflict
from domain.ids import UserId, new_id

ASKED_AT_ONCE: Final = 100
"""Of more bases the upkeep takes away what is in them: the answer does not wait for it."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What a person says about themselves, unchecked."""

    user_name: str
    password: str
    email: str | None = None
    avatar: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class RegisterUser:
    transactions: Transactions
    hasher: PasswordHasher
    clock: Clock
    password_min_length: int = 4

    async def __call__(self, account: NewAccount) -> User:
        return await self.open(account, Role.USER)

    async def open(self, account: NewAccount, role: Role) -> User:
        """The hash is computed between two looks at the name: the first saves the work, the second decides."""
        name = UserName.parse(account.user_name)
        password = parse_new_password("user_password", account.password, minimum=self.password_min_length)
        draft = User.new(
            UserId(new_id()),
            name,
            "",
            self.clock.now(),
            role=role,
            email=account.email,
            avatar=account.avatar,
            description=account.description,
        )
        async with self.transactions.autocommit() as tx:
            if await tx.users.by_name(name) is not None:
                raise Conflict("user_name_taken", "This user name is taken: choose another.", field="user_name")
        user = draft.with_password(await self.hasher.hash(password))
        async with self.transactions.begin() as tx:
            await tx.users.add(user)
        return user


@dataclass(frozen=True, slots=True)
class CreateAdmin:
    """For the command line alone: nobody becomes an admin over HTTP."""

    register: RegisterUser

    async def __call__(self, user_name: str, password: str, email: str | None = None) -> User:
        return await self.register.open(NewAccount(user_name, password, email), Role.ADMIN)


@dataclass(frozen=True, slots=True)
class ShowUser:
    transactions: Transactions

    async def __call__(self, actor: UserId, user_id: UserId | None) -> User:
        """The profile as the actor may see it. Raises NotFound."""
        async with self.transactions.begin() as tx:
            me = await tx.users.caller(actor)
            user = me if user_id in (None, actor) else await tx.users.get(UserId(user_id or ""))
        return user.seen_by(actor)


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """None leaves a field as it is."""

    email: str | None = None
    avatar: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class UpdateUser:
    transactions: Transactions
    clock: Clock

    async def __call__(self, actor: UserId, user_id: UserId, change: ProfileChange) -> User:
        async with self.transactions.begin() as tx:
            me = await tx.users.caller(actor)
            user = me if user_id == actor else await tx.users.get(user_id)
            me.may_edit(user.user_id)
            changed = user.with_profile(
                email=change.email, avatar=change.avatar, description=change.description, now=self.clock.now()
            )
            await tx.users.save_profile(changed)
        return changed


@dataclass(frozen=True, slots=True)
class DeleteUser:
    """Everything of theirs goes with them; their tokens name an account that no repository finds."""

    transactions: Transactions
    confirm: ConfirmPassword
    runs: RunRegistry
    ask_for_work: AskForWork

    async def __call__(self, actor: UserId, password: str, address: str) -> None:
        user = await self.confirm(actor, "user_password", password, address)
        async with self.transactions.autocommit() as tx:
            bases = await tx.users.remove(user.user_id)
        self.runs.stop_all(owner=user.user_id)
        for knowledge_id in bases[:ASKED_AT_ONCE]:
            await self.ask_for_work(Job(JobKind.PURGE, knowledge_id))

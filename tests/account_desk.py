"""All use cases of accounts over one database, with a clock to set and a hasher that tells what it did."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import cast

from adapters.security import JwtIssuer, RandomTokens
from application.accounts.api_keys import CreateApiKey, DeleteApiKey, ListApiKeys, ShowApiKey
from application.accounts.password_check import CheckPassword
from application.accounts.passwords import ChangePassword, ConfirmPassword
from application.accounts.sessions import Authenticate, Caller, IssueTokens, LogIn, LogOut, RefreshSession, Tokens
from application.accounts.users import CreateAdmin, DeleteUser, NewAccount, RegisterUser, ShowUser, UpdateUser
from application.jobs.asked_work import AskForWork
from application.ports.job_queue import JobQueue
from application.ports.persistence import Transactions
from application.runs.run_registry import RunRegistry
from domain.accounts.users import User

HOME = "198.51.100.7"
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class SetClock:
    moment: datetime = START

    def now(self) -> datetime:
        return self.moment

    def pass_time(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class TellingHasher:
    """Transparent hashes of a version; `work` is one entry for each computation, the same for a hash and for None."""

    version: int = 1
    work: list[str] = field(default_factory=list)

    async def hash(self, password: str) -> str:
        self.work.append("hash")
        return f"v{self.version}:{password}"

    async def verify(self, password_hash: str | None, password: str) -> bool:
        self.work.append("verify")
        return password_hash is not None and password_hash.split(":", 1)[1] == password

    def is_outdated(self, password_hash: str) -> bool:
        return not password_hash.startswith(f"v{self.version}:")


class AccountDesk:
    def __init__(self, transactions: Transactions) -> None:
        self.transactions = transactions
        clock, hasher, tokens = SetClock(), TellingHasher(), RandomTokens()
        issuer = JwtIssuer(["a-secret-of-the-tests-that-is-long-enough"])
        self.clock, self.hasher, self.tokens, self.issuer = clock, hasher, tokens, issuer
        issue = IssueTokens(issuer, tokens)
        check = CheckPassword(transactions, hasher, clock)
        confirm = ConfirmPassword(transactions, check)
        self.register = RegisterUser(transactions, hasher, clock)
        self.create_admin = CreateAdmin(self.register)
        self.log_in = LogIn(transactions, check, issue, hasher, clock)
        self.refresh = RefreshSession(transactions, issue, tokens, clock)
        self.log_out = LogOut(transactions, tokens, clock)
        self.authenticate = Authenticate(transactions, issuer, tokens, clock)
        self.change_password = ChangePassword(transactions, confirm, hasher)
        ask = AskForWork(cast(JobQueue, None), on_trouble=print)
        self.delete_user = DeleteUser(transactions, confirm, RunRegistry(10, 10), ask)
        self.show_user = ShowUser(transactions)
        self.update_user = UpdateUser(transactions, clock)
        self.create_key = CreateApiKey(transactions, tokens, clock)
        self.list_keys = ListApiKeys(transactions)
        self.show_key = ShowApiKey(transactions)
        self.delete_key = DeleteApiKey(transactions)

    async def enrol(self, name: str = "ann", password: str = "test") -> User:
        return await self.register(NewAccount(name, password, email=f"{name}@example.org"))

    async def enter(self, name: str = "ann", password: str = "test", address: str = HOME) -> Tokens:
        return (await self.log_in(name, password, address))[1]

    async def caller(self, tokens: Tokens) -> Caller:
        return await self.authenticate(tokens.access_token)

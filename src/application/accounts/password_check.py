"""Checking a password: slowed down after failures, the same for names that exist and names that do not."""

from dataclasses import dataclass, field

from application.accounts.turns import Turns
from application.ports.clock import Clock
from application.ports.persistence import Transactions
from application.ports.security import PasswordHasher
from domain.accounts.login_throttle import KEPT, Attempt, Counts
from domain.accounts.users import User, parse_tried_password


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Attempts on one account from one address go one by one: a burst of guesses sees its own failures.

    No transaction is open while the hash is computed.
    """

    transactions: Transactions
    hasher: PasswordHasher
    clock: Clock
    turns: Turns = field(default_factory=Turns, init=False)

    async def __call__(self, account: str, address: str, password: str, user: User | None) -> bool:
        """Whether the password is the user's; None never has one, after the same work.

        `account` is the key of the name that was given. Raises TooManyRequests `too_many_logins`.
        """
        attempt = Attempt.of(account, address)
        async with self.turns.take(attempt.pair):
            await self._admit(attempt)
            right = await self.hasher.verify(user.password_hash if user else None, parse_tried_password(password))
            await self._remember(attempt, right=right)
        return right

    async def _admit(self, attempt: Attempt) -> None:
        now = self.clock.now()
        async with self.transactions.begin() as tx:
            counts = Counts.found(attempt, await tx.login_failures.among(attempt.keys))
            if mark := counts.announced(now):
                await tx.login_failures.record(mark)
        counts.admit(now)

    async def _remember(self, attempt: Attempt, *, right: bool) -> None:
        now = self.clock.now()
        async with self.transactions.begin() as tx:
            if right:
                await tx.login_failures.record(Counts(attempt).succeeded(now))
                return
            counts = Counts.found(attempt, await tx.login_failures.among(attempt.keys))
            for failure in counts.failed(now):
                await tx.login_failures.record(failure)
        async with self.transactions.begin() as tx:
            await tx.login_failures.remove_before(now - KEPT)

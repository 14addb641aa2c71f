"""How guessing passwords is slowed down, without a way for strangers to lock an owner out.

Failures are counted three ways. By account and address together: a few are free, then each one doubles the wait. By
address: the same, with more free, against trying one password on many names. By account: many failures anywhere make
an address that this account has not been seen at wait once, a few seconds, measured from its own first request. So
whatever strangers do elsewhere, the owner waits `STRANGER_DELAY` at most.

Names that do not exist are counted like those that do.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

from domain.accounts.users import FailedLogins
from domain.errors import TooManyRequests

STRANGER_DELAY: Final = 5.0
"""Seconds that an address waits, once, to try an account that is being guessed at."""
ACCOUNT_ALARM: Final = 20
"""Failures, wherever they came from, from which on an account counts as being guessed at."""
KEPT: Final = timedelta(days=7)
"""After which counts are forgotten altogether."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`free` failures cost nothing; the next costs a second, each further one twice as much, up to `cap` seconds.

    One failure is forgotten every `forget` seconds.
    """

    free: int
    cap: float
    forget: float

    def remembered(self, count: FailedLogins | None, now: datetime) -> int:
        if count is None:
            return 0
        return max(0, count.failures - int(max(0.0, (now - count.last_at).total_seconds()) / self.forget))

    def delay(self, failures: int) -> float:
        over = failures - self.free
        return 0.0 if over < 0 else min(self.cap, 2.0 ** min(over, 30))

    def wait(self, count: FailedLogins | None, now: datetime) -> float:
        """Seconds until the next attempt, counted from the last failure."""
        return 0.0 if count is None else until(count.last_at, self.delay(count.failures), now)


PAIR: Final = Rule(free=5, cap=900, forget=600)
ADDRESS: Final = Rule(free=50, cap=300, forget=60)
ACCOUNT: Final = Rule(free=ACCOUNT_ALARM, cap=0, forget=60)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The keys of one attempt: hashes, so that the counts store neither names nor addresses."""

    pair: str
    address: str
    account: str

    @classmethod
    def of(cls, account: str, address: str) -> "Attempt":
        """`account` is the key of the name, so that no spelling of it is counted apart."""
        network = network_of(address)
        return cls(_key("pair", account, network), _key("address", network), _key("account", account))

    @property
    def keys(self) -> tuple[str, str, str]:
        return (self.pair, self.address, self.account)


@dataclass(frozen=True, slots=True)
class Counts:
    """What is remembered about an attempt's keys."""

    attempt: Attempt
    pair: FailedLogins | None = None
    address: FailedLogins | None = None
    account: FailedLogins | None = None

    @classmethod
    def found(cls, attempt: Attempt, rows: Iterable[FailedLogins]) -> "Counts":
        by_key = {row.key: row for row in rows}
        return cls(attempt, *(by_key.get(key) for key in attempt.keys))

    def wait(self, now: datetime) -> float:
        return max(PAIR.wait(self.pair, now), ADDRESS.wait(self.address, now), self._stranger_wait(now))

    def admit(self, now: datetime) -> None:
        if (seconds := self.wait(now)) > 0:
            raise TooManyRequests(
                "too_many_logins", f"Too many failed attempts: wait {seconds:.0f} seconds.", retry_after=seconds
            )

    def announced(self, now: datetime) -> FailedLogins | None:
        """The mark of a stranger's first request, from which its one wait counts; None for everybody else."""
        if self.pair is not None or self._stranger_wait(now) == 0:
            return None
        return FailedLogins(self.attempt.pair, 0, now)

    def failed(self, now: datetime) -> tuple[FailedLogins, ...]:
        """The counts after a wrong password."""
        rules = ((PAIR, self.pair), (ADDRESS, self.address), (ACCOUNT, self.account))
        return tuple(
            FailedLogins(key, rule.remembered(count, now) + 1, now)
            for key, (rule, count) in zip(self.attempt.keys, rules, strict=True)
        )

    def succeeded(self, now: datetime) -> FailedLogins:
        """The pair starts afresh, and is no stranger from now on, so its mark lies back by the strangers' wait.

        The other counts stay: else own logins would pay for guesses.
        """
        return FailedLogins(self.attempt.pair, 0, now - timedelta(seconds=STRANGER_DELAY))

    def _stranger_wait(self, now: datetime) -> float:
        if ACCOUNT.remembered(self.account, now) < ACCOUNT_ALARM:
            return 0.0
        return STRANGER_DELAY if self.pair is None else until(self.pair.last_at, STRANGER_DELAY, now)


def until(last_at: datetime, delay: float, now: datetime) -> float:
    """Never more than `delay`, even when a clock was set back."""
    return max(0.0, min(delay, delay - (now - last_at).total_seconds()))


def network_of(address: str) -> str:
    """The party behind an address: an IPv6 customer holds a whole /64."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((parsed, 64), strict=False))


def _key(kind: str, *parts: str) -> str:
    text = "\n".join(parts).encode("utf-8", "surrogatepass")
    return f"{kind}:{hashlib.sha256(text).hexdigest()[:32]}"

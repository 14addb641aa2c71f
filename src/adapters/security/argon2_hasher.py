"""argon2id in a few threads of its own: it releases the GIL, and takes tens of milliseconds and megabytes."""

import asyncio
import os
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher as Argon2
from argon2 import Type
from argon2.exceptions import InvalidHashError, VerificationError

from domain.errors import TooManyRequests

T = TypeVar("T")

_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32


class Argon2Hasher:
    """At most `threads` hashes at a time and `queue` waiting. The costs are those that OWASP asks for at least."""

    def __init__(
        self, *, time_cost: int = 2, memory_kib: int = 19_456, lanes: int = 1, threads: int = 4, queue: int = 200
    ) -> None:
        self._argon2 = Argon2(time_cost, memory_kib, lanes, _HASH_BYTES, _SALT_BYTES, type=Type.ID)
        self._nobody = _impossible(time_cost, memory_kib, lanes)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._room = threads + queue

    async def hash(self, password: str) -> str:
        return await self._run(lambda: self._argon2.hash(password.encode()))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        return await self._run(lambda: self._matches(password_hash or self._nobody, password))

    def is_outdated(self, password_hash: str) -> bool:
        return self._argon2.check_needs_rehash(password_hash)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._argon2.verify(password_hash, password.encode())
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self._room <= 0:
            raise TooManyRequests("too_many_logins", "Too many passwords are being checked.", retry_after=2)
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._room += 1


def _impossible(time_cost: int, memory_kib: int, lanes: int) -> str:
    """A hash of these parameters that nobody knows a password for: its digest is random. Costs nothing to make."""
    salt, digest = (b64encode(os.urandom(size)).decode().rstrip("=") for size in (_SALT_BYTES, _HASH_BYTES))
    return f"$argon2id$v=19$m={memory_kib},t={time_cost},p={lanes}${salt}${digest}"

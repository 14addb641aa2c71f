"""What every PasswordHasher does, stated on argon2."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from adapters.security import Argon2Hasher
from domain.errors import TooManyRequests

T = TypeVar("T")


@pytest.fixture
def hasher() -> Iterator[Argon2Hasher]:
    made = Argon2Hasher(time_cost=1, memory_kib=8, threads=2, queue=3)
    yield made
    made.close()


async def test_a_password_matches_its_own_hash_only(hasher: Argon2Hasher) -> None:
    stored = await hasher.hash("test")
    assert await hasher.verify(stored, "test")
    assert not await hasher.verify(stored, "Test")
    assert not await hasher.verify(stored, "")


async def test_hashes_are_salted_and_of_the_right_kind(hasher: Argon2Hasher) -> None:
    one, other = await hasher.hash("test"), await hasher.hash("test")
    assert one != other
    assert one.startswith("$argon2id$")


@pytest.mark.parametrize("password", ["", "\x00", "test", "é" * 512])
async def test_nobody_has_no_password(hasher: Argon2Hasher, password: str) -> None:
    assert not await hasher.verify(None, password)


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$v=19$broken", "$2b$12$abcdefghijklmnopqrstuv"])
async def test_a_broken_hash_matches_nothing_and_raises_nothing(hasher: Argon2Hasher, stored: str) -> None:
    assert not await hasher.verify(stored or "x", "test")


async def test_nobody_costs_what_somebody_costs(hasher: Argon2Hasher) -> None:
    """Equal work by construction: the hash of nobody has the parameters, salt and length of a real one."""
    stored = await hasher.hash("test")
    real, nobody = stored.split("$"), hasher._nobody.split("$")
    assert real[:4] == nobody[:4]
    assert [len(piece) for piece in real] == [len(piece) for piece in nobody]


async def test_hashes_of_weaker_parameters_are_outdated(hasher: Argon2Hasher) -> None:
    stored = await hasher.hash("test")
    stronger = Argon2Hasher(time_cost=2, memory_kib=16)
    assert not hasher.is_outdated(stored)
    assert stronger.is_outdated(stored)
    assert await stronger.verify(stored, "test")
    stronger.close()


class Slow(Argon2Hasher):
    """Stops in the middle of each hash until told to go on."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_kib=8, threads=2, queue=3)
        self.go_on = threading.Event()

    async def _run(self, work: Callable[[], T]) -> T:
        def slowly() -> T:
            self.go_on.wait(10)
            return work()

        return await super()._run(slowly)


async def test_too_many_at_once_are_refused_and_the_loop_goes_on() -> None:
    hasher = Slow()
    waiting = [asyncio.create_task(hasher.hash("test")) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyRequests) as refused:
        await hasher.hash("test")
    assert (refused.value.code, refused.value.retry_after) == ("too_many_logins", 2)
    hasher.go_on.set()
    assert len(set(await asyncio.gather(*waiting))) == 5
    assert await hasher.verify(await hasher.hash("again"), "again")
    hasher.close()


async def test_who_goes_away_makes_room() -> None:
    hasher = Slow()
    waiting = [asyncio.create_task(hasher.hash("test")) for _ in range(5)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    hasher.go_on.set()
    assert await hasher.hash("test")
    hasher.close()

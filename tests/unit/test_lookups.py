"""Names that nobody answers for: they keep waiting whoever asks for them, and nobody else."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest

from adapters.web.lookups import SystemResolve, TooManyLookups
from application.acting_for import acting_for
from domain.ids import UserId
from patience import PATIENCE


class Names:
    """A system's resolver: names under `silent` get no answer until it is told to give up."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.give_up = threading.Event()

    def getaddrinfo(self, host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        if host.endswith("silent"):
            self.give_up.wait(30)
            raise socket.gaierror("no answer")
        return [(None, None, None, "", (address, 0)) for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2")]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    yield made
    made.give_up.set()


async def ask(resolve: SystemResolve, who: str, *hosts: str) -> Sequence[str]:
    """All at once; the addresses of the last."""
    acting_for.set(UserId(who))
    return (await asyncio.gather(*map(resolve, hosts)))[-1]


async def test_each_address_of_a_name_is_given_once(names: Names) -> None:
    resolve = SystemResolve()
    assert await ask(resolve, "ann", "good") == ["192.0.2.1", "192.0.2.2"]
    resolve.close()


async def test_nobody_waits_for_somebody_else_s_silent_names(names: Names) -> None:
    resolve = SystemResolve(lookups=8, share=3)
    flood = asyncio.create_task(ask(resolve, "mallory", *(f"{number}.silent" for number in range(100))))
    while len(names.asked) < 3:
        await asyncio.sleep(0.01)
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.create_task(ask(resolve, "ann", "good")) == ["192.0.2.1", "192.0.2.2"]
    assert [host for host in names.asked if host.endswith("silent")] == ["0.silent", "1.silent", "2.silent"]
    flood.cancel()
    resolve.close()


async def test_who_gives_up_frees_nothing_before_its_thread_does(names: Names) -> None:
    resolve = SystemResolve(lookups=8, share=1)
    first = asyncio.create_task(ask(resolve, "mallory", "a.silent"))
    while not names.asked:
        await asyncio.sleep(0.01)
    first.cancel()
    second = asyncio.create_task(ask(resolve, "mallory", "good"))
    await asyncio.wait([second], timeout=0.1)
    assert names.asked == ["a.silent"]
    names.give_up.set()
    async with asyncio.timeout(PATIENCE):
        assert await second == ["192.0.2.1", "192.0.2.2"]
    with suppress(asyncio.CancelledError):
        await first
    resolve.close()


async def test_where_all_threads_are_taken_a_name_is_refused_at_once_and_says_why(names: Names) -> None:
    resolve = SystemResolve(lookups=2, share=1)
    floods = [asyncio.create_task(ask(resolve, f"m{number}", f"{number}.silent")) for number in range(2)]
    while len(names.asked) < 2:
        await asyncio.sleep(0.01)
    with pytest.raises(TooManyLookups):
        await asyncio.create_task(ask(resolve, "ann", "good"))
    names.give_up.set()
    assert all(isinstance(one, OSError) for one in await asyncio.gather(*floods, return_exceptions=True))
    assert await asyncio.create_task(ask(resolve, "ann", "good")) == ["192.0.2.1", "192.0.2.2"]
    resolve.close()

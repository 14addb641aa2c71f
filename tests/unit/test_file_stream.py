"""A file as an ASGI app: who reads is served, who goes away or takes nothing is let go, and the storage with them."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from application.files.files import ServedFile
from application.ports.file_storage import FileStorage
from domain.errors import NotFound, Unavailable
from entrypoints.http.file_stream import FileStream
from file_desk import file_of
from patience import PATIENCE
from stored import NOBODY, NOW

PIECES = [b"a" * 1000] * 50
FILE = file_of(NOBODY, b"".join(PIECES))
SCOPE = cast(Any, {"type": "http", "method": "GET"})


class Slices:
    """A storage that tells how many of its streams are open."""

    def __init__(
        self, fail_at: int | None = None, error: Exception | None = None, pieces: Sequence[bytes] = PIECES
    ) -> None:
        self.open = self.given = 0
        self.pieces = pieces
        self.fail_at, self.error = fail_at, error

    async def read(self, file_id: str, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        self.open += 1
        try:
            for piece in self.pieces:
                if self.given == self.fail_at and self.error:
                    raise self.error
                self.given += 1
                yield piece
                await asyncio.sleep(0)
        finally:
            self.open -= 1


class Client:
    def __init__(self, appetite: int = 10**9) -> None:
        self.appetite, self.taken, self.gone = appetite, list[Any](), asyncio.Event()

    async def receive(self) -> Any:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if len(self.taken) >= self.appetite:
            await asyncio.Event().wait()
        self.taken.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.taken)


def stream(storage: Slices, **more: Any) -> FileStream:
    return FileStream(ServedFile(FILE, NOW + timedelta(hours=1), cast(FileStorage, storage)), {}, NOW, **more)


async def test_who_reads_gets_the_whole() -> None:
    storage, client = Slices(), Client()
    await stream(storage)(SCOPE, client.receive, client.send)
    assert client.body == b"".join(PIECES)
    assert not client.taken[-1]["more_body"]
    assert storage.open == 0


async def test_who_goes_away_is_read_for_no_further() -> None:
    storage, client = Slices(), Client(appetite=5)
    serving = asyncio.create_task(stream(storage)(SCOPE, client.receive, client.send))
    while len(client.taken) < 5:
        await asyncio.sleep(0)
    assert storage.open == 1
    client.gone.set()
    async with asyncio.timeout(PATIENCE):
        await serving
    assert storage.open == 0
    assert storage.given < 10


async def test_who_takes_nothing_is_let_go() -> None:
    storage, client = Slices(), Client(appetite=5)
    async with asyncio.timeout(PATIENCE):
        await stream(storage, patience=0.05)(SCOPE, client.receive, client.send)
    assert storage.open == 0
    assert client.taken[-1]["more_body"]


async def test_who_is_slow_is_not_let_go() -> None:
    class Slow(Client):
        async def send(self, message: Any) -> None:
            await asyncio.sleep(0.02)
            await super().send(message)

    storage, client = Slices(), Slow()
    await stream(storage, patience=0.3)(SCOPE, client.receive, client.send)
    assert client.body == b"".join(PIECES)


async def test_who_takes_less_than_the_storage_reads_at_once_is_not_let_go() -> None:
    """32 KiB in 20 ms are little, but something, in 60 ms; a piece of the storage takes 160 ms."""

    class Slow(Client):
        async def send(self, message: Any) -> None:
            await asyncio.sleep(0.02 * len(message.get("body", b"")) / 32_768)
            await super().send(message)

    pieces = [bytes(262_144)] * 2
    storage, client = Slices(pieces=pieces), Slow()
    await stream(storage, patience=0.06)(SCOPE, client.receive, client.send)
    assert client.body == b"".join(pieces)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("error", [NotFound("file", FILE.file_id), Unavailable("storage_unavailable", "away")])
async def test_a_content_that_can_not_be_read_is_told_before_the_status(error: Exception, method: str) -> None:
    storage, client = Slices(0, error), Client()
    with pytest.raises(type(error)):
        await stream(storage)(SCOPE | {"method": method}, client.receive, client.send)
    assert client.taken == []
    assert storage.open == 0


async def test_a_storage_that_fails_in_the_middle_ends_the_body_unfinished() -> None:
    storage, client = Slices(3, Unavailable("storage_unavailable", "away")), Client()
    with pytest.raises(Unavailable):
        await stream(storage)(SCOPE, client.receive, client.send)
    assert client.taken[-1]["more_body"]


async def test_a_server_that_stops_closes_what_it_reads() -> None:
    storage, client = Slices(), Client(appetite=5)
    serving = asyncio.create_task(stream(storage)(SCOPE, client.receive, client.send))
    while len(client.taken) < 5:
        await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert storage.open == 0


async def test_an_address_that_expires_now_is_kept_by_nobody() -> None:
    storage, client = Slices(), Client()
    served = ServedFile(FILE, NOW - timedelta(seconds=1), cast(FileStorage, storage))
    await FileStream(served, {}, NOW)(SCOPE, client.receive, client.send)
    assert (b"cache-control", b"private, max-age=0") in client.taken[0]["headers"]

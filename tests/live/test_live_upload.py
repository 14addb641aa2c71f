"""Uploads and downloads at a real server: clients that stop, that send too much, that read slowly, that are many."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from live.live_server import Live, LiveServer, Person

HEAD = b'--edge\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n%PDF-1.4\n'
TAIL = b"\r\n--edge--\r\n"
MEBIBYTE = 1 << 20
SOON = 20.0


@dataclass
class Wire:
    """A connection of the test's own."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def begin(self, person: Person, framing: str) -> None:
        token = person.headers["Authorization"]
        lines = ("POST /api/v1/upload HTTP/1.1", "Host: h", f"Authorization: {token}", framing,
                 "Content-Type: multipart/form-data; boundary=edge", "", "")  # fmt: skip
        self.writer.write("\r\n".join(lines).encode())

    async def send(self, piece: bytes, *, chunked: bool = False) -> None:
        self.writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], dict[str, object]]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(head[0].split()[1]), headers, json.loads(body)


@asynccontextmanager
async def wire(server: LiveServer) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def kept(server: LiveServer) -> list[Path]:
    return [path for path in (server.data_dir / "files").rglob("*") if path.is_file()]


def rss(server: LiveServer) -> float:
    """Of the server, in MiB."""
    assert server.process is not None
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE


def open_contents(server: LiveServer) -> int:
    assert server.process is not None
    found = 0
    for handle in Path(f"/proc/{server.process.pid}/fd").iterdir():
        try:
            found += str(handle.readlink()).startswith(str(server.data_dir / "files"))
        except FileNotFoundError:
            continue
    return found


@asynccontextmanager
async def uploads(folder: Path, **settings: object) -> AsyncIterator[tuple[LiveServer, Person]]:
    server = LiveServer(folder, settings)
    try:
        await server.start()
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            yield server, await Person.register(client)
    finally:
        server.kill()


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(SOON):
        while not condition():
            await asyncio.sleep(0.02)


async def stream_of(size: int) -> AsyncIterator[bytes]:
    """A form with a file of that many mebibytes."""
    yield HEAD
    for _ in range(size):
        yield bytes(MEBIBYTE)
    yield TAIL


async def upload(person: Person, size: int) -> str:
    headers = {**person.headers, "content-type": "multipart/form-data; boundary=edge"}
    response = await person.client.post("/api/v1/upload", content=stream_of(size), headers=headers)
    assert response.status_code == 200, response.text
    url: str = response.json()["data"]
    return url


async def test_an_upload_that_stops_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    async with uploads(tmp_path) as (server, person):
        for framing, chunked in (("Content-Length: 9000000", False), ("Transfer-Encoding: chunked", True)):
            async with wire(server) as client:
                await client.begin(person, framing)
                await client.send(HEAD + bytes(2 * MEBIBYTE), chunked=chunked)
                await until(lambda: kept(server))
            await until(lambda: not kept(server))
        assert await person.get("/files") == []


async def test_two_byte_pieces_are_as_good(tmp_path: Path) -> None:
    async with uploads(tmp_path) as (server, person), wire(server) as client:
        form = HEAD + b"\x00\r" * 3000 + TAIL
        await client.begin(person, "Transfer-Encoding: chunked")
        for at in range(0, len(form), 2):
            await client.send(form[at : at + 2], chunked=True)
        client.writer.write(b"0\r\n\r\n")
        status, headers, body = await client.answer()
        assert status == 200, body
        [file] = await person.get("/files")
        assert (file["file_id"], file["size"]) == (headers["x-file-id"], len(form) - len(TAIL) - HEAD.index(b"%PDF"))
        # The connection goes on.
        client.writer.write(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await client.answer())[0] == 200


@pytest.mark.parametrize("announced", [True, False])
async def test_too_much_is_refused_while_the_client_is_still_sending(tmp_path: Path, announced: bool) -> None:
    async with uploads(tmp_path, MAX_UPLOAD_BYTES=MEBIBYTE) as (server, person), wire(server) as client:
        framing = f"Content-Length: {10**9}" if announced else "Transfer-Encoding: chunked"
        await client.begin(person, framing)
        await client.send(HEAD, chunked=not announced)
        answering = asyncio.create_task(client.answer())
        sent = 0
        while not answering.done():
            await client.send(bytes(65536), chunked=not announced)
            sent += 65536
        status, headers, body = await answering
        assert status == 413
        assert "1,048,576 bytes (1 MiB)" in str(body["status_message"])
        assert headers["connection"] == "close"
        # Who looks only when all is sent reads it too: the connection is not reset under the rest.
        for _ in range(100):
            await client.send(bytes(65536), chunked=not announced)
        assert sent < 64 * MEBIBYTE
        await until(lambda: not kept(server))
        assert await person.get("/files") == []


async def test_a_client_that_asks_first_sends_nothing_in_vain(tmp_path: Path) -> None:
    async with uploads(tmp_path, MAX_UPLOAD_BYTES=MEBIBYTE) as (server, person), wire(server) as client:
        await client.begin(person, f"Content-Length: {10**9}\r\nExpect: 100-continue")
        assert (await client.answer())[0] == 413


async def test_a_program_is_refused_before_all_of_it_came(tmp_path: Path) -> None:
    async with uploads(tmp_path) as (server, person), wire(server) as client:
        await client.begin(person, f"Content-Length: {40 * MEBIBYTE}")
        await client.send(HEAD.replace(b"%PDF-1.4\n", b"\x7fELF" + bytes(2000)))
        status, headers, body = await client.answer()
        assert (status, headers["connection"]) == (415, "close"), body


async def test_many_uploads_at_once_take_little_memory(tmp_path: Path) -> None:
    async with uploads(tmp_path) as (server, person):
        await upload(person, 1)
        before = rss(server)
        most, going = before, asyncio.gather(*(upload(person, 20) for _ in range(6)))
        while not going.done():
            most = max(most, rss(server))
            await asyncio.sleep(0.01)
        assert len(set(await going)) == 6
        assert most - before < 50, f"{before:.0f} MiB became {most:.0f}"


async def test_slow_readers_take_little_memory_and_are_noticed_when_they_go(tmp_path: Path) -> None:
    async with uploads(tmp_path) as (server, person):
        url = httpx.URL(await upload(person, 40))
        before = rss(server)
        request = f"GET {url.raw_path.decode()} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        readers = [await asyncio.open_connection("127.0.0.1", server.port, limit=4096) for _ in range(8)]
        for _, writer in readers:
            writer.write(request)
        await until(lambda: open_contents(server) == 8)
        await asyncio.gather(*(reader.readuntil(b"\r\n\r\n") for reader, _ in readers))
        assert rss(server) - before < 50
        for _, writer in readers:
            writer.transport.abort()
        await until(lambda: open_contents(server) == 0)


async def test_a_download_is_every_byte_or_the_part_asked_for(live: Live) -> None:
    async with live.model() as (_, person):
        url = await upload(person, 10)
        whole = (await person.client.get(url)).content
        assert (len(whole), whole[:9]) == (10 * MEBIBYTE + 9, b"%PDF-1.4\n")
        part = await person.client.get(url, headers={"range": f"bytes={5 * MEBIBYTE}-{5 * MEBIBYTE + 99}"})
        assert (part.status_code, part.content) == (206, bytes(100))


async def test_a_restarted_server_serves_what_it_kept(tmp_path: Path) -> None:
    async with uploads(tmp_path) as (server, person):
        url = await upload(person, 1)
        async with wire(server) as client:
            await client.begin(person, "Content-Length: 9000000")
            await client.send(HEAD + bytes(MEBIBYTE))
            await until(lambda: len(kept(server)) == 2)
            await server.restart()
        assert len((await person.client.get(url)).content) == MEBIBYTE + 9
        [file] = await person.get("/files")
        assert file["size"] == MEBIBYTE + 9


async def stopped_in(server: LiveServer, person: Person, rest: bytes | None) -> tuple[int, dict[str, object], int]:
    """An upload that is under way when the server is told to stop; `rest` is sent after that."""
    async with wire(server) as one:
        whole = HEAD + bytes(MEBIBYTE) + TAIL
        await one.begin(person, f"Content-Length: {len(whole)}")
        await one.send(whole[:1000])
        await until(lambda: kept(server))
        server.signal(signal.SIGTERM)
        while (await person.client.get("/api/v1/files", headers=person.headers)).status_code != 503:
            await asyncio.sleep(0.02)
        if rest is not None:
            await one.send(whole[1000:])
        status, _, body = await one.answer()
    return status, body, await server.ended()


def test_an_upload_has_its_grace_when_the_server_stops(tmp_path: Path) -> None:
    async def scene() -> None:
        async with uploads(tmp_path) as (server, person):
            status, _, code = await stopped_in(server, person, b"")
            assert (status, code, len(kept(server))) == (200, 0, 1)

    asyncio.run(scene())


def test_an_upload_that_takes_longer_than_the_grace_is_told_so_and_leaves_nothing(tmp_path: Path) -> None:
    async def scene() -> None:
        async with uploads(tmp_path, SHUTDOWN_GRACE_SECONDS=0.5) as (server, person):
            status, body, code = await stopped_in(server, person, None)
            assert (status, body["error"]["code"], code) == (503, "shutting_down", 0)  # type: ignore[index]
            assert not kept(server)
            assert "Traceback" not in server.log()

    asyncio.run(scene())

"""Files in chat on a running server, in a folder and in an S3 storage: as the reference shows them, without a key."""

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from documents_corpus.corpus_pdf import drawn, lines
from live.live_server import LiveServer, Person, free_port, hello, settings_for
from live.s3_settings import s3
from servers.byte_server import ByteServer, Exchange
from servers.seaweedfs import SeaweedFS

REPORT = "报告 (final).pdf"


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest) -> dict[str, object]:
    if request.param == "local":
        return {"OFFLINE_DELAY_MS": 0}
    return s3(request.getfixturevalue("seaweedfs"))


@asynccontextmanager
async def serving(folder: Path, settings: dict[str, object]) -> AsyncIterator[tuple[LiveServer, httpx.AsyncClient]]:
    folder.mkdir(exist_ok=True)
    server = LiveServer(folder, settings)
    try:
        await server.start()
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            yield server, client
    finally:
        server.kill()


async def upload(person: Person, content: bytes, name: str = REPORT) -> httpx.Response:
    return await person.client.post("/api/v1/upload", files={"file": (name, content)}, headers=person.headers)


async def address_of(person: Person, content: bytes, name: str = REPORT) -> str:
    answer = await upload(person, content, name)
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["data"]
    return url


async def refused(person: Person, **body: object) -> tuple[int, str]:
    asked = {"user_input": "Read it", "dialog_id": "refused", **body}
    answer = await person.client.post("/api/v1/chat", json=asked, headers=person.headers)
    assert answer.headers["content-type"] == "application/json", answer.text
    return answer.status_code, answer.json()["error"]["code"]


@cache
def report() -> bytes:
    return drawn(lines("The weather was fine."), lines("The turbine was built in 1987."))


def picture(kind: str = "PNG") -> bytes:
    written = BytesIO()
    Image.new("RGB", (60, 40), (200, 30, 30)).save(written, kind)
    return written.getvalue()


def test_what_was_uploaded_is_quoted_and_shown_in_history(tmp_path: Path, storage: dict[str, object]) -> None:
    async def scene() -> None:
        async with serving(tmp_path / "data", storage) as (_, client):
            person = await Person.register(client)
            url = await address_of(person, report())
            async with httpx.AsyncClient() as anybody:
                assert (await anybody.get(url)).content == report()
            done = (await person.answer("When was the turbine built?", file_url=url))[-1].data
            assert "The turbine was built in 1987." in done["content"]
            again = (await person.answer("And who built the turbine?"))[-1].data
            assert "The turbine was built in 1987." in again["content"]
            question = (await person.history())[0]
            [attached] = question["attachments"]
            assert (attached["name"], attached["kind"], attached["size"]) == (REPORT, "pdf", len(report()))
            async with httpx.AsyncClient() as anybody:
                assert (await anybody.get(attached["url"])).content == report()

    asyncio.run(scene())


def test_an_address_whose_signature_ran_out_still_names_the_file(tmp_path: Path, storage: dict[str, object]) -> None:
    async def scene() -> None:
        async with serving(tmp_path / "data", {**storage, "URL_LIFETIME_SECONDS": 1}) as (_, client):
            person = await Person.register(client)
            url = await address_of(person, report())
            async with httpx.AsyncClient() as anybody:
                while (await anybody.get(url)).status_code == 200:
                    await asyncio.sleep(0.1)
                assert (await anybody.get(url)).status_code == 403
            done = (await person.answer("When was the turbine built?", file_url=[url, url]))[-1].data
            assert "1987" in done["content"]

    asyncio.run(scene())


def test_no_address_but_that_of_an_own_file_is_taken_and_none_is_ever_fetched(
    tmp_path: Path, storage: dict[str, object]
) -> None:
    async def scene() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        there = f"127.0.0.1:{listener.getsockname()[1]}"
        async with serving(tmp_path / "data", storage) as (_, client):
            owner, thief = await Person.register(client, "owner"), await Person.register(client, "thief")
            url = await address_of(owner, b"the secret", "secret.txt")
            path = httpx.URL(url).raw_path.decode()
            bad = [
                url,
                f"http://{there}/",
                f"http://{there}/report.pdf",
                f"http://{there}{path}",
                f"http://user@{there}/a",
                f"//{there}/a",
                f"http://169.254.169.254/latest/meta-data?x={there}",
                "file:///etc/passwd",
                "file://localhost/etc/passwd",
                f"ftp://{there}/a",
                f"http://{there}/api/v1/files/..%2f..%2fetc/passwd",
                "/api/v1/files/../../etc/passwd",
                "..%2f..%2fetc%2fpasswd",
                "/api/v1/files/01ARZ3NDEKTSV4RRFFQ69G5FAV/a.txt",
                "data:text/plain,hello",
                "javascript:alert(1)",
                "a" * 100_000,
                "\U0001f600",
            ]
            for address in bad:
                assert await refused(thief, file_url=address) == (422, "file_url_refused"), address
            assert await refused(thief, file_url=[url, url]) == (422, "file_url_refused")
            with pytest.raises(BlockingIOError):
                listener.accept()
            assert "the secret" in (await owner.answer("What is the secret?", file_url=url))[-1].data["content"]
        listener.close()

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("broken.pdf", b"%PDF-1.7 and then nothing of the kind", "file_broken"),
        ("blank.txt", b" \n \n", "file_empty"),
    ],
)
def test_what_can_not_be_read_is_refused_by_the_chat_with_its_reason(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    async def scene() -> None:
        async with serving(tmp_path / "data", {"OFFLINE_DELAY_MS": 0}) as (_, client):
            person = await Person.register(client)
            url = await address_of(person, content, name)
            assert await refused(person, file_url=url) == (422, code)
            assert await person.get("/dialog/list") == []

    asyncio.run(scene())


def test_while_the_storage_is_down_only_files_are_refused_and_nothing_is_half_stored(tmp_path: Path) -> None:
    async def scene(server: SeaweedFS) -> None:
        async with serving(tmp_path / "data", s3(server)) as (_, client):
            person = await Person.register(client)
            url = await address_of(person, report())
            server.stop()
            down = await upload(person, report())
            assert (down.status_code, down.json()["error"]["code"]) == (503, "storage_unavailable")
            assert "retry-after" in down.headers
            assert await refused(person, file_url=url) == (503, "storage_unavailable")
            assert (await person.answer("1+1?"))[-1].data["status"] == "complete"
            assert (await client.get("/health/ready")).status_code == 503
            assert len(await person.get("/files")) == 1
            server.start()
            assert (await upload(person, report())).status_code == 200
            assert "1987" in (await person.answer("When was the turbine built?", file_url=url))[-1].data["content"]
            assert len(await person.get("/files")) == 2

    own = SeaweedFS()
    try:
        asyncio.run(scene(own.start()))
    finally:
        own.close()


def shown_to(body: dict[str, Any]) -> list[tuple[str, bytes]]:
    """The images of a request of OpenAI's protocol."""
    parts = [
        part for message in body["messages"] if isinstance(message["content"], list) for part in message["content"]
    ]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [(head, base64.b64decode(data)) for head, _, data in (url.partition(",") for url in urls)]


def test_a_model_that_sees_gets_the_image_and_another_is_not_asked(tmp_path: Path) -> None:
    async def scene() -> None:
        asked: list[Any] = []

        async def look(exchange: Exchange) -> None:
            asked.append(exchange.json)
            await hello(exchange)

        port = free_port()
        async with ByteServer(look, port=port):
            settings = settings_for(port)
            models = json.loads(str(settings["MODELS"]))
            seeing = models["fake"] | {"vision": True, "context_window": 100_000}
            settings["MODELS"] = json.dumps({"blind": models["fake"], "fake": seeing})
            async with serving(tmp_path / "data", settings) as (_, client):
                person = await Person.register(client)
                url = await address_of(person, picture(), "cat.png")
                assert (await person.answer("What is it?", file_url=url))[-1].data["content"] == "Hello"
                assert (await person.answer("Which colour?"))[-1].data["content"] == "Hello"
                for body in asked:
                    [(head, data)] = shown_to(body)
                    assert head == "data:image/png;base64"
                    assert Image.open(BytesIO(data)).size == (60, 40)
                agent = {"name": "blind", "llm_id": "blind"}
                made = await client.post("/api/v1/agent", json=agent, headers=person.headers)
                agent_id = made.json()["data"]["agent_id"]
                assert await refused(person, file_url=url, agent_id=agent_id) == (422, "model_no_vision")
            assert len(asked) == 2

    asyncio.run(scene())

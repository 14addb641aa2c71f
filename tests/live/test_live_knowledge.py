"""Knowledge as a whole, without a key: uploaded, put in, found, cited; and what can't be put in.

Once in the embedded mode, once on Postgres with pgvector, S3 and two workers of their own.
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from documents_corpus.corpus_pdf import drawn, lines, picture
from documents_corpus.corpus_pictures import clear
from live.live_knowledge import (
    MODEL,
    base,
    ended,
    filled,
    put_in,
    retrieved,
    sent,
    status,
    stored,
    succeeded,
    uploaded,
    worker,
    working,
)
from live.live_server import SECRETS, LiveServer, Person, text_of
from live.s3_settings import s3

HARBOUR = drawn(
    lines("The harbour of Lindau opens at six in the morning.", "Boats longer than twelve metres need a pilot."),
    lines("The lighthouse keeper is called Mathilda Brandt.", "She lights the lamp at dusk, every day of the year."),
)
TEA = """# 茶的种植

## 龙井

龙井茶产于杭州西湖一带，清明前采摘的最为珍贵。

## 普洱

普洱茶产于云南，经过发酵，可以存放几十年。
""".encode()


@dataclass
class Place:
    """A server, somebody at it, and where its vectors lie."""

    person: Person
    url: str
    vectors: str


@pytest.fixture(params=["embedded", "distributed"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, object]]:
    """The database, and the settings of the server."""
    if request.param == "embedded":
        return f"sqlite:///{tmp_path / 'agentchat.db'}", {"OFFLINE_DELAY_MS": 0}
    url: str = request.getfixturevalue("postgres_url")
    return url, s3(request.getfixturevalue("seaweedfs"), DATABASE_URL=url, SECRET_KEYS=SECRETS)


@pytest.fixture
async def place(site: tuple[str, dict[str, object]], tmp_path: Path) -> AsyncIterator[Place]:
    url, settings = site
    embedded = url.startswith("sqlite")
    server = LiveServer(tmp_path, {**settings, "EMBEDDING__BATCH_SIZE": 1})
    with ExitStack() as processes:
        processes.callback(server.kill)
        await server.start()
        names = () if embedded else ("one", "two")
        for name in names:
            processes.enter_context(worker(server, name, INGESTION__PLACES=1))
        for name in names:
            await working(tmp_path / name)
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            yield Place(await Person.register(client), url, "chunk_vectors" if embedded else "chunk_embeddings")


async def test_from_an_upload_to_an_answer_that_cites_it(place: Place) -> None:
    person = place.person
    harbour, harbour_file = await filled(person, "Harbour", HARBOUR, "harbour.pdf")
    tea, tea_file = await filled(person, "茶", TEA, "茶.md")
    again = await base(person, "Again")
    again_file = await put_in(person, again, await uploaded(person, HARBOUR, "harbour.pdf"))
    scan, scan_file = await filled(person, "Scan", drawn(picture), "scan.pdf")
    await succeeded(person, harbour_file, tea_file, again_file)
    assert {one["embedding_model"] for one in await person.get("/knowledge/select")} == {MODEL}

    await found_by_meaning(person, harbour, harbour_file, tea, tea_file)
    await cited(person, harbour, harbour_file, tea)
    await refused(person, scan, scan_file)
    await deleted(place, harbour, again, again_file)


async def found_by_meaning(person: Person, harbour: str, harbour_file: str, tea: str, tea_file: str) -> None:
    """Also from one language to the other, where no word is the same."""
    [first, *_] = await retrieved(person, "Who looks after the beacon?", harbour, tea)
    assert (first["knowledge_id"], first["knowledge_file_id"]) == (harbour, harbour_file)
    assert (first["file_name"], first["end"] - first["start"]) == ("harbour.pdf", len(first["content"]))
    assert "Mathilda Brandt" in first["content"]
    for question in ("龙井产于哪里？", "Fermented tea from Yunnan"):
        [first, *_] = await retrieved(person, question, harbour, tea)
        assert first["knowledge_file_id"] == tea_file
        assert TEA.decode()[first["start"] : first["end"]] == first["content"]


async def cited(person: Person, harbour: str, harbour_file: str, tea: str) -> None:
    agent = await sent(person, "POST", "/agent", {"name": "Guide", "knowledge_ids": [harbour, tea]})
    frames = await person.answer("Who is the lighthouse keeper?", agent_id=agent["agent_id"])
    kinds = [frame.event for frame in frames]
    assert kinds.index("knowledge") < kinds.index("response_chunk")
    [shown] = [frame.data["citations"] for frame in frames if frame.event == "knowledge"]
    done = frames[-1].data
    assert (frames[-1].event, done["status"], done["content"]) == ("done", "complete", text_of(frames))
    used = [one for one in done["citations"] if "Mathilda Brandt" in one["content"]]
    assert [f"[{one['index']}]" in done["content"] for one in used] == [True]
    assert (used[0]["knowledge_file_id"], used[0]["file_name"]) == (harbour_file, "harbour.pdf")
    assert used[0]["end"] - used[0]["start"] == len(used[0]["content"])
    # Of neighbours that were joined the page is that of the first.
    assert used[0]["page"] == (1 if "Lindau" in used[0]["content"] else 2)
    assert all(one in shown for one in done["citations"])
    [kept] = [one for one in await person.history() if one["role"] == "assistant"]
    assert (kept["content"], kept["citations"]) == (done["content"], done["citations"])


async def refused(person: Person, scan: str, scan_file: str) -> None:
    """Only the work on a scan shows that there is no text in it; a picture is none at once."""
    failed = await ended(person, scan_file)
    assert (failed["status"], failed["error_code"], failed["chunks"]) == ("fail", "file_no_text", 0)
    assert "scan.pdf" in failed["error"]
    body = {"knowledge_id": scan, "file_url": await uploaded(person, clear(), "clear.png")}
    answer = await person.client.post("/api/v1/knowledge_file/create", json=body, headers=person.headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "file_no_text")
    assert await person.get("/knowledge_file/select", knowledge_id=scan) == [failed]


async def deleted(place: Place, harbour: str, again: str, again_file: str) -> None:
    """Of two bases with the same file the other one stays as it is, whatever happens to the one."""
    before = await stored(place.url, again_file, place.vectors)
    await sent(place.person, "DELETE", "/knowledge/delete", {"knowledge_id": harbour})
    [agent] = [one for one in await place.person.get("/agent") if one["name"] == "Guide"]
    assert harbour not in agent["knowledge_ids"]
    assert await stored(place.url, again_file, place.vectors) == before
    [first, *_] = await retrieved(place.person, "Who looks after the beacon?", again)
    assert "Mathilda Brandt" in first["content"]
    assert (await status(place.person, again_file))["status"] == "success"

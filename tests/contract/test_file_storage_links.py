"""Links: whoever has one reads that file until it expires, and nothing else; and which addresses a storage knows.

Those of a bucket are tried over real HTTP, as any client would; those of a folder by their signature, which the server
itself checks.
"""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.local_files import LocalFiles
from adapters.minio import MinioFiles
from application.files.file_headers import download_name
from application.files.file_links import granted
from contract.file_storage_fixtures import SIGNER, Source, file_id, opened, pattern, s3, stored, write
from domain.files.files import FileKind, parse_file_name, safe_name
from domain.ids import FileId
from servers.seaweedfs import ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFS

ID = FileId("01M83NW10357VW0KHR17GEVRZ7")
SERVER = "https://chat.example.org"
SOON = timedelta(minutes=5)
NAMES = [
    "报告 总结.pdf",
    'a"b".pdf',
    "a\r\nSet-Cookie: x=1\r\n\r\n.pdf",
    "../../etc/passwd",
    "😀.png",
    "x;filename=evil.exe",
    "%0d%0aX-Y: 1",
    "a&b=c?d#e+f.pdf",
    "é" * 255,
    "报" * 255,
]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
async def bucket(seaweedfs: SeaweedFS) -> AsyncIterator[MinioFiles]:
    storage = s3(seaweedfs)
    async with opened(storage):
        yield storage


@pytest.fixture
async def web() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


@pytest.mark.parametrize("kind", list(FileKind))
async def test_a_link_opens_the_file_and_says_what_it_is(
    bucket: MinioFiles, web: httpx.AsyncClient, kind: FileKind
) -> None:
    one = file_id()
    await write(bucket, one, Source(100_000))
    file = stored(one, f"some file.{kind.value}", kind)
    answer = await web.get(await bucket.link(file, now() + SOON, SERVER))
    assert (answer.status_code, answer.content) == (200, pattern(0, 100_000))
    assert answer.headers["content-type"] == ("text/plain" if kind is FileKind.HTML else kind.media_type)
    manner = "inline" if file.is_shown_by_browsers else "attachment"
    assert answer.headers["content-disposition"].startswith(f"{manner}; ")


@pytest.mark.parametrize("name", NAMES)
async def test_any_name_reaches_the_browser_whole(bucket: MinioFiles, web: httpx.AsyncClient, name: str) -> None:
    one = file_id()
    await write(bucket, one, b"content")
    for called in (name, parse_file_name(name)):
        file = stored(one, called)
        link = await bucket.link(file, now() + SOON, SERVER)
        assert bucket.file_of(link) == one
        answer = await web.get(link)
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        found = re.fullmatch(
            r"inline; filename=\"[\w.-]+\"; filename\*=UTF-8''(\S+)", answer.headers["content-disposition"]
        )
        assert found is not None
        assert unquote(found[1], errors="strict") == download_name(file)


async def test_parts_of_a_file_can_be_asked_for(bucket: MinioFiles, web: httpx.AsyncClient) -> None:
    one = file_id()
    await write(bucket, one, Source(100_000))
    link = await bucket.link(stored(one), now() + SOON, SERVER)
    answer = await web.get(link, headers={"Range": "bytes=500-599"})
    assert (answer.status_code, answer.content) == (206, pattern(500, 600))


async def test_a_link_is_for_reading_one_file_for_a_while(bucket: MinioFiles, web: httpx.AsyncClient) -> None:
    one, other = file_id(), file_id()
    await write(bucket, one, b"one")
    await write(bucket, other, b"other")
    link = await bucket.link(stored(one), now() + SOON, SERVER)
    signature = parse_qs(urlsplit(link).query)["X-Amz-Signature"][0]
    flipped = ("0" if signature[0] != "0" else "1") + signature[1:]
    tampered = [
        link.replace(one, other),
        link.replace(signature, flipped),
        link.replace("X-Amz-Expires=", "X-Amz-Expires=9"),
        link.replace("response-content-type=application%2Fpdf", "response-content-type=text%2Fhtml"),
        link.replace("inline", "attachment"),
        link.partition("?")[0],
        f"http://{urlsplit(link).netloc}/{BUCKET}?list-type=2",
        f"http://{urlsplit(link).netloc}/{BUCKET}/",
    ]
    assert [(await web.get(address)).status_code for address in tampered] == [403] * len(tampered)
    for method in ("PUT", "DELETE", "POST"):
        assert (await web.request(method, link)).status_code in {403, 405}
    assert (await web.get(link)).content == b"one"


async def test_an_expired_link_opens_nothing(bucket: MinioFiles, web: httpx.AsyncClient) -> None:
    one = file_id()
    await write(bucket, one, b"one")
    for age in (timedelta(seconds=1), timedelta(hours=1), timedelta(days=400)):
        link = await bucket.link(stored(one), now() - age, SERVER)
        assert (await web.get(link)).status_code == 403
        assert bucket.file_of(link) == one


async def test_a_link_made_with_a_wrong_secret_opens_nothing(
    bucket: MinioFiles, seaweedfs: SeaweedFS, web: httpx.AsyncClient
) -> None:
    one = file_id()
    await write(bucket, one, b"one")
    for wrong in ({"secret_key": "wrong"}, {"access_key": "wrong"}):
        async with opened(s3(seaweedfs, **wrong)) as stranger:
            assert (await web.get(await stranger.link(stored(one), now() + SOON, SERVER))).status_code == 403


@given(seconds=st.floats(-(10**6), 10**7))
async def test_a_link_lasts_no_longer_than_said_and_than_s3_allows(seconds: float) -> None:
    async with opened(elsewhere()) as storage:
        ends = now() + timedelta(seconds=seconds)
        query = parse_qs(urlsplit(await storage.link(stored(ID), ends, SERVER)).query)
    begins = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    lasts = timedelta(seconds=int(query["X-Amz-Expires"][0]))
    assert timedelta(seconds=1) <= lasts <= timedelta(days=7)
    assert begins + lasts <= ends
    assert begins + lasts > min(ends, begins + timedelta(days=7)) - timedelta(seconds=1)


def elsewhere(endpoint: str = "storage.internal:9000", **options: str | None) -> MinioFiles:
    return MinioFiles(endpoint, ACCESS_KEY, SECRET_KEY, BUCKET, secure=False, public_endpoint=options.get("public"))


ENDPOINTS = [
    ("storage.internal:9000", None, "http://storage.internal:9000/agentchat/files/"),
    ("http://storage.internal:9000/", None, "http://storage.internal:9000/agentchat/files/"),
    ("https://storage.internal", None, "https://storage.internal/agentchat/files/"),
    ("storage.internal:9000", "https://files.example.org", "https://files.example.org/agentchat/files/"),
    ("storage.internal:9000", "files.example.org:8443", "http://files.example.org:8443/agentchat/files/"),
    ("https://s3.amazonaws.com", None, "https://agentchat.s3.us-east-1.amazonaws.com/files/"),
]


@pytest.mark.parametrize(("endpoint", "public", "folder"), ENDPOINTS)
async def test_links_name_the_public_endpoint_and_are_known_again(
    endpoint: str, public: str | None, folder: str
) -> None:
    """Without asking it: none of these hosts exists."""
    async with opened(elsewhere(endpoint, public=public)) as storage:
        link = await storage.link(stored(ID), now() + SOON, SERVER)
        assert link.startswith(f"{folder}{ID}?")
        assert SECRET_KEY not in link
        assert storage.file_of(link) == storage.file_of(f"{folder}{ID}") == ID


async def test_both_endpoints_are_known_and_no_other() -> None:
    async with opened(elsewhere(public="https://files.example.org")) as storage:
        ours = [
            f"http://storage.internal:9000/agentchat/files/{ID}",
            f"https://files.example.org/agentchat/files/{ID}?X-Amz-Signature=old",
            f"HTTPS://Files.Example.ORG:443/agentchat/files/{ID}?",
        ]
        assert [storage.file_of(address) for address in ours] == [ID] * 3
        assert [address for address in STRANGE if storage.file_of(address) is not None] == []


STRANGE = [
    "",
    ID,
    f"/agentchat/files/{ID}",
    f"/api/v1/files/{ID}/report.pdf",
    f"http://files.example.org/agentchat/files/{ID}",
    f"https://files.example.org:8443/agentchat/files/{ID}",
    f"https://storage.internal:9000/agentchat/files/{ID}",
    f"http://storage.internal/agentchat/files/{ID}",
    f"http://storage.internal:90000/agentchat/files/{ID}",
    f"http://storageXinternal:9000/agentchat/files/{ID}",
    f"http://storage.internal:9000.evil.example/agentchat/files/{ID}",
    f"http://storage.internal:9000@evil.example/agentchat/files/{ID}",
    f"http://user@storage.internal:9000/agentchat/files/{ID}",
    f"http://evil.example/?http://storage.internal:9000/agentchat/files/{ID}",
    f"http://169.254.169.254/agentchat/files/{ID}",
    f"file://storage.internal:9000/agentchat/files/{ID}",
    f"http://storage.internal:9000/AGENTCHAT/files/{ID}",
    f"http://storage.internal:9000/other/files/{ID}",
    f"http://storage.internal:9000/agentchat/files/../files/{ID}",
    f"http://storage.internal:9000/agentchat/files%2f{ID}",
    f"http://storage.internal:9000/agentchat//files/{ID}",
    f"http://storage.internal:9000/agentchat/files/{ID}/x",
    f"http://storage.internal:9000/agentchat/files/{ID}x",
    f"http://storage.internal:9000/agentchat/files/{ID.lower()}",
    f"http://storage.internal:9000/agentchat/files/{ID}#x",
    f"http://storage.internal:9000/agentchat/files/{ID}\n",
    f"http://storage.internal:9000/agentchat/files/{ID}?a\r\nb",
    f"http://storage.internal:9000\\agentchat\\files\\{ID}",
    f"http://storage.internal:9000/agentchat/files/{ID}?{'x' * 5000}",
]


@given(text=st.text(max_size=300))
async def test_no_other_text_names_a_file(text: str) -> None:
    async with opened(elsewhere()) as storage:
        assert storage.file_of(text) is None
        assert storage.file_of(f"http://storage.internal:9000/agentchat/{text}") is None


async def test_asking_whose_an_address_is_connects_to_nobody(tmp_path: Path) -> None:
    """Not even to our own storage: a listener in its place hears nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        async with opened(elsewhere(place)) as storage, opened(LocalFiles(tmp_path, SIGNER)) as folder:
            assert storage.file_of(f"http://{place}/agentchat/files/{ID}") == ID
            assert storage.file_of(await storage.link(stored(ID), now() + SOON, SERVER)) == ID
            assert folder.file_of(f"http://{place}/api/v1/files/{ID}/report.pdf") == ID
            assert storage.file_of(f"http://{place}/latest/meta-data") is None
            assert folder.file_of(f"http://{place}/latest/meta-data") is None
        await asyncio.sleep(0)
        with pytest.raises(BlockingIOError):
            listener.accept()
        # That the listener would have heard:
        socket.create_connection(listener.getsockname(), timeout=5).close()
        listener.setblocking(True)
        listener.accept()[0].close()


@given(
    name=st.text(st.characters(codec="utf-8"), max_size=80),
    kind=st.sampled_from(FileKind),
    ends=st.datetimes(datetime(1971, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC)),
)
@example(name="", kind=FileKind.PDF, ends=datetime(6326, 1, 1, 0, 0, 0, 999985, UTC))  # a float would round it up
async def test_a_link_into_a_folder_is_signed_for_this_file_name_and_end(
    name: str, kind: FileKind, ends: datetime, tmp_path: Path
) -> None:
    async with opened(LocalFiles(tmp_path, SIGNER)) as storage:
        link = await storage.link(stored(ID, name, kind), ends, SERVER)
        assert storage.file_of(link) == ID
    assert list(tmp_path.iterdir()) == []
    parts = urlsplit(link)
    given_out = {key: value[0] for key, value in parse_qs(parts.query).items()}
    expires, signature, last = int(given_out["expires"]), given_out["signature"], unquote(parts.path.split("/")[-1])
    assert link.startswith(f"{SERVER}/api/v1/files/{ID}/")
    assert last == safe_name(name, kind)
    assert 0 <= (ends - datetime.fromtimestamp(expires, UTC)).total_seconds() < 1
    assert SIGNER.is_signed(granted(ID, last, expires), signature)
    assert not SIGNER.is_signed(granted(ID, last, expires + 1), signature)
    assert not SIGNER.is_signed(granted(ID, f"{last}x", expires), signature)
    assert not SIGNER.is_signed(granted(f"{ID[:-1]}0", last, expires), signature)

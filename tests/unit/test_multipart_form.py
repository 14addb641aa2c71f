"""A form read from the socket: the same however it is cut, and given up when nothing more comes."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Request
from litestar.testing import RequestFactory

from domain.errors import DomainError
from entrypoints.http import multipart_form
from entrypoints.http.errors import Refused
from entrypoints.http.last_words import has_unread_body
from entrypoints.http.multipart_form import BESIDE_FILE, MultipartFile

CONTENT = b"line\r\n--edg\r\n-\r\n--" * 20
BODY = (
    b'--edge\r\nContent-Disposition: form-data; name="a"\r\n\r\nnote\r\n'
    b'--edge\r\nContent-Disposition: form-data; name="file"; filename="\xe4\xb8\xad.txt"\r\n\r\n' + CONTENT + b"\r\n"
    b'--edge\r\nContent-Disposition: form-data; name="z"\r\n\r\nend\r\n--edge--\r\n'
)
HEADERS = {"content-type": "multipart/form-data; boundary=edge"}
FACTORY = RequestFactory()


class Socket:
    """Gives `pieces`, and then the end: of the body, of the connection, or silence."""

    def __init__(self, pieces: Sequence[bytes], end: str = "body") -> None:
        self.left, self.end, self.given = list(pieces), end, 0

    async def receive(self) -> Any:
        if self.left:
            self.given += 1
            return {"type": "http.request", "body": self.left.pop(0), "more_body": True}
        if self.end == "silence":
            await asyncio.Event().wait()
        if self.end == "gone":
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}


def request_of(socket: Socket, headers: dict[str, str] = HEADERS) -> Request[Any, Any, Any]:
    scope = FACTORY.post("/", headers=headers).scope
    return Request(scope, receive=socket.receive)


async def outcome(socket: Socket) -> tuple[str, bytes] | str:
    request = request_of(socket)
    form = MultipartFile(request)
    try:
        name = await form.begin()
        return name, b"".join([piece async for piece in form.content()])
    except Refused as refused:
        return refused.refusal.code
    except DomainError as error:
        return error.code


def pieces_of(body: bytes, cuts: Sequence[int]) -> list[bytes]:
    ends = sorted({min(cut, len(body)) for cut in cuts} | {len(body)})
    return [body[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


@given(st.lists(st.integers(0, len(BODY)), max_size=30))
async def test_it_makes_no_difference_where_the_body_is_cut(cuts: list[int]) -> None:
    assert await outcome(Socket(pieces_of(BODY, cuts))) == ("中.txt", CONTENT)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_small_pieces_are_as_good(size: int) -> None:
    assert await outcome(Socket(pieces_of(BODY, range(0, len(BODY), size)))) == ("中.txt", CONTENT)


@given(end=st.integers(0, len(BODY) - 3), cuts=st.lists(st.integers(0, len(BODY)), max_size=5))
async def test_a_form_that_ends_early_is_no_form(end: int, cuts: list[int]) -> None:
    assert await outcome(Socket(pieces_of(BODY[:end], cuts))) == "multipart_malformed"
    assert await outcome(Socket(pieces_of(BODY[:end], cuts), "gone")) == "body_cut_off"


@given(st.binary(max_size=500), st.lists(st.integers(0, 500), max_size=5))
async def test_nothing_but_a_refusal_comes_of_garbage(garbage: bytes, cuts: list[int]) -> None:
    for body in (garbage, b"--edge\r\n" + garbage, BODY[:200] + garbage):
        assert await outcome(Socket(pieces_of(body, cuts))) in {
            "multipart_malformed", "invalid_value", "body_too_large",
        }  # fmt: skip


@pytest.mark.parametrize("sent", [b"", BODY[:30], BODY[:200]])
async def test_a_client_that_falls_silent_is_given_up(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(multipart_form, "SILENT_SECONDS", 0.05)
    assert await outcome(Socket([sent], "silence")) == "body_timeout"


async def test_an_upload_that_drips_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart_form, "UPLOAD_SECONDS", 0.2)
    socket = Paced([*pieces_of(BODY[:200], range(200)), *[b"x"] * 10_000], "silence")
    assert await outcome(socket) == "body_timeout"
    assert socket.given < 20


class Paced(Socket):
    """A piece each 20 ms."""

    async def receive(self) -> Any:
        await asyncio.sleep(0.02)
        return await super().receive()


class Prompt(Socket):
    """A piece as soon as it is asked for one, and not before."""

    async def receive(self) -> Any:
        await asyncio.sleep(0)
        return await super().receive()


async def test_an_upload_below_the_least_rate_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart_form, "PATIENCE_SECONDS", 0.1)
    socket = Paced([BODY[:200], *[b"x"] * 10_000], "silence")
    assert await outcome(socket) == "body_timeout"
    assert 2 <= socket.given <= 6


async def test_who_sent_quickly_may_rest_for_as_long_as_the_rate_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart_form, "PATIENCE_SECONDS", 0.05)
    socket = Paced([BODY[:200] + b"x" * 8192, *[b"x"] * 10_000], "silence")
    assert await outcome(socket) == "body_timeout"
    assert 20 <= socket.given <= 52


async def test_a_storage_that_takes_its_time_is_not_held_against_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart_form, "PATIENCE_SECONDS", 0.1)
    form = MultipartFile(request_of(Prompt([BODY[:200], *[b"x"] * 20, BODY[200:]])))
    await form.begin()
    async for _ in form.content():
        await asyncio.sleep(0.02)


async def test_what_is_not_taken_is_not_read() -> None:
    head, rest = BODY[:200], [b"x" * 1000] * 50
    socket = Socket([head, *rest], "gone")
    form = MultipartFile(request_of(socket))
    await form.begin()
    assert socket.given == 1
    content = aiter(form.content())
    while socket.given < 5:
        await anext(content)
    assert len(socket.left) == 46


async def test_the_rest_of_a_body_is_known_to_be_on_its_way() -> None:
    request = request_of(Socket([BODY]))
    assert not has_unread_body(request.scope)
    form = MultipartFile(request)
    assert has_unread_body(request.scope)
    await form.begin()
    assert has_unread_body(request.scope)
    assert b"".join([piece async for piece in form.content()]) == CONTENT
    assert not has_unread_body(request.scope)


@pytest.mark.parametrize(("announced", "least"), [(10, 0), (BESIDE_FILE, 0), (BESIDE_FILE + 7, 7)])
async def test_what_was_announced_tells_the_least_size(announced: int, least: int) -> None:
    request = request_of(Socket([BODY]), {**HEADERS, "content-length": str(announced)})
    assert MultipartFile(request).at_least == least

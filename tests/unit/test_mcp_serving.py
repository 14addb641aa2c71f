"""What our MCP server reads and sends, without a server."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.programs.shared_agents import Reply
from domain.chat.chat_events import RunFinished
from domain.conversation.conversation import FinishReason, Usage
from domain.dialogs.messages import AnswerStatus, Citation
from domain.ids import DialogId, MessageId, RunId, UserId
from domain.runs.runs import Run, RunStatus
from entrypoints.http.mcp import streams
from entrypoints.http.mcp.messages import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, Message, RpcError, read
from entrypoints.http.mcp.origins import may_speak
from entrypoints.http.mcp.shared_tools import key_of
from entrypoints.http.mcp.streams import Progress, Waiting, frame
from entrypoints.http.mcp.tools import reply_shown
from entrypoints.http.mcp.versions import HANDSHAKE, SUPPORTED, Spoken, settled
from patience import PATIENCE

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.fixed_dictionaries(
    {"jsonrpc": st.sampled_from(["2.0", "1.0", 2])},
    optional={"id": JSON, "method": JSON, "params": JSON, "result": JSON, "error": JSON},
)
IDS = st.text(max_size=20) | st.integers(-(2**63), 2**63 - 1)


@given(st.binary() | (JSON | FIELDS).map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_message_or_an_error_of_json_rpc(body: bytes) -> None:
    message = outcome(body)
    if isinstance(message, Message):
        sent = json.loads(body)
        assert sent["jsonrpc"] == "2.0"
        assert (message.method, message.request_id) == (sent.get("method") or "", sent.get("id"))
        assert message.params == ((sent.get("params") or {}) if message.method else {})
    else:
        assert message in {PARSE_ERROR, INVALID_REQUEST, INVALID_PARAMS}


def outcome(body: bytes) -> Message | int:
    try:
        return read(body)
    except RpcError as error:
        return error.code


@given(IDS, st.text(min_size=1), st.dictionaries(st.text(), JSON))
def test_a_request_is_read_as_it_was_written(number: Any, method: str, params: dict[str, Any]) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()
    assert read(body) == Message(method, number, params)


@given(st.tuples(st.text(), IDS), st.tuples(st.text(), IDS))
def test_each_request_of_each_session_has_a_key_of_its_own(one: tuple[str, Any], two: tuple[str, Any]) -> None:
    same = one == two and type(one[1]) is type(two[1])
    assert (key_of(*one) == key_of(*two)) is same
    assert key_of(None, one[1]) is None


@given(st.text() | st.none() | st.integers())
def test_a_version_that_is_not_ours_is_answered_with_our_newest(asked: object) -> None:
    assert settled(asked) == (asked if asked in HANDSHAKE else HANDSHAKE[-1])


def test_a_header_that_is_there_twice_is_refused() -> None:
    line = (b"mcp-protocol-version", b"2025-06-18")
    assert Spoken.of([line, (b"accept", b"a"), (b"accept", b"b")]).version == "2025-06-18"
    for lines in ([line, line], [(b"mcp-session-id", b"a"), (b"mcp-session-id", b"b")]):
        with pytest.raises(RpcError):
            Spoken.of(lines)
    with pytest.raises(RpcError) as refused:
        Spoken.of([(b"mcp-protocol-version", b"\xff" * 5000)])
    assert refused.value.data == {"supported": list(SUPPORTED), "requested": "\xff" * 64}


@given(st.text(), st.text())
def test_no_name_speaks_for_itself(origin: str, host: str) -> None:
    """Whoever owns a name chooses the address behind it, so that equal names prove nothing."""
    assert not may_speak(origin, host, ())
    assert not may_speak(f"https://{host}.example", f"{host}.example", ())
    assert may_speak(origin, host, (origin,))
    assert may_speak(origin, host, ("*",))


async def served(
    work: Callable[[], Awaitable[Mapping[str, Any]]], *, goes: bool = False, streamed: bool = True, token: Any = None
) -> tuple[list[Any], list[str]]:
    """What was sent, and whether somebody noticed that the client went."""
    sent: list[Any] = []
    noticed: list[str] = []
    begun = asyncio.Event()

    async def receive() -> Any:
        if not goes:
            await asyncio.Event().wait()
        await begun.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)
        begun.set()

    async def gone() -> None:
        noticed.append("gone")

    app = Waiting(1, work, gone, Progress(token), 0.01, streams=streamed)
    await app({}, receive, send)  # type: ignore[arg-type]
    return sent, noticed


async def test_what_is_quick_is_a_document_and_what_is_slow_a_stream() -> None:
    async def quick() -> Mapping[str, Any]:
        return {"x": "\u2028"}

    async def slow() -> Mapping[str, Any]:
        await asyncio.sleep(0.05)
        return {"x": "\u2028"}

    (start, body), _ = await served(quick)
    assert dict(start["headers"])[b"content-type"] == b"application/json"
    assert json.loads(body["body"]) == {"jsonrpc": "2.0", "id": 1, "result": {"x": "\u2028"}}
    (start, *bodies), _ = await served(slow)
    assert dict(start["headers"])[b"content-type"].startswith(b"text/event-stream")
    *pings, last = bodies
    assert {ping["body"] for ping in pings} == {b": ping\n\n"}
    assert last["body"].count(b"\n") == 3
    assert b"\\u2028" in last["body"]
    (start, _), _ = await served(slow, streamed=False)
    assert dict(start["headers"])[b"content-type"] == b"application/json"
    (_, *bodies), _ = await served(slow, token="t")
    notes = [json.loads(body["body"].split(b"data: ")[1])["params"] for body in bodies[:-1]]
    assert [note["progress"] for note in notes] == list(range(1, len(notes) + 1))


async def test_a_crash_is_an_error_of_json_rpc_and_says_nothing_of_itself() -> None:
    async def crash() -> Mapping[str, Any]:
        raise RuntimeError("s3cret")

    (_, body), _ = await served(crash)
    assert json.loads(body["body"])["error"]["code"] == -32603
    assert b"s3cret" not in body["body"]


async def test_work_for_a_client_that_went_is_let_go_of() -> None:
    ended = asyncio.Event()

    async def endless() -> Mapping[str, Any]:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return {}

    _, noticed = await served(endless, goes=True)
    assert noticed == ["gone"]
    await asyncio.wait_for(ended.wait(), PATIENCE)


async def test_a_client_that_takes_nothing_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STALLED_SECONDS", 0.02)
    noticed: list[str] = []

    async def endless() -> Mapping[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def stalled(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def gone() -> None:
        noticed.append("gone")

    app = Waiting(1, endless, gone, Progress(None), 0.01, streams=True)
    await asyncio.wait_for(app({}, asyncio.Event().wait, stalled), 2)  # type: ignore[arg-type]
    assert noticed == ["gone"]


LONG = st.text(st.sampled_from("a\u4e2d\u2028\x01"), min_size=1, max_size=4)


@settings(max_examples=25)
@given(LONG, st.integers(0, 200), st.sampled_from(list(AnswerStatus)))
def test_no_reply_is_larger_than_clients_take(text: str, passages: int, status: AnswerStatus) -> None:
    now = datetime.now(UTC)
    run = Run(RunId("r"), UserId("u"), DialogId("d"), MessageId("m"), RunStatus.COMPLETE, now, now)
    cited = tuple(Citation(one, text * 2000, "f", "k", "kf", None, 0, 1, 0.5) for one in range(passages))
    done = RunFinished(
        status, text * 150_000, MessageId("m"), RunId("r"), DialogId("d"), "x", Usage(), cited, FinishReason.STOP
    )
    shown = reply_shown(Reply(run, done))
    assert len(frame(shown)) < 1_000_000
    assert shown["isError"] is (status is not AnswerStatus.COMPLETE)
    assert shown["content"][0]["text"].startswith(text)

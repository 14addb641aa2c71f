"""Streams of a real server over a real socket: order, silence, disconnects, faults of the model."""

import asyncio
from pathlib import Path

import pytest

from live.live_server import STOP, Live, begin_and_hang, chunk, hello, served, text_of
from patience import PATIENCE
from servers.byte_server import Exchange, Script


async def hang(exchange: Exchange) -> None:
    await exchange.closed.wait()


async def call_and_hang(exchange: Exchange) -> None:
    await exchange.head()
    piece = {"index": 0, "id": "c1", "type": "function", "function": {"name": "calculator", "arguments": '{"expr'}}
    await exchange.events({"choices": [{"index": 0, "delta": {"tool_calls": [piece]}}]})
    await exchange.closed.wait()


def test_frames_come_before_the_model_is_done(live: Live) -> None:
    async def scene() -> None:
        first_seen = asyncio.Event()

        async def slow(exchange: Exchange) -> None:
            await exchange.head()
            await exchange.events(chunk("one "))
            await asyncio.wait_for(first_seen.wait(), PATIENCE)
            await exchange.events(chunk("two"), STOP, b"[DONE]")
            await exchange.end()

        async with live.model(slow) as (_, person), person.ask() as stream:
            assert stream.response.headers["content-type"].startswith("text/event-stream")
            assert stream.response.headers["cache-control"] == "no-cache"
            assert stream.response.headers["x-accel-buffering"] == "no"
            frames = []
            async for frame in stream.frames():
                frames.append(frame)
                first_seen.set()
            assert text_of(frames) == "one two"
            assert [frame.event for frame in frames].count("done") == 1
            done = frames[-1].data
            assert done["content"] == "one two"
            assert done["status"] == "complete"
            assert done["run_id"] == stream.response.headers["x-run-id"]
            assert [frame.id for frame in frames] == [f"{done['run_id']}:{n}" for n in range(1, len(frames) + 1)]
            assert (await person.kept())["message_id"] == done["message_id"]

    asyncio.run(scene())


def test_silence_before_the_first_token_is_filled_with_pings(live: Live) -> None:
    async def scene() -> None:
        async def late(exchange: Exchange) -> None:
            await asyncio.sleep(0.6)
            await hello(exchange)

        async with live.model(late) as (_, person), person.ask() as stream:
            frames = [frame async for frame in stream.frames()]
            assert text_of(frames) == "Hello"
            assert stream.pings >= 3

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("model", "frames_first", "kept"),
    [(hang, 0, ""), (begin_and_hang, 1, "half"), (call_and_hang, 0, "")],
    ids=["before the first token", "in mid-stream", "in mid-tool-call"],
)
def test_a_client_that_goes_away_frees_the_provider_and_the_dialog(
    live: Live, model: Script, frames_first: int, kept: str
) -> None:
    async def scene() -> None:
        async with live.model(model, hello) as (upstream, person):
            async with person.ask() as stream:
                exchange = await upstream.request()
                frames = stream.frames()
                for _ in range(frames_first):
                    await anext(frames)
            await asyncio.wait_for(exchange.closed.wait(), PATIENCE)
            answer = await person.kept()
            assert (answer["status"], answer["content"]) == ("interrupted", kept)
            assert text_of(await person.answer("and now?")) == "Hello"
            assert [one["role"] for one in await person.history()] == ["user", "assistant"] * 2

    asyncio.run(scene())


def test_one_answer_at_a_time_in_a_dialog_but_any_number_beside_it(live: Live) -> None:
    async def scene() -> None:
        async with live.model(begin_and_hang, hello) as (_, person), person.ask() as stream:
            await anext(stream.frames())
            async with person.ask("too soon") as second:
                assert second.response.status_code == 409
                assert (await second.response.aread()).count(b"dialog_busy") == 1
            assert text_of(await person.answer(dialog="another")) == "Hello"
            assert [one["role"] for one in await person.history()] == ["user", "assistant"]

    asyncio.run(scene())


def test_stop_ends_the_answer_and_keeps_its_text(live: Live) -> None:
    async def scene() -> None:
        async with live.model(begin_and_hang, hello) as (upstream, person), person.ask() as stream:
            frames = stream.frames()
            first = await anext(frames)
            body = {"dialog_id": "d"}
            stopped = await person.client.post("/api/v1/chat/stop", json=body, headers=person.headers)
            assert stopped.json()["data"]["status"] == "stopped"
            rest = [frame async for frame in frames]
            assert [frame.event for frame in rest] == ["done"]
            assert rest[0].data["content"] == text_of([first]) == "half"
            await asyncio.wait_for((await upstream.request()).closed.wait(), PATIENCE)
            assert (await person.kept())["status"] == "stopped"

    asyncio.run(scene())


def test_a_lost_connection_is_taken_up_again_within_the_grace(tmp_path: Path) -> None:
    async def scene() -> None:
        go_on = asyncio.Event()

        async def held(exchange: Exchange) -> None:
            await exchange.head()
            await exchange.events(chunk("one "))
            await go_on.wait()
            await exchange.events(chunk("two"), STOP, b"[DONE]")
            await exchange.end()

        async with served(tmp_path, held, DISCONNECT_GRACE_SECONDS=20) as (_, person):
            async with person.ask() as stream:
                first = await anext(stream.frames())
            path = f"/api/v1/chat/{stream.response.headers['x-run-id']}/events"
            headers = person.headers | {"Last-Event-ID": first.id}
            async with person.client.stream("GET", path, headers=headers) as response:
                go_on.set()
                rest = [frame async for frame in type(stream)(response).frames()]
            assert text_of([first, *rest]) == "one two" == rest[-1].data["content"]
            again = person.headers | {"Last-Event-ID": rest[-2].id}
            async with person.client.stream("GET", path, headers=again) as response:
                assert [one async for one in type(stream)(response).frames()] == rest[-1:]

    asyncio.run(scene())


async def garbage(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.events(chunk("so far"), b"{not json")
    await exchange.end()


async def cut(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.events(chunk("so far"))
    exchange.abort()


async def stall(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.events(chunk("so far"))
    await exchange.closed.wait()


async def nothing(exchange: Exchange) -> None:
    await exchange.head()
    await exchange.events(STOP, b"[DONE]")
    await exchange.end()


async def no_key(exchange: Exchange) -> None:
    await exchange.refuse(401, {"error": {"message": "Incorrect API key provided: sk-very-secret"}})


async def no_money(exchange: Exchange) -> None:
    await exchange.refuse(429, {"error": {"message": "quota"}}, headers="retry-after: 60\r\n")


@pytest.mark.parametrize(
    ("fault", "code", "kept"),
    [
        (garbage, "model_bad_response", "so far"),
        (cut, "model_stream_cut", "so far"),
        (stall, "model_stalled", "so far"),
        (nothing, "model_empty_answer", ""),
        (no_key, "model_auth_failed", ""),
        (no_money, "model_rate_limited", ""),
    ],
)
def test_whatever_the_model_does_there_is_an_error_then_done_and_the_next_question_works(
    live: Live, fault: Script, code: str, kept: str
) -> None:
    async def scene() -> None:
        async with live.model(fault, hello) as (_, person):
            frames = await person.answer()
            assert [frame.event for frame in frames if frame.event != "response_chunk"] == ["error", "done"]
            assert frames[-2].data["code"] == code
            assert isinstance(frames[-2].data["retryable"], bool)
            assert frames[-1].data["status"] == "failed"
            assert frames[-1].data["content"] == text_of(frames) == kept
            assert text_of(await person.answer("again")) == "Hello"
            statuses = [one["status"] for one in await person.history() if one["role"] == "assistant"]
            assert statuses == ["failed", "complete"]
            assert "very-secret" not in live.server.log() + str(frames)

    asyncio.run(scene())

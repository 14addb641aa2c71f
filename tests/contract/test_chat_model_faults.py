"""Streams that break, stall or talk nonsense: only ever a ModelError, and nothing that came before it is lost."""

import asyncio
import json

import pytest

from application.ports.chat_model import Timeouts
from contract.chat_model_fixtures import (
    ANTHROPIC_START,
    DONE,
    OPENAI_STOP,
    STOP,
    TEXT,
    Fault,
    after,
    answering,
    anthropic_stop,
    collect,
    collect_until_error,
    cut,
    openai_text,
    question,
    scene,
    silence,
    text_of,
)
from domain.conversation.conversation import FinishReason, ModelFinished, Usage
from domain.errors import ModelError
from patience import PATIENCE
from servers.byte_server import Exchange, Script

PROTOCOLS = ["openai", "anthropic"]
HURRIED = Timeouts(connect=5, first_token=10, idle=0.4)
IMPATIENT = Timeouts(connect=5, first_token=0.3, idle=10)
GREETING = "Grüße, 世界 🌍!"


async def nothing_more(exchange: Exchange) -> None:
    await exchange.end()


async def half_a_chunk(exchange: Exchange) -> None:
    await exchange.raw(b"40\r\ndata: {")
    exchange.abort()


async def half_an_event(exchange: Exchange) -> None:
    await exchange.chunk(b'data: {"type": "content_bl')
    await exchange.end()


async def no_chunk_at_all(exchange: Exchange) -> None:
    await exchange.raw(b"this is no chunk size\r\n")
    await exchange.closed.wait()


def saying(data: bytes) -> Fault:
    async def fault(exchange: Exchange) -> None:
        await exchange.chunk(data)
        await exchange.closed.wait()

    return fault


async def no_head(exchange: Exchange) -> None:
    await exchange.closed.wait()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_bytes_cut_anywhere_mean_the_same(protocol: str, size: int, line_end: bytes) -> None:
    payloads = [TEXT[protocol](GREETING), TEXT[protocol]("\n"), *STOP[protocol]]
    written = [p if isinstance(p, bytes) else json.dumps(p, ensure_ascii=False).encode() for p in payloads]
    data = b": a comment\n\n" + b"".join(b"event: x\ndata:%b\n\n" % payload for payload in written)
    data = data.replace(b"\n", line_end)

    async def drip(exchange: Exchange) -> None:
        await exchange.head()
        for start in range(0, len(data), size):
            await exchange.chunk(data[start : start + size])
            await asyncio.sleep(0)
        await exchange.end()

    async def act() -> None:
        async with scene(drip, protocol=protocol) as (_, model):
            events = await collect(model, question())
        assert text_of(events) == GREETING + "\n"
        assert isinstance(events[-1], ModelFinished)

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (cut, "model_stream_cut"),
        (nothing_more, "model_stream_cut"),
        (half_a_chunk, "model_stream_cut"),
        (half_an_event, "model_stream_cut"),
        (no_chunk_at_all, "model_stalled"),
        (silence, "model_stalled"),
        (saying(b": still here\n\n"), "model_stalled"),
        (saying(b"data: {not json}\n\n"), "model_bad_response"),
        (saying(b"data: [1, 2]\n\n"), "model_bad_response"),
        (saying(b'data: {"choices": "no", "type": 7}\n\n'), "model_bad_response"),
        (saying(b'data: "\xff\xfe"\n\n'), "model_bad_response"),
        (saying(b"data: " + b"x" * (9 << 20)), "model_bad_response"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_fault_after_the_first_word_is_told_and_the_word_kept(protocol: str, fault: Fault, code: str) -> None:
    async def once_heard(exchange: Exchange) -> None:
        await exchange.heard.wait()
        await fault(exchange)

    async def act() -> None:
        script = after(TEXT[protocol]("Well, "), then=once_heard)
        async with scene(script, protocol=protocol, timeouts=HURRIED) as (server, model):
            stream = model.stream(question())
            words = [await anext(stream)]
            server.exchanges[0].heard.set()
            with pytest.raises(ModelError) as caught:
                words.extend([event async for event in stream])
            if fault not in (nothing_more, half_an_event):
                await asyncio.wait_for(server.exchanges[0].closed.wait(), PATIENCE)
            assert len(server.exchanges) == 1, "never tried again once something was said"
        assert (text_of(words), caught.value.code) == ("Well, ", code)

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "script", [no_head, after(then=silence), after(ANTHROPIC_START, then=silence)], ids=["head", "body", "words"]
)
def test_a_model_that_never_begins_is_given_up(protocol: str, script: Script) -> None:
    async def act() -> None:
        async with scene(script, protocol=protocol, timeouts=IMPATIENT) as (server, model):
            events, error = await collect_until_error(model, question())
            await asyncio.wait_for(server.exchanges[0].closed.wait(), PATIENCE)
        assert (events, error.code, error.retryable) == ([], "model_timeout", True)

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_idleness_is_measured_between_words_and_not_from_the_start(protocol: str) -> None:
    async def slow(exchange: Exchange) -> None:
        await exchange.head()
        for _ in range(8):
            await asyncio.sleep(0.1)
            await exchange.events(TEXT[protocol]("tick "))
        await exchange.events(*STOP[protocol])
        await exchange.end()

    async def act() -> None:
        async with scene(slow, protocol=protocol, timeouts=HURRIED) as (_, model):
            assert text_of(await collect(model, question())) == "tick " * 8

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_slow_reader_is_not_the_models_silence(protocol: str) -> None:
    async def act() -> None:
        go = asyncio.Event()

        async def two_words(exchange: Exchange) -> None:
            await exchange.head()
            await exchange.events(TEXT[protocol]("one "))
            await go.wait()
            await exchange.events(TEXT[protocol]("two"), *STOP[protocol])
            await exchange.end()

        async with scene(two_words, protocol=protocol, timeouts=HURRIED) as (_, model):
            words = []
            async for event in model.stream(question()):
                words.append(event)
                if not go.is_set():
                    await asyncio.sleep(2 * HURRIED.idle)
                    go.set()
        assert text_of(words) == "one two"

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("payloads", [[], ["stop"], ["start", "stop"], ["blank", "stop"]], ids=str)
def test_an_answer_without_a_word_is_an_error(protocol: str, payloads: list[str]) -> None:
    known: dict[str, list[object]] = {"stop": STOP[protocol], "start": [ANTHROPIC_START], "blank": [TEXT[protocol]("")]}
    script = answering(*(payload for name in payloads for payload in known[name]))

    async def act() -> None:
        async with scene(script, protocol=protocol) as (_, model):
            events, error = await collect_until_error(model, question())
        assert (events, error.code) == ([], "model_empty_answer")

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refusal_without_a_word_is_a_refusal(protocol: str) -> None:
    payloads = [openai_text(None, "content_filter"), DONE] if protocol == "openai" else anthropic_stop("refusal")

    async def act() -> None:
        async with scene(answering(*payloads), protocol=protocol) as (_, model):
            events, error = await collect_until_error(model, question())
        assert (events, error.code) == ([], "content_refused")

    asyncio.run(act())


@pytest.mark.parametrize(
    ("protocol", "payload", "code"),
    [
        ("openai", {"error": {"message": "boom", "code": 502}}, "model_unavailable"),
        ("openai", {"error": {"message": "boom", "type": "server_error"}}, "model_unavailable"),
        ("openai", {"error": {"message": "slow", "code": "rate_limit_exceeded"}}, "model_rate_limited"),
        ("openai", {"error": {"message": "This model's maximum context length is 8", "code": 400}}, "context_too_long"),
        ("openai", {"error": "out of memory"}, "model_unavailable"),
        ("anthropic", {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, "model_unavailable"),
        ("anthropic", {"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}, "model_rate_limited"),
        ("anthropic", {"type": "error"}, "model_unavailable"),
    ],
)
def test_an_error_inside_a_stream_is_told(protocol: str, payload: dict[str, object], code: str) -> None:
    async def act() -> None:
        script = answering(TEXT[protocol]("Well, "), payload)
        async with scene(script, protocol=protocol) as (_, model):
            events, error = await collect_until_error(model, question())
        assert (text_of(events), error.code) == ("Well, ", code)

    asyncio.run(act())


@pytest.mark.parametrize(
    "ending",
    [
        after(openai_text("Hi"), OPENAI_STOP, then=nothing_more),
        after(openai_text("Hi"), OPENAI_STOP, then=cut),
        after(openai_text("Hi"), OPENAI_STOP, then=silence),
        after(openai_text("Hi", "stop"), then=saying(b"data: garbage\n\n")),
        after(openai_text("Hi", "stop"), then=half_an_event),
    ],
    ids=["end", "cut", "silence", "garbage", "half"],
)
def test_after_the_reason_to_stop_nothing_can_spoil_the_answer(ending: Script) -> None:
    async def act() -> None:
        async with scene(ending, timeouts=HURRIED) as (_, model):
            events = await collect(model, question())
        assert text_of(events) == "Hi"
        assert events[-1] == ModelFinished(FinishReason.STOP, None)

    asyncio.run(act())


def test_usage_after_the_reason_to_stop_is_waited_for() -> None:
    async def late(exchange: Exchange) -> None:
        await asyncio.sleep(0.05)
        await exchange.events({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}, DONE)
        await exchange.end()

    async def act() -> None:
        async with scene(after(openai_text("Hi", "stop"), then=late)) as (_, model):
            events = await collect(model, question())
        assert events[-1] == ModelFinished(FinishReason.STOP, Usage(9, 2))

    asyncio.run(act())

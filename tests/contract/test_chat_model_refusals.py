"""What a provider's refusals become."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import httpx2
import pytest

from adapters.anthropic import AnthropicEndpoint
from adapters.openai import OpenAIEndpoint
from adapters.web import HttpChatModel
from contract.chat_model_fixtures import (
    KEY,
    PATIENT,
    STOP,
    TEXT,
    answering,
    collect,
    collect_until_error,
    cut,
    model_at,
    question,
    refusing,
    scene,
    text_of,
)
from domain.conversation.answer_schemas import AnswerSchema
from domain.conversation.conversation import FinishReason, ModelFinished, ReasoningDelta, Usage
from guarded_scene import guarded, saying
from servers.aimock_server import aimock
from servers.byte_server import ByteServer, Exchange

PROTOCOLS = ["openai", "anthropic"]
WANTED = AnswerSchema("a_word", {"type": "object", "properties": {}, "required": [], "additionalProperties": False})


@pytest.fixture(scope="module")
def aimock_url() -> Iterator[str]:
    with aimock() as url:
        yield url


def body(message: str, **fields: object) -> dict[str, object]:
    return {"type": "error", "error": {"message": message, **fields}}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("Too many requests", "model_rate_limited"),
        ("Fail always", "model_unavailable"),
        ("Cut me off", "model_stream_cut"),
    ],
)
def test_faults_of_a_protocol_server_have_our_codes(protocol: str, asked: str, code: str, aimock_url: str) -> None:
    async def act() -> None:
        async with model_at(aimock_url, protocol) as model:
            events, error = await collect_until_error(model, question(asked))
        assert error.code == code
        assert error.retryable
        assert bool(events) == (asked == "Cut me off")
        assert KEY not in error.message

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_reasoning_usage_and_length_come_from_a_protocol_server(protocol: str, aimock_url: str) -> None:
    async def act() -> None:
        async with model_at(aimock_url, protocol) as model:
            thought = await collect(model, question("Think first"))
            counted = (await collect(model, question("Count my tokens")))[-1]
            brief = (await collect(model, question("Be brief")))[-1]
        assert "".join(e.text for e in thought if isinstance(e, ReasoningDelta)) == "Let me see: two and two."
        assert text_of(thought) == "Four."
        assert isinstance(counted, ModelFinished)
        assert counted.usage == Usage(21, 7)
        assert isinstance(brief, ModelFinished)
        assert brief.reason is FinishReason.LENGTH

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("status", "fields", "code", "retryable"),
    [
        (400, {"message": "bad"}, "model_bad_request", False),
        (422, {"message": "bad"}, "model_bad_request", False),
        (401, {"message": f"Incorrect API key {KEY}"}, "model_auth_failed", False),
        (402, {"message": "pay"}, "model_auth_failed", False),
        (403, {"message": "no"}, "model_auth_failed", False),
        (404, {"message": "no such model"}, "model_not_found", False),
        (408, {"message": "slow"}, "model_timeout", True),
        (409, {"message": "lock"}, "model_unavailable", True),
        (413, {"message": "big"}, "context_too_long", False),
        (429, {"message": "slow down"}, "model_rate_limited", True),
        (500, {"message": "oops"}, "model_unavailable", True),
        (503, {"message": "oops"}, "model_unavailable", True),
        (504, {"message": "slow"}, "model_timeout", True),
        (529, {"message": "overloaded", "type": "overloaded_error"}, "model_unavailable", True),
        (400, {"message": "prompt is too long: 9 tokens > 8 maximum"}, "context_too_long", False),
        (400, {"message": "Output blocked by content filtering policy"}, "content_refused", False),
        (302, {"message": "elsewhere"}, "model_bad_response", False),
    ],
)
def test_a_status_has_one_code(
    protocol: str, status: int, fields: dict[str, object], code: str, retryable: bool
) -> None:
    async def act() -> None:
        async with scene(refusing(status, body(**fields)), protocol=protocol) as (_, model):  # type: ignore[arg-type]
            events, error = await collect_until_error(model, question())
        assert (error.code, error.retryable, events) == (code, retryable, [])
        assert KEY not in error.message
        assert error.message.endswith(".")
        assert error.__cause__ is None

    asyncio.run(act())


@pytest.mark.parametrize(
    ("status", "fields", "code"),
    [
        (400, {"code": "context_length_exceeded"}, "context_too_long"),
        (400, {"code": "content_policy_violation"}, "content_refused"),
        (429, {"code": "insufficient_quota"}, "model_rate_limited"),
    ],
)
def test_openai_names_its_reasons_in_the_code(status: int, fields: dict[str, object], code: str) -> None:
    async def act() -> None:
        async with scene(refusing(status, body("x", **fields))) as (server, model):
            _, error = await collect_until_error(model, question())
        assert error.code == code
        assert len(server.exchanges) == 1

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("page", [b"<html>Bad gateway</html>", b"", b'{"error": "text"}', b"[1]", b"null", b"\xff\xfe"])
def test_an_error_page_in_any_form_is_understood_by_its_status(protocol: str, page: bytes) -> None:
    async def act() -> None:
        async with scene(refusing(502, page), protocol=protocol) as (_, model):
            _, error = await collect_until_error(model, question())
        assert error.code == "model_unavailable"

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_retry_after_is_told(protocol: str) -> None:
    async def act() -> None:
        async with scene(refusing(429, body("x"), "retry-after: 77\r\n"), protocol=protocol) as (server, model):
            _, error = await collect_until_error(model, question())
            assert len(server.exchanges) == 1
        assert error.retry_after == 77

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_is_not_there_is_unavailable(protocol: str) -> None:
    async def act() -> None:
        async with scene(answering(), protocol=protocol) as (server, _):
            url = server.url
        async with model_at(url, protocol) as model:
            _, error = await collect_until_error(model, question())
        assert (error.code, error.retryable) == ("model_unavailable", True)

    asyncio.run(act())


def test_a_compatible_server_that_refuses_to_count_is_asked_without_counting() -> None:
    async def fussy(exchange: Exchange) -> None:
        if "stream_options" in exchange.json:
            await exchange.refuse(400, body("Unrecognized request argument: stream_options"))
        else:
            await answering(TEXT["openai"]("Hi"), *STOP["openai"])(exchange)

    async def act() -> None:
        async with scene(fussy, compatible=True) as (server, model):
            first, second = await collect(model, question()), await collect(model, question())
            assert text_of(first) == text_of(second) == "Hi"
            assert len(server.exchanges) == 3, "the second question already knows"
        last = first[-1]
        assert isinstance(last, ModelFinished)
        assert last.usage is None

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_key_is_sent_in_one_header_only(protocol: str) -> None:
    async def act() -> None:
        script = answering(TEXT[protocol]("Hi"), *STOP[protocol])
        async with scene(script, protocol=protocol) as (server, model):
            await collect(model, question())
            sent = server.exchanges[0]
        assert [name for name, value in sent.headers.items() if KEY in value] == ["authorization"]
        assert KEY.encode() not in sent.body

    asyncio.run(act())


HUGE = b'{"error": {"message": "bad"}}' + b" " * (4 << 20)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refusal_longer_than_any_answer_is_still_a_refusal(protocol: str) -> None:
    async def act() -> None:
        async with (
            ByteServer(saying(HUGE, status=400)) as server,
            guarded() as web,
            web.client(max_bytes=2 << 20) as client,
        ):
            _, error = await collect_until_error(guarded_model(protocol, server.url, client), question())
        assert (error.code, error.retryable) == ("model_bad_request", False)

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refusal_that_breaks_off_is_a_provider_out_of_reach(protocol: str) -> None:
    async def broken(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 400 No\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{")
        exchange.abort()

    async def act() -> None:
        async with scene(broken, protocol=protocol) as (_, model):
            _, error = await collect_until_error(model, question())
        assert (error.code, error.retryable) == ("model_unavailable", True)

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_was_refused_is_told_where_the_second_try_reaches_nobody(protocol: str) -> None:
    async def act() -> None:
        scripts = refusing(400, body("bad")), cut
        async with scene(*scripts, protocol=protocol, compatible=protocol == "openai") as (server, model):
            _, error = await collect_until_error(model, replace(question(), answer_schema=WANTED))
            assert len(server.exchanges) == 2
        assert (error.code, error.retryable) == ("model_bad_request", False)

    asyncio.run(act())


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("host", ["0177.0.0.1", "１２７.０.０.１", "[v1.x]", "a" * 70_000])
def test_an_address_that_no_client_reads_is_a_model_that_isn_t_configured(protocol: str, host: str) -> None:
    async def act() -> None:
        async with model_at(f"http://{host}", protocol) as model:
            for _ in range(2):
                _, error = await collect_until_error(model, question())
                assert (error.code, error.retryable) == ("model_not_configured", False)

    asyncio.run(act())


def guarded_model(protocol: str, url: str, client: httpx2.AsyncClient) -> HttpChatModel:
    made = AnthropicEndpoint if protocol == "anthropic" else OpenAIEndpoint
    return HttpChatModel(made(api_key=KEY, http=lambda: client, base_url=url), timeouts=PATIENT)

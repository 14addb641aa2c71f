"""Which failures of a real protocol are tried again before the first word, and that each try is one attempt."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from contract.chat_model_fixtures import STOP, TEXT, after, answering, cut, question, refusing, scene
from domain.chat.chat_events import AnswerDelta, AttemptEnded, LoopEvent
from domain.conversation.assembly import AnswerAssembler
from domain.errors import ModelError
from domain.models.attempts import ANSWERED
from domain.models.model_routes import ModelRoute
from model_asking import ASKER, WIDE, TheOne, asked_models
from servers.byte_server import ByteServer, Exchange, Script

PROTOCOLS = ["openai", "anthropic"]
REFUSED = {"type": "error", "error": {"message": "x"}}


class Asked:
    """One question, as a run puts it."""

    def __init__(self, model: Any, first_token: float, first_pause: float) -> None:
        models = replace(asked_models(TheOne(model), first_token=first_token), first_pause=first_pause)
        self.chain = models.chain(ModelRoute.of(WIDE), ASKER)
        self.events: list[LoopEvent] = []
        self.error: ModelError | None = None

    async def answered(self, heard: Callable[[], None] | None = None) -> "Asked":
        """`heard` is told of the first word."""
        try:
            async for event in self.chain.ask(question(), AnswerAssembler()):
                self.events.append(event)
                if heard is not None and isinstance(event, AnswerDelta):
                    heard()
        except ModelError as error:
            self.error = error
        return self

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, AnswerDelta))

    @property
    def outcomes(self) -> list[str]:
        return [event.attempt.outcome for event in self.events if isinstance(event, AttemptEnded)]


@asynccontextmanager
async def asking(
    *scripts: Script, protocol: str, first_token: float = 20, first_pause: float = 0.001
) -> AsyncIterator[tuple[ByteServer, Asked]]:
    async with scene(*scripts, protocol=protocol) as (server, model):
        await asyncio.to_thread(model.warm_up)
        yield server, Asked(model, first_token, first_pause)


def greeting(protocol: str) -> Script:
    return answering(TEXT[protocol]("Hi"), *STOP[protocol])


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (408, "model_timeout"),
        (429, "model_rate_limited"),
        (500, "model_unavailable"),
        (529, "model_unavailable"),
    ],
)
async def test_passing_failures_are_tried_again_and_each_try_is_an_attempt(
    protocol: str, status: int, code: str
) -> None:
    scripts = refusing(status, REFUSED), refusing(status, REFUSED), greeting(protocol)
    async with asking(*scripts, protocol=protocol) as (server, asked):
        assert (await asked.answered()).text == "Hi"
        assert len(server.exchanges) == 3
    assert asked.outcomes == [code, code, ANSWERED]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_retries_are_bounded(protocol: str) -> None:
    async with asking(refusing(503, REFUSED), protocol=protocol) as (server, asked):
        await asked.answered()
        assert len(server.exchanges) == 3
    assert asked.error is not None
    assert [asked.error.code] * 3 == asked.outcomes == ["model_unavailable"] * 3


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("status", [400, 401, 404])
async def test_lasting_refusals_are_not_tried_again(protocol: str, status: int) -> None:
    async with asking(refusing(status, REFUSED), protocol=protocol) as (server, asked):
        await asked.answered()
        assert (len(server.exchanges), len(asked.outcomes)) == (1, 1)


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_long_retry_after_is_told_and_not_waited_for(protocol: str) -> None:
    async with asking(refusing(429, REFUSED, "retry-after: 77\r\n"), protocol=protocol) as (server, asked):
        await asked.answered()
        assert len(server.exchanges) == 1
    assert asked.error is not None
    assert asked.error.retry_after == 77


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_short_retry_after_is_waited_for(protocol: str) -> None:
    times: list[float] = []

    async def busy(exchange: Exchange) -> None:
        times.append(asyncio.get_running_loop().time())
        await exchange.refuse(429, REFUSED, "retry-after-ms: 150\r\n")

    async def free(exchange: Exchange) -> None:
        times.append(asyncio.get_running_loop().time())
        await greeting(protocol)(exchange)

    async with asking(busy, free, protocol=protocol) as (_, asked):
        assert (await asked.answered()).text == "Hi"
    assert times[1] - times[0] >= 0.15


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_no_try_begins_that_the_first_word_could_not_follow_in_time(protocol: str) -> None:
    script = refusing(429, REFUSED, "retry-after: 3\r\n")
    async with asking(script, protocol=protocol, first_token=2) as (server, asked):
        await asked.answered()
        assert len(server.exchanges) == 1
    assert asked.error is not None
    assert asked.error.code == "model_rate_limited"


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_cut_before_the_first_word_is_tried_again(protocol: str) -> None:
    async def vanish(exchange: Exchange) -> None:
        exchange.abort()

    scripts = vanish, after(then=cut), greeting(protocol)
    async with asking(*scripts, protocol=protocol) as (server, asked):
        assert (await asked.answered()).text == "Hi"
        assert len(server.exchanges) == 3
    assert asked.outcomes == ["model_unavailable", "model_stream_cut", ANSWERED]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_cut_after_the_first_word_is_told_and_nothing_is_said_twice(protocol: str) -> None:
    async def heard(exchange: Exchange) -> None:
        await exchange.heard.wait()
        exchange.abort()

    script = after(TEXT[protocol]("Well, "), then=heard)
    async with asking(script, greeting(protocol), protocol=protocol) as (server, asked):
        await asked.answered(lambda: server.exchanges[0].heard.set())
        assert len(server.exchanges) == 1
    assert asked.error is not None
    assert asked.outcomes == [asked.error.code] == ["model_stream_cut"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_an_overload_told_inside_a_stream_before_the_first_word_is_tried_again(protocol: str) -> None:
    overload = {"type": "error", "error": {"type": "overloaded_error", "message": "x"}}
    async with asking(answering(overload), greeting(protocol), protocol=protocol) as (server, asked):
        assert (await asked.answered()).text == "Hi"
        assert len(server.exchanges) == 2


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_cancelling_during_the_pause_before_a_retry_makes_no_request(protocol: str) -> None:
    async with asking(refusing(503, REFUSED), protocol=protocol, first_token=90, first_pause=60) as (server, asked):
        reading = asyncio.create_task(asked.answered())
        await server.request()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reading, 0.3)
        assert len(server.exchanges) == 1

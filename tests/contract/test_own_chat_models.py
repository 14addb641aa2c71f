"""Models of people at servers that do what they like: bounded, through the guard, each key by a client of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest

from adapters.security import FernetBox
from adapters.web.client import WebClient
from adapters.web.guarded import STREAM_BYTES
from adapters.web.kept_clients import KeptClients
from application.models.own_models import DraftedModels
from application.ports.chat_model import ChatModel
from application.sealing import Seals
from contract.chat_model_fixtures import PATIENT, collect, collect_until_error, question, text_of
from domain.errors import ModelError
from domain.ids import UserId
from domain.models.models import ModelSpec, Provider
from entrypoints.graph import own_chat_models
from entrypoints.graph.own_chat_models import OwnChatModels
from guarded_scene import LOOPBACK, guarded
from live.live_server import chunk, saying
from model_desk import KEY, draft
from servers.byte_server import ByteServer, Exchange, Script
from tool_desk import SECRETS, Clock

SEALS = Seals(FernetBox(SECRETS))


def spec_at(url: str, key: str = KEY, provider: Provider = Provider.OPENAI_COMPATIBLE) -> ModelSpec:
    drafted = DraftedModels(SEALS, Clock())
    return SEALS.model(drafted.made(UserId("ann"), draft(provider=provider, base_url=url, api_key=key)))


@asynccontextmanager
async def opening(
    *scripts: Script, opened: Any = LOOPBACK, max_bytes: int = STREAM_BYTES
) -> AsyncIterator[tuple[ByteServer, OwnChatModels]]:
    async with guarded(opened=opened) as web, ByteServer(*scripts) as server:
        clients: KeptClients[ChatModel] = KeptClients(lambda: WebClient(partial(web.client, max_bytes=max_bytes)))
        try:
            yield server, OwnChatModels(clients, SEALS, PATIENT)
        finally:
            await clients.aclose()


async def floods(exchange: Exchange) -> None:
    await exchange.head()
    with suppress(ConnectionError):
        while not exchange.closed.is_set():
            await exchange.events(*[chunk("x" * 50)] * 20)


async def test_an_answer_ends_after_so_many_bytes_and_its_connection_is_cut() -> None:
    async with opening(floods, max_bytes=2_000_000) as (server, models):
        events, error = await collect_until_error(models.open(spec_at(server.url)), question())
        assert error.code == "model_stream_cut"
        assert 0 < len(text_of(events)) < 2_000_000
        await server.exchanges[0].closed.wait()


async def test_an_answer_ends_after_so_many_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_chat_models, "ANSWER_CHARACTERS", 1000)
    async with opening(floods) as (server, models):
        events, error = await collect_until_error(models.open(spec_at(server.url)), question())
        assert error.code == "model_bad_response"
        assert len(text_of(events)) <= 1000
        await server.exchanges[0].closed.wait()


async def test_a_model_that_is_open_goes_on_with_a_new_client_when_its_own_was_closed() -> None:
    async with opening(saying("Hi")) as (server, models):
        model = models.open(spec_at(server.url))
        assert text_of(await collect(model, question())) == "Hi"
        await models.forget(spec_at(server.url).key_id)
        await server.exchanges[0].closed.wait()
        assert text_of(await collect(model, question())) == "Hi"
        assert (server.connections, len(models.clients)) == (2, 1)


async def test_models_of_one_key_share_a_connection_and_those_of_another_have_their_own() -> None:
    async with opening(saying("Hi")) as (server, models):
        for key in (KEY, KEY, "sk-another-key-00001", ""):
            assert text_of(await collect(models.open(spec_at(server.url, key)), question())) == "Hi"
        assert (server.connections, len(models.clients)) == (3, 3)


@pytest.mark.parametrize("provider", [Provider.OPENAI, Provider.ANTHROPIC])
@pytest.mark.parametrize("charset", ["base64", "rot13", "no-such", "utf-16"])
async def test_an_error_in_any_charset_is_an_error_of_the_model(provider: Provider, charset: str) -> None:
    async def refuses(exchange: Exchange) -> None:
        await exchange.raw(
            b"HTTP/1.1 400 No\r\ncontent-type: text/plain; charset=%b\r\ncontent-length: 5\r\n\r\n\xff\xfe\x00sk"
            % charset.encode()
        )

    async with opening(refuses) as (server, models):
        _, error = await collect_until_error(models.open(spec_at(server.url, provider=provider)), question())
        assert error.code == "model_bad_request"


@pytest.mark.parametrize("provider", [Provider.OPENAI, Provider.ANTHROPIC, Provider.OPENAI_COMPATIBLE])
async def test_what_is_closed_to_people_is_refused_once_and_nothing_sent(provider: Provider) -> None:
    async with opening(saying("Hi"), opened=()) as (server, models):
        _, error = await collect_until_error(models.open(spec_at(server.url, provider=provider)), question())
        assert (error.code, error.retryable) == ("model_address_refused", False)
        assert "127.0.0.1" in error.message
        assert server.connections == 0


async def test_a_key_that_can_t_be_opened_opens_no_model() -> None:
    async with opening(saying("Hi")) as (server, models):
        made = DraftedModels(Seals(FernetBox(("another-secret-of-the-tests-0123456789",))), Clock())
        lost = made.made(UserId("ann"), draft(provider=Provider.OPENAI_COMPATIBLE, base_url=server.url))
        with pytest.raises(ModelError) as refused:
            models.open(SEALS.model(lost))
        assert refused.value.code == "model_not_configured"
        assert server.connections == 0

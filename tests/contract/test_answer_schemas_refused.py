"""Servers that don't know how to hold an answer to a form are asked without it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from contract.chat_model_fixtures import STOP, TEXT, answering, collect, collect_until_error, question, scene, text_of
from domain.conversation.answer_schemas import AnswerSchema
from domain.conversation.conversation import ModelRequest
from servers.byte_server import Exchange

WANTED = AnswerSchema("a_word", {"type": "object", "properties": {}, "required": [], "additionalProperties": False})
ASKED: ModelRequest = replace(question(), answer_schema=WANTED)


class Fussy:
    """Refuses what has one of these keys, in words of its own."""

    def __init__(self, protocol: str, message: str, *keys: str) -> None:
        self.protocol, self.message, self.keys = protocol, message, keys

    async def __call__(self, exchange: Exchange) -> None:
        if any(key in exchange.json for key in self.keys):
            await exchange.refuse(400, {"type": "error", "error": {"message": self.message}})
        else:
            await answering(TEXT[self.protocol]("{}"), *STOP[self.protocol])(exchange)


async def asked_twice(fussy: Fussy, **options: Any) -> list[set[str]]:
    """The keys of all requests: of two answers with a form, and one without."""
    async with scene(fussy, protocol=fussy.protocol, **options) as (server, model):
        for request in (ASKED, ASKED, question()):
            assert text_of(await collect(model, request)) == "{}"
        keys = {"response_format", "stream_options", "tool_choice"}
        return [keys & set(exchange.json) for exchange in server.exchanges]


def test_a_model_of_openais_that_knows_no_schema_is_asked_without() -> None:
    message = "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."
    usage = {"stream_options"}
    sent = asyncio.run(asked_twice(Fussy("openai", message, "response_format")))
    assert sent == [usage | {"response_format"}, usage, usage, usage]


def test_a_compatible_server_need_not_name_what_it_refuses_and_goes_on_to_count() -> None:
    usage = {"stream_options"}
    sent = asyncio.run(asked_twice(Fussy("openai", "bad request", "response_format"), compatible=True))
    assert sent == [usage | {"response_format"}, usage, usage, usage]
    both = asyncio.run(asked_twice(Fussy("openai", "bad", "response_format", "stream_options"), compatible=True))
    assert both == [usage | {"response_format"}, usage, set(), set(), set()]


def test_a_server_of_anthropics_protocol_that_knows_no_tools_is_asked_without() -> None:
    sent = asyncio.run(asked_twice(Fussy("anthropic", "tools: not supported", "tool_choice")))
    assert sent == [{"tool_choice"}, set(), set(), set()]


@pytest.mark.parametrize(("protocol", "requests"), [("openai", 1), ("anthropic", 2)])
def test_what_is_refused_for_another_reason_is_refused(protocol: str, requests: int) -> None:
    async def act() -> None:
        async with scene(Fussy(protocol, "bad", "model"), protocol=protocol) as (server, model):
            _, error = await collect_until_error(model, ASKED)
            assert error.code == "model_bad_request"
            assert len(server.exchanges) == requests

    asyncio.run(act())


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_who_takes_a_form_is_asked_for_it_again(protocol: str) -> None:
    key = "response_format" if protocol == "openai" else "tool_choice"
    sent = asyncio.run(asked_twice(Fussy(protocol, "x")))
    assert [key in one for one in sent] == [True, True, False]

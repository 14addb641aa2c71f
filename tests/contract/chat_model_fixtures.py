"""What the tests of the chat models share: the vocabulary of both protocols, and a model at a server of ours."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

from adapters.anthropic import AnthropicEndpoint
from adapters.openai import OpenAIEndpoint
from adapters.web import HttpChatModel, WebClient
from application.ports.chat_model import ChatModel, Timeouts
from domain.conversation.assembly import AnswerAssembler
from domain.conversation.conversation import AssistantTurn, ModelEvent, ModelRequest, TextDelta, UserTurn
from domain.errors import ModelError
from domain.ids import ToolId
from domain.tools.tools import ToolSpec
from servers.byte_server import ByteServer, Exchange, Script

CLOCK = ToolSpec(
    ToolId("current_time"),
    "current_time",
    "Time",
    "The time now.",
    {"type": "object", "properties": {"timezone": {"type": "string"}}},
)
CALCULATOR = ToolSpec(
    ToolId("calculator"),
    "calculator",
    "Calculator",
    "Exact arithmetic.",
    {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
)
PATIENT = Timeouts(connect=60, first_token=120, idle=120)
KEY = "sk-secret-key"


def question(text: str = "Hello there", **fields: Any) -> ModelRequest:
    return ModelRequest("some-model", fields.pop("system", ""), (UserTurn(text),), **fields)


async def collect(model: ChatModel, request: ModelRequest) -> list[ModelEvent]:
    async with aclosing(model.stream(request)) as events:
        return [event async for event in events]


async def collect_until_error(model: ChatModel, request: ModelRequest) -> tuple[list[ModelEvent], ModelError]:
    """What came, and the error that it ended in."""
    events = []
    try:
        async with aclosing(model.stream(request)) as stream:
            async for event in stream:
                events.append(event)  # noqa: PERF401 - what came before the error counts
    except ModelError as error:
        return events, error
    raise AssertionError(f"no error after {events}")


def assembled(events: list[ModelEvent]) -> AssistantTurn:
    assembler = AnswerAssembler()
    for event in events:
        assembler.add(event)
    return assembler.turn()


def text_of(events: list[ModelEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@asynccontextmanager
async def model_at(url: str, protocol: str, **options: Any) -> AsyncIterator[HttpChatModel]:
    """A model of `openai` or `anthropic` at a local server; its client is closed in the end."""
    web = WebClient()
    settings: dict[str, Any] = {"timeouts": PATIENT, **options}
    compatible = settings.pop("compatible", False)
    try:
        if protocol == "anthropic":
            yield HttpChatModel(AnthropicEndpoint(api_key=KEY, http=web, base_url=url), **settings)
        else:
            endpoint = OpenAIEndpoint(api_key=KEY, http=web, base_url=f"{url}/v1", compatible=compatible)
            yield HttpChatModel(endpoint, **settings)
    finally:
        await web.aclose()


@asynccontextmanager
async def scene(
    *scripts: Script, protocol: str = "openai", **options: Any
) -> AsyncIterator[tuple[ByteServer, HttpChatModel]]:
    """A byte server that plays the scripts, and a model that talks to it."""
    async with ByteServer(*scripts) as server, model_at(server.url, protocol, **options) as model:
        yield server, model


def answering(*payloads: object) -> Script:
    """A whole answer, every payload in an event of its own."""

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.events(*payloads)
        await exchange.end()

    return script


def refusing(status: int, body: object, headers: str = "") -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.refuse(status, body, headers)

    return script


Fault = Callable[[Exchange], Awaitable[None]]


def after(*payloads: object, then: Fault) -> Script:
    """The beginning of an answer, and a fault."""

    async def script(exchange: Exchange) -> None:
        await exchange.head()
        if payloads:
            await exchange.events(*payloads)
        await then(exchange)

    return script


async def silence(exchange: Exchange) -> None:
    await exchange.closed.wait()


async def cut(exchange: Exchange) -> None:
    exchange.abort()


def openai_text(text: str | None, finish: str | None = None, **delta: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": text, **delta}, "finish_reason": finish}]}


def openai_call(*pieces: dict[str, object], finish: str | None = None) -> dict[str, object]:
    return openai_text(None, finish, tool_calls=list(pieces))


OPENAI_STOP = openai_text(None, "stop")
DONE = b"[DONE]"


def anthropic_text(text: str) -> dict[str, object]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def anthropic_stop(reason: str = "end_turn", **usage: int) -> list[dict[str, object]]:
    counts = {"output_tokens": 3, **usage}
    return [
        {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": counts},
        {"type": "message_stop"},
    ]


ANTHROPIC_START: dict[str, object] = {
    "type": "message_start",
    "message": {"usage": {"input_tokens": 9, "output_tokens": 1}},
}
TEXT: dict[str, Callable[[str], dict[str, object]]] = {"openai": openai_text, "anthropic": anthropic_text}
STOP: dict[str, list[object]] = {"openai": [OPENAI_STOP, DONE], "anthropic": [*anthropic_stop()]}

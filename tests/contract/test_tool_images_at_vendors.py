"""From an MCP server of the SDK to a vendor's protocol: the images of a result, as they are sent to a model."""

import io
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

import pytest
from PIL import Image as Pillow

from adapters.database.transactions import DatabaseTransactions
from adapters.documents.child_parsers import ChildParsers
from adapters.scripted import RequiredArguments
from application.chat.agent_loop import AgentLoop, Equipment
from application.chat.attachments import OpenAttachments
from application.chat.tool_images import OpenToolImages
from application.files.document_reading import ReadDocument, ReaderPlaces
from application.ports.tool_runner import ToolRunner
from application.tools.mcp_tools import runners_of
from application.tools.tool_calls import CallTools
from contract.chat_model_fixtures import (
    ANTHROPIC_START,
    DONE,
    STOP,
    TEXT,
    answering,
    anthropic_stop,
    openai_call,
    question,
    scene,
)
from documents_corpus.corpus_pictures import drawn, png_of, saved
from domain.chat.chat_events import RoundFinished
from domain.files.files import FileKind
from domain.tools.tools import ToolCall
from file_desk import MemoryFiles
from mcp_scene import connecting, sdk_program
from model_asking import WIDE, alone
from servers.byte_server import Script

PICTURE = b64encode(saved(drawn(), FileKind.PNG)).decode()
BOMB = b64encode(png_of(30_000, 30_000, b"")).decode()
IMAGES = [BOMB, PICTURE, "no base64 %%", b64encode(b"%PDF-1.7 no image").decode(), PICTURE[:80], PICTURE]
"""Two can be shown: the second and the last."""


@pytest.fixture(scope="module")
async def loop() -> AsyncIterator[AgentLoop]:
    """Images are opened as a running server opens them."""
    parser, storage, places = ChildParsers(), MemoryFiles(), ReaderPlaces(1)
    nowhere = cast("DatabaseTransactions", None)
    read = ReadDocument(nowhere, storage, parser, places, print)
    opening = OpenToolImages(OpenAttachments(nowhere, storage, parser, places, read))
    yield AgentLoop(2, CallTools(30, RequiredArguments(), unforeseen), opening)
    await parser.aclose()


@pytest.fixture(scope="module")
async def show() -> AsyncIterator[ToolRunner]:
    async with connecting(alone=False) as connections:
        server = sdk_program()
        runners = runners_of(connections, server, await connections.tools(server))
        yield next(runner for runner in runners if runner.spec.name == "show")


def calling(protocol: str) -> Script:
    arguments = json.dumps({"images": IMAGES})
    if protocol == "openai":
        piece = {"index": 0, "id": "c1", "type": "function", "function": {"name": "show", "arguments": arguments}}
        return answering(openai_call(piece, finish="tool_calls"), DONE)
    block = {"type": "tool_use", "id": "c1", "name": "show", "input": {}}
    return answering(
        ANTHROPIC_START,
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": arguments}},
        {"type": "content_block_stop", "index": 0},
        *anthropic_stop("tool_use"),
    )


async def sent(protocol: str, loop: AgentLoop, show: ToolRunner, *, vision: bool) -> tuple[list[Any], str]:
    """The messages that the vendor is sent after the call, and what is kept of the result."""
    looking = answering(TEXT[protocol]("I see."), *STOP[protocol])
    async with scene(calling(protocol), looking, protocol=protocol) as (vendor, model):
        models = alone(model, spec=replace(WIDE, vision=vision))
        request = question("What is there?", tools=(show.spec,))
        async with aclosing(loop.run(models, request, Equipment({"show": show}))) as events:
            [kept] = [event.round.results[0].content async for event in events if isinstance(event, RoundFinished)]
        return (await vendor.request(1)).json["messages"], kept


def unforeseen(call: ToolCall, defect: Exception) -> None:
    raise AssertionError(f"{call.name} crashed") from defect


def pixels(data: bytes) -> bytes:
    with Pillow.open(io.BytesIO(data)) as image:
        return image.convert("RGB").tobytes()


async def test_a_model_of_openai_is_shown_images_after_the_results(loop: AgentLoop, show: ToolRunner) -> None:
    messages, kept = await sent("openai", loop, show, vision=True)
    *_, result, shown = messages
    assert (result["role"], result["content"]) == ("tool", kept)
    assert shown["role"] == "user"
    _, *parts = shown["content"]
    assert [part["text"] for part in parts[::2]] == [f"Image {number} of the result of show (c1):" for number in (2, 6)]
    for part in parts[1::2]:
        kind, _, data = part["image_url"]["url"].partition(";base64,")
        assert kind == "data:image/png"
        assert pixels(b64decode(data)) == drawn().tobytes()


async def test_a_model_of_anthropic_is_shown_images_in_the_result(loop: AgentLoop, show: ToolRunner) -> None:
    messages, kept = await sent("anthropic", loop, show, vision=True)
    [result] = messages[-1]["content"]
    said, *parts = result["content"]
    assert said == {"type": "text", "text": kept}
    assert [part["text"] for part in parts[::2]] == ["Image 2:", "Image 6:"]
    for part in parts[1::2]:
        assert part["source"]["media_type"] == "image/png"
        assert pixels(b64decode(part["source"]["data"])) == drawn().tobytes()


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
async def test_a_model_that_does_not_see_is_sent_the_text_alone(
    protocol: str, loop: AgentLoop, show: ToolRunner
) -> None:
    messages, kept = await sent(protocol, loop, show, vision=False)
    last = messages[-1] if protocol == "openai" else messages[-1]["content"][0]
    assert last["content"] == kept
    for number in range(1, len(IMAGES) + 1):
        assert f"[image {number}, image/png, " in kept
    # The call itself has them, for here it is the model that tells the server what to show.
    assert PICTURE not in json.dumps(messages[-1])

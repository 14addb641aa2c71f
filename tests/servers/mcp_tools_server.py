"""An MCP server of the SDK, with tools that answer, wait, fail, and tell what became of them. Run as a program.

Arguments: `stdio` and how many seconds it takes to start, or `http` and the port.
"""

import asyncio
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Annotated

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.shared.exceptions import MCPError
from mcp_types import AudioContent, CallToolResult, ImageContent, ResourceLink, SamplingMessage, TextContent
from pydantic import BaseModel, Field


class Weather(BaseModel):
    city: str
    degrees: float


class State:
    waiting = 0
    cancelled = 0
    together = asyncio.Condition()
    inside = 0


server = MCPServer("tools for tests", log_level="CRITICAL")
state = State()


@server.tool(title="Adds", description="Adds two numbers.")
def add(a: int, b: Annotated[int, Field(description="the second")]) -> str:
    return str(a + b)


@server.tool()
async def wait(seconds: float) -> str:
    state.waiting += 1
    try:
        await asyncio.sleep(seconds)
    except BaseException:
        state.cancelled += 1
        raise
    finally:
        state.waiting -= 1
    return "waited"


@server.tool()
async def meet(count: int) -> str:
    """Answers when as many calls are in it at once."""
    async with state.together:
        state.inside += 1
        state.together.notify_all()
        await state.together.wait_for(lambda: state.inside >= count)
    return "met"


@server.tool()
def seen() -> str:
    return f"cancelled={state.cancelled} waiting={state.waiting}"


@server.tool()
def weather(city: str) -> Weather:
    return Weather(city=city, degrees=21.5)


@server.tool(structured_output=False)
def pictures() -> CallToolResult:
    return CallToolResult(
        content=[
            ImageContent(type="image", data="QUJD" * 1000, mime_type="image/png"),
            AudioContent(type="audio", data="QUJD", mime_type="audio/wav"),
            ResourceLink(type="resource_link", name="notes", uri="file:///notes.txt"),
            TextContent(type="text", text="above"),
        ]
    )


@server.tool(structured_output=False)
def show(images: list[str]) -> CallToolResult:
    """Gives back what it is told is images."""
    return CallToolResult(content=[ImageContent(type="image", data=one, mime_type="image/png") for one in images])


@server.tool(structured_output=False)
def structured() -> CallToolResult:
    return CallToolResult(content=[], structured_content={"a": [1, "ü"]})


@server.tool(structured_output=False)
def fail(reason: str) -> str:
    raise ToolError(reason)


@server.tool(structured_output=False)
def long(characters: int) -> str:
    return "x" * characters


@server.tool(structured_output=False)
def env(name: str) -> str:
    return os.environ.get(name, "unset")


@server.tool(structured_output=False)
def names() -> str:
    return ",".join(sorted(os.environ))


@server.tool(structured_output=False)
def header(name: str, ctx: Context) -> str:
    request = ctx.request_context.request
    return "none" if request is None else request.headers.get(name, "unset")


@server.tool(name="is", structured_output=False)
def is_it(name: str, value: str, ctx: Context) -> str:
    """Whether a variable or header is this, written backwards: so that nobody masks it on the way."""
    request = ctx.request_context.request
    return str((os.environ.get(name) if request is None else request.headers.get(name)) == value[::-1])


@server.tool(structured_output=False)
async def grow(name: str, ctx: Context) -> str:
    server.add_tool(lambda: "new", name=name, description="came later", structured_output=False)
    await ctx.session.send_tool_list_changed()
    return "grown"


@server.tool(structured_output=False)
async def ask(ctx: Context) -> str:
    hello = SamplingMessage(role="user", content=TextContent(type="text", text="hi"))
    questions = (
        ctx.session.create_message([hello], max_tokens=5),
        ctx.session.elicit_form("who?", {"type": "object", "properties": {}}),
        ctx.session.list_roots(),
    )
    answered = 0
    for question in questions:
        with suppress(MCPError):
            await question
            answered += 1
    return f"{answered} answered"


@server.tool(structured_output=False)
def die() -> str:
    os._exit(3)


@server.tool(structured_output=False)
def spawn() -> str:
    """A child that ignores everything, and holds no pipe."""
    child = os.fork()
    if child == 0:
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(nothing, descriptor)
        os.closerange(3, 1024)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
        os._exit(0)
    return f"{os.getpid()} {child}"


@server.tool(structured_output=False)
def mutter(words: str) -> str:
    print(words, file=sys.stderr, flush=True)
    return "muttered"


def main() -> None:
    if sys.argv[1] == "stdio":
        time.sleep(float(sys.argv[2]))
        asyncio.run(server.run_stdio_async())
    else:
        asyncio.run(serve(int(sys.argv[2])))


async def serve(port: int) -> None:
    """Both transports at one port: /mcp and /sse. Prints the port when it can be reached."""
    app = server.streamable_http_app()
    app.router.routes.extend(server.sse_app().router.routes)
    listener = socket.create_server(("127.0.0.1", port))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(listener.getsockname()[1], flush=True)
    await uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)).serve([listener])


if __name__ == "__main__":
    main()

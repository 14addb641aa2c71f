"""MCP servers that are programs: whatever they print costs them alone, and nothing of them is left."""

import asyncio
import logging
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import adapters.mcp.launcher
from adapters.mcp.limits import McpLimits
from application.ports.mcp_connections import McpUnavailable
from domain.tools.mcp_servers import McpAddress, McpTransport
from mcp_scene import SECRET, connecting, is_alive, program, rude_program, server_at, until
from patience import PATIENCE

LIMITS = McpLimits(connect_seconds=PATIENCE, listing_seconds=PATIENCE, close_seconds=10)
MOST_MEMORY = 96 << 10
"""In KB: what a flood may take for a moment."""


@pytest.mark.parametrize(
    ("manner", "why"),
    [
        ("refusing", "it refused to begin: no entry with ••••$"),
        ("garbage", "what it sends is not MCP."),
        ("invalid", "what it sends is not MCP."),
        ("flood", "far more than it was asked for"),
        ("questions", "far more than it was asked for"),
        ("endless", "a message of more than 2 MB"),
        ("huge", "a message of more than 2 MB"),
        ("gone", "the connection was cut"),
        ("deaf", "the connection was cut"),
    ],
)
async def test_rude_programs_cost_themselves(manner: str, why: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with asyncio.timeout(PATIENCE), connecting(LIMITS) as connections:
        with pytest.raises(McpUnavailable, match=why) as trouble:
            await connections.tools(rude_program(manner))
    assert SECRET not in str(trouble.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_MEMORY


@pytest.mark.parametrize(("manner", "count"), [("pages", 100), ("circle", 1), ("many", 500), ("strangers", 1)])
async def test_lists_without_end_are_cut(manner: str, count: int) -> None:
    async with asyncio.timeout(PATIENCE), connecting(LIMITS) as connections:
        assert len(await connections.tools(rude_program(manner))) == count


async def test_words_among_the_messages_are_passed_over() -> None:
    async with connecting(LIMITS) as connections:
        assert [tool.name for tool in await connections.tools(rude_program("chatty"))] == ["tool"]


async def test_a_program_that_never_answers_is_given_up_and_ended() -> None:
    async with connecting(McpLimits(connect_seconds=0.5)) as connections:
        with pytest.raises(McpUnavailable, match=r"did not answer within 0\.5 seconds"):
            await connections.tools(rude_program("silent"))


async def test_a_call_that_hangs_is_given_up_in_time() -> None:
    async with connecting(McpLimits(call_seconds=0.5)) as connections:
        with pytest.raises(McpUnavailable, match=r"did not answer within 0\.5 seconds"):
            await connections.call(rude_program("mute"), "tool", {})


async def test_what_a_program_writes_to_its_errors_is_logged_in_part_and_without_its_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with connecting(LIMITS) as connections:
        await connections.tools(rude_program("wordy"))
    logged = [record for record in caplog.records if "an MCP server wrote" in record.getMessage()]
    assert logged
    assert all(record.levelno == logging.DEBUG for record in logged)
    assert "the key is" in logged[0].getMessage()
    assert SECRET not in caplog.text
    assert sum(len(record.getMessage()) for record in logged) < 64 << 10


async def test_a_program_that_will_not_end_is_ended() -> None:
    """`process` tells its id; the stubborn one takes no hint and no signal that can be refused."""
    async with connecting(LIMITS) as connections:
        server = rude_program("process")
        (tool,) = await connections.tools(server)
        stubborn = rude_program("stubborn")
        await connections.tools(stubborn)
        running = [child for child in children() if "stubborn" in command(child)]
        assert len(running) == 2, "the launcher and the program"
    await until(lambda: not any(map(is_alive, [int(tool.name), *running])))


@pytest.mark.parametrize("name", ["/nowhere/at-all", "no-such-command-4711", str(Path(__file__).parent)])
async def test_a_command_that_is_not_there_is_said_so(name: str) -> None:
    server = server_at(McpAddress(McpTransport.STDIO, command=name))
    async with connecting(LIMITS) as connections:
        with pytest.raises(McpUnavailable, match="its command could not be started"):
            await connections.tools(server)


async def test_a_command_with_a_null_byte_is_refused() -> None:
    server = program("a\x00b")
    async with connecting(LIMITS) as connections:
        with pytest.raises(McpUnavailable, match="its command could not be started"):
            await connections.tools(server)


async def test_another_address_is_another_program_and_forgetting_ends_both() -> None:
    server = rude_program("process")
    other = replace(server, address=replace(server.address, env=(("KEY", "other"),)))
    async with connecting(LIMITS) as connections:
        running = [int((await connections.tools(one))[0].name) for one in (server, other)]
        assert running[0] != running[1]
        await connections.forget(server.server_id)
        await until(lambda: not any(map(is_alive, running)))
        assert (await connections.tools(server))[0].name not in map(str, running)


async def test_a_program_that_ends_at_once_is_said_so() -> None:
    async with connecting(LIMITS) as connections:
        with pytest.raises(McpUnavailable, match="its program ended before it answered"):
            await connections.tools(program("-c", "raise SystemExit(3)"))


async def test_when_the_server_is_killed_its_programs_die_with_all_they_started() -> None:
    # One write each: two processes print into one pipe.
    started = "import os, time; os.fork(); os.write(1, b'%d\\n' % os.getpid()); time.sleep(600)"
    launcher = adapters.mcp.launcher.__file__
    parent = (
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-I', '-S', {launcher!r}, str(os.getpid()), sys.executable, '-c',"
        f" {started!r}], start_new_session=True)\n"
        "time.sleep(600)"
    )
    killed = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    running = [int(await asyncio.to_thread(killed.stdout.readline)) for _ in range(2)]
    assert all(map(is_alive, running))
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    await until(lambda: not any(map(is_alive, running)))
    killed.stdout.close()


def children() -> list[int]:
    """Of this process, and theirs."""
    found = [os.getpid()]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found[1:]


def command(process: int) -> str:
    return Path(f"/proc/{process}/cmdline").read_text()

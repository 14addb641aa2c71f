"""Connections are made when they are needed, once, and go when nobody needs them. The wires here are pretended."""

import asyncio
import gc
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from adapters.mcp.connection import Connection, Line, Open
from adapters.mcp.limits import McpLimits
from adapters.mcp.pool import Key, Pool
from application.ports.mcp_connections import McpTool, McpUnavailable
from application.ports.tool_runner import ToolOutput
from domain.ids import McpServerId, UserId
from domain.tools.tools import JsonValue

LIMITS = McpLimits(connections=4, connections_of_user=2, wait_seconds=0.05, call_seconds=5, idle_seconds=60)


class Office:
    """Opens wires, and knows which are open."""

    def __init__(self, limits: McpLimits = LIMITS) -> None:
        self.limits = limits
        self.pool = Pool(limits)
        self.open: list[Line] = []
        self.opened = 0
        self.now = 0.0
        self.gate = asyncio.Event()
        self.gate.set()
        self.trouble = ""

    def make(self) -> Connection:
        return Connection(lambda: self._open, self.limits, lambda: self.now)

    @property
    def _open(self) -> Open:
        @asynccontextmanager
        async def opened(line: Line) -> "AsyncIterator[Desk]":
            self.opened += 1
            await self.gate.wait()
            if self.trouble:
                raise McpUnavailable(self.trouble)
            self.open.append(line)
            try:
                yield Desk(line)
            finally:
                self.open.remove(line)

        return opened

    async def use(self, server: str, user: str = "u", address: bytes = b"") -> ToolOutput:
        async with self.pool.lease(Key(McpServerId(server), UserId(user), address), self.make) as connection:
            self.now += 1
            return await connection.call("t", {}, asyncio.get_running_loop().time() + 5)

    async def settled(self, count: int) -> None:
        async with asyncio.timeout(LIMITS.idle_seconds / 2):
            while len(self.open) != count:
                await asyncio.sleep(0.005)


class Desk:
    def __init__(self, line: Line) -> None:
        self.line = line

    async def tools(self) -> Sequence[McpTool]:
        return ()

    async def call(self, tool: str, arguments: Mapping[str, JsonValue]) -> ToolOutput:
        return ToolOutput(str(id(self.line)))


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    office = Office()
    yield office
    office.gate.set()
    await office.pool.aclose()
    assert office.open == []


async def test_those_who_come_at_once_share_one_connection(office: Office) -> None:
    office.gate.clear()
    calls = [asyncio.create_task(office.use("s")) for _ in range(5)]
    await asyncio.sleep(0)
    office.gate.set()
    assert len({(await call).content for call in calls}) == 1
    assert office.opened == 1


async def test_users_share_nothing_and_another_address_is_another_connection(office: Office) -> None:
    said = {(await office.use(*key)).content for key in (("s", "a"), ("s", "b"), ("s", "b", b"other"))}
    assert len(said) == office.opened == 3


async def test_whoever_leaves_while_it_opens_takes_it_from_nobody(office: Office) -> None:
    office.gate.clear()
    first, second = (asyncio.create_task(office.use("s")) for _ in range(2))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0)
    office.gate.set()
    assert (await second).content
    assert office.opened == 1


async def test_of_a_users_idle_ones_the_oldest_goes_for_a_new_one(office: Office) -> None:
    for server in ("a", "b", "a", "c", "a"):
        await office.use(server)
    assert office.opened == 3
    await office.settled(2)


async def test_the_process_has_a_bound_too(office: Office) -> None:
    for user in "abcdef":
        await office.use("s", user)
    await office.settled(4)


async def test_when_all_are_busy_a_new_one_is_refused_after_a_short_while(office: Office) -> None:
    async with AsyncExitStack() as busy:
        for server in ("a", "b"):
            key = Key(McpServerId(server), UserId("u"), b"")
            await busy.enter_async_context(office.pool.lease(key, office.make))
        with pytest.raises(McpUnavailable, match="all 2 connections that a user may have are in use"):
            await office.use("c")
        assert (await office.use("c", "another user")).content
    assert (await office.use("c")).content


async def test_whoever_waits_gets_the_place_that_becomes_free() -> None:
    office = Office(McpLimits(connections=1, wait_seconds=5))
    held = office.pool.lease(Key(McpServerId("a"), UserId("u"), b""), office.make)
    await held.__aenter__()
    waiting = asyncio.create_task(office.use("b"))
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await held.__aexit__(None, None, None)
    assert (await waiting).content
    await office.pool.aclose()


async def test_an_idle_connection_closes_by_itself_and_a_used_one_does_not() -> None:
    office = Office(McpLimits(idle_seconds=0.05, wait_seconds=5))
    key = Key(McpServerId("s"), UserId("u"), b"")
    async with office.pool.lease(key, office.make) as connection:
        await connection.call("t", {}, asyncio.get_running_loop().time() + 5)
        office.now += 1
        await asyncio.sleep(0.15)
        assert len(office.open) == 1
    office.now += 1
    await office.settled(0)
    await office.use("s")
    assert office.opened == 2
    await office.pool.aclose()


async def test_a_wire_that_breaks_is_replaced(office: Office) -> None:
    await office.use("s")
    office.open[0].broken("it is gone.")
    await office.settled(0)
    await office.use("s")
    assert office.opened == 2


async def test_what_can_not_be_opened_says_why_to_all_and_is_tried_again(office: Office) -> None:
    office.trouble = "it has a cold."
    for done in await asyncio.gather(*(office.use("s") for _ in range(3)), return_exceptions=True):
        assert isinstance(done, McpUnavailable)
        assert str(done) == "it has a cold."
    assert office.opened == 1
    office.trouble = ""
    assert (await office.use("s")).content


async def test_opening_takes_no_longer_than_it_may() -> None:
    office = Office(McpLimits(connect_seconds=0.05))
    office.gate.clear()
    with pytest.raises(McpUnavailable, match=r"within 0\.05 seconds"):
        await office.use("s")
    await office.pool.aclose()


async def test_forgetting_closes_the_connections_of_all_to_that_server(office: Office) -> None:
    for key in (("s", "a"), ("s", "b"), ("other", "a")):
        await office.use(*key)
    for connection in office.pool.forget(McpServerId("s")):
        await connection.ended()
    assert len(office.open) == 1


async def test_a_pool_that_is_closed_opens_nothing(office: Office) -> None:
    await office.use("s")
    await office.pool.aclose()
    assert office.open == []
    with pytest.raises(McpUnavailable, match="being stopped"):
        await office.use("s")


async def test_closing_while_one_is_opened_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    office = Office()
    office.gate.clear()
    waiting = asyncio.create_task(office.use("s"))
    await asyncio.sleep(0.02)
    await office.pool.aclose()
    with pytest.raises(McpUnavailable):
        await waiting
    gc.collect()
    assert asyncio.all_tasks() == before

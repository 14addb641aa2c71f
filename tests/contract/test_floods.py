"""What one person floods with calls that hang costs their own answers alone: another's comes meanwhile."""

import asyncio
import json

from adapters.database.transactions import DatabaseTransactions
from adapters.scripted import ScriptedChatModel, Step, call, delta, finished
from adapters.security import FernetBox
from application.acting_for import acting_for
from application.chat.chat import ChatRequest
from application.ports.guarded_web import WebAnswer, WebRequest
from application.runs.live_runs import LiveRun
from application.sealing import Seals
from application.tools.web_tools import FETCHES_OF_ONE, WebFetch
from chat_desk import ChatDesk, read, text_of
from domain.agents.agents import Agent
from domain.chat.chat_events import ToolProgress
from domain.dialogs.messages import StepStatus
from domain.ids import AgentId, ToolId, UserId, new_id
from file_desk import PlainParser
from guarded_scene import saying
from mcp_scene import connecting
from servers.byte_server import ByteServer, Exchange, Script
from stored import NOW
from tool_desk import SECRETS, mcp_server

RUNS, CALLS = 6, 10
GREETING = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "raw", "version": "1"}}
LOOK = {"name": "look", "inputSchema": {"type": "object", "properties": {}}}
SLOW, QUICK = "https://example.org/slow", "https://example.org/quick"


def turn(url: str, calls: int) -> list[Step]:
    looks = [call("look", call_id=f"l{at}") for at in range(calls)]
    pages = [call("web_fetch", call_id=f"p{at}", url=url) for at in range(calls)]
    return [*looks, *pages, finished()]


def serving(*, hangs: bool) -> Script:
    """An MCP server that is polite, but may hang in calls."""

    async def script(exchange: Exchange) -> None:
        if exchange.method != "POST" or "id" not in exchange.json:
            await saying(b"", status=405 if exchange.method == "GET" else 202)(exchange)
            return
        method, number = exchange.json["method"], exchange.json["id"]
        if method == "tools/call" and hangs:
            await exchange.closed.wait()
            return
        known: dict[str, object] = {"initialize": GREETING, "tools/list": {"tools": [LOOK]}}
        content = {"content": [{"type": "text", "text": "blue"}]}
        body = {"jsonrpc": "2.0", "id": number, "result": known.get(method, content)}
        await saying(json.dumps(body).encode(), "content-type: application/json\r\n")(exchange)

    return script


class Web:
    """Of slow pages no word ever comes."""

    def __init__(self) -> None:
        self.slow = 0

    async def send(self, request: WebRequest) -> WebAnswer:
        if request.url == SLOW:
            self.slow += 1
            await asyncio.Event().wait()
        return WebAnswer(200, request.url, (("content-type", "text/plain"),), b"a page", cut=False)


async def person(desk: ChatDesk, server: str) -> tuple[UserId, Agent]:
    """With an agent that looks at that server, and reads pages."""
    actor = await desk.person()
    there = mcp_server(actor, url=f"{server}/mcp")
    made = Agent(AgentId(new_id()), actor, "Ada", NOW, NOW, tool_ids=(ToolId("web_fetch"),), mcp_ids=(there.server_id,))
    async with desk.transactions.begin() as tx:
        await tx.mcp_servers.add(Seals(FernetBox(SECRETS)).server(there))
        await tx.agents.add(made)
    return actor, made


async def asked(desk: ChatDesk, who: tuple[UserId, Agent], dialog: str) -> LiveRun:
    """As a request is that this person sends: in a task of its own."""

    async def request() -> LiveRun:
        actor, agent = who
        acting_for.set(actor)
        return await desk.start(actor, ChatRequest("Go", dialog, agent.agent_id, background=True))

    return await asyncio.create_task(request())


def called(server: ByteServer) -> bool:
    return any(b"tools/call" in one.body for one in server.exchanges)


async def test_another_s_answer_comes_while_somebody_s_calls_all_hang(transactions: DatabaseTransactions) -> None:
    answer: list[list[Step]] = [turn(QUICK, 1), [delta("Seen."), finished()]]
    flood = [turn(SLOW, CALLS)] * RUNS
    web = Web()
    async with (
        ByteServer(serving(hangs=True)) as hanging,
        ByteServer(serving(hangs=False)) as polite,
        connecting(alone=False) as connections,
    ):
        model = ScriptedChatModel(turns=[*answer, *flood, *answer])
        fetch = WebFetch(web, PlainParser())
        desk = ChatDesk(transactions, model, tools={ToolId("web_fetch"): fetch}, connections=connections)
        flooder, other = await person(desk, hanging.url), await person(desk, polite.url)
        # What is imported when it is first needed is not to be part of what is waited for.
        assert text_of(await read(await asked(desk, other, "before"))) == "Seen."
        runs = [await asked(desk, flooder, f"flood {at}") for at in range(RUNS)]
        async with asyncio.timeout(4):
            while len(model.requests) < RUNS + 2 or web.slow < FETCHES_OF_ONE or not called(hanging):
                await asyncio.sleep(0.01)
        seen = await read(await asked(desk, other, "meanwhile"))
        assert text_of(seen) == "Seen."
        steps = [one.event.step for one in seen if isinstance(one.event, ToolProgress)]
        assert [one.status for one in steps].count(StepStatus.END) == 2
        assert web.slow == FETCHES_OF_ONE
        assert not any(run.finished for run in runs)
        for run in runs:
            desk.registry.stop(run.state.run_id)
            await run.wait(10)
        assert desk.crashes == []

"""Calls of the tools, each in the caller's name."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
from litestar.types import ASGIApp

from application.agents.agents import ListAgents
from application.paging import Window
from application.programs.shared_agents import AskAgent, AwaitReply, CancelAsked, SearchAgentKnowledge
from application.runs.run_control import StopRun
from application.runs.run_readers import Followed
from application.tools.asking_depth import META_KEY, depth_of
from domain.errors import DomainError, Unauthenticated
from domain.ids import UserId, new_id
from entrypoints.http.mcp import tools
from entrypoints.http.mcp.messages import INVALID_PARAMS, Message, RequestId, RpcError, result
from entrypoints.http.mcp.streams import Document, Progress, Waiting
from entrypoints.http.mcp.versions import Spoken

LISTED: Final = 100
"""Agents on a page."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call at hand: whose, how it is spoken, and how the client can wait for it."""

    actor: UserId
    spoken: Spoken
    message: Message
    request_id: RequestId
    streams: bool
    heartbeat: float

    def shown(self, value: Mapping[str, Any]) -> ASGIApp:
        return Document(result(self.request_id, self.spoken.result(value)))


@dataclass(frozen=True, slots=True)
class SharedTools:
    agents: ListAgents
    search: SearchAgentKnowledge
    ask: AskAgent
    reply: AwaitReply
    stop: StopRun
    cancel: CancelAsked

    async def call(self, asked: Asked) -> ASGIApp:
        """What the caller got wrong is told to the model, which can mend it. Raises RpcError for no tool of ours."""
        calls: Mapping[str, Callable[[Asked, object], Awaitable[ASGIApp]]] = {
            "list_agents": self._list,
            "search_knowledge": self._search,
            "ask_agent": self._ask,
        }
        name = asked.message.params.get("name")
        call = calls.get(name) if isinstance(name, str) else None
        if call is None:
            raise RpcError(INVALID_PARAMS, f"Unknown tool: {str(name)[:64]}")
        try:
            return await call(asked, asked.message.params.get("arguments"))
        except tools.WrongArguments as problem:
            return asked.shown(tools.wrong(problem))
        except Unauthenticated:
            raise
        except DomainError as refusal:
            return asked.shown(tools.refused(refusal))

    async def _list(self, asked: Asked, given: object) -> ASGIApp:
        wanted = tools.arguments_of(given, tools.ListArguments)
        page = await self.agents(asked.actor, Window.parse(LISTED, wanted.cursor))
        return asked.shown(tools.agents_shown(page.items, page.next_cursor))

    async def _search(self, asked: Asked, given: object) -> ASGIApp:
        wanted = tools.arguments_of(given, tools.SearchArguments)
        return asked.shown(
            tools.passages_shown(await self.search(asked.actor, wanted.agent, wanted.query, wanted.top_k))
        )

    async def _ask(self, asked: Asked, given: object) -> ASGIApp:
        """All that can be refused is refused before anything is sent."""
        wanted = tools.arguments_of(given, tools.AskArguments)
        key = key_of(asked.spoken.session, asked.request_id)
        # The same for the same request: one that comes again asks the same.
        dialog_id = wanted.dialog_id or f"mcp-{key[4:36] if key else new_id()}"
        depth = depth_of(asked.message.meta.get(META_KEY))
        run = await self.ask(asked.actor, wanted.agent, wanted.question, dialog_id, key=key, depth=depth)
        progress = Progress(asked.message.progress_token)
        return Waiting(
            asked.request_id,
            partial(self._replied, asked, run, progress),
            partial(self._left, asked, run),
            progress,
            asked.heartbeat,
            streams=asked.streams,
        )

    async def _replied(self, asked: Asked, run: Followed, progress: Progress) -> Mapping[str, Any]:
        try:
            reply = await self.reply(asked.actor, run, progress.tell)
        except DomainError as refusal:
            return asked.spoken.result(tools.refused(refusal))
        return asked.spoken.result(tools.reply_shown(reply))

    async def _left(self, asked: Asked, run: Followed) -> None:
        """To older clients a lost connection is no cancellation: the run has its grace, and the call may come again."""
        if asked.spoken.alone:
            with suppress(DomainError):
                await self.stop(asked.actor, run_id=run.state.run_id, dialog_id=None)

    async def cancelled(self, actor: UserId, session: str | None, request_id: object) -> None:
        key = key_of(session, request_id)
        if key is not None:
            await self.cancel(actor, key)


def key_of(session: str | None, request_id: object) -> str | None:
    """Names a request of a client, at every process and without any memory; None for a client that names itself not."""
    if session is None:
        return None
    return "mcp-" + hashlib.sha256(msgspec.json.encode([session, request_id])).hexdigest()

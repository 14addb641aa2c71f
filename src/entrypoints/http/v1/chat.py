"""Chat: a question in, a stream of events out."""

from collections.abc import Mapping
from typing import Annotated, Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody
from litestar.types import ASGIApp
from msgspec import Meta, Struct

from application.chat.ask_once import AskOnce
from application.chat.chat import ChatRequest
from application.runs.run_control import FollowRun, ShowRun, StopRun
from domain.ids import AgentId
from domain.runs.runs import Run, event_id, parse_run_id
from entrypoints.http.auth import Caller
from entrypoints.http.envelope import Envelope, ok
from entrypoints.http.event_stream import EventStream
from entrypoints.http.http_config import HttpConfig

TAGS: Final = ["chat"]
STREAM: Final[Mapping[int, ResponseSpec]] = {
    200: ResponseSpec(
        str,
        generate_examples=False,
        media_type="text/event-stream",
        description="Frames of the types response_chunk, reasoning_chunk, event, knowledge, error, and last one done. "
        "The header X-Run-ID names the run.",
    )
}


class ChatBody(Struct):
    """`agent_id` answers this question; without it the dialog's agent does.

    `max_output_tokens` ends the answer, over all its turns, with what it has by then.
    """

    user_input: str
    dialog_id: str
    file_url: str | list[str] | None = None
    agent_id: str | None = None
    background: bool = False
    max_output_tokens: Annotated[int, Meta(ge=1, le=100_000_000)] | None = None

    def asked(self) -> ChatRequest:
        urls = [self.file_url] if isinstance(self.file_url, str) else self.file_url or []
        return ChatRequest(
            self.user_input,
            self.dialog_id,
            AgentId(self.agent_id) if self.agent_id else None,
            tuple(url for url in urls if url),
            self.background,
            self.max_output_tokens,
        )


class StopBody(Struct):
    """One of the two."""

    dialog_id: str | None = None
    run_id: str | None = None


class RunView(Struct):
    run_id: str
    dialog_id: str
    message_id: str
    status: str
    last_event_id: str

    @classmethod
    def of(cls, run: Run) -> "RunView":
        return cls(run.run_id, run.dialog_id, run.message_id, run.status, event_id(run.run_id, run.last_seq))


@post(
    ["/chat", "/completion"],
    status_code=200,
    summary="Ask, and stream the answer as server-sent events",
    tags=TAGS,
    responses=STREAM,
)
@inject
async def chat(
    data: JSONBody[ChatBody],
    caller: FromDishka[Caller],
    ask: FromDishka[AskOnce],
    config: FromDishka[HttpConfig],
    idempotency_key: Annotated[str | None, HeaderParameter(name="Idempotency-Key")] = None,
) -> ASGIApp:
    run = await ask(caller.user_id, data.asked(), idempotency_key)
    return EventStream(run, after=0, heartbeat=config.heartbeat_seconds)


@post("/chat/stop", status_code=200, summary="Stop an answer at once; what there is of it is kept", tags=TAGS)
@inject
async def stop_chat(
    data: JSONBody[StopBody], caller: FromDishka[Caller], stop: FromDishka[StopRun]
) -> Envelope[RunView]:
    run_id = parse_run_id(data.run_id) if data.run_id else None
    return ok(RunView.of(await stop(caller.user_id, run_id=run_id, dialog_id=data.dialog_id)))


@get("/chat/{run_id:str}", summary="The state of a run", tags=TAGS)
@inject
async def show_run(run_id: FromPath[str], caller: FromDishka[Caller], show: FromDishka[ShowRun]) -> Envelope[RunView]:
    return ok(RunView.of(await show(caller.user_id, parse_run_id(run_id))))


@get(
    "/chat/{run_id:str}/events",
    summary="Follow a run again, from the event after Last-Event-ID",
    tags=TAGS,
    responses=STREAM,
)
@inject
async def follow_run(
    run_id: FromPath[str],
    caller: FromDishka[Caller],
    follow: FromDishka[FollowRun],
    config: FromDishka[HttpConfig],
    last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None,
    after: FromQuery[str | None] = None,
) -> ASGIApp:
    run, seq = await follow(caller.user_id, parse_run_id(run_id), last_event_id or after)
    return EventStream(run, after=seq, heartbeat=config.heartbeat_seconds)


chat_handlers: list[HTTPRouteHandler] = [chat, stop_chat, show_run, follow_run]

"""`/api/v1/openai`: the address that clients of OpenAI are given as their base_url."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Final

from dishka.integrations.litestar import FromDishka, inject
from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, HeaderParameter
from litestar.types import ASGIApp
from msgspec import Struct

from application.programs.compatible import (
    AskCompatibly,
    CompatibleRequest,
    FindNamedAgent,
    ListNamedAgents,
    NamedAgent,
)
from application.programs.formed_answers import CheckForm
from application.runs.run_control import ShowRun, StopRun
from domain.errors import TooManyRequests, Unavailable
from domain.ids import UserId
from entrypoints.http.auth import Caller
from entrypoints.http.bodies import forget_body, read_json
from entrypoints.http.front import ENCODED_SLASH
from entrypoints.http.http_config import HttpConfig
from entrypoints.http.openai.bodies import CompletionBody
from entrypoints.http.openai.completions import Asker, CompletionStream, WholeCompletion
from entrypoints.http.openai.translate import asked_of

TAGS: Final = ["openai"]
MOST_BYTES: Final = 24_000_000
"""Of a body: its images are written in base64."""
SMALL_BYTES: Final = 50_000
"""What is read on the event loop; more takes a while."""
LARGE_BYTES: Final = 2_000_000
"""What is held in memory by a few requests at once only."""


class ModelObject(Struct):
    """An agent, as a model. `id` is what `model` takes; the agent's own id goes there too, and never changes."""

    id: str
    object: str
    created: int
    owned_by: str
    name: str
    agent_id: str

    @classmethod
    def of(cls, one: NamedAgent) -> "ModelObject":
        agent = one.agent
        owner = "user" if agent.is_custom else "system"
        return cls(one.model, "model", int(agent.created_at.timestamp()), owner, agent.name, agent.agent_id)


class ModelList(Struct):
    object: str
    data: list[ModelObject]


@dataclass(slots=True)
class BodyPlaces:
    """Large bodies that are held in memory at once: by all, and by one user."""

    most: int = 16
    most_of_one: int = 4
    _taken: dict[UserId, int] = field(default_factory=dict)

    @contextmanager
    def taken(self, user_id: UserId) -> Iterator[None]:
        """Raises Unavailable `bodies_busy`, or TooManyRequests `too_many_bodies`."""
        if sum(self._taken.values()) >= self.most:
            raise Unavailable("bodies_busy", "The server is at its limit of large requests at once.", retry_after=2)
        if self._taken.get(user_id, 0) >= self.most_of_one:
            message = f"At most {self.most_of_one} large requests at once are possible for one user."
            raise TooManyRequests("too_many_bodies", message, retry_after=2)
        self._taken[user_id] = self._taken.get(user_id, 0) + 1
        try:
            yield
        finally:
            self._taken[user_id] -= 1
            if not self._taken[user_id]:
                del self._taken[user_id]


@get("/openai/models", summary="The caller's agents, as models", tags=TAGS)
@inject
async def list_models(caller: FromDishka[Caller], listed: FromDishka[ListNamedAgents]) -> ModelList:
    return ModelList("list", [ModelObject.of(one) for one in await listed(caller.user_id)])


@get("/openai/models/{model:path}", summary="One agent, as a model", tags=TAGS)
@inject
async def show_model(model: FromPath[str], caller: FromDishka[Caller], find: FromDishka[FindNamedAgent]) -> ModelObject:
    asked = model.removeprefix("/").replace(ENCODED_SLASH, "/")
    return ModelObject.of(NamedAgent(asked, await find(caller.user_id, asked)))


@post(
    "/openai/chat/completions",
    status_code=200,
    summary="Ask an agent as OpenAI's models are asked",
    tags=TAGS,
    request_max_body_size=MOST_BYTES,
    responses={
        200: ResponseSpec(
            dict[str, Any],
            generate_examples=False,
            description="A chat completion; with `stream`, chunks of one as server-sent events.",
        )
    },
)
@inject
async def complete(
    request: Request[Any, Any, Any],
    caller: FromDishka[Caller],
    ask: FromDishka[AskCompatibly],
    show: FromDishka[ShowRun],
    stop: FromDishka[StopRun],
    config: FromDishka[HttpConfig],
    places: FromDishka[BodyPlaces],
    check: FromDishka[CheckForm],
    idempotency_key: Annotated[str | None, HeaderParameter(name="Idempotency-Key")] = None,
) -> ASGIApp:
    dialog_id = _named_dialog(request)
    announced = _announced(request)
    with places.taken(caller.user_id) if announced > LARGE_BYTES else nullcontext():
        body, asked = await _asked(request, announced, dialog_id)
        run = await ask(caller.user_id, asked, idempotency_key)
    wanted = None if asked.form is None else partial(check, asked.form)
    asker = Asker(run, body.model, show, stop, wanted=wanted)
    if body.stream:
        usage = body.stream_options is not None and bool(body.stream_options.include_usage)
        return CompletionStream(asker, include_usage=usage, heartbeat=config.heartbeat_seconds)
    return WholeCompletion(asker, kept=idempotency_key is not None)


async def _asked(
    request: Request[Any, Any, Any], announced: int, dialog_id: str | None
) -> tuple[CompletionBody, CompatibleRequest]:
    raw = await request.body()
    forget_body(request)
    read = partial(_read, request, raw)
    body = read() if announced <= SMALL_BYTES else await asyncio.to_thread(read)
    translate = partial(asked_of, body, raw, dialog_id)
    asked = translate() if announced <= SMALL_BYTES else await asyncio.to_thread(translate)
    # The texts and images are in what is asked.
    body.messages.clear()
    return body, asked


def _read(request: Request[Any, Any, Any], raw: bytes) -> CompletionBody:
    return read_json(raw, request.headers.get("content-type", ""), CompletionBody)


def _announced(request: Request[Any, Any, Any]) -> int:
    """A body that comes without its length may be of any."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else MOST_BYTES


def _named_dialog(request: Request[Any, Any, Any]) -> str | None:
    """Ids may hold any printable characters; clients send them as UTF-8."""
    for name, value in request.scope["headers"]:
        if name == b"x-dialog-id":
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value.decode("latin-1")
    return None


openai_handlers: list[HTTPRouteHandler] = [list_models, show_model, complete]

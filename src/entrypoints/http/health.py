"""Is the process alive, and can it serve."""

from dishka import FromDishka
from dishka.integrations.litestar import inject
from litestar import HttpMethod, Request, Response, route
from msgspec import UNSET, Struct, UnsetType

from application.health import CheckHealth, PartHealth
from entrypoints.http.auth import PUBLIC
from entrypoints.http.envelope import Envelope, ErrorEnvelope, ok
from entrypoints.http.errors import Refusal


class Alive(Struct):
    status: str
    version: str


class PartView(Struct):
    """One part. Without one that is `down` the server can't work, without one that is `degraded` it does less:

    `problem` says why.
    """

    name: str
    status: str
    latency_ms: float
    problem: str | UnsetType = UNSET

    @classmethod
    def of(cls, part: PartHealth) -> "PartView":
        troubled = "down" if part.required else "degraded"
        return cls(part.name, troubled if part.problem else "up", part.latency_ms, part.problem or UNSET)


class Readiness(Struct):
    """`status` is ready, unavailable or stopping."""

    status: str
    parts: list[PartView]


@route(
    "/health",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    summary="Is the process alive",
    tags=["operations"],
    opt=PUBLIC,
    sync_to_thread=False,
)
def health(request: Request) -> Envelope[Alive]:  # type: ignore[type-arg]
    return ok(Alive("alive", request.app.state.version))


@route(
    "/health/ready",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    summary="Can the process serve",
    tags=["operations"],
    opt=PUBLIC,
)
@inject
async def ready(request: Request, check: FromDishka[CheckHealth]) -> Response[Envelope[Readiness] | ErrorEnvelope]:  # type: ignore[type-arg]
    parts = [PartView.of(part) for part in await check()]
    down = [part.name for part in parts if part.status == "down"]
    stopping = request.app.state.drain.active
    status = "stopping" if stopping else "unavailable" if down else "ready"
    answer = ok(Readiness(status, parts))
    if status == "ready":
        return Response(answer)
    refusal = Refusal(503, f"server_{status}", _sentence(stopping, down), headers={"Retry-After": "1"})
    return Response(refusal.envelope(answer.data), status_code=refusal.status, headers=refusal.headers)


def _sentence(stopping: bool, down: list[str]) -> str:
    return "The server is stopping." if stopping else f"Not ready: {', '.join(down)} can't be reached."

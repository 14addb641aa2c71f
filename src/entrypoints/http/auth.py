"""Bearer authentication for every route of `/api/v1`.

The v1 router carries `middleware=[RequireCaller]`, so a request without a good token is 401 before its body is read or
validated. The container includes `CallerProvider()`. A handler asks for its caller as for any other dependency:

    @get("/agent")
    @inject
    async def list_agents(caller: FromDishka[Caller], list_: FromDishka[ListAgents]) -> …:
        … await list_(caller.user_id, …)

A public route says so: `@post("/user/login", status_code=200, opt=PUBLIC)`; it must not ask for a Caller.

A middleware and not a guard: for each call of a guard Litestar copies the whole route handler (8 us). dishka and not a
Litestar dependency for the Caller: 1 us against 12.
"""

import re
from collections.abc import Iterable
from typing import Final, cast

from dishka import AsyncContainer, Provider, Scope, provide
from litestar import Request
from litestar.types import ASGIApp, Receive, Send
from litestar.types import Scope as ASGIScope

from application.accounts.sessions import Authenticate, Caller
from application.acting_for import acting_for
from domain.errors import Unauthenticated

__all__ = ["PUBLIC", "Caller", "CallerProvider", "RequireCaller", "bearer_of"]

PUBLIC: Final = {"public": True}
_TOKEN: Final = re.compile(rb"[\x21-\x7e]{1,4096}")
_CALLER_KEY: Final = "agentchat_caller"


class RequireCaller:
    """Puts the Caller, and `user_id` for the access log, into the scope, or raises Unauthenticated.

    What is begun from here is done for the caller: `acting_for`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.authenticate: Authenticate | None = None

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        if not _is_public(scope):
            if self.authenticate is None:
                container: AsyncContainer = scope["litestar_app"].state.dishka_container
                self.authenticate = await container.get(Authenticate)
            caller = await self.authenticate(bearer_of(scope["headers"]))
            state = cast("dict[str, object]", scope)
            state[_CALLER_KEY] = caller
            state["user_id"] = caller.user_id
            acting_for.set(caller.user_id)
        await self.app(scope, receive, send)


def _is_public(scope: ASGIScope) -> bool:
    return scope.get("method") == "OPTIONS" or scope["route_handler"].opt.get("public") is True


class CallerProvider(Provider):
    """Needs dishka's LitestarProvider beside it."""

    @provide(scope=Scope.REQUEST)
    def caller(self, request: Request) -> Caller:  # type: ignore[type-arg]  # dishka's key is the bare class
        return cast(Caller, request.scope[_CALLER_KEY])  # type: ignore[typeddict-item]


def bearer_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The token of the one Authorization header. Two are refused: a proxy and we could each believe another one."""
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        raise Unauthenticated("token_missing", "Send the header 'Authorization: Bearer <access token or API key>'.")
    scheme, _, token = values[0].strip().partition(b" ")
    token = token.strip()
    if len(values) > 1 or scheme.lower() != b"bearer" or not _TOKEN.fullmatch(token):
        raise Unauthenticated(
            "token_invalid", "The Authorization header must be one 'Bearer <access token or API key>'."
        )
    return token.decode("ascii")

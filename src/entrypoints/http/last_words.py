"""Refusals that reach a client who is still sending: closed at once, the connection would be reset before it reads."""

import asyncio
from typing import Any, Final, TypeVar, cast

from litestar import Request, Response
from litestar.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")

LINGER_SECONDS: Final = 30.0
"""For the rest of a body that nobody wants."""
_UNREAD: Final = "agentchat_body_unread"


def mark_body(scope: Scope, *, unread: bool) -> None:
    cast("dict[str, object]", scope)[_UNREAD] = unread


def has_unread_body(scope: Scope) -> bool:
    """Whether the client may still be sending a body that was begun and is read no further."""
    return cast("dict[str, object]", scope).get(_UNREAD) is True


class LastWords(Response[T]):
    """Says that the connection closes, and lets the rest of the body run out for a while before it does."""

    def to_asgi_response(self, request: Request[Any, Any, Any], **given: Any) -> ASGIApp:  # type: ignore[override]
        self.headers["Connection"] = "close"
        answer = super().to_asgi_response(request=request, **given)

        async def lingering(scope: Scope, receive: Receive, send: Send) -> None:
            async def held_open(message: Message) -> None:
                if message["type"] == "http.response.body":
                    message["more_body"] = True
                await send(message)

            await answer(scope, receive, held_open)
            await _run_out(receive)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        return lingering


async def _run_out(receive: Receive) -> None:
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            while True:
                message = await receive()
                if message["type"] != "http.request" or not message["more_body"]:
                    return
    except TimeoutError:
        return

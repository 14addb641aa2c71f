"""Whether the client of a long answer is still there. Plain ASGI: no middleware, queue or generator in between."""

import asyncio
from typing import Final

from litestar.types import Receive

STALLED_SECONDS: Final = 60.0
"""A client that takes nothing for so long is let go; it may come back for the rest."""


def watched(receive: Receive) -> "asyncio.Task[None]":
    """Done when the client goes away, which is noticed at once, also in silence. Whoever asks for it cancels it."""
    return asyncio.create_task(_gone(receive))


async def first_of(work: "asyncio.Task[None]", gone: "asyncio.Task[None]", patience: float) -> bool:
    """Whether one of them ended before it is time to look after the client."""
    done, _ = await asyncio.wait({work, gone}, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    return bool(done)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

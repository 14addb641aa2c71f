"""A chat model behind HTTP: opens an answer, and follows it to its end."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from adapters.web.endpoint import ChatEndpoint
from application.ports.chat_model import Timeouts
from domain.conversation.conversation import ModelEvent, ModelRequest
from domain.errors import ModelError

if TYPE_CHECKING:
    from adapters.web.answer import IncomingAnswer


class HttpChatModel:
    """The ChatModel of any endpoint. A stream is one call of the provider: who asks may ask again."""

    def __init__(self, endpoint: ChatEndpoint, *, timeouts: Timeouts = Timeouts()) -> None:
        self._endpoint = endpoint
        self._timeouts = timeouts
        self._warm = False

    def warm_up(self) -> None:
        """Import what the first answer needs: seconds of CPU. For a thread, before or at the first question."""
        self._endpoint.warm_up()
        import adapters.web.answer  # noqa: F401

        self._warm = True

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        answer, events = await self._begin(request)
        with answer:
            while True:
                for event in events:
                    yield event
                if answer.complete:
                    break
                events = await answer.next()
            await answer.hang_up()

    async def _begin(self, request: ModelRequest) -> tuple["IncomingAnswer", list[ModelEvent]]:
        if not self._warm:
            await asyncio.to_thread(self.warm_up)
        try:
            async with asyncio.timeout(self._timeouts.first_token):
                return await self._first(request)
        except TimeoutError:
            raise ModelError(
                "model_timeout",
                f"The model sent no first word within {self._timeouts.first_token:g} seconds.",
                retryable=True,
            ) from None

    async def _first(self, request: ModelRequest) -> tuple["IncomingAnswer", list[ModelEvent]]:
        from adapters.web.answer import IncomingAnswer

        response = await self._endpoint.open(request, connect_seconds=self._timeouts.connect)
        answer = IncomingAnswer(response, self._endpoint.reader(request), self._timeouts.idle)
        try:
            return answer, await answer.next()
        except BaseException:
            answer.close()
            raise

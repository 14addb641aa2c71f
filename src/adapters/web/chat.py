"""A chat model behind HTTP: opens an answer, tries again before its first delta, follows it to its end."""

import asyncio
import random
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from adapters.web.endpoint import ChatEndpoint
from application.ports.chat_model import Timeouts
from domain.conversation import ModelEvent, ModelRequest
from domain.errors import ModelError

if TYPE_CHECKING:
    from adapters.web.answer import IncomingAnswer

LONGEST_PAUSE_SECONDS = 8.0
TRIED_AGAIN = frozenset({"model_unavailable", "model_timeout", "model_rate_limited", "model_stream_cut"})


class HttpChatModel:
    """The ChatModel of any endpoint. Retries are ours: the SDKs' end where the body begins."""

    def __init__(
        self,
        endpoint: ChatEndpoint,
        *,
        timeouts: Timeouts = Timeouts(),
        max_retries: int = 2,
        pause_seconds: float = 0.5,
    ) -> None:
        self._endpoint = endpoint
        self._timeouts = timeouts
        self._max_retries = max_retries
        self._pause_seconds = pause_seconds
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
        deadline = asyncio.get_running_loop().time() + self._timeouts.first_token
        try:
            async with asyncio.timeout_at(deadline):
                return await self._retried(request, deadline)
        except TimeoutError:
            raise ModelError(
                "model_timeout",
                f"The model sent no first word within {self._timeouts.first_token:g} seconds.",
                retryable=True,
            ) from None

    async def _retried(self, request: ModelRequest, deadline: float) -> tuple["IncomingAnswer", list[ModelEvent]]:
        attempt = 0
        while True:
            try:
                return await self._attempt(request)
            except ModelError as error:
                pause = self._pause_after(error, attempt)
                left = deadline - asyncio.get_running_loop().time()
                if (
                    attempt >= self._max_retries
                    or error.code not in TRIED_AGAIN
                    or not error.retryable
                    or pause >= left
                ):
                    raise
            await asyncio.sleep(pause)
            attempt += 1

    async def _attempt(self, request: ModelRequest) -> tuple["IncomingAnswer", list[ModelEvent]]:
        from adapters.web.answer import IncomingAnswer

        response = await self._endpoint.open(request, connect_seconds=self._timeouts.connect)
        answer = IncomingAnswer(response, self._endpoint.reader(), self._timeouts.idle)
        try:
            return answer, await answer.next()
        except BaseException:
            answer.close()
            raise

    def _pause_after(self, error: ModelError, attempt: int) -> float:
        if error.retry_after is not None:
            # A long wait is for the caller to decide: it raises the code at once.
            return error.retry_after if error.retry_after <= LONGEST_PAUSE_SECONDS else float("inf")
        longest = min(self._pause_seconds * 2.0**attempt, LONGEST_PAUSE_SECONDS)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret

"""Opens messages through Anthropic's SDK: its requests, authentication and errors; the body is read elsewhere."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from adapters.anthropic.translate import body_of
from application.ports.guarded_web import refusal_in
from domain.conversation.conversation import ModelRequest
from domain.errors import ModelError
from domain.models.model_failures import Unreachable, unaskable, unreachable

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic

    from adapters.anthropic.answer import AnthropicAnswer

ANTHROPIC_URL = "https://api.anthropic.com"


class AnthropicEndpoint:
    """`http` gives the shared client when it is first needed: the SDK costs seconds of CPU to import.

    The protocol wants a limit on every answer: `max_tokens` where the request names none. With `thinking_tokens` the
    model thinks before it answers, up to that many.
    """

    def __init__(
        self,
        *,
        api_key: str,
        http: "Callable[[], httpx2.AsyncClient]",
        base_url: str | None = None,
        max_tokens: int = 8192,
        thinking_tokens: int | None = None,
    ) -> None:
        self._api_key = api_key
        self._http = http
        self._base_url = base_url or ANTHROPIC_URL
        # Whole, so that the SDK need not put it together for every request.
        self._address = f"{self._base_url.rstrip('/')}/v1/messages"
        self._max_tokens = max_tokens
        self._thinking_tokens = thinking_tokens
        self._client: AsyncAnthropic | None = None
        self._making = threading.Lock()
        self._with_schema = True

    async def open(self, request: ModelRequest, *, connect_seconds: float) -> "httpx2.Response":
        plain = replace(request, answer_schema=None)
        if request.answer_schema is None or not self._with_schema:
            return await self._post(plain, connect_seconds)
        try:
            return await self._post(request, connect_seconds)
        except ModelError as error:
            if error.code != "model_bad_request":
                raise
            refused = error
        # Some servers of this protocol know no tools; the next answers are asked for without, if that was it.
        try:
            response = await self._post(plain, connect_seconds)
        except Unreachable:
            raise refused from None
        self._with_schema = False
        return response

    async def _post(self, request: ModelRequest, connect_seconds: float) -> "httpx2.Response":
        import httpx2
        import msgspec
        from anthropic import APIConnectionError, APIStatusError, APITimeoutError, AsyncStream

        from adapters.anthropic import errors

        try:
            response = await self._made().post(
                self._address,
                content=msgspec.json.encode(
                    body_of(request, max_tokens=self._max_tokens, thinking_tokens=self._thinking_tokens)
                ),
                cast_to=httpx2.Response,
                stream=True,
                stream_cls=AsyncStream[object],
                options={"timeout": httpx2.Timeout(None, connect=connect_seconds)},
            )
            return cast("httpx2.Response", response)
        except APIStatusError as error:
            raise errors.refused(error) from None
        except (httpx2.InvalidURL, UnicodeError):
            raise unaskable() from None
        except httpx2.TransportError as error:
            # The SDK reads what a refusal says before it tells of it.
            raise unreachable(timed_out=False, refusal=refusal_in(error)) from None
        except APIConnectionError as error:
            raise unreachable(timed_out=isinstance(error, APITimeoutError), refusal=refusal_in(error)) from None

    def reader(self, request: ModelRequest) -> "AnthropicAnswer":
        from adapters.anthropic.answer import AnthropicAnswer

        return AnthropicAnswer(request.answer_schema.name if request.answer_schema else None)

    def warm_up(self) -> None:
        self._made()
        import adapters.anthropic.answer  # noqa: F401

    def _made(self) -> "AsyncAnthropic":
        with self._making:
            if self._client is None:
                import httpx2
                from anthropic import AsyncAnthropic

                try:
                    self._client = AsyncAnthropic(
                        api_key=self._api_key or "none",
                        base_url=self._base_url,
                        http_client=self._http(),
                        max_retries=0,
                    )
                except (httpx2.InvalidURL, UnicodeError):
                    raise unaskable() from None
            return self._client

"""Opens chat completions through OpenAI's SDK: its requests, authentication and errors; the body is read elsewhere."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from adapters.openai.translate import body_of
from application.ports.guarded_web import refusal_in
from domain.conversation.conversation import ModelRequest
from domain.errors import ModelError
from domain.models.model_failures import Unreachable, unaskable, unreachable

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

    from adapters.openai.answer import OpenAIAnswer

OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True)
class _Extras:
    """What some servers and models refuse: to be asked for usage, and for an answer of a certain form."""

    usage: bool = True
    schema: bool = True

    def without_what_was_refused(self, error: ModelError, *, compatible: bool) -> "_Extras | None":
        """None where nothing else can be asked. Compatible servers need not name what they don't like."""
        from adapters.openai.errors import FormatRefused

        if self.schema and (compatible or isinstance(error, FormatRefused)):
            return replace(self, schema=False)
        return replace(self, usage=False) if self.usage and compatible else None


class OpenAIEndpoint:
    """`http` gives the shared client when it is first needed: the SDK costs a second of CPU to import."""

    def __init__(
        self,
        *,
        api_key: str,
        http: "Callable[[], httpx2.AsyncClient]",
        base_url: str | None = None,
        compatible: bool = False,
    ) -> None:
        self._api_key = api_key
        self._http = http
        self._base_url = base_url or OPENAI_URL
        # Whole, so that the SDK need not put it together for every request.
        self._address = f"{self._base_url.rstrip('/')}/chat/completions"
        self._compatible = compatible
        self._client: AsyncOpenAI | None = None
        self._making = threading.Lock()
        self._taken = _Extras()

    async def open(self, request: ModelRequest, *, connect_seconds: float) -> "httpx2.Response":
        extras = self._taken if request.answer_schema is not None else replace(self._taken, schema=False)
        refused: ModelError | None = None
        while True:
            try:
                response = await self._post(request, connect_seconds, extras)
            except Unreachable as error:
                # What was refused is what there is to tell; this connection may be one that the refusal closed.
                raise refused or error from None
            except ModelError as error:
                if error.code != "model_bad_request":
                    raise
                fewer = extras.without_what_was_refused(error, compatible=self._compatible)
                if fewer is None:
                    raise
                extras, refused = fewer, refused or error
                continue
            # The next ones are asked without, if that was it.
            unknown = request.answer_schema is None and self._taken.schema
            self._taken = replace(extras, schema=extras.schema or unknown)
            return response

    def reader(self, request: ModelRequest) -> "OpenAIAnswer":  # noqa: ARG002
        from adapters.openai.answer import OpenAIAnswer

        return OpenAIAnswer()

    def warm_up(self) -> None:
        self._made()
        import adapters.openai.answer  # noqa: F401

    async def _post(self, request: ModelRequest, connect_seconds: float, extras: "_Extras") -> "httpx2.Response":
        import httpx2
        import msgspec
        from openai import APIConnectionError, APIStatusError, APITimeoutError, AsyncStream

        from adapters.openai import errors

        asked = request if extras.schema else replace(request, answer_schema=None)
        try:
            response = await self._made().post(
                self._address,
                content=msgspec.json.encode(body_of(asked, compatible=self._compatible, with_usage=extras.usage)),
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

    def _made(self) -> "AsyncOpenAI":
        with self._making:
            if self._client is None:
                import httpx2
                from openai import AsyncOpenAI

                try:
                    self._client = AsyncOpenAI(
                        api_key=self._api_key or "none",
                        base_url=self._base_url,
                        http_client=self._http(),
                        max_retries=0,
                    )
                except (httpx2.InvalidURL, UnicodeError):
                    raise unaskable() from None
            return self._client

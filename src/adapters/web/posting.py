"""A question to a model's server that has one answer: JSON there, and back."""

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapters.web.client import WebClient
from application.ports.guarded_web import refusal_in
from domain.errors import ModelError
from domain.models.model_failures import pause_asked, unreachable

if TYPE_CHECKING:
    import httpx2

LONGEST_ANSWER: Final = 64 << 20
LONGEST_ERROR: Final = 1 << 16
LONGEST_PAUSE_SECONDS: Final = 8.0
TRIED_AGAIN: Final = frozenset({"model_unavailable", "model_timeout", "model_rate_limited"})
_PLAIN: Final = {
    401: ("model_auth_failed", "The model's server refused the API key."),
    402: ("model_auth_failed", "The model's server wants its account paid."),
    403: ("model_auth_failed", "The model's server refused the API key for this model."),
    404: ("model_not_found", "The server has no such model, or none at this base_url."),
    413: ("context_too_long", "The texts are longer than the model can read."),
}
_PASSING: Final = {
    408: ("model_timeout", "The model's server took too long."),
    429: ("model_rate_limited", "The model's server is receiving too many requests."),
    504: ("model_timeout", "The model's server took too long."),
}
_TOO_LONG: Final = (b"context length", b"maximum context", b"too long", b"too large", b"too many tokens", b"max_length")
_LONG_TOKENS: Final = (b"tokens", b"must have less than")
"""How Text Embeddings Inference says it."""


@dataclass(frozen=True, slots=True)
class Posting:
    """Asks one address. Any number of questions at once; what limits them is the caller's."""

    http: WebClient
    address: str
    api_key: str = ""
    connect_seconds: float = 10.0
    retries: int = 2
    pause_seconds: float = 0.5

    async def __call__(self, body: bytes, *, seconds: float) -> bytes:
        """The answer's body; `seconds` are for all attempts together. Raises ModelError."""
        # The first one imports the HTTP library.
        await asyncio.to_thread(self.http)
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(deadline):
                return await self._retried(body, deadline)
        except TimeoutError:
            message = f"The model's server took longer than {seconds:g} seconds."
            raise ModelError("model_timeout", message, retryable=True) from None

    async def _retried(self, body: bytes, deadline: float) -> bytes:
        attempt = 0
        while True:
            try:
                return await self._attempt(body)
            except ModelError as error:
                pause = self._pause_after(error, attempt)
                left = deadline - asyncio.get_running_loop().time()
                again = error.retryable and error.code in TRIED_AGAIN
                if attempt >= self.retries or not again or pause >= left:
                    raise
            await asyncio.sleep(pause)
            attempt += 1

    def _pause_after(self, error: ModelError, attempt: int) -> float:
        if error.retry_after is not None:
            # A long wait is for the caller to decide: it raises the code at once.
            return error.retry_after if error.retry_after <= LONGEST_PAUSE_SECONDS else float("inf")
        longest = min(self.pause_seconds * 2.0**attempt, LONGEST_PAUSE_SECONDS)
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, no secret

    async def _attempt(self, body: bytes) -> bytes:
        import httpx2

        try:
            response = await self._sent(body)
        except httpx2.RequestError as error:
            timed_out = isinstance(error, httpx2.ConnectTimeout)
            raise unreachable(timed_out=timed_out, refusal=refusal_in(error)) from None
        except (httpx2.InvalidURL, UnicodeError, ValueError):
            raise ModelError(
                "model_not_configured", "The model's server can't be asked: see base_url and key."
            ) from None
        try:
            refused = not 200 <= response.status_code < 300
            data = await _read(response, LONGEST_ERROR if refused else LONGEST_ANSWER, whole=not refused)
        except httpx2.TransportError:
            raise ModelError("model_unavailable", "The model's server broke its answer off.", retryable=True) from None
        finally:
            await response.aclose()
        if refused:
            wait = pause_asked(response.headers.get("retry-after-ms"), response.headers.get("retry-after"))
            raise _refusal(response.status_code, data, wait)
        return data

    async def _sent(self, body: bytes) -> "httpx2.Response":
        import httpx2

        client = self.http()
        headers = {"content-type": "application/json", "accept": "application/json"}
        if self.api_key:
            headers["authorization"] = f"Bearer {self.api_key}"
        timeout = httpx2.Timeout(None, connect=self.connect_seconds)
        request = client.build_request("POST", self.address, content=body, headers=headers, timeout=timeout)
        return await client.send(request, stream=True)


async def _read(response: "httpx2.Response", most: int, *, whole: bool) -> bytes:
    from adapters.web.body import body_of

    body, data = body_of(response), bytearray()
    while piece := await body.read():
        data += piece
        if len(data) > most:
            if whole:
                raise ModelError("model_bad_response", "The model's server sent more than any answer is.")
            break
    return bytes(data)


def _refusal(status: int, said: bytes, wait: float | None) -> ModelError:
    """What was said may hold texts and keys: it is looked at, and stays out."""
    if status in _PLAIN:
        return ModelError(*_PLAIN[status])
    if status == 429 and b"insufficient_quota" in said:
        return ModelError("model_rate_limited", "The quota at the model's server is used up.")
    if status in _PASSING or status >= 500:
        code, message = _PASSING.get(status, ("model_unavailable", "The model's server failed."))
        return ModelError(code, message, retryable=True, retry_after=wait)
    if status < 400:
        return ModelError("model_bad_response", "The server sent us to another address: correct its base_url.")
    low = said.lower()
    if any(words in low for words in _TOO_LONG) or all(words in low for words in _LONG_TOKENS):
        return ModelError(*_PLAIN[413])
    return ModelError("model_bad_request", f"The model's server refused the request (status {status}).")

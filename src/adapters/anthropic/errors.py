"""Anthropic's errors in our words. The vendor's own text may hold questions: it is looked at, and stays out."""

import re
from typing import TYPE_CHECKING

from adapters.anthropic.wire import WireError
from domain.errors import ModelError
from domain.models.model_failures import pause_asked

if TYPE_CHECKING:
    from anthropic import APIStatusError

_TOO_LONG = re.compile(r"prompt is too long|context (window|limit|length)|exceeds? .{0,40}tokens", re.IGNORECASE)
_REFUSED = re.compile(r"content (filter|policy)|usage policy|blocked by", re.IGNORECASE)
_TYPE_OF_STATUS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_PLAIN = {
    "authentication_error": ("model_auth_failed", "The model's provider refused the API key."),
    "billing_error": ("model_auth_failed", "The model's provider wants its account paid."),
    "permission_error": ("model_auth_failed", "The model's provider refused the API key for this model."),
    "not_found_error": ("model_not_found", "The provider has no such model, or none at this base_url."),
    "request_too_large": ("context_too_long", "The conversation is longer than the model can read."),
}
_PASSING = {
    "rate_limit_error": ("model_rate_limited", "The model's provider is receiving too many requests."),
    "timeout_error": ("model_timeout", "The model's provider took too long."),
    "overloaded_error": ("model_unavailable", "The model's provider is overloaded."),
    "conflict_error": ("model_unavailable", "The model's provider is busy with a conflicting request."),
    "api_error": ("model_unavailable", "The model's provider failed."),
}


def refused(error: "APIStatusError") -> ModelError:
    """From an answer with an error's status."""
    headers = error.response.headers
    status = error.status_code
    if status < 400:
        return ModelError("model_bad_response", "The provider sent us to another address: correct its base_url.")
    kind = _TYPE_OF_STATUS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    pause = pause_asked(headers.get("retry-after-ms"), headers.get("retry-after"))
    return _mapped(WireError(kind, error.message), status, pause)


def error_in_stream(wire: WireError) -> ModelError:
    """From an `error` event after the answer began."""
    return _mapped(wire)


def _mapped(wire: WireError, status: int = 400, wait: float | None = None) -> ModelError:
    if wire.type in _PLAIN:
        return ModelError(*_PLAIN[wire.type])
    if wire.type != "invalid_request_error":
        code, message = _PASSING.get(wire.type, _PASSING["api_error"])
        return ModelError(code, message, retryable=True, retry_after=wait)
    if _TOO_LONG.search(wire.message):
        return ModelError("context_too_long", "The conversation is longer than the model can read.")
    if _REFUSED.search(wire.message):
        return ModelError("content_refused", "The model's provider refused to answer this.")
    return ModelError("model_bad_request", f"The model's provider refused the request (status {status}).")

"""OpenAI's errors, and those of servers like it, in our words.

The vendor's own text may hold keys and questions: it is looked at, and stays out.
"""

import re
from typing import TYPE_CHECKING

from adapters.openai.wire import WireError
from domain.errors import ModelError
from domain.models.model_failures import pause_asked

if TYPE_CHECKING:
    from openai import APIStatusError

_TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size)|maximum.{0,20}(context|length)|too many (input )?tokens"
    r"|(prompt|input|request).{0,20}too (long|large)|reduce the length|exceeds?.{0,40}tokens",
    re.IGNORECASE,
)
_REFUSED = re.compile(r"content.?(policy|filter|management)|safety system|moderation|data_inspection", re.IGNORECASE)
_FORMAT = re.compile(r"response_format|json_?schema|structured output", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_STATUS = re.compile(r"[45][0-9]{2}")
_PLAIN = {
    401: ("model_auth_failed", "The model's provider refused the API key."),
    402: ("model_auth_failed", "The model's provider wants its account paid."),
    403: ("model_auth_failed", "The model's provider refused the API key for this model."),
    404: ("model_not_found", "The provider has no such model, or none at this base_url."),
}
_PASSING = {
    408: ("model_timeout", "The model's provider took too long."),
    409: ("model_unavailable", "The model's provider is busy with a conflicting request."),
    429: ("model_rate_limited", "The model's provider is receiving too many requests."),
    500: ("model_unavailable", "The model's provider failed."),
    504: ("model_timeout", "The model's provider took too long."),
}
_STATUS_OF_TYPE = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "invalid_request_error": 400,
    "overloaded_error": 503,
    "server_error": 500,
}


class FormatRefused(ModelError):
    """What the request says of the answer's form is not understood."""


def refused(error: "APIStatusError") -> ModelError:
    """From an answer with an error's status."""
    headers = error.response.headers
    wire = WireError(message=error.message, type=_text(error.type), code=error.code, param=_text(error.param))
    return _mapped(error.status_code, wire, pause_asked(headers.get("retry-after-ms"), headers.get("retry-after")))


def error_in_stream(error: WireError | str) -> ModelError:
    """From an error object where a chunk should be."""
    wire = WireError(message=error) if isinstance(error, str) else error
    return _mapped(_status(wire), wire, None)


def _status(wire: WireError) -> int:
    for given in (wire.code, wire.status):
        if _STATUS.fullmatch(str(given)):
            return int(str(given))
    for kind in (wire.code, wire.type):
        if kind in _STATUS_OF_TYPE:
            return _STATUS_OF_TYPE[str(kind)]
    return 500


def _mapped(status: int, wire: WireError, wait: float | None) -> ModelError:
    text = f"{wire.code} {wire.type} {wire.message}"
    if status in _PLAIN:
        return ModelError(*_PLAIN[status])
    if status == 429 and "insufficient_quota" in text:
        return ModelError("model_rate_limited", "The quota at the model's provider is used up.")
    if status in _PASSING or status >= 500:
        code, message = _PASSING.get(status, _PASSING[500])
        return ModelError(code, message, retryable=True, retry_after=wait)
    if status < 400:
        return ModelError("model_bad_response", "The provider sent us to another address: correct its base_url.")
    if status == 413 or _TOO_LONG.search(text):
        return ModelError("context_too_long", "The conversation is longer than the model can read.")
    if _REFUSED.search(text):
        return ModelError("content_refused", "The model's provider refused to answer this.")
    kind = FormatRefused if _FORMAT.search(f"{wire.param} {text}") else ModelError
    return kind("model_bad_request", f"The model's provider refused the request ({_detail(status, wire)}).")


def _detail(status: int, wire: WireError) -> str:
    """Names that help an operator; free text stays out."""
    names = [f"{key} {value}" for key, value in (("code", wire.code), ("parameter", wire.param)) if _is_name(value)]
    return ", ".join([f"status {status}", *names])


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None

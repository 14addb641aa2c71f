"""What a client is told when something goes wrong: one table for the domain's errors, one for the framework's."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from domain.errors import (
    Conflict,
    DomainError,
    FieldProblem,
    Forbidden,
    InvalidValue,
    ModelError,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UpstreamFailed,
)
from domain.files.file_kinds import KindRefused
from entrypoints.http import request_ids
from entrypoints.http.envelope import ErrorDetail, ErrorEnvelope, FieldNote
from entrypoints.http.error_shapes import shaped
from entrypoints.http.last_words import LastWords, has_unread_body
from entrypoints.http.wording import plain

log = logging.getLogger("agentchat.http")

DOMAIN_STATUS: Final[Mapping[type[DomainError], int]] = {
    InvalidValue: 422,
    TooLarge: 413,
    KindRefused: 415,
    NotFound: 404,
    Forbidden: 403,
    Conflict: 409,
    Unauthenticated: 401,
    TooManyRequests: 429,
    Unavailable: 503,
    ModelError: 502,
    UpstreamFailed: 502,
}

MODEL_STATUS: Final[Mapping[str, int]] = {
    "model_not_configured": 503,
    "model_unavailable": 503,
    "model_busy": 429,
    "model_rate_limited": 503,
    "model_timeout": 504,
    "model_stalled": 504,
    "context_too_long": 413,
    "content_refused": 422,
    "model_no_vision": 422,
}

FRAMEWORK: Final[Mapping[int, tuple[str, str]]] = {
    400: ("bad_request", "The request is malformed."),
    401: ("token_missing", "Log in and send the access token as `Authorization: Bearer …`."),
    403: ("forbidden", "The caller may not do this."),
    404: ("route_not_found", "There is nothing at this address; /docs lists what there is."),
    405: ("method_not_allowed", "This address does not take this method; the Allow header lists those that it takes."),
    408: ("body_timeout", "The body took too long to arrive."),
    413: ("body_too_large", "The body is too large."),
    415: ("unsupported_media_type", "Send the body as application/json."),
    422: ("invalid_value", "The request holds an invalid value."),
    429: ("too_many_requests", "Too many requests: wait as long as Retry-After says."),
    503: ("unavailable", "The server can't serve this now: try again after Retry-After."),
}

INTERNAL: Final = ("internal_error", "The server made a mistake; its log tells more under the request id.")
DEFAULT_RETRY_SECONDS: Final = 1
VOCABULARY: Final = frozenset({200, 401, 403, 404})
"""The body's `status_code` is one of these, or 500."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as it leaves the server."""

    status: int
    code: str
    message: str
    fields: Sequence[FieldProblem] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def envelope(self, data: object = None) -> ErrorEnvelope:
        return ErrorEnvelope(
            status_code=self.status if self.status in VOCABULARY else 500,
            status_message=self.message,
            data=data,
            error=ErrorDetail(
                self.code, [FieldNote(one.name, one.message) for one in self.fields], request_ids.current()
            ),
        )


class Refused(Exception):
    """A request that HTTP itself refuses, before any rule of the domain is asked."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


def refusal_of(error: Exception, max_body_bytes: int) -> Refusal:
    match error:
        case Refused():
            return error.refusal
        case DomainError():
            return _domain_refusal(error)
        case RequestEntityTooLarge():
            message = f"The body is too large: at most {max_body_bytes:,} bytes are taken."
            return Refusal(413, FRAMEWORK[413][0], message)
        case ValidationException():
            return _validation_refusal(error)
        case HTTPException(status_code=status) if status in FRAMEWORK:
            code, message = FRAMEWORK[status]
            return Refusal(status, code, message, headers=_headers(status, error.headers or {}))
        case InternalServerException(detail="client disconnected prematurely"):
            return Refusal(400, "body_cut_off", "The body ended before its announced length.")
        case _:
            return Refusal(500, *INTERNAL)


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The exception handler of the whole application."""
    refusal = refusal_of(error, _most_bytes(request))
    if refusal.status == 500:
        log.error("unhandled", exc_info=error, extra={"request_id": request_ids.current()})
    response = LastWords if has_unread_body(request.scope) else Response
    status, shown = shaped(request.scope["path"], refusal.status, refusal.envelope())
    return response(shown, status_code=status, headers=refusal.headers, media_type="application/json")


def _most_bytes(request: Request[Any, Any, Any]) -> int:
    """A few routes take more than all others."""
    most = getattr(request.scope.get("route_handler"), "request_max_body_size", None)
    return most if isinstance(most, int) else int(request.app.state.max_body_bytes)


def _domain_refusal(error: DomainError) -> Refusal:
    kind = next(one for one in type(error).__mro__ if one in DOMAIN_STATUS or one is DomainError)
    status = DOMAIN_STATUS.get(kind, 500)
    if kind is ModelError:
        status = MODEL_STATUS.get(error.code, status)
    headers = _headers(status, {}, error.retry_after)
    return Refusal(status, error.code, error.message, error.fields, headers)


def _headers(status: int, given: Mapping[str, str], retry_after: float | None = None) -> Mapping[str, str]:
    headers = {name.title(): value for name, value in given.items()}
    if status == 401:
        headers.setdefault("Www-Authenticate", "Bearer")
    if status in (429, 503) or retry_after is not None:
        headers.setdefault("Retry-After", str(max(1, math.ceil(retry_after or DEFAULT_RETRY_SECONDS))))
    return headers


def _validation_refusal(error: ValidationException) -> Refusal:
    """Litestar's findings about parameters and form fields, in our words. Its own text names types of Python."""
    found = error.extra if isinstance(error.extra, list) else []
    fields = [
        FieldProblem(str(one.get("key", "")).split(".")[-1], plain(str(one["message"])))
        for one in found
        if isinstance(one, dict) and "message" in one
    ]
    if any(one.name == "data" for one in fields):
        return Refusal(400, "malformed_json", "The body must be a JSON object, sent as application/json.")
    if not fields:
        return _missing_parameter(error.detail)
    message = "; ".join(f"{one.name}: {one.message}" if one.name else one.message for one in fields)
    return Refusal(422, "invalid_value", message, fields)


def _missing_parameter(detail: str) -> Refusal:
    """Litestar says `Missing required query parameter 'x' for path …`; the path is not repeated to the client."""
    found = re.match(r"Missing required (\w+) parameter '([^']+)'", detail)
    if not found:
        return Refusal(422, *FRAMEWORK[422])
    where, name = found.groups()
    problem = FieldProblem(name, f"is required as a {where} parameter")
    return Refusal(422, "invalid_value", f"{name}: {problem.message}", (problem,))

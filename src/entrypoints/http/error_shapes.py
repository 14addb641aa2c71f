"""Refusals where clients of another protocol ask: below `/api/v1/openai` as OpenAI's own, elsewhere as the envelope."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from entrypoints.http.envelope import ErrorEnvelope

COMPATIBLE: Final = "/api/v1/openai"
_TYPES: Final[Mapping[int, str]] = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES: Final[Mapping[str, str]] = {"context_too_long": "context_length_exceeded"}
"""Words that clients look for."""
_PARAMS: Final[Mapping[str, str]] = {"user_input": "messages", "file_url": "messages", "dialog_id": "X-Dialog-ID"}


class OpenAIErrorDetail(Struct):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(Struct):
    error: OpenAIErrorDetail


def is_compatible(path: str) -> bool:
    return path == COMPATIBLE or path.startswith(f"{COMPATIBLE}/")


def shaped(path: str, status: int, envelope: ErrorEnvelope) -> tuple[int, Struct]:
    """The status and the body that a client at this address understands."""
    return as_openai(status, envelope) if is_compatible(path) else (status, envelope)


def as_openai(status: int, envelope: ErrorEnvelope) -> tuple[int, OpenAIError]:
    """What we call an invalid value is a bad request there; so is a conversation that is too long."""
    code = envelope.error.code
    bad = status == 422 or code == "context_too_long"
    status = 400 if bad else status
    code = "invalid_api_key" if status == 401 else _CODES.get(code, code)
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    # What a limit tells of itself is no part of the request.
    name = envelope.error.fields[0].name if envelope.error.fields and status != 429 else None
    param = None if name is None else _PARAMS.get(name, name)
    return status, OpenAIError(OpenAIErrorDetail(envelope.status_message, kind, param, code))

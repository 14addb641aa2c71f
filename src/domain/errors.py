"""What can go wrong, in the domain's words. None of these knows HTTP."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field and what would be right for it."""

    name: str
    message: str


class DomainError(Exception):
    """A refusal. `code` is stable and documented, `message` one sentence for a person."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        fields: tuple[FieldProblem, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields
        self.retry_after = retry_after
        """Seconds after which the same request may succeed."""


class InvalidValue(DomainError):
    """A value that breaks a rule of the domain."""

    def __init__(self, field: str, message: str, *, code: str = "invalid_value") -> None:
        super().__init__(code, f"{field}: {message}", fields=(FieldProblem(field, message),))


class TooLarge(DomainError):
    """More than a limit allows; the message names the limit."""

    def __init__(self, field: str, message: str, *, code: str = "too_large") -> None:
        super().__init__(code, f"{field}: {message}", fields=(FieldProblem(field, message),))


class NotFound(DomainError):
    """No such object for this caller: missing and somebody else's are the same."""

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"{kind}_not_found", f"There is no {kind.replace('_', ' ')} {identifier[:200]!r}.")
        self.kind = kind


class Forbidden(DomainError):
    """The caller may see the object, but not do this to it."""


class Conflict(DomainError):
    """The object's present state, or another object, stands in the way."""

    def __init__(self, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(code, message, fields=(FieldProblem(field, message),) if field else ())


class Unauthenticated(DomainError):
    """No caller could be made out: no token, a wrong one, or an account that is gone."""


class TooManyRequests(DomainError):
    """The caller must wait `retry_after` seconds."""


class Unavailable(DomainError):
    """A part that the request needs (database, storage) or the server itself can't serve now."""


class UpstreamFailed(DomainError):
    """A server of somebody else's, which the request needs, can't be used now. The message says why."""


class ModelError(DomainError):
    """The model's provider refused or failed. Before the first delta or in mid-stream.

    Codes: `model_not_configured`, `model_address_refused`, `model_auth_failed`, `model_not_found`,
    `model_rate_limited`, `context_too_long`, `content_refused`, `model_bad_request`, `model_unavailable`,
    `model_timeout`, `model_stalled`, `model_stream_cut`, `model_bad_response`, `model_empty_answer`,
    `model_no_vision`.
    """

    def __init__(self, code: str, message: str, *, retryable: bool = False, retry_after: float | None = None) -> None:
        super().__init__(code, message, retry_after=retry_after)
        self.retryable = retryable

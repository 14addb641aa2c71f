"""What the adapters of all models' providers say alike when one fails."""

from typing import Final

from domain.errors import ModelError


class Unreachable(ModelError):
    """Nobody answered: what was asked may be right or wrong."""


def unaskable() -> ModelError:
    """No client of HTTP can read its address."""
    return ModelError("model_not_configured", "The model's server can't be asked: see its base_url.")


def unreachable(*, timed_out: bool, refusal: Exception | None = None) -> ModelError:
    """`refusal`: why our own side lets nobody ask that address."""
    if refusal is not None:
        return ModelError("model_address_refused", f"The model's base_url can't be used: {refusal}")
    if timed_out:
        return Unreachable("model_timeout", "The model's provider accepted no connection in time.", retryable=True)
    return Unreachable("model_unavailable", "The model's provider can't be reached.", retryable=True)


def pause_asked(milliseconds: str | None, seconds: str | None) -> float | None:
    """The seconds that a provider asks to wait; the milliseconds are more exact. A date is not worth a clock."""
    for given, unit in ((milliseconds, 0.001), (seconds, 1.0)):
        try:
            pause = float(given or "") * unit
        except ValueError:
            continue
        if 0 <= pause < float("inf"):
            return pause
    return None


def tried_again(error: ModelError) -> bool:
    """Whether the same model may answer if it is asked once more at once."""
    return error.retryable and error.code in _PASSING


def lets_others_try(error: ModelError) -> bool:
    """Whether another model may answer what this one did not: the fault is not in what was asked.

    A request that is too long is one for a model with more room, which whoever chooses the next one has to see to.
    """
    return error.code in _NOT_THE_REQUEST or error.code == TOO_LONG


def blames_provider(code: str) -> bool:
    """Whether the failure is that of everything behind the key."""
    return code in _PASSING


def blames_model(code: str) -> bool:
    """Whether the key does not open this model; it may open others."""
    return code in _REFUSED


TOO_LONG: Final = "context_too_long"
_PASSING: Final = frozenset(
    {"model_unavailable", "model_timeout", "model_rate_limited", "model_stream_cut", "model_stalled"}
)
_REFUSED: Final = frozenset({"model_auth_failed", "model_not_found", "model_address_refused"})
_NOT_THE_REQUEST: Final = frozenset(
    {*_PASSING, *_REFUSED, "model_not_configured", "model_busy", "model_bad_response", "model_empty_answer"}
)
